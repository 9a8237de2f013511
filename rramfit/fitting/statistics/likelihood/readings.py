"""Readings of one level: the cell of each reading, and which readings are clipped.

Only accepted readings of healthy cells are included. A reading at or beyond a rail of the
instrument counts as clipped at that rail; all others are taken at their value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.statistics.likelihood.points import Frame, Points, compress
from rramfit.measurement.file.record import SweepBlock

__all__ = ["LevelReadings", "collect_readings"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelReadings:
    """Accepted readings of healthy cells at one level.

    Attributes
    ----------
    level : int
    shape : (rows, cols)
    position : (cell,) int array
        Flat index of each cell in the array; the attributes below number the cells in this order.
    unclipped : (n,) array
        Readings inside the rails [S].
    cell : (n,) int array
        Cell of each reading.
    floor, ceiling : float, optional
        Rails [S].
    floor_count, ceiling_count : (cell,) arrays
        Number of clipped readings of each cell.
    node : (m,) array
        Compressed readings [S].
    weight : (m + 2,) array
        Number of readings at each node, at the floor and at the ceiling.
    point : (n,) int array
        Node of each reading.
    exact : bool
        Whether each node represents equal readings only.
    """

    level: int
    shape: tuple[int, int]
    position: Integers
    unclipped: Floats
    cell: Integers
    floor: float | None
    ceiling: float | None
    floor_count: Floats
    ceiling_count: Floats
    node: Floats
    weight: Floats
    point: Integers
    exact: bool

    @property
    def n(self) -> int:
        """Number of readings, clipped ones included."""
        return self.unclipped.size + self.n_clipped

    @property
    def n_clipped(self) -> int:
        """Number of readings at a rail."""
        return int(self.floor_count.sum() + self.ceiling_count.sum())

    @property
    def n_cells(self) -> int:
        """Number of cells with a reading."""
        return self.position.size

    def with_clipped(self) -> Floats:
        """Return all readings [S], clipped ones at their rail."""
        ends = [
            np.full(int(count.sum()), rail)
            for rail, count in ((self.floor, self.floor_count), (self.ceiling, self.ceiling_count))
            if rail is not None
        ]
        return np.concatenate([self.unclipped, *ends])

    def frame(self, *, positive: bool) -> Frame:
        """Return coordinates of order one, from median and quartile width or the median alone."""
        w = np.cumsum(self.weight[:-2])
        q1, q2, q3 = np.interp(np.array([0.25, 0.5, 0.75]) * w[-1], w, self.node)
        if positive:
            return Frame(0.0, float(q2))
        width = (q3 - q1) / 1.349
        return Frame(float(q2), float(width if width > 0 else self.unclipped.std()))

    def points(self, frame: Frame) -> Points:
        """Return the compressed readings in a frame."""
        return self._points(frame, self.node, self.weight)

    def single_points(self, frame: Frame) -> Points:
        """Return all readings in a frame, one point per reading."""
        weight = np.concatenate([np.ones(self.unclipped.size), self.weight[-2:]])
        return self._points(frame, self.unclipped, weight)

    def _points(self, frame: Frame, x: Floats, weight: Floats) -> Points:
        floor = None if self.floor is None else (self.floor - frame.origin) / frame.unit
        ceiling = None if self.ceiling is None else (self.ceiling - frame.origin) / frame.unit
        return Points(x=frame.put(x), floor=floor, ceiling=ceiling, weight=weight)

    def cell_sums(self, values: Floats, *, single: bool = False) -> Floats:
        """Sum values at points and rails over the readings of each cell.

        Parameters
        ----------
        values : (…, m + 2) array, or (…, n + 2) where `single`

        Returns
        -------
        (…, cell) array
        """
        flat = values.reshape(-1, values.shape[-1])
        sums = [
            self._sum(v[:-2] if single else v[self.point], float(v[-2]), float(v[-1])) for v in flat
        ]
        return np.array(sums).reshape(*values.shape[:-1], self.n_cells)

    def _sum(self, seen: Floats, at_floor: float, at_ceiling: float) -> Floats:
        out: Floats = np.bincount(self.cell, weights=seen, minlength=self.n_cells).astype(float)
        if self.n_clipped:
            out = out + self.floor_count * at_floor + self.ceiling_count * at_ceiling
        return out

    def fold_weights(self, fold: Integers, folds: int) -> Floats:
        """Return the node weights of each fold of the cells, (folds, m + 2)."""
        m = self.node.size
        at = fold[self.cell] * m + self.point
        seen = np.bincount(at, minlength=folds * m).reshape(folds, m)
        ends = [
            np.bincount(fold, weights=c, minlength=folds)
            for c in (self.floor_count, self.ceiling_count)
        ]
        return np.column_stack([seen.astype(np.float64), *ends])


def collect_readings(
    sample: SweepBlock,
    healthy: Bools,
    level: int,
    *,
    floor: float | None,
    ceiling: float | None,
) -> LevelReadings:
    """Collect the accepted readings of healthy cells at one level.

    Parameters
    ----------
    sample : SweepBlock
    healthy : (row, col) bool array
    level : int
    floor, ceiling : float, optional
        Rails at which the instrument clips [S].
    """
    y = sample.conductance
    chosen = (sample.level == level) & sample.accepted & healthy & np.isfinite(y)
    reading = y[chosen].astype(np.float64)
    where = np.broadcast_to(np.arange(healthy.size).reshape(healthy.shape), y.shape)[chosen]
    position, cell = _number(where, healthy.size)
    low = reading <= floor if floor is not None else np.zeros(reading.size, dtype=bool)
    high = reading >= ceiling if ceiling is not None else np.zeros(reading.size, dtype=bool)
    inside = ~(low | high)
    count = position.size
    floor_count, ceiling_count = (
        np.bincount(cell[clipped], minlength=count).astype(np.float64) for clipped in (low, high)
    )
    node, point, exact = compress(reading[inside])
    seen = np.bincount(point, minlength=node.size)
    return LevelReadings(
        level=level,
        shape=(healthy.shape[0], healthy.shape[1]),
        position=position,
        unclipped=reading[inside],
        cell=cell[inside],
        floor=floor,
        ceiling=ceiling,
        floor_count=floor_count,
        ceiling_count=ceiling_count,
        node=node,
        weight=np.concatenate([seen, [floor_count.sum(), ceiling_count.sum()]]).astype(np.float64),
        point=point,
        exact=exact,
    )


def _number(where: Integers, size: int) -> tuple[Integers, Integers]:
    """Return the positions that occur, ascending, and the index of each reading's position."""
    present = np.zeros(size, dtype=bool)
    present[where] = True
    number = np.cumsum(present) - 1
    return np.flatnonzero(present), number[where]
