"""Products of bit planes and effective matrices in integer arithmetic.

A CPU multiplies int8 matrices several times faster than floating-point matrices. A bit plane is
already an integer vector: a row is at the read voltage or not. Matrices are rounded to int8,

    M ≈ step·(64·high + low)      the first matrix, in 127·64 steps
    M ≈ step·low                  the other matrices, which are much smaller, in 127 steps

and integer sums are exact. Column currents are sums of the products, weighted by the number of
active rows. The rounding error of a column current is small compared with an ADC step: a test
requires the largest of 38,400 errors to be below 1/20 of an 8-bit step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["BitPlaneMatrices", "bit_plane_matrices"]

MOST = 127
"""Largest int8 value used."""

BASE = 64
"""Weight of the high byte; the remainder fits into the low byte."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BitPlaneMatrices:
    """Effective matrices of one row block in int8; their weighted sum multiplies bit planes."""

    first: Tensor  # int8 (column, 2·row): high bytes, then low bytes
    others: Tensor  # int8 (term − 1, column, row)
    weights: Tensor  # [A] (term, row + 1) current per step, by the number of active rows

    def currents(self, on: Tensor) -> Tensor:
        """Compute column currents [A], (column, vector).

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
    """Round the matrices of each row block to int8.

    Return an empty tuple for tensors with gradients, float64, or a device other than the CPU.

    Parameters
    ----------
    terms : (term, row block, row, column) tensor
        Matrices multiplied by the read voltage [A]; the first is the largest.
    inputs : int
        Number of used rows in all blocks.
    weights_at : callable
        Function from shares of active rows to weights of the terms, (term, share).
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
        rounded = (used / steps[:, None, None]).round()
        high = (rounded[0] / BASE).round()
        share = torch.arange(used.shape[2] + 1).to(used) / used.shape[2]
        out.append(
            BitPlaneMatrices(
                first=torch.cat((high, rounded[0] - BASE * high), -1).to(torch.int8),
                others=rounded[1:].to(torch.int8).contiguous(),
                weights=steps[:, None] * weights_at(share),
            )
        )
    return tuple(out)


def _product(m: Tensor, v: Tensor) -> Tensor:
    """Compute an int8 matrix product, int32."""
    return torch._int_mm(m, v)  # noqa: SLF001  # torch has no public name for it
