"""Conversion of the rows of a log to sweeps, reads and I–V curves of an array.

Each row belongs to one cell; the `where` of a group selects its rows. A selected row that cannot be
used is bad: it is skipped and listed with its line and the reason. A row that no group selects is
not bad; it is counted as unused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rramfit.errors import MeasurementError
from rramfit.measurement.file.in_memory import program_in_memory, reads_in_memory
from rramfit.measurement.file.origin import BadRows
from rramfit.measurement.file.record import (
    Bools,
    Floats,
    Integers,
    IVSweeps,
    Levels,
    Program,
    Reads,
)
from rramfit.measurement.lab.keyed import (
    KeyedRows,
    assign_cells,
    cell_index,
    conductances,
    counter,
    drop_repeats,
    last_before,
    matches,
    occurrence,
    select_rows,
    step_index,
)
from rramfit.measurement.lab.layout_parts import LevelsPart
from rramfit.measurement.lab.layout_table import TableLayout, TableReads
from rramfit.measurement.lab.tables import Rows, numbers
from rramfit.units import to_si

__all__ = ["TableContent", "listed_levels", "measurement_from_rows"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableContent:
    """Groups built from a log, with its bad and unused rows."""

    levels: Levels | None
    program: Program | None
    reads: Reads | None
    retention: Reads | None
    iv: IVSweeps | None
    bad: tuple[BadRows, ...]
    unused: int


def measurement_from_rows(
    rows: Rows, bad: Sequence[BadRows], layout: TableLayout, path: Path
) -> TableContent:
    """Build groups from the rows of a log.

    Parameters
    ----------
    rows : Rows
    bad : sequence of BadRows
        Rows that were skipped before.
    layout : TableLayout
    path : Path
        Path of the log for error messages.

    Raises
    ------
    MeasurementError
        If a column of the layout does not exist, or no row of a group remains.
    """
    log = assign_cells(rows, layout, path)
    log.bad = [*bad, *log.bad]
    rows_of = {
        name: select_rows(log, f"{name}.where", part.where)
        for name in ("program", "reads", "retention", "iv")
        if (part := getattr(layout, name)) is not None
    }
    levels = listed_levels(layout.levels)
    index: Integers | None = None
    if layout.levels is not None and layout.levels.windows is not None:
        levels, index, rows_of["program"] = _levels_from_windows(log, rows_of["program"])
    program = None
    if layout.program is not None:
        program = _program(log, rows_of["program"], levels, index)
    content = TableContent(
        levels=levels,
        program=program,
        reads=_reads(log, "reads", rows_of, levels, program),
        retention=_reads(log, "retention", rows_of, levels, program),
        iv=None if layout.iv is None else _iv(log, rows_of["iv"]),
        bad=(),
        unused=0,
    )
    unused = int(np.count_nonzero(log.good & ~log.used))
    return replace(content, bad=tuple(log.bad), unused=unused)


def listed_levels(part: LevelsPart | None) -> Levels | None:
    """Return the levels that the layout file lists; None if it lists none."""
    if part is None or part.windows is not None:
        return None
    if part.evenly is not None:
        even = part.evenly
        edges = to_si(np.linspace(even.start, even.stop, even.count + 1), even.units, "conductance")
        target = (edges[1:] + edges[:-1]) / 2
        return Levels(target=target, lower=edges[:-1], upper=edges[1:], names=part.name)
    units = str(part.units)
    target = to_si(part.target or (), units, "conductance")
    limits = [
        None if limit is None else to_si(limit, units, "conductance")
        for limit in (part.lower, part.upper)
    ]
    if units in ("ohm", "kohm", "Mohm"):
        limits.reverse()  # the lower resistance is the upper conductance
    return Levels(target=target, lower=limits[0], upper=limits[1], names=part.name)


def _levels_from_windows(log: KeyedRows, chosen: Bools) -> tuple[Levels, Integers, Bools]:
    """Make one level of every distinct window, with the target in the middle."""
    windows = log.layout.levels.windows if log.layout.levels else None
    if windows is None:
        raise ValueError
    log.require_columns("levels.windows", windows.lower, windows.upper)
    limits = []
    for name in (windows.lower, windows.upper):
        values, wrong = numbers(log.rows, name)
        chosen = log.drop(
            chosen, wrong | ~np.isfinite(values), f"{name} is not a number", show=name
        )
        limits.append(np.where(np.isfinite(values), values, 1.0))
    pairs, inverse = np.unique(np.stack(limits, axis=1)[chosen], axis=0, return_inverse=True)
    middle = to_si(pairs.mean(axis=1), windows.units, "conductance")
    edges = np.sort(
        np.stack([to_si(pairs[:, i], windows.units, "conductance") for i in (0, 1)]), axis=0
    )
    order = np.argsort(middle)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    index = np.full(len(chosen), -1, np.int64)
    index[chosen] = rank[inverse.reshape(-1)]
    names = log.layout.levels.name if log.layout.levels else ()
    levels = Levels(target=middle[order], lower=edges[0][order], upper=edges[1][order], names=names)
    return levels, index, chosen


def _level_column(
    log: KeyedRows, place: str, chosen: Bools, column: str, first: int, levels: Levels | None
) -> tuple[Bools, Integers]:
    log.require_columns(place, column)
    values, wrong = numbers(log.rows, column)
    count = 0 if levels is None else len(levels)
    index = np.where(np.isfinite(values), values - first, -2.0)
    unknown = wrong | (index != np.floor(index)) | (index < -1) | (index >= count)
    levels_text = "the 1 level" if count == 1 else f"one of the {count} levels"
    reason = f"{column} is not {levels_text}"
    chosen = log.drop(chosen, unknown, reason, show=column)
    return chosen, np.where(unknown, -1, index).astype(np.int64)


def _program(
    log: KeyedRows, chosen: Bools, levels: Levels | None, index: Integers | None
) -> Program | None:
    part = log.layout.program
    if part is None:
        return None
    chosen, g = conductances(log, "program.conductance", chosen, part.conductance)
    if part.level is not None:
        chosen, index = _level_column(
            log, "program.level", chosen, part.level.column, part.level.first, levels
        )
    accepted = None
    if part.verified is not None:
        log.require_columns("program.verified", part.verified.column)
        fields = log.rows.columns[part.verified.column].tolist()
        texts = [str(v).strip().casefold().removesuffix(".0") for v in fields]
        accepted = np.isin(texts, [t.casefold() for t in part.verified.true])
        neither = ~accepted & ~np.isin(texts, [t.casefold() for t in part.verified.false])
        reason = f"{part.verified.column} is neither true nor false"
        chosen = log.drop(chosen, neither, reason, show=part.verified.column)
    pulses = None
    for name in part.pulses:
        log.require_columns("program.pulses", name)
        values, wrong = numbers(log.rows, name)
        wrong = wrong | ~(values >= 0)
        chosen = log.drop(chosen, wrong, f"{name} is not a pulse count", show=name)
        counted = np.where(wrong, 0, values).astype(np.int64)
        pulses = counted if pulses is None else pulses + counted
    chosen, step, steps = step_index(log, "program.sweep", chosen, part.sweep)
    chosen, shape = drop_repeats(log, "program", chosen, step, steps)
    at = (step[chosen], log.row[chosen], log.col[chosen])
    conductance = np.full(shape, np.nan)
    conductance[at] = g[chosen]
    return program_in_memory(
        conductance,
        read_voltage=part.read_voltage,
        level=None if index is None else _to_array(index[chosen], at, shape, -1),
        verified=None if accepted is None else _to_array(accepted[chosen], at, shape, fill=False),
        pulses=None if pulses is None else _to_array(pulses[chosen], at, shape, 0),
        max_pulses=part.max_pulses,
        levels=levels,
    )


def _to_array(
    values: NDArray[Any],
    at: tuple[Integers, Integers, Integers],
    shape: tuple[int, int, int],
    fill: object,
) -> NDArray[Any]:
    array = np.full(shape, fill, dtype=values.dtype)
    array[at] = values
    return array


def _reads(
    log: KeyedRows,
    name: str,
    rows_of: dict[str, Bools],
    levels: Levels | None,
    program: Program | None,
) -> Reads | None:
    part: TableReads | None = getattr(log.layout, name)
    if part is None:
        return None
    chosen = rows_of[name]
    if part.latest is not None:
        counted = counter(log, part.latest)
        final = np.full(log.layout.array.rows * log.layout.array.cols, -1)
        np.maximum.at(final, cell_index(log)[log.good], counted[log.good])
        chosen = chosen & (counted == final[cell_index(log)])
    chosen, g = conductances(log, f"{name}.conductance", chosen, part.conductance)
    index = None
    if part.level is not None and part.level.column is not None:
        place = f"{name}.level"
        chosen, index = _level_column(
            log, place, chosen, part.level.column, part.level.first, levels
        )
    chosen, step, steps = step_index(log, f"{name}.read", chosen, part.read)
    time = _times(log, name, part, chosen, step, steps)
    chosen, shape = drop_repeats(log, name, chosen, step, steps)
    conductance = np.full(shape, np.nan)
    conductance[step[chosen], log.row[chosen], log.col[chosen]] = g[chosen]
    level = np.full(shape[1:], -1, np.int64)
    if index is not None:
        level[log.row[chosen], log.col[chosen]] = index[chosen]
    elif part.level is not None and part.level.program is not None:
        if program is None:
            raise MeasurementError(
                log.path,
                f"{name}.level",
                found="no [program]",
                expected="[program], which sets the levels",
            )
        level = program.read_all().level[part.level.program].copy()
    elif part.level is not None and part.level.reading is not None and levels is not None:
        level = _nearest(conductance[part.level.reading], levels)
    return reads_in_memory(
        conductance,
        time=time,
        level=level,
        read_voltage=part.read_voltage,
        temperature=part.temperature,
    )


def _nearest(conductance: Floats, levels: Levels) -> Integers:
    """Return the level with the nearest target; -1 where nothing was measured."""
    between = (levels.target[1:] + levels.target[:-1]) / 2
    index = np.searchsorted(between, conductance, side="right")
    return np.where(np.isfinite(conductance), index, -1).astype(np.int64)


def _times(
    log: KeyedRows, name: str, part: TableReads, chosen: Bools, step: Integers, steps: int
) -> Floats:
    """Return the time of each read [s]: as given, or the median over its rows."""
    if part.time.values is not None:
        if len(part.time.values) != steps:
            raise MeasurementError(
                log.path,
                f"{name}.time.values",
                found=f"{len(part.time.values)} times",
                expected=f"{steps}, one per read",
            )
        return to_si(part.time.values, part.time.units, "time")
    column = str(part.time.column)
    log.require_columns(f"{name}.time", column)
    values, _ = numbers(log.rows, column)
    if isinstance(part.time.since, dict):
        hit = matches(log, f"{name}.time.since", part.time.since) & log.good
        values = values - last_before(values, hit, cell_index(log))
    known = chosen & np.isfinite(values)
    time = np.full(steps, np.nan)
    order = np.argsort(step[known], kind="stable")
    edges = np.searchsorted(step[known][order], np.arange(steps + 1))
    ordered = values[known][order]
    for i in range(steps):
        if edges[i] < edges[i + 1]:
            time[i] = np.median(ordered[edges[i] : edges[i + 1]])
    if part.time.since == "first":
        time -= time[0]
    return to_si(time, part.time.units, "time")


def _iv(log: KeyedRows, chosen: Bools) -> IVSweeps | None:
    part = log.layout.iv
    if part is None:
        return None
    si = []
    for quantity, kind in ((part.voltage, "voltage"), (part.current, "current")):
        log.require_columns(f"iv.{kind}", quantity.column)
        values, wrong = numbers(log.rows, quantity.column, log.layout.source.missing)
        wrong |= np.isinf(values) | (np.isnan(values) if kind == "voltage" else False)
        chosen = log.drop(
            chosen, wrong, f"{quantity.column} is not a valid {kind}", show=quantity.column
        )
        si.append(to_si(values, quantity.units, kind))
    cell = cell_index(log)
    point = np.zeros(len(chosen), np.int64)
    point[chosen] = occurrence(cell[chosen])
    points = int(point[chosen].max()) + 1
    grid = np.array([np.median(si[0][chosen & (point == p)]) for p in range(points)])
    off = np.abs(si[0] - grid[point]) > 1e-3 * max(float(np.ptp(grid)), 1e-3)
    other = "voltage differs from the same point of other cells"
    chosen = log.drop(chosen, off, other, show=part.voltage.column)
    known, first, order = np.unique(cell[chosen], return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    current = np.full((len(known), points), np.nan)
    current[rank[order], point[chosen]] = si[1][chosen]
    seen = known[np.argsort(first)]
    cols = log.layout.array.cols
    return IVSweeps(voltage=grid, current=current, row=seen // cols, col=seen % cols)
