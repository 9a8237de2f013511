"""Response of each cell to its target: what its readings say before any fit.

The accepted readings of level k have a median c_k and a spread s_k over cells. A cell does not
respond if its readings do not follow the target:

    still       their slope on the c_k of its targets is below 1/4, and their range is below half
                of the span of these c_k; or
    one side    they are on one side of at least one of its targets, by 2.5 s_k or more, whatever
                their range; or
    never       their slope is below 1/4, and none was ever accepted, whatever their range.

A cell that was programmed to one level, or to levels that cannot be distinguished, does not respond
if all its readings are far from the level, on one side. Whether such a cell is stuck, or failed at
every attempt, is decided in `rramfit.fitting.screening.stuck`.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.fitting.screening.program_statistics import ProgramStatistics

__all__ = [
    "AWAY",
    "FAR",
    "HIGH",
    "LOW",
    "MIDDLE",
    "SLOPE",
    "LevelSpread",
    "asked_span",
    "cell_values",
    "far_on_one_side",
    "level_spread",
    "response",
    "sides_of",
    "stays_on_one_side",
    "stays_still",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

FAR = 4.0
"""Standard deviations beyond which a reading does not belong to a level."""
AWAY = 2.5
"""The same, if the tester also rejected the reading."""
LOW, MIDDLE, HIGH = 0, 1, 2
"""Where a cell reads: at or below the lowest level, between the two, at or above the highest."""

SLOPE = 0.25
"""Slope of its readings on its targets below which a cell does not respond."""

_RANGE = 0.5  # range of readings over the levels' span, likewise
_EDGE_SHARE = 0.005  # of accepted cells that read beyond the edge of a level
_LEAST_DF, _MOST_DF = 5.0, 30.0  # range of `LevelSpread.df`
_FEWEST_CELLS, _TRIMMED = 50, 0.002  # for it: cells with two readings; share cut off at either end


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelSpread:
    """Robust location and spread of the accepted readings of each level."""

    centre: Floats  # [S] (level,) median over cells; NaN if no cell was accepted
    spread: Floats  # [S] (level,) standard deviation of one reading
    within: Floats  # [S] (level,) between readings of one cell; NaN if no cell has two
    df: float  # degrees of freedom of the scatter of `within` over cells; NaN if not known
    lowest: Floats  # [S] (level,) 0.5 % quantile over cells
    highest: Floats  # [S] (level,) 99.5 % quantile over cells

    @property
    def resolvable(self) -> bool:
        """Whether the lowest and the highest level are separated by 2.5 standard deviations."""
        seen = np.isfinite(self.centre)
        if seen.sum() < 2:
            return False
        low, high = self.ends
        span = self.centre[high] - self.centre[low]
        return bool(span > AWAY * max(self.spread[low], self.spread[high]))

    @property
    def ends(self) -> tuple[int, int]:
        """Indices of the lowest and of the highest level."""
        return int(np.nanargmin(self.centre)), int(np.nanargmax(self.centre))

    def at_least(self, least: float) -> LevelSpread:
        """Return the same with standard deviations of at least `least` [S]."""
        return dataclasses.replace(
            self,
            spread=np.maximum(self.spread, least),
            within=np.maximum(self.within, least),  # NaN stays NaN
        )


def level_spread(statistics: ProgramStatistics, use: Bools) -> LevelSpread:
    """Compute location, spread, within-cell spread and edges of each level's accepted readings.

    Parameters
    ----------
    statistics : ProgramStatistics
    use : (row, col) bool array
        Cells to use.
    """
    levels = len(statistics.count)
    centre, spread, within, lowest, highest, df = (np.full(levels, np.nan) for _ in range(6))
    for k in range(levels):
        seen = use & (statistics.count[k] > 0)
        if not seen.any():
            continue
        y, n = statistics.mean[k][seen], statistics.count[k][seen]
        centre[k] = np.median(y)
        lowest[k], highest[k] = np.quantile(y, [_EDGE_SHARE, 1 - _EDGE_SHARE])
        between = 1.4826 * np.median(np.abs(y - centre[k]))
        twice = n > 1
        if twice.any():
            variances = statistics.m2[k][seen][twice] / (n[twice] - 1)
            middle = np.median(variances)
            nu = float(np.median(n[twice])) - 1  # median of χ²/ν, Wilson and Hilferty
            within[k] = math.sqrt(middle / (1 - 2 / (9 * nu)) ** 3)
            df[k] = _scatter(variances, n[twice] - 1)
        spread[k] = math.hypot(between, 0.0 if np.isnan(within[k]) else within[k])
    return LevelSpread(
        centre=centre,
        spread=spread,
        within=within,
        df=float(np.nanmin(df)) if np.isfinite(df).any() else math.nan,
        lowest=lowest,
        highest=highest,
    )


def _scatter(variance: Floats, nu: Integers) -> float:
    """Return the degrees of freedom of the variances of cells, in excess of those of χ²/ν.

    If σ² of a cell is inverse gamma with d degrees of freedom, the variance of ln s² over cells is
    ψ'(ν/2) + ψ'(d/2).
    """
    some = variance > 0
    if some.sum() < _FEWEST_CELLS:
        return _LEAST_DF
    each, back = np.unique(nu[some], return_inverse=True)
    x, own = np.log(variance[some]), special.polygamma(1, 0.5 * each)[back]
    x = np.clip(x, *np.quantile(x, [_TRIMMED, 1 - _TRIMMED]))
    excess = float(np.var(x) - own.mean())
    grid = np.linspace(_LEAST_DF, _MOST_DF, 100)
    return float(grid[np.abs(special.polygamma(1, 0.5 * grid) - excess).argmin()])


def cell_values(statistics: ProgramStatistics) -> Floats:
    """Return the mean of each cell's programmed readings [S], (row, col); NaN if none."""
    total = np.where(statistics.count > 0, statistics.count * statistics.mean, 0.0).sum(axis=0)
    failed = np.where(statistics.failures > 0, statistics.failures * statistics.failed_mean, 0.0)
    n = statistics.attempts.sum(axis=0)
    out = np.full(n.shape, np.nan)
    np.divide(total + failed.sum(axis=0), n, out=out, where=n > 0)
    return out


