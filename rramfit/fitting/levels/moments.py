"""Mean and standard deviation of a level over the population of cells and cycles.

With n_c accepted readings of cell c, their mean m_c and sum of squared deviations q_c, N = Σ n_c,

    μ̂ = Σ n_c·m_c/N,   s² = Σ (q_c + n_c·(m_c − μ̂)²)/N.

Each is a sum over cells to first order, with the influence of a cell

    ψ_μ = n_c·(m_c − μ̂)/N,   ψ_σ² = (q_c + n_c·(m_c − μ̂)² − n_c·s²)/N.

Errors are computed from these fields (`rramfit.fitting.statistics.influence`), so that readings of
one cell, and neighbours under one smooth field, are not treated as independent. s² does not contain
the deviation of the array mean from the population mean: E s² = σ² − Var(μ̂), so σ̂² = s² + Var(μ̂).

A few cells do not show the tails that the error of s² depends on. Below 64 cells it is at least
that of normal cells, with B and W the mean squares between and within n cells of m readings,

    Var s² ≥ 2·B²/(n − 1) + 2·W²·(m − 1)/(n·m²),   B = Var m_c,   W = Σ q_c/(N − n).

Rounding by a coarse converter adds to the error of the mean (`rramfit.fitting.screening.rounding`).
Readings clipped at a rail bias these moments; those of the fitted distribution then replace them.

If a verify window [a, b] holds all accepted readings, it holds their mean too, and their variance
is at most (b − μ)·(μ − a) ≤ (b − a)²/4 (Bhatia and Davis, American Mathematical Monthly 107 (2000)
353). The error of the mean is that of a number between a and b, so it is at most (b − a)/2. These
limits hold for every array that the process makes, so that values and intervals are cut there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.card.families import family
from rramfit.card.quantity import Quantity
from rramfit.fitting.levels.distribution import LevelDistribution
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.screening.rounding import grid_step, local_step, shift_of_mean
from rramfit.fitting.statistics.inference import ClusteredCovariance
from rramfit.fitting.statistics.influence import Influence

__all__ = ["Moments", "distribution_moments", "reading_moments"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_LEAST_CELLS = 3
_LEAST_READINGS = 30  # of fewer cells
_FEW_CELLS = 64  # that do not show their tails


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Mean and variance of a level, with the influences of the cells on them.

    Attributes
    ----------
    mean : float
        [S]
    variance : float
        [S²]
    influence : Influence
        Influence on mean and variance.
    few : bool
        Whether there are too few cells to show how cells differ; the moments then have no error.
    least : float
        Smallest error of the variance [S²].
    rounding : float
        Standard deviation of the mean's shift by a coarse converter [S].
    """

    mean: float
    variance: float
    influence: Influence
    few: bool = False
    least: float = 0.0
    rounding: float = 0.0

    def quantities(
        self,
        found: ClusteredCovariance,
        *,
        window: tuple[float, float] | None = None,
        trend: Floats | None = None,
    ) -> tuple[Quantity, Quantity]:
        """Return mean and standard deviation [S] with intervals, corrected for the finite array.

        Parameters
        ----------
        found : ClusteredCovariance
            Of mean and variance.
        window : (lower, upper), optional
            Verify window that holds all readings [S]; an open side is infinite.
        trend : (2,) array, optional
            Trends of mean and variance over the array [S, S²].
        """
        if self.few:
            std = math.sqrt(self.variance)
            return Quantity.given(self.mean, "S"), Quantity.given(std, "S")
        error, df = found.stderr, found.df
        low, high = window or (-math.inf, math.inf)
        widest = 0.5 * (high - low)
        shift = min(math.hypot(float(error[0]), self.rounding), widest)
        std = math.sqrt(self.variance + min(float(error[0]), widest) ** 2)
        if math.isfinite(widest):
            largest = max((high - self.mean) * (self.mean - low), self.variance)
            std = min(std, math.sqrt(largest))
        spread = min(max(float(error[1]), self.least) / (2 * std), widest) if std > 0 else 0.0
        mean = _cut(
            Quantity.estimated(self.mean, shift, "S", df=float(df[0])),
            min(low, self.mean),
            max(high, self.mean),
        )
        of_std = _cut(
            Quantity.estimated(std, spread, "S", scale="log", df=float(df[1])),
            0.0,
            max(widest, std),
        )
        if trend is None or not std > 0:
            return mean, of_std
        return mean.drifting(float(trend[0])), of_std.drifting(float(trend[1]) / (2 * std))


