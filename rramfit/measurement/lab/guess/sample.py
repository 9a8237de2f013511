"""A sample of a table, read as `convert` would read it.

The structure of the file is found first; its rows are then read by
`rramfit.measurement.lab.tables.read_blocks`, up to a number of fields or characters, so that a
draft takes a few seconds whatever the size of the file, and is the same each time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rramfit.errors import MeasurementError
from rramfit.measurement.lab.formats.containers import SHEET_KINDS, FileKind, file_kind
from rramfit.measurement.lab.formats.lines import WHITESPACE, is_number
from rramfit.measurement.lab.formats.rows import RowBlock, check_width, distinct
from rramfit.measurement.lab.formats.spreadsheets import (
    SHEET_SEPARATOR,
    sheet_count,
    sheet_pieces,
)
from rramfit.measurement.lab.formats.text import text_lines
from rramfit.measurement.lab.guess.fields import (
    Field,
    field_of_texts,
    source_keys,
    with_joined_dates,
)
from rramfit.measurement.lab.guess.structure import (
    HEAD_LINES,
    Structure,
    find_structure,
    units_of,
)
from rramfit.measurement.lab.guess.wide import (
    NARROW,
    Wide,
    find_labelled_map,
    find_numbered_columns,
    find_wide,
)
from rramfit.measurement.lab.layout_table import TableSource
from rramfit.measurement.lab.tables import read_blocks, separator_of

__all__ = ["Sample", "read_sample"]

_FIELDS = 4_000_000  # of all rows together
_CHARACTERS = 2**25  # of all rows of samples together
_HEAD_BYTES = 32 * 2**20
_MAP = 6  # fields from which a row may be a row of an array
_RESERVED = frozenset({"file", "line", "block", "block_line", "sample", "header", "occurrence"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The first rows of a table, and how it is read."""

    path: Path
    source: Mapping[str, Any]  # keys of [source]
    fields: tuple[Field, ...]
    rows: int
    complete: bool  # whether these are all rows
    blocks: int
    titles: tuple[str, ...]  # of blocks
    block: NDArray[np.int64]
    bad: tuple[str, ...]  # reasons of lines that are no rows, with their count
    settings: tuple[str, ...] = ()
    wide: Wide | None = None


def read_sample(path: Path) -> Sample:
    """Read the first rows of a table.

    Raises
    ------
    MeasurementError
        If the file is no table.
    """
    kind = file_kind(path)
    source: dict[str, Any] = {"kind": "table"}
    structure: Structure | None = None
    if kind == "text" or kind in SHEET_KINDS:
        if kind == "text":
            lines = _head(path, text_lines(path, TableSource(kind="table", header=True)))
            structure = find_structure(lines)
        else:
            lines, structure, sheet = _first_table(path, kind)
            source |= {"sheet": sheet} if sheet else {}
        if structure is None:
            raise MeasurementError(
                path,
                "/",
                found="lines that no separator splits into fields with numbers",
                expected="rows of a log: fields separated by tab, comma, semicolon or blanks",
            )
        source |= _source(path, structure, text=kind == "text")
        labelled = find_labelled_map(lines, structure)
        if labelled is not None:
            source.pop("header", None)
            source["skip"] = labelled.skip
            above = labelled.skip or 0
            structure = replace(
                structure, titles=(), header=False, skip=above, settings=tuple(lines[:above])
            )
            return _wide_sample(path, source, structure, labelled, kind)
        if structure.width > NARROW or (structure.width >= _MAP and not structure.titles):
            wide = find_wide(lines, structure)
            if wide is not None:
                return _wide_sample(path, source, structure, wide, kind)
        few = find_numbered_columns(lines, structure)
        if few is not None:
            return _wide_sample(path, source, structure, few, kind)
        check_width(path, "/", structure.width)
        names = _names(structure.titles, structure.width)
        if structure.header is False or list(names) != [t.strip() for t in structure.titles]:
            source["columns"] = names
    else:
        source["header"] = True
    return _read(path, source, structure)


def _first_table(path: Path, kind: FileKind) -> tuple[list[str], Structure | None, int]:
    """Return the lines, the structure and the number of the first sheet that is a table."""
    for sheet in range(sheet_count(path, kind)):
        pieces = sheet_pieces(path, kind, sheet)
        lines = [line for p in pieces for line in p.data.decode().split("\n")[:-1]][:HEAD_LINES]
        structure = find_structure(lines, SHEET_SEPARATOR)
        if structure is not None:
            return lines, structure, sheet
    return [], None, 0


def _head(path: Path, lines: Iterator[str]) -> list[str]:
    found, size = [], 0
    for line in islice(lines, HEAD_LINES):
        found.append(line)
        size += len(line)
        if size > _HEAD_BYTES:
            break
    brackets = sum(line.lstrip().startswith("[") for line in found)
    if brackets > 1 and brackets > len(found) / 2:
        raise MeasurementError(
            path,
            "/",
            found="numbers in brackets, as a program prints an array",
            expected="rows of a log: fields separated by tab, comma, semicolon or blanks",
            remedy="save the array as CSV (`numpy.savetxt`, `writematrix`)",
        )
    if not any(line.strip() for line in found):
        raise MeasurementError(path, "/", found="an empty file", expected="rows of a log")
    return found


