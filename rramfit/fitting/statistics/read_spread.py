"""Read noise of each cell: the spread between repeated reads of one programmed state.

One pass over `/reads`; sums are taken relative to each cell's first reading. The dependence of
noise on conductance and time is in `rramfit.fitting.time.read_noise`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.measurement.file.record import Reads

__all__ = ["ReadSpread", "read_spread"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSpread:
    """Count, mean and spread of the repeated reads of each cell."""

    count: Integers  #  (row, col) finite reads
    mean: Floats  # [S]  (row, col) mean read; NaN where none
    m2: Floats  # [S²]  (row, col) sum of squared deviations from the cell's mean
    level: Integers  #  (row, col) level of the cell; −1 = not programmed

    def variance(self, at: NDArray[np.bool_]) -> tuple[float, Floats] | None:
        """Return the mean variance between reads of some cells [S²], and its influence, (row, col).

        None if no cell was read twice.
        """
        used = at & (self.count > 1)
        degrees = int((self.count - 1)[used].sum())
        if degrees == 0:
            return None
        value = float(self.m2[used].sum()) / degrees
        influence = np.where(used, self.m2 - (self.count - 1) * value, 0.0) / degrees
        return value, influence


def read_spread(reads: Reads) -> ReadSpread:
    """Compute the spread between reads of each cell, in one pass."""
    _, rows, cols = reads.shape
    first = np.full((rows, cols), np.nan)
    count = np.zeros((rows, cols), np.int64)
    s, q = np.zeros((rows, cols)), np.zeros((rows, cols))
    for block in reads.blocks():
        for y in block:
            first = np.where(np.isnan(first), y, first)
            d = y - first
            seen = np.isfinite(d)
            count += seen
            d = np.where(seen, d, 0.0)
            s += d
            q += d**2
    m2 = np.maximum(q - s**2 / np.maximum(count, 1), 0.0)
    mean = first + s / np.maximum(count, 1)
    return ReadSpread(count=count, mean=mean, m2=m2, level=reads.level)
