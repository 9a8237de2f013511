"""Cells that the states of `/endurance` do not describe: never in their states, or worn out.

A cell is absent if it is apart from the others in a state at the first point
(`rramfit.fitting.screening.population_form`), as stuck cells are. It has lost its window if the
change of its window leaves the distribution of the others' for good, if it is in a second
population of windows (`rramfit.fitting.time.lost_cells`), or if it falls in one step from half of
its first window or more to less than 0.4 of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.results.result import Finding
from rramfit.fitting.screening.population_form import FEWEST, own_form
from rramfit.fitting.screening.second_population import find_gap
from rramfit.fitting.time.endurance.failure_times import FailureTimes
from rramfit.fitting.time.lost_cells import collapsing, leaving

__all__ = ["absent_cells", "apart", "collapse_points", "lost_windows"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

COLLAPSED = 0.4  # of its first window: a cell that falls below it in one step has lost its state
REPORTED = 1e-3  # share of cells that the states do not describe from which they are reported


def absent_cells(first: Floats) -> Bools:
    """Return the cells that are apart from the others in a state at the first point, (cell,)."""
    out = np.zeros(first.shape[1], dtype=np.bool_)
    for y in first:
        seen = np.isfinite(y)
        if seen.sum() < FEWEST:
            continue
        span = float(np.ptp(y[seen]))
        form = own_form(y[seen], span)
        if form is not None:
            out[seen] |= ~form.inside(y[seen], span)
    return out


def lost_windows(y: Floats) -> Integers:
    """Return the first point from which each cell has lost its window, (cell,)."""
    window = (y[:, -1] - y[:, 0] if y.shape[1] > 1 else y[:, 0]).T
    out = leaving(window, np.zeros(len(window), dtype=np.int64), 1)
    ratio = np.full(len(window), np.nan)
    np.divide(window[:, -1], window[:, 0], out=ratio, where=window[:, 0] > 0)
    below = find_gap(ratio) if y.shape[1] > 1 else None
    if below is not None:
        with np.errstate(invalid="ignore"):
            out = np.where(ratio < below, np.minimum(out, collapsing(window, below)), out)
    return np.asarray(out, dtype=np.int64)


def collapse_points(times: FailureTimes, y: Floats) -> Integers:
    """Return the point at which each cell lost its window in one step, (cell,); else their number.

    Parameters
    ----------
    times : FailureTimes
    y : (point, state, cell) array
        Conductance [S], states in increasing order.
    """
    points, number = len(y), np.arange(len(y))[:, None]
    out = np.full(y.shape[2], points, dtype=np.int64)
    cells, good = times.cells[times.failed], times.last_good[times.failed]
    window = (y[:, -1] - y[:, 0])[:, cells]
    later = np.isfinite(window) & (number > good)
    first = np.where(later, number, points).min(axis=0)
    after = np.take_along_axis(window, np.minimum(first, points - 1)[None], axis=0)[0]
    out[cells] = np.where((first < points) & (after < COLLAPSED * window[0]), first, points)
    return out


def apart(absent: int, lost: int, n: int) -> list[Finding]:
    """Report the cells that the states do not describe."""
    if max(absent, lost) < 2 or absent + lost <= REPORTED * n:
        return []
    return [
        Finding(
            f"/endurance: {absent} of {n} cells are not in their states at the first point, and "
            f"{lost} others lose their window later",
            "Use the means and spreads of the states for the other cells only",
            affected=(absent + lost) / n,
            code="cells-without-states",
        )
    ]
