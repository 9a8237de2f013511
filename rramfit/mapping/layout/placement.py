"""Placement around faults: the physical row and column of each logical row and column.

For a fitted chip, the expected conductance of every cell at every level is known. In a tile with
logical targets g and expected conductances A, a placement has the cost

    Σ over rows i, pairs j   [A(+) − A(−) − (g(+) − g(−))]²   at the assigned cells

It is minimized alternately: columns for fixed rows, then rows for fixed columns. Each step is an
assignment problem with an exact solution (Hungarian method); the iteration stops when the cost no
longer decreases. The two columns of a pair move together and may swap polarity, which is corrected
digitally. Schemes with two arrays or an offset column move single columns; with an offset column,
errors are relative to the reference column. Unused cells cost nothing, so they take the faults, and
dead lines go where they do the least damage. `attenuation` describes the loss in the wires at each
position, so that rows with large weights avoid the far corners.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rramfit.mapping.layout.plan import Permutation

__all__ = ["Placement", "place_around_faults"]

ROUNDS = 3
"""Rounds of columns and rows; a fourth round gains less than 1 % of the first round's gain."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Placement:
    """A permutation of each tile, and the expected error before and after."""

    permutation: Permutation
    before: float  # [S²] expected squared error of all differences without placement
    after: float  # [S²] with placement
    flipped: int  # number of pairs with swapped polarity

    @classmethod
    def identity(cls, tiles: int, shape: tuple[int, int]) -> Placement:
        """Return the placement that moves nothing."""
        return cls(permutation=Permutation.identity(tiles, shape), before=0.0, after=0.0, flipped=0)

    @property
    def gain(self) -> float:
        """Share of the expected squared error that the placement removes."""
        return 1 - self.after / self.before if self.before > 0 else 0.0


def place_around_faults(
    level: Tensor,
    expected: Tensor,
    target: Tensor,
    *,
    importance: Tensor | None = None,
    pairs: bool = True,
    reference: bool = False,
    attenuation: Tensor | None = None,
) -> Placement:
    """Assign rows and columns of each tile to the cells of a fitted chip.

    Parameters
    ----------
    level : (tile, row, col) int64 tensor
        Target level of each logical cell; −1 for unused cells.
    expected : (tile, level, row, col) tensor
        Expected conductance of each physical cell at each level [S].
    target : (tile, row, col) tensor
        Target conductance of each logical cell [S].
    importance : (tile, col) tensor, optional
        Weight of each logical column's squared error. Default: 1.
    pairs : bool
        Whether columns 2u and 2u + 1 are G+ and G− of one pair and move together.
    reference : bool
        Whether the last column is the reference of all others; it does not move.
    attenuation : (row, col) tensor, optional
        Share of a cell's current that reaches the converter at each position, relative to the loss
        that the digital gain of its column corrects.

    Returns
    -------
    Placement
    """
    tiles, _, cols = level.shape
    if importance is None:
        importance = torch.ones(tiles, cols)
    if attenuation is not None:
        expected = expected * attenuation.to(expected)
    found = [
        _place_tile(
            level[t].cpu(),
            expected[t].double().cpu(),
            target[t].detach().double().cpu(),
            importance[t].double().cpu(),
            group=2 if pairs else 1,
            reference=reference,
        )
        for t in range(tiles)
    ]
    return Placement(
        permutation=Permutation(
            rows=torch.stack([f[0] for f in found]), cols=torch.stack([f[1] for f in found])
        ),
        before=sum(f[2] for f in found),
        after=sum(f[3] for f in found),
        flipped=sum(f[4] for f in found),
    )