def asked_span(attempts: Integers, at: LevelSpread) -> Floats:
    """Return the distance of the highest from the lowest target of each cell [S], (row, col)."""
    n, x = _asked(attempts, at)
    lowest = np.where(n > 0, x, np.inf).min(axis=0)
    highest = np.where(n > 0, x, -np.inf).max(axis=0)
    return np.where(highest >= lowest, highest - lowest, 0.0)


def response(statistics: ProgramStatistics, at: LevelSpread) -> Floats:
    """Return the slope of each cell's readings on its targets, (row, col); inf for one target."""
    n, x = _asked(statistics.attempts, at)
    some = np.maximum(n.sum(axis=0), 1)
    y = np.where(n > 0, _all_means(statistics), 0.0)
    x_bar, y_bar = (n * x).sum(axis=0) / some, (n * y).sum(axis=0) / some
    sxx = (n * (x - x_bar) ** 2).sum(axis=0)
    sxy = (n * (x - x_bar) * (y - y_bar)).sum(axis=0)
    slope = np.full(sxx.shape, np.inf)
    np.divide(sxy, sxx, out=slope, where=sxx > 0)
    return slope


def stays_still(statistics: ProgramStatistics, at: LevelSpread) -> Bools:
    """Return the cells whose readings have a small slope on the target and a small range."""
    span = asked_span(statistics.attempts, at)
    with np.errstate(invalid="ignore"):
        small = statistics.highest - statistics.lowest < _RANGE * span
    return np.asarray((response(statistics, at) < SLOPE) & small, dtype=np.bool_)


def stays_on_one_side(
    statistics: ProgramStatistics, at: LevelSpread, attempts: Integers, accepted: Integers
) -> Bools:
    """Return the cells whose readings are all on one side of one of their targets, away from it.

    Parameters
    ----------
    statistics : ProgramStatistics
    at : LevelSpread
    attempts, accepted : (level, row, col) int arrays
        A cell that was accepted at the level does not count.
    """
    out = np.zeros(statistics.lowest.shape, dtype=bool)
    for k, (centre, spread) in enumerate(zip(at.centre, at.spread, strict=True)):
        wrong = (attempts[k] > 0) & (accepted[k] == 0)
        with np.errstate(invalid="ignore"):
            above = statistics.lowest > centre + AWAY * spread
            below = statistics.highest < centre - AWAY * spread
        out |= wrong & (above | below)
    return out


def far_on_one_side(statistics: ProgramStatistics, at: LevelSpread) -> Bools:
    """Return the cells whose readings are all far from the target level, on one side of it."""
    asked = statistics.attempts > 0
    far = FAR * at.spread[:, None, None]
    centre = at.centre[:, None, None]
    with np.errstate(invalid="ignore"):
        below = ~asked | (statistics.highest < centre - far)
        above = ~asked | (statistics.lowest > centre + far)
    return np.asarray(below.all(axis=0) | above.all(axis=0), dtype=np.bool_)


def sides_of(value: Floats, at: LevelSpread, attempts: Integers) -> NDArray[np.int8]:
    """Return where each cell reads on average: `LOW`, `MIDDLE` or `HIGH`, (row, col).

    A cell in the middle reads higher than cells at the lowest level, and lower than cells at the
    highest: beyond 99.5 % of the accepted cells, 2.5 to 4 standard deviations. Without two levels
    that can be distinguished, cells are above or below the mean of their targets.
    """
    out = np.full(value.shape, LOW, dtype=np.int8)
    with np.errstate(invalid="ignore"):
        if not at.resolvable:
            n, x = _asked(attempts, at)
            out[value > (n * x).sum(axis=0) / np.maximum(n.sum(axis=0), 1)] = HIGH
            return out
        low, high = edges(at)
        out[value > low] = MIDDLE
        out[value >= high] = HIGH
    return out


def edges(at: LevelSpread) -> tuple[float, float]:
    """Return the edges between low and middle, and between middle and high [S]."""
    low, high = at.ends
    above = at.centre[low] + np.clip(
        at.highest[low] - at.centre[low], AWAY * at.spread[low], FAR * at.spread[low]
    )
    below = at.centre[high] - np.clip(
        at.centre[high] - at.lowest[high], AWAY * at.spread[high], FAR * at.spread[high]
    )
    if above < below:
        return float(above), float(below)
    middle = 0.5 * float(at.centre[low] + at.centre[high])
    return middle, middle


def _asked(attempts: Integers, at: LevelSpread) -> tuple[Integers, Floats]:
    """Return attempts at the levels that have a centre, and the centres, (level, 1, 1)."""
    seen = np.isfinite(at.centre)
    n = np.where(seen[:, None, None], attempts, 0)
    return n, np.where(seen, at.centre, 0.0)[:, None, None]


def _all_means(statistics: ProgramStatistics) -> Floats:
    """Return the mean of all readings at each level, accepted or not, (level, row, col)."""
    total = np.where(statistics.count > 0, statistics.count * statistics.mean, 0.0)
    total += np.where(statistics.failures > 0, statistics.failures * statistics.failed_mean, 0.0)
    out = np.full(total.shape, np.nan)
    np.divide(total, statistics.attempts, out=out, where=statistics.attempts > 0)
    return out
