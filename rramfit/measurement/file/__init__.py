"""The measurement file, layout 1.0: records, reading, validation and writing.

Reading turns an HDF5 file into a `Measurement` in SI units; large groups are read block by block.
Validation lists every violation of the layout at once. The table in `groups` defines which groups,
datasets, shapes and units a file may hold.

Files in other formats are converted by `rramfit.measurement.lab`.
"""

from rramfit.measurement.file.in_memory import program_in_memory, reads_in_memory
from rramfit.measurement.file.inspection import Inspection, inspect_measurement
from rramfit.measurement.file.origin import BadRows, Origin
from rramfit.measurement.file.problem import Problem
from rramfit.measurement.file.read import read_measurement
from rramfit.measurement.file.record import (
    MVM,
    ArrayIdentity,
    Attempts,
    Endurance,
    IVSweeps,
    Levels,
    Measurement,
    Program,
    Pulses,
    Readout,
    Reads,
    SweepBlock,
)
from rramfit.measurement.file.validate import validate_layout
from rramfit.measurement.file.write import write_measurement

__all__ = [
    "MVM",
    "ArrayIdentity",
    "Attempts",
    "BadRows",
    "Endurance",
    "IVSweeps",
    "Inspection",
    "Levels",
    "Measurement",
    "Origin",
    "Problem",
    "Program",
    "Pulses",
    "Readout",
    "Reads",
    "SweepBlock",
    "inspect_measurement",
    "program_in_memory",
    "read_measurement",
    "reads_in_memory",
    "validate_layout",
    "write_measurement",
]
