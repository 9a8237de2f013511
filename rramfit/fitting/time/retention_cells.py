"""Cells of `/retention` that the fits use, and their readings while they keep their state.

Used are cells that are at their level when first read and were read at least twice. A cell counts
until it loses its state apart from the others (`rramfit.fitting.time.lost_cells`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.errors import FitError
from rramfit.fitting.results.result import Finding
from rramfit.fitting.screening.at_level import AtLevel, find_at_level
from rramfit.fitting.time.lost_cells import CollapsedShare, collapsing, leaving, worst_collapse
from rramfit.fitting.time.retention_readings import retention_readings
from rramfit.measurement.file.record import Reads

__all__ = ["MIN_CELLS", "RetentionCells", "retention_cells"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

MIN_CELLS = 5  # cells with two readings that the estimates of a level need


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionCells:
    """Readings of the cells that are used.

    Attributes
    ----------
    time : (time,) array
        Rising [s].
    readings : (cell, time) array
        [S]; NaN = not measured, or after the cell lost its state.
    level : (cell,) array of int
    use : (row, col) bool array
        Where the cells are.
    n_levels : int
    n_cells : (level,) array
    left : int
        Cells that lost their state.
    collapse : CollapsedShare, optional
    at_level : AtLevel
    findings : list of Finding
        On the times of the readings.
    """

    time: Floats
    readings: Floats
    level: Integers
    use: Bools
    n_levels: int
    n_cells: Integers
    left: int
    collapse: CollapsedShare | None
    at_level: AtLevel
    findings: list[Finding]


def retention_cells(
    retention: Reads,
    *,
    n_levels: int = 0,
    healthy: Bools | None = None,
    at_level: AtLevel | None = None,
) -> RetentionCells:
    """Select the cells and readings of one bake.

    Parameters are those of `rramfit.fitting.time.retention.fit_retention`; `n_levels` is the least
    number of levels.

    Raises
    ------
    FitError
        If there are fewer than two times from programming on, no reading after programming, or no
        level with at least 5 cells.
    """
    time, y, found = retention_readings(retention)
    usable = np.ones(y.shape[1:], dtype=np.bool_) if healthy is None else healthy
    if at_level is None:
        at_level = find_at_level(_end(y), retention.level, usable)
    use = usable & at_level.at & (np.isfinite(y).sum(axis=0) >= 2)
    count = max(int(retention.level.max()) + 1, n_levels, 1)
    level = np.asarray(retention.level[use], dtype=np.int64)
    cells = np.asarray(y[:, use].T, dtype=np.float64)
    n_cells = np.bincount(level, minlength=count)
    if n_cells.max(initial=0) < MIN_CELLS:
        msg = (
            f"/retention: the largest level has {n_cells.max(initial=0)} cells with two readings; "
            f"expected at least {MIN_CELLS}"
        )
        raise FitError(msg)
    gone = leaving(cells, level, count)
    collapse = worst_collapse(cells, outlier=gone < len(time), cells=use)
    if collapse is not None and collapse.below is not None:
        late = collapsing(cells, collapse.below)
        gone = np.where(collapse.collapsed, np.minimum(gone, late), gone)
    return RetentionCells(
        time=time,
        readings=np.where(np.arange(len(time)) < gone[:, None], cells, np.nan),
        level=level,
        use=use,
        n_levels=count,
        n_cells=n_cells,
        left=int((gone < len(time)).sum()),
        collapse=collapse,
        at_level=at_level,
        findings=found,
    )


def _end(y: Floats) -> Floats:
    """Return the first finite reading along the first axis; NaN if there is none."""
    seen = np.isfinite(y)
    at = np.argmax(seen, axis=0)
    return np.asarray(np.take_along_axis(y, at[None], axis=0)[0], dtype=np.float64)
