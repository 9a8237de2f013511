"""Cells that do not respond to their target: stuck, or failed at every attempt.

A cell is a candidate if it was never accepted at a level away from the value v that it reads, and
its readings do not follow the target: over resolvable levels, the slope of its readings on the
levels' means is below 1/4, and their range is below half the levels' span. With a single target
level, all readings must be far from it on one side. A candidate has one of two causes:

    stuck     with probability π; the cell keeps its conductance
    failed    every attempt failed by chance, ∏_k [h_k + (1 − h_k)·s_k^n_k] over levels k away from
              v; the cell reads what failed cells read, and varies from sweep to sweep as they do:
              (n − 1)·s²/σ² is chi-squared, or larger

Expectation-maximisation over all cells estimates π, the hard shares h and the soft probabilities s,
and gives the posterior probability of `stuck` for each candidate. A single attempt cannot
distinguish the two causes: a candidate that then reads what failed cells read is ambiguous.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.fitting.screening.program_statistics import ProgramStatistics

__all__ = ["LevelSpread", "StuckCells", "cell_values", "find_stuck", "level_spread"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_FAR = 4.0  # standard deviations beyond which a reading does not belong to a level
_AWAY = 2.5  # the same, if the tester also rejected the reading
_SLOPE = 0.25  # slope below which a cell does not respond to its target
_RANGE = 0.5  # range of readings over the levels' span, likewise
_LOG_VARIANCE_SPAN = 16.0  # ln units spanned by the variances of stuck cells
_ENOUGH_STUCK, _LEAST_SCALE, _FLAT_SHARE = 5, 0.7, 0.1  # distribution of stuck cells' variance


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelSpread:
    """Robust location and spread of the accepted readings of each level."""

    centre: Floats  # [S] (level,) median over cells; NaN if no cell was accepted
    spread: Floats  # [S] (level,) standard deviation of one reading
    within: Floats  # [S] (level,) between readings of one cell; NaN if no cell has two

    @property
    def resolvable(self) -> bool:
        """Whether the lowest and the highest level are separated by 2.5 standard deviations."""
        seen = np.isfinite(self.centre)
        if seen.sum() < 2:
            return False
        low, high = np.nanargmin(self.centre), np.nanargmax(self.centre)
        span = self.centre[high] - self.centre[low]
        return bool(span > _AWAY * max(self.spread[low], self.spread[high]))


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckCells:
    """Cells that do not respond to their target, with the probability that they are stuck."""

    low: Bools  #        (row, col)
    high: Bools  #       (row, col)
    posterior: Floats  # (row, col) P(stuck); 0 for cells that respond, NaN if not tried
    candidate: Bools  #  (row, col) never responded: stuck or failed
    ambiguous: Bools  #  (row, col) one failed attempt, reads what failed cells read
    one_level: bool  #   no cell was programmed to two distinguishable levels


def level_spread(statistics: ProgramStatistics, use: Bools) -> LevelSpread:
    """Compute median, spread and within-cell spread of each level's accepted readings.

    Parameters
    ----------
    statistics : ProgramStatistics
    use : (row, col) bool array
        Cells to use.
    """
    levels = len(statistics.count)
    centre, spread, within = (np.full(levels, np.nan) for _ in range(3))
    for k in range(levels):
        seen = use & (statistics.count[k] > 0)
        if not seen.any():
            continue
        y, n = statistics.mean[k][seen], statistics.count[k][seen]
        centre[k] = np.median(y)
        between = 1.4826 * np.median(np.abs(y - centre[k]))
        twice = n > 1
        if twice.any():
            variances = statistics.m2[k][seen][twice] / (n[twice] - 1)
            middle = np.median(variances)
            nu = float(np.median(n[twice])) - 1  # median of χ²/ν, Wilson and Hilferty
            within[k] = math.sqrt(middle / (1 - 2 / (9 * nu)) ** 3)
        spread[k] = math.hypot(between, 0.0 if np.isnan(within[k]) else within[k])
    return LevelSpread(centre=centre, spread=spread, within=within)


def cell_values(statistics: ProgramStatistics) -> Floats:
    """Return the mean of each cell's programmed readings [S], (row, col); NaN if none."""
    total = np.where(statistics.count > 0, statistics.count * statistics.mean, 0.0).sum(axis=0)
    failed = np.where(statistics.failures > 0, statistics.failures * statistics.failed_mean, 0.0)
    n = statistics.attempts.sum(axis=0)
    out = np.full(n.shape, np.nan)
    np.divide(total + failed.sum(axis=0), n, out=out, where=n > 0)
    return out


