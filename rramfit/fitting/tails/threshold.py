"""Choice of the threshold beyond which a tail is generalised Pareto.

A low threshold has many readings beyond it and a bias, because the limit is not reached; a high one
has few readings. Candidates have from 2.5·√n exceedances, at most a tenth of the readings, down to
30, each 1/√2 of the one before. n is the number of independent readings: at 2.5·√n the bias of an
extrapolated quantile stays below half of its standard error for normal, lognormal and Student's t
tails. The lowest threshold is taken at which an Anderson–Darling test does not reject at 10 %
(after Bader, Yan and Zhang, Annals of Applied Statistics 12 (2018) 310); if all are rejected, the
one with the largest p-value, and the choice is marked. Cells are the units of the test, so that
cycles of one cell do not count as evidence.

That the limit is not reached remains uncertain at any threshold. Intervals of what is extrapolated
therefore span those of the chosen threshold and of one with half as many exceedances.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.fitting.statistics.goodness import quadratic_p_value
from rramfit.fitting.statistics.inference import Driver
from rramfit.fitting.tails.pareto import (
    SHAPE_LIMITS,
    ParetoTail,
    estimate_pareto,
    fit_pareto,
    log_survival,
)
from rramfit.fitting.tails.sample import TailSample, design_effect, influence_effect

__all__ = ["FEWEST", "Candidate", "TailFit", "fit_tail"]

Floats = NDArray[np.float64]
Interval = tuple[float, float]

FEWEST = 30
"""Independent exceedances that the highest threshold needs."""

_MOST_PER_ROOT, _MOST_SHARE = 2.5, 0.1
_ACCEPTED = 0.1  # p-value
_FEWEST_DIFFERENT = 10  # distinct readings beyond a threshold: fewer are steps of a converter
_COARSE = (
    f"readings beyond a threshold have fewer than {_FEWEST_DIFFERENT} different values; read with "
    "a finer converter range"
)
_Z = np.linspace(-2.5, 2.5, 16)
_T = special.ndtr(_Z)
_WEIGHT = (_Z[1] - _Z[0]) * np.exp(-0.5 * _Z**2) / math.sqrt(2 * math.pi) / (_T * (1 - _T))


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One threshold that was tried.

    Attributes
    ----------
    threshold : float
        [S]
    exceedances : int
    mean_excess : float
        Mean of x − u beyond it, in the unit of x.
    shape : float
        ξ.
    shape_error : float
        Standard error of ξ.
    p_value : float
        Of the Anderson–Darling test.
    """

    threshold: float
    exceedances: int
    mean_excess: float
    shape: float
    shape_error: float
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TailFit:
    """Extreme-value fit of one tail of a level.

    Attributes
    ----------
    sample : TailSample
    pareto : ParetoTail
        Beyond the chosen threshold.
    higher : ParetoTail
        Beyond the threshold with half as many exceedances.
    tried : tuple of Candidate
        Lowest threshold first.
    chosen : int
        Which of them was taken.
    limit : float, optional
        Verify limit [S] that no accepted reading can be beyond.
    """

    sample: TailSample
    pareto: ParetoTail
    higher: ParetoTail
    tried: tuple[Candidate, ...]
    chosen: int
    limit: float | None = None

    @property
    def accepted(self) -> bool:
        """Whether the test accepted the chosen threshold."""
        return self.tried[self.chosen].p_value >= _ACCEPTED

    def conductance(self, probability: float) -> tuple[float, Interval]:
        """Return the conductance that a share of the readings is beyond, and its interval [S].

        Parameters
        ----------
        probability : float
            At most that of the higher threshold.
        """
        value, found = self.pareto.quantile(probability)
        other = self.higher.quantile(probability)[1]
        ends = self.sample.to_conductance(np.array([value, *found, *other]))
        if self.limit is not None:
            bound = np.minimum if self.sample.side == "upper" else np.maximum
            ends = bound(ends, self.limit)
        return float(ends[0]), (float(ends.min()), float(ends.max()))

    def log_share_beyond(self, conductance: float) -> tuple[float, Interval] | None:
        """Return ln of the share of readings beyond a conductance, and its interval.

        None if it is not beyond the threshold.
        """
        x = float(self.sample.to_x(conductance))
        if not x >= self.pareto.threshold:
            return None
        if self.limit is not None and x >= float(self.sample.to_x(self.limit)):
            return -math.inf, (-math.inf, -math.inf)
        value, (low, high) = self.pareto.log_exceedance(x)
        if x >= self.higher.threshold:
            other = self.higher.log_exceedance(x)[1]
            low, high = min(low, other[0]), max(high, other[1])
        return value, (low, high)


