"""Cells that do not respond to their target: stuck, or failed at every attempt.

A candidate was never accepted at some level, and its readings do not follow the target
(`rramfit.fitting.screening.response`). It has one of two causes:

    stuck     fixed, or moving from one programming to the next: it does not know its target. It is
              rejected wherever its reading is away from the level, and accepted or not where it is
              near.
    failed    every attempt that failed did so by chance. The cell reads what failed and accepted
              cells read at each level.

`rramfit.fitting.screening.stuck_likelihood` has the densities of the readings, and
`rramfit.fitting.screening.stuck_posterior` the posterior probability of `stuck`. A single attempt
cannot distinguish the two causes: a candidate that then reads what failed cells read is ambiguous.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.screening.response import (
    AWAY,
    FAR,
    HIGH,
    LOW,
    MIDDLE,
    SLOPE,
    LevelSpread,
    asked_span,
    cell_values,
    far_on_one_side,
    level_spread,
    response,
    sides_of,
    stays_on_one_side,
    stays_still,
)
from rramfit.fitting.screening.stuck_likelihood import (
    FEWEST_FAILED,
    Groups,
    failed_states,
    grouped,
    healthy_motion,
    log_responding,
    log_stuck,
)
from rramfit.fitting.screening.stuck_motion import moving_probability
from rramfit.fitting.screening.stuck_posterior import Counts, Posterior, stuck_posterior

__all__ = ["LevelSpread", "StuckCells", "cell_values", "find_stuck", "level_spread"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

_QUARTILES, _QUARTILE_RANGE = (0.25, 0.5, 0.75), 1.349  # of a normal distribution
_NEAR_SHARE = 0.02  # of the levels' span: closer readings are at the level, however narrow it is
_JUMPED = 0.05  # share of stuck cells of which one reading is anything
_FEWEST_JUMP, _JUMP = 5, 0.05  # readings of a cell; variance left if one of them is not counted
_BEYOND = 0.001  # share of cells outside of the range of readings, at either end
_FINEST = 1e-4  # of the range of readings: least standard deviation, for coarse converters
_IMPOSSIBLE = 1e-6  # probability that a stuck cell is accepted away from what it reads


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckCells:
    """Cells that do not respond to their target, with the probability that they are stuck."""

    side: NDArray[np.int8]  # (row, col) where a cell reads: `LOW`, `MIDDLE`, `HIGH`
    stuck: Bools  #      (row, col)
    posterior: Floats  # (row, col) P(stuck); 0 for cells that respond, NaN if not tried
    limits: Floats  #    (2, row, col) of the posterior, from the uncertainty of shares
    moving: Floats  #    (row, col) P(moving | stuck); NaN if not a candidate, or read once
    motion: Floats  # [S] (row, col) standard deviation of a candidate's readings; NaN likewise
    candidate: Bools  #  (row, col) never responded: stuck or failed
    ambiguous: Bools  #  (row, col) one failed attempt, reads what failed cells read
    one_level: bool  #   no cell was programmed to two distinguishable levels

    @property
    def low(self) -> Bools:
        """Cells stuck low, (row, col)."""
        return np.asarray(self.stuck & (self.side == LOW), dtype=np.bool_)

    @property
    def middle(self) -> Bools:
        """Cells stuck between the lowest and the highest level, (row, col)."""
        return np.asarray(self.stuck & (self.side == MIDDLE), dtype=np.bool_)

    @property
    def high(self) -> Bools:
        """Cells stuck high, (row, col)."""
        return np.asarray(self.stuck & (self.side == HIGH), dtype=np.bool_)


def find_stuck(statistics: ProgramStatistics, use: Bools, *, known: bool) -> StuckCells:
    """Find the cells that do not respond to their target.

    Parameters
    ----------
    statistics : ProgramStatistics
    use : (row, col) bool array
        Cells to judge: measured, and not in a dead line.
    known : bool
        Whether acceptance is known; if not, a reading within 4 standard deviations of its level
        counts as accepted, in ln G too where the level is more symmetrical there.
    """
    at = level_spread(statistics, use)
    value = cell_values(statistics)
    tried = use & (statistics.attempts.sum(axis=0) > 0)
    none = np.zeros(tried.shape, dtype=bool)
    unknown = np.full(tried.shape, np.nan)
    posterior = np.where(tried, 0.0, np.nan)
    if not tried.any() or not np.isfinite(at.centre).any():
        return StuckCells(
            side=none.astype(np.int8), stuck=none, posterior=posterior,
            limits=np.stack([posterior] * 2), moving=unknown, motion=unknown,
            candidate=none, ambiguous=none, one_level=True,
        )  # fmt: skip
    counts = _counts(statistics, at, known=known)
    side = sides_of(value, at, statistics.attempts)
    apart = AWAY if known else FAR
    several = tried & (asked_span(statistics.attempts, at) > apart * np.nanmax(at.spread))
    still = _still(statistics, at, value, tried, several, apart=apart, known=known)
    once = statistics.attempts.sum(axis=0) == 1
    one_side = tried & ~once & stays_on_one_side(statistics, at, counts.n, counts.passed)
    ambiguous, between = _single_attempts(statistics, at, value, side, still & once, tried & ~still)
    still &= ~between
    posterior[still] = 1.0
    posterior[ambiguous] = np.nan
    limits = np.stack([posterior] * 2)
    moving, motion = unknown.copy(), unknown.copy()
    never = several & (response(statistics, at) < SLOPE) & (counts.passed == 0).all(axis=0)
    candidate = (still | one_side | never) & ~once
    if candidate.any():
        found = _judge(statistics, at, counts, side, tried & ~once, candidate, apart=apart)
        motion[candidate], moving[candidate] = found.motion, found.moving
        if found.comparable:
            posterior[candidate] = found.posterior.value
            limits[:, candidate] = found.posterior.low, found.posterior.high
        else:
            far = (_away(value, at, counts.n, FAR) == (counts.n > 0)).all(axis=0)
            posterior[candidate & far] = limits[:, candidate & far] = 1.0
    likely = np.nan_to_num(posterior) > 0.5
    return StuckCells(
        side=side,
        stuck=likely & ~ambiguous,
        posterior=posterior,
        limits=limits,
        moving=moving,
        motion=motion,
        candidate=still | likely,
        ambiguous=ambiguous,
        one_level=not bool(several.any()),
    )


def _counts(statistics: ProgramStatistics, at: LevelSpread, *, known: bool) -> Counts:
    """Return the counts of attempts and failures; by the readings if acceptance is not known."""
    if known:
        return Counts(n=statistics.attempts, x=statistics.failures)
    y, level = statistics.sample.conductance, statistics.sample.level
    read = np.isfinite(y)
    off = (_distance(y, level, at) > FAR) & ~_in_log_tail(y, level, read)
    n, x = (np.zeros_like(statistics.attempts) for _ in range(2))
    for k in range(len(n)):
        mine = read & (level == k)
        n[k], x[k] = mine.sum(axis=0), (mine & off).sum(axis=0)
    return Counts(n=n, x=x)


def _in_log_tail(y: Floats, level: Integers, read: Bools) -> Bools:
    """Return the readings that are near their level in ln G, where it is more symmetrical there.

    Median and quartiles say so; a wide lognormal level has a long upper tail that belongs to it.
    """
    out = np.zeros(y.shape, dtype=np.bool_)
    for k in np.unique(level[read & (level >= 0)]):
        mine = read & (level == k)
        low, middle, high = np.quantile(y[mine], _QUARTILES)
        if low <= 0 or low == high:
            continue
        x = np.log(np.where(mine & (y > 0), y, 1.0))
        below, above = math.log(middle / low), math.log(high / middle)
        if abs(above - below) / (above + below) < abs(high + low - 2 * middle) / (high - low):
            near = np.abs(x - math.log(middle)) <= FAR * (above + below) / _QUARTILE_RANGE
            out |= mine & (y > 0) & near
    return out


def _distance(y: Floats, level: Integers, at: LevelSpread) -> Floats:
    """Return the distance of readings from their level, in its standard deviations."""
    k = np.maximum(level, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        out: Floats = np.abs(y - at.centre[k]) / at.spread[k]
    return np.where(np.isfinite(out), out, np.inf)


def _still(
    statistics: ProgramStatistics,
    at: LevelSpread,
    value: Floats,
    tried: Bools,
    several: Bools,
    *,
    apart: float,
    known: bool,
) -> Bools:
    """Return the cells that read a constant and were never accepted away from it."""
    away = _away(value, at, statistics.attempts, apart)
    rejected = away.any(axis=0) & ~(away & (statistics.count > 0)).any(axis=0)
    out = several & stays_still(statistics, at) & (rejected if known else away.any(axis=0))
    return np.asarray(
        out | (tried & ~several & rejected & far_on_one_side(statistics, at)), dtype=np.bool_
    )


def _away(value: Floats, at: LevelSpread, attempts: Integers, apart: float) -> Bools:
    """Return which target levels of a cell are away from its mean reading, (level, row, col)."""
    clear = _clear(at, apart)[:, None, None]
    with np.errstate(invalid="ignore"):
        out: Bools = (attempts > 0) & (np.abs(value - at.centre[:, None, None]) > clear)
    return out


def _clear(at: LevelSpread, apart: float) -> Floats:
    """Return the distance from which a reading is away from a level [S], (level,)."""
    span = float(np.nanmax(at.centre) - np.nanmin(at.centre))
    return np.maximum(apart * at.spread, _NEAR_SHARE * span)


def _single_attempts(
    statistics: ProgramStatistics,
    at: LevelSpread,
    value: Floats,
    side: NDArray[np.int8],
    candidate: Bools,
    responding: Bools,
) -> tuple[Bools, Bools]:
    """Return the candidates tried once that are ambiguous, and those that only failed.

    An ambiguous one reads, below the middle of the levels, what failed cells read. One that reads
    something else between the levels failed.
    """
    none = np.zeros(candidate.shape, dtype=bool)
    if not candidate.any():
        return none, none
    centre, spread = _failed_readings(statistics, at, responding)
    if math.isnan(centre):
        return none, none
    compatible = np.abs(value - centre) <= 5 * spread
    low, high = at.ends
    below = side == LOW
    if at.resolvable:
        below = value <= 0.5 * (at.centre[low] + at.centre[high])
        inside = (value > at.centre[low]) & (value < at.centre[high] - AWAY * at.spread[high])
    else:
        inside = none
    return candidate & compatible & below, candidate & ~compatible & inside


def _failed_readings(
    statistics: ProgramStatistics, at: LevelSpread, responding: Bools
) -> tuple[float, float]:
    """Return median and spread of failed attempts over all levels [S]; NaN if not known.

    With fewer than 10 such cells: those of the lowest level, because a cell that fails to set stays
    reset.
    """
    responds = responding & (statistics.count.sum(axis=0) > 0)
    y = statistics.failed_mean[(statistics.failures > 0) & responds]
    low = at.ends[0]
    if y.size >= FEWEST_FAILED:
        centre = float(np.median(y))
        spread = 1.4826 * float(np.median(np.abs(y - centre)))
        return centre, max(spread, float(at.spread[low]) if at.resolvable else 0.0)
    if at.resolvable:
        return float(at.centre[low]), float(at.spread[low])
    return math.nan, math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """Candidates, (cell,)."""

    posterior: Posterior
    moving: Floats
    motion: Floats
    comparable: bool  # whether it is known what failed cells read


def _judge(
    statistics: ProgramStatistics,
    at: LevelSpread,
    counts: Counts,
    side: NDArray[np.int8],
    cells: Bools,
    candidate: Bools,
    *,
    apart: float,
) -> _Judged:
    """Compare, for each candidate, `stuck` with `failed at every attempt`."""
    levels = len(at.centre)
    y, level = statistics.sample.conductance, statistics.sample.level
    bounds = _bounds(cell_values(statistics)[cells], at)
    at = at.at_least(_FINEST * (bounds[1] - bounds[0]))
    y, level, accepted = (
        y[:, candidate],
        level[:, candidate],
        statistics.sample.accepted[:, candidate],
    )
    read = np.isfinite(y) & (level >= 0)
    if (counts.x != statistics.failures).any():
        accepted = _distance(y, level, at) <= FAR
    x = _all_readings(y, read)
    of_kind = _log_stuck_or_jumped(y, read, x, side[candidate], at, bounds)
    flags = _log_accepted_if_stuck(y, level, accepted, read, at, apart)
    by_level = (
        grouped(y, level, read & accepted, levels),
        grouped(y, level, read & ~accepted, levels),
    )
    state = failed_states(statistics, at, cells & ~candidate)
    responding = log_responding(*by_level, at, state, width=bounds[1] - bounds[0])
    log_ratio = of_kind + flags - responding
    posterior = stuck_posterior(counts, cells, candidate, side[candidate], log_ratio)
    still = _without_jump(y, read, x)
    healthy, moving = healthy_motion(x.mean, at), np.full(len(x.n), np.nan)
    for code in (LOW, MIDDLE, HIGH):
        here = (side[candidate] == code) & (posterior.value > 0.5)
        moving[here] = moving_probability(still.squares[here], still.n[here], healthy[here])
    return _Judged(
        posterior=posterior,
        moving=moving,
        motion=np.where(x.n > 1, np.sqrt(still.squares / np.maximum(still.n - 1, 1)), np.nan),
        comparable=bool(np.isfinite(state.centre).any()),
    )


def _without_jump(y: Floats, read: Bools, x: Groups) -> Groups:
    """Leave out one reading of a cell if it alone makes up nearly all of its variance."""
    away = np.where(read, np.abs(y - x.mean), -1.0)
    rest = read & (np.arange(len(y))[:, None] != away.argmax(axis=0))
    but_one = _all_readings(y, rest)
    jumps = (x.n > _FEWEST_JUMP) & (but_one.squares < _JUMP * x.squares)
    fields = ((but_one.n, x.n), (but_one.mean, x.mean), (but_one.squares, x.squares))
    n, mean, squares = (np.where(jumps, a, b) for a, b in fields)
    return Groups(n=n, mean=mean, squares=squares)


def _all_readings(y: Floats, read: Bools) -> Groups:
    """Summarize all readings of each cell, (cell,)."""
    x = grouped(y, np.zeros(y.shape, dtype=np.int64), read, 1)
    return Groups(n=x.n[0], mean=x.mean[0], squares=x.squares[0])


def _log_stuck_or_jumped(
    y: Floats,
    read: Bools,
    x: Groups,
    side: NDArray[np.int8],
    at: LevelSpread,
    bounds: tuple[float, float],
) -> Floats:
    """Log-density of the readings of stuck cells, one of which may be anything, (kind, cell)."""
    away = np.where(read, np.abs(y - x.mean), -1.0)
    rest = read & (np.arange(len(y))[:, None] != away.argmax(axis=0))
    but_one = log_stuck(_all_readings(y, rest), side, at, bounds=bounds)
    but_one -= math.log(bounds[1] - bounds[0])
    jumped = np.where(x.n > 3, math.log(_JUMPED) + but_one, -np.inf)
    return np.logaddexp(math.log1p(-_JUMPED) + log_stuck(x, side, at, bounds=bounds), jumped)


def _bounds(value: Floats, at: LevelSpread) -> tuple[float, float]:
    """Return the range in which cells read [S]; single cells far off do not widen it."""
    low, high = np.nanquantile(value, [_BEYOND, 1 - _BEYOND])
    with np.errstate(invalid="ignore"):
        below, above = (
            np.nanmin(at.centre - FAR * at.spread),
            np.nanmax(at.centre + FAR * at.spread),
        )
    low, high = float(min(low, below)), float(max(high, above))
    return low, max(high, low + max(abs(low), abs(high), 1e-12) * 1e-6)


def _log_accepted_if_stuck(
    y: Floats, level: Integers, accepted: Bools, read: Bools, at: LevelSpread, apart: float
) -> Floats:
    """Log of the probability of a stuck cell's acceptances, given its readings, (cell,).

    Near a level, the probability of acceptance is unknown: Jeffreys' prior.
    """
    k = np.maximum(level, 0)
    clear = _clear(at, apart)
    with np.errstate(invalid="ignore"):
        near = read & (np.abs(y - at.centre[k]) <= clear[k])
    a, b = (near & accepted).sum(axis=0), (near & ~accepted).sum(axis=0)
    out = special.betaln(a + 0.5, b + 0.5) - special.betaln(0.5, 0.5)
    return np.asarray(
        out + math.log(_IMPOSSIBLE) * (read & accepted & ~near).sum(axis=0), dtype=np.float64
    )
