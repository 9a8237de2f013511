"""Distributions of the number of pulses until a cell is accepted, and what a tighter window does.

With N the pulses that an attempt needs, `first` the smallest possible number, and k = N − first:

    geometric            P(N > first + k − 1) = (1 − p)^k          each pulse succeeds with p
    negative binomial    k ~ NB(r, p): several successes are needed, one after the other
    beta-geometric       p differs between attempts: p ~ Beta(m/s, (1 − m)/s), with mean m and
                         spread s; P(N > first + k − 1) = B(a, b + k)/B(a, b)

A tighter window accepts a share q of what the present one accepts. A pulse that would have been the
last one is then the last one with probability q, and the attempt goes on otherwise with the same
chances. The probability that an attempt ends at a pulse is multiplied by q; in the beta-geometric
family that of each attempt is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = [
    "FAMILIES",
    "beta_shapes",
    "mean_within",
    "measured_survival",
    "pulses_for",
    "survival",
    "thinned",
    "tighter_survival",
]

Floats = NDArray[np.float64]

_NODES = 400
_CLOSE = 0.03
_MOST = 1_000_000  # pulses; a quantile beyond is not looked for


def beta_shapes(mean: float, spread: float) -> tuple[float, float]:
    """Return a and b of the beta distribution of p."""
    return mean / spread, (1 - mean) / spread


def _geometric(k: Floats, p: Mapping[str, float]) -> Floats:
    return np.asarray(np.exp(k * np.log1p(-p["p"])))


def _negative_binomial(k: Floats, p: Mapping[str, float]) -> Floats:
    return np.asarray(
        np.where(k > 0, special.betainc(np.maximum(k, 1e-9), p["r"], 1 - p["p"]), 1.0)
    )


def _beta_geometric(k: Floats, p: Mapping[str, float]) -> Floats:
    a, b = beta_shapes(p["p"], p["spread"])
    return np.asarray(np.exp(special.betaln(a, b + k) - special.betaln(a, b)))


_SURVIVAL: Mapping[str, Callable[[Floats, Mapping[str, float]], Floats]] = {
    "geometric": _geometric,
    "negative binomial": _negative_binomial,
    "beta-geometric": _beta_geometric,
}

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "geometric": ("p",),
    "negative binomial": ("p", "r"),
    "beta-geometric": ("p", "spread"),
}
"""Families and their parameters, each in alphabetical order."""


def survival(family: str, parameters: Mapping[str, float], pulses: Floats, first: int) -> Floats:
    """Return the probability that more than the given numbers of pulses are needed.

    Parameters
    ----------
    family : str
        Of `FAMILIES`.
    parameters : mapping of str to float
    pulses : array
        Whole numbers, or numbers between them for a smooth course.
    first : int
        Smallest possible number of pulses.
    """
    return _SURVIVAL[family](np.maximum(pulses - first + 1.0, 0.0), parameters)


def tighter_survival(
    family: str, parameters: Mapping[str, float], budget: int, first: int, q: float
) -> Floats:
    """Return P(N > n) for n = 0 … budget in a window that accepts a share q, (budget + 1,)."""
    n = np.arange(budget + 1, dtype=float)
    if family == "beta-geometric":
        a, b = beta_shapes(parameters["p"], parameters["spread"])
        p = special.betaincinv(a, b, (np.arange(_NODES) + 0.5) / _NODES)
        k = np.maximum(n - first + 1.0, 0.0)
        exact = survival(family, parameters, n, first)
        plain = np.exp(k[:, None] * np.log1p(-np.minimum(p, 1 - 1e-12))).mean(axis=1)
        tight = np.exp(k[:, None] * np.log1p(-q * np.minimum(p, 1 - 1e-12))).mean(axis=1)
        return np.asarray(np.clip(tight + q * (exact - plain), 0.0, 1.0))
    return thinned(survival(family, parameters, n, first), q)


def thinned(survivals: Floats, q: float) -> Floats:
    """Return P(N > n) in a window that accepts a share q, from P(N > n) from n = 0 on."""
    s = survivals
    with np.errstate(invalid="ignore", divide="ignore"):
        ends = np.where(s[:-1] > 0, 1 - s[1:] / s[:-1], 1.0)
    return np.concatenate([s[:1], np.cumprod(1 - q * ends)])


def measured_survival(pulses: Floats, survivals: Floats, budget: int, q: float) -> Floats:
    """Return P(N > n) for n = 0 … budget in a window that accepts q, from measured P(N > n).

    The measured course is described by a mixture of geometric distributions, of which p = 0 are
    attempts that never succeed; each p is multiplied by q. Where no mixture is within 0.03 of the
    measured course, as if several successes were needed, the chances at each pulse are instead.

    Parameters
    ----------
    pulses, survivals : (point,) array
        Numbers of pulses, from 1 on, and the share of attempts that need more.
    """
    from scipy import optimize

    n = np.arange(budget + 1, dtype=float)
    p = np.concatenate([[0.0], np.geomspace(3e-4, 0.9999, 60)])
    at = np.concatenate([[0.0], pulses])
    share = np.concatenate([[1.0], survivals])
    weight = 1 / (0.002 + 0.02 * share)
    weight[0] = 1e4  # the shares of the mixture add up to 1
    courses = (1 - p) ** at[:, None]
    mixture, _ = optimize.nnls(courses * weight[:, None], share * weight)
    if np.abs(courses @ mixture - share).max() < _CLOSE:
        return np.asarray((1 - q * p) ** n[:, None] @ mixture)
    steps = np.interp(n, at, np.log(np.clip(share, 1e-9, 1.0)))
    return thinned(np.exp(steps), q)


def mean_within(survivals: Floats) -> float:
    """Return the mean number of pulses of an attempt that stops at the budget, from P(N > n)."""
    return float(survivals[:-1].sum())


def pulses_for(
    failure: float, family: str, parameters: Mapping[str, float], first: int
) -> float | None:
    """Return the budget with which a share `failure` of attempts fails; None beyond a million.

    The course between whole numbers is that of the family's formula.
    """
    low, high = first - 1.0, float(first)

    def left(n: float) -> float:
        return float(survival(family, parameters, np.array([n]), first)[0]) - failure

    while left(high) > 0:
        low, high = high, 2 * high + 1
        if high > _MOST:
            return None
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if left(middle) > 0 else (low, middle)
    return (low + high) / 2
