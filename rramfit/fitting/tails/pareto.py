"""Generalised Pareto distribution of the readings beyond a high threshold.

Beyond a threshold u that a share ζ of the readings exceeds, the excess y = x − u is taken as

    P(Y > y) = (1 + ξ·y/σ)^(−1/ξ),   so that   P(X > x) = ζ·(1 + ξ·(x − u)/σ)^(−1/ξ),

the limit for high u whatever the distribution (Pickands, Annals of Statistics 3 (1975) 119; Coles,
"An Introduction to Statistical Modeling of Extreme Values", Springer 2001, chapter 4). ξ < 0 is a
tail that ends, ξ = 0 an exponential one, ξ > 0 a power of x. The shape is kept within [−0.5, 1],
where the likelihood is regular and conductances have a mean.

The interval of any function of (ζ, σ, ξ) is its range over the region in which the log likelihood
is within ½·t² of its maximum, which is the interval of the profile likelihood. The log likelihood
is divided by a design effect for readings that are not independent (Chandler and Bate, Biometrika
94 (2007) 167), and t is the 97.5 % quantile of Student's t for the exceedances that then count.

Which threshold to take is not here: `rramfit.fitting.tails.threshold`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = ["SHAPE_LIMITS", "ParetoTail", "estimate_pareto", "fit_pareto", "log_survival"]

Floats = NDArray[np.float64]

SHAPE_LIMITS = (-0.5, 1.0)

_RAYS = 120  # of the likelihood region, from its maximum
_BISECTIONS = 14  # of the distance to its border
_FRACTIONS = (1.0, 0.9, 0.75, 0.5, 0.25)  # of that distance, where points are kept
_SINGLE, _GROUPS = 100, 300  # largest excesses kept one by one, and groups of the others
_SMALL = 1e-9  # shape below which the distribution is exponential


@dataclass(frozen=True, slots=True, kw_only=True)
class ParetoTail:
    """A generalised Pareto tail of x, upwards.

    Attributes
    ----------
    threshold : float
        u, in the unit of x.
    scale, shape : float
        σ, in the unit of x, and ξ.
    n, exceedances : int
        Readings, and those above the threshold.
    design_effect : float
        Readings that say as much of shape and scale as one independent reading.
    rate_effect : float
        The same of the share beyond the threshold.
    shapes, scales, slack : (r,) arrays
        Points of the likelihood region, and how much of the allowed fall of the log likelihood is
        left there.
    """

    threshold: float
    scale: float
    shape: float
    n: int
    exceedances: int
    design_effect: float
    rate_effect: float
    shapes: Floats = field(repr=False)
    scales: Floats = field(repr=False)
    slack: Floats = field(repr=False)

    @property
    def rate(self) -> float:
        """Share ζ of readings beyond the threshold."""
        return self.exceedances / self.n

    @property
    def effective(self) -> float:
        """Number of independent exceedances with the same information."""
        return self.exceedances / self.design_effect

    @property
    def shape_interval(self) -> tuple[float, float]:
        """95 % interval of ξ."""
        return float(self.shapes.min()), float(self.shapes.max())

    @property
    def scale_interval(self) -> tuple[float, float]:
        """95 % interval of σ."""
        return float(self.scales.min()), float(self.scales.max())

    def quantile(self, probability: float) -> tuple[float, tuple[float, float]]:
        """Return the value that a share of the readings exceeds, and its 95 % interval.

        Parameters
        ----------
        probability : float
            At most the share of readings beyond the threshold.
        """
        low, high = self._rates()
        value = self.threshold + _excess(probability / self.rate, self.scale, self.shape)
        ends = [
            self.threshold + _excess(probability / rate, self.scales, self.shapes)
            for rate in (low, high)
        ]
        return float(value), (
            min(float(np.min(ends)), float(value)),
            max(float(np.max(ends)), float(value)),
        )

    def log_exceedance(self, x: float) -> tuple[float, tuple[float, float]]:
        """Return ln P(X > x) and its 95 % interval; minus infinity beyond the end of the tail.

        Parameters
        ----------
        x : float
            At or beyond the threshold.
        """
        low, high = self._rates()
        y = np.array(x - self.threshold)
        value = math.log(self.rate) + float(log_survival(y, self.scale, self.shape))
        tails = log_survival(y, self.scales, self.shapes)
        return value, (
            min(float(np.min(np.log(low) + tails)), value),
            max(float(np.max(np.log(high) + tails)), value),
        )

    def _rates(self) -> tuple[Floats, Floats]:
        """Return the limits of ζ at each point of the region, (r,) each."""
        spread = np.sqrt(2 * self.slack * (1 - self.rate) * self.rate_effect / self.exceedances)
        low, high = self.rate * np.exp(-spread), self.rate * np.exp(spread)
        return low, np.minimum(high, 1.0)


def log_survival(y: Floats, scale: Floats | float, shape: Floats | float) -> Floats:
    """Return ln P(Y > y) of an excess."""
    scale, shape = np.asarray(scale, dtype=np.float64), np.asarray(shape, dtype=np.float64)
    straight = np.abs(shape) < _SMALL
    xi = np.where(straight, 1.0, shape)
    with np.errstate(divide="ignore"):
        bent = -np.log1p(np.maximum(xi * y / scale, -1.0)) / xi
    return np.asarray(np.where(straight, -y / scale, bent))


def _excess(share: Floats | float, scale: Floats | float, shape: Floats | float) -> Floats:
    """Return the excess that a share of the exceedances is beyond."""
    scale, shape = np.asarray(scale, dtype=np.float64), np.asarray(shape, dtype=np.float64)
    depth = -np.log(np.minimum(share, 1.0))
    straight = np.abs(shape) < _SMALL
    xi = np.where(straight, 1.0, shape)
    return np.asarray(scale * np.where(straight, depth, np.expm1(xi * depth) / xi))


def fit_pareto(
    excess: Floats,
    threshold: float,
    n: int,
    *,
    design_effect: float = 1.0,
    rate_effect: float | None = None,
) -> ParetoTail:
    """Fit a generalised Pareto distribution by maximum likelihood.

    Parameters
    ----------
    excess : (k,) array
        Positive excesses over the threshold, of which at least two differ.
    threshold : float
    n : int
        Number of all readings.
    design_effect : float
        Of shape and scale, at least 1.
    rate_effect : float, optional
        Of the share beyond the threshold; by default the same.
    """
    unit = float(excess.mean())
    y, weight = _grouped(np.sort(excess / unit))
    k = excess.size
    shape, scale = _maximum(y, weight)
    best = _log_likelihood(y, weight, np.array([shape]), np.array([scale]))[0]
    effective = k / design_effect
    allowed = 0.5 * float(special.stdtrit(max(effective - 2.0, 1.0), 0.975)) ** 2
    shapes, scales, fall = _region(
        y, weight, (shape, scale), float(best), design_effect, allowed, effective
    )
    return ParetoTail(
        threshold=threshold,
        scale=scale * unit,
        shape=shape,
        n=n,
        exceedances=k,
        design_effect=design_effect,
        rate_effect=design_effect if rate_effect is None else rate_effect,
        shapes=shapes,
        scales=scales * unit,
        slack=np.maximum(allowed - fall, 0.0),
    )


def estimate_pareto(excess: Floats) -> tuple[float, float]:
    """Return shape and scale by maximum likelihood; parameters as for `fit_pareto`."""
    unit = float(excess.mean())
    shape, scale = _maximum(*_grouped(np.sort(excess / unit)))
    return shape, scale * unit


def _grouped(y: Floats) -> tuple[Floats, Floats]:
    """Return sorted excesses with weights; all but the largest in groups of neighbours."""
    if y.size <= _SINGLE + _GROUPS:
        return y, np.ones(y.size)
    body, largest = y[:-_SINGLE], y[-_SINGLE:]
    parts = np.array_split(body, _GROUPS)
    mean = np.array([part.mean() for part in parts])
    size = np.array([part.size for part in parts], dtype=np.float64)
    return np.concatenate([mean, largest]), np.concatenate([size, np.ones(_SINGLE)])


def _log_likelihood(y: Floats, weight: Floats, shape: Floats, scale: Floats) -> Floats:
    """Return the log likelihood at points (shape, scale), of the same shape as both."""
    straight = np.abs(shape) < _SMALL
    xi = np.where(straight, 1.0, shape)[..., None]
    inside = xi * y / scale[..., None]
    beyond = inside.min(axis=-1) <= -1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        bent = (np.log1p(np.maximum(inside, -1.0)) * (1 + 1 / xi)) @ weight
    total = np.where(straight, (y @ weight) / scale, np.where(beyond, np.inf, bent))
    return np.asarray(-weight.sum() * np.log(scale) - total)


def _maximum(y: Floats, weight: Floats) -> tuple[float, float]:
    """Return (shape, scale) of the maximum.

    For a given θ = ξ/σ the likelihood is largest at ξ = mean of ln(1 + θ·y), which leaves a search
    along θ (Grimshaw, Technometrics 35 (1993) 185); at a limit of the shape, along σ.
    """
    total, largest = float(weight.sum()), float(y[-1])
    found = []

    def along_theta(u: Floats) -> Floats:
        theta = np.expm1(u) / largest  # u = ln(1 + θ·y) of the largest excess
        theta = np.where(np.abs(theta) < _SMALL, _SMALL, theta)
        shape = np.log1p(theta[:, None] * y) @ weight / total
        inside = (shape >= SHAPE_LIMITS[0]) & (shape <= SHAPE_LIMITS[1])
        return np.where(inside, -np.log(shape / theta) - shape, -np.inf)

    u, value = _best_on_line(along_theta, -7.0, 7.0)
    if np.isfinite(value):
        theta = math.expm1(u) / largest
        theta = _SMALL if abs(theta) < _SMALL else theta
        shape = float(np.log1p(theta * y) @ weight) / total
        found.append((shape, shape / theta))
    for limit in SHAPE_LIMITS:

        def along_scale(t: Floats, limit: float = limit) -> Floats:
            return _log_likelihood(y, weight, np.full(t.size, limit), np.exp(t))

        t, value = _best_on_line(along_scale, math.log(0.05), math.log(20.0))
        if np.isfinite(value):
            found.append((limit, math.exp(t)))
    shapes, scales = np.array(found).T
    best = int(np.argmax(_log_likelihood(y, weight, shapes, scales)))
    return found[best]


def _best_on_line(
    function: Callable[[Floats], Floats], low: float, high: float
) -> tuple[float, float]:
    """Return where a function is largest between two limits, and its value there."""
    for _ in range(6):
        at = np.linspace(low, high, 41)
        value = function(at)
        i = int(np.argmax(value))
        low, high = float(at[max(i - 1, 0)]), float(at[min(i + 1, at.size - 1)])
    return float(at[i]), float(value[i])


def _region(
    y: Floats,
    weight: Floats,
    at: tuple[float, float],
    best: float,
    design_effect: float,
    allowed: float,
    effective: float,
) -> tuple[Floats, Floats, Floats]:
    """Return shapes, scales and falls of the log likelihood within the likelihood region.

    The points are on rays from the maximum, at equal angles where the region is close to a circle,
    and at its border and fractions of the way to it. A ray that meets a limit of the shape follows
    the limit.
    """
    shape, scale = at
    a = 1 + max(shape, SHAPE_LIMITS[0] + 0.01)
    covariance = np.array([[a * a, -a], [-a, 2.0]]) / max(effective, 1.0)  # of shape and ln scale
    angle = np.linspace(0.0, 2 * math.pi, _RAYS, endpoint=False)
    ray = np.linalg.cholesky(covariance) @ np.stack([np.cos(angle), np.sin(angle)])

    def along(distance: Floats) -> tuple[Floats, Floats, Floats]:
        shapes = np.clip(shape + distance * ray[0], *SHAPE_LIMITS)
        scales = scale * np.exp(np.clip(distance * ray[1], -50.0, 50.0))
        fall = (best - _log_likelihood(y, weight, shapes, scales)) / design_effect
        return shapes, scales, np.maximum(fall, 0.0)

    low, high = np.zeros(_RAYS), np.full(_RAYS, 2.0)
    for _ in range(12):
        inside = along(high)[2] <= allowed
        if not inside.any():
            break
        low, high = np.where(inside, high, low), np.where(inside, 2 * high, high)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        inside = along(middle)[2] <= allowed
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    rings = [along(fraction * low) for fraction in _FRACTIONS]
    shapes, scales, fall = (np.concatenate(parts) for parts in zip(*rings, strict=True))
    return np.append(shapes, shape), np.append(scales, scale), np.append(fall, 0.0)
