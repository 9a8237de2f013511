"""Medians of readings with distribution-free intervals.

`median_of_cells` takes one value per cell, independent unless an inflation is given. The number of
values below the median is binomial, so the interval runs between two order statistics.
`median_of_readings` takes correlated readings of one cell into account: the error of the share of
readings below the median is clustered by cell, and its interval is mapped through the quantiles of
the readings (Woodruff, J. American Statistical Association 47 (1952) 635).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rramfit.card.quantity import Quantity

__all__ = ["median_of_cells", "median_of_readings"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_Z = 1.96
_FEWEST = 3  # cells


def median_of_cells(y: Floats, *, inflation: float = 1.0) -> Quantity | None:
    """Compute the median of one value per cell; None without cells.

    Parameters
    ----------
    y : (cell,) array
        [S].
    inflation : float
        Ratio of the variance of the number below the median to that of independent cells.
    """
    if not y.size:
        return None
    y = np.sort(y)
    middle, last = float(np.median(y)), y.size - 1
    half = 0.5 * _Z * math.sqrt(y.size * inflation) + 0.5
    low, high = (float(y[int(np.clip(round(0.5 * last + d), 0, last))]) for d in (-half, half))
    return _within(middle, low, high)


def median_of_readings(conductance: Floats, chosen: Bools) -> Quantity | None:
    """Compute the median of the chosen readings [S]; None for fewer than three cells.

    Parameters
    ----------
    conductance : (sweep, row, col) array
        [S]; NaN = not measured, not counted.
    chosen : (sweep, row, col) bool array
    """
    chosen = chosen & np.isfinite(conductance)
    n = chosen.sum(axis=0)
    if (n > 0).sum() < _FEWEST:
        return None
    y = conductance[chosen]
    middle = float(np.median(y))
    below = (chosen & (conductance <= middle)).sum(axis=0)
    error = math.sqrt(float(((below - 0.5 * n) ** 2).sum())) / y.size
    ends = np.clip([0.5 - _Z * error, 0.5 + _Z * error], 0.0, 1.0)
    low, high = (float(q) for q in np.quantile(y, ends))
    return _within(middle, low, high)


def _within(middle: float, low: float, high: float) -> Quantity:
    stderr = (high - low) / (2 * _Z)
    return Quantity.within(middle, stderr, "S", (min(low, middle), max(high, middle)))
