"""Rows of a log by the cell they speak of, and what can be said of each: its sweep, its reading.

Everything works on the whole log with a mask of the rows that a group has `chosen`. What takes rows
out of it gives the smaller mask back and names the rows taken out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rramfit.errors import MeasurementError
from rramfit.measurement.file.origin import BadRows
from rramfit.measurement.file.record import Bools, Floats, Integers
from rramfit.measurement.lab.expressions import evaluate, names_in
from rramfit.measurement.lab.layout_table import TableConductance, TableLayout, Where
from rramfit.measurement.lab.tables import Rows, numbers
from rramfit.units import ACCEPTED_UNITS, to_si

__all__ = [
    "KeyedRows",
    "cell_of",
    "choose",
    "conductances",
    "counter",
    "last_before",
    "matches",
    "occurrence",
    "once_each",
    "place_rows",
    "steps_of",
]

_LARGEST = 2**28  # readings of one group held in memory: 2 GiB in float64


@dataclass(slots=True, kw_only=True)
class KeyedRows:
    """Rows with their cells; collects what is bad while the groups are made."""

    rows: Rows
    layout: TableLayout
    path: Path
    row: Integers
    col: Integers
    good: Bools
    used: Bools
    bad: list[BadRows] = field(default_factory=list)

    def drop(self, chosen: Bools, mask: Bools, reason: str, *, show: str = "") -> Bools:
        """Take the rows of `mask` out of `chosen`, named."""
        hit = chosen & mask
        if hit.any():
            self.bad += self.rows.bad(hit, reason, show=show)
        return chosen & ~mask

    def has(self, where: str, *names: str) -> None:
        """Refuse columns that the log does not have."""
        for name in names:
            if name not in self.rows.columns:
                raise MeasurementError(
                    self.path,
                    where,
                    found=f"no column {name!r}",
                    expected=f"one of {', '.join(self.rows.columns)}",
                    remedy="correct the layout file",
                )


def place_rows(rows: Rows, layout: TableLayout, path: Path) -> KeyedRows:
    """Find each row's cell; a row without one is bad."""
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
    said = [x for x in (cells.row, cells.col, cells.packed) if x is not None]
    named = sorted(frozenset[str]().union(*map(names_in, said)))
    log.has("cells", *named)
    whole: dict[str, Integers] = {}
    for name in named:
        values, wrong = numbers(rows, name)
        not_whole = wrong | ~np.isfinite(values)
        not_whole |= ~not_whole & (values != np.floor(values))
        log.good = log.drop(log.good, not_whole, f"{name} is no whole number", show=name)
        whole[name] = np.where(not_whole, 0, values).astype(np.int64)
    if cells.packed is not None:
        address = evaluate(cells.packed, whole)
        rank = np.zeros(n, np.int64)
        known, rank[log.good] = np.unique(address[log.good], return_inverse=True)
        if len(known) > array.rows * array.cols:
            raise MeasurementError(
                path,
                "cells.packed",
                found=f"{len(known)} cells",
                expected=f"at most {array.rows} × {array.cols}",
                remedy="give the array more rows",
            )
        log.row, log.col = rank // array.cols, rank % array.cols
        return log
    log.row = np.broadcast_to(evaluate(str(cells.row), whole), n)
    log.col = np.broadcast_to(evaluate(str(cells.col), whole), n)
    outside = (log.row < 0) | (log.row >= array.rows) | (log.col < 0) | (log.col >= array.cols)
    log.good = log.drop(
        log.good,
        outside,
        f"a cell outside of {array.rows} × {array.cols}",
        show=named[0] if named else "",
    )
    log.row, log.col = np.where(log.good, log.row, 0), np.where(log.good, log.col, 0)
    return log


def matches(log: KeyedRows, place: str, where: Where) -> Bools:
    """Tell which rows have the values that `where` asks for."""
    chosen = np.ones(len(log.good), np.bool_)
    log.has(place, *where)
    for name, wanted in where.items():
        values = log.rows.columns[name]
        options = wanted if isinstance(wanted, list) else [wanted]
        if values.dtype.kind in "biuf":
            chosen &= np.isin(values.astype(np.float64), [float(o) for o in options])
        else:
            texts = {str(o) for o in options}
            chosen &= np.fromiter((str(v) in texts for v in values.tolist()), np.bool_, len(values))
    return chosen


def choose(log: KeyedRows, place: str, where: Where) -> Bools:
    """Rows that a group takes."""
    chosen = log.good & matches(log, place, where)
    if not chosen.any():
        raise MeasurementError(
            log.path,
            place,
            found="no row of the log",
            expected=f"rows with {where}" if where else "rows with a cell of the array",
            remedy="correct the layout file",
        )
    log.used |= chosen
    return chosen


def cell_of(log: KeyedRows) -> Integers:
    """Give the number of each row's cell, counted row by row of the array."""
    return log.row * log.layout.array.cols + log.col


