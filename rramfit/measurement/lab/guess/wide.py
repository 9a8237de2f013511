"""Rows of many samples: a cell a line with its samples along the line, or a map of the array.

The leading fields are those in front of the samples: an address, a start time, a level. A field is
a sample if it is within three decades of the median of the fields behind it and, if those have
decimal places, is no index: a column of integers that rises, repeats, or is outside their range.
The samples alternate if even and odd ones differ by a factor of 3 or more.

A map may have labels: a line with the numbers of the columns, and the number of the row in front of
each row. Columns with numbered names and one unit, such as `cyc1` to `cyc4`, are samples too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from rramfit.measurement.lab.formats.lines import fields_of
from rramfit.measurement.lab.guess.names import role_by_name
from rramfit.measurement.lab.guess.structure import HEAD_LINES, Structure, units_of

__all__ = ["NARROW", "Wide", "find_labelled_map", "find_numbered_columns", "find_wide"]

NARROW = 24  # fields of a row that may be different quantities
_LONGEST = 4  # rows of a map with numbered rows, in terms of its columns
_MOST_LEADING = 8
_FEWEST = 4  # samples of a row
_FEWEST_NAMED = 3  # columns with numbered names
_READING_ROLES = frozenset(
    {"", "resistance", "conductance", "current", "reading", "cycle", "sweep", "read"}
)
_LEADING_ROLES = frozenset(
    {"time", "address", "device", "row", "col", "cycle", "sweep", "level", "temperature", "index",
     "voltage"}
)  # fmt: skip
_NO_ROW = frozenset({"time", "cycle", "sweep", "level", "temperature", "voltage", "read"})
_LABEL = re.compile(r"(?i)(?:(?:wl|bl|row|col|column|word ?line|bit ?line)[ _]?)?(\d{1,6})")
_DECADES = 3.0
_CONTRAST = 3.0  # ratio of the medians of even and odd samples
_LOOKED_AT = 2_000  # fields of a line


@dataclass(frozen=True, slots=True, kw_only=True)
class Wide:
    """Properties of rows of many samples."""

    leading: int  # fields in front of the samples
    samples: int  # of the longest row
    rows: int  # of the lines that were looked at
    blocks: int  # maps one under the other, separated by blank or title lines
    rows_of_block: int
    size: float  # median absolute value of a sample
    alternating: float  # median of even samples over that of odd samples; 1 if they do not differ
    map: bool  # rows and columns of an array; a leading field is the number of the row
    complete: bool
    unit: str = ""  # of the samples, if their names have one
    name: str = ""  # of the samples, without numbers
    first_label: int = 0  # number of the first row of a map with labels
    skip: int | None = None  # lines above the rows of a map with labels
    names: bool = False  # whether the labels of rows have a name, as WL12


def find_wide(lines: Sequence[str], structure: Structure) -> Wide | None:
    """Return how rows of many fields are read; None if the fields are different quantities."""
    rows: list[NDArray[np.float64]] = []
    widths: list[int] = []
    per_block: list[int] = []
    fresh = True
    start = structure.skip
    if structure.titles and structure.header:
        start = 1 + next(i for i, x in enumerate(lines) if structure.titles[0] in x)
    for line in lines[start:]:
        fields = fields_of(line, structure.separator) if line.strip() else []
        if len(fields) < structure.width // 2:
            fresh = True
            continue
        values = _numbers(fields[:_LOOKED_AT], structure)
        if values is None:
            fresh = True
            continue
        if fresh:
            per_block.append(0)
            fresh = False
        per_block[-1] += 1
        rows.append(values)
        widths.append(len(fields))
    if not rows:
        return None
    shortest = min(map(len, rows))
    table = np.array([r[:shortest] for r in rows])
    leading = max(_leading(table), _named(structure.titles))
    if structure.titles and not _numbered(structure.titles[leading:]):
        return None
    samples = table[:, leading:]
    if samples.shape[1] < _FEWEST or not _similar(
        samples, _DECADES if leading == 0 else 2 * _DECADES
    ):
        return None
    even, odd = (np.nanmedian(np.abs(samples[:, i::2]), axis=1) for i in (0, 1))
    narrow = structure.width <= NARROW
    numbered = narrow and leading == 1 and not structure.titles
    numbered = numbered and _numbers_rows(table[:, 0], samples.shape[1])
    if narrow and leading and not (numbered or _one_kind(samples)):
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        contrast = float(np.nanmedian(even / odd))
        spread = np.nanmedian(np.abs(np.log(np.abs(samples[:, 2::2] / samples[:, :-2:2]))))
    alternates = max(contrast, 1 / contrast) > _CONTRAST and np.exp(spread) < _CONTRAST
    return Wide(
        leading=leading,
        samples=max(widths) - leading,
        rows=len(rows),
        blocks=len(per_block),
        rows_of_block=len(np.unique(table[:, 0])) if numbered else max(per_block),
        size=float(np.nanmedian(np.abs(samples))),
        alternating=contrast if alternates and not numbered else 1.0,
        map=(leading == 0 and not structure.titles) or numbered,
        complete=len(lines) < HEAD_LINES,
        first_label=int(table[:, 0].min()) if numbered else 0,
    )


def _numbers_rows(labels: NDArray[np.float64], columns: int) -> bool:
    """Return True for 0, 1, 2, … or 1, 2, 3, …, perhaps repeated, if they are not too many."""
    known = np.unique(labels)
    rises = np.diff(labels)
    again = (rises == 1) | (rises == known[0] - known[-1])
    return _counts(known) and bool(np.all(again)) and len(known) <= _LONGEST * columns


def _one_kind(samples: NDArray[np.float64]) -> bool:
    """Return True if the columns have the same size, and each has many different values."""
    different = [len(np.unique(c)) > max(len(c) / 2, 1) for c in samples.T]
    whole = {bool(np.all(c == np.floor(c))) for c in samples.T}
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.log(np.nanmedian(np.abs(samples), axis=0))
    return all(different) and len(whole) == 1 and bool(np.ptp(size) < np.log(_CONTRAST))


def find_labelled_map(lines: Sequence[str], structure: Structure) -> Wide | None:
    """Return how a map with numbered rows and columns is read; None if it is no such map.

    The numbers of rows and columns may have a name, as in ``WL12`` and ``BL3``.
    """
    found = [fields_of(line, structure.separator) for line in lines]
    for at, head in enumerate(found[:-2]):
        columns = _labels(head[1:]) if len(head) > _FEWEST else None
        if columns is None or not _counts(columns) or _labels(head[:1]) is not None:
            continue
        if role_by_name(*units_of(head[0].strip())) in _NO_ROW:
            continue  # a column for each cell, and a line for each time
        rows = [f for f in found[at + 1 :] if len(f) == len(head)]
        labels = _labels([f[0] for f in rows])
        values = [_numbers(f[1:], structure) for f in rows]
        known = [v for v in values if v is not None]
        if labels is None or not _counts(labels) or len(known) != len(rows) or len(rows) < 2:
            continue
        table = np.array(known)
        if np.isfinite(table).any():
            return Wide(
                leading=1,
                samples=table.shape[1],
                rows=len(rows),
                blocks=1,
                rows_of_block=len(rows),
                size=float(np.nanmedian(np.abs(table))),
                alternating=1.0,
                map=True,
                complete=len(lines) < HEAD_LINES,
                first_label=int(labels[0]),
                skip=at + 1,
                names=any(not f[0].strip().isdigit() for f in rows),
            )
    return None


def _labels(fields: Sequence[str]) -> NDArray[np.float64] | None:
    """Return the numbers of labels such as ``3`` or ``BL3``; None if they are no labels."""
    found: list[float] = []
    for f in fields:
        match = _LABEL.fullmatch(f.strip().strip('"'))
        if match is None:
            return None
        found.append(float(match[1]))
    return np.array(found) if found else None


def _counts(numbers: NDArray[np.float64]) -> bool:
    """Return True for 0, 1, 2, … or 1, 2, 3, …."""
    return numbers[0] in (0, 1) and len(numbers) > 1 and bool(np.all(np.diff(numbers) == 1))


def find_numbered_columns(lines: Sequence[str], structure: Structure) -> Wide | None:
    """Return how rows with a few columns of one kind are read; None if there are none."""
    leading = _named(structure.titles)
    names = [units_of(t) for t in structure.titles[leading:]]
    patterns = Counter(re.sub(r"\d+", "", name) for name, _ in names)
    units = {unit for _, unit in names}
    roles = {role_by_name(*name) for name in names}
    if not leading or len(names) < _FEWEST_NAMED or min(patterns.values()) < 2 or len(units) > 1:
        return None
    if len(patterns) > 1 and role_by_name(*units_of(structure.titles[0])) == "cycle":
        return None  # both states of devices side by side
    if not all(re.search(r"\d", name) for name, _ in names) or not roles <= _READING_ROLES:
        return None
    rows = [f for x in lines if len(f := fields_of(x, structure.separator)) == structure.width]
    values = [v for f in rows if (v := _numbers(f[leading:], structure)) is not None]
    table = np.array(values)
    if not len(values) or not np.isfinite(table).any() or not _similar(table, 2 * _DECADES):
        return None
    return Wide(
        leading=leading,
        samples=len(names),
        rows=len(values),
        blocks=1,
        rows_of_block=len(values),
        size=float(np.nanmedian(np.abs(table))),
        alternating=1.0,
        map=False,
        complete=len(lines) < HEAD_LINES,
        unit=units.pop(),
        name=max(patterns, key=lambda n: patterns[n]),
    )


def _numbers(fields: Sequence[str], s: Structure) -> NDArray[np.float64] | None:
    def number(text: str) -> float:
        text = text.strip().replace(s.thousands or "\0", "")
        return float(text.replace(s.decimal, ".")) if text else np.nan

    try:
        return np.array([number(f) for f in fields])
    except ValueError:
        return None


def _leading(table: NDArray[np.float64]) -> int:
    """Return how many fields in front are no samples."""
    behind = table[:, _MOST_LEADING:] if table.shape[1] > 2 * _MOST_LEADING else table[:, 1:]
    size = np.nanmedian(np.abs(behind))
    fractional = bool(np.any(behind != np.floor(behind)))
    for i in range(min(_MOST_LEADING, table.shape[1] - 1)):
        column = table[:, i]
        integral = bool(np.all(column == np.floor(column)))
        with np.errstate(divide="ignore"):
            far = bool(abs(np.log10(np.nanmedian(np.abs(column)) / size)) > _DECADES)
        if not ((fractional and integral and _is_index(column, behind)) or far):
            return i
    return int(min(_MOST_LEADING, table.shape[1] - 1))


def _is_index(column: NDArray[np.float64], samples: NDArray[np.float64]) -> bool:
    """Return True for integers that rise, repeat, or are outside the range of the samples."""
    low, high = np.nanquantile(samples, (0.01, 0.99))
    if not low / _CONTRAST <= np.median(column) <= high * _CONTRAST:
        return True
    steps = np.diff(column)
    if len(column) < _FEWEST:
        return bool(np.all(steps == 1))
    return bool(np.all(steps >= 0)) or len(np.unique(steps)) <= 2


def _numbered(titles: Sequence[str]) -> bool:
    """Return True if the names of the samples differ in their numbers only, but for a few."""
    patterns = Counter(re.sub(r"\d+", "", title) for title in titles)
    return len(patterns) <= max(len(titles) // 8, 1) and min(patterns.values()) > 1


def _named(titles: Sequence[str]) -> int:
    """Return how many fields in front have a name that is not that of a sample."""
    names = (role_by_name(*units_of(t)) in _LEADING_ROLES for t in titles[:_MOST_LEADING])
    return len(list(takewhile(bool, names)))


def _similar(samples: NDArray[np.float64], decades: float) -> bool:
    """Return True if the columns are readings of one kind."""
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = np.log10(np.nanmedian(np.abs(samples), axis=0))
    middle = middle[np.isfinite(middle)]
    return len(middle) > 0 and bool(np.ptp(middle) < decades)
