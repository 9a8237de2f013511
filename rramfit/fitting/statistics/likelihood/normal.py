"""Normal and lognormal: z = (x − m)/s, or (ln x − m)/s, is standard normal.

Internal parameters θ = (m, ln s). Below a bound the log probability is ln Φ(z), above it ln Φ(−z).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.fitting.statistics.likelihood.contract import LOG_SQRT_2PI, Likelihood, mills
from rramfit.fitting.statistics.likelihood.points import Frame, Points

__all__ = ["LognormalLikelihood", "NormalLikelihood"]

Floats = NDArray[np.float64]


class NormalLikelihood(Likelihood):
    """Normal in x."""

    family = "normal"
    lower = np.array([-1e3, -20.0])
    upper = np.array([1e3, 20.0])
    edges = (("", ""), ("", ""))

    def starts(self, points: Points) -> tuple[Floats]:
        """Return mean and standard deviation of what was seen."""
        return (np.array([points.mean, math.log(points.std)]),)

    def log_density(self, theta: Floats, x: Floats) -> tuple[Floats, Floats]:
        """Log density and gradient."""
        s = math.exp(theta[1])
        z = (x - theta[0]) / s
        z2 = z * z
        return -0.5 * z2 - (theta[1] + LOG_SQRT_2PI), np.stack([z / s, z2 - 1])

    def log_below(self, theta: Floats, bound: float) -> tuple[float, Floats]:
        """Log Φ(z) and gradient."""
        return self._tail(theta, bound, 1.0)

    def log_above(self, theta: Floats, bound: float) -> tuple[float, Floats]:
        """Log Φ(−z) and gradient."""
        return self._tail(theta, bound, -1.0)

    @staticmethod
    def _tail(theta: Floats, bound: float, sign: float) -> tuple[float, Floats]:
        s = math.exp(theta[1])
        z = (bound - theta[0]) / s
        value = float(special.log_ndtr(sign * z))
        h = sign * mills(-0.5 * z * z - LOG_SQRT_2PI, value)
        return value, np.array([-h / s, -h * z])

    def natural(self, theta: Floats, frame: Frame) -> dict[str, float]:
        """Return loc and scale [S]."""
        return {
            "loc": frame.origin + frame.unit * float(theta[0]),
            "scale": frame.unit * math.exp(theta[1]),
        }


class LognormalLikelihood(NormalLikelihood):
    """Normal in ln x."""

    family = "lognormal"
    positive = True

    def starts(self, points: Points) -> tuple[Floats]:
        """Return mean and standard deviation of the logs."""
        w, y = points.weight[:-2] / points.weight[:-2].sum(), np.log(points.x)
        mean = float(w @ y)
        return (np.array([mean, 0.5 * math.log(float(w @ (y - mean) ** 2))]),)

    def log_density(self, theta: Floats, x: Floats) -> tuple[Floats, Floats]:
        """Log density and gradient."""
        y = np.log(x)
        value, score = super().log_density(theta, y)
        return value - y, score

    def log_below(self, theta: Floats, bound: float) -> tuple[float, Floats]:
        """Log Φ(z) and gradient; nothing lies below a bound that is not positive."""
        return self._tail(theta, math.log(bound), 1.0) if bound > 0 else (-math.inf, np.zeros(2))

    def log_above(self, theta: Floats, bound: float) -> tuple[float, Floats]:
        """Log Φ(−z) and gradient; all lies above a bound that is not positive."""
        return self._tail(theta, math.log(bound), -1.0) if bound > 0 else (0.0, np.zeros(2))

    def natural(self, theta: Floats, frame: Frame) -> dict[str, float]:
        """Return mu [ln S] and sigma."""
        return {"mu": float(theta[0]) + math.log(frame.unit), "sigma": math.exp(theta[1])}
