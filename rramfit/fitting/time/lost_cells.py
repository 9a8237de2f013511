"""Cells that lose their state while the others drift: when they leave, how many, and where.

The changes of the cells of one level since the first reading have one distribution at each time,
however wide. Two kinds of cell are not of it:

    outliers   a few cells far outside the distribution of their level's changes, and apart from
               its tail (`rramfit.fitting.screening.population_form`)
    collapsed  a second population of ratios to the first reading, apart from the others
               (`rramfit.fitting.screening.second_population`)

A cell has left from the first reading after which it never returns. Loss that differs between
cells without a gap is retention loss, and is fitted with the others, however large.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.quantity import Quantity
from rramfit.fitting.results.result import Finding
from rramfit.fitting.screening.population_form import outlier_limits
from rramfit.fitting.screening.second_population import find_gap, place
from rramfit.units import format_percent

__all__ = ["CollapsedShare", "collapsed_share", "collapsing", "leaving", "worst_collapse"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

MAX_COLLAPSED = 0.1  # share of collapsed cells above which the measurement is unusable
_CONDUCTING = 0.5  # of the 95 % quantile: below it, an offset dominates the ratio of two readings
_FEWEST = 20  # conducting cells needed
_LOST = 0.2  # of its first conductance: an outlier below it has collapsed


@dataclass(frozen=True, slots=True, kw_only=True)
class CollapsedShare:
    """Conducting cells that lost their state, apart from the distribution of the others.

    Attributes
    ----------
    share : Quantity
        Share of the conducting cells, with Jeffreys' 95 % interval.
    n_cells, n_collapsed : int
        Number of conducting cells, and of those that collapsed.
    collapsed : (cell,) bool array
        Cells that collapsed; False also for cells that did not conduct at first.
    below : float, optional
        Share of the first conductance that separates the two populations; None if there is no
        second population, only outliers.
    where : str
        Place of the collapsed cells on the array; empty if it is not known.
    """

    share: Quantity
    n_cells: int
    n_collapsed: int
    collapsed: Bools
    below: float | None
    where: str = ""

    @property
    def finding(self) -> Finding | None:
        """Finding on a second population; severe if it is large."""
        if self.below is None:
            return None
        low = self.share.ci95[0] if self.share.ci95 else 0.0
        where = f", {self.where}" if self.where else ""
        return Finding(
            f"{self.n_collapsed} of {self.n_cells} conducting cells "
            f"({format_percent(self.share.value)}) "
            f"collapsed to less than {format_percent(self.below, 0)} of their first conductance, "
            f"and hardly any cell is between them and the cells that kept their state{where}",
            "Do not use this measurement: check contacts, supply and addressing of these cells, "
            "and measure again"
            if low > MAX_COLLAPSED
            else "Inspect these cells; drift and growth describe the others",
            severe=low > MAX_COLLAPSED,
            affected=self.share.value,
            cause="collapse in /retention",
            code="cells-collapsed",
        )


def collapsed_share(
    before: Floats,
    after: Floats,
    *,
    outlier: Bools | None = None,
    cells: Bools | None = None,
) -> CollapsedShare | None:
    """Count the conducting cells that collapsed between two readings.

    Conducting cells are those whose first reading is at least half of the 95 % quantile.

    Parameters
    ----------
    before, after : (cell,) array
        Two readings of the same cells [S]; NaN = not measured.
    outlier : (cell,) bool array, optional
        Cells outside the distribution of their level's changes; those that lost 80 % of their
        conductance count as collapsed.
    cells : (row, col) bool array, optional
        Where the cells are on the array.

    Returns
    -------
    CollapsedShare or None
        None if fewer than 20 conducting cells were read twice.

    Examples
    --------
    >>> before = np.full(400, 80e-6)
    >>> after = np.where(np.arange(400) < 120, 1e-6, 78e-6)
    >>> found = collapsed_share(before, after)
    >>> found.n_collapsed, found.n_cells
    (120, 400)
    """
    seen = np.isfinite(before) & np.isfinite(after)
    if seen.sum() < _FEWEST:
        return None
    limit = _CONDUCTING * float(np.quantile(before[seen], 0.95))
    conducting = seen & (before >= limit) & (before > 0)
    n = int(conducting.sum())
    if n < _FEWEST:
        return None
    ratio = np.full(before.shape, np.nan)
    np.divide(after, before, out=ratio, where=conducting)
    below = find_gap(ratio[conducting])
    collapsed = np.zeros(before.shape, dtype=np.bool_)
    with np.errstate(invalid="ignore"):
        if below is not None:
            collapsed |= ratio < below
        if outlier is not None:
            collapsed |= outlier & (ratio < _LOST)
    k = int(collapsed.sum())
    where = ""
    if cells is not None and k:
        maps = np.zeros((2, *cells.shape), dtype=np.bool_)
        maps[:, cells] = collapsed, conducting
        where = place(maps[0], maps[1])
    low = float(special.betaincinv(k + 0.5, n - k + 0.5, 0.025)) if k > 0 else 0.0
    high = float(special.betaincinv(k + 0.5, n - k + 0.5, 0.975)) if k < n else 1.0
    stderr = math.sqrt((k + 0.5) * (n - k + 0.5) / (n + 1) ** 2 / (n + 2))
    return CollapsedShare(
        share=Quantity.within(k / n, stderr, "1", (low, high)),
        n_cells=n,
        n_collapsed=k,
        collapsed=collapsed,
        below=below,
        where=where,
    )


def worst_collapse(
    readings: Floats, *, outlier: Bools, cells: Bools | None = None
) -> CollapsedShare | None:
    """Return the largest collapse since the first reading, at any later one.

    Late readings may not show it: the others then have lost much of their conductance as well.

    Parameters
    ----------
    readings : (cell, time) array
        [S]; NaN = not measured.
    outlier, cells
        As in `collapsed_share`; outliers count at the last reading of each cell.
    """
    seen = np.isfinite(readings)
    at = readings.shape[1] - 1 - np.argmax(seen[:, ::-1], axis=1)
    last = readings[np.arange(len(readings)), at]
    worst = collapsed_share(readings[:, 0], last, outlier=outlier, cells=cells)
    for j in range(1, readings.shape[1]):
        found = collapsed_share(readings[:, 0], readings[:, j], cells=cells)
        if found is None or found.below is None:
            continue
        if worst is None or worst.below is None or found.share.value > worst.share.value:
            worst = found
    return worst


def leaving(readings: Floats, level: Integers, n_levels: int) -> Integers:
    """Return the first reading after which each cell has left its level, (cell,).

    The number of readings for a cell that stays.

    Parameters
    ----------
    readings : (cell, time) array
        [S]; NaN = not measured.
    level : (cell,) array of int
    n_levels : int
    """
    change = readings - readings[:, :1]
    seen = np.isfinite(change)
    outside = np.zeros(change.shape, dtype=np.bool_)
    for j in range(1, change.shape[1]):
        for k in range(n_levels):
            of = seen[:, j] & (level == k)
            low, high = outlier_limits(change[of, j])
            outside[of, j] = (change[of, j] < low) | (change[of, j] > high)
    n = change.shape[1]
    # From the end: the run of readings that are outside or missing.
    returned = np.cumsum((seen & ~outside)[:, ::-1], axis=1)[:, ::-1] > 0
    gone = outside & ~returned
    return np.asarray(np.where(gone.any(axis=1), np.argmax(gone, axis=1), n), dtype=np.int64)


def collapsing(readings: Floats, below: float) -> Integers:
    """Return the first reading after which each cell stays below a share of its first, (cell,).

    The number of readings for a cell that does not.
    """
    with np.errstate(invalid="ignore"):
        kept = np.isfinite(readings) & ~(readings < below * readings[:, :1])
    returned = np.cumsum(kept[:, ::-1], axis=1)[:, ::-1] > 0
    n = readings.shape[1]
    return np.asarray(
        np.where(returned.all(axis=1), n, np.argmin(returned, axis=1)), dtype=np.int64
    )
