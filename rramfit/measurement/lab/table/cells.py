"""The cell of each row of a log, and counters of the rows of a cell.

Cells get provisional numbers in the order in which they appear, or their place in the array if the
layout computes row and column. `CellNumbers.place` returns the place of each number at the end.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rramfit.errors import MeasurementError
from rramfit.measurement.file.record import Bools, Floats, Integers
from rramfit.measurement.lab.layout_table import TableLayout
from rramfit.measurement.lab.table.rows import LogRows, as_numbers
from rramfit.measurement.lab.table.store import Registry

__all__ = ["CellNumbers", "Counters", "Origins", "running"]


class CellNumbers:
    """Numbers of the cells of an array."""

    def __init__(self, layout: TableLayout, path: Path) -> None:
        self._layout, self._path = layout, path
        self.size = layout.array.rows * layout.array.cols
        self._packed = Registry()
        self._texts: bool | None = None  # whether cells have names instead of numbers

    def assign(self, rows: LogRows) -> None:
        """Set the cell of each row; a row without a valid cell is bad."""
        n, cells = len(rows), self._layout.cells
        rows.cell = np.zeros(n, np.int64)
        rows.good = np.ones(n, np.bool_)
        rows.used = np.zeros(n, np.bool_)
        if cells is None:
            return
        if cells.packed is not None:
            self._number(rows, cells.packed)
            return
        array = self._layout.array
        row = self._integer(rows, "cells.row", str(cells.row))
        col = self._integer(rows, "cells.col", str(cells.col))
        outside = (row < 0) | (row >= array.rows) | (col < 0) | (col >= array.cols)
        named = sorted(rows.names("cells.row", str(cells.row)))
        rows.good = rows.drop(
            rows.good,
            outside,
            f"cell outside the {array.rows} × {array.cols} array",
            show=named[0] if named else "",
        )
        rows.cell = np.where(rows.good, row * array.cols + col, 0)

    def place(self) -> Integers:
        """Return the place in the array, counted row by row, of each number."""
        if not len(self._packed):
            return np.arange(self.size)
        keys = [key[0] for key in self._packed.keys]
        order = sorted(range(len(keys)), key=lambda i: _natural(keys[i]))
        place = np.empty(len(keys), np.int64)
        place[order] = np.arange(len(keys))
        return place

    def _integer(self, rows: LogRows, place: str, expression: str) -> Integers:
        """Return the value of an expression; rows where a column is no integer are bad."""
        for name in sorted(rows.names(place, expression)):
            values, wrong = rows.numbers(place, name, missing=False)
            with np.errstate(invalid="ignore"):
                bad = wrong | ~np.isfinite(values) | (values != np.floor(values))
            rows.good = rows.drop(rows.good, bad, f"{name} is not an integer", show=name)
        values, _ = rows.numbers(place, expression, missing=False)
        with np.errstate(invalid="ignore"):
            bad = ~np.isfinite(values) | (np.abs(values) >= 2**62)
        rows.good = rows.drop(rows.good, bad, f"{expression} is not an integer")
        return np.where(bad, -1, values).astype(np.int64)

    def _number(self, rows: LogRows, packed: str) -> None:
        """Set the cell to the number of a distinct value: an integer, a name or arithmetic."""
        keys: NDArray[Any]
        field = rows.columns.get(packed)
        if field is not None and self._texts is None:
            values, wrong = as_numbers(field)
            with np.errstate(invalid="ignore"):
                self._texts = bool(np.mean(wrong | (values != np.floor(values))) > 0.5)
        if field is not None and self._texts:
            keys = np.array([str(v).strip() for v in field.tolist()], dtype=object)
            unnamed = np.array([k in ("", "nan") for k in keys.tolist()], dtype=np.bool_)
            rows.good = rows.drop(rows.good, unnamed, f"{packed} is empty")
            keys = np.where(unnamed, "", keys).astype(str)
        else:
            keys = self._integer(rows, "cells.packed", packed)
        rows.cell[rows.good] = self._packed.numbers(keys[rows.good])
        if len(self._packed) > self.size:
            array = self._layout.array
            raise MeasurementError(
                self._path,
                "cells.packed",
                found=f"{len(self._packed)} cells",
                expected=f"at most {array.rows} × {array.cols} cells",
                remedy="increase `rows` in [array] of the layout file",
            )


class Counters:
    """The counters of `source.counters`: events of a cell so far, minus one."""

    def __init__(self, layout: TableLayout, cells: int) -> None:
        self._where = layout.source.counters
        self._before = {name: np.zeros(cells, np.int64) for name in self._where}

    def add_to(self, rows: LogRows) -> None:
        """Add a column for each counter; -1 before the first event of the cell."""
        for name, where in self._where.items():
            hit = rows.matches(f"source.counters.{name}", where) & rows.good
            before = self._before[name]
            rows.columns[name] = before[rows.cell] + running(hit, rows.cell) - 1
            np.add.at(before, rows.cell[hit], 1)


class Origins:
    """The value of a column at the last event of each cell, such as the time of its last write."""

    def __init__(self, cells: int) -> None:
        self._last = np.full(cells, np.nan)

    def values(self, rows: LogRows, hit: Bools, values: Floats) -> Floats:
        """Return the value at the cell's last `hit` row at or before each row; NaN if none."""
        cell = rows.cell
        order = np.argsort(cell, kind="stable")
        ordered = cell[order]
        last = np.maximum.accumulate(np.where(hit[order], np.arange(len(cell)), -1))
        none = (last < 0) | (ordered[np.maximum(last, 0)] != ordered)
        out = np.empty(len(cell))
        out[order] = np.where(none, self._last[ordered], values[order][np.maximum(last, 0)])
        self._last[cell[hit]] = values[hit]
        return out


def running(hit: Bools, cell: Integers) -> Integers:
    """Return the number of `hit` rows of the same cell up to and including each row."""
    if not len(cell):
        return np.zeros(0, np.int64)
    order = np.argsort(cell, kind="stable")
    ordered, counted = cell[order], np.cumsum(hit[order])
    starts = np.r_[True, ordered[1:] != ordered[:-1]]
    before = np.maximum.accumulate(np.where(starts, counted - hit[order], 0))
    out = np.empty(len(cell), np.int64)
    out[order] = counted - before
    return out


def _natural(key: object) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key in which numbers within names are in numerical order."""
    if isinstance(key, int):
        return ((0, key, ""),)
    parts = re.split(r"(\d+)", str(key))
    return tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts if p)
