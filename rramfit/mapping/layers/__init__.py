"""PyTorch layers whose weights are stored in cells, and the conversion of a whole network.

In: a digital network and a setup. Out: the same network with analog layers, whose chips can be
programmed, calibrated, saved and loaded.

Not here: accuracy over chips (`rramfit.mapping.study`).
"""

from rramfit.mapping.layers.analog_layers import AnalogConv2d, AnalogLinear
from rramfit.mapping.layers.attention import AnalogMultiheadAttention
from rramfit.mapping.layers.convert import (
    analog_layers,
    analog_matrices,
    calibrate,
    convert_to_analog,
    load_chip,
    program,
    save_chip,
    to_digital,
)

__all__ = [
    "AnalogConv2d",
    "AnalogLinear",
    "AnalogMultiheadAttention",
    "analog_layers",
    "analog_matrices",
    "calibrate",
    "convert_to_analog",
    "load_chip",
    "program",
    "save_chip",
    "to_digital",
]