def occurrence(group: Integers) -> Integers:
    """How many equal entries stand before each entry."""
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    starts = np.r_[True, ordered[1:] != ordered[:-1]]
    first = np.maximum.accumulate(np.where(starts, np.arange(len(group)), 0))
    out = np.empty(len(group), np.int64)
    out[order] = np.arange(len(group)) - first
    return out


def counter(log: KeyedRows, name: str) -> Integers:
    """How many rows of the cell up to here the counter `name` counts, less one."""
    hit = matches(log, f"source.counters.{name}", log.layout.source.counters[name]) & log.good
    order = np.argsort(cell_of(log), kind="stable")
    ordered = cell_of(log)[order]
    running = np.cumsum(hit[order])
    starts = np.r_[True, ordered[1:] != ordered[:-1]]
    before = np.where(starts, running - hit[order], 0)
    out = np.empty(len(hit), np.int64)
    out[order] = running - np.maximum.accumulate(before) - 1
    return out


def steps_of(
    log: KeyedRows, place: str, chosen: Bools, name: str | None
) -> tuple[Bools, Integers, int]:
    """Which sweep or read each chosen row belongs to; distinct values in rising order."""
    step = np.zeros(len(chosen), np.int64)
    if name is None:
        return chosen, step, 1
    if name == "occurrence":
        step[chosen] = occurrence(cell_of(log)[chosen])
        return chosen, step, int(step[chosen].max()) + 1
    if name == "file":
        return chosen, log.rows.file, len(log.rows.paths)
    if name in log.layout.source.counters:
        values, wrong = counter(log, name).astype(np.float64), np.zeros(len(chosen), np.bool_)
        chosen = log.drop(chosen, values < 0, f"before the first row that {name} counts")
    else:
        log.has(place, name)
        values, wrong = numbers(log.rows, name)
        chosen = log.drop(chosen, wrong | np.isnan(values), f"{name} is no number", show=name)
    known, step[chosen] = np.unique(values[chosen], return_inverse=True)
    return chosen, step, len(known)


def conductances(
    log: KeyedRows, place: str, chosen: Bools, part: TableConductance
) -> tuple[Bools, Floats]:
    """Conductance of each chosen row [S]; NaN where the log says that nothing was measured."""
    log.has(place, part.column)
    missing = log.layout.source.missing
    values, wrong = numbers(log.rows, part.column, missing)
    chosen = log.drop(chosen, wrong, f"{part.column} is no number", show=part.column)
    chosen = log.drop(chosen, np.isinf(values), f"{part.column} is infinite", show=part.column)
    if part.units in ACCEPTED_UNITS["current"]:
        current = to_si(values, part.units, "current")
        if isinstance(part.voltage, str):
            log.has(place, part.voltage)
            voltage, no_voltage = numbers(log.rows, part.voltage)
            no_voltage |= ~np.isfinite(voltage) | (voltage == 0)
            chosen = log.drop(
                chosen, no_voltage, f"{part.voltage} is no voltage to divide by", show=part.voltage
            )
            return chosen, current / np.where(no_voltage, 1.0, voltage)
        return chosen, current / float(part.voltage or np.nan)
    if part.units not in ("S", "mS", "uS", "nS"):
        chosen = log.drop(chosen, values == 0, f"{part.column} is 0 {part.units}")
        values = np.where(values == 0, np.nan, values)
    return chosen, to_si(values, part.units, "conductance")


def once_each(
    log: KeyedRows, place: str, chosen: Bools, step: Integers, steps: int
) -> tuple[Bools, tuple[int, int, int]]:
    """Shape of a group, each cell once a step: where it stands twice, the last row is kept."""
    array = log.layout.array
    shape = (steps, array.rows, array.cols)
    if steps * array.rows * array.cols > _LARGEST:
        raise MeasurementError(
            log.path,
            place,
            found=f"{steps} × {array.rows} × {array.cols} readings",
            expected=f"at most {_LARGEST} of a log",
            remedy="put few cells side by side with `cells.packed`, in a small array",
        )
    key = step * (array.rows * array.cols) + cell_of(log)
    later = np.zeros(len(chosen), np.bool_)
    rows = np.flatnonzero(chosen)[::-1]
    _, last = np.unique(key[rows], return_index=True)
    later[rows] = True
    later[rows[last]] = False
    again = "the cell again in the same read-out, a later row is kept"
    return log.drop(chosen, later, again), shape


def last_before(values: Floats, hit: Bools, cell: Integers) -> Floats:
    """Value at the cell's last row of `hit` at or before each row; NaN where there is none."""
    order = np.argsort(cell, kind="stable")
    ordered = cell[order]
    place = np.where(hit[order], np.arange(len(cell)), -1)
    last = np.maximum.accumulate(place)
    none = (last < 0) | (ordered[np.maximum(last, 0)] != ordered)
    out = np.empty(len(cell))
    out[order] = np.where(none, np.nan, values[order][np.maximum(last, 0)])
    return out
