"""Training forward of an analog layer: one effective weight per step, plus noise.

The full forward of `rramfit.mapping` converts the currents of every tile for every input vector; it
costs about twenty times the digital layer. Training uses the kernel of the digital layer,

    y = k·(W x̂) + shift + σ·ε + bias

with the quantised inputs x̂ and the effective weight W of newly drawn cells with wires
(`rramfit.training.forward.cells`), computed in float32. All other effects are represented by three
numbers per output: k, shift and σ are the slope, intercept and residual standard deviation of a
linear fit of the full forward of one drawn chip to W x̂, on the layer's current inputs. They are
updated with the anchors. Training therefore approximates

    converters                cubic term, steps and clipping by their mean effect and noise
    read noise                by its mean square over inputs
    nonlinear cells           by a gain and noise
    gated or floating rows    by wires at the mean share of active rows, a gain and noise

and no effect is omitted. `fidelity` measures the agreement of the two forwards on the same cells.

Evaluation does not use this forward: `rramfit.training.forward.preparation.trained_network` returns
the digital network, which is then evaluated with the full forward.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor, nn

from rramfit.array.wires.effective import effective_matrix
from rramfit.errors import TrainingError
from rramfit.mapping.layers.matrix_layer import MatrixLayer
from rramfit.mapping.layout.codes import nearest_code
from rramfit.mapping.tiles.calibration import calibrated
from rramfit.mapping.tiles.chip_source import ChipCells, TileCells, draw_chip_cells
from rramfit.mapping.tiles.matrix import AnalogMatrix
from rramfit.mapping.tiles.nominal import nominal_tiles
from rramfit.streams import torch_stream
from rramfit.training.forward.anchor import Anchor, at_mean_share, fitted_line
from rramfit.training.forward.cell_tables import CellDistributions, cell_distributions
from rramfit.training.forward.cells import (
    continuous_targets,
    fold_columns,
    follow,
    target_differences,
    target_levels,
)

__all__ = ["Hardware", "TrainedForward", "fidelity"]

VECTORS = 256
"""Input vectors for the fit of an anchor's slope, shift and noise."""

NOISE_NUMBERS = 2**18
"""Random numbers per step for the output noise of a layer; images reuse them cyclically."""

STEPS_PER_CHIP = 20
"""Steps between draws of the unmeasured properties of a fitted chip."""


class _QuantiseInputs(torch.autograd.Function):
    """Quantise and clip inputs; the gradient is straight-through within the range."""

    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx, x: Tensor, low: float, high: float, step: float
    ) -> Tensor:
        ctx.save_for_backward((x >= low) & (x <= high))
        return (x * (1 / step)).round_().clamp_(round(low / step), round(high / step)).mul_(step)

    @staticmethod
    def backward(ctx, *gradients: Tensor):  # type: ignore[no-untyped-def]
        return gradients[0] * ctx.saved_tensors[0], None, None, None


_SHARED = (
    "seed",
    "rank",
    "step",
    "strength",
    "anchor",
    "distributions",
    "hardware",
    "name",
    "_chip_cells",
    "_moved",
)

Hardware = Callable[[str, Tensor, Tensor], Tensor]
"""Function that measures a product on hardware: takes a layer's name, its weight rounded to codes
(output, input) and quantised input vectors (vector, input); returns outputs (vector, output) after
digital corrections."""


