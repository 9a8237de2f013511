"""Rows of a log with their cells: sweep, time and conductance of each row.

All functions take the whole log and a mask `chosen` of the rows that belong to a group. A function
that skips rows records them as bad and returns the smaller mask.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rramfit.errors import MeasurementError
from rramfit.measurement.file.origin import BadRows
from rramfit.measurement.file.record import Bools, Floats, Integers
from rramfit.measurement.lab.expressions import column_names, evaluate
from rramfit.measurement.lab.layout_table import TableConductance, TableLayout, Where
from rramfit.measurement.lab.tables import Rows, numbers
from rramfit.units import ACCEPTED_UNITS, to_si

__all__ = [
    "KeyedRows",
    "assign_cells",
    "cell_index",
    "conductances",
    "counter",
    "drop_repeats",
    "last_before",
    "matches",
    "occurrence",
    "select_rows",
    "step_index",
]

_LARGEST = 2**28  # readings of one group held in memory: 2 GiB in float64


@dataclass(slots=True, kw_only=True)
class KeyedRows:
    """Rows with their cells; collects bad rows while the groups are built."""

    rows: Rows
    layout: TableLayout
    path: Path
    row: Integers
    col: Integers
    good: Bools
    used: Bools
    bad: list[BadRows] = field(default_factory=list)

    def drop(self, chosen: Bools, mask: Bools, reason: str, *, show: str = "") -> Bools:
        """Remove the rows of `mask` from `chosen` and record them as bad."""
        hit = chosen & mask
        if hit.any():
            self.bad += self.rows.bad(hit, reason, show=show)
        return chosen & ~mask

    def require_columns(self, where: str, *names: str) -> None:
        """Raise a `MeasurementError` if the log does not have all these columns."""
        for name in names:
            if name not in self.rows.columns:
                raise MeasurementError(
                    self.path,
                    where,
                    found=f"no column {name!r}",
                    expected=f"one of {', '.join(self.rows.columns)}",
                    remedy="correct the column name in the layout file",
                )


def assign_cells(rows: Rows, layout: TableLayout, path: Path) -> KeyedRows:
    """Assign each row to a cell; a row without a valid cell is bad."""
    n = len(rows.line)
    log = KeyedRows(
        rows=rows,
        layout=layout,
        path=path,
        row=np.zeros(n, np.int64),
        col=np.zeros(n, np.int64),
        good=np.ones(n, np.bool_),
        used=np.zeros(n, np.bool_),
    )
    cells, array = layout.cells, layout.array
    expressions = [x for x in (cells.row, cells.col, cells.packed) if x is not None]
    named = sorted(frozenset[str]().union(*map(column_names, expressions)))
    log.require_columns("cells", *named)
    integers: dict[str, Integers] = {}
    for name in named:
        values, wrong = numbers(rows, name)
        not_integer = wrong | ~np.isfinite(values)
        not_integer |= ~not_integer & (values != np.floor(values))
        log.good = log.drop(log.good, not_integer, f"{name} is not an integer", show=name)
        integers[name] = np.where(not_integer, 0, values).astype(np.int64)
    if cells.packed is not None:
        address = evaluate(cells.packed, integers)
        rank = np.zeros(n, np.int64)
        known, rank[log.good] = np.unique(address[log.good], return_inverse=True)
        if len(known) > array.rows * array.cols:
            raise MeasurementError(
                path,
                "cells.packed",
                found=f"{len(known)} cells",
                expected=f"at most {array.rows} × {array.cols} cells",
                remedy="increase `rows` in [array] of the layout file",
            )
        log.row, log.col = rank // array.cols, rank % array.cols
        return log
    log.row = np.broadcast_to(evaluate(str(cells.row), integers), n)
    log.col = np.broadcast_to(evaluate(str(cells.col), integers), n)
    outside = (log.row < 0) | (log.row >= array.rows) | (log.col < 0) | (log.col >= array.cols)
    log.good = log.drop(
        log.good,
        outside,
        f"cell outside the {array.rows} × {array.cols} array",
        show=named[0] if named else "",
    )
    log.row, log.col = np.where(log.good, log.row, 0), np.where(log.good, log.col, 0)
    return log


def matches(log: KeyedRows, place: str, where: Where) -> Bools:
    """Return which rows have the values that `where` requires."""
    chosen = np.ones(len(log.good), np.bool_)
    log.require_columns(place, *where)
    for name, wanted in where.items():
        values = log.rows.columns[name]
        options = wanted if isinstance(wanted, list) else [wanted]
        if values.dtype.kind in "biuf":
            chosen &= np.isin(values.astype(np.float64), [float(o) for o in options])
        else:
            texts = {str(o) for o in options}
            chosen &= np.fromiter((str(v) in texts for v in values.tolist()), np.bool_, len(values))
    return chosen


def select_rows(log: KeyedRows, place: str, where: Where) -> Bools:
    """Return the rows that belong to a group."""
    chosen = log.good & matches(log, place, where)
    if not chosen.any():
        wanted = ", ".join(f"{column} = {value!r}" for column, value in where.items())
        raise MeasurementError(
            log.path,
            place,
            found="no matching row in the log",
            expected=f"rows with {wanted}" if where else "rows with a cell of the array",
            remedy=f"correct {place} in the layout file",
        )
    log.used |= chosen
    return chosen


def cell_index(log: KeyedRows) -> Integers:
    """Return the cell index of each row, counted row by row of the array."""
    return log.row * log.layout.array.cols + log.col


def occurrence(group: Integers) -> Integers:
    """Return the number of equal entries before each entry."""
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    starts = np.r_[True, ordered[1:] != ordered[:-1]]
    first = np.maximum.accumulate(np.where(starts, np.arange(len(group)), 0))
    out = np.empty(len(group), np.int64)
    out[order] = np.arange(len(group)) - first
    return out


def counter(log: KeyedRows, name: str) -> Integers:
    """Return, for each row, the counter `name` of its cell: counted rows so far, minus one."""
    hit = matches(log, f"source.counters.{name}", log.layout.source.counters[name]) & log.good
    order = np.argsort(cell_index(log), kind="stable")
    ordered = cell_index(log)[order]
    running = np.cumsum(hit[order])
    starts = np.r_[True, ordered[1:] != ordered[:-1]]
    before = np.where(starts, running - hit[order], 0)
    out = np.empty(len(hit), np.int64)
    out[order] = running - np.maximum.accumulate(before) - 1
    return out


def step_index(
    log: KeyedRows, place: str, chosen: Bools, name: str | None
) -> tuple[Bools, Integers, int]:
    """Return the sweep or read index of each chosen row, and the number of sweeps or reads."""
    step = np.zeros(len(chosen), np.int64)
    if name is None:
        return chosen, step, 1
    if name == "occurrence":
        step[chosen] = occurrence(cell_index(log)[chosen])
        return chosen, step, int(step[chosen].max()) + 1
    if name == "file":
        return chosen, log.rows.file, len(log.rows.paths)
    if name in log.layout.source.counters:
        values, wrong = counter(log, name).astype(np.float64), np.zeros(len(chosen), np.bool_)
        chosen = log.drop(chosen, values < 0, f"before the first row counted by {name}")
    else:
        log.require_columns(place, name)
        values, wrong = numbers(log.rows, name)
        chosen = log.drop(chosen, wrong | np.isnan(values), f"{name} is not a number", show=name)
    known, step[chosen] = np.unique(values[chosen], return_inverse=True)
    return chosen, step, len(known)


def conductances(
    log: KeyedRows, place: str, chosen: Bools, part: TableConductance
) -> tuple[Bools, Floats]:
    """Return the conductance of each chosen row [S]; NaN = marked as not measured in the log."""
    log.require_columns(place, part.column)
    missing = log.layout.source.missing
    values, wrong = numbers(log.rows, part.column, missing)
    chosen = log.drop(chosen, wrong, f"{part.column} is not a number", show=part.column)
    chosen = log.drop(chosen, np.isinf(values), f"{part.column} is infinite", show=part.column)
    if part.units in ACCEPTED_UNITS["current"]:
        current = to_si(values, part.units, "current")
        if isinstance(part.voltage, str):
            log.require_columns(place, part.voltage)
            voltage, no_voltage = numbers(log.rows, part.voltage)
            no_voltage |= ~np.isfinite(voltage) | (voltage == 0)
            chosen = log.drop(
                chosen, no_voltage, f"{part.voltage} is not a nonzero voltage", show=part.voltage
            )
            return chosen, current / np.where(no_voltage, 1.0, voltage)
        return chosen, current / float(part.voltage or np.nan)
    if part.units not in ("S", "mS", "uS", "nS"):
        chosen = log.drop(chosen, values == 0, f"{part.column} is 0 {part.units}")
        values = np.where(values == 0, np.nan, values)
    return chosen, to_si(values, part.units, "conductance")


def drop_repeats(
    log: KeyedRows, place: str, chosen: Bools, step: Integers, steps: int
) -> tuple[Bools, tuple[int, int, int]]:
    """Keep the last row of each cell per sweep or read; return the mask and the array shape."""
    array = log.layout.array
    shape = (steps, array.rows, array.cols)
    if steps * array.rows * array.cols > _LARGEST:
        raise MeasurementError(
            log.path,
            place,
            found=f"{steps} × {array.rows} × {array.cols} readings",
            expected=f"at most {_LARGEST} readings in a group",
            remedy="use a smaller array, with cells numbered by `cells.packed`",
        )
    key = step * (array.rows * array.cols) + cell_index(log)
    later = np.zeros(len(chosen), np.bool_)
    rows = np.flatnonzero(chosen)[::-1]
    _, last = np.unique(key[rows], return_index=True)
    later[rows] = True
    later[rows[last]] = False
    again = "repeated cell in one sweep or read (the last row is kept)"
    return log.drop(chosen, later, again), shape


def last_before(values: Floats, hit: Bools, cell: Integers) -> Floats:
    """Return the value at the cell's last `hit` row at or before each row; NaN if there is none."""
    order = np.argsort(cell, kind="stable")
    ordered = cell[order]
    place = np.where(hit[order], np.arange(len(cell)), -1)
    last = np.maximum.accumulate(place)
    none = (last < 0) | (ordered[np.maximum(last, 0)] != ordered)
    out = np.empty(len(cell))
    out[order] = np.where(none, np.nan, values[order][np.maximum(last, 0)])
    return out
