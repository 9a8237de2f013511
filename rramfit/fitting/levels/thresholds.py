"""Read threshold between two neighbouring levels, and the share of readings misread there.

With density f and distribution function F for the level below (a) and above (b), both equally
frequent, a read threshold t misreads the share

    e(t) = ½·[1 − F_a(t) + F_b(t)],

which is smallest where f_a(t) = f_b(t). Errors follow by the delta method from the influences ψ of
the cells on the parameters of the two distributions:

    ψ_t = (s_a·ψ_a − s_b·ψ_b)/((ln f_b)' − (ln f_a)'),   s = ∂ ln f/∂θ at t,
    ψ_e = ½·(∂F_b·ψ_b − ∂F_a·ψ_a).

The error of t does not enter e because e is at its minimum. The share is that of the fitted
distributions, also far in the tails where there are few or no readings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.families import family
from rramfit.card.quantity import Quantity, interval
from rramfit.fitting.levels.distribution import LevelDistribution
from rramfit.fitting.statistics.influence import Influence, PartErrors, combine

__all__ = ["Boundary", "cdf_slope", "separate"]

Floats = NDArray[np.float64]

_Z = np.linspace(-6.0, 6.0, 61)
_BETWEEN = 61


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary:
    """Best read threshold between two levels.

    Attributes
    ----------
    threshold : float
        [S]
    overlap : float
        Share misread there if both levels are equally frequent.
    crossing : bool
        Whether the two densities cross there; otherwise no error is known.
    below, above : Influence
        Influence of the two levels' cells on threshold and overlap.
    """

    threshold: float
    overlap: float
    crossing: bool
    below: Influence
    above: Influence

    def quantities(
        self, below: PartErrors, above: PartErrors, correlation: Floats
    ) -> tuple[Quantity, Quantity]:
        """Return threshold [S] and overlap with intervals.

        Parameters
        ----------
        below, above : PartErrors
            Errors of the two levels' parts.
        correlation : (2, 2) array
            Correlation of cell offsets between the levels; NaN where unknown.
        """
        if not (self.crossing and self.overlap > 0):
            return Quantity.given(self.threshold, "S"), Quantity.given(self.overlap, "1")
        error, df = combine((self.below, self.above), (below, above), correlation)
        trend = np.hypot(below.trend, above.trend)
        threshold = Quantity.estimated(self.threshold, float(error[0]), "S", df=float(df[0]))
        low, high = interval(self.overlap, float(error[1]), scale="log", df=float(df[1]))
        overlap = Quantity.within(
            self.overlap,
            float(error[1]),
            "1",
            (low, min(high, 1.0)),  # a share
        )
        return threshold.drifting(float(trend[0])), overlap.drifting(float(trend[1]))


def separate(below: LevelDistribution, above: LevelDistribution) -> Boundary:
    """Find the best read threshold between the distributions of two neighbouring levels."""
    t, bracketed = _best(below, above)
    at = np.array(t)
    steep = _log_slope(above, t) - _log_slope(below, t)
    crossing = bracketed and steep > 0
    steep = steep if crossing else np.inf
    slope_a = np.stack([_score(below, t) / steep, -0.5 * cdf_slope(below, at)])
    slope_b = np.stack([-_score(above, t) / steep, 0.5 * cdf_slope(above, at)])
    return Boundary(
        threshold=t,
        overlap=0.5 * float(below.sf(at) + above.cdf(at)),
        crossing=crossing,
        below=below.influence.through(slope_a),
        above=above.influence.through(slope_b),
    )


def _best(below: LevelDistribution, above: LevelDistribution) -> tuple[float, bool]:
    """Return the threshold [S], and whether the densities cross there."""
    p = special.ndtr(_Z)
    middle = np.array([0.5])
    between = np.linspace(float(below.ppf(middle)[0]), float(above.ppf(middle)[0]), _BETWEEN)
    grid = np.unique(np.concatenate([below.ppf(p), above.ppf(p), between]))
    grid = grid[np.isfinite(grid)]
    wrong = below.sf(grid) + above.cdf(grid)
    least = np.flatnonzero(wrong <= wrong.min())
    i = int(least[least.size // 2])
    if i in (0, grid.size - 1) or least.size > 1:
        return float(grid[i]), False
    low, high = float(grid[i - 1]), float(grid[i + 1])
    for _ in range(9):  # each round narrows the bracket 32-fold
        fine = np.linspace(low, high, 33)
        lead = above.logpdf(fine) - below.logpdf(fine)
        if not (lead[0] < 0 < lead[-1]):
            break
        j = int(np.flatnonzero(lead[:-1] <= 0)[-1])
        low, high = float(fine[j]), float(fine[j + 1])
        if not high - low > 1e-14 * abs(high):
            return 0.5 * (low + high), True
    return float(grid[i]), False


def _log_slope(distribution: LevelDistribution, t: float) -> float:
    """Return d ln f/dg at t [1/S]."""
    h = 1e-4 * distribution.maximum.points.std * distribution.maximum.frame.unit
    ends = distribution.logpdf(np.array([t - h, t + h]))
    return float(ends[1] - ends[0]) / (2 * h)


def _score(distribution: LevelDistribution, t: float) -> Floats:
    """Return ∂ ln f/∂θ at t, (p,)."""
    x = distribution.maximum.frame.put(np.array([t]))
    return np.asarray(
        distribution.maximum.likelihood.log_density(distribution.maximum.theta, x)[1][:, 0]
    )


def cdf_slope(distribution: LevelDistribution, t: Floats) -> Floats:
    """Return ∂F/∂θ at t, (…, p), computed from the tail that contains t for accuracy."""
    m, form = distribution.maximum, family(distribution.family)

    def tails(theta: Floats) -> Floats:
        parameters = m.likelihood.natural(theta, m.frame)
        return np.stack([form.cdf(t, parameters), -form.sf(t, parameters)])

    slope = np.nan_to_num(m.differentiate(tails), nan=0.0, posinf=0.0, neginf=0.0)
    lower = distribution.cdf(t) < 0.5
    return np.asarray(np.where(lower[..., None], slope[0], slope[1]))