def find_stuck(statistics: ProgramStatistics, use: Bools, *, known: bool) -> StuckCells:
    """Find the cells that do not respond to their target.

    Parameters
    ----------
    statistics : ProgramStatistics
    use : (row, col) bool array
        Cells to judge: measured, and not in a dead line.
    known : bool
        Whether acceptance is known; if not, only the response decides.
    """
    at = level_spread(statistics, use)
    value = cell_values(statistics)
    attempts = statistics.attempts
    tried = use & (attempts.sum(axis=0) > 0)
    none = np.zeros(tried.shape, dtype=bool)
    posterior = np.where(tried, 0.0, np.nan)
    if not tried.any() or not np.isfinite(at.centre).any():
        return StuckCells(
            low=none, high=none, posterior=posterior, candidate=none,
            ambiguous=none, one_level=True,
        )  # fmt: skip
    span, slope = _response(statistics, at)
    apart = _AWAY if known else _FAR
    several = tried & (span > apart * np.nanmax(at.spread))
    away = _away(value, at, attempts, apart)
    with np.errstate(invalid="ignore"):
        unresponsive = (slope < _SLOPE) & (statistics.highest - statistics.lowest < _RANGE * span)
    rejected = away.any(axis=0) & ~(away & (statistics.count > 0)).any(axis=0)
    candidate = several & unresponsive & (rejected if known else away.any(axis=0))
    candidate |= tried & ~several & rejected & _one_side(statistics, at)
    high = _is_high(value, at, attempts)
    failed = _failed_readings(statistics, at, tried & ~candidate)
    once = attempts.sum(axis=0) == 1
    compatible = np.abs(value - failed[0]) <= 5 * failed[1] if failed is not None else none
    ambiguous = candidate & once & compatible & ~high
    between = candidate & once & ~compatible & _between(value, at) & at.resolvable
    candidate &= ~between
    posterior[candidate] = 1.0
    posterior[ambiguous] = np.nan
    doubtful = candidate & ~once & compatible
    if doubtful.any():
        sure = candidate & ~once & ~compatible
        ratio = _log_variance_ratio(statistics, at, doubtful, sure)
        cells = tried & ~once & ~sure
        posterior[doubtful] = _posterior(statistics, cells, doubtful, away, ratio)
    stuck = candidate & ~ambiguous & (np.nan_to_num(posterior) > 0.5)
    return StuckCells(
        low=stuck & ~high,
        high=stuck & high,
        posterior=posterior,
        candidate=candidate,
        ambiguous=ambiguous,
        one_level=not bool(several.any()),
    )


def _all_means(statistics: ProgramStatistics) -> Floats:
    """Return the mean of all readings at each level, accepted or not, (level, row, col)."""
    total = np.where(statistics.count > 0, statistics.count * statistics.mean, 0.0)
    total += np.where(statistics.failures > 0, statistics.failures * statistics.failed_mean, 0.0)
    out = np.full(total.shape, np.nan)
    np.divide(total, statistics.attempts, out=out, where=statistics.attempts > 0)
    return out


def _response(statistics: ProgramStatistics, at: LevelSpread) -> tuple[Floats, Floats]:
    """Return the span of each cell's target levels [S], and the slope of its readings on them."""
    seen = np.isfinite(at.centre)
    n = np.where(seen[:, None, None], statistics.attempts, 0)
    x = np.where(seen, at.centre, 0.0)[:, None, None]
    lowest = np.where(n > 0, x, np.inf).min(axis=0)
    highest = np.where(n > 0, x, -np.inf).max(axis=0)
    some = np.maximum(n.sum(axis=0), 1)
    y = np.where(n > 0, _all_means(statistics), 0.0)
    x_bar, y_bar = (n * x).sum(axis=0) / some, (n * y).sum(axis=0) / some
    sxx = (n * (x - x_bar) ** 2).sum(axis=0)
    sxy = (n * (x - x_bar) * (y - y_bar)).sum(axis=0)
    slope = np.full(sxx.shape, np.inf)
    np.divide(sxy, sxx, out=slope, where=sxx > 0)
    return np.where(highest >= lowest, highest - lowest, 0.0), slope


