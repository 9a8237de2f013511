"""Gamma and Weibull likelihood, for positive conductances.

Gamma: θ = (ln m, ln k) with mean m and shape k. With r = x/m,

    ln f = k·(ln r − r + 1) + A(k) − ln x,   A(k) = k·ln k − k − ln Γ(k).

This form stays accurate for large k, where A comes from Stirling's series. Weibull: θ = (ln s,
ln k). With v = k·ln(x/s),

    ln f = ln k + v − exp(v) − ln x.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.fitting.statistics.likelihood.contract import Likelihood, derivative, mills
from rramfit.fitting.statistics.likelihood.points import Frame, Points

__all__ = ["GammaLikelihood", "WeibullLikelihood"]

Floats = NDArray[np.float64]

_EULER = 0.5772156649015329


class GammaLikelihood(Likelihood):
    """Likelihood of a gamma distribution of x."""

    family = "gamma"
    positive = True
    lower = np.array([-50.0, math.log(1e-2)])
    upper = np.array([50.0, math.log(1e9)])
    edges = (("", ""), ("", ""))

    def starts(self, points: Points) -> tuple[Floats]:
        """Return the distribution with the mean and variance of the unclipped readings."""
        shape = min(max((points.mean / points.std) ** 2, 0.1), 1e8)
        return (np.array([math.log(points.mean), math.log(shape)]),)

    def log_density(self, theta: Floats, x: Floats) -> tuple[Floats, Floats]:
        """Return the log density and its gradient."""
        k = math.exp(theta[1])
        log_x = np.log(x)
        log_r = log_x - theta[0]
        excess = np.expm1(log_r)
        curved = log_r - excess
        constant, slope = _gamma_constants(k)
        return k * curved + constant - log_x, np.stack([k * excess, k * (curved + slope)])

    def log_below(self, theta: Floats, bound: float) -> tuple[float, Floats]:
        """Return the log of the regularised lower incomplete gamma function, and its gradient."""
        return self._tail(theta, bound, special.gammainc, 1.0, -math.inf)

    def log_above(self, theta: Floats, bound: float) -> tuple[float, Floats]:
        """Return the log of the regularised upper incomplete gamma function, and its gradient."""
        return self._tail(theta, bound, special.gammaincc, -1.0, 0.0)

    def _tail(
        self, theta: Floats, bound: float, function: np.ufunc, sign: float, outside: float
    ) -> tuple[float, Floats]:
        if bound <= 0:
            return outside, np.zeros(2)

        def log_probability(log_k: float) -> float:
            k = math.exp(log_k)
            p = float(function(k, k * bound * math.exp(-theta[0])))
            return math.log(p) if p > 0 else -math.inf

        value = log_probability(theta[1])
        if value == -math.inf:
            return value, np.zeros(2)
        pdf = float(self.log_density(theta, np.array([bound]))[0][0]) + math.log(bound)
        return value, np.array([-sign * mills(pdf, value), derivative(log_probability, theta[1])])

    def natural(self, theta: Floats, frame: Frame) -> dict[str, float]:
        """Return shape, and scale [S]."""
        k = math.exp(theta[1])
        return {"shape": k, "scale": frame.unit * math.exp(theta[0]) / k}


def _gamma_constants(k: float) -> tuple[float, float]:
    """Return k·ln k − k − ln Γ(k), and ln k − ψ(k)."""
    if k < 100:
        constant = k * math.log(k) - k - math.lgamma(k)
        return constant, math.log(k) - float(special.digamma(k))
    constant = 0.5 * math.log(k / (2 * math.pi)) - 1 / (12 * k) + 1 / (360 * k**3)
    return constant, 1 / (2 * k) + 1 / (12 * k**2) - 1 / (120 * k**4)


class WeibullLikelihood(Likelihood):
    """Likelihood of a Weibull distribution of x."""

    family = "weibull"
    positive = True
    lower = np.array([-50.0, math.log(5e-2)])
    upper = np.array([50.0, math.log(1e5)])
    edges = (("", ""), ("", ""))

    def starts(self, points: Points) -> tuple[Floats]:
        """Return the distribution with the mean and variance of the logarithms of the readings."""
        w, y = points.weight[:-2] / points.weight[:-2].sum(), np.log(points.x)
        mean = float(w @ y)
        shape = math.pi / math.sqrt(6 * float(w @ (y - mean) ** 2))
        return (np.array([mean + _EULER / shape, math.log(min(max(shape, 0.06), 9e4))]),)

    def log_density(self, theta: Floats, x: Floats) -> tuple[Floats, Floats]:
        """Return the log density and its gradient."""
        k = math.exp(theta[1])
        log_x = np.log(x)
        v = k * (log_x - theta[0])
        hazard = np.exp(np.minimum(v, 700.0))
        return (
            theta[1] + v - hazard - log_x,
            np.stack([k * (hazard - 1), 1 + v - v * hazard]),
        )

    def log_below(self, theta: Floats, bound: float) -> tuple[float, Floats]:
        """Return ln(1 − exp(−H)), H the cumulative hazard at the bound, and its gradient."""
        if bound <= 0:
            return -math.inf, np.zeros(2)
        hazard, gradient = self._hazard(theta, bound)
        return math.log(-math.expm1(-hazard)), gradient / math.expm1(min(hazard, 700.0))

    def log_above(self, theta: Floats, bound: float) -> tuple[float, Floats]:
        """Return −H, H the cumulative hazard at the bound, and its gradient."""
        if bound <= 0:
            return 0.0, np.zeros(2)
        hazard, gradient = self._hazard(theta, bound)
        return -hazard, -gradient

    @staticmethod
    def _hazard(theta: Floats, bound: float) -> tuple[float, Floats]:
        k = math.exp(theta[1])
        v = k * (math.log(bound) - theta[0])
        hazard = max(math.exp(min(v, 700.0)), 1e-300)
        return hazard, hazard * np.array([-k, v])

    def natural(self, theta: Floats, frame: Frame) -> dict[str, float]:
        """Return shape, and scale [S]."""
        return {"shape": math.exp(theta[1]), "scale": frame.unit * math.exp(theta[0])}
