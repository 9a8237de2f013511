"""When each cell failed, and how: from readings at a few cycle counts to intervals.

A cell fails when the window between its highest and lowest state falls below half of its window at
the first point and does not recover at any later point. It failed after the last point at which it
worked and not after the first at which it had failed, so its life is known to lie in an interval
(low, high]; a cell that works when it is last measured outlives that point (high = ∞).

By its median position after the failure, in units of its first window (0 is the lowest state, 1 the
highest), a cell is

    stuck low        both states below 1/3
    stuck high       both states above 2/3
    window closure   the others

Cells whose first window is less than half of the median first window did not work from the start:
they are counted apart, and the lives of the others are conditional on surviving the first point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["FAILED_BELOW", "MODES", "FailureTimes", "failure_times"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

FAILED_BELOW = 0.5
"""A cell has failed with less than this share of its first window."""

MODES = ("stuck low", "stuck high", "window closure")
"""Modes of failure, in the order of `FailureTimes.mode`."""

_LOW, _HIGH = 1 / 3, 2 / 3


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureTimes:
    """Lives of the cells that worked at the first point, in SET/RESET cycles.

    Attributes
    ----------
    low, high : (cell,) array
        The life is in (low, high]; `high` is infinite if the cell had not failed.
    mode : (cell,) int array
        Index into `MODES`; -1 if the cell had not failed.
    entry : float
        Cycle count of the first point.
    points : (point,) array
        Distinct cycle counts of the file, in rising order.
    last_good : (cell,) int array
        Index of the last reading at which the cell worked, in rising order of cycles.
    cells : (cell,) int array
        Index of each cell in the readings.
    failed_at_start : int
        Cells that did not work at the first point, which are left out.
    recovered : int
        Cells that failed at some point and worked again later.
    """

    low: Floats
    high: Floats
    mode: Integers
    entry: float
    points: Floats
    last_good: Integers
    cells: Integers
    failed_at_start: int = 0
    recovered: int = 0

    def __post_init__(self) -> None:
        for a in (self.low, self.high, self.mode, self.points, self.last_good, self.cells):
            a.flags.writeable = False

    def __len__(self) -> int:
        return len(self.low)

    @property
    def failed(self) -> Bools:
        """Whether each cell failed, (cell,)."""
        return np.asarray(np.isfinite(self.high))


def failure_times(cycle: Integers, y: Floats) -> FailureTimes | None:
    """Find when each cell failed.

    Parameters
    ----------
    cycle : (point,) int array
        Cycle counts in rising order.
    y : (point, state, cell) array
        Conductance [S] with states in increasing order of their mean; NaN = not measured.

    Returns
    -------
    FailureTimes or None
        None if the file has one state or one cycle count, or if no cell has a window.
    """
    points = np.unique(cycle).astype(float)
    if y.shape[1] < 2 or len(points) < 2:
        return None
    window = y[:, -1] - y[:, 0]
    start = window[0]
    with np.errstate(invalid="ignore"):
        usual = float(np.median(start[start > 0])) if (start > 0).any() else 0.0
        works = start >= FAILED_BELOW * usual
        dead = np.isfinite(start) & ~works
    if usual <= 0 or not works.any():
        return None
    cells = np.flatnonzero(works)
    seen = np.isfinite(window[:, cells])
    with np.errstate(invalid="ignore"):
        bad = seen & (window[:, cells] < FAILED_BELOW * start[cells])
    good = seen & ~bad
    n, at = len(cycle), np.arange(len(cycle))[:, None]
    last_good = np.where(good, at, -1).max(axis=0)
    after = bad & (at > last_good)
    first_bad = np.where(after, at, n).min(axis=0)
    failed = first_bad < n
    high = np.where(failed, cycle[np.minimum(first_bad, n - 1)], np.inf).astype(float)
    before = good & (cycle[:, None] < high)  # two readings at one count are one point
    low = np.where(before, cycle[:, None], -1.0).max(axis=0)
    at_once = failed & (low < 0)
    kept = ~at_once
    if not kept.any():
        return None
    return FailureTimes(
        low=low[kept],
        high=high[kept],
        mode=_mode(y[:, :, cells], after)[kept],
        entry=float(points[0]),
        points=points,
        last_good=last_good[kept],
        cells=cells[kept],
        failed_at_start=int(dead.sum() + at_once.sum()),
        recovered=int((bad & (at < last_good)).any(axis=0).sum()),
    )


def _mode(y: Floats, after: Bools) -> Integers:
    """Classify the cells by their median position after the failure; -1 without one."""
    low, high = y[0, 0], y[0, -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        position = (y[:, [0, -1]] - low) / (high - low)
    ends = np.stack([position.min(axis=1), position.max(axis=1)])  # states may change places
    ends = np.where(after, ends, np.nan)
    failed = after.any(axis=0)
    out = np.full(y.shape[2], -1, dtype=np.int64)
    if failed.any():
        bottom, top = np.nanmedian(ends[:, :, failed], axis=1)
        out[failed] = np.where(top < _LOW, 0, np.where(bottom > _HIGH, 1, 2))
    return out
