"""Error of the correlation between levels: what neighbours and lines add to that of single cells.

The correlation R̂ of the offsets of n cells has the influence ψ = x·y − R·(x² + y²)/2 in offsets of
unit variance. Cells that share a smooth field, or a line, have correlated ψ. With ρ the correlation
of the offsets of two cells by the field, and l that by their lines (both squared in the sums, as
for any product of normal variables),

    Var R̂ = Σ_c ψ_c² + (1 − R²)²/n²·Σ_{c≠c'} ρ² + ((1 + R²)·(1 + R_l²) − 4·R·R_l)/n²·Σ_{c≠c'} l²,

where R_l is the correlation of line offsets between the levels; for R_l = R both factors are equal.
The sums of two levels enter by their geometric mean. That of the field is known on the grid of its
parameters (`rramfit.fitting.statistics.inference`), less the part that the mean of the array takes.
The field's degrees of freedom of two levels add up as far as their fields are independent: the
logarithms of their variances correlate by R².
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.statistics.inference import mixture_error
from rramfit.fitting.variation.one_level import LevelVariation

__all__ = ["correlation_error"]

Floats = NDArray[np.float64]


def correlation_error(
    r: float, own: float, cells: int, pair: tuple[LevelVariation, LevelVariation], r_lines: float
) -> tuple[float, float]:
    """Return the variance of a correlation between two levels, and its degrees of freedom.

    Parameters
    ----------
    r : float
        R, in the domains of the levels.
    own : float
        Σψ² over single cells.
    cells : int
        Cells read at both levels.
    pair : (LevelVariation, LevelVariation)
    r_lines : float
        R_l; NaN if unknown, which counts as R.
    """
    if own <= 0:
        return own, math.inf
    df_own = max(cells - 1.0, 1.0)
    r = min(max(r, -1.0), 1.0)
    r_lines = r_lines if math.isfinite(r_lines) else r
    grown, degrees, of_lines, df_lines = [], 0.0, 1.0, math.inf
    for v in pair:
        inflation, df = mixture_error(
            v.driver.field, own + (1 - r**2) ** 2 / cells * _smooth(v), own, df_own
        )
        grown.append(inflation - 1)
        degrees += df
        pairs, known = _lines(v)
        of_lines, df_lines = of_lines * pairs, min(df_lines, known)
    neighbours = own * (1 + math.sqrt(max(grown[0] * grown[1], 0.0)))
    factor = (1 + r**2) * (1 + r_lines**2) - 4 * r * r_lines
    lines = factor / cells * math.sqrt(of_lines)
    total = neighbours + lines
    spent = (neighbours / total) ** 2 * (1 + r**2) / degrees + (lines / total) ** 2 / df_lines
    return total, max(1 / spent, 1.0)


def _scale(v: LevelVariation) -> float:
    """Return the variance of the cell means about their plane over that of the offsets."""
    return float((v.centre - v.trend)[v.readings > 0].var()) / v.components.between


def _smooth(v: LevelVariation) -> Floats:
    """Return Σ_{c≠c'} ρ² per cell, (grid,)."""
    field = v.driver.field
    if field is None:
        return np.zeros(1)
    n = float(field.observed.sum())
    of_mean = (field.pair_sums(1) / n + (field.share > 0)) ** 2  # power in the ordinate (0, 0)
    share = np.minimum(field.variance * field.share * _scale(v), 1.0)
    return np.asarray(share**2 * np.maximum(field.pair_sums(2) - of_mean, 0.0) / n)


def _lines(v: LevelVariation) -> tuple[float, float]:
    """Return Σ_{c≠c'} l² per cell, and its degrees of freedom."""
    lines = v.driver.lines
    if lines is None:
        return 0.0, math.inf
    seen = np.isfinite(v.driver.scores).astype(np.float64)
    pairs = _scale(v) ** 2 * max(lines.power_sum(seen, 2), 0.0)
    return pairs / float(seen.sum()), lines.error_df(np.maximum(lines.pair_sums(seen), 0.0))
