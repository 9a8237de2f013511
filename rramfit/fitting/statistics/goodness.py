"""Goodness of fit of a level's distribution when readings of one cell are correlated.

Let D(t) = Σ_i (1[u_i ≤ t] − t), u_i = F(y_i; θ̂), be the empirical process of the probability
transforms, and

    T = Σ_j w_j·D(t_j)²/n,   w_j = Δt_j/(t_j·(1 − t_j)),

the Anderson–Darling statistic on 16 points t_j, evenly spaced in Φ⁻¹(t) over ±3. To first order D
is a sum over cells of

    ψ_c(t) = Σ_{i∈c} (1[u_i ≤ t] − t) − n·∂F/∂θ'·ψ_θ,c

where ψ_θ,c is the cell's influence on θ̂. If the distribution is true, T is a weighted sum of χ²
variables whose weights λ are the eigenvalues of Σ_c ψ_c ψ_c'/n. A bootstrap of T that reweights
whole cells at random has the same limit (Kojadinovic and Yan, Statistics and Computing 22 (2012)
17); here the limit is computed without draws. Its distribution function follows from three moments
(Buckley and Eagleson, Australian Journal of Statistics 30 (1988) 150). A smooth field over the
array makes D larger than independent cells do. The variances of the leading components are
multiplied by the inflation found for each, those of the other components by the smallest of these.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.families import family
from rramfit.fitting.statistics.influence import Influence
from rramfit.fitting.statistics.likelihood import Frame, LevelReadings, Maximum

__all__ = ["LEADING", "Goodness", "assess"]

Floats = NDArray[np.float64]

LEADING = 4
"""Number of components of the process that are tested for a smooth field."""

_Z = np.linspace(-3.0, 3.0, 16)
_T = special.ndtr(_Z)
_WEIGHT = (_Z[1] - _Z[0]) * np.exp(-0.5 * _Z**2) / np.sqrt(2 * np.pi) / (_T * (1 - _T))


@dataclass(frozen=True, slots=True, kw_only=True)
class Goodness:
    """Goodness of fit of a distribution to its level.

    Attributes
    ----------
    statistic : float
        T of the module docstring.
    spectrum : (16,) array
        Weights λ of its χ² sum, in falling order.
    leading : Influence
        Contribution of each cell to the leading components of the process.
    distance : float
        Largest difference between the empirical and the fitted distribution function inside the
        rails.
    """

    statistic: float
    spectrum: Floats
    leading: Influence
    distance: float

    def p_value(self, inflation: Floats | None = None) -> float:
        """Return the probability of a fit at least this poor if the distribution is true.

        Parameters
        ----------
        inflation : (LEADING,) array, optional
            Factor by which a smooth field inflates the variance of each leading component.
        """
        spectrum = self.spectrum.copy()
        if inflation is not None:
            factor = np.maximum(inflation, 1.0)
            spectrum[:LEADING] *= factor
            spectrum[LEADING:] *= factor.min()
        return quadratic_p_value(self.statistic, spectrum)


def assess(maximum: Maximum, readings: LevelReadings) -> Goodness:
    """Assess the fit of a family to the readings of its level."""
    distribution, unit_frame = family(maximum.likelihood.family), Frame(0.0, 1.0)
    natural = maximum.likelihood.natural
    points, weight, n = maximum.points, maximum.points.weight, maximum.points.total
    u = distribution.cdf(points.x, natural(maximum.theta, unit_frame))
    below = (np.cumsum(weight[:-2]) + weight[-2]) / n
    before = below - weight[:-2] / n
    distance = float(max(np.abs(below - u).max(), np.abs(before - u).max()))

    slot = np.concatenate([np.searchsorted(_T, u), [0, _T.size]])
    cells, m = readings.n_cells, _T.size + 1
    in_slot = np.bincount(readings.cell * m + slot[readings.point], minlength=cells * m)
    count: Floats = in_slot.reshape(cells, m).astype(np.float64)
    count[:, 0] += readings.floor_count
    count[:, -1] += readings.ceiling_count
    np.cumsum(count, axis=1, out=count)
    psi = count[:, :-1] - count[:, -1:] * _T

    x = distribution.ppf(_T, natural(maximum.theta, unit_frame))
    slope = maximum.differentiate(lambda theta: distribution.cdf(x, natural(theta, unit_frame)))
    root = np.sqrt(_WEIGHT * _inside(points.floor, points.ceiling, x, weight) / n)
    statistic = float(((psi.sum(axis=0) * root) ** 2).sum())
    psi -= maximum.influence().T @ (n * slope.T)
    psi *= root
    spectrum, component = np.linalg.eigh(psi.T @ psi)
    return Goodness(
        statistic=statistic,
        spectrum=np.maximum(spectrum[::-1], 0.0),
        leading=Influence(
            values=(psi @ component[:, : -LEADING - 1 : -1]).T,
            position=readings.position,
            shape=readings.shape,
        ),
        distance=distance,
    )


def _inside(floor: float | None, ceiling: float | None, x: Floats, weight: Floats) -> Floats:
    """Return 1 where x is inside the rails that have clipped readings, else 0, shaped as x."""
    ok = np.ones(x.size, dtype=bool)
    if floor is not None and weight[-2] > 0:
        ok &= x > floor
    if ceiling is not None and weight[-1] > 0:
        ok &= x < ceiling
    return ok.astype(np.float64)


def quadratic_p_value(statistic: float, weights: Floats) -> float:
    """Return P(Σ λ_j χ²_1 ≥ statistic), approximated by a χ² with the same three moments."""
    first, second, third = (float((weights**k).sum()) for k in (1, 2, 3))
    if first <= 0:
        return 1.0
    df = second**3 / third**2
    standard = (statistic - first) / np.sqrt(2 * second)
    return float(special.chdtrc(df, max(standard * np.sqrt(2 * df) + df, 0.0)))
