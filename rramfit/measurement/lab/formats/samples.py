"""Wide lines of a log: named columns, then samples up to the end of the line.

A line may have any number of samples, and lines may differ; missing ones are NaN. A blank line, a
line of text and a repeated header start a new block, as in array maps one below the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rramfit.errors import MeasurementError
from rramfit.measurement.file.origin import BadRows
from rramfit.measurement.lab.formats.forms import with_forms
from rramfit.measurement.lab.formats.lines import fields_of
from rramfit.measurement.lab.formats.rows import RowBlock, merge_bad
from rramfit.measurement.lab.layout_parts import counted
from rramfit.measurement.lab.layout_table import TableSource

__all__ = ["sample_blocks"]

_MOST = 2**20  # samples in memory at a time, unless a single line has more
_NOT_MEASURED = frozenset(("", "nan", "NaN", "NAN"))


@dataclass(slots=True)
class _Batch:
    """Lines that are handed on together."""

    lead: list[list[str]] = field(default_factory=list)
    samples: list[NDArray[np.float64]] = field(default_factory=list)
    line: list[int] = field(default_factory=list)
    block: list[int] = field(default_factory=list)
    bad: list[BadRows] = field(default_factory=list)
    width: int = 0

    def full(self) -> bool:
        return (len(self.line) + 1) * self.width > _MOST or len(self.bad) > _MOST


def sample_blocks(
    path: Path, source: TableSource, lines: Iterable[str], separator: str, *, file: int = 0
) -> Iterator[RowBlock]:
    """Yield the rows of a log with `source.samples`.

    Parameters
    ----------
    path : Path
    source : TableSource
    lines : iterable of str
        All lines of the file.
    separator : str
        One character, or "whitespace".
    file : int
        Index of the file.

    Raises
    ------
    MeasurementError
        If the header has fewer fields than `source.columns`, or is missing.
    """
    columns = source.columns
    names: tuple[str, ...] = ()
    header = None
    block, gap, titles = 0, False, dict[int, str]()
    seen = False
    batch = _Batch()
    for number, line in enumerate(lines, 1):
        if number <= source.skip or (source.comment and line.startswith(source.comment)):
            continue
        if source.header and header is None:
            if isinstance(source.header, str) and not line.startswith(source.header):
                continue
            if line.strip():
                header = line
                columns, names = _header(path, fields_of(line, separator), source)
            continue
        if source.row_prefix is not None and not line.startswith(source.row_prefix):
            continue
        fields = fields_of(line, separator)
        if not any(f.strip() for f in fields) and "\0" not in line and '"' not in line:
            gap = True
            continue
        if line == header:
            gap = True
            continue
        parsed = _parse(fields, len(columns), source)
        if parsed is None:
            gap, text = True, " ".join(f.strip() for f in fields if f.strip())
            titles[block + 1 if seen else block] = text
            continue
        values, reason = parsed
        if "\0" in line:
            values, reason = values[:0], "a zero byte"
        if reason:
            batch.bad.append(BadRows(path=path, reason=reason, lines=(number,), first=line[:60]))
        if not len(values):
            continue
        if gap and seen:
            block += 1
        gap, seen = False, True
        batch.lead.append([f.strip() for f in fields[: len(columns)]])
        batch.samples.append(values)
        batch.line.append(number)
        batch.block.append(block)
        batch.width = max(batch.width, len(values))
        if batch.full():
            yield _rows(path, file, columns, names, batch, titles, source)
            batch = _Batch()
    if source.header and header is None:
        raise MeasurementError(
            path,
            "source.header",
            found="no header in the file",
            expected="a line with the names of the columns",
            remedy="correct `header` or `skip` in [source] of the layout file",
        )
    yield _rows(path, file, columns, names, batch, titles, source)


def _header(
    path: Path, fields: list[str], source: TableSource
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the columns and of the samples."""
    if len(fields) <= len(source.columns):
        raise MeasurementError(
            path,
            "source.columns",
            found=f"a header of {counted(len(fields), 'field')}",
            expected=f"more than {counted(len(source.columns), 'column')}, with the samples behind",
            remedy="list only the columns before the samples in `columns`",
        )
    n = len(source.columns)
    return source.columns, tuple(f.strip().strip('"') for f in fields[n:])


def _parse(
    fields: list[str], lead: int, source: TableSource
) -> tuple[NDArray[np.float64], str] | None:
    """Return the samples of a line and what is wrong with it; None for a line of text."""
    rest = fields[lead:]
    while rest and not rest[-1].strip():
        rest = rest[:-1]  # a separator at the end of the line
    if source.thousands:
        rest = [f.replace(source.thousands, "") for f in rest]
    if source.decimal != ".":
        rest = [f.replace(source.decimal, ".") for f in rest]
    if not rest:
        empty = np.zeros(0)
        return (empty, "no samples in the line") if any(map(_is_number, fields[:lead])) else None
    try:
        return np.array(rest, dtype=np.float64), ""
    except ValueError:
        pass
    out = np.full(len(rest), np.nan)
    wrong: list[int] = []
    skipped = {*_NOT_MEASURED, *(m.strip() for m in source.missing)}
    for i, text in enumerate(rest):
        if text.strip() in skipped:
            continue
        try:
            out[i] = float(text)
        except ValueError:
            wrong.append(i)
    if len(wrong) == len(rest) and not any(map(_is_number, fields[:lead])):
        return None
    reason = ""
    if wrong:
        reason = f"{counted(len(wrong), 'sample')} of the line not a number (left out)"
    return out, reason


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _rows(
    path: Path,
    file: int,
    columns: tuple[str, ...],
    names: tuple[str, ...],
    batch: _Batch,
    titles: dict[int, str],
    source: TableSource,
) -> RowBlock:
    samples = np.full((len(batch.line), batch.width), np.nan)
    for row, values in zip(samples, batch.samples, strict=True):
        row[: len(values)] = values
    lead: dict[str, NDArray[Any]] = {}
    for i, name in enumerate(columns):
        texts = [fields[i] if i < len(fields) else "" for fields in batch.lead]
        lead[name] = np.array(texts, dtype=object)
        if name not in (*source.hex, *source.numbered, *source.dates):
            with suppress(ValueError):
                lead[name] = np.array(texts, dtype=np.float64)
    return RowBlock(
        path=path,
        file=file,
        columns=with_forms(lead, source),
        line=np.array(batch.line, dtype=np.int64),
        block=np.array(batch.block, dtype=np.int64),
        titles={k: titles[k] for k in set(batch.block) if k in titles},
        bad=merge_bad(batch.bad),
        samples=samples,
        sample_names=names,
    )
