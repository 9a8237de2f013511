"""Student's t likelihood: a symmetric distribution with heavy tails.

With z = (x − m)/s and ν degrees of freedom,

    ln f = C(ν) − ln s − (ν + 1)/2·ln(1 + z²/ν).

Internal parameters θ = (m, ln s, ln ν). The upper bound of ν is 200, where data cannot distinguish
the distribution from a normal one.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.fitting.statistics.likelihood.contract import Likelihood, derivative, mills
from rramfit.fitting.statistics.likelihood.points import Frame, Points

__all__ = ["StudentTLikelihood"]

Floats = NDArray[np.float64]


class StudentTLikelihood(Likelihood):
    """Likelihood of a Student's t distribution of x."""

    family = "student_t"
    lower = np.array([-1e3, -4.0, math.log(0.5)])
    upper = np.array([1e3, 20.0, math.log(200.0)])
    edges = (
        ("", ""),
        ("", ""),
        ("df is at its lower bound of 0.5", "df is 200, so the distribution is normal"),
    )

    widths = (1,)

    def starts(self, points: Points) -> tuple[Floats, ...]:
        """Return distributions with the quartiles of the unclipped readings and different tails."""
        q1, q2, q3 = points.quantile(np.array([0.25, 0.5, 0.75]))
        width = max(float(q3 - q1), 1e-3 * points.std)
        return tuple(
            np.array([q2, math.log(width / (2 * float(special.stdtrit(v, 0.75)))), math.log(v)])
            for v in (3.0, 8.0, 30.0)
        )

    def log_density(self, theta: Floats, x: Floats) -> tuple[Floats, Floats]:
        """Return the log density and its gradient."""
        s, v = math.exp(theta[1]), math.exp(theta[2])
        z = (x - theta[0]) / s
        z2 = z * z
        bend = np.log1p(z2 / v)
        pull = (v + 1) * z / (v + z2)
        half = math.lgamma((v + 1) / 2) - math.lgamma(v / 2)
        constant = half - 0.5 * math.log(v * math.pi) - theta[1]
        slope = float(special.digamma((v + 1) / 2) - special.digamma(v / 2)) - 1 / v
        pulled = pull * z
        score = np.stack([pull / s, pulled - 1, 0.5 * v * (slope - bend) + 0.5 * pulled])
        return constant - (v + 1) / 2 * bend, score

    def log_below(self, theta: Floats, bound: float) -> tuple[float, Floats]:
        """Return the log probability below `bound`, and its gradient."""
        return self._tail(theta, bound, 1.0)

    def log_above(self, theta: Floats, bound: float) -> tuple[float, Floats]:
        """Return the log probability above `bound`, and its gradient."""
        return self._tail(theta, bound, -1.0)

    def _tail(self, theta: Floats, bound: float, sign: float) -> tuple[float, Floats]:
        s = math.exp(theta[1])
        z = (bound - theta[0]) / s

        def log_probability(log_v: float) -> float:
            v = math.exp(log_v)
            tail = 0.5 * float(special.betainc(v / 2, 0.5, v / (v + z * z)))
            return math.log(max(tail if sign * z < 0 else 1 - tail, 1e-300))

        value = log_probability(theta[2])
        pdf = float(self.log_density(theta, np.array([bound]))[0][0])
        h = sign * mills(pdf, value)
        return value, np.array([-h, -h * (bound - theta[0]), derivative(log_probability, theta[2])])

    def natural(self, theta: Floats, frame: Frame) -> dict[str, float]:
        """Return loc and scale [S], and df."""
        return {
            "loc": frame.origin + frame.unit * float(theta[0]),
            "scale": frame.unit * math.exp(theta[1]),
            "df": math.exp(theta[2]),
        }
