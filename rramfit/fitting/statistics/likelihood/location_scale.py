"""Likelihood of any location-scale family given by its standard distribution in scipy.

z = (x − m)/s has the standard distribution. Internal parameters θ = (m, ln s), as for the normal
family. Gradients follow from d ln f/dz, taken by fourth-order central differences, and from the
density at a bound.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.statistics.likelihood.contract import Likelihood, mills
from rramfit.fitting.statistics.likelihood.points import Frame, Points

__all__ = ["LocationScaleLikelihood"]

Floats = NDArray[np.float64]

_STEP = 1e-3


class LocationScaleLikelihood(Likelihood):
    """Likelihood of a location-scale family.

    Parameters
    ----------
    family : str
        Name in a card.
    standard : scipy.stats distribution
        Continuous, on the whole line, with a finite standard deviation.
    """

    lower = np.array([-1e3, -20.0])
    upper = np.array([1e3, 20.0])
    edges = (("", ""), ("", ""))

    def __init__(self, family: str, standard: Any) -> None:
        self.family = family
        self.standard = standard

    def starts(self, points: Points) -> tuple[Floats]:
        """Return the distribution with the mean and standard deviation of the readings."""
        scale = points.std / float(self.standard.std())
        return (np.array([points.mean - scale * float(self.standard.mean()), math.log(scale)]),)

    def log_density(self, theta: Floats, x: Floats) -> tuple[Floats, Floats]:
        """Return the log density and its gradient."""
        s = math.exp(theta[1])
        z = (x - theta[0]) / s
        f = self.standard.logpdf
        one, two = f(z + _STEP) - f(z - _STEP), f(z + 2 * _STEP) - f(z - 2 * _STEP)
        slope = (8 * one - two) / (12 * _STEP)
        return f(z) - theta[1], np.stack([-slope / s, -slope * z - 1])

    def log_below(self, theta: Floats, bound: float) -> tuple[float, Floats]:
        """Return the log of the distribution function and its gradient."""
        return self._tail(theta, bound, self.standard.logcdf, 1.0)

    def log_above(self, theta: Floats, bound: float) -> tuple[float, Floats]:
        """Return the log of the survival function and its gradient."""
        return self._tail(theta, bound, self.standard.logsf, -1.0)

    def _tail(
        self, theta: Floats, bound: float, log_probability: Any, sign: float
    ) -> tuple[float, Floats]:
        s = math.exp(theta[1])
        z = (bound - theta[0]) / s
        value = float(log_probability(z))
        h = sign * mills(float(self.standard.logpdf(z)), value)
        return value, np.array([-h / s, -h * z])

    def natural(self, theta: Floats, frame: Frame) -> dict[str, float]:
        """Return loc and scale [S]."""
        return {
            "loc": frame.origin + frame.unit * float(theta[0]),
            "scale": frame.unit * math.exp(theta[1]),
        }
