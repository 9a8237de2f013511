"""Measured sweeps: records, reading, checking, writing, virtual chips."""

from rramfit.measurement.convert import Conversion, convert_measurement, write_conversion
from rramfit.measurement.guess import guess_layout
from rramfit.measurement.in_memory import program_in_memory, reads_in_memory
from rramfit.measurement.inspection import Inspection, inspect_measurement
from rramfit.measurement.layout import Layout, read_layout
from rramfit.measurement.origin import BadRows, Origin
from rramfit.measurement.problem import Problem
from rramfit.measurement.read import read_measurement
from rramfit.measurement.record import (
    MVM,
    ArrayIdentity,
    Endurance,
    IVSweeps,
    Levels,
    Measurement,
    Program,
    Readout,
    Reads,
    SweepBlock,
)
from rramfit.measurement.replay import replay
from rramfit.measurement.synthesize import synthesize, virtual_chip
from rramfit.measurement.validate import validate_layout
from rramfit.measurement.virtual_cards import random_card, virtual_card
from rramfit.measurement.virtual_tester import Instrument, Plan
from rramfit.measurement.write import write_measurement

__all__ = [
    "MVM",
    "ArrayIdentity",
    "BadRows",
    "Conversion",
    "Endurance",
    "IVSweeps",
    "Inspection",
    "Instrument",
    "Layout",
    "Levels",
    "Measurement",
    "Origin",
    "Plan",
    "Problem",
    "Program",
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
