"""Whether cells of a level change by the same amount or by the same factor.

The mean of a level does not say it, but the spread after a change depends on it. With y_j the
reading of a cell at time j (0: the first), and e_j = mean_j/mean_1 − 1 the relative change of their
mean since the second reading,

    w = Σ_j e_j·(y_j − y_1) / Σ_j e_j²,      s = Cov(w, y_0) / Cov(y_1, y_0),

both over cells, s is 0 if all cells change by the same amount, and 1 if all change by the same
factor. The noise of the first reading is in no other, so it does not bias s.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["factor_gain", "proportionality"]

Floats = NDArray[np.float64]

_LEAST_READINGS = 3
_LEAST_CELLS = 20


def proportionality(readings: Floats) -> tuple[float, float]:
    """Return s of one level in one bake and its variance; NaN where the readings do not say.

    Parameters
    ----------
    readings : (cell, time) array
        [S]; NaN = not measured.
    """
    if readings.shape[1] < _LEAST_READINGS:
        return np.nan, np.nan
    y = readings[np.isfinite(readings).all(axis=1)]
    if len(y) < _LEAST_CELLS:
        return np.nan, np.nan
    mean = y.mean(axis=0)
    if mean[1] <= 0 or np.all(mean[2:] == mean[1]):
        return np.nan, np.nan
    e = mean[2:] / mean[1] - 1
    w = (y[:, 2:] - y[:, 1:2]) @ e / float(e @ e)
    first, second, w = y[:, 0] - mean[0], y[:, 1] - mean[1], w - w.mean()
    spread = float(first @ second)
    if spread <= 0:
        return np.nan, np.nan
    s = float(w @ first) / spread
    influence = (w - s * second) * first / spread
    variance = float(influence @ influence) * len(y) / (len(y) - 1)
    return (s, variance) if variance > 0 else (np.nan, np.nan)


def factor_gain(found: Sequence[Floats]) -> float | None:
    """Return by how much χ² is lower if cells change by one factor; None without evidence.

    If neither describes the cells, it is divided by the misfit of the better one.

    Parameters
    ----------
    found : sequence of (level, 2) array
        s and its variance, of every bake.
    """
    known = np.concatenate([np.empty((0, 2)), *found])
    known = known[np.isfinite(known).all(axis=1)]
    if not len(known):
        return None
    factor, amount = (float(np.sum((known[:, 0] - at) ** 2 / known[:, 1])) for at in (1.0, 0.0))
    return (amount - factor) / max(min(factor, amount) / len(known), 1.0)
