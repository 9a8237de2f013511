"""The wires as a linear operator on cell currents, and the currents that they cannot carry.

For any cells, the wires alone turn cell currents i into cell voltages u,

    u = e - R i        e[i, j] = V_i        R = R_rows + R_columns

with R symmetric and positive semidefinite: the drop from a row's drivers to a cell plus the rise
from a column's virtual ground to it. A chain of equal segments is two cumulative sums, so R costs
O(mn) and is never formed. With R1 the operator of a row driven from the left only, c_j the
resistance from the left source to column j, and L the resistance from the left to the right source,

    driven from the left, or floating   R1
    driven from both ends, a ring       R1 - c c^T / L
    the same with a broken segment      R1 - c h^T - h c^T + L h h^T

with h = 1 to the right of the row's first break, 0 to its left. The last form is two chains, each
driven from its own end; it equals the ring with the loop current that the break adds,
R1 - c c^T/L + L a a^T with a = h - c/L, and divides by nothing.

A piece of wire that no driver and no sense amplifier holds is an island: its cell currents sum to
zero. Islands are the pieces of a row between two breaks, its piece beyond the last break if no
right driver is on, its left piece if its left driver is off, all of an unbroken row that floats,
and the pieces of a column above a break. They are constraints on i, and the potential of each is
the multiplier of its constraint (`rramfit.array.wires.iterative`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rramfit.array.wires.line import LineResistance, as_number
from rramfit.array.wires.pieces import wire_pieces

__all__ = ["Islands", "Wires"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wires:
    """Resistances of one line, as tensors of shape (), and the rows with two drivers."""

    r_wl: Tensor  # [ohm]
    r_bl: Tensor  # [ohm]
    r_driver: Tensor  # [ohm]
    r_sense: Tensor  # [ohm]
    both: bool  # driven from both ends
    floats: Tensor | None = None  # (tile, vector, m) rows whose drivers are off; None: no row
    first_breaks: tuple[tuple[int, int], ...] = ()  # (row, col) of each broken two-ended row

    @classmethod
    def of(cls, line: LineResistance, like: Tensor, *, floats: Tensor | None = None) -> Wires:
        """Return the wires of `line` in the type and on the device of `like`."""
        r_wl, r_bl, r_driver, r_sense = (as_number(r, like) for r in line.values)
        both = line.drive == "both"
        return cls(
            r_wl=r_wl,
            r_bl=r_bl,
            r_driver=r_driver,
            r_sense=r_sense,
            both=both,
            floats=floats if both else None,
            first_breaks=_first_breaks(line) if both else (),
        )

    def detached(self) -> Wires:
        """Return the same wires without gradients."""
        return replace(
            self,
            r_wl=self.r_wl.detach(),
            r_bl=self.r_bl.detach(),
            r_driver=self.r_driver.detach(),
            r_sense=self.r_sense.detach(),
        )

    def from_source(self, cols: int) -> Tensor:
        """Return the resistance from the left source to each column's node, (n,) [ohm]."""
        at = torch.arange(cols, device=self.r_wl.device, dtype=self.r_wl.dtype)
        return self.r_driver + at * self.r_wl

    def between_sources(self, cols: int) -> Tensor:
        """Return the resistance of a row from its left to its right source, () [ohm]."""
        return 2 * self.r_driver + (cols - 1) * self.r_wl

    def drop(self, current: Tensor) -> Tensor:
        """Return the voltage R i that the wires take from each cell.

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
        """Return the voltage from the source to each wordline node [V], (..., m, n)."""
        prefix = current.cumsum(-1)
        total = prefix[..., -1:]
        short = prefix.cumsum(-1).sub_(prefix)  # sum over l < j of the current that ends before j
        c = self.from_source(current.shape[-1])
        if self.both:
            total = total - self._from_right(current)
        drop = torch.addcmul(-self.r_wl * short, c, total)
        return drop + self._beyond_drop(current) if self.first_breaks else drop

    def column_rise(self, current: Tensor) -> Tensor:
        """Return the voltage of each bitline node above virtual ground [V], (..., m, n)."""
        above = current.cumsum(-2)
        short = above.cumsum(-2).sub_(above)  # of the segments above each node
        total, whole = above[..., -1:, :], short[..., -1:, :]
        return self.r_sense * total + self.r_bl * (whole - short)

    def drop_into(self, current: Tensor, out: Tensor, work: Tensor) -> Tensor:
        """Compute `drop` without gradients, in preallocated memory.

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
        total = work[..., -1:]
        if self.both:
            total = total - self._from_right(current)
        out.addcmul_(self.from_source(current.shape[-1]), total)
        if self.first_breaks:
            out.add_(self._beyond_drop(current))
        work.cumsum_(-1)
        out[..., 1:].sub_(work[..., :-1].mul_(self.r_wl))
        return out

    def diagonal(self, rows: int, cols: int) -> Tensor:
        """Return the diagonal of R, (m, n) or (tile, vector, m, n) [ohm]."""
        c = self.from_source(cols)
        if self.both:
            length = self.between_sources(cols)
            two = torch.where(length > 0, c - c**2 / _nonzero(length), c)
            if self.first_breaks:
                h, broken = self._beyond(rows, cols)
                two = torch.where(broken, torch.where(h > 0, length - c, c), two)
            c = two if self.floats is None else torch.where(self.floats[..., None], c, two)
        at = torch.arange(rows - 1, -1, -1, device=c.device, dtype=c.dtype)
        return c + (self.r_sense + at * self.r_bl)[:, None]

    def _from_right(self, current: Tensor) -> Tensor:
        """Return the current of each row's right source [A], (..., m, 1)."""
        rows, n = current.shape[-2:]
        share = self.from_source(n) / _nonzero(self.between_sources(n))
        if self.first_breaks:
            h, broken = self._beyond(rows, n)
            out = (current * torch.where(broken, h, share)).sum(-1)
        else:
            out = current @ share
        return self._two_ended(out)[..., None]

    def _beyond_drop(self, current: Tensor) -> Tensor:
        """Drop of the cells beyond a break, measured from the right source, less that of R1."""
        rows, n = current.shape[-2:]
        h, _ = self._beyond(rows, n)
        right = (current * h).sum(-1)
        across = self.between_sources(n) * right - current @ self.from_source(n)
        return h * self._two_ended(across)[..., None]

    def _two_ended(self, x: Tensor) -> Tensor:
        """Rows of `x`, (..., m), with 0 where both drivers are off."""
        return x if self.floats is None else x.masked_fill(self.floats, 0.0)

    def _beyond(self, rows: int, cols: int) -> tuple[Tensor, Tensor]:
        """1 to the right of each row's first break, (m, n), and whether the row has one, (m, 1)."""
        h = self.r_wl.detach().new_zeros(rows, cols)
        broken = torch.zeros(rows, 1, dtype=torch.bool, device=h.device)
        for i, j in self.first_breaks:
            h[i, j:] = 1
            broken[i] = True
        return h, broken