def _away(value: Floats, at: LevelSpread, attempts: NDArray[np.int64], apart: float) -> Bools:
    """Return which target levels of a cell are away from its mean reading, (level, row, col)."""
    span = np.nanmax(at.centre) - np.nanmin(at.centre)
    clear = np.maximum(apart * at.spread, 0.02 * span)[:, None, None]
    with np.errstate(invalid="ignore"):
        out: Bools = (attempts > 0) & (np.abs(value - at.centre[:, None, None]) > clear)
    return out


def _one_side(statistics: ProgramStatistics, at: LevelSpread) -> Bools:
    """Return the cells whose readings are all far from the target level, on one side of it."""
    asked = statistics.attempts > 0
    far = _FAR * at.spread[:, None, None]
    centre = at.centre[:, None, None]
    with np.errstate(invalid="ignore"):
        below = ~asked | (statistics.highest < centre - far)
        above = ~asked | (statistics.lowest > centre + far)
    return np.asarray(below.all(axis=0) | above.all(axis=0), dtype=np.bool_)


def _is_high(value: Floats, at: LevelSpread, attempts: NDArray[np.int64]) -> Bools:
    """Return which cells read above the middle of the levels."""
    if at.resolvable:
        middle: Floats | float = 0.5 * (np.nanmin(at.centre) + np.nanmax(at.centre))
    else:
        n = np.where(np.isfinite(at.centre)[:, None, None], attempts, 0)
        x = np.nan_to_num(at.centre)[:, None, None]
        middle = (n * x).sum(axis=0) / np.maximum(n.sum(axis=0), 1)
    with np.errstate(invalid="ignore"):
        out: Bools = value > middle
    return out


def _between(value: Floats, at: LevelSpread) -> Bools:
    """Return the cells between the levels: after one attempt, failed rather than stuck."""
    low, high = int(np.nanargmin(at.centre)), int(np.nanargmax(at.centre))
    with np.errstate(invalid="ignore"):
        out: Bools = (value > at.centre[low]) & (value < at.centre[high] - _AWAY * at.spread[high])
    return out


def _failed_readings(
    statistics: ProgramStatistics, at: LevelSpread, responding: Bools
) -> tuple[float, float] | None:
    """Return median and spread of failed attempts of cells that respond [S].

    With fewer than 10 such cells: those of the lowest level, because a cell that fails to set stays
    reset. None if the levels cannot be resolved either.
    """
    responds = responding & (statistics.count.sum(axis=0) > 0)
    y = statistics.failed_mean[(statistics.failures > 0) & responds]
    low = int(np.nanargmin(at.centre))
    if y.size >= 10:
        centre = float(np.median(y))
        spread = 1.4826 * float(np.median(np.abs(y - centre)))
        return centre, max(spread, float(at.spread[low]) if at.resolvable else 0.0)
    if at.resolvable:
        return float(at.centre[low]), float(at.spread[low])
    return None


