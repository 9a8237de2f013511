"""Products of bit planes with effective matrices, in whole numbers.

A processor multiplies bytes several times as fast as floating-point numbers. Which rows of a bit
plane are at the read voltage is whole as it is; matrices become so in steps,

    M ≈ step·(64·high + low)      of the first matrix, in 127·64 steps
    M ≈ step·low                  of the others, small beside it, in 127 steps

and sums of bytes are exact. Currents are sums of the products, weighted by how many rows are on.
What rounding adds to a column's current is small beside a converter's step: a test holds the
largest of 38,400 errors under a twentieth of a step of 8 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["BitPlaneMatrices", "bit_plane_matrices"]

MOST = 127
"""Largest byte."""

BASE = 64
"""What a high byte counts: what is left fits into the low one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BitPlaneMatrices:
    """Effective matrices of one row block, whose weighted sum takes the vectors of bit planes."""

    first: Tensor  # int8 (column, 2·row): high bytes, then low ones
    others: Tensor  # int8 (term − 1, column, row)
    weights: Tensor  # [A] (term, row + 1) of a step of each, by the number of rows that are on

    def currents(self, on: Tensor) -> Tensor:
        """Column currents [A], (column, vector).

        Parameters
        ----------
        on : (row, vector) bool tensor
            Rows at the read voltage.
        """
        ones = on.view(torch.int8)
        count = _product(torch.ones(1, len(ones), dtype=torch.int8), ones)[0]
        weights = self.weights[:, count]
        out = _product(self.first, torch.cat((ones * BASE, ones))).to(weights).mul_(weights[0])
        for m, weight in zip(self.others, weights[1:], strict=True):
            out.addcmul_(_product(m, ones).to(weights), weight)
        return out


def bit_plane_matrices(
    terms: Tensor, inputs: int, weights_at: Callable[[Tensor], Tensor]
) -> tuple[BitPlaneMatrices, ...]:
    """Round the matrices of each row block; none where that is not wanted.

    Gradients, float64 and devices other than the CPU have none.

    Parameters
    ----------
    terms : (term, row block, row, column) tensor
        Times the read voltage [A]; the first is the largest.
    inputs : int
        Rows in use, of all blocks.
    weights_at : callable
        From shares of active rows to weights of the terms, (term, share).
    """
    if terms.requires_grad or terms.dtype != torch.float32 or terms.device.type != "cpu":
        return ()
    rows = terms.shape[2]
    out = []
    for block in range(terms.shape[1]):
        used = terms[:, block, : inputs - block * rows].mT  # (term, column, row)
        most = used.abs().amax((1, 2))
        steps = torch.where(most > 0, most, torch.ones_like(most)) / MOST
        steps[0] /= BASE
        whole = (used / steps[:, None, None]).round()
        high = (whole[0] / BASE).round()
        share = torch.arange(used.shape[2] + 1).to(used) / used.shape[2]
        out.append(
            BitPlaneMatrices(
                first=torch.cat((high, whole[0] - BASE * high), -1).to(torch.int8),
                others=whole[1:].to(torch.int8).contiguous(),
                weights=steps[:, None] * weights_at(share),
            )
        )
    return tuple(out)


def _product(m: Tensor, v: Tensor) -> Tensor:
    """Matrix product of bytes, int32."""
    return torch._int_mm(m, v)  # noqa: SLF001  # torch has no public name for it
