"""Blocks of rows of a log with all their columns: those of the log, and those of its names.

Samples along a line become rows of their own. `file`, `line`, `block` (blocks of a log, from 0),
`block_line` (lines of a block, from 0), `sample` (from 0) and `header` (the name of a sample's
field) are columns, unless the log has one of that name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rramfit.errors import MeasurementError
from rramfit.measurement.lab.formats.containers import SHEET_KINDS, file_kind
from rramfit.measurement.lab.formats.samples import sample_blocks
from rramfit.measurement.lab.formats.spreadsheets import SHEET_SEPARATOR, sheet_pieces
from rramfit.measurement.lab.layout_table import TableLayout, TableSource, fields_of_pattern
from rramfit.measurement.lab.table.rows import Ledger, LogRows, pattern_columns
from rramfit.measurement.lab.tables import (
    TITLE,
    RowBlock,
    read_blocks,
    separator_of,
    text_lines,
)

__all__ = ["log_rows"]


def log_rows(paths: Sequence[Path], layout: TableLayout, ledger: Ledger) -> Iterator[LogRows]:
    """Yield all rows of one or several logs, and record the lines that are no rows.

    Raises
    ------
    MeasurementError
        If a log cannot be read, or its name does not have the pattern of the layout.
    """
    source = layout.source
    named = [_of_file(path, source) for path in paths]
    lines = _BlockLines()
    for block in _read(paths, source):
        lines.start(block)
        for bad in block.bad:
            if bad.reason != TITLE or not source.title:
                ledger.add_unread(bad)
        if not len(block.line):
            continue
        columns = {str(name): values for name, values in block.columns.items()}
        width = len(columns) - _joined(columns, source)
        own = {
            "file": np.full(len(block.line), block.file),
            "line": block.line,
            "block": block.block,
            "block_line": lines.within(block),
            **{k: np.full(len(block.line), v, dtype=object) for k, v in named[block.file].items()},
            **_of_titles(block, source),
        }
        for name, values in own.items():
            columns.setdefault(name, _numbers_if_all(values))
        line, fields = block.line, block.fields
        if block.samples is not None:
            columns, line = _unpivoted(columns, block, source)
            fields, width = None, len(columns)
            if not len(line):
                continue
        if fields is not None and (fields >= width).all():
            fields = None
        yield LogRows(
            path=block.path,
            file=block.file,
            columns=columns,
            line=line,
            fields=fields,
            width=width,
            layout=layout,
            ledger=ledger,
        )


def _read(paths: Sequence[Path], source: TableSource) -> Iterator[RowBlock]:
    if not source.samples:
        yield from read_blocks(paths, source)
        return
    for f, path in enumerate(paths):
        kind = file_kind(path)
        if kind in SHEET_KINDS:
            pieces = sheet_pieces(path, kind, source.sheet)
            lines = (line for p in pieces for line in p.data.decode("utf-8").split("\n")[:-1])
            yield from sample_blocks(path, source, lines, SHEET_SEPARATOR, file=f)
        elif kind in ("npz", "npy", "mat", "hdf5"):
            for block in read_blocks([path], source):
                yield replace(block, file=f)
        else:
            separator = source.separator or separator_of(path)
            yield from sample_blocks(path, source, text_lines(path, source), separator, file=f)


def _joined(columns: Mapping[str, NDArray[Any]], source: TableSource) -> int:
    """Return how many columns are no fields of a line: dates out of several columns."""
    return sum(name in columns and not isinstance(p, str) for name, p in source.dates.items())


class _BlockLines:
    """Numbers the lines of each block of a log, bad ones too."""

    def __init__(self) -> None:
        self._place = (-1, -1)  # file and block of the last line
        self._next = 0
        self._bad: NDArray[np.int64] = np.zeros(0, np.int64)

    def start(self, block: RowBlock) -> None:
        bad = [line for b in block.bad if b.reason != TITLE for line in b.lines]
        lines = np.unique(np.array(bad, dtype=np.int64))
        self._bad = lines[~np.isin(lines, block.line)]

    def within(self, block: RowBlock) -> NDArray[np.int64]:
        """Return the number of each row's line in its block, from 0."""
        rank = np.arange(len(block.line)) + np.searchsorted(self._bad, block.line)
        opens = np.r_[True, block.block[1:] != block.block[:-1]]
        first = np.maximum.accumulate(np.where(opens, rank, 0))
        if self._place == (block.file, int(block.block[0])):
            first = np.where(block.block == block.block[0], -self._next, first)
        else:
            first = np.where(block.block == block.block[0], rank[0], first)
        within = rank - first
        self._place = (block.file, int(block.block[-1]))
        self._next = int(within[-1]) + 1
        return within


