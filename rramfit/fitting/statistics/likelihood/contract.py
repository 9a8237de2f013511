"""Interface of a family's likelihood, in coordinates of order one.

A family has internal parameters θ that are free within a box and have nearly normal errors. It
returns the log density of readings and the log probability below and above a bound, each with its
exact gradient in θ. Exception: the shape derivative of an incomplete gamma function or of Student's
distribution function has no closed form and is computed by fourth-order differences. A family also
returns starting values, and the parameters in the form used in a card.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.statistics.likelihood.points import Frame, Points

__all__ = ["LOG_SQRT_2PI", "Likelihood", "derivative", "mills"]

Floats = NDArray[np.float64]

LOG_SQRT_2PI = 0.9189385332046727


class Likelihood(ABC):
    """Log likelihood of one family, and its gradient.

    Attributes
    ----------
    family : str
        Name used in a card.
    positive : bool
        Whether x must be positive; the frame's origin is then zero.
    lower, upper : (p,) arrays
        Bounds of θ. A value on a bound means a limiting distribution, described in `edges`.
    edges : tuple of (str, str)
        Description of the limiting distribution at the lower and upper bound of each parameter,
        (p,); "" for a bound that no readings reach.
    widths : tuple of int
        Indices of width parameters: at their lower bound the distribution is a spike, and on equal
        readings the likelihood would be unbounded.
    """

    family: str
    positive: bool = False
    lower: Floats
    upper: Floats
    edges: tuple[tuple[str, str], ...]
    widths: tuple[int, ...] = ()

    @abstractmethod
    def starts(self, points: Points) -> Sequence[Floats]:
        """Return starting values; the search starts from the most likely one."""

    @abstractmethod
    def log_density(self, theta: Floats, x: Floats) -> tuple[Floats, Floats]:
        """Return the log density, (n,), and its gradient, (p, n)."""

    @abstractmethod
    def log_below(self, theta: Floats, bound: float) -> tuple[float, Floats]:
        """Return the log probability of a reading ≤ `bound`, and its gradient, (p,)."""

    @abstractmethod
    def log_above(self, theta: Floats, bound: float) -> tuple[float, Floats]:
        """Return the log probability of a reading ≥ `bound`, and its gradient, (p,)."""

    @abstractmethod
    def natural(self, theta: Floats, frame: Frame) -> dict[str, float]:
        """Return the parameters as used in a card, in SI units."""

    @property
    def size(self) -> int:
        """Number of free parameters."""
        return self.lower.size

    def terms(self, theta: Floats, points: Points) -> tuple[Floats, Floats]:
        """Return the log likelihood of each point and rail, (m + 2,), and gradients, (p, m + 2)."""
        m = points.x.size
        value, score = np.zeros(m + 2), np.zeros((theta.size, m + 2))
        value[:m], score[:, :m] = self.log_density(theta, points.x)
        if points.floor is not None and points.weight[m] > 0:
            value[m], score[:, m] = self.log_below(theta, points.floor)
        if points.ceiling is not None and points.weight[m + 1] > 0:
            value[m + 1], score[:, m + 1] = self.log_above(theta, points.ceiling)
        return value, score

    def mean_nll(self, theta: Floats, points: Points) -> tuple[float, Floats]:
        """Return the mean negative log likelihood of a reading, and its gradient, (p,)."""
        value, score = self.terms(theta, points)
        total = points.total
        return -float(points.weight @ value) / total, -(score @ points.weight) / total


def mills(log_pdf: float, log_probability: float) -> float:
    """Return density over probability from their logarithms, without overflow."""
    return float(np.exp(min(log_pdf - log_probability, 700.0)))


def derivative(function: Callable[[float], float], at: float, step: float = 1e-3) -> float:
    """Return the first derivative by a fourth-order central difference."""
    one = function(at + step) - function(at - step)
    two = function(at + 2 * step) - function(at - 2 * step)
    return (8 * one - two) / (12 * step)
