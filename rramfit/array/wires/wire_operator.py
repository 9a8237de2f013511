"""The wires as an operator on cell currents, and what they forbid.

Whatever the cells are, wires alone turn cell currents i into cell voltages u,

    u = e - R i        e[i, j] = V_i        R = R_rows + R_columns

with R symmetric and positive: the drop from a row's driver to a cell plus the rise from a column's
virtual ground to it. A chain of equal segments is two cumulative sums, so R costs O(mn) and is
never formed. With a second driver behind the last column, a row is a ring through its source, and
c_j being the resistance between the left source and column j of L in all, its drop is the one-ended
one less c (c^T i)/L.

A row that floats, and a segment that is broken, do not have a large resistance here: they are
constraints. A broken segment carries no current, a^T i = 0, with a the share of each cell's current
that it would carry; a floating row's source carries none, sum_j i_ij = 0. The voltages that belong
to them are multiples of a, and drop out by projection (`rramfit.array.wires.iterative`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rramfit.array.wires.line import LineResistance

__all__ = ["Wires"]

LEAST_RING_OHM = 1e-9
"""Wordline resistance that stands for zero where a two-ended row is also broken [ohm]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wires:
    """Resistances of one line, as tensors of shape ()."""

    r_wl: Tensor  # [ohm]
    r_bl: Tensor  # [ohm]
    r_driver: Tensor  # [ohm]
    r_sense: Tensor  # [ohm]
    both: bool  # driven from both ends

    @classmethod
    def of(cls, line: LineResistance, like: Tensor) -> Wires:
        """Resistances of `line` in the type and on the device of `like`."""
        r_wl, r_bl, r_driver, r_sense = (torch.as_tensor(r).to(like) for r in line.values)
        if line.drive == "both" and line.broken_wl:
            r_wl = r_wl.clamp(min=LEAST_RING_OHM)
        return cls(
            r_wl=r_wl, r_bl=r_bl, r_driver=r_driver, r_sense=r_sense, both=line.drive == "both"
        )

    def from_source(self, cols: int) -> Tensor:
        """Resistance between the left source and each column's node, (n,) [ohm]."""
        at = torch.arange(cols, device=self.r_wl.device, dtype=self.r_wl.dtype)
        return self.r_driver + at * self.r_wl

    def ring(self, cols: int) -> Tensor:
        """Resistance of a row between its two sources, () [ohm]."""
        total = 2 * self.r_driver + (cols - 1) * self.r_wl
        return torch.where(total > 0, total, torch.ones_like(total))

    def drop(self, current: Tensor) -> Tensor:
        """Voltage R i that the wires take from each cell.

        Parameters
        ----------
        current : (..., m, n) tensor
            Of the cells [A].

        Returns
        -------
        (..., m, n) tensor [V]
        """
        return self.row_drop(current) + self.column_rise(current)

    def row_drop(self, current: Tensor) -> Tensor:
        """Voltage between the source and each wordline node [V], (..., m, n)."""
        prefix = current.cumsum(-1)
        total = prefix[..., -1:]
        short = prefix.cumsum(-1).sub_(prefix)  # sum over l < j of what does not reach beyond l
        drop = torch.addcmul(-self.r_wl * short, self.from_source(current.shape[-1]), total)
        if self.both:
            n = current.shape[-1]
            c = self.from_source(n)
            drop = drop - c * ((current @ c) / self.ring(n))[..., None]
        return drop

    def column_rise(self, current: Tensor) -> Tensor:
        """Voltage of each bitline node above virtual ground [V], (..., m, n)."""
        above = current.cumsum(-2)
        short = above.cumsum(-2).sub_(above)  # of the segments above each node
        total, whole = above[..., -1:, :], short[..., -1:, :]
        return self.r_sense * total + self.r_bl * (whole - short)

    def drop_into(self, current: Tensor, out: Tensor, work: Tensor) -> Tensor:
        """As `drop`, without gradients and in memory that is there already.

        Parameters
        ----------
        current : (..., m, n) tensor
            Of the cells [A].
        out, work : (..., m, n) tensors
            Overwritten; `out` holds the result.

        Returns
        -------
        Tensor
            `out` [V].
        """
        torch.cumsum(current, -2, out=work)
        rise = self.r_sense * work[..., -1:, :]
        work.cumsum_(-2)
        out[..., :1, :] = 0
        torch.mul(work[..., :-1, :], -self.r_bl, out=out[..., 1:, :])
        out.add_(rise - out[..., -1:, :])
        torch.cumsum(current, -1, out=work)
        n = current.shape[-1]
        total = work[..., -1:]
        if self.both:
            c = self.from_source(n)
            total = total - ((current @ c) / self.ring(n))[..., None]
        out.addcmul_(self.from_source(n), total)
        work.cumsum_(-1)
        out[..., 1:].sub_(work[..., :-1].mul_(self.r_wl))
        return out

    def diagonal(self, rows: int, cols: int) -> Tensor:
        """Diagonal of R, (m, n) [ohm]."""
        c = self.from_source(cols)
        if self.both:
            c = c - c**2 / self.ring(cols)
        at = torch.arange(rows - 1, -1, -1, device=c.device, dtype=c.dtype)
        return c + (self.r_sense + at * self.r_bl)[:, None]


def broken_shares(line: LineResistance, wires: Wires, rows: int, cols: int) -> Tensor:
    """Share of every cell's current that each broken segment would carry.

    Returns
    -------
    (segment, m, n) tensor
        Wordline segments first, then bitline segments, in the order stated.
    """
    with torch.no_grad():
        out = wires.r_wl.new_zeros(len(line.broken_wl) + len(line.broken_bl), rows, cols)
        for k, (i, j) in enumerate(line.broken_wl):
            out[k, i, j:] = 1
            if wires.both:
                out[k, i] -= wires.from_source(cols) / wires.ring(cols)
        for k, (i, j) in enumerate(line.broken_bl, start=len(line.broken_wl)):
            out[k, : i + 1, j] = 1
        return out