def _place_tile(
    level: Tensor,
    expected: Tensor,
    target: Tensor,
    importance: Tensor,
    *,
    group: int,
    reference: bool,
) -> tuple[Tensor, Tensor, float, float, int]:
    """Return rows, columns, cost before and after, and the number of flipped pairs."""
    from scipy.optimize import linear_sum_assignment

    scale = float(expected.abs().max()) or 1.0  # costs of order one, for the solver's tolerance
    fixed = level.shape[1] - (1 if reference else level.shape[1] % group)
    tile = _Tile(level, expected / scale, target / scale, importance, group, fixed, reference)
    rows, cols = torch.arange(level.shape[0]), torch.arange(level.shape[1])
    before = after = tile.cost(rows, cols)
    best = rows, cols
    for _ in range(ROUNDS):
        cost, flip = tile.column_costs(best[0])
        unit, slot = (torch.as_tensor(x) for x in linear_sum_assignment(cost.numpy()))
        tried = best[1].clone()
        for part in range(group):
            turned = torch.where(flip[unit, slot], group - 1 - part, part)
            tried[unit * group + part] = slot * group + turned
        order = torch.as_tensor(linear_sum_assignment(tile.row_costs(tried).numpy())[1])
        now = tile.cost(order, tried)
        if now >= after:
            break
        best, after = (order, tried), now
    flipped = int((best[1][0:fixed:group] % group == 1).sum()) if group == 2 else 0
    return *best, before * scale**2, after * scale**2, flipped


@dataclass(frozen=True, slots=True)
class _Tile:
    """Assignment problem of one tile; a unit is a pair of columns or a single column."""

    level: Tensor  # (row, col)
    expected: Tensor  # (level, row, col)
    target: Tensor  # (row, col)
    importance: Tensor  # (col,)
    group: int
    fixed: int  # columns from this index on do not move
    reference: bool

    def errors(self, cells: Tensor) -> Tensor:
        """Return the error of each logical cell at each candidate position, (row, col, position).

        Parameters
        ----------
        cells : (row, col or 1, level, position) tensor
            Expected conductance of the candidate cells.
        """
        rows, cols = self.level.shape
        index = self.level.clamp_min(0)[:, :, None, None].expand(rows, cols, 1, cells.shape[3])
        taken = cells.expand(rows, cols, *cells.shape[2:]).gather(2, index)[:, :, 0]
        holds = (self.level >= 0)[:, :, None]
        return torch.where(holds, taken - self.target[:, :, None], torch.zeros_like(taken))

    def column_costs(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cost of each unit at each slot for fixed rows, and whether it is flipped."""
        cells = self.expected[:, rows].permute(1, 0, 2)[:, None]
        e = self.errors(cells)
        if self.reference:
            e = e - e[:, -1:, -1:]
        e = e[:, : self.fixed, : self.fixed]
        if self.group == 1:
            weight = self.importance[: self.fixed, None]
            cost = e.square().sum(0) * weight
            return cost, torch.zeros_like(cost, dtype=torch.bool)
        weight = self.importance[0 : self.fixed : 2, None]
        straight = (e[:, 0::2, 0::2] - e[:, 1::2, 1::2]).square().sum(0)
        turned = (e[:, 0::2, 1::2] - e[:, 1::2, 0::2]).square().sum(0)
        return torch.minimum(straight, turned) * weight, turned < straight

    def row_costs(self, cols: Tensor) -> Tensor:
        """Return the cost of each logical row at each physical row for fixed columns."""
        cells = self.expected[:, :, cols].permute(2, 0, 1)[None]  # (1, col, level, row)
        e = self.errors(cells)  # (row, col, physical row)
        if self.group == 2:
            paired = e[:, 0 : self.fixed : 2] - e[:, 1 : self.fixed : 2]
            weighted = paired.square() * self.importance[0 : self.fixed : 2, None]
        else:
            against = e[:, -1:] if self.reference else torch.zeros_like(e[:, -1:])
            weighted = (e - against)[:, : self.fixed].square() * self.importance[: self.fixed, None]
        return weighted.sum(1)

    def cost(self, rows: Tensor, cols: Tensor) -> float:
        """Return the cost of a placement."""
        return float(self.row_costs(cols)[torch.arange(len(rows)), rows].sum())