def _of_file(path: Path, source: TableSource) -> dict[str, str]:
    """Return the columns that the pattern takes from a file's name."""
    if source.file_name is None:
        return {}
    found = pattern_columns(source.file_name, path.name)
    if found is None:
        raise MeasurementError(
            path,
            "source.file_name",
            found=f"the name {path.name!r}",
            expected=f"a name like {source.file_name!r}",
            remedy="correct the pattern in the layout file, or leave the file out",
        )
    return dict(found)


def _of_titles(block: RowBlock, source: TableSource) -> dict[str, NDArray[Any]]:
    """Return the columns that the pattern takes from the titles of blocks."""
    if source.title is None:
        return {}
    names = fields_of_pattern(source.title)
    found = {}
    for k in np.unique(block.block).tolist():
        fields = pattern_columns(source.title, block.titles.get(k, "").strip())
        if fields is None:
            line = int(block.line[np.argmax(block.block == k)])
            raise MeasurementError(
                block.path,
                f"line {line}",
                found=f"a block with the title {block.titles.get(k, '')!r}",
                expected=f"a title like {source.title!r} (source.title)",
                remedy="correct the pattern in the layout file",
            )
        found[k] = fields
    blocks = block.block.tolist()
    return {name: np.array([found[k][name] for k in blocks], dtype=object) for name in names}


def _numbers_if_all(values: NDArray[Any]) -> NDArray[Any]:
    """Return texts as numbers if all are."""
    if values.dtype != object:
        return values
    try:
        distinct = {v: float(v) for v in set(values.tolist())}
    except ValueError:
        return values
    return np.array([distinct[v] for v in values.tolist()])


def _unpivoted(
    columns: dict[str, NDArray[Any]], block: RowBlock, source: TableSource
) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64]]:
    """Return a row for each sample; samples after the last one of a line are none."""
    samples = block.samples
    if samples is None:
        raise ValueError
    names = source.samples
    turns = -(-samples.shape[1] // len(names))
    if not turns:
        return {}, np.zeros(0, np.int64)
    if turns * len(names) != samples.shape[1]:
        padding = np.full((len(samples), turns * len(names) - samples.shape[1]), np.nan)
        samples = np.concatenate([samples, padding], axis=1)
    grid = samples.reshape(len(samples), turns, len(names))
    measured: NDArray[np.bool_] = np.asarray(np.isfinite(grid).any(axis=2))
    length = turns - np.argmax(measured[:, ::-1], axis=1)
    keep = np.arange(turns) < np.where(measured.any(axis=1), length, 0)[:, None]
    row, turn = np.nonzero(keep)
    out = {name: values[row] for name, values in columns.items()}
    for i, name in enumerate(names):
        out[name] = grid[..., i][keep]
    out.setdefault("sample", turn)
    if block.sample_names:
        heads = list(block.sample_names[:: len(names)])
        heads += [""] * (turns - len(heads))
        texts = np.array(heads, dtype=object)
        numeric = _numbers_if_all(texts)
        out.setdefault("header", numeric[turn])
    return out, block.line[row]
