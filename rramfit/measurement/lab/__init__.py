"""A lab's own files: logs (CSV, TSV) and HDF5 or MATLAB files, converted to layout 1.0.

In: a lab's file and a layout (TOML) that says which column or dataset is which quantity, in which
unit. Out: measurements, one per array or tile, with every row that could not be used counted.
`guess_layout` writes a first layout from the looks of a file.

Not here: the layout that is converted to (`rramfit.measurement.file`).
"""

from rramfit.measurement.lab.convert import Conversion, convert_measurement, write_conversion
from rramfit.measurement.lab.guess import guess_layout
from rramfit.measurement.lab.layout import Layout, read_layout

__all__ = [
    "Conversion",
    "Layout",
    "convert_measurement",
    "guess_layout",
    "read_layout",
    "write_conversion",
]
