"""Where to read: the threshold between two neighbouring levels, and the share misread there.

With laws of density f and distribution function F below (a) and above (b), both asked for equally
often, a read threshold t misreads the share

    e(t) = ½·[1 − F_a(t) + F_b(t)],

least where f_a(t) = f_b(t). Errors follow by the delta method from the cells' influences ψ on the
two laws' parameters, so that cells which serve at both levels count as the same cells:

    ψ_t = (s_a·ψ_a − s_b·ψ_b)/((ln f_b)' − (ln f_a)'),   s = ∂ ln f/∂θ at t,
    ψ_e = ½·(∂F_b·ψ_b − ∂F_a·ψ_a);

t's own error does not enter e, which is least there. The share is what the laws say, also far out
in tails where few readings or none have been.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.families import family
from rramfit.card.quantity import Quantity
from rramfit.fitting.inference import clustered_covariance
from rramfit.fitting.level_law import LevelLaw

__all__ = ["Boundary", "cdf_slope", "separate"]

Floats = NDArray[np.float64]

_Z = np.linspace(-6.0, 6.0, 61)
_BETWEEN = 61


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary:
    """Best read threshold between two levels.

    Attributes
    ----------
    threshold : Quantity
        [S]
    overlap : Quantity
        Share misread there, of both levels asked for equally often.
    """

    threshold: Quantity
    overlap: Quantity


def separate(below: LevelLaw, above: LevelLaw) -> Boundary:
    """Find the best read threshold between a level's law and the next one's."""
    t, bracketed = _best(below, above)
    wrong = 0.5 * float(below.sf(np.array(t)) + above.cdf(np.array(t)))
    field_e = 0.5 * (
        np.tensordot(cdf_slope(above, t), above.influence, 1)
        - np.tensordot(cdf_slope(below, t), below.influence, 1)
    )
    scale_e = _size(field_e)
    steep = _log_slope(above, t) - _log_slope(below, t)
    if not (bracketed and steep > 0 and wrong > 0 and scale_e > 0):
        return Boundary(threshold=Quantity.given(t, "S"), overlap=Quantity.given(wrong, "1"))
    field_t = np.tensordot(_score(below, t), below.influence, 1)
    field_t = (field_t - np.tensordot(_score(above, t), above.influence, 1)) / steep
    scale = np.array([_size(field_t), scale_e])
    scale[scale == 0] = 1.0
    found = clustered_covariance(np.stack([field_t, field_e]) / scale[:, None, None])
    error = np.sqrt(np.diagonal(found.covariance)) * scale
    df_t, df_e = (float(d) for d in found.df)
    return Boundary(
        threshold=Quantity.estimated(t, float(error[0]), "S", df=df_t),
        overlap=Quantity.estimated(wrong, float(error[1]), "1", scale="log", df=df_e),
    )


def _size(field: Floats) -> float:
    return float(np.sqrt((field**2).sum()))


def _best(below: LevelLaw, above: LevelLaw) -> tuple[float, bool]:
    """Threshold [S], and whether the densities cross there."""
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
            return float(grid[i]), False
        j = int(np.flatnonzero(lead[:-1] <= 0)[-1])
        if fine[j + 1] <= fine[j] or not high - low > 1e-15 * abs(high):
            break
        low, high = float(fine[j]), float(fine[j + 1])
    return 0.5 * (low + high), True


def _log_slope(law: LevelLaw, t: float) -> float:
    """D ln f/dg at t [1/S]."""
    h = 1e-4 * law.maximum.points.std * law.maximum.frame.unit
    ends = law.logpdf(np.array([t - h, t + h]))
    return float(ends[1] - ends[0]) / (2 * h)


def _score(law: LevelLaw, t: float) -> Floats:
    """∂ ln f/∂θ at t, (p,)."""
    x = law.maximum.frame.put(np.array([t]))
    return np.asarray(law.maximum.likelihood.log_density(law.maximum.theta, x)[1][:, 0])


def cdf_slope(law: LevelLaw, t: float | Floats) -> Floats:
    """∂F/∂θ at t, (p,) or (p, t); from the tail that t lies in, so that it keeps its digits."""
    maximum, at = law.maximum, np.asarray(t, dtype=np.float64)
    form = family(law.family)
    out = np.zeros((maximum.size, *at.shape))
    lower = np.asarray(form.cdf(at, law.parameters)) < 0.5
    for i in np.flatnonzero(maximum.free):
        h = np.zeros(maximum.size)
        h[i] = 1e-5 * max(1.0, abs(maximum.theta[i]))
        up = maximum.likelihood.natural(maximum.theta + h, maximum.frame)
        down = maximum.likelihood.natural(maximum.theta - h, maximum.frame)
        cdf = np.asarray(form.cdf(at, up)) - np.asarray(form.cdf(at, down))
        sf = np.asarray(form.sf(at, down)) - np.asarray(form.sf(at, up))
        out[i] = np.where(lower, cdf, sf) / (2 * h[i])
    return np.nan_to_num(out, nan=0.0, posinf=0.0, neginf=0.0)
