"""Fields of rows to numbers: each column as numbers, or as text where a field is no number."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rramfit.measurement.lab.formats.lines import WHITESPACE, is_number
from rramfit.measurement.lab.layout_table import TableSource

__all__ = ["other_headers", "parse_rows"]

_MOST_OTHER_HEADERS = 0.1  # of the rows; in a table of text, all rows look like headers


def parse_rows(
    kept: bytes, columns: Sequence[str], source: TableSource, separator: str, *, quoted: bool
) -> Mapping[str, NDArray[Any]]:
    """Return the fields of rows with the right number of fields, by column."""
    import pandas as pd

    if not kept:
        return {name: np.zeros(0) for name in columns}
    frame = pd.read_csv(
        io.BytesIO(kept),
        sep=r"\s+" if separator == WHITESPACE else separator,
        header=None,
        names=list(columns),
        dtype=dict.fromkeys((*source.hex, *source.numbered), str),
        decimal=source.decimal,
        thousands=source.thousands,
        keep_default_na=False,
        low_memory=False,
        skip_blank_lines=False,
        skipinitialspace=True,
        quoting=0 if quoted else 3,
        lineterminator="\n",
        encoding_errors="replace",
        index_col=False,
    )
    table = {str(c): frame[c].to_numpy() for c in frame.columns}
    for name, values in table.items():
        if values.dtype == object:
            missing = frame[name].isna().to_numpy()  # of short rows
            table[name] = np.where(missing, "", values) if missing.any() else values
            if source.decimal != "." or source.thousands:
                table[name] = _with_points(table[name], source)
    table |= {name: _from_hex(table[name]) for name in source.hex if name in table}
    return table | {name: _its_number(table[name]) for name in source.numbered if name in table}


def _with_points(values: NDArray[Any], source: TableSource) -> NDArray[Any]:
    """Write the numbers in a column that also has texts with a decimal point."""

    def plain(text: str) -> str:
        if not is_number(text, source.decimal, source.thousands):
            return text
        return text.replace(source.thousands or "\0", "").replace(source.decimal, ".")

    return np.array([plain(str(v)) for v in values.tolist()], dtype=object)


def _its_number(values: NDArray[Any]) -> NDArray[Any]:
    """Return the only number in each text; keep texts with none or several."""
    texts = [str(v) for v in values.tolist()]
    found = [re.findall(r"\d+", text) for text in texts]
    read = [int(n[0]) if len(n) == 1 else t for n, t in zip(found, texts, strict=True)]
    return np.array(read, np.int64 if all(len(n) == 1 for n in found) else object)


def _from_hex(values: NDArray[Any]) -> NDArray[Any]:
    """Convert hexadecimal strings to integers; keep other strings, which are reported later."""

    def number(text: str) -> object:
        try:
            return int(text, 16)
        except ValueError:
            return text

    read = [number(str(v)) for v in values.tolist()]
    valid = all(isinstance(v, int) for v in read)
    return np.array(read, dtype=np.int64 if valid else object)


def other_headers(table: Mapping[str, NDArray[Any]], source: TableSource) -> NDArray[np.bool_]:
    """Return the rows that are another header: the few without any number."""
    rows = len(next(iter(table.values())))
    text = np.ones(rows, np.bool_)
    for values in table.values():
        left = np.flatnonzero(text)
        text[left] = [
            not is_number(str(v), source.decimal, source.thousands) for v in values[left].tolist()
        ]
    if source.header and 0 < np.count_nonzero(text) <= max(_MOST_OTHER_HEADERS * rows, 1):
        return text
    return np.zeros(rows, np.bool_)
