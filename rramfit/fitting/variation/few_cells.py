"""Variation of a level that only a few cells were programmed to, each of them often.

With n cells, their means m_c over n_c cycles and sums of squares q_c,

    c2c² = Σ q_c/Σ (n_c − 1) − read²,   d2d² = s² − c2c²·mean(1/n_c),   s² = Σ (m_c − m̄)²/(n − 1).

(n − 1)·s² over its expectation is chi-squared with n − 1 degrees of freedom for normal cells, which
gives the interval of d2d. That of c2c follows from the scatter of q_c over cells. One or two cells
do not show how c2c differs between cells: it then has no error, and one cell has no d2d. There are
too few cells for trends, lines or a smooth field.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.quantity import Quantity
from rramfit.card.schema import VariationCard
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.statistics.read_spread import ReadSpread

__all__ = ["FewCells", "fit_few_cells"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_CYCLES = 30  # Σ (n_c − 1) that describes a few cells
_CELLS = 3  # cells that show how cells differ


@dataclass(frozen=True, slots=True, kw_only=True)
class FewCells:
    """Variation of one level from a few cells."""

    level: int
    n_cells: int
    n_readings: int
    d2d: Quantity | None
    c2c: Quantity
    c2c_includes_read: bool

    def named(self) -> tuple[tuple[str, Quantity | None], ...]:
        """Return the estimates with their names."""
        return ("d2d", self.d2d), ("c2c", self.c2c)

    def to_card(self) -> VariationCard:
        """Return the level as an entry of a card."""
        return VariationCard(
            level=self.level,
            domain="linear",
            d2d=self.d2d,
            c2c=self.c2c,
            c2c_includes_read=self.c2c_includes_read,
        )


def fit_few_cells(
    statistics: ProgramStatistics,
    healthy: Bools,
    level: int,
    *,
    reads: ReadSpread | None = None,
) -> FewCells | None:
    """Fit the variation of one level to a few cells; None if they have too few cycles.

    Parameters
    ----------
    statistics : ProgramStatistics
    healthy : (row, col) bool array
    level : int
    reads : ReadSpread, optional
    """
    seen = healthy & (statistics.count[level] > 0)
    n = statistics.count[level][seen]
    cells, degrees = len(n), int((n - 1).sum())
    if degrees < _CYCLES:
        return None
    mean, m2 = statistics.mean[level][seen], statistics.m2[level][seen]
    within = float(m2.sum()) / degrees
    noise = None if reads is None else reads.variance(seen & (reads.level == level))
    c2c = math.sqrt(max(within - (noise[0] if noise else 0.0), 0.0))
    cycles = Quantity.given(c2c, "S")
    if cells >= _CELLS and c2c > 0:
        psi = (m2 - (n - 1) * within) / degrees
        error = math.sqrt(float(psi @ psi) * cells / (cells - 1))
        cycles = Quantity.estimated(c2c, error / (2 * c2c), "S", scale="log", df=cells - 1)
    return FewCells(
        level=level,
        n_cells=cells,
        n_readings=int(n.sum()),
        d2d=_between(mean, within * float((1 / n).mean())) if cells > 1 else None,
        c2c=cycles,
        c2c_includes_read=noise is None,
    )


def _between(mean: Floats, noise: float) -> Quantity:
    """Return d2d from the cells' means, each with this variance of the cycles' mean [S²]."""
    df = len(mean) - 1
    spread = float(mean.var(ddof=1))
    # Quantiles of chi-squared by the incomplete gamma function, without scipy.stats.
    upper, lower = (2 * float(special.gammaincinv(df / 2, p)) for p in (0.975, 0.025))
    low, high = (math.sqrt(max(df * spread / q - noise, 0.0)) for q in (upper, lower))
    value = math.sqrt(max(spread - noise, 0.0))
    return Quantity.within(value, (high - low) / 3.92, "S", (low, high))
