"""Parameters of a level's distribution as used in a card, each with an interval.

Intervals of scales and standard deviations are formed on the log scale, those of weights on the
logit scale, those of Student's degrees of freedom ν on the scale of 1/ν (finite and nearly normal
in the limit of a normal distribution), all others on the linear scale. A parameter at a bound has
no interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rramfit.card.families import family
from rramfit.card.quantity import Quantity, Scale
from rramfit.fitting.levels.distribution import LevelDistribution
from rramfit.fitting.result import Finding, FitResult, Verdict
from rramfit.fitting.statistics.inference import ClusteredCovariance
from rramfit.fitting.statistics.influence import Influence

__all__ = ["parameter_influence", "parameter_result"]

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


def parameter_influence(distribution: LevelDistribution) -> Influence:
    """Compute the influence of the cells on the parameters as used in a card."""
    m = distribution.maximum

    def values(theta: Floats) -> Floats:
        return np.array(list(m.likelihood.natural(theta, m.frame).values()))

    return distribution.influence.through(m.differentiate(values))


def parameter_result(distribution: LevelDistribution, found: ClusteredCovariance) -> FitResult:
    """Return the parameters of a distribution with their covariance and findings."""
    estimates: dict[str, Quantity] = {}
    for i, (name, value) in enumerate(distribution.parameters.items()):
        error, df = float(found.stderr[i]), float(found.df[i])
        unit = _unit(distribution.family, name)
        if error == 0:
            estimates[name] = Quantity.given(value, unit)
        elif name == "df":
            near = Quantity.estimated(1 / value, error / value**2, unit, df=df).ci95
            low, high = (1 / max(k, 1 / _LARGEST_DF) for k in reversed(near or ()))
            estimates[name] = Quantity.within(value, error, unit, (low, high))
        else:
            scale = _SCALES.get(name.rstrip("_0123456789"), "linear")
            estimates[name] = Quantity.estimated(value, error, unit, scale=scale, df=df)
    return FitResult(
        title=f"level {distribution.level}, {distribution.family}",
        estimates=estimates,
        covariance=found.covariance.copy(),
        n_observations=int(distribution.maximum.points.total),
        log_likelihood=distribution.maximum.log_likelihood,
        verdict=Verdict(tuple(_findings(distribution))),
    )


def _unit(name: str, parameter: str) -> str:
    if name == "mixture":
        return "1" if parameter.startswith("weight") else "S"
    return family(name).units[parameter]


def _findings(distribution: LevelDistribution) -> Iterator[Finding]:
    for edge in distribution.maximum.edges:
        yield Finding(
            edge,
            "interpret the other parameters as those of this limiting distribution; the one at its "
            "bound has no error",
        )
    if not distribution.maximum.regular:
        yield Finding(
            f"the readings do not determine the parameters of {distribution.family} separately "
            "(the information matrix is singular)",
            "use quantiles, mean and standard deviation of the distribution, not its parameters",
        )
    if not math.isfinite(family(distribution.family).moments(distribution.parameters)[1]):
        yield Finding(
            "the tails of the fitted distribution are too heavy for a finite standard deviation",
            "look for outlier cells that passed screening",
        )