def _cut(q: Quantity, low: float, high: float) -> Quantity:
    """Return an estimate with its interval cut to what is possible."""
    if q.stderr is None or q.ci95 is None or (low <= q.ci95[0] and q.ci95[1] <= high):
        return q
    return Quantity.within(q.value, q.stderr, q.unit, (max(q.ci95[0], low), min(q.ci95[1], high)))


def reading_moments(
    statistics: ProgramStatistics, healthy: Bools, level: int
) -> tuple[int, int, Moments | None]:
    """Compute the moments of all accepted readings of healthy cells at a level.

    Parameters
    ----------
    statistics : ProgramStatistics
    healthy : (row, col) bool array
    level : int

    Returns
    -------
    n_cells, n_observations : int
        Number of healthy cells with an accepted reading, and of those readings.
    moments : Moments, optional
        None without readings; without errors for fewer than three cells.
    """
    seen = healthy & (statistics.count[level] > 0)
    n = statistics.count[level][seen].astype(np.float64)
    total = float(n.sum())
    if not n.size or (n.size < _LEAST_CELLS and total < _LEAST_READINGS):
        return n.size, int(total), None
    m = statistics.mean[level][seen]
    mean = float(n @ m) / total
    square = statistics.m2[level][seen] + n * (m - mean) ** 2
    variance = float(square.sum()) / total
    influence = Influence(
        values=np.stack([n * (m - mean), square - n * variance]) / total,
        position=np.flatnonzero(seen),
        shape=(healthy.shape[0], healthy.shape[1]),
    )
    values = grid_step(statistics.sample.conductance)[0]
    step = local_step(values, mean) if values.size else 0.0
    moments = Moments(
        mean=mean,
        variance=variance,
        influence=influence,
        few=n.size < _LEAST_CELLS,
        least=_normal_error(n, m, total * variance - float(n @ (m - mean) ** 2))
        if _LEAST_CELLS <= n.size < _FEW_CELLS
        else 0.0,
        rounding=shift_of_mean(step, variance) if step > 0 else 0.0,
    )
    return n.size, int(total), moments


def _normal_error(n: Floats, m: Floats, within: float) -> float:
    """Return the standard error of the variance of normal cells with n readings each [S²].

    Parameters
    ----------
    n, m : (cell,) arrays
        Number of readings and mean [S] of each cell.
    within : float
        Sum of squares within cells [S²].
    """
    cells, each = n.size, float(n.mean())
    between = float(m.var(ddof=1))
    square = within / (n.sum() - cells) if n.sum() > cells else 0.0
    variance = 2 * between**2 / (cells - 1) + 2 * square**2 * (each - 1) / (cells * each**2)
    return math.sqrt(variance)


def distribution_moments(distribution: LevelDistribution) -> Moments | None:
    """Compute the moments of a fitted distribution; None if they are infinite."""
    m, form = distribution.maximum, family(distribution.family)

    def at(theta: Floats) -> Floats:
        mean, std = form.moments(m.likelihood.natural(theta, m.frame))
        return np.array([mean, std**2])

    value = at(m.theta)
    if not np.isfinite(value).all():
        return None
    slope = m.differentiate(at)
    return Moments(
        mean=float(value[0]),
        variance=float(value[1]),
        influence=distribution.influence.through(slope),
    )
