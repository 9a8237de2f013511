"""Conversion of other formats to layout 1.0: logs (CSV, TSV), HDF5 and MATLAB files.

A layout file (TOML) names the quantity and unit of each column or dataset. The conversion returns
one measurement per array or tile, and lists every row that could not be used. `guess_layout` drafts
a layout file from the data.

Layout 1.0 itself is defined in `rramfit.measurement.file`.
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
