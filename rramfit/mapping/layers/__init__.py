"""PyTorch layers whose weights are stored in cells, and the conversion of a whole network.

In: a digital network and a setup. Out: the same network with analog layers, whose chips can be
programmed, calibrated, saved and loaded.

Not here: accuracy over chips (`rramfit.mapping.study`).
"""

from rramfit.mapping.layers.attention import AnalogMultiheadAttention
from rramfit.mapping.layers.calibrate import calibrate
from rramfit.mapping.layers.chip_files import load_chip, save_chip
from rramfit.mapping.layers.convert import convert_to_analog
from rramfit.mapping.layers.convolutions.plain import AnalogConv1d, AnalogConv2d, AnalogConv3d
from rramfit.mapping.layers.convolutions.transposed import (
    AnalogConvTranspose1d,
    AnalogConvTranspose2d,
    AnalogConvTranspose3d,
)
from rramfit.mapping.layers.linear import AnalogLinear
from rramfit.mapping.layers.network import analog_layers, analog_matrices, program, to_digital
from rramfit.mapping.layers.recurrent import AnalogRecurrent

__all__ = [
    "AnalogConv1d",
    "AnalogConv2d",
    "AnalogConv3d",
    "AnalogConvTranspose1d",
    "AnalogConvTranspose2d",
    "AnalogConvTranspose3d",
    "AnalogLinear",
    "AnalogMultiheadAttention",
    "AnalogRecurrent",
    "analog_layers",
    "analog_matrices",
    "calibrate",
    "convert_to_analog",
    "load_chip",
    "program",
    "save_chip",
    "to_digital",
]
