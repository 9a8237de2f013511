"""Map networks onto chips: codes, tiles, converters, analog layers, placement, evaluation."""

from rramfit.mapping.layers import (
    AnalogConv1d,
    AnalogConv2d,
    AnalogConv3d,
    AnalogConvTranspose1d,
    AnalogConvTranspose2d,
    AnalogConvTranspose3d,
    AnalogLinear,
    AnalogMultiheadAttention,
    AnalogRecurrent,
    analog_layers,
    analog_matrices,
    calibrate,
    convert_to_analog,
    load_chip,
    program,
    save_chip,
    to_digital,
)
from rramfit.mapping.layout.codes import Codebook, codebook
from rramfit.mapping.layout.placement import Placement, place_around_faults
from rramfit.mapping.layout.plan import CellAddress, MatrixPlan, WeightAddress, plan_matrix
from rramfit.mapping.tiles.peripherals import Peripherals
from rramfit.mapping.tiles.setup import FACTORS, AnalogSetup, analog_setup

__all__ = [
    "FACTORS",
    "AnalogConv1d",
    "AnalogConv2d",
    "AnalogConv3d",
    "AnalogConvTranspose1d",
    "AnalogConvTranspose2d",
    "AnalogConvTranspose3d",
    "AnalogLinear",
    "AnalogMultiheadAttention",
    "AnalogRecurrent",
    "AnalogSetup",
    "CellAddress",
    "Codebook",
    "MatrixPlan",
    "Peripherals",
    "Placement",
    "WeightAddress",
    "analog_layers",
    "analog_matrices",
    "analog_setup",
    "calibrate",
    "codebook",
    "convert_to_analog",
    "load_chip",
    "place_around_faults",
    "plan_matrix",
    "program",
    "save_chip",
    "to_digital",
]
