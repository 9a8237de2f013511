"""Normal and lognormal likelihood: z = (x − m)/s, or (ln x − m)/s, is standard normal.

Internal parameters θ = (m, ln s). The log probability is ln Φ(z) below a bound and ln Φ(−z) above.
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
    """Likelihood of a normal distribution of x."""

    family = "normal"
    lower = np.array([-1e3, -20.0])
    upper = np.array([1e3, 20.0])
    edges = (("", ""), ("", ""))

    def starts(self, points: Points) -> tuple[Floats]:
        """Return mean and standard deviation of the unclipped readings."""
        return (np.array([points.mean, math.log(points.std)]),)

    def log_density(self, theta: Floats, x: Floats) -> tuple[Floats, Floats]:
        """Return the log density and its gradient."""
        s = math.exp(theta[1])
        z = (x - theta[0]) / s
        z2 = z * z
        return -0.5 * z2 - (theta[1] + LOG_SQRT_2PI), np.stack([z / s, z2 - 1])

    def log_below(self, theta: Floats, bound: float) -> tuple[float, Floats]:
        """Return ln Φ(z) and its gradient."""
        return self._tail(theta, bound, 1.0)

    def log_above(self, theta: Floats, bound: float) -> tuple[float, Floats]:
        """Return ln Φ(−z) and its gradient."""
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
    """Likelihood of a normal distribution of ln x."""

    family = "lognormal"
    positive = True

    def starts(self, points: Points) -> tuple[Floats]:
        """Return mean and standard deviation of the logarithms of the unclipped readings."""
        w, y = points.weight[:-2] / points.weight[:-2].sum(), np.log(points.x)
        mean = float(w @ y)
        return (np.array([mean, 0.5 * math.log(float(w @ (y - mean) ** 2))]),)

    def log_density(self, theta: Floats, x: Floats) -> tuple[Floats, Floats]:
        """Return the log density and its gradient."""
        y = np.log(x)
        value, score = super().log_density(theta, y)
        return value - y, score

    def log_below(self, theta: Floats, bound: float) -> tuple[float, Floats]:
        """Return ln Φ(z) and its gradient; a bound ≤ 0 has probability 0 below it."""
        return self._tail(theta, math.log(bound), 1.0) if bound > 0 else (-math.inf, np.zeros(2))

    def log_above(self, theta: Floats, bound: float) -> tuple[float, Floats]:
        """Return ln Φ(−z) and its gradient; a bound ≤ 0 has probability 1 above it."""
        return self._tail(theta, math.log(bound), -1.0) if bound > 0 else (0.0, np.zeros(2))

    def natural(self, theta: Floats, frame: Frame) -> dict[str, float]:
        """Return mu [ln S] and sigma."""
        return {"mu": float(theta[0]) + math.log(frame.unit), "sigma": math.exp(theta[1])}
