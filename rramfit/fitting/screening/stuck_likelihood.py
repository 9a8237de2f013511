"""Density of a cell's readings if it is stuck, and if it failed by chance.

Let a cell have n readings with mean m and sum of squares q about it. A stuck cell does not know its
target: all its readings have one mean μ and one standard deviation σ, both unknown,

    p(y | stuck) = g(m) · ∫ n^(-1/2) · (2πσ²)^(-(n-1)/2) · exp(-q/2σ²) · p(ln σ) d ln σ.

g is uniform over the side on which the cell reads or, at either end, the distribution of the
outermost level. ln σ is uniform in one of ten ranges, six of them below and four above the standard
deviation w between programmings of healthy cells at this conductance: a stuck cell may be fixed or
move. Each pair of place and range is a kind with a separate share.

A cell that responds reads, at level k, what accepted or what failed cells read there. Both are
multivariate t, with a variance between cells and one between the readings of a cell; the degrees
of freedom follow from the scatter of the latter. A cell's offset, in standard deviations, is the
same at all levels or another one at each, with probability 1/2. In the second case failed cells may
also read anything: 5 % of their density is that of a stuck cell, at each level anew. Another 5 % of
cells read a line in the target with a slope of 1/4 to 5/4: they respond, but fall short.

Where fewer than 10 failed cells have been seen at a level, those of all levels are taken, or else
the lowest level's accepted ones, since a cell that fails to set stays reset.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.screening.response import HIGH, LOW, SLOPE, LevelSpread, edges

__all__ = [
    "Groups",
    "ReadingStates",
    "failed_states",
    "grouped",
    "healthy_motion",
    "log_responding",
    "log_stuck",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

FEWEST_FAILED = 10
"""Failed cells that a level needs for a separate distribution."""
_FEWEST_TWICE = 5  # cells with two failed readings, for their variance within cells
_TAIL = 5.0  # degrees of freedom of the t distributions, if the scatter of cells is not known
_TAIL_UNSURE = 10.0  # most of them if failed cells are taken to scatter like accepted ones
_OFFSETS = ((1.0, 0.9), (3.0, 0.1))  # between cells: factor on the standard deviation, share
_ANYTHING = 0.05  # share of failed cells that read anything
_SHORT = 0.05  # share of cells that follow their target, but fall short of it or exceed it
_NARROWEST = 0.3  # least spread of failed cells, relative to that of the lowest level
_EDGES = 10 ** np.arange(-3, 2.5, 0.5)  # of the ranges of σ, relative to w
_STEPS = 40  # of the integral over ln σ


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """Number, mean and sum of squares of readings, (level, cell) or (cell,)."""

    n: Floats
    mean: Floats  # [S] 0 where n is 0
    squares: Floats  # [S²]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingStates:
    """Location and variance components of readings in one state per level, all (level,) [S]."""

    centre: Floats  # NaN if not known
    between: Floats
    within: Floats
    df: float  # degrees of freedom of the scatter of `within` over cells


def grouped(y: Floats, level: Integers, use: Bools, levels: int) -> Groups:
    """Summarize the chosen readings (sweep, cell) by level."""
    n, mean, squares = (np.zeros((levels, y.shape[1])) for _ in range(3))
    for k in range(levels):
        mine = use & (level == k)
        n[k] = mine.sum(axis=0)
        mean[k] = np.where(mine, y, 0.0).sum(axis=0) / np.maximum(n[k], 1)
        squares[k] = np.square(np.where(mine, y - mean[k], 0.0)).sum(axis=0)
    return Groups(n=n, mean=mean, squares=squares)


def accepted_states(at: LevelSpread) -> ReadingStates:
    """Return the distribution of accepted readings at each level."""
    within = np.where(np.isnan(at.within), at.spread / math.sqrt(2), at.within)
    between = np.sqrt(np.maximum(at.spread**2 - within**2, 0.0))
    df = _TAIL if math.isnan(at.df) else at.df
    return ReadingStates(centre=at.centre, between=between, within=within, df=df)


def failed_states(
    statistics: ProgramStatistics, at: LevelSpread, responding: Bools
) -> ReadingStates:
    """Estimate what responding cells read after a failed attempt, by level."""
    low = at.ends[0]
    least = _NARROWEST * float(at.spread[low]) if at.resolvable else 0.0
    means = [
        statistics.failed_mean[k][responding & (statistics.failures[k] > 0)]
        for k in range(len(at.centre))
    ]
    pooled = np.concatenate(means)
    centre, between, within = (np.full(len(means), np.nan) for _ in range(3))
    df = _TAIL if math.isnan(at.df) else at.df
    ratio = at.within / at.spread
    own_share = float(np.nanmedian(ratio)) if np.isfinite(ratio).any() else 1 / math.sqrt(2)
    for k, own in enumerate(means):
        y = own if own.size >= FEWEST_FAILED else pooled
        if y.size >= FEWEST_FAILED:
            centre[k] = np.median(y)
            total = max(1.4826 * float(np.median(np.abs(y - centre[k]))), least)
            w = _within_failed(statistics, k, responding)
        elif at.resolvable:
            centre[k], total, w = at.centre[low], float(at.spread[low]), float(at.within[low])
        else:
            continue
        if math.isnan(w):
            w, df = own_share * total, min(df, _TAIL_UNSURE)
        within[k] = min(w, total)
        between[k] = math.sqrt(max(total**2 - within[k] ** 2, 0.0))
    return ReadingStates(centre=centre, between=between, within=within, df=df)


def _within_failed(statistics: ProgramStatistics, k: int, responding: Bools) -> float:
    """Return the standard deviation of one cell's failed readings at a level; NaN if not known."""
    twice = responding & (statistics.failures[k] > 1)
    sample = statistics.sample
    y, level = sample.conductance[:, twice], sample.level[:, twice]
    failed = np.isfinite(y) & (level == k) & ~sample.accepted[:, twice]
    x = grouped(y, level, failed, k + 1)
    n, q = x.n[k], x.squares[k]
    known = n > 1
    if known.sum() < _FEWEST_TWICE:
        return math.nan
    nu = n[known] - 1
    return math.sqrt(float(np.median(q[known] / nu)) / float(1 - 2 / (9 * np.median(nu))) ** 3)


