"""Layers that are one matrix: the digital layer with a different forward.

A layer has the `state_dict` of the digital layer; it stores the target weights. Its attribute
`analog` maps them to tiles. Inputs of any floating type are converted to that of the card's model
(float32) and the outputs back. Biases are added digitally.

If a layer's attribute `trained` holds a module, that module computes the forward;
`rramfit.training` sets it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch._compile import _disable_dynamo
from torch.compiler import is_dynamo_compiling

from rramfit.mapping.layers.analog_weight import AnalogWeight
from rramfit.mapping.tiles.precision import round_significand
from rramfit.mapping.tiles.programmed import ProgrammedMatrix

__all__ = ["MatrixLayer", "eager", "keep_hooks", "vectors_per_sample"]

_HOOKS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_is_full_backward_hook",
    "_non_full_backward_hooks",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


class MatrixLayer(nn.Module):
    """A layer whose weight is one matrix on tiles.

    Attributes
    ----------
    analog : AnalogWeight
    trained : nn.Module or None
    """

    analog: AnalogWeight
    trained: nn.Module | None
    weight: Tensor
    bias: Any  # a tensor or None; torch declares it as a parameter

    @abstractmethod
    def to_digital(self) -> nn.Module:
        """Return the digital layer with the same parameters."""

    @abstractmethod
    def matrix_weight(self) -> Tensor:
        """Return the weight as one matrix (output, input)."""

    @abstractmethod
    def vectors(self, x: Tensor) -> Tensor:
        """Return input vectors (vector, input) of an input of `forward`, or of some samples."""

    @abstractmethod
    def apply_product(self, x: Tensor, by: Callable[[Tensor], Tensor]) -> Tensor:
        """Compute the product with a function from (vector, input) to (vector, output).

        The bias is not added.
        """

    @abstractmethod
    def product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Multiply by another weight (output, input) as this layer does."""

    @abstractmethod
    def on_tiles(self, x: Tensor, chip: ProgrammedMatrix) -> Tensor:
        """Multiply an input of `forward` by a programmed chip, without the bias."""

    @abstractmethod
    def digital_weight(self, matrix: Tensor) -> Tensor:
        """Return the layer's weight whose matrix (output, input) is given."""

    @property
    def output_axes(self) -> int:
        """Number of axes after that of the outputs: 0 for vectors, 2 for images."""
        return 0

    @property
    def one_to_one(self) -> bool:
        """Whether the outputs of the matrix are those of the layer."""
        return True

    def of_outputs(self, values: Tensor, x: Tensor, *, power: int = 1) -> Tensor:
        """Return what a number of every output of the matrix adds to the outputs of the layer.

        Parameters
        ----------
        values : (output of the matrix,) tensor
        x : tensor
            Input of `forward`.
        power : int
            2 for variances.

        Returns
        -------
        tensor that broadcasts to the output of `forward`
        """
        del x, power
        return values.reshape(-1, *[1] * self.output_axes)

    def kept_mapping(self) -> dict[str, Tensor]:
        """Return what `from_digital` needs besides scale and placement to map the layer again."""
        return {}

    def add_bias(self, out: Tensor) -> Tensor:
        """Add the bias to a product."""
        if self.bias is None:
            return out
        bits = self.analog.matrix.setup.peripherals.digital_bits
        bias = round_significand(self.bias, bits)
        biased: Tensor = out + bias.reshape(-1, *[1] * self.output_axes).to(out.dtype)
        return biased

    def prepare(self) -> None:
        """Repeat the fit of scales, the placement and the nominal solution for changed weights."""
        self.analog.prepare(self.model_weight())

    def program(self, *, seed: int, index: int = 0) -> ProgrammedMatrix:
        """Draw one chip and store it."""
        return self.analog.program(self.model_weight(), seed=seed, index=index)

    def model_weight(self) -> Tensor:
        """Return the weight as one matrix in the floating type of the card's model."""
        return self.matrix_weight().to(self.analog.matrix.setup.model.dtype)

    def calibrate(self, x: Tensor) -> None:
        """Extend the converters' ranges to an input of `forward`."""
        self.analog.matrix.calibrate(self.vectors(x.to(self.analog.matrix.setup.model.dtype)))

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self.analog.stale = True

    def forward(self, x: Tensor) -> Tensor:
        """Multiply on tiles."""
        out: Tensor = eager(self.run, x)
        return out

    def run(self, x: Tensor) -> Tensor:
        """Compute the forward."""
        if self.trained is not None:
            out: Tensor = self.trained(self, x)
            return out
        chip = self.analog.current(self.model_weight(), training=self.training)
        wide = x.to(self.analog.matrix.setup.model.dtype)
        return self.add_bias(self.on_tiles(wide, chip)).to(x.dtype)


@_disable_dynamo
def _uncompiled(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


def eager(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function that draws random numbers and keeps chips: `torch.compile` leaves it as is.

    The compiler is imported only if it is in use, because this takes seconds.
    """
    return _uncompiled(function, *args) if is_dynamo_compiling() else function(*args)


def keep_hooks(new: nn.Module, old: nn.Module) -> None:
    """Let a layer have the hooks of the layer that it replaces."""
    for name in _HOOKS:
        if name in old.__dict__:
            new.__dict__[name] = old.__dict__[name]


def vectors_per_sample(out: Tensor | tuple[Tensor, ...], layer: nn.Module) -> int:
    """Return the number of vectors of a layer's output for one sample."""
    first = out if isinstance(out, Tensor) else out[0]
    axis = 1 if isinstance(layer, nn.modules.conv._ConvNd) else -1  # noqa: SLF001
    return first.numel() // max(first.shape[axis], 1)
