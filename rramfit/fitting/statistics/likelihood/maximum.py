"""Maximum of a family's likelihood for the readings of one level, with the data for its errors.

The maximum is found on compressed points, which is accurate enough to compare families
(`approach`). Newton steps on the gradient of the exact readings then correct it (`refine`); one
step usually suffices. The result keeps the observed information, by differences of the exact
gradient, and the score of each cell summed over its readings. From these follows the influence of
each cell on the estimate, I⁻¹·score, and from the influences a covariance that allows for
correlated readings of one cell (White, Econometrica 50 (1982) 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.statistics.likelihood.contract import Likelihood
from rramfit.fitting.statistics.likelihood.newton import (
    Minimum,
    hessian,
    minimise,
    solve_free,
    spectrum,
)
from rramfit.fitting.statistics.likelihood.points import Frame, Points
from rramfit.fitting.statistics.likelihood.readings import LevelReadings

__all__ = ["Maximum", "approach", "maximise", "refine", "refit"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_POLISHES = 4
_ENOUGH = 1e-2  # tolerance in the log likelihood, far below its random scatter
_REFIT = 1e-2  # tolerance in the log likelihood before the last step
_SINGULAR = 1e-8
_SMALL = 1e-8  # decrement times number of readings at which steps end


@dataclass(frozen=True, slots=True, kw_only=True)
class Maximum:
    """Likelihood maximum of one family, in internal parameters θ.

    Attributes
    ----------
    likelihood : Likelihood
    frame : Frame
    points : Points
        Compressed readings in that frame.
    theta : (p,) array
    free : (p,) bool array
        False for a parameter on its bound.
    curvature : (p, p) array
        Hessian of the mean negative log likelihood.
    log_likelihood : float
        Log likelihood of all readings, densities in 1/S.
    score : (p, cell) array
        Gradient of each cell's log likelihood.
    converged, regular : bool
        Whether the search found a maximum, and whether the information there is positive.
    """

    likelihood: Likelihood
    frame: Frame
    points: Points
    theta: Floats
    free: Bools
    curvature: Floats
    log_likelihood: float
    score: Floats
    converged: bool
    regular: bool

    @property
    def size(self) -> int:
        """Number of parameters, including those at a bound."""
        return self.theta.size

    @property
    def aic(self) -> float:
        """Akaike information criterion."""
        return 2 * (self.size - self.log_likelihood)

    @property
    def bic(self) -> float:
        """Bayesian information criterion, for the number of readings."""
        return self.size * math.log(self.points.total) - 2 * self.log_likelihood

    @property
    def parameters(self) -> dict[str, float]:
        """Parameters as used in a card."""
        return self.likelihood.natural(self.theta, self.frame)

    @property
    def edges(self) -> tuple[str, ...]:
        """Descriptions of the limiting distribution, one per parameter on its bound."""
        high = self.theta >= self.likelihood.upper
        texts = (
            text[int(high[i])] or "a parameter is at its bound"
            for i, text in enumerate(self.likelihood.edges)
            if not self.free[i]
        )
        return tuple(dict.fromkeys(texts))

    @property
    def collapsed(self) -> bool:
        """Whether the distribution collapsed onto equal readings: its likelihood is unbounded."""
        narrow = self.theta <= self.likelihood.lower
        return bool(np.any(narrow[list(self.likelihood.widths)]))

    def influence(self) -> Floats:
        """Return the influence of each cell on θ, (p, cell); zero for parameters at a bound."""
        out = np.zeros_like(self.score)
        if self.free.any():
            size, value, vector = spectrum(self.curvature[np.ix_(self.free, self.free)])
            known = np.where(value > _SINGULAR, value, np.inf)  # other directions are undetermined
            score = vector.T @ (self.score[self.free] / size[:, None])
            inner = vector @ (score / known[:, None]) / size[:, None]
            out[self.free] = inner / self.points.total
        return out

    def differentiate(self, function: Callable[[Floats], Floats]) -> Floats:
        """Differentiate a function of θ, (…,), by its free parameters, (…, p); zero elsewhere."""
        shape = np.shape(function(self.theta))
        out = np.zeros((*shape, self.size))
        for i in np.flatnonzero(self.free):
            h = np.zeros(self.size)
            h[i] = 1e-5 * max(1.0, abs(self.theta[i]))
            out[..., i] = (function(self.theta + h) - function(self.theta - h)) / (2 * h[i])
        return out


def maximise(likelihood: Likelihood, readings: LevelReadings) -> Maximum:
    """Fit one family to the readings of a level.

    Parameters
    ----------
    likelihood : Likelihood
    readings : LevelReadings
        With at least as many different values as there are parameters.
    """
    return refine(approach(likelihood, readings), readings)


def approach(likelihood: Likelihood, readings: LevelReadings) -> Maximum:
    """Fit one family to the compressed readings of a level; parameters as for `maximise`."""
    points = readings.points(frame := readings.frame(positive=likelihood.positive))
    found = _search(likelihood, points)
    start = Maximum(
        likelihood=likelihood,
        frame=frame,
        points=points,
        theta=found.at,
        free=found.free,
        curvature=found.curvature,
        log_likelihood=np.nan,
        score=np.empty((found.at.size, 0)),
        converged=found.converged,
        regular=False,
    )
    return _polish(start, readings, points)


def refine(maximum: Maximum, readings: LevelReadings) -> Maximum:
    """Correct a maximum found on compressed readings, using the exact readings."""
    if readings.exact:
        return maximum
    return _polish(maximum, readings, readings.single_points(maximum.frame))


def refit(maximum: Maximum, weight: Floats) -> Floats:
    """Return θ for the same points with other weights, (m + 2,), of a fold or a resample."""
    points = maximum.points.reweighted(weight)
    likelihood = maximum.likelihood
    box = (likelihood.lower, likelihood.upper)
    found = minimise(
        lambda t: likelihood.mean_nll(t, points),
        maximum.theta,
        *box,
        curvature=maximum.curvature,
        tolerance=_REFIT / points.total,
        iterations=15,
    )
    if found.converged:  # one more step needs no further gradient
        return np.clip(found.at + solve_free(found.curvature, found.gradient, found.free), *box)
    return found.at


def _search(likelihood: Likelihood, points: Points) -> Minimum:
    def objective(theta: Floats) -> tuple[float, Floats]:
        return likelihood.mean_nll(theta, points)

    starts = [np.clip(s, likelihood.lower, likelihood.upper) for s in likelihood.starts(points)]
    with np.errstate(all="ignore"):
        values = [objective(s)[0] for s in starts]
    best = starts[int(np.nanargmin(np.where(np.isfinite(values), values, np.inf)))]
    box = (likelihood.lower, likelihood.upper)
    return minimise(objective, best, *box, enough=_ENOUGH / points.total)


def _polish(maximum: Maximum, readings: LevelReadings, points: Points) -> Maximum:
    """Take Newton steps on the readings at `points`, then compute scores and curvature there."""
    likelihood, theta, free = maximum.likelihood, maximum.theta, maximum.free
    box = (likelihood.lower, likelihood.upper)
    total = points.total
    for _ in range(_POLISHES):
        value, score = likelihood.terms(theta, points)
        gradient = -(score @ points.weight) / total
        step = solve_free(maximum.curvature, gradient, free)
        decrement = -float(gradient @ step) * total
        if not decrement > 1e-20 or decrement > 1e-2:  # converged, or too far for Newton steps
            break
        theta = np.clip(theta + step, *box)
        if decrement < _SMALL:  # value and score also hold at the new θ
            break
    curvature = hessian(lambda t: likelihood.mean_nll(t, maximum.points), theta, *box)
    inner = curvature[np.ix_(free, free)]
    single = points is not maximum.points
    return replace(
        maximum,
        theta=theta,
        curvature=curvature,
        log_likelihood=(
            float(points.weight @ value) - readings.unclipped.size * math.log(maximum.frame.unit)
        ),
        score=readings.cell_sums(score, single=single),
        regular=not inner.size or bool(spectrum(inner)[1][0] > _SINGULAR),
    )