def log_responding(
    accepted: Groups, failed: Groups, at: LevelSpread, state: ReadingStates, *, width: float
) -> Floats:
    """Compute the log-density of the readings of cells that respond, (cell,).

    Parameters
    ----------
    accepted, failed : Groups
        By level.
    at : LevelSpread
    state : ReadingStates
        Of failed readings.
    width : float
        Range of all readings [S].
    """
    levels = accepted_states(at)
    anywhere = [_log_anywhere(failed, k, width) for k in range(len(at.centre))]
    parts = []
    for wider, share in _OFFSETS:
        apart = np.zeros(accepted.n.shape[1])
        together = _Deviations.none(len(apart))
        for k in range(len(at.centre)):
            if np.isfinite(at.centre[k]):
                of_level = _Deviations.of(accepted, k, levels, wider)
                apart += of_level.log_t(levels.df)
                together += of_level
            log_p = anywhere[k]
            if np.isfinite(state.centre[k]):
                of_failed = _Deviations.of(failed, k, state, wider)
                known = math.log1p(-_ANYTHING) + of_failed.log_t(state.df)
                log_p = np.logaddexp(known, math.log(_ANYTHING) + log_p)
                together += of_failed
            apart += np.where(failed.n[k] > 0, log_p, 0.0)
        parts += [math.log(share) + apart, math.log(share) + together.log_t(state.df)]
    unknown = (failed.n[~np.isfinite(state.centre)] > 0).any(axis=0)
    parts = [np.where(unknown & (i % 2 == 1), -np.inf, x) for i, x in enumerate(parts)]
    usual = special.logsumexp(parts, axis=0) - math.log(2)
    short = _log_short(_joined(accepted, failed), at, width)
    return np.logaddexp(math.log1p(-_SHORT) + usual, math.log(_SHORT) + short)


def _joined(a: Groups, b: Groups) -> Groups:
    """Join the readings of two disjoint groups."""
    n = a.n + b.n
    some = np.maximum(n, 1)
    return Groups(
        n=n,
        mean=(a.n * a.mean + b.n * b.mean) / some,
        squares=a.squares + b.squares + a.n * b.n / some * (a.mean - b.mean) ** 2,
    )


