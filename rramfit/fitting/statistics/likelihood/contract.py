"""What a family's likelihood must be able to say, in coordinates of order one.

A family has internal parameters θ that are free on a box and near to normal in their errors. It
gives the log density of readings, the log probability below and above a bound, each with its exact
gradient in θ (the shape derivative of an incomplete gamma or Student integral, which has no closed
form, by fourth-order differences), starting values, and the parameters as they stand in a card.
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
        Name in a card.
    positive : bool
        Whether x must be positive; the frame's origin is then zero.
    lower, upper : (p,) arrays
        The box of θ. A value on it stands for a limiting distribution, named in `edges`.
    edges : tuple of (str, str)
        What the distribution becomes where a parameter rests on its lower or upper bound, (p,); ""
        where readings cannot bring it there.
    widths : tuple of int
        Parameters at whose lower bound the distribution is a spike: on equal readings its
        likelihood would grow without end.
    """

    family: str
    positive: bool = False
    lower: Floats
    upper: Floats
    edges: tuple[tuple[str, str], ...]
    widths: tuple[int, ...] = ()

    @abstractmethod
    def starts(self, points: Points) -> Sequence[Floats]:
        """Return starting values, the likeliest of which is taken."""

    @abstractmethod
    def log_density(self, theta: Floats, x: Floats) -> tuple[Floats, Floats]:
        """Log density, (n,), and its gradient, (p, n)."""

    @abstractmethod
    def log_below(self, theta: Floats, bound: float) -> tuple[float, Floats]:
        """Log probability of a reading at or below `bound`, and its gradient, (p,)."""

    @abstractmethod
    def log_above(self, theta: Floats, bound: float) -> tuple[float, Floats]:
        """Log probability of a reading at or above `bound`, and its gradient, (p,)."""

    @abstractmethod
    def natural(self, theta: Floats, frame: Frame) -> dict[str, float]:
        """Return the parameters as they stand in a card, in SI units."""

    @property
    def size(self) -> int:
        """Number of free parameters."""
        return self.lower.size

    def terms(self, theta: Floats, points: Points) -> tuple[Floats, Floats]:
        """Log likelihood of each point and rail, (m + 2,), and gradients, (p, m + 2)."""
        m = points.x.size
        value, score = np.zeros(m + 2), np.zeros((theta.size, m + 2))
        value[:m], score[:, :m] = self.log_density(theta, points.x)
        if points.floor is not None and points.weight[m] > 0:
            value[m], score[:, m] = self.log_below(theta, points.floor)
        if points.ceiling is not None and points.weight[m + 1] > 0:
            value[m + 1], score[:, m + 1] = self.log_above(theta, points.ceiling)
        return value, score

    def mean_nll(self, theta: Floats, points: Points) -> tuple[float, Floats]:
        """Mean negative log likelihood of a reading, and its gradient, (p,)."""
        value, score = self.terms(theta, points)
        total = points.total
        return -float(points.weight @ value) / total, -(score @ points.weight) / total


def mills(log_pdf: float, log_probability: float) -> float:
    """Density over probability, from their logs, without overflow."""
    return float(np.exp(min(log_pdf - log_probability, 700.0)))


def derivative(function: Callable[[float], float], at: float, step: float = 1e-3) -> float:
    """First derivative by the fourth-order central difference."""
    one = function(at + step) - function(at - step)
    two = function(at + 2 * step) - function(at - 2 * step)
    return (8 * one - two) / (12 * step)