class TrainedForward(nn.Module):
    """Forward of an analog layer during training.

    Attributes
    ----------
    log_scale : (output,) parameter
        ln of the weight per siemens.
    step : int
        Number of steps; each step draws new cells, evaluation keeps those of the current step.
    strength : float
        Factor on all non-idealities but quantisation, 0 to 1, for a ramp.
    """

    def __init__(self, matrix: AnalogMatrix, *, seed: int, rank: int = 0) -> None:
        super().__init__()
        if matrix.scale is None:
            msg = "the matrix is not prepared; call prepare(weight) first"
            raise ValueError(msg)
        self.log_scale = nn.Parameter(matrix.scale.detach().log())
        self.seed, self.rank = seed, rank
        self.step = 0
        self.strength = 1.0
        self.anchor: Anchor | None = None
        self.distributions: CellDistributions = cell_distributions(
            matrix.setup.device_model, time=matrix.setup.time, reads=matrix.setup.reads
        )
        self.hardware: Hardware | None = None
        self.name = matrix.plan.name
        self._chip_cells: tuple[int, ChipCells] | None = None
        self._moved = bool(
            (matrix.permutation.rows.diff(dim=1) != 1).any()
            or (matrix.permutation.cols.diff(dim=1) != 1).any()
        )

    @property
    def scale(self) -> Tensor:
        """Weight per siemens, (output,)."""
        return self.log_scale.exp()

    def __deepcopy__(self, memo: dict[int, object]) -> TrainedForward:
        """Copy the parameter; share the rest until it is replaced."""
        new = TrainedForward.__new__(TrainedForward)
        nn.Module.__init__(new)
        new.log_scale = nn.Parameter(self.log_scale.detach().clone())
        for name in _SHARED:
            setattr(new, name, getattr(self, name))
        return new

    def _stream(self, name: str, device: torch.device) -> torch.Generator:
        return torch_stream(self.seed, f"train/{self.step}/{self.rank}/{name}", device=device)

    def effective(self, matrix: AnalogMatrix, weight: Tensor) -> Tensor:
        """Compute the effective weight of newly drawn cells, (output, input)."""
        plan, setup, scale = matrix.plan, matrix.setup, self.scale
        permutation = matrix.permutation if self._moved else None
        quantised = "quantisation" in setup.factors
        if quantised:
            wanted = target_differences(setup, weight, scale)
            level, target = target_levels(plan, setup, wanted), None
        else:
            wanted = weight
            target, level = continuous_targets(plan, setup, weight, scale)
        if permutation is not None:
            level = permutation.to_physical(level)
            target = None if target is None else permutation.to_physical(target)
        with torch.no_grad():
            found, follows = self._found(matrix, level)
        if target is None:
            g = follow(wanted, found, follows, plan=plan, setup=setup, permutation=permutation)
        else:
            mean = setup.model.mean[level.long().clamp_min(0)]
            g = target + found - mean
            g = g if follows is None else torch.where(follows, g, found)
            g = g.clamp_min(0)
        return self.folded(matrix, g) * scale[:, None]

    def _found(self, matrix: AnalogMatrix, level: Tensor) -> tuple[Tensor, Tensor | None]:
        """Draw cells for target levels, in physical positions."""
        setup, plan = matrix.setup, matrix.plan
        if setup.origin is None:
            generator = self._stream(f"cells/{plan.name}", level.device)
            found, follows = self.distributions.draw(level, generator, strength=self.strength)
            shift = setup.level_shift(self._stream("between", level.device))
            if shift is not None:
                at = shift.to(found)[level.long().clamp_min(0)] * self.strength
                found = found + (at if follows is None else torch.where(follows, at, 0.0))
            return found, follows
        chip = self._chip_cells_of(matrix)
        level = level.long()
        mean = setup.model.mean[level.clamp_min(0)]
        cells = chip.program(
            mean,
            level,
            time=setup.time,
            reads=setup.reads,
            generator=self._stream(f"cells/{plan.name}", mean.device),
        )
        found = torch.lerp(mean, cells.conductance, self.strength)
        return found, cells.accepted & (level >= 0)

    def _chip_cells_of(self, matrix: AnalogMatrix) -> ChipCells:
        """Return the fitted chip; redraw its unmeasured properties every `STEPS_PER_CHIP` steps."""
        index = -1 - self.step // STEPS_PER_CHIP
        if self._chip_cells is None or self._chip_cells[0] != index:
            setup, plan = matrix.setup, matrix.plan
            chip = draw_chip_cells(
                setup.device_model,
                plan.tiles,
                plan.tile,
                origin=setup.origin,
                index=index,
                seed=self.seed,
                name=f"{plan.name}/{self.rank}",
            )
            self._chip_cells = (index, chip)
        return self._chip_cells[1]

    def folded(self, matrix: AnalogMatrix, g: Tensor) -> Tensor:
        """Compute differences after wires and gains, (output, input) [S], of (tile, row, col)."""
        plan, setup = matrix.plan, matrix.setup
        anchor, gain, t = self.anchor, None, g
        if setup.has_wires and anchor is not None and self.strength > 0:
            gain = anchor.gain
            if anchor.estimate is not None:
                t = anchor.estimate.matrices(g)[-1]
            elif setup.line is not None:
                t = effective_matrix(g, setup.line)
            if self.strength < 1:
                t = torch.lerp(g, t, self.strength)
                gain = 1 + self.strength * (gain - 1)
        if self._moved:
            t = matrix.permutation.to_logical(t)
        return fold_columns(plan, setup, plan.join(t), gain)

    def quantise_inputs(self, matrix: AnalogMatrix, x: Tensor) -> Tensor:
        """Quantise inputs as the DACs do."""
        if self.anchor is None or "dac" not in matrix.setup.factors:
            return x
        c, p = self.anchor.calibration, matrix.setup.peripherals
        steps = 2**p.dac_bits - 1
        if p.input_coding == "bit_serial" and c.signed:
            steps = 2 ** (p.dac_bits - 1) - 1
        low = -c.largest if c.signed else 0.0
        out: Tensor = _QuantiseInputs.apply(  # type: ignore[no-untyped-call]
            x, low, c.largest, c.largest / steps
        )
        return out

    def forward(self, layer: MatrixLayer, x: Tensor) -> Tensor:
        """Compute the layer's output, (..., output) or (sample, output, height, width)."""
        if self.training:
            self.step += 1
        matrix = layer.analog.matrix
        if self.hardware is not None:
            return self._measured(layer, x)
        anchor, given = self.anchor, x.dtype
        mixed = torch.is_autocast_enabled(x.device.type)
        if not mixed:
            x = x.to(matrix.setup.model.dtype)
        with torch.autocast(x.device.type, enabled=False):
            weight = self.effective(matrix, layer.model_weight())
            bias, shift = None if layer.bias is None else layer.bias.to(weight.dtype), None
            if anchor is not None:
                slope = torch.lerp(torch.ones_like(anchor.slope), anchor.slope, self.strength)
                weight = weight * slope[:, None]
                shift = self.strength * anchor.shift
                if layer.one_to_one:
                    bias, shift = shift if bias is None else bias + shift, None
        out = layer.product(self.quantise_inputs(matrix, x), weight, bias)
        if shift is not None:
            out = out + layer.of_outputs(shift, x)
        if anchor is not None and bool((anchor.noise > 0).any()):
            variance = layer.of_outputs(anchor.noise.square(), x, power=2)
            out = self._noisy(layer, out, matrix.plan.name, variance.clamp_min(0).sqrt())
        return out if mixed else out.to(given)

    def _measured(self, layer: MatrixLayer, x: Tensor) -> Tensor:
        """Return outputs measured on hardware, with the gradient of the digital layer."""
        matrix, scale = layer.analog.matrix, self.scale
        with torch.autocast(x.device.type, enabled=False):
            x = self.quantise_inputs(matrix, x.to(layer.weight))
            weight = layer.matrix_weight()
            wanted = target_differences(matrix.setup, weight, scale)
            if "quantisation" in matrix.setup.factors:
                book = matrix.setup.book
                codes = book.values[nearest_code(book, wanted)]
                wanted = wanted + (codes - wanted).detach()
            target_weight = wanted * scale[:, None]
            out = layer.product(x, target_weight, layer.bias)
            hardware = self.hardware
            if hardware is None:
                return out
            name, codes = self.name, target_weight.detach()
            with torch.no_grad():
                found = layer.apply_product(
                    x, lambda vectors: measured(hardware, name, codes, vectors)
                )
                found = layer.add_bias(found)
            return out + (found - out).detach()

    def _noisy(self, layer: MatrixLayer, out: Tensor, name: str, std: Tensor) -> Tensor:
        """Add the noise of converters and reads; samples of a batch reuse it cyclically."""
        if layer.output_axes:
            flat = out if out.ndim == layer.output_axes + 2 else out[None]
        else:
            flat = out.reshape(-1, out.shape[-1])
        if not len(flat):
            return out
        most = max(1, NOISE_NUMBERS // max(1, flat[0].numel()))
        turns = next(n for n in range(-(-len(flat) // most), len(flat) + 1) if len(flat) % n == 0)
        shape = (len(flat) // turns, *flat.shape[1:])
        noise = torch.randn(
            shape, generator=self._stream(f"noise/{name}", out.device), device=out.device
        )
        noise = (noise * (self.strength * std)).to(out.dtype)
        if layer.output_axes == 2 and flat.is_contiguous(memory_format=torch.channels_last):
            noise = noise.contiguous(memory_format=torch.channels_last)
        return (flat.reshape(turns, *shape) + noise).flatten(0, 1).reshape(out.shape)

    def renew(self, layer: MatrixLayer, uses: list[Tensor]) -> None:
        """Update the anchor: solve wires, calibrate and fit to the full forward.

        Parameters
        ----------
        layer : MatrixLayer
        uses : list of tensors
            Current inputs of the layer, of each time that the network uses it.
        """
        matrix = layer.analog.matrix
        with torch.no_grad(), torch.autocast(uses[0].device.type, enabled=False):
            weight, scale = layer.model_weight().detach(), self.scale.detach()
            matrix.scale = scale
            setup = dataclasses.replace(matrix.setup, wires_by="estimate")
            nominal = nominal_tiles(
                matrix.plan, setup, matrix.targets(weight).conductance, matrix.permutation
            )
            vectors = torch.cat([layer.vectors(x.to(weight)) for x in uses])
            calibration = calibrated(matrix.plan, setup, nominal.matrix, vectors)
            some = vectors[:: -(-len(vectors) // VECTORS) or 1]
            estimate = at_mean_share(matrix, nominal.estimate, calibration, some)
            ones = torch.ones(matrix.plan.outputs).to(weight)
            self.anchor = Anchor(
                gain=nominal.gain,
                estimate=estimate,
                calibration=calibration,
                slope=ones,
                shift=torch.zeros_like(ones),
                noise=torch.zeros_like(ones),
            )
            matrix.nominal, matrix.calibration = nominal, calibration
            slope, shift, noise = fitted_line(*self.compare(matrix, weight, some))
            self.anchor = dataclasses.replace(self.anchor, slope=slope, shift=shift, noise=noise)

    def compare(
        self, matrix: AnalogMatrix, weight: Tensor, vectors: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Compute products by the folded weight and by the full forward, on the same cells.

        Both are (vector, output), without slope, shift and noise.
        """
        index = -1 - self.step
        matrix.chip = (self.seed, index)
        full = matrix.draw(weight, seed=self.seed, index=index).fold()
        folded = self._at_strength_one(matrix, full.cells) * self.scale.detach()[:, None]
        mine = self.quantise_inputs(matrix, vectors) @ folded.t()
        return mine, matrix.multiply(full, vectors)

    def _at_strength_one(self, matrix: AnalogMatrix, cells: TileCells) -> Tensor:
        strength, self.strength = self.strength, 1.0
        try:
            return self.folded(matrix, cells.conductance)
        finally:
            self.strength = strength


def measured(hardware: Hardware, name: str, codes: Tensor, vectors: Tensor) -> Tensor:
    """Measure a layer's products on hardware.

    Raises
    ------
    TrainingError
        If the result is not a tensor of finite numbers of the expected shape.
    """
    found: object = hardware(name, codes, vectors)
    wanted = (len(vectors), len(codes))
    if not isinstance(found, Tensor):
        wrong = f"a {type(found).__name__}"
    elif tuple(found.shape) != wanted:
        wrong = f"shape {tuple(found.shape)}"
    elif not bool(found.isfinite().all()):
        wrong = f"{int((~found.isfinite()).sum())} values that are not finite"
    else:
        return found.to(vectors)
    msg = f"hardware, layer {name}: found {wrong}; expected finite numbers of shape {wanted}"
    raise TrainingError(msg)


def fidelity(forward: TrainedForward, layer: MatrixLayer, x: Tensor) -> tuple[float, float]:
    """Compare the training forward with the full forward on one drawn chip.

    Returns
    -------
    share : float
        Share of the variance of the full forward's outputs that slope and shift explain.
    predicted : float
        The same share, predicted from the anchor's noise.
    """
    if forward.anchor is None:
        msg = "the forward has no anchor; call renew first"
        raise ValueError(msg)
    a = forward.anchor
    with torch.no_grad():
        mine, full = forward.compare(layer.analog.matrix, layer.matrix_weight(), layer.vectors(x))
        residual = (full - mine * a.slope - a.shift).square().mean(0).sum()
        total = full.var(0, correction=0).sum()
    return float(1 - residual / total), float(1 - a.noise.square().sum() / total)
