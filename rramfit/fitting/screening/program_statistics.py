"""Statistics of each cell at each level, shared by all fits of the programming sweeps.

Let y be the conductance read back. The record holds, per (level, row, col), the number of attempts
and failures, and for the accepted readings the count, the mean and the sum of squares about the
mean, of y and of ln y. They are accumulated in one pass over all sweeps, whatever the file's size.
Likelihoods of distributions need the readings themselves: `sample` keeps all sweeps of a short
sequence, and an even selection from a long one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.measurement.file.record import SweepBlock

__all__ = ["ProgramStatistics"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramStatistics:
    """One pass over the programming sweeps."""

    sweeps: int
    attempts: Integers  #     (level, row, col) programmed to the level and read back
    failures: Integers  #     (level, row, col) attempts not accepted
    count: Integers  #        (level, row, col) attempts accepted
    mean: Floats  # [S]       (level, row, col) over accepted readings; NaN if none
    m2: Floats  # [S²]        (level, row, col) sum of squares about the mean
    log_mean: Floats  # [ln S] (level, row, col) likewise; NaN if any is <= 0
    log_m2: Floats  #         (level, row, col)
    failed_mean: Floats  # [S] (level, row, col) over readings not accepted; NaN if none
    measured: Integers  #     (row, col) number of finite readings, programmed or not
    lowest: Floats  # [S]     (row, col) over all readings; NaN if none
    highest: Floats  # [S]    (row, col)
    sweep_mean: Floats  # [S] (sweep, level) over accepted cells; NaN if none
    sweep_count: Integers  #  (sweep, level) number of accepted cells
    floor: float | None  # [S] lower rail of the read-out; None if not seen
    ceiling: float | None  # [S] upper rail
    clipped: Integers  #      (2, row, col) number of readings at the floor, at the ceiling
    sample: SweepBlock
    sample_sweeps: Integers  # (n,) numbers of the sweeps in `sample`

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
