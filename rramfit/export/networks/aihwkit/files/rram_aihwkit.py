"""A measured model card for aihwkit 1.1 and 1.2: a noise model, a converter and an RPU config.

`rpu_config()` returns a `TorchInferenceRPUConfig`, which needs no compiled tile. A weight between
−1 and 1 is a pair of cells in two arrays. `program_analog_weights` draws new arrays, with stuck and
failed cells, and solves their wires: the weights of the tile are then those that the wires leave,
so that IR drop acts in training and in evaluation alike. `drift_analog_weights` takes any time.
Read noise is new for every product.

`torch.manual_seed` sets the random numbers. Conductances are in uS where aihwkit sees them.
"""

import numpy as np
import torch
from aihwkit.inference.converter.base import BaseConductanceConverter
from aihwkit.inference.noise.base import BaseNoiseModel
from aihwkit.simulator.configs import TorchInferenceRPUConfig
from aihwkit.simulator.parameters import IOParameters, MappingParameter, WeightModifierParameter
from aihwkit.simulator.parameters.enums import (
    BoundManagementType,
    NoiseManagementType,
    WeightModifierType,
)
from aihwkit.simulator.tiles.analog_mvm import AnalogMVM
from aihwkit.simulator.tiles.torch_tile import TorchSimulatorTile
from rram_cells import Cells, Numbers, effective_matrix

__all__ = ["CardConverter", "CardNoiseModel", "CardTile", "rpu_config"]

NUMBERS = Numbers()
OPTIONS = NUMBERS.content["options"]
MICRO = 1e6
_KNOTS = 257


def _range():
    """Return the difference of the highest and the lowest level [S]."""
    return float(NUMBERS.mean[-1] - NUMBERS.mean[0])


def _generator():
    """Return a generator that follows `torch.manual_seed`."""
    return np.random.default_rng(torch.randint(0, 2**31, (4,)).tolist())


class CardConverter(BaseConductanceConverter):
    """Weights as pairs of conductances, one of them that of the lowest level.

    A weight of ±1 is the range of the levels. The weights of a tile have this scale if
    `mapping.weight_scaling_omega` is 1.
    """

    def __init__(self):
        self.g_min = float(NUMBERS.mean[0]) * MICRO
        self.g_max = float(NUMBERS.mean[-1]) * MICRO

    @torch.no_grad()
    def convert_to_conductances(self, weights):
        """Return [G+, G−] in uS, and the scale in uS per weight."""
        scale = self.g_max - self.g_min
        scaled = weights.clamp(-1.0, 1.0) * scale
        pair = [part.clamp(min=0.0) + self.g_min for part in (scaled, -scaled)]
        return pair, {"scale_ratio": scale}

    @torch.no_grad()
    def convert_back_to_weights(self, conductances, params):
        """Return the weights of [G+, G−] in uS."""
        return (conductances[0] - conductances[1]) / params["scale_ratio"]


class CardNoiseModel(BaseNoiseModel):
    """Programming, faults, ageing and wires of a card.

    Weights are rounded to the nearest difference of two levels. Each call of
    `apply_programming_noise` draws a new chip.

    Parameters
    ----------
    wires : bool
        Whether wires have the card's resistances.
    """

    def __init__(self, wires=True):
        super().__init__(CardConverter())
        self.wires = wires

    @torch.no_grad()
    def apply_programming_noise(self, weights):
        """Return the programmed weights, and the state of the cells of both arrays."""
        wanted = weights.detach().cpu().double().numpy() * _range()
        edges = (NUMBERS.code_values[1:] + NUMBERS.code_values[:-1]) / 2
        code = np.searchsorted(edges, wanted)
        rng, states = _generator(), []
        for side in range(2):
            level = NUMBERS.code_levels[code, side].astype(np.int64).T
            cells = Cells(NUMBERS, *level.shape, rng)
            state = np.stack([*cells.program(level), cells.fault == 0])
            states.append(torch.from_numpy(state))
        return self._weights([x[0] for x in states], weights), states

    @torch.no_grad()
    def apply_drift_noise(self, weights, drift_noise_parameters, t_inference):
        """Return the weights at a time [s]; their states are in `drift_noise_parameters`."""
        rng, aged = _generator(), []
        for state in drift_noise_parameters:
            g, follows, _, ages = state.cpu().numpy()
            new = NUMBERS.aged(g, follows.astype(np.int64), t_inference, rng)
            aged.append(torch.from_numpy(np.where(ages > 0, new, g)))
        return self._weights(aged, weights)

    @torch.no_grad()
    def apply_noise(self, weights, t_inference):
        """Return the weights of a new chip at a time [s]."""
        programmed, states = self.apply_programming_noise(weights)
        return self.apply_drift_noise(programmed, states, t_inference)

    @torch.no_grad()
    def apply_programming_noise_to_conductance(self, g_target):
        """Return programmed conductances [uS] of the levels nearest to targets [uS]."""
        target = g_target.detach().cpu().double().numpy().T / MICRO
        cells = Cells(NUMBERS, *np.atleast_2d(target).shape, _generator())
        g, _, _ = cells.program(NUMBERS.nearest_level(np.atleast_2d(target)))
        return torch.as_tensor(g.T * MICRO).reshape(g_target.shape).to(g_target)

    @torch.no_grad()
    def apply_drift_noise_to_conductance(self, g_prog, drift_noise_param, t_inference):
        """Return conductances [uS] at a time [s], each following the level nearest to it."""
        g = g_prog.detach().cpu().double().numpy() / MICRO
        aged = NUMBERS.aged(g, NUMBERS.nearest_level(g), t_inference, _generator())
        return torch.as_tensor(aged * MICRO).to(g_prog)

    def _weights(self, conductances, like):
        """Return the weights (output, input) that arrays (input, output) [S] make."""
        seen = [
            effective_matrix(g.numpy(), NUMBERS.wires) if self.wires else g.numpy()
            for g in conductances
        ]
        return torch.as_tensor((seen[0] - seen[1]).T / _range()).to(like)


