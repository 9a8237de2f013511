"""Goodness of fit of a level's law, with readings of one cell alike.

Let D(t) = Σ_i (1[u_i ≤ t] − t), u_i = F(y_i; θ̂), be the empirical process of the probability
transforms, and

    T = Σ_j w_j·D(t_j)²/n,   w_j = Δt_j/(t_j·(1 − t_j)),

Anderson and Darling's statistic on 24 points t_j even in Φ⁻¹(t) over ±3.2. To first order D is a
sum over cells of

    ψ_c(t) = Σ_{i∈c} (1[u_i ≤ t] − t) − n·∂F/∂θ'·ψ_θ,c

with ψ_θ,c the cell's influence on θ̂. Under the law, T is then a weighted sum of χ² variables, the
weights being the eigenvalues of Σ_c ψ_c ψ_c'/n. This is the limit that a bootstrap of T comes to
when whole cells are weighted at random (Kojadinovic and Yan, Statistics and Computing 22 (2012)
17), without drawing it; its distribution function follows from three moments (Buckley and Eagleson,
Australian Journal of Statistics 30 (1988) 150).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.families import family
from rramfit.fitting.likelihood import Frame, LevelReadings, Maximum

__all__ = ["Goodness", "assess", "quadratic_p_value"]

Floats = NDArray[np.float64]

_Z = np.linspace(-3.2, 3.2, 24)
_T = special.ndtr(_Z)
_WEIGHT = (_Z[1] - _Z[0]) * np.exp(-0.5 * _Z**2) / np.sqrt(2 * np.pi) / (_T * (1 - _T))


@dataclass(frozen=True, slots=True, kw_only=True)
class Goodness:
    """How well a law fits its level.

    Attributes
    ----------
    p_value : float
        Chance of a fit no better, were the law true.
    distance : float
        Largest difference of the empirical and the fitted distribution function inside the rails.
    """

    p_value: float
    distance: float


def assess(maximum: Maximum, readings: LevelReadings) -> Goodness:
    """Test a family's fit at one level."""
    law, ones = family(maximum.likelihood.family), Frame(0.0, 1.0)
    natural = maximum.likelihood.natural
    points, theta = maximum.points, maximum.theta
    u = law.cdf(points.x, natural(theta, ones))
    weight, n = points.weight, points.total
    below = (np.cumsum(weight[:-2]) + weight[-2]) / n
    before = below - weight[:-2] / n
    distance = float(max(np.abs(below - u).max(), np.abs(before - u).max()))

    # D at t_j = F(x_j): the points x_j are the law's own quantiles, met through u
    slot = np.concatenate([np.searchsorted(_T, u), [0, _T.size]])
    cells, m = readings.n_cells, _T.size + 1
    in_slot = np.bincount(readings.cell * m + slot[readings.point], minlength=cells * m)
    count: Floats = in_slot.reshape(cells, m).astype(np.float64)
    count[:, 0] += readings.floor_count
    count[:, -1] += readings.ceiling_count
    process = np.cumsum(count, axis=1)[:, :-1] - count.sum(axis=1, keepdims=True) * _T

    x = law.ppf(_T, natural(theta, ones))
    influence = maximum.influence()
    slope = np.zeros((theta.size, _T.size))
    for i in np.flatnonzero(maximum.free):
        h = np.zeros(theta.size)
        h[i] = 1e-5 * max(1.0, abs(theta[i]))
        up, down = natural(theta + h, ones), natural(theta - h, ones)
        slope[i] = (law.cdf(x, up) - law.cdf(x, down)) / (2 * h[i])
    root = np.sqrt(_WEIGHT * _inside(points.floor, points.ceiling, x, weight) / n)
    statistic = float(((process.sum(axis=0) * root) ** 2).sum())
    psi = (process - n * influence.T @ slope) * root
    return Goodness(
        p_value=quadratic_p_value(statistic, np.linalg.eigvalsh(psi.T @ psi)), distance=distance
    )


def _inside(floor: float | None, ceiling: float | None, x: Floats, weight: Floats) -> Floats:
    """One where x lies inside the rails at which there are readings, else zero."""
    ok = np.ones(x.size, dtype=bool)
    if floor is not None and weight[-2] > 0:
        ok &= x > floor
    if ceiling is not None and weight[-1] > 0:
        ok &= x < ceiling
    return ok.astype(np.float64)


def quadratic_p_value(statistic: float, eigenvalues: Floats) -> float:
    """P(Σ λ_j χ²_1 ≥ statistic), from a χ² with the same three moments."""
    first, second, third = (float((np.maximum(eigenvalues, 0) ** k).sum()) for k in (1, 2, 3))
    if first <= 0:
        return 1.0
    df = second**3 / third**2
    standard = (statistic - first) / np.sqrt(2 * second)
    return float(special.chdtrc(df, max(standard * np.sqrt(2 * df) + df, 0.0)))
