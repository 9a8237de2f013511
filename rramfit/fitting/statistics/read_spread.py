"""Read noise of each cell: the spread between repeated reads of one programmed state.

One pass over `/reads`; sums are taken relative to each cell's first reading. The dependence of
noise on conductance and time is in `rramfit.fitting.time.read_noise`.

A cell that leaves its level during the reads and does not come back has changed its state: the
difference between its two states is not read noise. A cell that comes and goes, as with random
telegraph noise, has not left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rramfit.measurement.file.record import Reads

__all__ = ["ReadSpread", "first_readings", "read_spread"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSpread:
    """Count, mean and spread of the repeated reads of each cell."""

    count: Integers  #  (row, col) finite reads
    mean: Floats  # [S]  (row, col) mean read; NaN where none
    m2: Floats  # [S²]  (row, col) sum of squared deviations from the cell's mean
    level: Integers  #  (row, col) level of the cell; −1 = not programmed
    left: Bools  #      (row, col) left its level during the reads

    def variance(self, at: Bools) -> tuple[float, Floats] | None:
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

    def only(self, at: Bools) -> ReadSpread:
        """Return the same with the other cells at no level."""
        return replace(self, level=np.where(at & ~self.left, self.level, -1))


def first_readings(reads: Reads) -> Floats:
    """Return the first finite reading of each cell, (row, col) [S]; NaN where there is none."""
    first = np.full(reads.shape[1:], np.nan)
    for block in reads.blocks(1):
        first = np.where(np.isnan(first), block[0], first)
        if not np.isnan(first).any():
            break
    return first


def read_spread(reads: Reads, *, within: Callable[[Floats], Bools] | None = None) -> ReadSpread:
    """Compute the spread between reads of each cell, in one pass.

    Parameters
    ----------
    reads : Reads
    within : callable, optional
        Which readings, (row, col) [S], are within the limits of the cell's level; without it no
        cell leaves its level.
    """
    _, rows, cols = reads.shape
    first = np.full((rows, cols), np.nan)
    count = np.zeros((rows, cols), np.int64)
    s, q = np.zeros((rows, cols)), np.zeros((rows, cols))
    stays = np.ones((rows, cols), np.bool_)  # within its level so far
    outside, back = np.zeros((rows, cols), np.int64), np.zeros((rows, cols), np.bool_)
    for block in reads.blocks():
        for y in block:
            start = np.isnan(first) & np.isfinite(y)
            first = np.where(start, y, first)
            d = y - first
            seen = np.isfinite(d)
            count += seen
            d = np.where(seen, d, 0.0)
            s += d
            q += d**2
            if within is not None:
                inside = within(y)
                stays &= ~start | inside  # a cell that starts elsewhere has nothing to leave
                back |= seen & inside & (outside > 0)
                outside += seen & ~inside
    m2 = np.maximum(q - s**2 / np.maximum(count, 1), 0.0)
    mean = first + s / np.maximum(count, 1)
    # One reading outside at the end may be a glitch.
    left = stays & ~back & (outside > 1)
    return ReadSpread(count=count, mean=mean, m2=m2, level=reads.level, left=left)
