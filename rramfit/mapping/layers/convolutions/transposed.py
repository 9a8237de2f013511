"""Transposed convolutions on tiles.

Every input position is one vector of channels; the matrix holds, for every input channel, the
kernels of all output channels. The products of neighbouring positions overlap and are added
digitally: a transposed convolution with one-hot kernels.

    output (channel o, kernel position k) = Σ_c W[c, o, k]·x_c
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from rramfit.errors import MappingError
from rramfit.mapping.layers.convolutions.grouped_layer import GroupedLayer
from rramfit.mapping.tiles.programmed import ProgrammedMatrix

__all__ = ["AnalogConvTranspose1d", "AnalogConvTranspose2d", "AnalogConvTranspose3d"]


class _AnalogTransposed(GroupedLayer):
    """A transposed convolution whose kernels are stored in cells of one card."""

    kind = "transposed"
    geometry = (
        "kernel_size",
        "stride",
        "padding",
        "output_padding",
        "dilation",
        "groups",
        "padding_mode",
        "_reversed_padding_repeated_twice",
    )

    convolve: Callable[..., Tensor]
    padding: Any
    output_padding: tuple[int, ...]

    @classmethod
    def group_shape(cls, layer: Any) -> tuple[int, int]:
        """Return outputs and inputs of one group of a digital layer."""
        positions = math.prod(layer.kernel_size)
        return layer.out_channels // layer.groups * positions, layer.in_channels // layer.groups

    @property
    def one_to_one(self) -> bool:
        """Whether the outputs of the matrix are those of the layer: only for kernels of one."""
        return False

    def by_group(self, weight: Tensor) -> Tensor:
        """Return kernels as matrices (group, output channel · kernel position, input channel)."""
        return weight.reshape(self.groups, self.in_channels // self.groups, -1).transpose(1, 2)

    def from_groups(self, matrices: Tensor) -> Tensor:
        """Return kernels of matrices (group, output, input)."""
        return matrices.transpose(1, 2).reshape(self.weight.shape)

    def group_vectors(self, x: Tensor) -> Tensor:
        """Return the vectors (vector, channel) of an input of `forward`."""
        return self.batched(x).movedim(1, -1).reshape(-1, self.in_channels)

    def vectors(self, x: Tensor) -> Tensor:
        """Return the input vectors (vector, input) of an input of `forward`."""
        return self.packed_vectors(self.group_vectors(x))

    def apply_groups(self, x: Tensor, by: Callable[[Tensor], Tensor]) -> Tensor:
        """Compute the product with a function from (vector, all inputs) to (vector, outputs)."""
        batch = self.batched(x)
        parts = self.out_channels * math.prod(self.kernel_size)
        products = by(self.group_vectors(x)).reshape(len(batch), *batch.shape[2:], parts)
        out = self._overlapped(products.movedim(-1, 1))
        return out if batch is x else out[0]

    def digital_product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Compute the layer with other kernels."""
        return self._convolve(x, weight, bias, self.groups)

    def on_tiles(self, x: Tensor, chip: ProgrammedMatrix) -> Tensor:
        """Convolve an input of `forward` with a programmed chip, without the bias."""
        matrix = self.analog.matrix
        if chip.folded is not None:
            return self.product(matrix.quantise_inputs(x), chip.folded, None)
        return self.apply_product(x, lambda vectors: matrix.multiply(chip, vectors))

    def of_outputs(self, values: Tensor, x: Tensor, *, power: int = 1) -> Tensor:
        """Return what a number of every output of the matrix adds to the outputs of the layer.

        A position of the output is the sum over the kernel positions that reach it.
        """
        if self.groups > 1:
            values = self.packing.of_outputs(values) * self.norm.to(values) ** power
        places = self.batched(x).shape[2:]
        wide = values.reshape(1, -1, *[1] * self.output_axes).expand(1, -1, *places)
        return self._overlapped(wide)[0]

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Convolve on tiles.

        Raises
        ------
        MappingError
            If an output size is given: it would choose the output padding anew.
        """
        if output_size is not None:
            msg = "output_size is not supported on tiles; set output_padding of the layer instead"
            raise MappingError(msg)
        return super().forward(x)

    def _overlapped(self, products: Tensor) -> Tensor:
        """Add the products (sample, output · kernel position, *places) where they overlap."""
        parts = math.prod(self.kernel_size)
        one_hot = torch.eye(parts, dtype=products.dtype, device=products.device)
        one_hot = one_hot.repeat(self.out_channels, 1).reshape(-1, 1, *self.kernel_size)
        return self._convolve(products, one_hot, None, self.out_channels)

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> Tensor:
        geometry = (self.stride, self.padding, self.output_padding, groups, self.dilation)
        return type(self).convolve(x, weight, bias, *geometry)


class AnalogConvTranspose1d(_AnalogTransposed, nn.ConvTranspose1d):
    """A one-dimensional transposed convolution on tiles."""

    digital = nn.ConvTranspose1d
    convolve = staticmethod(F.conv_transpose1d)


class AnalogConvTranspose2d(_AnalogTransposed, nn.ConvTranspose2d):
    """A two-dimensional transposed convolution on tiles."""

    digital = nn.ConvTranspose2d
    convolve = staticmethod(F.conv_transpose2d)


class AnalogConvTranspose3d(_AnalogTransposed, nn.ConvTranspose3d):
    """A three-dimensional transposed convolution on tiles."""

    digital = nn.ConvTranspose3d
    convolve = staticmethod(F.conv_transpose3d)
