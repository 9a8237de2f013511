"""Distribution of the cycles that cells last: Weibull or lognormal, by maximum likelihood.

Both are location-scale families of the logarithm of the number of cycles t, with
z = (ln t − μ)/σ and survival S(t):

    Weibull     S = exp(−e^z)     shape 1/σ, scale e^μ
    lognormal   S = Φ(−z)         median e^μ, sigma σ

A life in (low, high] that is known only if it exceeds `entry` contributes

    ln [S(low) − S(high)] − ln S(entry)

(interval censoring with left truncation; Meeker and Escobar, Statistical Methods for Reliability
Data, 1998, chapters 7 and 11). Intervals are by profile likelihood: the values that a fit with the
other parameter free reaches with a loss of at most χ²₁(0.95)/2 of the log-likelihood.

lifelines, which fits such data, does not run with pandas 3, and reliability has no interval
censoring; tests compare with the numbers of lifelines.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from rramfit.card.quantity import Quantity

__all__ = [
    "FAMILIES",
    "HALF_CHI2",
    "LifeDistribution",
    "Lives",
    "fit_life_distribution",
    "log_survival",
    "negative_log_likelihood",
    "profile_limit",
    "survival",
]

Floats = NDArray[np.float64]

FAMILIES = ("weibull", "lognormal")

HALF_CHI2 = 1.920729410347062
"""Half of the 95 % quantile of χ² with 1 degree of freedom."""
_SIGMA = (math.log(0.01), math.log(30.0))  # limits of ln σ; at one of them, no fit
_FAR = 1e12  # cap of the negative log-likelihood and its gradient, far from the optimum
_REACH = 60.0  # a limit of ln t is searched for this far


@dataclass(frozen=True, slots=True, kw_only=True)
class Lives:
    """Distinct intervals that contain lives, and how many cells are in each.

    Attributes
    ----------
    low, high : (kind,) array
        Cycles; the life is in (low, high].
    count : (kind,) array
        Number of cells.
    entry : float
        Cells are known to have survived this count.
    """

    low: Floats
    high: Floats
    count: Floats
    entry: float

    @classmethod
    def of(cls, low: Floats, high: Floats, entry: float) -> Lives:
        """Count the distinct intervals among (cell,) limits."""
        ends, of = np.unique(np.concatenate([low, high]), return_inverse=True)
        pair = of.reshape(-1)[: len(low)] * len(ends) + of.reshape(-1)[len(low) :]
        kinds, count = np.unique(pair, return_counts=True)
        low_at, high_at = np.divmod(kinds, len(ends))
        return cls(low=ends[low_at], high=ends[high_at], count=count.astype(float), entry=entry)

    @property
    def failures(self) -> float:
        """Number of cells that failed."""
        return float(self.count[np.isfinite(self.high)].sum())

    @property
    def failing_intervals(self) -> int:
        """Number of distinct intervals with failures."""
        return int(np.isfinite(self.high).sum())


def survival(family: str, mu: float, sigma: float, cycles: Floats) -> Floats:
    """Return the share of cells that outlive the given cycle counts."""
    return np.asarray(np.exp(log_survival(family, mu, sigma, cycles)))


def log_survival(family: str, mu: float, sigma: float, cycles: Floats) -> Floats:
    """Return ln S at the given cycle counts; 0 at 0 cycles, −∞ at infinity."""
    with np.errstate(divide="ignore", over="ignore"):
        z = (np.log(cycles) - mu) / sigma
        if family == "weibull":
            return np.asarray(-np.exp(np.minimum(z, 500.0)))
        return np.asarray(special.log_ndtr(-z))


def _hazard(family: str, z: Floats) -> Floats:
    """Return −d ln S/dz; 0 at z = −∞."""
    with np.errstate(over="ignore", under="ignore"):
        if family == "weibull":
            return np.asarray(np.exp(np.minimum(z, 500.0)))
        z = np.where(np.isfinite(z), z, -1e9)
        return np.asarray(np.exp(-(z**2) / 2 - special.log_ndtr(-z)) / math.sqrt(2 * math.pi))


def negative_log_likelihood(
    family: str, mu: float, log_sigma: float, lives: Lives
) -> tuple[float, Floats]:
    """Return the negative log-likelihood and its gradient with respect to (μ, ln σ).

    Parameters
    ----------
    family : {"weibull", "lognormal"}
    mu, log_sigma : float
        Of ln cycles.
    lives : Lives
    """
    sigma = math.exp(log_sigma)
    failed = np.isfinite(lives.high)
    high = np.where(failed, lives.high, lives.low)
    edges = np.stack([lives.low, high, np.full_like(lives.low, lives.entry)])
    with np.errstate(divide="ignore"):
        z = (np.log(edges) - mu) / sigma
    log_s = log_survival(family, mu, sigma, edges)
    h = _hazard(family, z)
    hz = h * np.where(np.isfinite(z), z, 0.0)
    drop = np.minimum(log_s[1] - log_s[0], -1e-200)  # ln S(high)/S(low)
    within = np.where(failed, np.log(-np.expm1(drop)), 0.0)
    with np.errstate(over="ignore"):
        weight = np.where(failed, 1 / np.expm1(-drop), 0.0)  # S(high)/(S(low) − S(high))
    nll = -float(lives.count @ (log_s[0] - log_s[2] + within))
    with np.errstate(over="ignore", invalid="ignore"):  # far from the optimum
        by_mu = (h[0] - h[2] + weight * (h[0] - h[1])) / sigma
        by_log_sigma = hz[0] - hz[2] + weight * (hz[0] - hz[1])
        gradient = -np.array([lives.count @ by_mu, lives.count @ by_log_sigma])
    return min(nll, _FAR), np.clip(np.nan_to_num(gradient), -_FAR, _FAR)


def _quantile(family: str, p: float) -> float:
    """Return z at which a share p has failed."""
    return math.log(-math.log1p(-p)) if family == "weibull" else float(special.ndtri(p))


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeDistribution:
    """One fitted family, with profile-likelihood intervals.

    Attributes
    ----------
    family : {"weibull", "lognormal"}
    mu, sigma : float
        Mean-like location and scale of ln cycles.
    log_likelihood : float
    shape : Quantity, optional
        Weibull only: 1/σ.
    spread : Quantity, optional
        Lognormal only: σ.
    scale : Quantity
        [cycles] e^μ: 63.2 % of cells have failed (Weibull), or half of them (lognormal).
    one_percent : Quantity
        [cycles] at which 1 % of cells have failed.
    unbounded : tuple of str
        Quantities whose upper or lower limit the data do not determine.
    """

    family: str
    mu: float
    sigma: float
    log_likelihood: float
    scale: Quantity
    one_percent: Quantity
    shape: Quantity | None = None
    spread: Quantity | None = None
    unbounded: tuple[str, ...] = ()

    def survival(self, cycles: Floats) -> Floats:
        """Return the share of cells that outlive the given cycle counts."""
        return survival(self.family, self.mu, self.sigma, cycles)

    def hazard(self, cycles: Floats) -> Floats:
        """Return the failures per cycle, of the cells that still work [1/cycle]."""
        z = (np.log(cycles) - self.mu) / self.sigma
        return np.asarray(_hazard(self.family, z) / (self.sigma * cycles))


def fit_life_distribution(family: str, lives: Lives) -> LifeDistribution | None:
    """Fit one family; return None if the data do not determine its two parameters.

    Parameters
    ----------
    family : {"weibull", "lognormal"}
    lives : Lives
    """
    ends = np.concatenate([lives.low, lives.high[np.isfinite(lives.high)]])
    centre = math.log(max(float(np.median(ends)), 1.0))

    def nll(x: Floats) -> tuple[float, Floats]:
        return negative_log_likelihood(family, float(x[0]), float(x[1]), lives)

    bounds = [(centre - _REACH, centre + _REACH), _SIGMA]
    starts = [(centre + shift, s) for shift in (0.0, 3.0) for s in (math.log(0.5), math.log(2.0))]
    best = min(
        (optimize.minimize(nll, x, jac=True, method="L-BFGS-B", bounds=bounds) for x in starts),
        key=lambda found: float(found.fun),
    )
    mu, log_sigma = (float(v) for v in best.x)
    if any(abs(log_sigma - edge) < 0.05 for edge in _SIGMA) or abs(mu - centre) > _REACH - 1:
        return None
    loss = float(best.fun) + HALF_CHI2
    open_ends: list[str] = []

    def limits(name: str, place: Callable[[float, float], float], value: float) -> Quantity:
        """Profile one function of (free, ln σ) that `place` maps to μ."""
        low, high = (_limit(lives, family, place, value, side, loss, log_sigma) for side in (-1, 1))
        if not math.isfinite(low + high):
            open_ends.append(name)
        low, high = max(low, value - _REACH), min(high, value + _REACH)
        return _exponential(value, low, high, "cycles")

    z_one = _quantile(family, 0.01)
    scale = limits("scale", lambda x, _: x, mu)
    one = limits(
        "one_percent", lambda x, s: x - z_one * math.exp(s), mu + z_one * math.exp(log_sigma)
    )
    of_sigma = [_sigma_limit(lives, family, log_sigma, side, loss, mu) for side in (-1, 1)]
    if not all(math.isfinite(x) for x in of_sigma):
        open_ends.append("shape" if family == "weibull" else "spread")
    low, high = max(of_sigma[0], _SIGMA[0]), min(of_sigma[1], _SIGMA[1])
    weibull = family == "weibull"
    return LifeDistribution(
        family=family,
        mu=mu,
        sigma=math.exp(log_sigma),
        log_likelihood=-float(best.fun),
        scale=scale,
        one_percent=one,
        shape=_exponential(-log_sigma, -high, -low, "1") if weibull else None,
        spread=None if weibull else _exponential(log_sigma, low, high, "1"),
        unbounded=tuple(open_ends),
    )


def _exponential(value: float, low: float, high: float, unit: str) -> Quantity:
    """Return e^value with its limits; the standard error is that of an interval of this width."""
    ends = (math.exp(low), math.exp(high))
    stderr = math.exp(value) * (high - low) / (2 * 1.959963984540054)
    return Quantity.within(math.exp(value), stderr, unit, ends)


def _limit(
    lives: Lives,
    family: str,
    place: Callable[[float, float], float],
    value: float,
    side: int,
    loss: float,
    log_sigma: float,
) -> float:
    """Return where the profile of `place`'s first argument reaches `loss`; ±∞ if nowhere."""

    def profile(x: float) -> float:
        def at(s: float) -> float:
            return negative_log_likelihood(family, place(x, s), s, lives)[0]

        return _least(at, log_sigma)

    return profile_limit(profile, value, side, loss, _REACH)


