"""Analog layers: the digital layer with a different forward.

A layer has the `state_dict` of the digital layer; it stores the target weights. Its attribute
`analog` maps them to tiles. In evaluation the forward uses the chip that was programmed last, or
chip 0 if none was. In training it draws a new chip at every step, with a straight-through gradient.
Biases are added digitally.

A convolution's input vectors are (channel, kernel row, kernel column). If the product is linear,
the folded weight is used in an ordinary convolution. Groups are blocks on the diagonal of the
matrix.

If a layer's attribute `trained` holds a module, that module computes the forward;
`rramfit.training` sets it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Self

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from rramfit.errors import MappingError
from rramfit.mapping.layout.plan import MatrixPlan, Permutation, plan_matrix
from rramfit.mapping.tiles.calibration import Calibration
from rramfit.mapping.tiles.chip_source import TileCells
from rramfit.mapping.tiles.matrix import AnalogMatrix
from rramfit.mapping.tiles.programmed import ProgrammedMatrix
from rramfit.mapping.tiles.setup import AnalogSetup

__all__ = ["AnalogConv2d", "AnalogLinear", "AnalogWeight", "LayerMapping"]

LayerMapping = Mapping[str, Tensor]
"""Existing mapping of a matrix: its ``scale``, and ``rows`` and ``cols`` of its permutation."""

CALIBRATION_SAMPLES = 64
"""Samples, taken evenly from a batch, that calibrate a convolution."""


def _check_mapping(plan: MatrixPlan, mapping: LayerMapping) -> None:
    """Raise an error if the mapping belongs to other tiles."""
    rows, cols = plan.tile
    wanted = {"scale": (plan.outputs,), "rows": (plan.tiles, rows), "cols": (plan.tiles, cols)}
    for name, shape in wanted.items():
        if name in mapping and tuple(mapping[name].shape) != shape:
            msg = (
                f"layer {plan.name} was mapped with {name} {tuple(mapping[name].shape)}; expected "
                f"{shape}. Use the tile, scheme and slices that it was trained with"
            )
            raise MappingError(msg)


class AnalogWeight:
    """One weight on tiles, and the chip that currently holds it.

    Attributes
    ----------
    matrix : AnalogMatrix
    seed : int
        Seed of the chips drawn in training, and of chip 0.
    step : int
        Number of chips drawn in training.
    """

    def __init__(
        self,
        plan: MatrixPlan,
        setup: AnalogSetup,
        weight: Tensor,
        *,
        seed: int,
        mapping: LayerMapping | None = None,
    ) -> None:
        self.matrix = AnalogMatrix(plan, setup)
        if mapping is None:
            self.matrix.prepare(weight)
        else:
            _check_mapping(plan, mapping)
            rows, cols = mapping.get("rows"), mapping.get("cols")
            self.matrix.prepare(
                weight,
                scale=mapping["scale"].to(weight),
                permutation=None
                if rows is None or cols is None
                else Permutation(rows=rows, cols=cols),
            )
        self.seed = seed
        self.step = 0
        self._version: int | None = None

    def program(self, weight: Tensor, stored: Tensor, *, seed: int, index: int) -> ProgrammedMatrix:
        """Draw a chip and keep it; `weight` is derived from the parameter `stored`."""
        self._version = stored._version  # noqa: SLF001  # torch has no public name for it
        return self.matrix.program(weight, seed=seed, index=index)

    def current(self, weight: Tensor, stored: Tensor, *, training: bool) -> ProgrammedMatrix:
        """Return the chip for one forward: a new one in training, otherwise the stored one.

        The stored chip is programmed again if the weights have changed.
        """
        m = self.matrix
        if training:
            self.step += 1
            m.chip = (self.seed, -self.step)
            return m.draw(weight, seed=self.seed, index=-self.step).fold()
        version = stored._version  # noqa: SLF001
        if self._version is None:
            self._version = version
        if m.programmed is None or self._version != version:
            seed, index = m.chip if m.chip[1] >= 0 else (self.seed, 0)
            return self.program(weight, stored, seed=seed, index=index)
        return m.programmed

    def restore(
        self,
        cells: TileCells,
        *,
        scale: Tensor,
        calibration: Calibration,
        chip: tuple[int, int],
    ) -> None:
        """Map the weight onto saved cells."""
        self._version = None
        self.matrix.restore(cells, scale=scale, calibration=calibration, chip=chip)

    def __deepcopy__(self, memo: dict[int, object]) -> AnalogWeight:
        """Copy what can change; share immutable records."""
        new = copy.copy(self)
        new.matrix = copy.copy(self.matrix)
        return new


class AnalogLinear(nn.Linear):
    """A linear layer whose weights are stored in cells of one card."""

    analog: AnalogWeight
    trained: nn.Module | None

    @classmethod
    def from_digital(
        cls,
        layer: nn.Linear,
        setup: AnalogSetup,
        *,
        name: str = "linear",
        vectors: int = 1,
        seed: int = 0,
        mapping: LayerMapping | None = None,
    ) -> Self:
        """Convert a digital layer and share its parameters; `vectors`: input vectors per sample."""
        bias: Tensor | None = layer.bias
        new = cls(layer.in_features, layer.out_features, bias=bias is not None, device="meta")
        new.weight, new.bias = layer.weight, layer.bias
        plan = plan_matrix(
            name,
            layer.out_features,
            layer.in_features,
            tile=setup.tile,
            scheme=setup.book.scheme,
            slices=setup.book.slices,
            vectors=vectors,
        )
        new.analog = AnalogWeight(plan, setup, layer.weight, seed=seed, mapping=mapping)
        new.register_module("trained", None)
        return new.train(layer.training)

    def to_digital(self) -> nn.Linear:
        """Return the digital layer with the same parameters."""
        bias: Tensor | None = self.bias
        new = nn.Linear(self.in_features, self.out_features, bias=bias is not None, device="meta")
        new.weight, new.bias = self.weight, self.bias
        return new.train(self.training)

    def prepare(self) -> None:
        """Repeat the fit of scales, the placement and the nominal solution for changed weights."""
        self.analog.matrix.prepare(self.weight)

    def program(self, *, seed: int, index: int = 0) -> ProgrammedMatrix:
        """Draw one chip and store it."""
        return self.analog.program(self.weight, self.weight, seed=seed, index=index)

    def matrix_weight(self) -> Tensor:
        """Return the weight as one matrix (output, input)."""
        return self.weight

    def vectors(self, x: Tensor) -> Tensor:
        """Return the input vectors (vector, input) of an input of `forward`."""
        return x.reshape(-1, self.in_features)

    def apply_product(self, x: Tensor, by: Callable[[Tensor], Tensor]) -> Tensor:
        """Compute the product with a function from (vector, input) to (vector, output)."""
        return by(self.vectors(x)).reshape(*x.shape[:-1], -1)

    def product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Multiply by another weight (output, input) as this layer does."""
        return F.linear(x, weight, bias)

    def calibrate(self, x: Tensor) -> None:
        """Set the converters' ranges from an input of `forward`."""
        self.analog.matrix.calibrate(self.vectors(x))

    def forward(self, x: Tensor) -> Tensor:  # (..., in) -> (..., out)
        """Multiply on tiles."""
        if self.trained is not None:
            out: Tensor = self.trained(self, x)
            return out
        if self.analog.matrix.calibration is None:
            self.calibrate(x)
        chip = self.analog.current(self.weight, self.weight, training=self.training)
        vectors = x.reshape(-1, self.in_features)
        product = self.analog.matrix.multiply(chip, vectors).reshape(*x.shape[:-1], -1)
        return _add_bias(product, self.bias)