def _posterior(
    statistics: ProgramStatistics, cells: Bools, doubtful: Bools, away: Bools, log_ratio: Floats
) -> Floats:
    """Compute P(stuck) of the doubtful cells by expectation-maximisation over `cells`.

    `cells` excludes those that are certainly stuck, because they do not respond.
    """
    n = statistics.attempts[:, cells]
    x = statistics.failures[:, cells]
    mine = doubtful[cells]
    counted = away[:, doubtful]
    full = (x == n) & (n > 0)
    levels = len(n)
    n_mine, levels_tried = n[:, mine].astype(float), (n > 0).sum(axis=1).astype(float)
    others = ~mine
    full_other = [n[k][others & full[k]].astype(float) for k in range(levels)]
    mixed_x = np.array([x[k][others & ~full[k]].sum() for k in range(levels)], dtype=float)
    mixed_n = np.array([n[k][others & ~full[k]].sum() for k in range(levels)], dtype=float)
    full_mine = full[:, mine]
    mixed_mine = np.where(full_mine, 0, n[:, mine]).astype(float)
    failed_mine = np.where(full_mine, 0, x[:, mine]).astype(float)
    share = 0.5 * mine.sum() / len(mine)
    hard = np.full(levels, share)
    soft = np.clip((mixed_x + 0.5) / (mixed_n + 1), 1e-9, 1 - 1e-9)
    w = np.full(int(mine.sum()), 0.5)
    for _ in range(200):
        by_chance = (1 - hard)[:, None] * soft[:, None] ** n_mine
        p = hard[:, None] + by_chance
        log_failed = np.where(counted, np.log(p), 0.0).sum(axis=0) + log_ratio
        log_odds = math.log(share / (1 - share)) - log_failed
        new = special.expit(log_odds)
        change = float(np.abs(new - w).max(initial=0.0))
        w = new
        responding = 1 - w
        share = float(np.clip((w.sum() + 0.5) / (len(mine) + 1), 1e-9, 0.5))
        for k in range(levels):
            tau = hard[k] / (hard[k] + (1 - hard[k]) * soft[k] ** full_other[k])
            tau_mine = np.where(full_mine[k], hard[k] / p[k], 0.0) * responding
            cells_k = levels_tried[k] - (w * (n_mine[k] > 0)).sum()
            hard[k] = (tau.sum() + tau_mine.sum() + 0.5) / (cells_k + 1)
            softly = ((1 - tau) * full_other[k]).sum()
            softly += ((responding - tau_mine) * full_mine[k] * n_mine[k]).sum()
            failed = mixed_x[k] + softly + (responding * failed_mine[k]).sum()
            tried = mixed_n[k] + softly + (responding * mixed_mine[k]).sum()
            soft[k] = (failed + 0.5) / (tried + 1)
        hard, soft = np.clip(hard, 1e-9, 1 - 1e-9), np.clip(soft, 1e-9, 1 - 1e-9)
        if change < 1e-6:
            break
    return w


def _log_variance_ratio(
    statistics: ProgramStatistics, at: LevelSpread, doubtful: Bools, sure: Bools
) -> Floats:
    """Return ln of the density of a cell's variance if it failed over that if stuck, (cell,).

    A failed cell varies from sweep to sweep at least as much as cells at the lowest level; half the
    degrees of freedom allow for distributions wider than normal. The relative variance of a stuck
    cell is compared with those of the certainly stuck cells: their logarithms follow a Student's t
    with 4 degrees of freedom, mixed with a log-uniform distribution. With fewer than five such
    cells, only the log-uniform distribution is used.
    """
    variance, mean, n = _variances(statistics, doubtful)
    sigma = at.within[int(np.nanargmin(at.centre))]
    if not (np.isfinite(sigma) and sigma > 0):
        return np.zeros(len(n))
    half = 0.25 * np.maximum(n - 1, 1)
    u = np.clip(variance / sigma**2, math.exp(-_LOG_VARIANCE_SPAN), 1.0)
    log_failed = half * (np.log(half * u) - u) - special.gammaln(half)
    density = np.full(len(n), 1 / _LOG_VARIANCE_SPAN)
    known = _log_relative(*_variances(statistics, sure))
    if known.size >= _ENOUGH_STUCK:
        centre = float(np.median(known))
        scale = max(1.4826 * float(np.median(np.abs(known - centre))), _LEAST_SCALE)
        z = (_log_relative(variance, mean, np.maximum(n, 2)) - centre) / scale
        density = _FLAT_SHARE * density + (1 - _FLAT_SHARE) * 0.375 / scale / (1 + z**2 / 4) ** 2.5
    out: Floats = np.where(n > 1, log_failed - np.log(density), 0.0)
    return out


def _variances(statistics: ProgramStatistics, cells: Bools) -> tuple[Floats, Floats, Floats]:
    """Return variance, mean and number of a cell's programmed readings, over all levels."""
    y = statistics.sample.conductance[:, cells]
    y = np.where(statistics.sample.level[:, cells] >= 0, y, np.nan)
    n = np.isfinite(y).sum(axis=0).astype(np.float64)
    mean = np.nansum(y, axis=0) / np.maximum(n, 1)
    return np.nansum((y - mean) ** 2, axis=0) / np.maximum(n - 1, 1), mean, n


def _log_relative(variance: Floats, mean: Floats, n: Floats) -> Floats:
    """Return ln(variance/mean²) of the cells with at least two readings."""
    twice = n > 1
    relative = variance[twice] / np.maximum(mean[twice] ** 2, 1e-300)
    out: Floats = np.log(np.maximum(relative, math.exp(-_LOG_VARIANCE_SPAN)))
    return out
