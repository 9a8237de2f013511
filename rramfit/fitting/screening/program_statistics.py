"""What each cell did at each level: the statistics that all fits of the programming sweeps share.

For cell c, level k and sweep t let y be the conductance read back. The record holds, per (level,
row, col), the number of attempts and of failures, and of the accepted readings the count n, the
mean and the sum of squares about it, of y and of ln y. It is gathered in one pass over any number
of sweeps; sums are exact whatever the file's size. Likelihoods of whole distributions need readings
themselves: `sample` keeps all sweeps where they are few, else an even choice of them.
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
    failures: Integers  #     (level, row, col) of these, not accepted
    count: Integers  #        (level, row, col) of these, accepted
    mean: Floats  # [S]       (level, row, col) of accepted readings; NaN where none
    m2: Floats  # [S²]        (level, row, col) sum of squares about the mean
    log_mean: Floats  # [ln S] (level, row, col) of accepted readings; NaN where any was <= 0
    log_m2: Floats  #         (level, row, col)
    failed_mean: Floats  # [S] (level, row, col) of readings not accepted; NaN where none
    measured: Integers  #     (row, col) finite readings, whatever was asked
    lowest: Floats  # [S]     (row, col) of all readings; NaN where none
    highest: Floats  # [S]    (row, col)
    sweep_mean: Floats  # [S] (sweep, level) over accepted cells; NaN where none
    sweep_count: Integers  #  (sweep, level) accepted cells
    floor: float | None  # [S] a rail at which readings pile up
    ceiling: float | None  # [S]
    clipped: Integers  #      (2, row, col) readings at the floor, at the ceiling
    sample: SweepBlock
    sample_sweeps: Integers  # (n,) which sweeps `sample` holds

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
