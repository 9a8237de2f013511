"""Rows of a table in any format, in blocks of bounded memory.

Text, compressed or not, and sheets are split into rows by `formats.text_rows`; columns of Parquet,
Feather, STDF, .npz, .mat and HDF5 files are read by `formats.columnar` and `formats.arrays`.
`rramfit.measurement.lab.table` interprets the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rramfit.measurement.lab.formats.arrays import array_blocks
from rramfit.measurement.lab.formats.columnar import arrow_blocks, stdf_blocks
from rramfit.measurement.lab.formats.containers import SHEET_KINDS, file_kind
from rramfit.measurement.lab.formats.forms import with_forms
from rramfit.measurement.lab.formats.rows import TITLE, RowBlock
from rramfit.measurement.lab.formats.spreadsheets import SHEET_SEPARATOR, sheet_pieces
from rramfit.measurement.lab.formats.text import text_lines, text_pieces
from rramfit.measurement.lab.formats.text_rows import text_blocks
from rramfit.measurement.lab.layout_table import TableSource

__all__ = ["TITLE", "RowBlock", "read_blocks", "separator_of", "text_lines"]

_PACKED = (".gz", ".xz", ".bz2", ".zip")


def separator_of(path: Path) -> str:
    """Return the default separator: tab for .tsv, .tab, .txt and .dat files, else a comma."""
    name = path.name.casefold()
    for suffix in _PACKED:
        name = name.removesuffix(suffix)
    return "\t" if name.endswith((".tsv", ".tab", ".txt", ".dat")) else ","


def read_blocks(paths: Sequence[Path], source: TableSource) -> Iterator[RowBlock]:
    """Yield the rows of one or several files with the same columns, file after file.

    Parameters
    ----------
    paths : sequence of Path
    source : TableSource

    Raises
    ------
    MeasurementError
        If a file cannot be read, or its header or columns do not match the layout.
    """
    for f, path in enumerate(paths):
        kind = file_kind(path)
        if kind in SHEET_KINDS:
            pieces = sheet_pieces(path, kind, source.sheet)
            yield from text_blocks(path, pieces, source, SHEET_SEPARATOR, file=f)
        elif kind in ("parquet", "arrow"):
            yield from _with_forms(arrow_blocks(path, kind, source, file=f), source)
        elif kind == "stdf":
            yield from stdf_blocks(path, source, file=f)
        elif kind in ("npz", "npy", "mat", "hdf5"):
            yield from _with_forms(array_blocks(path, source, file=f), source)
        else:
            separator = source.separator or separator_of(path)
            yield from text_blocks(path, text_pieces(path, source), source, separator, file=f)


def _with_forms(blocks: Iterable[RowBlock], source: TableSource) -> Iterator[RowBlock]:
    for block in blocks:
        yield replace(block, columns=with_forms(block.columns, source))
