"""Skew normal likelihood: with z = (x − m)/s, ln f = ln 2 − ln s + ln φ(z) + ln Φ(a·z).

Internal parameters θ = (m, ln s, a). At a = 0 the information about θ is singular: a small change
in a has the same effect as one in m. The parameters of a nearly symmetric level therefore have wide
intervals; its distribution function does not. The bound of |a| is 50, where the distribution is
half-normal.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.fitting.statistics.likelihood.contract import LOG_SQRT_2PI, Likelihood, mills
from rramfit.fitting.statistics.likelihood.points import Frame, Points

__all__ = ["SkewNormalLikelihood"]

Floats = NDArray[np.float64]


class SkewNormalLikelihood(Likelihood):
    """Likelihood of a skew normal distribution of x."""

    family = "skew_normal"
    lower = np.array([-1e3, -20.0, -50.0])
    upper = np.array([1e3, 20.0, 50.0])
    edges = (
        ("", ""),
        ("", ""),
        (
            "shape is -50, so the distribution is half-normal",
            "shape is 50, so the distribution is half-normal",
        ),
    )

    def starts(self, points: Points) -> tuple[Floats, ...]:
        """Return distributions of different skewness, with mean and variance of the readings."""
        out = []
        for a in (-4.0, -1.5, 1.5, 4.0):
            b = a / math.hypot(1, a) * math.sqrt(2 / math.pi)
            s = points.std / math.sqrt(1 - b * b)
            out.append(np.array([points.mean - s * b, math.log(s), a]))
        return tuple(out)

    def log_density(self, theta: Floats, x: Floats) -> tuple[Floats, Floats]:
        """Return the log density and its gradient."""
        s, a = math.exp(theta[1]), float(theta[2])
        z = (x - theta[0]) / s
        z2, t = z * z, a * z
        log_cdf = special.log_ndtr(t)
        h = np.exp(-0.5 * t * t - LOG_SQRT_2PI - log_cdf)
        hz = h * z
        value = log_cdf - 0.5 * z2 + (math.log(2) - theta[1] - LOG_SQRT_2PI)
        return value, np.stack([(z - a * h) / s, z2 - 1 - a * hz, hz])

    def log_below(self, theta: Floats, bound: float) -> tuple[float, Floats]:
        """Return the log probability below `bound` by Owen's T, and its gradient."""
        return self._tail(theta, bound, 1.0)

    def log_above(self, theta: Floats, bound: float) -> tuple[float, Floats]:
        """Return the log probability above `bound` by Owen's T, and its gradient."""
        return self._tail(theta, bound, -1.0)

    @staticmethod
    def _tail(theta: Floats, bound: float, sign: float) -> tuple[float, Floats]:
        s, a = math.exp(theta[1]), float(theta[2])
        z = (bound - theta[0]) / s
        p = float(special.ndtr(sign * z)) - sign * 2 * float(special.owens_t(z, a))
        value = math.log(max(p, 1e-300))
        log_pdf = math.log(2) - 0.5 * z * z - LOG_SQRT_2PI + float(special.log_ndtr(a * z))
        h = sign * mills(log_pdf, value)
        log_turn = -0.5 * z * z * (1 + a * a) - math.log(math.pi * (1 + a * a))
        return value, np.array([-h / s, -h * z, -sign * mills(log_turn, value)])

    def natural(self, theta: Floats, frame: Frame) -> dict[str, float]:
        """Return loc and scale [S], and shape."""
        return {
            "loc": frame.origin + frame.unit * float(theta[0]),
            "scale": frame.unit * math.exp(theta[1]),
            "shape": float(theta[2]),
        }
