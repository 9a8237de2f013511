"""Rows of a table as they are read: consecutive rows of one file, with their lines and blocks.

A block is a stretch of rows between blank lines, title lines or repeated headers, such as one sweep
of a parameter analyser. Lines that cannot be rows are listed with their reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rramfit.errors import MeasurementError
from rramfit.measurement.file.origin import BadRows

__all__ = [
    "MOST_COLUMNS",
    "TITLE",
    "RowBlock",
    "check_width",
    "column_names",
    "distinct",
    "merge_bad",
]

MOST_COLUMNS = 16_384
"""Named columns of a table, as in a spreadsheet; longer lines are read as samples."""

TITLE = "a line of text between rows"
"""Reason of bad rows that may be titles of blocks, if the layout reads blocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowBlock:
    """Consecutive rows of one file."""

    path: Path
    file: int  # index into the paths
    columns: Mapping[str, NDArray[Any]]  # (n,) numbers, or str where a field is not a number
    line: NDArray[np.int64]  # (n,) line, or row of the sheet or array, from 1
    block: NDArray[np.int64]  # (n,) block of the file, from 0
    titles: Mapping[int, str] = field(default_factory=dict)  # block -> last title before it
    bad: Sequence[BadRows] = ()  # lines of this stretch that are no rows
    samples: NDArray[np.float64] | None = None  # (n, sample) fields after the named columns
    sample_names: tuple[str, ...] = ()
    fields: NDArray[np.int64] | None = None  # (n,) fields of each line; None if all are there


def merge_bad(bad: Sequence[BadRows]) -> list[BadRows]:
    """Merge bad rows of several pieces by file and reason."""
    joined: dict[tuple[Path, str], list[BadRows]] = {}
    for b in bad:
        joined.setdefault((b.path, b.reason), []).append(b)
    return [
        BadRows(
            path=path,
            reason=reason,
            lines=tuple(line for b in parts for line in b.lines),
            first=parts[0].first,
        )
        for (path, reason), parts in joined.items()
    ]


def distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Return column names without repeats: the second `V` becomes `V_2`.

    Examples
    --------
    >>> distinct(["V", "I", "V", ""])
    ('V', 'I', 'V_2', 'c3')
    """
    found: dict[str, None] = {}
    for i, name in enumerate(names):
        bare = " ".join(name.split()) or f"c{i}"
        n, unique = 2, bare
        while unique in found:
            unique, n = f"{bare}_{n}", n + 1
        found[unique] = None
    return tuple(found)


def column_names(path: Path, names: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the names of columns, in the file's order: those of the layout, or of the file.

    Raises
    ------
    MeasurementError
        If the layout names another number of columns.
    """
    if not wanted or set(wanted) == set(names):
        return distinct(names)
    if len(wanted) == len(names):
        return tuple(wanted)
    raise MeasurementError(
        path,
        "source.columns",
        found=f"{len(names)} columns ({', '.join(names[:8])}{', …' if len(names) > 8 else ''})",
        expected=f"{len(wanted)}, as in the layout file",
        remedy="correct `columns` in [source], or replace it by `header = true`",
    )


def check_width(path: Path, where: str, width: int) -> None:
    """Raise a `MeasurementError` for a table with more columns than can be named."""
    if width > MOST_COLUMNS:
        raise MeasurementError(
            path,
            where,
            found=f"{width} fields",
            expected=f"at most {MOST_COLUMNS} columns with a name",
            remedy="read the fields after the named columns with `samples` in [source]",
        )
