"""Steps of the read-out: readings that are rounded to few values.

A converter with step Δ adds the variance Δ²/12 to readings that spread over several codes (Sheppard
1898; Widrow and Kollár, Quantization Noise, 2008, chapter 4), and hides the spread of a level that
lies within one code. It shifts the mean of a normal level by Δ/π·exp(−2π²σ²/Δ²)·sin(2πμ/Δ).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["grid_step", "local_step", "shift_of_mean"]

Floats = NDArray[np.float64]

_MOST_VALUES = 1024  # of a coarse converter
_FEWEST_EACH = 4  # readings per value, on average
_OFF_GRID = 1e-3  # of a step: rounding of the numbers in the file


def local_step(values: Floats, at: float) -> float:
    """Return the median distance of the four values nearest to a conductance [S]; NaN if < 2.

    Parameters
    ----------
    values : (n,) array
        Distinct readings in rising order.
    at : float
    """
    nearest = np.sort(values[np.argsort(np.abs(values - at), kind="stable")[:4]])
    return float(np.median(np.diff(nearest))) if nearest.size > 1 else np.nan


def grid_step(y: Floats) -> tuple[Floats, float | None]:
    """Return the distinct values of coarse readings, and their step if they are its multiples.

    The values are empty unless there are few of them for the number of readings.

    Parameters
    ----------
    y : array
        [S]

    Examples
    --------
    >>> import numpy as np
    >>> values, step = grid_step(np.repeat([9e-6, 13.5e-6, 18e-6, 40.5e-6], 50))
    >>> values.size, round(step * 1e6, 6)
    (4, 4.5)
    """
    first = y.ravel()[: 2 * _MOST_VALUES]
    if np.unique(first[np.isfinite(first)]).size > _MOST_VALUES:
        return np.empty(0), None
    some = y[np.isfinite(y)]
    values = np.unique(some)
    if not 1 < values.size <= min(_MOST_VALUES, some.size // _FEWEST_EACH):
        return np.empty(0), None
    step = float(np.diff(values).min())
    code = values / step
    on_grid = bool((np.abs(code - np.rint(code)) < _OFF_GRID).all())
    return values, step if on_grid else None


def shift_of_mean(step: float, variance: float) -> float:
    """Return the standard deviation of the shift of a level's mean by rounding [S].

    Parameters
    ----------
    step : float
        [S]
    variance : float
        Of the rounded readings [S²].

    Examples
    --------
    >>> round(shift_of_mean(1.0, 1.0), 9), round(shift_of_mean(1.0, 0.0), 3)
    (3e-09, 0.225)
    """
    own = max(variance - step**2 / 12, 0.0)
    return step / (math.sqrt(2) * math.pi) * math.exp(-2 * (math.pi / step) ** 2 * own)
