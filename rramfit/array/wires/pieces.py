"""The pieces into which broken segments divide the wires of an array.

A wordline with k breaks has k + 1 pieces, each with the cells of neighbouring columns. Its first
piece has the left driver, and its last one the right driver of a two-ended row. A bitline is
divided in the same way, and its lowest piece has the sense amplifier. Pieces without cells are left
out.

A piece is held if it has a driver that is on, or a sense amplifier. Cells of nonzero conductance
connect the pieces of rows and columns. A cluster of pieces that is connected to no held piece
carries no current, and its potential is undefined.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from rramfit.array.wires.line import LineResistance

__all__ = ["ColumnPiece", "RowPiece", "WirePieces", "connected", "wire_pieces"]


@dataclass(frozen=True, slots=True)
class RowPiece:
    """Part of a wordline, over the cells of columns `start` to `stop` - 1."""

    row: int
    start: int
    stop: int
    left: bool  # has the left driver
    right: bool  # has a right driver


@dataclass(frozen=True, slots=True)
class ColumnPiece:
    """Part of a bitline, over the cells of rows `start` to `stop` - 1."""

    col: int
    start: int
    stop: int
    sensed: bool  # has the sense amplifier


@dataclass(frozen=True, slots=True)
class WirePieces:
    """All pieces of an array, by row from left to right, by column from the top down."""

    rows: tuple[RowPiece, ...]
    cols: tuple[ColumnPiece, ...]

    def row_mask(self, name: str, device: torch.device) -> Tensor:
        """Return whether each row piece has its `left` or `right` driver, (row piece,) bool."""
        return torch.tensor([getattr(x, name) for x in self.rows], device=device)

    def sensed(self, device: torch.device) -> Tensor:
        """Return whether each column piece has its sense amplifier, (column piece,) bool."""
        return torch.tensor([x.sensed for x in self.cols], device=device)

    def rows_of(self, device: torch.device) -> Tensor:
        """Return the row of each row piece, (row piece,)."""
        return torch.tensor([x.row for x in self.rows], device=device)

    def cols_of(self, device: torch.device) -> Tensor:
        """Return the column of each column piece, (column piece,)."""
        return torch.tensor([x.col for x in self.cols], device=device)

    def places(self, device: torch.device) -> Tensor:
        """Return where each cell is in the flat matrix of row pieces by column pieces, (m * n,)."""
        m, n = self.rows[-1].row + 1, self.cols[-1].col + 1
        row, col = torch.empty(m, n, dtype=torch.long), torch.empty(m, n, dtype=torch.long)
        for k, x in enumerate(self.rows):
            row[x.row, x.start : x.stop] = k
        for k, y in enumerate(self.cols):
            col[y.start : y.stop, y.col] = k
        return (row * len(self.cols) + col).flatten().to(device)


def wire_pieces(line: LineResistance, rows: int, cols: int) -> WirePieces:
    """List the pieces of an array of `rows` x `cols`.

    Raises
    ------
    ArrayError
        If a broken segment is outside the array.
    """
    line.check_shape(rows, cols)
    row_breaks: list[set[int]] = [set() for _ in range(rows)]
    col_breaks: list[set[int]] = [set() for _ in range(cols)]
    for i, j in line.broken_wl:
        row_breaks[i].add(j)
    for i, j in line.broken_bl:
        col_breaks[j].add(i + 1)
    both = line.drive == "both"
    return WirePieces(
        rows=tuple(
            RowPiece(i, a, b, left=a == 0 and 0 not in breaks, right=both and b == cols)
            for i, breaks in enumerate(row_breaks)
            for a, b in _spans(breaks, cols)
        ),
        cols=tuple(
            ColumnPiece(j, a, b, sensed=b == rows and rows not in breaks)
            for j, breaks in enumerate(col_breaks)
            for a, b in _spans(breaks, rows)
        ),
    )


def _spans(breaks: set[int], size: int) -> list[tuple[int, int]]:
    ends = sorted(breaks | {0, size})
    return list(pairwise(ends))


def connected(conducts: Tensor, rows: Tensor, cols: Tensor) -> tuple[Tensor, Tensor]:
    """Find the pieces that are connected to a held piece.

    Parameters
    ----------
    conducts : (..., row piece, column piece) bool tensor
        Cells of nonzero conductance.
    rows, cols : (..., row piece) and (..., column piece) bool tensors
        Held pieces.

    Returns
    -------
    rows, cols : bool tensors
        As given, with the connected pieces added.
    """
    count = -1
    while count != (count := int(rows.sum()) + int(cols.sum())):
        cols = cols | (conducts & rows[..., :, None]).any(-2)
        rows = rows | (conducts & cols[..., None, :]).any(-1)
    return rows, cols
