"""Screening: accumulate the programming sweeps in one pass, and find faulty cells.

In: the `/program` sweeps of one array. Out: `ProgramStatistics` (the readings of each cell at each
level, summarized for all later fits) and a `Screening` (stuck, dead and unmeasured cells).

Not here: how often programming fails (`rramfit.fitting.failure`), and problems of the tester or the
file (`rramfit.fitting.checks`).
"""

from rramfit.fitting.screening.accumulate import accumulate
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.screening.screening import Screening, screen

__all__ = ["ProgramStatistics", "Screening", "accumulate", "screen"]
