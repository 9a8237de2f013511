"""Convolutions of one, two and three dimensions on tiles.

Input vectors are (channel, kernel position). If the product is linear, the folded weight is used in
an ordinary convolution. Groups are packed (`rramfit.mapping.layers.convolutions.grouped`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from rramfit.mapping.layers.convolutions.grouped_layer import GroupedLayer
from rramfit.mapping.tiles.programmed import ProgrammedMatrix

__all__ = ["AnalogConv1d", "AnalogConv2d", "AnalogConv3d"]

CALIBRATION_SAMPLES = 64
"""Samples, taken evenly from a batch, that calibrate a convolution."""


class _AnalogConvolution(GroupedLayer):
    """A convolution whose kernels are stored in cells of one card.

    A sample without batch axis is a batch of one, as in PyTorch.
    """

    kind = "conv"
    geometry = (
        "kernel_size",
        "stride",
        "padding",
        "dilation",
        "groups",
        "padding_mode",
        "_reversed_padding_repeated_twice",
    )

    padding_mode: Any

    @classmethod
    def group_shape(cls, layer: Any) -> tuple[int, int]:
        """Return outputs and inputs of one group of a digital layer."""
        positions = math.prod(layer.kernel_size)
        return layer.out_channels // layer.groups, layer.in_channels // layer.groups * positions

    def by_group(self, weight: Tensor) -> Tensor:
        """Return kernels as matrices (group, output, input)."""
        return weight.reshape(self.groups, self.out_channels // self.groups, -1)

    def from_groups(self, matrices: Tensor) -> Tensor:
        """Return kernels of matrices (group, output, input)."""
        return matrices.reshape(self.weight.shape)

    def group_vectors(self, x: Tensor, *, every: int = 1) -> Tensor:
        """Return the vectors (vector, all inputs) of every n-th sample of an input of `forward`."""
        return self._unfold(self._padded(self.batched(x)[::every])).T

    def vectors(self, x: Tensor) -> Tensor:
        """Return input vectors (vector, input) of some samples of an input of `forward`."""
        some = -(-len(self.batched(x)) // CALIBRATION_SAMPLES) or 1
        return self.packed_vectors(self.group_vectors(x, every=some))

    def apply_groups(self, x: Tensor, by: Callable[[Tensor], Tensor]) -> Tensor:
        """Compute the product with a function from (vector, all inputs) to (vector, outputs)."""
        batch = self.batched(x)
        places = (len(batch), *self._size(self._padded(batch)))
        out = by(self.group_vectors(x)).reshape(*places, self.out_channels).movedim(-1, 1)
        return out if batch is x else out[0]

    def digital_product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Convolve with other kernels."""
        out: Tensor = self._conv_forward(x, weight, bias)  # type: ignore[operator]
        return out

    def on_tiles(self, x: Tensor, chip: ProgrammedMatrix) -> Tensor:
        """Convolve an input of `forward` with a programmed chip, without the bias."""
        matrix = self.analog.matrix
        if chip.folded is not None:
            return self.product(matrix.quantise_inputs(x), chip.folded, None)
        if self.groups > 1:
            return self.apply_product(x, lambda vectors: matrix.multiply(chip, vectors))
        batch = self.batched(x)
        padded = self._padded(batch)
        size = self._size(padded)
        out = matrix.multiply_places(chip, padded, self._unfold, math.prod(size))
        out = out.reshape(len(batch), self.out_channels, *size)
        return out if batch is x else out[0]

    def _padded(self, x: Tensor) -> Tensor:
        mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
        padding: list[int] = self._reversed_padding_repeated_twice  # type: ignore[assignment]
        return F.pad(x, padding, mode=mode)

    def _unfold(self, padded: Tensor) -> Tensor:
        """Return the vectors (channel · kernel position, sample · place) of padded samples."""
        windows = padded.transpose(0, 1)  # (channel, sample, *places, *kernel position)
        n = self.output_axes
        sides = zip(range(2, 2 + n), self.kernel_size, self.dilation, self.stride, strict=True)
        for axis, k, dilation, stride in sides:
            windows = windows.unfold(axis, (k - 1) * dilation + 1, stride)[..., ::dilation]
        order = (0, *range(2 + n, 2 + 2 * n), 1, *range(2, 2 + n))
        return windows.permute(order).flatten(n + 1).flatten(0, n)

    def _size(self, padded: Tensor) -> tuple[int, ...]:
        """Return the lengths of the output's spatial axes."""
        shape = padded.shape[2:]
        sides = zip(shape, self.dilation, self.kernel_size, self.stride, strict=True)
        return tuple((length - d * (k - 1) - 1) // s + 1 for length, d, k, s in sides)


class AnalogConv1d(_AnalogConvolution, nn.Conv1d):
    """A one-dimensional convolution on tiles."""

    digital = nn.Conv1d


class AnalogConv2d(_AnalogConvolution, nn.Conv2d):
    """A two-dimensional convolution on tiles."""

    digital = nn.Conv2d


class AnalogConv3d(_AnalogConvolution, nn.Conv3d):
    """A three-dimensional convolution on tiles."""

    digital = nn.Conv3d
