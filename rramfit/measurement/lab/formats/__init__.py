"""Formats of files: from bytes to rows and arrays, before any of their meaning.

Input: text with any separator, encoding and compression; .xlsx and .ods; .npz, .npy, MATLAB and
HDF5; Parquet and Feather; STDF. Output: rows in blocks of bounded memory (`RowBlock`), or arrays as
HDF5. Which column is which quantity is not decided here.
"""

from rramfit.measurement.lab.formats.arrays import open_arrays
from rramfit.measurement.lab.formats.rows import RowBlock

__all__ = ["RowBlock", "open_arrays"]