def _sigma_limit(
    lives: Lives, family: str, log_sigma: float, side: int, loss: float, mu: float
) -> float:
    """Return where the profile of ln σ reaches `loss`; ±∞ if within its limits it does not."""

    def profile(s: float) -> float:
        return _least(lambda m: negative_log_likelihood(family, m, s, lives)[0], mu)

    reach = (_SIGMA[1] - log_sigma) if side > 0 else (log_sigma - _SIGMA[0])
    return profile_limit(profile, log_sigma, side, loss, reach)


def _least(function: Callable[[float], float], start: float) -> float:
    """Return the minimum over one free parameter, near and around `start`."""
    found = optimize.minimize_scalar(function, bracket=(start - 0.3, start + 0.3), method="brent")
    return float(found.fun)


def profile_limit(
    profile: Callable[[float], float], value: float, side: int, loss: float, reach: float
) -> float:
    """Return where a profile first exceeds `loss` on one side of a value.

    Parameters
    ----------
    profile : callable (float)
        Negative log-likelihood with the other parameters free.
    value : float
        Its minimum.
    side : {-1, 1}
    loss : float
        The value of the profile at the limit.
    reach : float
        Largest distance from `value`.

    Returns
    -------
    float
        ±∞ if the profile stays below.
    """
    inside, step = value, 0.05
    while step < reach:
        outside = value + side * step
        if profile(outside) > loss:
            root = optimize.brentq(lambda x: profile(x) - loss, inside, outside, xtol=1e-6)
            return float(root)
        inside, step = outside, 1.6 * step
    return side * math.inf
