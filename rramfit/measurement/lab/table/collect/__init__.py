"""Collectors of the rows of a log: one module for each kind of group of the measurement file.

A collector takes the rows of its group block by block, keeps the readings in a store and returns
the record of the group at the end. What rows, cells and steps are is not here.
"""

from rramfit.measurement.lab.table.collect.attempts import AttemptRows
from rramfit.measurement.lab.table.collect.drive import MVMRows, ReadoutRows
from rramfit.measurement.lab.table.collect.endurance import EnduranceRows
from rramfit.measurement.lab.table.collect.iv import IVRows
from rramfit.measurement.lab.table.collect.program import ProgramRows
from rramfit.measurement.lab.table.collect.pulses import PulseRows
from rramfit.measurement.lab.table.collect.reads import ReadRows

__all__ = [
    "AttemptRows",
    "EnduranceRows",
    "IVRows",
    "MVMRows",
    "ProgramRows",
    "PulseRows",
    "ReadRows",
    "ReadoutRows",
]