def _source(path: Path, s: Structure, *, text: bool) -> dict[str, Any]:
    """Return the keys of [source] that differ from their defaults."""
    out: dict[str, Any] = {}
    if text and s.separator != separator_of(path):
        out["separator"] = s.separator
    if s.header is not False:
        out["header"] = s.header
    if s.skip:
        out["skip"] = s.skip
    if s.comment != "#":
        out["comment"] = s.comment
    if s.row_prefix:
        out["row_prefix"] = s.row_prefix
    if s.decimal != ".":
        out["decimal"] = s.decimal
    if s.thousands:
        out["thousands"] = s.thousands
    return out


def _names(titles: Sequence[str], width: int) -> tuple[str, ...]:
    """Return column names that are valid in arithmetic."""
    bare = []
    for i in range(width):
        title = units_of(titles[i])[0] if i < len(titles) else ""
        word = re.sub(r"\W+", "_", title).strip("_")
        if not word.isascii() or not word or word[0].isdigit():
            word = f"c{i}"
        bare.append(f"{word}_" if word.casefold() in _RESERVED else word)
    return distinct(bare)


def _read(path: Path, source: dict[str, Any], structure: Structure | None) -> Sample:
    blocks: list[RowBlock] = []
    taken, complete = 0, True
    for block in read_blocks([path], TableSource.model_validate(source)):
        blocks.append(block)
        taken += len(block.line) * max(len(block.columns), 1)
        if taken > _FIELDS:
            complete = False
            break
    full = [b for b in blocks if len(b.line)]
    if not full:
        raise MeasurementError(
            path,
            "/",
            found="no rows of numbers",
            expected="rows of a log, with a cell and a reading each",
        )
    titles = structure.titles if structure is not None else tuple(full[0].columns)
    names = tuple(full[0].columns)
    if structure is None:
        better = _names(titles, len(titles))
        if better != names:
            source["columns"] = better
            names = better
    fields = with_joined_dates(tuple(_fields(full, names, titles)))
    source |= source_keys(fields)
    counted: dict[str, int] = {}
    for b in blocks:
        for bad in b.bad:
            counted[bad.reason] = counted.get(bad.reason, 0) + len(bad.lines)
    number = np.concatenate([b.block for b in full])
    return Sample(
        path=path,
        source=source,
        fields=fields,
        rows=len(number),
        complete=complete,
        blocks=int(number[-1]) + 1,
        titles=tuple(t for b in blocks for t in b.titles.values()),
        block=number,
        bad=tuple(f"{n} × {reason}" for reason, n in counted.items()),
        settings=structure.settings if structure is not None else (),
    )


def _fields(
    blocks: Sequence[RowBlock], names: Sequence[str], titles: Sequence[str]
) -> Iterator[Field]:
    for i, (name, old) in enumerate(zip(names, blocks[0].columns, strict=True)):
        parts = [b.columns[old] for b in blocks]
        title, unit = units_of(str(titles[i])) if i < len(titles) else ("", "")
        if all(p.dtype.kind in "iuf" for p in parts):
            values = np.concatenate([p.astype(np.float64) for p in parts])
            integers = all(p.dtype.kind in "iu" for p in parts)
            yield Field(
                name=name, title=title, unit=unit, numbers=values, texts=None, integers=integers
            )
            continue
        texts = np.concatenate([p.astype(object) for p in parts])
        boolean = all(p.dtype.kind == "b" for p in parts)
        yield field_of_texts(name, (title, unit), texts, boolean=boolean)


def _wide_sample(
    path: Path, source: dict[str, Any], structure: Structure, wide: Wide, kind: FileKind
) -> Sample:
    """Return a sample of rows of many samples; the leading fields are its columns."""
    titles = structure.titles[: wide.leading]
    leading = _names(titles, wide.leading)
    source["columns"] = leading
    settings = TableSource.model_validate({**source, "columns": ("c0",)})
    if kind == "text":
        lines = text_lines(path, settings)
    else:
        pieces = sheet_pieces(path, kind, settings.sheet)
        lines = (line for p in pieces for line in p.data.decode().split("\n")[:-1])
    texts, complete = _leading_fields(lines, structure, wide.leading)
    named = [units_of(t) for t in titles] or [("", "")] * wide.leading
    columns = np.array(texts, dtype=object).reshape(len(texts), wide.leading).T
    if wide.names:
        named = [("row", "")]  # so that its numbers are used
    fields = tuple(map(field_of_texts, leading, named, columns))
    source |= source_keys(fields)
    return Sample(
        path=path,
        source=source,
        fields=fields,
        rows=wide.rows if wide.map else len(texts),
        complete=wide.complete if wide.map else complete,
        blocks=wide.blocks,
        titles=(),
        block=np.zeros(len(texts), np.int64),
        bad=(),
        settings=structure.settings,
        wide=wide,
    )


def _leading_fields(
    lines: Iterable[str], s: Structure, leading: int
) -> tuple[list[list[str]], bool]:
    """Return the fields in front of the samples of each row, and whether these are all rows."""
    read = 0
    found: list[list[str]] = []
    split = None if s.separator == WHITESPACE else s.separator
    for i, line in enumerate(lines):
        if read > _CHARACTERS:
            return found, False
        read += len(line)
        if i < s.skip or not line.strip() or line.startswith(s.comment):
            continue
        *first, sample = [f.strip().strip('"') for f in line.split(split, leading + 1)][
            : leading + 1
        ]
        if len(first) == leading and (not sample or is_number(sample, s.decimal, s.thousands)):
            found.append([f.replace(s.decimal, ".") for f in first])
    return found, True
