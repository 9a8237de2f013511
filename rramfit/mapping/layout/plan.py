"""Tiling plan of a matrix: its row and column blocks, and the cell of each weight.

A layer is a matrix W (output, input), y = W x: inputs on rows, outputs on columns. It is divided
into row blocks, whose partial sums are added digitally, and column blocks with as many outputs as
fit into a tile. In a tile, output o, slice s and cell p are in column

    columns   (o·slices + s)·2 + p        G+ and G− in neighbouring columns
    arrays    o·slices + s                in the plus tile (p = 0) or the minus tile (p = 1)
    offset    o·slices + s                the reference column is the tile's last column

Unused cells have level −1: they stay unprogrammed, at the lowest level.

Rows and columns here are logical, as in the matrix. A placement around faults
(`rramfit.mapping.layout.placement`) additionally permutes the rows and columns of each tile;
functions that return addresses accept such a permutation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from rramfit.errors import MappingError
from rramfit.mapping.layout.codes import Codebook, Scheme

__all__ = ["CellAddress", "MatrixPlan", "Permutation", "WeightAddress", "plan_matrix"]


class CellAddress(NamedTuple):
    """A physical cell."""

    tile: int
    row: int
    col: int


class WeightAddress(NamedTuple):
    """A part of a weight; `cell` 0 is G+, 1 is G−."""

    output: int
    input: int
    slice: int
    cell: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Permutation:
    """Physical row and column of each logical row and column, per tile."""

    rows: Tensor  # (tile, row) int64
    cols: Tensor  # (tile, col) int64

    @classmethod
    def identity(cls, tiles: int, shape: tuple[int, int]) -> Permutation:
        """Return the permutation that moves nothing."""
        rows, cols = (torch.arange(n).expand(tiles, n) for n in shape)
        return cls(rows=rows, cols=cols)

    def to_physical(self, x: Tensor) -> Tensor:
        """Reorder cells (tile, row, col) from logical to physical positions."""
        rows, cols = self.rows.argsort(1).to(x.device), self.cols.argsort(1).to(x.device)
        return _take(x, rows, cols)

    def to_logical(self, x: Tensor) -> Tensor:
        """Reorder cells (tile, row, col) from physical to logical positions."""
        return _take(x, self.rows.to(x.device), self.cols.to(x.device))


def _take(x: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    x = x.gather(1, rows[:, :, None].expand(x.shape))
    return x.gather(2, cols[:, None, :].expand(x.shape))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MatrixPlan:
    """One matrix on tiles.

    Attributes
    ----------
    vectors : int
        Input vectors per sample: 1 for a linear layer, output pixels for a convolution.
    weights : int
        Number of weights, without places of a packed matrix that hold none.
    present : (row block, tile column) bool tensor
        Tiles that exist; they are numbered in row-major order.
    columns : (output, slice, cell) int64 tensor
        Column of each part of an output, counted over all tile columns of a row block.
    """

    name: str
    kind: str
    outputs: int
    inputs: int
    vectors: int
    weights: int
    tile: tuple[int, int]
    scheme: Scheme
    slices: int
    row_blocks: int
    column_blocks: int
    outputs_per_tile: int
    present: Tensor
    columns: Tensor

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return int(self.present.sum())

    @property
    def width(self) -> int:
        """Number of columns of a row block, including absent tiles."""
        return self.present.shape[1] * self.tile[1]

    @property
    def cells_used(self) -> int:
        """Number of cells that hold a part of a weight or a reference."""
        parts = self.weights * self.slices * self.columns.shape[2]
        if self.scheme != "offset":
            return parts
        tall = [min(self.tile[0], self.inputs - b * self.tile[0]) for b in range(self.row_blocks)]
        return parts + int(sum(n * int(p.sum()) for n, p in zip(tall, self.present, strict=True)))

    @property
    def utilisation(self) -> float:
        """Share of the tiles' cells that hold a part of a weight."""
        return self.cells_used / (self.tiles * math.prod(self.tile))

    @property
    def reference_columns(self) -> Tensor:
        """Reference column of each output's tile, (output,); −1 if there is none."""
        if self.scheme != "offset":
            return torch.full((self.outputs,), -1)
        block = torch.arange(self.outputs) // self.outputs_per_tile
        return (block + 1) * self.tile[1] - 1

    def levels(self, book: Codebook, code: Tensor) -> Tensor:
        """Return the target level of each logical cell, (tile, row, col); −1 for unused cells.

        Parameters
        ----------
        book : Codebook
        code : (output, input) int64 tensor
        """
        return self.scatter(book.levels.to(code.device)[code], -1, reference=book.offset_level)

    def scatter(self, parts: Tensor, nothing: float, *, reference: float | None = None) -> Tensor:
        """Distribute parts of weights to their logical cells.

        Parameters
        ----------
        parts : (output, input, slice, cell) tensor
        nothing : float
            Value of unused cells.
        reference : float, optional
            Value of the cells in the reference column.

        Returns
        -------
        (tile, row, col) tensor
            Differentiable.
        """
        rows = self.tile[0]
        wide = parts.new_full((self.row_blocks * rows, self.width), nothing)
        flat = parts.permute(1, 0, 2, 3).reshape(self.inputs, -1)
        columns = self.columns.reshape(-1).to(parts.device)
        if self.scheme == "offset" and reference is not None:
            wide[: self.inputs, self.reference_columns.to(parts.device)] = reference
        body = wide[: self.inputs].index_copy(1, columns, flat)
        return self.cut(torch.cat((body, wide[self.inputs :])))

    def cut(self, wide: Tensor) -> Tensor:
        """Split a matrix (row, column) of complete row blocks into tiles, (tile, row, col)."""
        rows, cols = self.tile
        grid = wide.reshape(self.row_blocks, rows, -1, cols).transpose(1, 2)
        return grid[self.present.to(wide.device)]

    def join(self, tiles: Tensor) -> Tensor:
        """Join tiles (…, tile, row, col) to row blocks (…, row block, row, column).

        Absent tiles are zero.
        """
        *lead, _, rows, cols = tiles.shape
        grid = tiles.new_zeros(*lead, *self.present.shape, rows, cols)
        blocks, columns = self.present.nonzero(as_tuple=True)
        grid[..., blocks.to(tiles.device), columns.to(tiles.device), :, :] = tiles
        return grid.transpose(-3, -2).reshape(*lead, self.row_blocks, rows, -1)

    def cell(self, weight: WeightAddress, placed: Permutation | None = None) -> CellAddress:
        """Return the physical cell of a part of a weight.

        Raises
        ------
        MappingError
            If the weight does not exist.
        """
        o, i, s, p = weight
        if not (0 <= o < self.outputs and 0 <= i < self.inputs and 0 <= s < self.slices):
            msg = (
                f"{self.name} has no weight {tuple(weight)}; it has {self.outputs} outputs, "
                f"{self.inputs} inputs and {self.slices} slices per weight"
            )
            raise MappingError(msg)
        block, row = divmod(i, self.tile[0])
        tile_column, col = divmod(int(self.columns[o, s, p]), self.tile[1])
        tile = int(self.present.flatten()[: block * self.present.shape[1] + tile_column].sum())
        if placed is None:
            return CellAddress(tile, row, col)
        return CellAddress(tile, int(placed.rows[tile, row]), int(placed.cols[tile, col]))

    def weight(self, cell: CellAddress, placed: Permutation | None = None) -> WeightAddress | None:
        """Return the part of a weight that a physical cell holds; None for unused cells."""
        t, row, col = cell
        if placed is not None:
            row = int((placed.rows[t] == row).nonzero())
            col = int((placed.cols[t] == col).nonzero())
        block, tile_column = (int(x) for x in self.present.nonzero()[t])
        i, column = block * self.tile[0] + row, tile_column * self.tile[1] + col
        at = (self.columns == column).nonzero()
        if not len(at) or i >= self.inputs:
            return None
        o, s, p = (int(x) for x in at[0])
        return WeightAddress(o, i, s, p)