def fit_tail(
    sample: TailSample, attempts: Floats, driver: Driver | None, *, limit: float | None = None
) -> TailFit | str:
    """Choose a threshold and fit the tail beyond it; the reason if there is no fit.

    Parameters
    ----------
    sample : TailSample
    attempts : (row, col) array
        Number of readings of each cell.
    driver : Driver or None
        Smooth field and line offsets of the level.
    limit : float, optional
        Verify limit [S] that no accepted reading can be beyond.
    """
    n = sample.x.size
    first = min(n // 10, int(_MOST_PER_ROOT * math.sqrt(n)))
    if first < FEWEST:
        return f"{n} readings are too few; an extreme-value fit needs {10 * FEWEST}"
    if np.unique(sample.x[-first:]).size < _FEWEST_DIFFERENT:
        return _COARSE
    rate_effect, effect = _effects(sample, sample.x[-first - 1], attempts, driver)
    independent = n / effect
    most = int(min(_MOST_PER_ROOT * math.sqrt(independent), _MOST_SHARE * independent) * effect)
    least = math.ceil(FEWEST * effect)
    if most < least:
        return (
            f"{n} readings count as {int(independent)} independent ones, because readings beyond a "
            f"threshold gather in cells or lines; an extreme-value fit needs {10 * FEWEST}"
        )
    sizes = [round(most * 2 ** (-0.5 * i)) for i in range(64) if most * 2 ** (-0.5 * i) >= least]
    cuts = dict.fromkeys(u for k in sizes if (u := _between(sample.x, k)) is not None)
    tried = []
    for u in cuts:
        beyond = sample.x > u
        excess = sample.x[beyond] - u
        if np.unique(excess).size >= _FEWEST_DIFFERENT:
            tried.append((u, _candidate(sample, u, excess, sample.cell[beyond], effect)))
    if not tried:
        return _COARSE
    passed = [i for i, (_, c) in enumerate(tried) if c.p_value >= _ACCEPTED]
    at = passed[0] if passed else max(range(len(tried)), key=lambda i: tried[i][1].p_value)
    u, chosen = tried[at]
    half = _between(sample.x, max(chosen.exceedances // 2, 3))
    cut = u if half is None or np.unique(sample.x[sample.x > half]).size < 3 else half
    found = [
        fit_pareto(sample.x[sample.x > v] - v, v, n, design_effect=effect, rate_effect=rate_effect)
        for v in (u, cut)
    ]
    return TailFit(
        sample=sample,
        pareto=found[0],
        higher=found[1],
        tried=tuple(c for _, c in tried),
        chosen=at,
        limit=limit,
    )


def _effects(
    sample: TailSample, threshold: float, attempts: Floats, driver: Driver | None
) -> tuple[float, float]:
    """Return the design effects of the number of readings beyond a threshold, and of their fit."""
    beyond = sample.x > threshold
    place = sample.position[sample.cell[beyond]]
    count = np.bincount(place, minlength=attempts.size).astype(np.float64)
    excess = sample.x[beyond] - threshold
    shape, scale = estimate_pareto(excess)
    influence = np.linalg.solve(_information(shape), _score(excess / scale, shape))
    influence -= influence.mean(axis=1, keepdims=True)
    sums = [np.bincount(place, row, attempts.size) for row in influence]
    by_cell = np.asarray(sums, dtype=np.float64).reshape(-1, *attempts.shape)
    return (
        design_effect(count.reshape(attempts.shape), attempts, driver),
        influence_effect(by_cell, (influence**2).sum(axis=1), driver),
    )


def _between(x: Floats, exceedances: int) -> float | None:
    """Return a threshold between two different readings with about as many beyond it."""
    at = x.size - exceedances
    low = int(np.searchsorted(x, x[at], side="left"))  # equal readings stay on one side
    return None if low == 0 else float(0.5 * (x[low - 1] + x[low]))


def _candidate(
    sample: TailSample, threshold: float, excess: Floats, cell: NDArray[np.int64], effect: float
) -> Candidate:
    shape, scale = estimate_pareto(excess)
    k = excess.size
    return Candidate(
        threshold=float(sample.to_conductance(threshold)),
        exceedances=k,
        mean_excess=float(excess.mean()),
        shape=shape,
        shape_error=(1 + shape) * math.sqrt(effect / k),
        p_value=_goodness(excess, cell, shape, scale),
    )


def _goodness(excess: Floats, cell: NDArray[np.int64], shape: float, scale: float) -> float:
    """Return the p-value of the Anderson–Darling test, with cells as independent units.

    As `rramfit.fitting.statistics.goodness` does it for a whole level: the weights of the χ² sum
    are those of the empirical process less what the fit of both parameters takes out of it.
    """
    k = excess.size
    u = -np.expm1(log_survival(excess, scale, shape))
    _, own = np.unique(cell, return_inverse=True)
    score = _score(excess / scale, shape)  # (2, k) by shape and ln scale
    free = [0, 1] if SHAPE_LIMITS[0] < shape < SHAPE_LIMITS[1] else [1]
    information = _information(shape)[np.ix_(free, free)]
    at = scale * _standard_excess(1 - _T, shape)
    slope = _by_parameters(lambda a, b: -np.exp(log_survival(at, scale * math.exp(b), a)), shape)
    psi = (u[:, None] <= _T) - _T
    statistic = float((_WEIGHT * psi.sum(axis=0) ** 2).sum()) / k
    psi = psi - np.linalg.solve(information, score[free]).T @ slope[free]
    by_cell = np.zeros((int(own.max()) + 1, _T.size))
    np.add.at(by_cell, own, psi * np.sqrt(_WEIGHT / k))
    spectrum = np.maximum(np.linalg.eigvalsh(by_cell.T @ by_cell), 0.0)
    return quadratic_p_value(statistic, spectrum)


def _standard_excess(share: Floats, shape: float) -> Floats:
    """Return the excess over σ that a share is beyond."""
    depth = -np.log(share)
    return np.asarray(depth if abs(shape) < 1e-9 else np.expm1(shape * depth) / shape)


def _score(w: Floats, shape: float) -> Floats:
    """Return the gradient of ln f by (ξ, ln σ) at excesses w in units of σ, (2, k)."""
    xi = shape if abs(shape) > 1e-5 else 1e-5
    inner = np.maximum(1 + xi * w, 1e-12)
    return np.stack([np.log(inner) / xi**2 - (1 + 1 / xi) * w / inner, -1 + (1 + xi) * w / inner])


def _information(shape: float) -> Floats:
    """Return the expected information of an excess on (ξ, ln σ), (2, 2) (Smith, 1987)."""
    xi = max(shape, -0.499)
    one, two = 1 + xi, 1 + 2 * xi
    return np.array([[2 / (one * two), 1 / (one * two)], [1 / (one * two), 1 / two]])


def _by_parameters(function: Callable[[float, float], Floats], shape: float) -> Floats:
    """Differentiate a function of (ξ, change of ln σ) at the estimate, (2, t)."""
    h = 1e-5
    return np.stack(
        [
            (function(shape + h, 0.0) - function(shape - h, 0.0)) / (2 * h),
            (function(shape, h) - function(shape, -h)) / (2 * h),
        ]
    )
