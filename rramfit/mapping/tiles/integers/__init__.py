"""Products of a matrix on tiles in integer arithmetic, and the conversion of their sums.

In: the effective matrices of a chip, and inputs as bits or as codes of the DACs. Out: column
currents, or codes of the converters added to partial sums.

CPUs multiply int8 matrices several times faster than floating-point matrices. Rounding errors are
small compared with a step of a converter. Every product has a floating-point equivalent, which is
used on other devices and with gradients.
"""

from rramfit.mapping.tiles.integers.bit_planes import BitPlaneMatrices, bit_plane_matrices
from rramfit.mapping.tiles.integers.code_products import CodeMatrix, code_matrix, input_codes

__all__ = [
    "BitPlaneMatrices",
    "CodeMatrix",
    "bit_plane_matrices",
    "code_matrix",
    "input_codes",
]
