"""Repeated reads of a log (`/reads`, `/retention`): readings by read and cell, kept out of memory.

Reads at several temperatures are several bakes, each with its own times. With `latest`, a new event
of a cell discards its earlier reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from rramfit.errors import MeasurementError
from rramfit.measurement.file.record import Bools, Floats, Integers, Levels, Reads
from rramfit.measurement.lab.layout_parts import counted
from rramfit.measurement.lab.table.cells import Origins
from rramfit.measurement.lab.table.group_parts import TableReads
from rramfit.measurement.lab.table.groups import Finish, Group, Start
from rramfit.measurement.lab.table.levels import level_column
from rramfit.measurement.lab.table.quantity_parts import TableLevel
from rramfit.measurement.lab.table.rows import LogRows, NoColumnError
from rramfit.measurement.lab.table.steps import StepNumbers, StepStore
from rramfit.units import to_si

__all__ = ["ReadRows"]

_MOST_BAKES = 64
_AT_ONCE = 2**20  # readings in memory at a time


class ReadRows(Group):
    """Collects the rows of repeated reads."""

    def __init__(self, part: TableReads, start: Start, *, name: str) -> None:
        super().__init__(part, start)
        self.name, self._part = name, part
        self._times: Floats | None = None  # of the rows of the current block
        self._bakes: dict[float, _Bake] = {}
        self._origins = Origins(start.cells)
        self._latest = np.full(start.cells, -1, np.int64)

    def add(self, rows: LogRows) -> None:
        """Use the rows of a block; the time origin may be in rows of another kind."""
        part = self._part
        self._times = None
        if part.time.column is not None:
            try:
                values, wrong = rows.numbers(f"{self.name}.time", part.time.column)
            except NoColumnError as e:
                self.lacks(e)
                return
            times = np.where(wrong, np.nan, values)
            if isinstance(part.time.since, dict):
                place = f"{self.name}.time.since"
                hit = rows.matches(place, part.time.since) & rows.good
                times = times - self._origins.values(rows, hit, times)
            self._times = times
        super().add(rows)

    def use(self, rows: LogRows, chosen: Bools) -> Bools:
        """Store the chosen rows."""
        part = self._part
        if part.latest is not None:
            chosen = self._only_latest(rows, chosen, part.latest)
        chosen, g = rows.conductance(f"{self.name}.conductance", chosen, part.conductance)
        level = np.zeros(len(rows), np.int64)
        if part.level is not None and part.level.column is not None:
            column = TableLevel(
                column=part.level.column, first=part.level.first, values=part.level.values
            )
            place = f"{self.name}.level"
            chosen, level = level_column(rows, place, chosen, column, self.start.levels)
        if part.temperature is None or isinstance(part.temperature, float):
            return self._bake(part.temperature).put(rows, chosen, g, level, self._times)
        chosen, kelvin = rows.quantity(
            f"{self.name}.temperature", chosen, part.temperature, "temperature", gaps=False
        )
        reason = f"{part.temperature.column} is not above 0 K"
        chosen = rows.drop(chosen, kelvin <= 0, reason, show=part.temperature.column)
        used = np.zeros(len(rows), np.bool_)
        for t in np.unique(kelvin[chosen]).tolist():
            used |= self._bake(t).put(rows, chosen & (kelvin == t), g, level, self._times)
        return used

    def finish(self, end: Finish) -> tuple[Reads, ...]:
        """Return the bakes in rising order of temperature; one for `/reads`."""
        return tuple(
            self._bakes[t].finish(end, None if np.isnan(t) else t) for t in sorted(self._bakes)
        )

    def _bake(self, temperature: float | None) -> _Bake:
        key = np.nan if temperature is None else temperature
        if temperature is None and self._bakes:
            return next(iter(self._bakes.values()))
        if key not in self._bakes:
            if len(self._bakes) == _MOST_BAKES:
                raise MeasurementError(
                    self.start.paths[0],
                    f"{self.name}.temperature",
                    found=f"more than {_MOST_BAKES} different temperatures",
                    expected="the temperature of each bake",
                    remedy="round them: column = 'round(T / 5) * 5'",
                )
            self._bakes[key] = _Bake(self.name, self._part, self.start)
        return self._bakes[key]

    def _only_latest(self, rows: LogRows, chosen: Bools, counter: str) -> Bools:
        """Keep the rows after the last event of each cell, and discard earlier reads."""
        rows.require_columns(f"{self.name}.latest", counter)
        count = rows.columns[counter]
        newest = self._latest.copy()
        np.maximum.at(newest, rows.cell[rows.good], count[rows.good])
        again = np.flatnonzero(newest > self._latest)
        for bake in self._bakes.values():
            bake.clear(again)
        self._latest = newest
        latest: Bools = chosen & (count == newest[rows.cell])
        return latest


class _Bake:
    """The reads at one temperature."""

    def __init__(self, name: str, part: TableReads, start: Start) -> None:
        self._name, self._part, self._start = name, part, start
        self._steps = StepNumbers(f"{name}.read", part.read, cells=start.cells, paths=start.paths)
        fields: dict[str, Any] = {"conductance": np.float64}
        self._timed = part.time.column is not None
        if self._timed:
            fields["time"] = np.float64
        self._store = StepStore(
            name, cells=start.cells, shape=start.shape, paths=start.paths, **fields
        )
        self._level = np.zeros(start.cells, np.int32)  # level + 1

    def put(
        self, rows: LogRows, chosen: Bools, g: Floats, level: Integers, times: Floats | None
    ) -> Bools:
        chosen, step = self._steps.number(rows, chosen)
        values = {"conductance": g}
        if self._timed and times is not None:
            values["time"] = times
        self._level[rows.cell[chosen]] = level[chosen] + 1
        return self._store.put(rows, chosen, step, steps=len(self._steps), **values)

    def clear(self, cells: Integers) -> None:
        if len(self._store):
            self._store.clear(cells)
        self._steps.restart(cells)

    def finish(self, end: Finish, temperature: float | None) -> Reads:
        part, name = self._part, self._name
        order = self._steps.order()
        if not self._steps.by_file:
            order = order[self._store.filled()[order]]
        time = self._times(order)
        unknown = np.flatnonzero(~np.isfinite(time))
        if len(unknown):
            raise MeasurementError(
                self._start.paths[0],
                f"{name}.time",
                found=f"no time for {counted(len(unknown), 'read')}, the first at {unknown[0]}",
                expected=f"a time in {part.time.column} for every read",
                remedy="correct `time` in the layout file",
            )
        falls = np.flatnonzero(np.diff(time) < 0)
        if len(falls):
            i = int(falls[0])
            raise MeasurementError(
                self._start.paths[0],
                f"{name}.time",
                found=f"{time[i]:g} s at read {i}, then {time[i + 1]:g} s",
                expected="times that never decrease",
                remedy=f"correct `time`, or number the reads by {part.time.column or 'time'} "
                "in `read`",
            )
        if name == "retention" and len(time) and time[0] < 0:
            raise MeasurementError(
                self._start.paths[0],
                f"{name}.time",
                found=f"a time of {time[0]:g} s",
                expected="times since programming, 0 or more",
                remedy="correct `time.since` in the layout file",
            )
        stored = _StoredReads(store=self._store, order=order, place=end.place, shape=end.shape)
        return Reads(
            shape=(len(order), *end.shape),
            time=time,
            level=self._levels(end, stored, len(order)),
            read_voltage=part.read_voltage,
            temperature=temperature,
            open_blocks=stored,
            session=self._steps.named(part.session, order) if name == "reads" else None,
        )

    def _times(self, order: Integers) -> Floats:
        """Return the time of each read [s]: as given, or the median over cells."""
        part = self._part.time
        if part.values is not None:
            if len(part.values) != len(order):
                raise MeasurementError(
                    self._start.paths[0],
                    f"{self._name}.time.values",
                    found=f"{len(part.values)} times",
                    expected=f"{len(order)}, one per read",
                )
            return to_si(part.values, part.units, "time")
        time = np.full(len(order), np.nan)
        several = max(_AT_ONCE // self._start.cells, 1)
        for i in range(0, len(order), several):
            steps = order[i : i + several]
            known = self._store.known[steps] > 0
            time[i : i + several] = _medians(np.where(known, self._store["time"][steps], np.nan))
        if part.since == "first" and len(time):
            time -= time[0]
        return to_si(time, part.units, "time")

    def _levels(self, end: Finish, stored: _StoredReads, reads: int) -> Integers:
        part = self._part.level
        level = np.full(end.shape, -1, np.int64)
        if part is None:
            return level
        if part.column is not None:
            level.reshape(-1)[end.place] = self._level[: len(end.place)].astype(np.int64) - 1
        elif part.program is not None:
            if end.program is None:
                raise MeasurementError(
                    self._start.paths[0],
                    f"{self._name}.level",
                    found="no [program]",
                    expected="[program], which sets the levels",
                )
            sweeps = end.program.shape[0]
            at = _index(self._start, f"{self._name}.level.program", part.program, sweeps, "sweep")
            for block in end.program.blocks(1):
                if block.first == at:
                    level = block.level[0].copy()
        elif part.reading is not None and end.levels is not None:
            at = _index(self._start, f"{self._name}.level.reading", part.reading, reads, "read")
            level = _nearest(stored.read(at), end.levels)
        return level


def _medians(values: Floats) -> Floats:
    """Return the median of each row over its finite entries; NaN if there are none."""
    ordered = np.sort(values, axis=1)  # NaN last
    count = np.isfinite(ordered).sum(axis=1)
    row = np.arange(len(ordered))
    low, high = (
        ordered[row, np.maximum(count - 1, 0) // 2],
        ordered[row, count // 2 % ordered.shape[1]],
    )
    return np.where(count > 0, 0.5 * (low + np.where(count % 2 == 1, low, high)), np.nan)


def _index(start: Start, place: str, index: int, count: int, what: str) -> int:
    if not -count <= index < count:
        raise MeasurementError(
            start.paths[0],
            place,
            found=f"index {index}",
            expected=f"one of {counted(count, what)}, from 0, or -1 for the last",
            remedy="correct it in the layout file",
        )
    return index % count


def _nearest(conductance: Floats, levels: Levels) -> Integers:
    """Return the level with the nearest target; -1 where nothing was measured."""
    between = (levels.target[1:] + levels.target[:-1]) / 2
    index = np.searchsorted(between, conductance, side="right")
    return np.where(np.isfinite(conductance), index, -1).astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredReads:
    """Iterates over stored reads, block by block."""

    store: StepStore
    order: Integers  # (read,) step of each read
    place: Integers  # (cell number,) place in the array
    shape: tuple[int, int]

    def __call__(self, reads: int) -> Iterator[Floats]:
        for first in range(0, len(self.order), reads):
            block = np.full((min(reads, len(self.order) - first), *self.shape), np.nan)
            for i, read in enumerate(block):
                read[...] = self.read(first + i)
            block.flags.writeable = False
            self.store.release()
            yield block

    def read(self, i: int) -> Floats:
        """Return one read, (row, col)."""
        out = np.full(self.shape[0] * self.shape[1], np.nan)
        out[self.place] = self.store.measured("conductance", self.order[i])[: len(self.place)]
        return out.reshape(self.shape)
