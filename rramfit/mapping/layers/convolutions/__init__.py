"""Convolutions and transposed convolutions on tiles, with their groups packed.

In: a digital convolution. Out: the same layer, its kernels one matrix on tiles.
"""

from rramfit.mapping.layers.convolutions.plain import AnalogConv1d, AnalogConv2d, AnalogConv3d
from rramfit.mapping.layers.convolutions.transposed import (
    AnalogConvTranspose1d,
    AnalogConvTranspose2d,
    AnalogConvTranspose3d,
)

__all__ = [
    "AnalogConv1d",
    "AnalogConv2d",
    "AnalogConv3d",
    "AnalogConvTranspose1d",
    "AnalogConvTranspose2d",
    "AnalogConvTranspose3d",
]
