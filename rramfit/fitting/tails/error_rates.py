"""Raw error rate of two neighbouring levels at a read threshold.

With both levels equally frequent, a threshold t misreads e = ½·[P(y_a > t) + P(y_b ≤ t)] for the
level below, a, and above, b. Three estimates of it:

    counted    readings on the wrong side, of accepted readings of healthy cells, and of all
               attempts, which includes failed attempts and stuck cells; an assumption-free bound
               where none was seen
    fitted     by the distribution family of both levels
    extreme    by the generalised Pareto tails of both levels (`rramfit.fitting.tails.threshold`);
               a side whose threshold is not in the tail is counted

Shares that are counted have Jeffreys intervals for an effective number of readings
(`rramfit.fitting.failure.shares`). Intervals of a mean of two shares combine theirs (MOVER; Zou and
Donner, Statistics in Medicine 27 (2008) 1693).

One misread level is one wrong bit in Gray code, so that a cell of K levels has the bit error rate
Σ 2e/(K·log₂K) over its K − 1 thresholds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.card.quantity import Quantity
from rramfit.fitting.failure.shares import jeffreys
from rramfit.fitting.levels.level_fit import LevelFit
from rramfit.fitting.levels.thresholds import cdf_slope
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.statistics.inference import Driver
from rramfit.fitting.statistics.influence import combine, part_errors
from rramfit.fitting.tails.sample import design_effect
from rramfit.fitting.tails.threshold import TailFit

__all__ = ["ErrorRate", "bit_error_rate", "extreme_rate", "fit_error_rate", "mean_of_shares"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRate:
    """Raw error rate of two neighbouring levels.

    Attributes
    ----------
    lower, upper : int
        Levels.
    threshold : float
        [S]
    given : bool
        Whether the threshold was given, and not found as the best one.
    n_lower, n_upper : int
        Accepted readings of healthy cells at each level.
    errors : int
        Of these, on the wrong side.
    counted, with_failures : Quantity
        Accepted readings of healthy cells, and all attempts.
    fitted, extreme : Quantity, optional
    """

    lower: int
    upper: int
    threshold: float
    given: bool
    n_lower: int
    n_upper: int
    errors: int
    counted: Quantity
    with_failures: Quantity
    fitted: Quantity | None
    extreme: Quantity | None


def fit_error_rate(
    statistics: ProgramStatistics,
    healthy: Bools,
    below: LevelFit,
    above: LevelFit,
    threshold: float,
    *,
    tails: tuple[TailFit | None, TailFit | None],
    given: bool,
) -> ErrorRate | None:
    """Estimate the raw error rate at a threshold; None if a level has no reading.

    Parameters
    ----------
    statistics : ProgramStatistics
    healthy : (row, col) bool array
    below, above : LevelFit
    threshold : float
        [S]
    tails : (TailFit or None, TailFit or None)
        Upper tail of the level below, lower tail of the level above.
    given : bool
        Whether the threshold was given.
    """
    if below.readings.n == 0 or above.readings.n == 0:
        return None
    shares, every, errors = [], [], 0
    for level, upwards in ((below, True), (above, False)):
        wrong, n = _misread(statistics, level.index, threshold, healthy, upwards=upwards)
        shares.append(_share(wrong, n, level.driver))
        errors += int(wrong.sum())
        wrong, n = _misread(statistics, level.index, threshold, None, upwards=upwards)
        every.append(_share(wrong, n, None))
    return ErrorRate(
        lower=below.index,
        upper=above.index,
        threshold=threshold,
        given=given,
        n_lower=below.readings.n,
        n_upper=above.readings.n,
        errors=errors,
        counted=mean_of_shares(shares),
        with_failures=mean_of_shares(every),
        fitted=_fitted(below, above, threshold),
        extreme=extreme_rate(shares, tails, threshold),
    )


def _misread(
    statistics: ProgramStatistics,
    level: int,
    threshold: float,
    healthy: Bools | None,
    *,
    upwards: bool,
) -> tuple[Floats, Floats]:
    """Return the misread and all readings of each cell, (row, col).

    Accepted readings of healthy cells, or all attempts if `healthy` is None.
    """
    sample = statistics.sample
    y = sample.conductance
    use = (sample.level == level) & np.isfinite(y)
    if healthy is not None:
        use &= sample.accepted & healthy
    with np.errstate(invalid="ignore"):
        wrong = use & ((y > threshold) if upwards else (y <= threshold))
    return wrong.sum(axis=0).astype(np.float64), use.sum(axis=0).astype(np.float64)


def _share(wrong: Floats, n: Floats, driver: Driver | None) -> Quantity:
    effect = design_effect(wrong, n, driver)
    return jeffreys(float(wrong.sum()) / effect, float(n.sum()) / effect)


def mean_of_shares(shares: Sequence[Quantity], weights: Sequence[float] = ()) -> Quantity:
    """Return the weighted sum of independent shares, by default their mean.

    Parameters
    ----------
    shares : sequence of Quantity
        With intervals.
    weights : sequence of float, optional
    """
    w = list(weights) or [1 / len(shares)] * len(shares)
    value = sum(a * q.value for a, q in zip(w, shares, strict=True))
    down = up = variance = 0.0
    for a, q in zip(w, shares, strict=True):
        low, high = q.ci95 or (q.value, q.value)
        down += (a * (q.value - low)) ** 2
        up += (a * (high - q.value)) ** 2
        variance += (a * (q.stderr or 0.0)) ** 2
    least = sum(a * (q.ci95 or (q.value,))[0] for a, q in zip(w, shares, strict=True))
    low = max(value - math.sqrt(down), least, 0.0)
    return Quantity.within(
        value, math.sqrt(variance), "1", (min(low, value), value + math.sqrt(up))
    )


def _fitted(below: LevelFit, above: LevelFit, threshold: float) -> Quantity | None:
    """Return the rate of the two fitted families."""
    if below.distribution is None or above.distribution is None:
        return None
    at = np.array(threshold)
    rate = 0.5 * float(below.distribution.sf(at) + above.distribution.cdf(at))
    if not rate > 0:
        return Quantity.given(0.0, "1")
    if below.threshold is not None and below.overlap and threshold == below.threshold.value:
        return below.overlap
    parts = (
        below.distribution.influence.through(-0.5 * cdf_slope(below.distribution, at)[None]),
        above.distribution.influence.through(0.5 * cdf_slope(above.distribution, at)[None]),
    )
    errors = [
        part_errors({"rate": part}, level.driver)["rate"]
        for part, level in zip(parts, (below, above), strict=True)
    ]
    unknown = np.array([[1.0, np.nan], [np.nan, 1.0]])
    error, df = combine(parts, errors, unknown)
    return Quantity.estimated(rate, float(error[0]), "1", scale="log", df=float(df[0]))


def extreme_rate(
    shares: Sequence[Quantity], tails: tuple[TailFit | None, TailFit | None], threshold: float
) -> Quantity | None:
    """Return the rate of the two Pareto tails; None if one is not known.

    Parameters
    ----------
    shares : (2,) sequence of Quantity
        Counted share misread of the level below, and of the level above: used for a side whose
        threshold is not in its tail.
    tails : (TailFit or None, TailFit or None)
        Upper tail of the level below, lower tail of the level above.
    threshold : float
        [S]
    """
    found = []
    for share, tail in zip(shares, tails, strict=True):
        if tail is None:
            return None
        beyond = tail.log_share_beyond(threshold)
        if beyond is None:
            found.append(share)
            continue
        value, low, high = (math.exp(x) for x in (beyond[0], *beyond[1]))
        found.append(Quantity.within(value, (high - low) / 3.92, "1", (low, high)))
    return mean_of_shares(found)


def bit_error_rate(rates: Sequence[Quantity], levels: int) -> Quantity:
    """Return the bit error rate of cells in Gray code, from the rates of their thresholds.

    Parameters
    ----------
    rates : (levels − 1,) sequence of Quantity
    levels : int
        At least 2.
    """
    return mean_of_shares(rates, [2 / (levels * math.log2(levels))] * len(rates))
