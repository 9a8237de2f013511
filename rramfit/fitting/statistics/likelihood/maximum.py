"""Maximum of a family's likelihood of one level's readings, exact, with what its errors rest on.

The maximum is found on compressed points, which is near enough to compare families (`approach`),
and then moved by one Newton step on the gradient of the exact readings (`refine`; by more, where
that step is not small). What is kept is the observed information, by
differences of the exact gradient, and the score of each cell summed over its readings. From these
follows each cell's influence on the estimate, I⁻¹·score, and from the influences a covariance that
allows for readings of one cell being alike (White, Econometrica 50 (1982) 1).
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
_ENOUGH = 1e-2  # of the log likelihood: far less than it moves by chance
_REFIT = 1e-2  # of the log likelihood, before the last step
_SINGULAR = 1e-8
_SMALL = 1e-8  # of the decrement, times the number of readings


@dataclass(frozen=True, slots=True, kw_only=True)
class Maximum:
    """One family at its likelihood's maximum, in internal parameters θ.

    Attributes
    ----------
    likelihood : Likelihood
    frame : Frame
    points : Points
        Compressed readings in that frame.
    theta : (p,) array
    free : (p,) bool array
        False where a parameter rests on its bound.
    curvature : (p, p) array
        Hessian of the mean negative log likelihood.
    log_likelihood : float
        Of all readings, densities in 1/S.
    score : (p, cell) array
        Gradient of each cell's log likelihood.
    converged, regular : bool
        Whether the search ended at a maximum, and whether the information there is positive.
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
        """Number of free parameters, those at a bound included."""
        return self.theta.size

    @property
    def aic(self) -> float:
        """Akaike's criterion."""
        return 2 * (self.size - self.log_likelihood)

    @property
    def bic(self) -> float:
        """Bayesian criterion, for the number of readings."""
        return self.size * math.log(self.points.total) - 2 * self.log_likelihood

    @property
    def parameters(self) -> dict[str, float]:
        """Parameters as they stand in a card."""
        return self.likelihood.natural(self.theta, self.frame)

    @property
    def edges(self) -> tuple[str, ...]:
        """What it means that parameters rest on their bounds."""
        high = self.theta >= self.likelihood.upper
        texts = (
            text[int(high[i])] or "a parameter is at its bound"
            for i, text in enumerate(self.likelihood.edges)
            if not self.free[i]
        )
        return tuple(dict.fromkeys(texts))

    @property
    def spiked(self) -> bool:
        """Whether the distribution has shrunk onto equal readings, where its likelihood has no maximum."""
        narrow = self.theta <= self.likelihood.lower
        return bool(np.any(narrow[list(self.likelihood.widths)]))

    def influence(self) -> Floats:
        """Influence of each cell on θ, (p, cell); zero for parameters at a bound."""
        out = np.zeros_like(self.score)
        if self.free.any():
            size, value, vector = spectrum(self.curvature[np.ix_(self.free, self.free)])
            known = np.where(value > _SINGULAR, value, np.inf)  # nothing is said of the others
            score = vector.T @ (self.score[self.free] / size[:, None])
            inner = vector @ (score / known[:, None]) / size[:, None]
            out[self.free] = inner / self.points.total
        return out

    def differentiate(self, function: Callable[[Floats], Floats]) -> Floats:
        """Differentiate a function of θ, (…,), in its free parameters: (…, p), zero elsewhere."""
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
        At least as many different ones as there are parameters.
    """
    return refine(approach(likelihood, readings), readings)


def approach(likelihood: Likelihood, readings: LevelReadings) -> Maximum:
    """Fit one family to the compressed readings of a level; the parameters are as in `maximise`."""
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
    """Correct a maximum that was found on compressed readings by the exact ones."""
    if readings.exact:
        return maximum
    return _polish(maximum, readings, readings.single_points(maximum.frame))


def refit(maximum: Maximum, weight: Floats) -> Floats:
    """θ for the same points under other weights, (m + 2,): a fold, or a resample."""
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
    if found.converged:  # one step more costs no further gradient
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
    """Take Newton steps on the readings at `points`, then scores and curvature there."""
    likelihood, theta, free = maximum.likelihood, maximum.theta, maximum.free
    box = (likelihood.lower, likelihood.upper)
    total = points.total
    for _ in range(_POLISHES):
        value, score = likelihood.terms(theta, points)
        gradient = -(score @ points.weight) / total
        step = solve_free(maximum.curvature, gradient, free)
        decrement = -float(gradient @ step) * total
        if not decrement > 1e-20 or decrement > 1e-2:  # nothing to gain, or out of Newton's reach
            break
        theta = np.clip(theta + step, *box)
        if decrement < _SMALL:  # the values and scores at hand are those of the new θ
            break
    curvature = hessian(lambda t: likelihood.mean_nll(t, maximum.points), theta, *box)
    inner = curvature[np.ix_(free, free)]
    single = points is not maximum.points
    return replace(
        maximum,
        theta=theta,
        curvature=curvature,
        log_likelihood=(
            float(points.weight @ value) - readings.seen.size * math.log(maximum.frame.unit)
        ),
        score=readings.cell_sums(score, single=single),
        regular=not inner.size or bool(spectrum(inner)[1][0] > _SINGULAR),
    )