def _log_short(x: Groups, at: LevelSpread, width: float) -> Floats:
    """Log-density of readings y = α + β·c_k + σ·ε that follow the target, β from 1/4 to 5/4."""
    seen = np.isfinite(at.centre)
    n, y, c = x.n[seen], x.mean[seen], at.centre[seen][:, None]
    total = np.maximum(n.sum(axis=0), 1)
    c_off, y_off = c - (n * c).sum(axis=0) / total, y - (n * y).sum(axis=0) / total
    sxx = (n * c_off**2).sum(axis=0)
    slope = (n * c_off * y_off).sum(axis=0) / np.maximum(sxx, 1e-300)
    rest = x.squares[seen].sum(axis=0) + (n * (y_off - slope * c_off) ** 2).sum(axis=0)
    log_p = _integrated(total - 2, rest, 1e-4 * width, width)
    log_p = log_p - 0.5 * np.log(np.maximum(total * sxx, 1e-300)) - math.log(width)
    follows = (sxx > 0) & (total > 2) & (slope > SLOPE) & (slope < 1 + SLOPE)
    return np.asarray(np.where(follows, log_p, -np.inf), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deviations:
    """Sums over readings y = μ_k + b_k·z + w_k·ε of one cell, with z and ε standard, (cell,)."""

    n: Floats
    log_within: Floats  # Σ ln w²
    a: Floats  # 1 + Σ b²/w²
    b: Floats  # Σ b·(y − μ)/w²
    c: Floats  # Σ (y − μ)²/w²

    @classmethod
    def none(cls, cells: int) -> _Deviations:
        zero = np.zeros(cells)
        return cls(n=zero, log_within=zero, a=zero + 1, b=zero, c=zero)

    @classmethod
    def of(cls, x: Groups, k: int, state: ReadingStates, wider: float) -> _Deviations:
        n, w2 = x.n[k], max(float(state.within[k]) ** 2, 1e-300)
        offset, own = x.mean[k] - state.centre[k], wider * float(state.between[k])
        return cls(
            n=n,
            log_within=n * math.log(w2),
            a=1 + n * own**2 / w2,
            b=n * own * offset / w2,
            c=np.where(n > 0, (x.squares[k] + n * offset**2) / w2, 0.0),
        )

    def __add__(self, other: _Deviations) -> _Deviations:
        return _Deviations(
            n=self.n + other.n,
            log_within=self.log_within + other.log_within,
            a=self.a + other.a - 1,
            b=self.b + other.b,
            c=self.c + other.c,
        )

    def log_t(self, df: float) -> Floats:
        """Log-density as one multivariate t; 0 without readings."""
        n, distance = self.n, self.c - self.b**2 / self.a
        out = special.gammaln(0.5 * (df + n)) - special.gammaln(0.5 * df)
        out = out - 0.5 * (n * math.log(df * math.pi) + self.log_within + np.log(self.a))
        out = out - 0.5 * (df + n) * np.log1p(np.maximum(distance, 0.0) / df)
        return np.asarray(np.where(n > 0, out, 0.0), dtype=np.float64)


def _log_anywhere(x: Groups, k: int, width: float) -> Floats:
    """Log-density of readings about any mean, with any σ up to `width`."""
    n = x.n[k]
    log_p = _integrated(n - 1, x.squares[k], 1e-4 * width, width)
    return np.asarray(log_p - 0.5 * np.log(np.maximum(n, 1)) - math.log(width), dtype=np.float64)


def log_stuck(
    x: Groups, side: NDArray[np.int8], at: LevelSpread, *, bounds: tuple[float, float]
) -> Floats:
    """Compute the log-density of the readings of stuck cells of each kind, (kind, cell).

    A kind is a range of σ and a place: first anywhere on the side, then at the outermost level.

    Parameters
    ----------
    x : Groups
        Of all programmed readings of each cell, (cell,).
    side : (cell,) int8 array
        Codes of `sides_of`.
    at : LevelSpread
    bounds : (float, float)
        Lowest and highest reading [S].
    """
    w = healthy_motion(x.mean, at)
    edge = w * _EDGES[:, None]
    edge[-1] = np.maximum(edge[-1], bounds[1] - bounds[0])
    motion = np.stack([_integrated(x.n - 1, x.squares, *ends) for ends in itertools.pairwise(edge)])
    motion = motion - 0.5 * np.log(np.maximum(x.n, 1))
    anywhere, at_end = _log_place(x.mean, side, at, bounds)
    return np.concatenate([anywhere + motion, at_end + motion])


def healthy_motion(mean: Floats, at: LevelSpread) -> Floats:
    """Return the standard deviation between programmings of healthy cells at a conductance [S].

    It is interpolated between the levels, and constant outside of them.
    """
    seen = np.isfinite(at.centre)
    within = np.where(np.isnan(at.within), at.spread, at.within)[seen]
    order = np.argsort(at.centre[seen])
    out: Floats = np.interp(mean, at.centre[seen][order], within[order])
    return np.maximum(out, 1e-300)


def _log_place(
    mean: Floats, side: NDArray[np.int8], at: LevelSpread, bounds: tuple[float, float]
) -> tuple[Floats, Floats]:
    """Log-density of the mean of a stuck cell: anywhere on its side, and at the outermost level."""
    low, high = at.ends
    above, below = edges(at) if at.resolvable else (bounds[1], bounds[0])
    anywhere = np.full(mean.shape, -math.log(max(below - above, 1e-300)))
    at_end = np.full(mean.shape, -np.inf)
    for code, k, length in ((LOW, low, above - bounds[0]), (HIGH, high, bounds[1] - below)):
        s = max(float(at.spread[k]), 1e-300)
        here = side == code
        anywhere[here] = -math.log(max(length, s))
        z = (mean[here] - at.centre[k]) / s
        at_end[here] = -0.5 * z**2 - math.log(s * math.sqrt(2 * math.pi))
    return anywhere, at_end


def _integrated(df: Floats, squares: Floats, low: Floats | float, high: Floats | float) -> Floats:
    """Log of ∫ (2πσ²)^(-df/2)·exp(-squares/2σ²), ln σ uniform between two limits; 0 for df ≤ 0."""
    steps = (np.arange(_STEPS) + 0.5)[:, None] / _STEPS
    log_sigma = np.log(low) + (np.log(high) - np.log(low)) * steps
    terms = -0.5 * df * (math.log(2 * math.pi) + 2 * log_sigma)
    terms = terms - 0.5 * squares * np.exp(-2 * log_sigma)
    out = special.logsumexp(terms, axis=0) - math.log(_STEPS)
    return np.asarray(np.where(df > 0, out, 0.0), dtype=np.float64)
