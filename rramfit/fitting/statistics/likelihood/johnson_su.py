"""Johnson SU likelihood: z = γ + δ·asinh((x − ξ)/λ) is standard normal.

The likelihood in the standard parameters has a long, curved valley: near a normal distribution δ, λ
and γ all diverge. The internal parameters avoid this. With e = 1/δ and ω = γ/δ the reading at z is

    x(z) = a + b/e·[sinh(e·z − ω) + sinh ω]/cosh ω,

so that a = x(0) is the median, b = x'(0) the slope there, e the growth rate of the tails and
h = tanh ω the skewness (h < 0: skewed to the right). θ = (a, ln b, e, h). The lower bound of e is
0.02, where the distribution is normal; the bound of |h| is 0.999, where it is a shifted lognormal
with sigma = e.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.fitting.statistics.likelihood.contract import LOG_SQRT_2PI, Likelihood, mills
from rramfit.fitting.statistics.likelihood.points import Frame, Points

__all__ = ["JohnsonSULikelihood"]

Floats = NDArray[np.float64]


class JohnsonSULikelihood(Likelihood):
    """Likelihood of a Johnson SU distribution of x."""

    family = "johnson_su"
    lower = np.array([-1e3, -4.0, 0.02, -0.999])
    upper = np.array([1e3, 20.0, 3.0, 0.999])
    edges = (
        ("", ""),
        ("", ""),
        ("delta is 50, so the distribution is normal", "delta is at its lower bound of 1/3"),
        (
            "gamma/delta is at its bound, so the distribution is a shifted lognormal",
            "gamma/delta is at its bound, so the distribution is a shifted lognormal",
        ),
    )

    widths = (1,)

    def starts(self, points: Points) -> tuple[Floats, ...]:
        """Return distributions with the median and quartile width of the unclipped readings."""
        q1, q2, q3 = points.quantile(np.array([0.25, 0.5, 0.75]))
        slope = math.log(max(float(q3 - q1) / 1.349, 1e-3 * points.std))
        return tuple(np.array([q2, slope, e, h]) for e in (0.2, 0.7) for h in (-0.6, 0.0, 0.6))

    def log_density(self, theta: Floats, x: Floats) -> tuple[Floats, Floats]:
        """Return the log density and its gradient."""
        gamma, delta, xi, scale = _standard(theta)
        u = (x - xi) / scale
        asinh = np.arcsinh(u)
        z = gamma + delta * asinh
        root2 = 1 + u * u
        value = -0.5 * (np.log(root2) + z * z) + (math.log(delta / scale) - LOG_SQRT_2PI)
        in_u = -(u / root2 + delta * z / np.sqrt(root2))
        standard = np.stack([-z, 1 / delta - z * asinh, -in_u / scale, -(1 + in_u * u) / scale])
        return value, _jacobian(theta).T @ standard

    def log_below(self, theta: Floats, bound: float) -> tuple[float, Floats]:
        """Return ln Φ(z) and its gradient."""
        return self._tail(theta, bound, 1.0)

    def log_above(self, theta: Floats, bound: float) -> tuple[float, Floats]:
        """Return ln Φ(−z) and its gradient."""
        return self._tail(theta, bound, -1.0)

    @staticmethod
    def _tail(theta: Floats, bound: float, sign: float) -> tuple[float, Floats]:
        gamma, delta, xi, scale = _standard(theta)
        u = (bound - xi) / scale
        z = gamma + delta * math.asinh(u)
        value = float(special.log_ndtr(sign * z))
        h = sign * mills(-0.5 * z * z - LOG_SQRT_2PI, value)
        in_u = delta / math.hypot(1, u)
        standard = h * np.array([1.0, math.asinh(u), -in_u / scale, -in_u * u / scale])
        return value, _jacobian(theta).T @ standard

    def natural(self, theta: Floats, frame: Frame) -> dict[str, float]:
        """Return gamma, delta, and xi and lambda [S]."""
        gamma, delta, xi, scale = _standard(theta)
        return {
            "gamma": gamma,
            "delta": delta,
            "xi": frame.origin + frame.unit * xi,
            "lambda": frame.unit * scale,
        }


def _standard(theta: Floats) -> tuple[float, float, float, float]:
    """Return the standard parameters (γ, δ, ξ, λ) for internal ones."""
    a, b, e, h = float(theta[0]), math.exp(theta[1]), float(theta[2]), float(theta[3])
    return math.atanh(h) / e, 1 / e, a + b * h / e, b / e * math.sqrt(1 - h * h)


def _jacobian(theta: Floats) -> Floats:
    """Compute the Jacobian of the standard (rows) by the internal parameters (columns), (4, 4)."""
    gamma, _, _, scale = _standard(theta)
    b, e, h = math.exp(theta[1]), float(theta[2]), float(theta[3])
    room = 1 - h * h
    return np.array(
        [
            [0.0, 0.0, -gamma / e, 1 / (e * room)],
            [0.0, 0.0, -1 / e**2, 0.0],
            [1.0, b * h / e, -b * h / e**2, b / e],
            [0.0, scale, -scale / e, -scale * h / room],
        ]
    )
