"""Measurements: records of measured arrays, the measurement file, lab formats and virtual chips."""

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
from rramfit.measurement.lab.convert import Conversion, convert_measurement, write_conversion
from rramfit.measurement.lab.guess import guess_layout
from rramfit.measurement.lab.layout import Layout, read_layout
from rramfit.measurement.virtual.cards import random_card, virtual_card
from rramfit.measurement.virtual.mess import Mess
from rramfit.measurement.virtual.replay import replay
from rramfit.measurement.virtual.synthesize import synthesize, virtual_chip
from rramfit.measurement.virtual.tester import Instrument, Plan

__all__ = [
    "MVM",
    "ArrayIdentity",
    "Attempts",
    "BadRows",
    "Conversion",
    "Endurance",
    "IVSweeps",
    "Inspection",
    "Instrument",
    "Layout",
    "Levels",
    "Measurement",
    "Mess",
    "Origin",
    "Plan",
    "Problem",
    "Program",
    "Pulses",
    "Readout",
    "Reads",
    "SweepBlock",
    "convert_measurement",
    "guess_layout",
    "inspect_measurement",
    "program_in_memory",
    "random_card",
    "read_layout",
    "read_measurement",
    "reads_in_memory",
    "replay",
    "synthesize",
    "validate_layout",
    "virtual_card",
    "virtual_chip",
    "write_conversion",
    "write_measurement",
]
