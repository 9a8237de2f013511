"""Median reading of failed attempts, of cells that are not stuck.

The share of readings below the median is mapped through the quantiles of the readings (Woodruff,
J. American Statistical Association 47 (1952) 635). Its variance is

    V = Σ_c ψ_c² + λ·Σ_{c≠c'} w_c·w_c'·(s·K(c, c') + l(c, c'))/(2π),    ψ_c = (x_c − n_c/2)/n,

with x_c of the n_c failed readings of cell c below the median, w_c = n_c/n, s·K the smooth field
and l the line offsets of one level's accepted cells: a failed cell is often left in the state of a
level, mostly the lowest, whose field and lines it then shares. 1/(2π) is the slope of the
covariance of two signs against the correlation of two normal variables. λ says how far failed
readings follow that level: κ²/ρ², with κ the correlation of a cell's failed readings with its
accepted ones, both as normal scores, and ρ the share of cells in the variance of the latter; it is
at most ρ₁/ρ, with ρ₁ the share of cells in the variance of one accepted reading. It is that of the
level with the largest κ, and 0 if κ is not significant.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.quantity import Quantity
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.statistics.inference import Driver, mixture_error, normal_scores
from rramfit.fitting.variation.one_level import LevelVariation
from rramfit.fitting.variation.variation import VariationFit

__all__ = ["failed_conductance"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_FEWEST = 3  # cells
_FEWEST_COMPARED = 8  # cells with failed and accepted readings
_SIGNIFICANT = 1.645  # one-sided, of Fisher's z


def failed_conductance(
    statistics: ProgramStatistics, level: int, use: Bools, variation: VariationFit | None
) -> Quantity | None:
    """Compute the median reading of failed attempts at a level [S]; None below three cells.

    Parameters
    ----------
    statistics : ProgramStatistics
    level : int
    use : (row, col) bool array
        Cells that are not stuck or dead.
    variation : VariationFit, optional
        Source of the field and the line offsets of accepted cells; without it, cells are taken as
        independent.
    """
    y, failed = _failed_readings(statistics, level, use)
    n = failed.sum(axis=0)
    if (n > 0).sum() < _FEWEST:
        return None
    readings = y[failed]
    middle = float(np.median(readings))
    below = (failed & (y <= middle)).sum(axis=0)
    own = float(((below - 0.5 * n) ** 2).sum()) / readings.size**2
    error, df = math.sqrt(own), np.inf
    if own > 0 and variation is not None:
        inflation, df = _shared(statistics, use, variation, n / readings.size, own)
        error *= math.sqrt(inflation)
    t = float(special.stdtrit(df, 0.975)) if math.isfinite(df) else 1.96
    ends = np.clip([0.5 - t * error, 0.5 + t * error], 0.0, 1.0)
    low, high = (float(q) for q in np.quantile(readings, ends))
    stderr = (high - low) / (2 * 1.96)
    return Quantity.within(middle, stderr, "S", (min(low, middle), max(high, middle)))


def _failed_readings(
    statistics: ProgramStatistics, level: int | None, use: Bools
) -> tuple[Floats, Bools]:
    """Return all readings, and which of them failed, at one level or at any."""
    sample = statistics.sample
    asked = sample.level >= 0 if level is None else sample.level == level
    failed = asked & ~sample.accepted & use & np.isfinite(sample.conductance)
    return sample.conductance, failed


def _shared(
    statistics: ProgramStatistics, use: Bools, variation: VariationFit, weight: Floats, own: float
) -> tuple[float, float]:
    """Return the inflation of the variance by what failed cells share, and its df."""
    found = _followed(statistics, use, variation)
    df_own = max(float((weight > 0).sum()) - 1, 1.0)
    if found is None:
        return 1.0, df_own
    driver, follows = found
    scale = follows / (2 * math.pi)
    lines, df_lines = 0.0, np.inf
    if driver.lines is not None:
        sums = np.maximum(driver.lines.pair_sums(weight), 0.0)
        of = np.array([e.variance for e in driver.lines.effects])
        lines, df_lines = scale * float(sums @ of), driver.lines.error_df(sums)
    smooth = np.zeros(1)
    if driver.field is not None:
        field = driver.field
        smooth = scale * field.variance * field.share * field.pair_sums(weights=weight)
    every = own + lines + np.maximum(smooth, 0.0)
    return mixture_error(driver.field, every, own, df_own, lines=lines, df_lines=df_lines)


def _followed(
    statistics: ProgramStatistics, use: Bools, variation: VariationFit
) -> tuple[Driver, float] | None:
    """Return the driver of the level that failed cells follow, and how far they do."""
    y, failed = _failed_readings(statistics, None, use)
    n = failed.sum(axis=0)
    total = np.where(failed, y, 0.0).sum(axis=0)
    scores = normal_scores(np.where(n > 0, total / np.maximum(n, 1), np.nan))
    best: tuple[float, LevelVariation] | None = None
    for v in variation.levels:
        if v is None:
            continue
        both = np.isfinite(scores) & np.isfinite(v.driver.scores)
        if both.sum() < _FEWEST_COMPARED:
            continue
        a, b = scores[both], v.driver.scores[both]
        spread = float(a.std() * b.std())
        kappa = float(np.mean((a - a.mean()) * (b - b.mean()))) / spread if spread > 0 else 0.0
        sure = math.atanh(min(kappa, 0.999)) * math.sqrt(max(int(both.sum()) - 3, 1))
        if sure > _SIGNIFICANT and (best is None or kappa > best[0]):
            best = kappa, v
    if best is None:
        return None
    kappa, v = best
    c = v.components
    if not (math.isfinite(c.between) and c.between > 0):
        return v.driver, min(kappa**2, 1.0)
    of_mean = c.between / (c.between + c.within * float((1 / v.readings[v.readings > 0]).mean()))
    of_reading = c.between / c.total
    return v.driver, min(kappa**2 / of_mean**2, of_reading / of_mean)