def _first_breaks(line: LineResistance) -> tuple[tuple[int, int], ...]:
    """Leftmost break of each broken row, (row, col)."""
    return tuple(dict(sorted(line.broken_wl, reverse=True)).items())


def _nonzero(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, torch.ones_like(x))


@dataclass(frozen=True, slots=True, kw_only=True)
class Islands:
    """Pieces of wire that neither a driver nor a sense amplifier holds.

    Rows that float in one piece are one field, since there may be many of them. The pieces that
    breaks make are listed one by one.
    """

    floats: Tensor | None  # (tile, vector, m) rows in one piece, drivers off
    pieces: Tensor  # (piece, m, n) bool: the cells of a piece
    held: Tensor | None  # (tile, vector, piece) pieces that a driver holds; None: no piece

    @classmethod
    def of(cls, line: LineResistance, floats: Tensor | None, like: Tensor) -> Islands:
        """List the islands of `line`.

        Parameters
        ----------
        line : LineResistance
        floats : (tile, vector, m) bool tensor or None
            Rows whose drivers are off.
        like : (..., m, n) tensor
            Only its shape and device are used.
        """
        m, n = like.shape[-2:]
        if not line.broken:
            return cls(floats=floats, pieces=like.new_zeros(0, m, n).bool(), held=None)
        spans, rows = [], []  # rows: of a piece with a driver, which holds it if it is on
        whole = torch.ones(m, dtype=torch.bool, device=like.device)
        wires = wire_pieces(line, m, n)
        for x in wires.rows:
            driven = x.left or x.right
            if x.stop - x.start < n or not driven:
                whole[x.row] = False
                spans.append((slice(x.row, x.row + 1), slice(x.start, x.stop)))
                rows.append(x.row if driven else None)
        for y in wires.cols:
            if not y.sensed:
                spans.append((slice(y.start, y.stop), slice(y.col, y.col + 1)))
                rows.append(None)
        pieces = torch.zeros(len(spans), m, n, dtype=torch.bool, device=like.device)
        for piece, (i, j) in zip(pieces, spans, strict=True):
            piece[i, j] = True
        if floats is None:
            keep = [row is None for row in rows]
            return cls(floats=None, pieces=pieces[keep], held=None)
        never = torch.zeros_like(floats[..., 0])
        held = [never if row is None else ~floats[..., row] for row in rows]
        return cls(
            floats=floats & whole, pieces=pieces, held=torch.stack(held, -1) if held else None
        )
