"""The order in which the blocks of an array are merged, and the place of every port in each step.

Blocks double or triple in turn along both sides, so all blocks of a step have one size and form one
batch. A side is padded with open cells without wire resistance to the next product of twos and up
to two threes. The padding is right of the last column and below the last row, where it only passes
currents on, so results do not change.

A block that is next joined sideways has its ports in the order Left, Bottom, Top, Right; one that
is next joined upwards, Bottom, Left, Right, Top. The joined and the remaining ports are then
slices, without a gather. Ports of one side are in the order of their row or column.

The arithmetic is in `rramfit.array.wires.merging`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

__all__ = ["Group", "MergePlan", "Side", "Step", "merge_plan"]

Side = Literal["L", "B", "R", "T"]

_ORDER: dict[bool, tuple[Side, ...]] = {True: ("L", "B", "T", "R"), False: ("B", "L", "R", "T")}


@dataclass(frozen=True, slots=True)
class Group:
    """Remaining ports of one side: their places in their block and in the joined block."""

    inner: slice
    outer: slice


@dataclass(frozen=True, slots=True)
class Step:
    """One join of a block's last ports to another block's first ports."""

    pieces: int  # number of blocks that this fold joins
    opens: bool  # the first join of its fold
    first: int  # the piece that starts the fold
    other: int  # the piece that is joined to it
    joint: int  # ports that are joined
    ports: tuple[int, int]  # of the two blocks
    outer: int  # ports of the joined block
    groups: tuple[tuple[Group, ...], tuple[Group, ...]]  # remaining ports of each block


@dataclass(frozen=True, slots=True)
class MergePlan:
    """The order of joins for one array shape."""

    rows: int  # of the padded array
    cols: int
    digits: tuple[tuple[int, ...], tuple[int, ...]]  # factors of rows and cols, first merged first
    order: tuple[bool, ...]  # True: side by side; False: one on the other
    steps: tuple[Step, ...]
    cell_order: tuple[Side, ...]  # ports of a single cell
    ports: int  # of the whole array
    sides: dict[Side, slice]  # places of each side's ports in the whole array

    def to_cells(self, x: Tensor) -> Tensor:
        """Flatten (tile, m, n), padded with zeros: first merged digit outermost, tile last."""
        tiles, m, n = x.shape
        if (m, n) != (self.rows, self.cols):
            x = torch.nn.functional.pad(x, (0, self.cols - n, 0, self.rows - m))
        sizes, axes = self._axes()
        return x.reshape(tiles, *sizes).permute(axes).reshape(-1)

    def from_cells(self, x: Tensor, rows: int, cols: int) -> Tensor:
        """Invert `to_cells` and cut off the padding; further axes stay last."""
        sizes, axes = self._axes()
        rest = x.shape[1:]
        x = x.reshape(*(sizes[k - 1] for k in axes[:-1]), -1, *rest)
        inverse = [axes.index(k) for k in range(len(axes))]
        x = x.permute(*inverse, *range(len(axes), x.ndim))
        return x.reshape(x.shape[0], self.rows, self.cols, *rest)[:, :rows, :cols]

    def _axes(self) -> tuple[list[int], list[int]]:
        """Return the sizes of the digits of (row, col), and their merging order, tile axis last."""
        rows, cols = self.digits
        at_row, at_col = len(rows), len(rows) + len(cols)
        axes = []
        for across in self.order:
            axes.append(at_col if across else at_row)
            at_col, at_row = at_col - across, at_row - (not across)
        return [*reversed(rows), *reversed(cols)], [*axes, 0]


def _factors(size: int) -> tuple[int, ...]:
    """Return the factors of the smallest 2^a 3^b (b <= 2) of at least `size`, threes first."""
    found = []
    for threes in range(3):
        digits: tuple[int, ...] = (3,) * threes
        product = 3**threes
        while product < size:
            product, digits = 2 * product, (*digits, 2)
        found.append((product, digits))
    return min(found)[1]


def _directions(row_digits: tuple[int, ...], col_digits: tuple[int, ...]) -> list[bool]:
    """Keep blocks nearly square: always extend the shorter side."""
    out: list[bool] = []
    height = width = 1
    rows, cols = list(row_digits), list(col_digits)
    while rows or cols:
        across = not rows or (bool(cols) and width <= height)
        if across:
            width *= cols.pop(0)
        else:
            height *= rows.pop(0)
        out.append(across)
    return out


def _layout(sizes: dict[Side, int], order: tuple[Side, ...]) -> dict[Side, slice]:
    at, out = 0, {}
    for side in order:
        out[side] = slice(at, at + sizes[side])
        at += sizes[side]
    return out


@lru_cache(maxsize=64)
def merge_plan(rows: int, cols: int, *, keep_right: bool) -> MergePlan:
    """Plan the joins for an array of `rows` x `cols`.

    Parameters
    ----------
    rows, cols : int
        Size before padding.
    keep_right : bool
        Whether to keep the Right ports of the whole array, for a second driver. Top ports are
        dropped with the last join upwards. In a direction without joins the far ports always
        remain, and must carry no current.
    """
    digits = _factors(rows), _factors(cols)
    order = _directions(*digits)
    sizes: dict[Side, int] = {"L": 1, "B": 1, "R": 1, "T": 1}
    steps: list[Step] = []
    queue = {False: list(digits[0]), True: list(digits[1])}
    for at, across in enumerate(order):
        pieces = queue[across].pop(0)
        upcoming = _ORDER[order[at + 1]] if at + 1 < len(order) else _ORDER[True]
        piece = dict(sizes)
        for k in range(1, pieces):
            done = k == pieces - 1
            drop = done and not queue[across] and not (across and keep_right)
            target = upcoming if done else _ORDER[across]
            groups, joined = _join(sizes, piece, across=across, target=target, drop=drop)
            steps.append(
                Step(
                    pieces=pieces,
                    opens=k == 1,
                    first=0 if across else pieces - 1,
                    other=k if across else pieces - 1 - k,
                    joint=piece["L" if across else "B"],
                    ports=(sum(sizes.values()), sum(piece.values())),
                    outer=sum(joined.values()),
                    groups=groups,
                )
            )
            sizes = joined
    final = _layout(sizes, _ORDER[True])
    return MergePlan(
        rows=_product(digits[0]),
        cols=_product(digits[1]),
        digits=digits,
        order=tuple(order),
        steps=tuple(steps),
        cell_order=_ORDER[order[0]] if order else _ORDER[True],
        ports=sum(sizes.values()),
        sides=final,
    )


def _join(
    one: dict[Side, int],
    two: dict[Side, int],
    *,
    across: bool,
    target: tuple[Side, ...],
    drop: bool,
) -> tuple[tuple[tuple[Group, ...], tuple[Group, ...]], dict[Side, int]]:
    """Return the places of the remaining ports, and the joined block's ports on each side."""
    near, shared, far = _ORDER[across][0], _ORDER[across][1:3], _ORDER[across][3]
    joined = {side: one[side] + two[side] for side in shared}
    joined |= {near: one[near], far: 0 if drop else two[far]}
    inner = [_layout(sizes, _ORDER[across]) for sizes in (one, two)]
    outer = _layout(joined, target)
    groups: tuple[list[Group], list[Group]] = ([], [])
    leads = 0 if across else 1  # block that comes first along a shared side
    for side, place in outer.items():
        at = place.start
        for block in (leads, 1 - leads):
            size = (one, two)[block][side]
            stays = side in shared or (side == near and block == 0) or (side == far and block == 1)
            if stays and size and at < place.stop:
                groups[block].append(Group(inner[block][side], slice(at, at + size)))
                at += size
    return (tuple(groups[0]), tuple(groups[1])), joined


def _product(digits: tuple[int, ...]) -> int:
    out = 1
    for digit in digits:
        out *= digit
    return out
