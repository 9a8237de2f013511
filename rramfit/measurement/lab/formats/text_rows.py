"""Rows of a text log, piece by piece: settings, headers, titles and blocks, and lines that are bad.

Between rows there may be gaps. The lines of a gap in front of a repeated header are settings. A gap
with a blank line, a title or a header starts a new block. A title is a line of text without any
number: beside a blank line or header it belongs to the block; alone between rows it is also listed
as bad, with the reason `TITLE`, since it may be a message of the tester. Rows with too few fields
are kept, with NaN or empty text at their end. All other lines that are no rows are bad.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rramfit.errors import MeasurementError
from rramfit.measurement.file.origin import BadRows
from rramfit.measurement.lab.formats.lines import (
    Lines,
    fields_of,
    is_number,
    split_lines,
    unquoted,
)
from rramfit.measurement.lab.formats.parse import other_headers, parse_rows, summary_rows
from rramfit.measurement.lab.formats.rows import TITLE, RowBlock, check_width, distinct
from rramfit.measurement.lab.formats.text import Piece
from rramfit.measurement.lab.layout_parts import counted
from rramfit.measurement.lab.layout_table import TableSource

__all__ = ["text_blocks"]

_ROW, _SHORT, _BLANK, _TITLE, _HEADER, _OTHER_HEADER, _WRONG, _DAMAGED, _SUMMARY, _IGNORED = range(
    10
)
_SHOWN = 60  # characters of a bad line that are quoted


@dataclass(frozen=True, slots=True)
class _GapLine:
    """A line between rows."""

    number: int
    kind: int
    text: str
    reason: str  # why it is no row, if it has another number of fields


@dataclass(slots=True)
class _State:
    """What the rows read so far imply for those to come."""

    columns: tuple[str, ...] = ()
    header: str | None = None  # its line
    block: int = 0
    rows_seen: bool = False
    title: str = ""
    other: str = ""  # another header, whose rows are bad
    gap: list[_GapLine] = field(default_factory=list)
    reasons: dict[str, tuple[list[int], str]] = field(default_factory=dict)
    titles: dict[int, str] = field(default_factory=dict)

    def bad(self, reason: str, lines: Iterable[int], first: str) -> None:
        kept, _ = self.reasons.setdefault(reason, ([], first.strip()[:_SHOWN]))
        kept.extend(lines)


def text_blocks(
    path: Path, pieces: Iterable[Piece], source: TableSource, separator: str, *, file: int = 0
) -> Iterator[RowBlock]:
    """Yield the rows of a log.

    Parameters
    ----------
    path : Path
    pieces : iterable of Piece
    source : TableSource
    separator : str
        One character, or "whitespace".
    file : int
        Index of the file.

    Raises
    ------
    MeasurementError
        If the header is missing, or does not match the columns of the layout.
    """
    state = _State(columns=source.columns)
    if not source.header:
        check_width(path, "source.columns", len(state.columns))
    encoding = "utf-8"
    for piece in pieces:
        encoding = piece.encoding
        lines = split_lines(piece.data, separator)
        begin = _begin(path, lines, piece, source, separator, state)
        if begin is None:
            continue
        kind = _kinds(lines, begin, piece, source, separator, state)
        yield _read(path, lines, kind, piece, source, separator, state, file)
    if source.header and state.header is None:
        expected = (
            f"a line that starts with {source.header!r}"
            if isinstance(source.header, str)
            else "a line with the names of the columns"
        )
        raise MeasurementError(
            path,
            "source.header",
            found=f"no header in the file, read as {encoding}",
            expected=expected,
            remedy="correct `header` or `skip` in [source] of the layout file",
        )
    _close_gap(state, source, separator)
    if state.reasons:
        yield _empty(path, file, state)


def _begin(
    path: Path,
    lines: Lines,
    piece: Piece,
    source: TableSource,
    separator: str,
    state: _State,
) -> int | None:
    """Return the first line behind the header, from 0; None while the header is not found."""
    begin = max(source.skip - (piece.first - 1), 0)
    if not source.header or state.header is not None:
        return begin
    above = ""
    for i in range(begin, len(lines.start)):
        text = lines.text(i)
        if lines.blank[i] or (not isinstance(source.header, str) and _is_comment(text, source)):
            above = text or above
            continue
        if isinstance(source.header, str):
            if not text.lstrip('"# \t\ufeff').startswith(source.header):
                continue
            _set_header(path, piece.first + i, text, source, separator, state)
            return i + 1
        named = fields_of(_uncommented(above, source), separator) if above else []
        fields = fields_of(text, separator)
        if len(named) == len(fields) and any(is_number(f, source.decimal) for f in fields):
            _set_header(path, piece.first + i - 1, above, source, separator, state)
            return i
        _set_header(path, piece.first + i, text, source, separator, state)
        return i + 1
    return None


def _set_header(
    path: Path, line: int, text: str, source: TableSource, separator: str, state: _State
) -> None:
    state.header = text
    named = fields_of(_uncommented(text, source), separator)
    check_width(path, f"line {line}", len(named))
    if source.columns and len(source.columns) != len(named):
        more = ", …" if len(named) > 6 else ""
        raise MeasurementError(
            path,
            f"line {line}",
            found=f"a header of {counted(len(named), 'column')} ({', '.join(named[:6])}{more})",
            expected=f"{counted(len(source.columns), 'column')}, as in the layout file",
            remedy="correct `columns` or `separator` in [source] of the layout file",
        )
    state.columns = source.columns or distinct(named)


def _uncommented(text: str, source: TableSource) -> str:
    if not _is_comment(text, source):
        return text
    return text.removeprefix(source.comment).strip()


def _is_comment(text: str, source: TableSource) -> bool:
    return bool(source.comment) and text.startswith(source.comment)


def _kinds(
    lines: Lines, begin: int, piece: Piece, source: TableSource, separator: str, state: _State
) -> NDArray[np.int8]:
    """Return the kind of each line."""
    kind = np.full(len(lines.start), _ROW, np.int8)
    kind[lines.fields != len(state.columns)] = _WRONG
    kind[lines.single] = _TITLE
    kind[lines.zero | (lines.fields == 0)] = _DAMAGED
    if piece.damaged:
        kind[list(piece.damaged)] = _DAMAGED
    kind[lines.blank & ~lines.zero] = _BLANK
    buffer = np.frombuffer(lines.data, np.uint8)
    first = buffer[lines.start]
    if source.comment:
        for i in np.flatnonzero(first == source.comment.encode()[0]).tolist():
            if lines.text(i).startswith(source.comment):
                kind[i] = _IGNORED
    if source.row_prefix:
        prefix = unquoted(source.row_prefix.encode() + b"\n", separator).rstrip(b"\n")
        for i in range(begin, len(kind)):
            if not lines.data.startswith(prefix, int(lines.start[i])) and kind[i] != _BLANK:
                kind[i] = _IGNORED if kind[i] == _IGNORED else _TITLE
    if state.header is not None:
        mark = state.header.encode()[:1]
        for i in np.flatnonzero(first == mark[0]).tolist() if mark else ():
            if lines.text(i) == state.header:
                kind[i] = _HEADER
    kind[:begin] = _IGNORED
    rows = np.flatnonzero(kind == _ROW)
    named = len(rows) > 0 and not _starts_with_number(lines, int(rows[0]), source, separator)
    for i in np.flatnonzero(kind == _TITLE).tolist() if not source.row_prefix else ():
        text = lines.text(i)
        row = _has_number(text, source, separator) or (named and text[:1] != separator)
        if row:  # with one field that is not empty
            kind[i] = _ROW if lines.fields[i] == len(state.columns) else _WRONG
    short = (kind == _WRONG) & (lines.fields < len(state.columns))
    for i in np.flatnonzero(short).tolist():
        if _has_number(lines.text(i), source, separator):
            kind[i] = _SHORT
    for i in np.flatnonzero(kind == _HEADER).tolist():
        _mark_settings(lines, kind, i, source, separator)
    return kind


def _mark_settings(
    lines: Lines, kind: NDArray[np.int8], header: int, source: TableSource, separator: str
) -> None:
    """Mark the lines in front of a repeated header that are no rows like those behind it."""
    numeric = header + 1 < len(kind) and _starts_with_number(lines, header + 1, source, separator)
    at = header - 1
    while at >= 0 and (
        kind[at] != _ROW or (numeric and not _starts_with_number(lines, at, source, separator))
    ):
        kind[at] = _WRONG if kind[at] <= _SHORT else kind[at]
        at -= 1


def _starts_with_number(lines: Lines, i: int, source: TableSource, separator: str) -> bool:
    fields = fields_of(lines.text(i), separator)
    return bool(fields) and is_number(fields[0], source.decimal, source.thousands)


def _has_number(text: str, source: TableSource, separator: str) -> bool:
    fields = fields_of(text, separator)
    return any(is_number(f, source.decimal, source.thousands) for f in fields) or not fields


def _read(
    path: Path,
    lines: Lines,
    kind: NDArray[np.int8],
    piece: Piece,
    source: TableSource,
    separator: str,
    state: _State,
    file: int,
) -> RowBlock:
    """Parse the rows of a piece and assign them to blocks."""
    rows = np.flatnonzero(kind <= _SHORT)
    table = parse_rows(lines.keep(rows), state.columns, source, separator, quoted=lines.quoted)
    if len(rows):
        none = np.zeros(len(rows), np.bool_)
        text = all(c.dtype == object for c in table.values())
        headers = other_headers(table, source) if text else none
        summaries = none if source.row_prefix else summary_rows(table, source)
        if headers.any() or summaries.any():
            kind[rows[headers]] = _OTHER_HEADER
            kind[rows[summaries]] = _SUMMARY
            rows = np.flatnonzero(kind <= _SHORT)
            table = parse_rows(
                lines.keep(rows), state.columns, source, separator, quoted=lines.quoted
            )
    block = np.zeros(len(kind), np.int64)
    others: list[tuple[int, int, str]] = []  # rows under another header
    at = 0
    for i in np.flatnonzero((kind > _SHORT) & (kind != _IGNORED)).tolist():
        if (kind[at:i] <= _SHORT).any():
            _rows_begin(state, source, separator)
            _assign(state, block, others, at, i)
        reason = (
            "a summary of the rows above"
            if kind[i] == _SUMMARY
            else _why(lines, i, piece, len(state.columns))
        )
        state.gap.append(
            _GapLine(piece.first + i, int(kind[i]), lines.text(i).strip()[:400], reason)
        )
        at = i + 1
    if at < len(kind) and (kind[at:] <= _SHORT).any():
        _rows_begin(state, source, separator)
        _assign(state, block, others, at, len(kind))
    for first, stop, header in others:
        under = (rows >= first) & (rows < stop)
        numbers = (rows[under] + piece.first).tolist()
        state.bad(f"under another header ({header})", numbers, lines.text(int(rows[under][0])))
        table, rows = {n: v[~under] for n, v in table.items()}, rows[~under]
    out = RowBlock(
        path=path,
        file=file,
        columns=table,
        line=rows + piece.first,
        block=block[rows],
        fields=lines.fields[rows],
        titles=state.titles,
        bad=_take_bad(path, state),
    )
    state.titles = {}
    return out


def _assign(
    state: _State,
    block: NDArray[np.int64],
    others: list[tuple[int, int, str]],
    start: int,
    stop: int,
) -> None:
    block[start:stop] = state.block
    if state.other:
        others.append((start, stop, state.other))


def _rows_begin(state: _State, source: TableSource, separator: str) -> None:
    """Close the gap in front of rows."""
    if not state.gap:
        state.rows_seen = True
        return
    new = any(
        line.kind in (_BLANK, _HEADER, _OTHER_HEADER) or _is_title(line, source, separator)
        for line in state.gap
    )
    _close_gap(state, source, separator)
    if new and state.rows_seen:
        state.block += 1
    if state.title:
        state.titles[state.block] = state.title
        state.title = ""
    state.rows_seen = True


def _close_gap(state: _State, source: TableSource, separator: str) -> None:
    """Decide which lines of a gap are settings, titles or bad."""
    headers = [i for i, g in enumerate(state.gap) if g.kind in (_HEADER, _OTHER_HEADER)]
    behind = headers[-1] if headers else -1
    spaced = any(g.kind in (_BLANK, _HEADER) for g in state.gap)
    for i, line in enumerate(state.gap):
        if _is_title(line, source, separator):
            state.title = line.text
            if i > behind and not spaced and not source.row_prefix:
                state.bad(TITLE, [line.number], line.text)
        elif line.kind in (_WRONG, _DAMAGED, _SUMMARY) and i > behind:
            state.bad(line.reason, [line.number], line.text)
    if headers:
        other = state.gap[behind]
        state.other = other.text[:_SHOWN] if other.kind == _OTHER_HEADER else ""
    state.gap = []


def _is_title(line: _GapLine, source: TableSource, separator: str) -> bool:
    if line.kind == _WRONG:
        return not _has_number(line.text, source, separator)
    return line.kind == _TITLE


def _why(lines: Lines, i: int, piece: Piece, columns: int) -> str:
    """Return why a line is no row."""
    if lines.zero[i]:
        return "a zero byte"
    if i in piece.damaged:
        return f"bytes that are not {piece.encoding} (see `encoding` in [source])"
    if not lines.fields[i]:
        return "a quotation mark that is not closed"
    return f"{counted(int(lines.fields[i]), 'field')} instead of {columns}"


def _take_bad(path: Path, state: _State) -> list[BadRows]:
    found = [
        BadRows(path=path, reason=reason, lines=tuple(lines), first=first)
        for reason, (lines, first) in state.reasons.items()
    ]
    state.reasons = {}
    return found


def _empty(path: Path, file: int, state: _State) -> RowBlock:
    none = np.zeros(0, np.int64)
    columns = {name: np.zeros(0) for name in state.columns}
    return RowBlock(
        path=path, file=file, columns=columns, line=none, block=none, bad=_take_bad(path, state)
    )
