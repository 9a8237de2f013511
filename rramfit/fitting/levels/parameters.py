"""Parameters of a level's distribution as a card states them, each with an interval on its own scale.

Scales and standard deviations have theirs on the log, weights on the logit, Student's degrees of
freedom on 1/ν, which is finite and near to normal where the distribution is a normal one; all
others are taken as they are. A parameter at its bound has none.
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
    """Influence of the cells on the parameters as they stand in a card."""
    m = distribution.maximum

    def values(theta: Floats) -> Floats:
        return np.array(list(m.likelihood.natural(theta, m.frame).values()))

    return distribution.influence.through(m.differentiate(values))


def parameter_result(distribution: LevelDistribution, found: ClusteredCovariance) -> FitResult:
    """Put a distribution's parameters and their covariance together."""
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
            "read the other parameters as those of that limiting distribution; this one has no error",
        )
    if not distribution.maximum.regular:
        yield Finding(
            f"the readings do not tell the parameters of {distribution.family} apart (singular information)",
            "use the distribution's quantiles, mean and standard deviation, not its single parameters",
        )
    if not math.isfinite(family(distribution.family).moments(distribution.parameters)[1]):
        yield Finding(
            "the fitted distribution has tails so heavy that it has no standard deviation",
            "look for outlying cells that screening left in",
        )
