"""Placement around faults: which physical row and column each logical one takes.

For one fitted chip it is known what every cell is expected to take at every level. In a tile with
logical targets g and expectations A, a placement costs

    Σ over rows i, pairs j   [A(+) − A(−) − (g(+) − g(−))]²   at the cells that they take

and it is lowered by turns: columns given rows, rows given columns, each an assignment problem with
an exact solution (Hungarian method), until nothing is gained. Pairs move as a whole and may take
either polarity, the sign being put right digitally; two arrays and offset columns move single
columns, the latter with their errors taken against the reference column's. Cells that hold nothing
cost nothing, so faults are drawn to them; dead lines go where they do least harm. `attenuation`
says what wires take at each place, so that rows of large weights keep away from far corners.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rramfit.mapping.layout.plan import Permutation

__all__ = ["Placement", "place_around_faults"]

ROUNDS = 3
"""Turns of columns and rows; a fourth gains under 1 % of what the first did."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Placement:
    """A permutation of each tile, and what it is worth."""

    permutation: Permutation
    before: float  # [S²] expected squared error of all differences, as the matrix lies
    after: float  # [S²] as it is placed
    flipped: int  # pairs with their polarity exchanged

    @classmethod
    def identity(cls, tiles: int, shape: tuple[int, int]) -> Placement:
        """Leave everything where it is."""
        return cls(permutation=Permutation.identity(tiles, shape), before=0.0, after=0.0, flipped=0)

    @property
    def gain(self) -> float:
        """Share of the expected squared error that placing takes away."""
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
        Asked of each logical cell; −1 where it holds nothing.
    expected : (tile, level, row, col) tensor
        Conductance that each physical cell takes at each level [S].
    target : (tile, row, col) tensor
        Conductance that each logical cell stands for [S].
    importance : (tile, col) tensor, optional
        Weight of each logical column's squared error; 1 where not given.
    pairs : bool
        Whether columns 2u and 2u + 1 are G+ and G− of one pair, and move together.
    reference : bool
        Whether the last column is the one that all others are taken against; it stays.
    attenuation : (row, col) tensor, optional
        Share of a cell's current that comes through the wires at each place, relative to what the
        digital gain of its column makes up for.

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
    """Rows, columns, cost before and after, pairs flipped."""
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
    """One tile's problem; a unit is a pair of columns, or a single one."""

    level: Tensor  # (row, col)
    expected: Tensor  # (level, row, col)
    target: Tensor  # (row, col)
    importance: Tensor  # (col,)
    group: int
    fixed: int  # columns from here on stay where they are
    reference: bool

    def errors(self, cells: Tensor) -> Tensor:
        """Error of each logical cell where it would find `cells`, (row, col, place).

        Parameters
        ----------
        cells : (row, col or 1, level, place) tensor
        """
        rows, cols = self.level.shape
        asked = self.level.clamp_min(0)[:, :, None, None].expand(rows, cols, 1, cells.shape[3])
        taken = cells.expand(rows, cols, *cells.shape[2:]).gather(2, asked)[:, :, 0]
        holds = (self.level >= 0)[:, :, None]
        return torch.where(holds, taken - self.target[:, :, None], torch.zeros_like(taken))

    def column_costs(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Cost of each unit at each slot with rows as they are, and whether it is flipped there."""
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
        """Cost of each logical row at each physical one with columns as they are, (row, row)."""
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
        """Cost of a whole placement."""
        return float(self.row_costs(cols)[torch.arange(len(rows)), rows].sum())