class _CardMVM(AnalogMVM):
    """The product of a tile, with the noise of reading its cells once."""

    _variance = None

    @classmethod
    def matmul(cls, weight, input_, io_pars, trans=False, is_test=False, **fwd_pars):
        """Return the product; without read noise for `is_perfect`."""
        kind = AnalogMVM if io_pars.is_perfect or trans else cls
        return super(_CardMVM, kind).matmul(weight, input_, io_pars, trans, is_test, **fwd_pars)

    @classmethod
    def _matmul(cls, weight, input_, trans=False):
        out = super()._matmul(weight, input_, trans)
        with torch.no_grad():
            variance = cls.read_variance(weight)
            power = super()._matmul(variance, input_.square(), trans)
            return out + power.clamp(min=0.0).sqrt() * torch.randn_like(out)

    @classmethod
    def read_variance(cls, weight):
        """Return the variance of one read of each weight, of a pair with one cell at the lowest."""
        if cls._variance is None:
            size = np.linspace(0.0, 1.5, _KNOTS)
            g = NUMBERS.mean[0] + size * _range()
            level = NUMBERS.nearest_level(g)
            both = NUMBERS.read_std(g, level) ** 2 + NUMBERS.read_std(NUMBERS.mean[:1]) ** 2
            cls._variance = torch.as_tensor(both / _range() ** 2)
        at = weight.detach().abs() * ((_KNOTS - 1) / 1.5)
        low = at.floor().clamp(0, _KNOTS - 2)
        table = cls._variance.to(weight)
        below = table[low.long()]
        share = (at - low).clamp(0.0, 1.0)
        return below + share * (table[low.long() + 1] - below)


class CardTile(TorchSimulatorTile):
    """A tile whose reads have the noise of the card."""

    def __init__(self, x_size, d_size, rpu_config, bias=False):
        super().__init__(x_size, d_size, rpu_config, bias, analog_mvm=_CardMVM)


def rpu_config(*, wires=True, read_noise=True, converters=True, tile=None):
    """Return the configuration of inference and hardware-aware training on cells of the card.

    Parameters
    ----------
    wires, read_noise, converters : bool
        Switch parts of the card off.
    tile : (inputs, outputs), optional
        Size of an array.
    """
    rows, cols = (OPTIONS["rows"], OPTIONS["cols"]) if tile is None else tile
    forward = IOParameters(
        inp_res=OPTIONS["inp_res"],
        out_res=OPTIONS["out_res"] if converters else -1.0,
        out_bound=OPTIONS["out_bound"] if converters else 0.0,
        out_noise=OPTIONS["out_noise"] if converters else 0.0,
        bound_management=BoundManagementType.NONE,
        noise_management=NoiseManagementType.ABS_MAX,
    )
    config = TorchInferenceRPUConfig(
        forward=forward,
        noise_model=CardNoiseModel(wires=wires),
        drift_compensation=None,
        mapping=MappingParameter(
            weight_scaling_omega=1.0,
            weight_scaling_columnwise=True,
            max_input_size=rows,
            max_output_size=cols,
        ),
        modifier=WeightModifierParameter(
            type=WeightModifierType.ADD_NORMAL, std_dev=OPTIONS["training_std"]
        ),
    )
    if read_noise:
        config.simulator_tile_class = CardTile
    return config
