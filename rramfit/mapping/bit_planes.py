"""Products of matrices with vectors of zeros and ones, in whole numbers.

A processor multiplies bytes several times as fast as floating-point numbers. The vectors of a bit
plane are whole as they are; a matrix becomes so in steps of its own for each column,

    M ≈ step·(64·high + low)      of the first matrix, in 127·64 steps
    M ≈ step·low                  of the others, small beside it, in 127 steps

and sums of bytes are exact. What rounding adds to a column's current is small beside a converter's
step: a test holds the largest of 38,400 errors under a twentieth of a step of 8 bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["BitPlaneMatrices", "bit_plane_matrices"]

MOST = 127
"""Largest byte."""

BASE = 64
"""What a high byte counts: twice its inverse's range fits into the low one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BitPlaneMatrices:
    """Several matrices of one shape, whose weighted sum is multiplied."""

    bytes_of_first: Tensor  # int8 (column, 2·row): high, then low
    bytes_of_others: Tensor  # int8 (term − 1, column, row)
    steps: Tensor  # (term, column)

    def currents(self, on: Tensor, weights: Tensor) -> Tensor:
        """Multiply, (column, vector).

        Parameters
        ----------
        on : (row, vector) bool tensor
        weights : (term, vector) tensor
            Of each matrix, for each vector.
        """
        ones = on.view(torch.int8)
        both = torch.cat((ones * BASE, ones))
        out = (_product(self.bytes_of_first, both) * self.steps[0, :, None]).mul_(weights[0])
        for m, step, weight in zip(self.bytes_of_others, self.steps[1:], weights[1:], strict=True):
            out.addcmul_(_product(m, ones) * step[:, None], weight)
        return out


def bit_plane_matrices(terms: Tensor, inputs: int) -> tuple[BitPlaneMatrices, ...]:
    """Round the matrices of each row block; none where that is not wanted.

    Gradients, float64 and devices other than the CPU have none.

    Parameters
    ----------
    terms : (term, row block, row, column) tensor
        The first is the largest.
    inputs : int
        Rows in use, of all blocks.
    """
    if terms.requires_grad or terms.dtype != torch.float32 or terms.device.type != "cpu":
        return ()
    rows = terms.shape[2]
    out = []
    for block in range(terms.shape[1]):
        used = terms[:, block, : inputs - block * rows].mT  # (term, column, row)
        most = used.abs().amax(-1)
        most = torch.where(most > 0, most, torch.ones_like(most))
        steps = most / MOST
        steps[0] /= BASE
        whole = (used / steps[..., None]).round()
        high = (whole[0] / BASE).round()
        first = torch.cat((high, whole[0] - BASE * high), -1)
        out.append(
            BitPlaneMatrices(
                bytes_of_first=first.to(torch.int8).contiguous(),
                bytes_of_others=whole[1:].to(torch.int8).contiguous(),
                steps=steps,
            )
        )
    return tuple(out)


def _product(m: Tensor, v: Tensor) -> Tensor:
    """Matrix product of bytes, int32."""
    return torch._int_mm(m, v)  # noqa: SLF001  # torch has no public name for it
