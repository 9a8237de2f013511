"""Parameters of a level's distribution as used in a card, each with an interval.

Intervals of scales and standard deviations are formed on the log scale, those of weights on the
logit scale, those of Student's degrees of freedom ν on the scale of 1/ν (finite and nearly normal
in the limit of a normal distribution), all others on the linear scale. A parameter at a bound has
no interval.

The readings do not always determine a parameter: the width of a mixture's smallest part, or all
four parameters of a Johnson distribution that is nearly normal. Its interval would reach over many
orders of magnitude and mean nothing, so it is left out and a finding names the parameter. With s
the half width of the 95 % interval over 1.96, a parameter is not determined if

    s > 1                  on the log and the logit scale, and of 1/ν: a factor of 7 either way
    s > std of the level   for a conductance on the linear scale
    s > max(|value|, 1)    for a number on the linear scale

or if the information matrix is singular; then no parameter is. The value itself stays: the
distribution as a whole, its mean and its standard deviation are determined.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.families import family
from rramfit.card.quantity import Quantity, Scale
from rramfit.fitting.levels.distribution import LevelDistribution
from rramfit.fitting.results.result import Finding, FitResult, Verdict
from rramfit.fitting.statistics.inference import ClusteredCovariance
from rramfit.fitting.statistics.influence import Influence

__all__ = ["error_correlation", "parameter_influence", "parameter_result"]

Floats = NDArray[np.float64]

_SCALES: dict[str, Scale] = {
    "scale": "log",
    "sigma": "log",
    "delta": "log",
    "lambda": "log",
    "std": "log",
    "weight": "logit",
}
_LARGEST_DF = 200.0
_DECIMALS = 6  # of a correlation in the card
_REMEDY = "use quantiles, mean and standard deviation of the distribution, not its parameters"


def parameter_influence(distribution: LevelDistribution) -> Influence:
    """Compute the influence of the cells on the parameters as used in a card."""
    m = distribution.maximum

    def values(theta: Floats) -> Floats:
        return np.array(list(m.likelihood.natural(theta, m.frame).values()))

    return distribution.influence.through(m.differentiate(values))


def parameter_result(
    distribution: LevelDistribution, found: ClusteredCovariance, *, trend: Floats | None = None
) -> FitResult:
    """Return the parameters of a distribution with their covariance and findings.

    The covariance of a parameter without an interval is zero. `trend`, (p,), holds the trends of
    the parameters over the array.
    """
    estimates: dict[str, Quantity] = {}
    unknown: list[str] = []
    std = family(distribution.family).moments(distribution.parameters)[1]
    regular = distribution.maximum.regular
    for i, (name, value) in enumerate(distribution.parameters.items()):
        error, df = float(found.stderr[i]), float(found.df[i])
        unit = _unit(distribution.family, name)
        estimates[name] = Quantity.given(value, unit)
        if error == 0:
            continue
        if regular and _determined(name, value, error, df, unit, std):
            estimate = _estimate(name, value, error, df, unit)
            estimates[name] = estimate.drifting(0.0 if trend is None else float(trend[i]))
        else:
            unknown.append(name)
    known = np.array([q.stderr is not None for q in estimates.values()])
    return FitResult(
        title=f"level {distribution.level}, {distribution.family}",
        estimates=estimates,
        covariance=np.where(np.outer(known, known), found.covariance, 0.0),
        n_observations=int(distribution.maximum.points.total),
        log_likelihood=distribution.maximum.log_likelihood,
        verdict=Verdict(tuple(_findings(distribution, unknown))),
    )


def error_correlation(result: FitResult) -> list[list[float]] | None:
    """Return the correlation of the parameters' errors for a card, by alphabetical order of names.

    Parameters without an error are uncorrelated. None if fewer than two have one.
    """
    names = list(result.estimates)
    order = sorted(range(len(names)), key=lambda i: names[i])
    r = np.nan_to_num(result.correlation)[np.ix_(order, order)]
    np.fill_diagonal(r, 1.0)
    if np.count_nonzero([q.stderr is not None for q in result.estimates.values()]) < 2:
        return None
    return [[round(float(x), _DECIMALS) for x in row] for row in np.clip(r, -1.0, 1.0)]


def _scale_of(name: str) -> Scale:
    return _SCALES.get(name.rstrip("_0123456789"), "linear")


def _estimate(name: str, value: float, error: float, df: float, unit: str) -> Quantity:
    if name != "df":
        return Quantity.estimated(value, error, unit, scale=_scale_of(name), df=df)
    near = Quantity.estimated(1 / value, error / value**2, unit, df=df).ci95
    low, high = (1 / max(k, 1 / _LARGEST_DF) for k in reversed(near or ()))
    return Quantity.within(value, error, unit, (low, high))


def _determined(name: str, value: float, error: float, df: float, unit: str, std: float) -> bool:
    """Return whether the readings determine a parameter; see the module docstring."""
    half = error * float(special.stdtrit(df, 0.975)) / float(special.ndtri(0.975))
    scale = _scale_of(name)
    if name == "df":
        size, limit = half / value**2, 1.0
    elif scale == "log":
        size, limit = half / value, 1.0
    elif scale == "logit":
        size, limit = half / (value * (1 - value)), 1.0
    elif unit == "S":
        size, limit = half, std
    else:
        size, limit = half, max(abs(value), 1.0)
    return bool(size <= limit)


def _unit(name: str, parameter: str) -> str:
    if name == "mixture":
        return "1" if parameter.startswith("weight") else "S"
    return family(name).units[parameter]


def _findings(distribution: LevelDistribution, unknown: list[str]) -> Iterator[Finding]:
    for edge in distribution.maximum.edges:
        yield Finding(
            edge,
            "interpret the other parameters as those of this limiting distribution; the one at its "
            "bound has no error",
            code="limiting-distribution",
        )
    if not distribution.maximum.regular:
        yield Finding(
            f"the readings do not determine the parameters of {distribution.family} separately "
            "(the information matrix is singular), so they have no intervals",
            _REMEDY,
            code="parameters-not-determined",
        )
    elif unknown:
        which = unknown[0] if len(unknown) == 1 else f"{', '.join(unknown[:-1])} and {unknown[-1]}"
        have = "it has" if len(unknown) == 1 else "they have"
        what = f"the readings do not determine {which} of {distribution.family}"
        yield Finding(f"{what}, so {have} no interval", _REMEDY, code="parameter-without-interval")
    if not math.isfinite(family(distribution.family).moments(distribution.parameters)[1]):
        yield Finding(
            "the tails of the fitted distribution are too heavy for a finite standard deviation",
            "look for outlier cells that passed screening",
            code="infinite-deviation",
        )