class AnalogConv2d(nn.Conv2d):
    """A convolution whose kernels are stored in cells of one card."""

    analog: AnalogWeight
    trained: nn.Module | None

    @classmethod
    def from_digital(
        cls,
        layer: nn.Conv2d,
        setup: AnalogSetup,
        *,
        name: str = "conv2d",
        vectors: int = 1,
        seed: int = 0,
        mapping: LayerMapping | None = None,
    ) -> Self:
        """Convert a digital layer and share its parameters; `vectors`: output pixels per sample."""
        new = cls(layer.in_channels, layer.out_channels, 1, device="meta")
        _copy_geometry(new, layer)
        new.weight, new.bias = layer.weight, layer.bias
        plan = plan_matrix(
            name,
            layer.out_channels,
            layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1],
            tile=setup.tile,
            scheme=setup.book.scheme,
            slices=setup.book.slices,
            vectors=vectors,
            groups=layer.groups,
            kind="conv2d",
        )
        new.analog = AnalogWeight(plan, setup, new.matrix_weight(), seed=seed, mapping=mapping)
        new.register_module("trained", None)
        return new.train(layer.training)

    def to_digital(self) -> nn.Conv2d:
        """Return the digital layer with the same parameters."""
        new = nn.Conv2d(self.in_channels, self.out_channels, 1, device="meta")
        _copy_geometry(new, self)
        new.weight, new.bias = self.weight, self.bias
        return new.train(self.training)

    def matrix_weight(self) -> Tensor:
        """Return the kernels as one matrix (output, input); groups are blocks on the diagonal."""
        flat = self.weight.flatten(1)
        if self.groups == 1:
            return flat
        matrix: Tensor = torch.block_diag(*flat.reshape(self.groups, -1, flat.shape[1]))  # type: ignore[no-untyped-call]
        return matrix

    def prepare(self) -> None:
        """Repeat the fit of scales, the placement and the nominal solution for changed weights."""
        self.analog.matrix.prepare(self.matrix_weight())

    def program(self, *, seed: int, index: int = 0) -> ProgrammedMatrix:
        """Draw one chip and store it."""
        return self.analog.program(self.matrix_weight(), self.weight, seed=seed, index=index)

    def vectors(self, x: Tensor) -> Tensor:
        """Return input vectors (vector, input) of some samples of an input of `forward`."""
        step = -(-len(x) // CALIBRATION_SAMPLES) or 1
        return self._unfold(self._padded(x[::step])).T

    def apply_product(self, x: Tensor, by: Callable[[Tensor], Tensor]) -> Tensor:
        """Compute the product with a function from (vector, input) to (vector, output)."""
        padded = self._padded(x)
        out = by(self._unfold(padded).T).reshape(len(x), *self._size(padded), -1)
        return out.movedim(-1, 1)

    def product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Convolve with another weight (output, input) as this layer does."""
        out: Tensor = self._conv_forward(x, self._kernels(weight), bias)
        return out

    def calibrate(self, x: Tensor) -> None:
        """Set the converters' ranges from an input of `forward`."""
        self.analog.matrix.calibrate(self.vectors(x))

    def _padded(self, x: Tensor) -> Tensor:
        mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
        return F.pad(x, self._reversed_padding_repeated_twice, mode=mode)

    def _unfold(self, padded: Tensor) -> Tensor:
        """Return the vectors (channel · kernel, sample · pixel) of padded images."""
        windows = padded.transpose(0, 1)  # (channel, sample, height, width, kernel row, column)
        sides = zip((2, 3), self.kernel_size, self.dilation, self.stride, strict=True)
        for axis, k, dilation, stride in sides:
            windows = windows.unfold(axis, (k - 1) * dilation + 1, stride)[..., ::dilation]
        return windows.permute(0, 4, 5, 1, 2, 3).flatten(3).flatten(0, 2)

    def _size(self, padded: Tensor) -> tuple[int, int]:
        """Return the height and width of the output."""
        sides = zip(padded.shape[-2:], self.dilation, self.kernel_size, self.stride, strict=True)
        height, width = ((length - d * (k - 1) - 1) // s + 1 for length, d, k, s in sides)
        return height, width

    def forward(self, x: Tensor) -> Tensor:  # (batch, in, h, w) -> (batch, out, h', w')
        """Convolve on tiles."""
        if self.trained is not None:
            out: Tensor = self.trained(self, x)
            return out
        if self.analog.matrix.calibration is None:
            self.calibrate(x)
        matrix = self.analog.matrix
        chip = self.analog.current(self.matrix_weight(), self.weight, training=self.training)
        if chip.folded is not None:
            padded = self._padded(matrix.quantise_inputs(x))
            kernels = self._kernels(chip.folded)
            return F.conv2d(padded, kernels, self.bias, self.stride, 0, self.dilation, self.groups)
        padded = self._padded(x)
        size = self._size(padded)
        out = matrix.multiply_places(chip, padded, self._unfold, size[0] * size[1])
        out = out.reshape(len(x), -1, *size)
        return out if self.bias is None else out + self.bias[:, None, None]

    def _kernels(self, folded: Tensor) -> Tensor:
        """Return the kernels of a folded matrix: the blocks on its diagonal."""
        if self.groups > 1:
            blocks = folded.reshape(self.groups, -1, self.groups, folded.shape[1] // self.groups)
            folded = blocks.diagonal(dim1=0, dim2=2).permute(2, 0, 1).flatten(0, 1)
        return folded.reshape(self.weight.shape)


def _add_bias(out: Tensor, bias: Tensor | None) -> Tensor:
    return out if bias is None else out + bias


def _copy_geometry(new: nn.Conv2d, layer: nn.Conv2d) -> None:
    """Copy kernel size, stride, padding, dilation and groups from one convolution to another."""
    for name in (
        "kernel_size",
        "stride",
        "padding",
        "dilation",
        "groups",
        "padding_mode",
        "_reversed_padding_repeated_twice",
    ):
        setattr(new, name, getattr(layer, name))
