"""Packing of a grouped convolution: groups share rows and columns and are read one after another.

A group of a convolution is a small, separate matrix (output, input). Groups on the diagonal of one
large matrix would leave most of a tile empty, and every column would carry the current of the empty
cells of all other groups. Here group g = h·V + v occupies the rows of slot v and the columns of
slot h, with V slots of rows in a tile:

    matrix[(h, output), (v, input)] = weight[h·V + v, output, input]/norm

and a read drives the rows of one group and reads its columns, so that an input vector takes as many
reads as there are groups. A column holds outputs of V groups but has one scale. Each output is
therefore divided by its own norm before (root mean square of its weights) and multiplied by it
after, digitally.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["GroupPacking", "output_norms"]

NUMBERS_PER_CHUNK = 2**24
"""Numbers of packed vectors that are computed at once: 64 MiB."""


@dataclass(frozen=True, slots=True)
class GroupPacking:
    """Places of groups on tiles.

    Attributes
    ----------
    groups : int
    outputs, inputs : int
        Per group.
    slots : int
        V, slots of rows.
    """

    groups: int
    outputs: int
    inputs: int
    slots: int

    @classmethod
    def for_tile(cls, groups: int, outputs: int, inputs: int, rows: int) -> GroupPacking:
        """Return the packing with as many groups as fit into the rows of a tile."""
        return cls(groups, outputs, inputs, max(1, min(groups, rows // inputs)))

    @property
    def columns(self) -> int:
        """Number of slots of columns, H."""
        return -(-self.groups // self.slots)

    @property
    def shape(self) -> tuple[int, int]:
        """Outputs and inputs of the packed matrix."""
        return self.columns * self.outputs, self.slots * self.inputs

    def pack(self, weight: Tensor) -> Tensor:
        """Pack weights (group, output, input) into one matrix.

        Examples
        --------
        >>> packing = GroupPacking(groups=3, outputs=1, inputs=2, slots=2)
        >>> packing.pack(torch.arange(1.0, 7.0).reshape(3, 1, 2)).tolist()
        [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 0.0, 0.0]]
        """
        missing = self.columns * self.slots - self.groups
        padded = torch.cat((weight, weight.new_zeros(missing, *weight.shape[1:])))
        grid = padded.reshape(self.columns, self.slots, self.outputs, self.inputs)
        return grid.transpose(1, 2).reshape(self.shape)

    def unpack(self, matrix: Tensor) -> Tensor:
        """Return the weights (group, output, input) of a packed matrix."""
        grid = matrix.reshape(self.columns, self.outputs, self.slots, self.inputs)
        return grid.transpose(1, 2).reshape(-1, self.outputs, self.inputs)[: self.groups]

    def pack_vectors(self, x: Tensor) -> Tensor:
        """Return one packed vector per group, (vector · group, input), of (vector, all inputs)."""
        parts = x.reshape(-1, self.groups, self.inputs)
        packed = x.new_zeros(len(parts), self.groups, self.slots, self.inputs)
        group = torch.arange(self.groups, device=x.device)
        packed[:, group, group % self.slots] = parts
        return packed.reshape(-1, self.shape[1])

    def pick(self, products: Tensor) -> Tensor:
        """Return the outputs (vector, all outputs) of products (vector · group, output)."""
        grid = products.reshape(-1, self.groups, self.columns, self.outputs)
        group = torch.arange(self.groups, device=products.device)
        return grid[:, group, group // self.slots].flatten(1)

    def of_outputs(self, values: Tensor) -> Tensor:
        """Return the value of each output's column, of (packed output,)."""
        grid = values.reshape(self.columns, self.outputs)
        group = torch.arange(self.groups, device=values.device)
        return grid[group // self.slots].flatten()

    def apply(self, x: Tensor, by: Callable[[Tensor], Tensor]) -> Tensor:
        """Compute the products of vectors (vector, all inputs) by a packed matrix, in parts."""
        most = max(1, NUMBERS_PER_CHUNK // (self.groups * self.shape[1]))
        return torch.cat([self.pick(by(self.pack_vectors(some))) for some in torch.split(x, most)])


def output_norms(weight: Tensor) -> Tensor:
    """Return the root mean square of each output's weights, (output,); 1 if all are zero."""
    size = weight.detach().flatten(1).square().mean(1).sqrt()
    return torch.where(size > 0, size, torch.ones_like(size))