def plan_matrix(
    name: str,
    outputs: int,
    inputs: int,
    *,
    tile: tuple[int, int] = (128, 128),
    scheme: Scheme = "columns",
    slices: int = 1,
    vectors: int = 1,
    weights: int | None = None,
    kind: str = "linear",
    spare_columns: int = 0,
) -> MatrixPlan:
    """Divide one matrix into tiles, each with some columns that hold no weights.

    Raises
    ------
    MappingError
        If one weight does not fit into a tile.

    Examples
    --------
    >>> plan = plan_matrix("fc", 100, 300, tile=(128, 128))
    >>> plan.tiles, f"{plan.utilisation:.3f}"
    (6, '0.610')
    >>> plan.cell(WeightAddress(70, 200, 0, 1))
    CellAddress(tile=3, row=72, col=13)
    """
    rows, cols = tile
    per_output = slices * (2 if scheme == "columns" else 1)
    room = (cols - (scheme == "offset") - spare_columns) // per_output
    if rows < 1 or room < 1:
        msg = (
            f"{name}: a weight needs {per_output} columns and does not fit into a tile of "
            f"{rows} × {cols}"
            + (f" with {spare_columns} spare columns" if spare_columns else "")
            + "; use larger tiles or fewer slices"
        )
        raise MappingError(msg)
    row_blocks, column_blocks = -(-inputs // rows), -(-outputs // room)
    arrays = 2 if scheme == "arrays" else 1
    out = torch.arange(outputs)
    block, local = out // room, out % room
    part = torch.arange(slices)
    cell = torch.arange(1 if scheme == "offset" else 2)
    start = (local[:, None] * slices + part)[:, :, None]
    if scheme == "columns":
        columns = block[:, None, None] * cols + start * 2 + cell
    elif scheme == "arrays":
        columns = (block[:, None, None] * 2 + cell) * cols + start
    else:
        columns = block[:, None, None] * cols + start
    return MatrixPlan(
        name=name,
        kind=kind,
        outputs=outputs,
        inputs=inputs,
        vectors=vectors,
        weights=outputs * inputs if weights is None else weights,
        tile=tile,
        scheme=scheme,
        slices=slices,
        row_blocks=row_blocks,
        column_blocks=column_blocks,
        outputs_per_tile=room,
        present=torch.ones(row_blocks, column_blocks * arrays, dtype=torch.bool),
        columns=columns,
    )
