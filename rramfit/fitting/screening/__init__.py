"""Screening: one pass over the programming sweeps, and which cells are sound.

In: the `/program` sweeps of one array. Out: `ProgramStatistics` (what each cell did at each level,
which every later fit uses) and a `Screening` (stuck cells, dead lines, failed cells, with reasons).

Not here: how often cells fail (`rramfit.fitting.failure`), faults of the data as a whole
(`rramfit.fitting.checks`).
"""

from rramfit.fitting.screening.accumulate import accumulate
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.screening.screening import Screening, screen

__all__ = ["ProgramStatistics", "Screening", "accumulate", "screen"]
