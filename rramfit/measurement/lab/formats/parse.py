"""Fields of rows to numbers: each column as numbers, or as text where a field is no number."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rramfit.measurement.lab.formats.forms import has_unit, with_forms
from rramfit.measurement.lab.formats.lines import WHITESPACE, is_number
from rramfit.measurement.lab.layout_table import TableSource

__all__ = ["other_headers", "parse_rows", "summary_rows"]

_SUMMARY = frozenset(
    {"min", "max", "minimum", "maximum", "mean", "average", "avg", "median", "std", "stddev",
     "std dev", "std. dev.", "stdev", "sigma", "variance", "cv", "sum", "total", "count"}
)  # fmt: skip
_MOST_NUMBERS = 0.9  # in the first column, beside such words
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
        dtype=dict.fromkeys((*source.hex, *source.numbered, *_columns_of_dates(source)), str),
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
    return with_forms(table, source)


def _columns_of_dates(source: TableSource) -> Iterator[str]:
    for name, part in source.dates.items():
        yield from (name,) if isinstance(part, str) else part.columns


def _with_points(values: NDArray[Any], source: TableSource) -> NDArray[Any]:
    """Write the numbers in a column that also has texts with a decimal point."""

    def plain(text: str) -> str:
        pointed = text.replace(source.thousands or "\0", "").replace(source.decimal, ".")
        number = is_number(text, source.decimal, source.thousands)
        return pointed if number or has_unit(pointed) else text

    return np.array([plain(str(v)) for v in values.tolist()], dtype=object)


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


def summary_rows(table: Mapping[str, NDArray[Any]], source: TableSource) -> NDArray[np.bool_]:
    """Return the rows such as ``Mean,0.5,1.2e-5``, in a column of numbers otherwise."""
    first = next(iter(table.values()))
    found = np.zeros(len(first), np.bool_)
    if first.dtype != object:
        return found
    texts = [str(v).strip().casefold().rstrip(":") for v in first.tolist()]
    found[:] = [text in _SUMMARY for text in texts]
    if not found.any():
        return found
    others = [t for t, summary in zip(texts, found.tolist(), strict=True) if t and not summary]
    numbers = sum(is_number(t, source.decimal, source.thousands) for t in others)
    return found if numbers >= _MOST_NUMBERS * len(others) else np.zeros(len(first), np.bool_)
