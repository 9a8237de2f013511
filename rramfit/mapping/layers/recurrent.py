"""Recurrent layers on tiles: RNN, LSTM and GRU.

The gates of a layer and direction are two matrices, one for the inputs and one for the state (and
one for the projected state of an LSTM). A matrix holds all gates side by side, as PyTorch stores
them. Gates, states and biases are computed digitally. One forward uses one chip for all time steps.
"""

from __future__ import annotations

from typing import Any, Self

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from rramfit.errors import MappingError
from rramfit.mapping.layers.many_matrices import ManyMatrices
from rramfit.mapping.layers.matrix_layer import eager, keep_hooks
from rramfit.mapping.tiles.programmed import ProgrammedMatrix
from rramfit.mapping.tiles.setup import AnalogSetup

__all__ = ["AnalogRecurrent"]

State = tuple[Tensor, ...]


class AnalogRecurrent(ManyMatrices, nn.RNNBase):
    """A recurrent layer whose gates are stored in cells of one card."""

    @classmethod
    def from_digital(
        cls,
        layer: nn.RNNBase,
        setup: AnalogSetup,
        *,
        name: str = "recurrent",
        vectors: int = 1,
        seed: int = 0,
    ) -> Self:
        """Convert a digital layer and share its parameters; `vectors`: time steps per sample."""
        if not isinstance(layer, nn.RNN | nn.LSTM | nn.GRU):
            msg = f"{name}: {type(layer).__name__} has no analog version; use RNN, LSTM or GRU"
            raise MappingError(msg)
        new = cls.__new__(cls)
        nn.Module.__init__(new)
        _copy_attributes(new, layer)
        parts = [p for p, _ in new.named_parameters(recurse=False) if p.startswith("weight")]
        new.map_projections(
            setup, name=name, kind=layer.mode.lower(), vectors=vectors, seed=seed, parts=parts
        )
        keep_hooks(new, layer)
        return new.train(layer.training)

    def to_digital(self) -> nn.Module:
        """Return the digital layer with the same parameters."""
        kinds = {"LSTM": nn.LSTM, "GRU": nn.GRU}
        options: dict[str, Any] = {
            "num_layers": self.num_layers,
            "bias": self.bias,
            "batch_first": self.batch_first,
            "dropout": self.dropout,
            "bidirectional": self.bidirectional,
        }
        if self.mode == "LSTM":
            options["proj_size"] = self.proj_size
        if self.mode not in kinds:
            options["nonlinearity"] = self.mode.partition("_")[2].lower()
        new: nn.Module = kinds.get(self.mode, nn.RNN)(self.input_size, self.hidden_size, **options)
        for name, parameter in self._parameters.items():
            setattr(new, name, parameter)
        keep_hooks(new, self)
        return new.train(self.training)

    def projection_weight(self, part: str) -> Tensor:
        """Return the weight (output, input) of one matrix."""
        weight: Tensor = getattr(self, part)
        return weight

    def forward(self, x: Tensor | PackedSequence, state: Any = None) -> tuple[Any, Any]:
        """Run over time; arguments and results as in PyTorch."""
        found: tuple[Any, Any] = eager(self.run, x, state)
        return found

    def run(self, x: Tensor | PackedSequence, state: Any) -> tuple[Any, Any]:
        """Compute the forward."""
        lengths = None
        if isinstance(x, PackedSequence):
            padded, lengths = pad_packed_sequence(x)
            batched = True
        else:
            batched = x.dim() == 3
            padded = x if batched else x[:, None]
            if batched and self.batch_first:
                padded = padded.transpose(0, 1)
            if not batched and state is not None:
                state = _each(state, lambda s: s[:, None])
        out, final = self._run(padded, self._initial(padded, state), lengths)
        if lengths is not None:
            result: Any = pack_padded_sequence(out, lengths, enforce_sorted=False)
            return result, final if self.mode == "LSTM" else final[0]
        if not batched:
            out, final = out[:, 0], tuple(s[:, 0] for s in final)
        elif self.batch_first:
            out = out.transpose(0, 1)
        return out, final if self.mode == "LSTM" else final[0]

    def _initial(self, padded: Tensor, state: Any) -> State:
        """Return the initial states, (layer · direction, batch, hidden) each."""
        directions = 2 if self.bidirectional else 1
        count, batch = self.num_layers * directions, padded.shape[1]
        sizes = [self.proj_size or self.hidden_size]
        if self.mode == "LSTM":
            sizes.append(self.hidden_size)
        if state is None:
            return tuple(padded.new_zeros(count, batch, size) for size in sizes)
        return tuple(state) if self.mode == "LSTM" else (state,)

    def _run(self, x: Tensor, first: State, lengths: Tensor | None) -> tuple[Tensor, State]:
        """Run all layers over (time, batch, input)."""
        directions = 2 if self.bidirectional else 1
        finals: list[State] = []
        for layer in range(self.num_layers):
            outs = []
            for direction in range(directions):
                k = layer * directions + direction
                suffix = f"_l{layer}{'_reverse' if direction else ''}"
                inputs = _reversed(x, lengths) if direction else x
                out, final = self._one(inputs, suffix, tuple(s[k] for s in first), lengths)
                outs.append(_reversed(out, lengths) if direction else out)
                finals.append(final)
            x = torch.cat(outs, -1)
            if self.dropout and layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, training=self.training)
        return x, tuple(torch.stack(states) for states in zip(*finals, strict=True))

    def _one(
        self, x: Tensor, suffix: str, state: State, lengths: Tensor | None
    ) -> tuple[Tensor, State]:
        """Run one layer in one direction."""
        names = [f"weight_{kind}{suffix}" for kind in ("ih", "hh", "hr")]
        names = [name for name in names if name in self.projections]
        chips = {name: self.chip_of(name) for name in names}
        b_in = getattr(self, f"bias_ih{suffix}", None)
        from_inputs = self.project(names[0], chips[names[0]], x, b_in)
        outs = []
        for t in range(len(x)):
            new = self._step(from_inputs[t], state, suffix, chips)
            if lengths is not None:
                runs = (t < lengths).to(x.device)[:, None]
                new = tuple(torch.where(runs, a, b) for a, b in zip(new, state, strict=True))
            state = new
            outs.append(state[0])
        return torch.stack(outs), state

    def _step(
        self,
        from_inputs: Tensor,
        state: State,
        suffix: str,
        chips: dict[str, ProgrammedMatrix | None],
    ) -> State:
        """Compute the next state of one layer from the gates' parts due to the inputs."""
        name = f"weight_hh{suffix}"
        bias = getattr(self, f"bias_hh{suffix}", None)
        from_state = self.project(name, chips[name], state[0], bias)
        if self.mode == "LSTM":
            i, f, g, o = (from_inputs + from_state).chunk(4, -1)
            cell = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
            hidden = o.sigmoid() * cell.tanh()
            projected = f"weight_hr{suffix}"
            if projected in chips:
                hidden = self.project(projected, chips[projected], hidden, None)
            return hidden, cell
        if self.mode == "GRU":
            r, z, n = from_inputs.chunk(3, -1)
            r_h, z_h, n_h = from_state.chunk(3, -1)
            reset, update = (r + r_h).sigmoid(), (z + z_h).sigmoid()
            new = (n + reset * n_h).tanh()
            return ((1 - update) * new + update * state[0],)
        total = from_inputs + from_state
        return (total.relu() if self.mode == "RNN_RELU" else total.tanh(),)


def _copy_attributes(new: nn.Module, layer: nn.Module) -> None:
    """Share the parameters and settings of a layer."""
    for key, value in layer.__dict__.items():
        if key in ("_parameters", "_buffers", "_modules"):
            new.__dict__[key] = dict(value)
        elif key not in new.__dict__:
            new.__dict__[key] = value


def _reversed(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Reverse (time, batch, ...) in time; padding stays at the end."""
    if lengths is None:
        return x.flip(0)
    time = torch.arange(len(x))[:, None]
    index = torch.where(time < lengths, lengths - 1 - time, time).to(x.device)
    return x.gather(0, index[..., None].expand(x.shape))


def _each(state: Any, by: Any) -> Any:
    return tuple(by(s) for s in state) if isinstance(state, tuple) else by(state)
