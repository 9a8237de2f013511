"""Programming sweeps of a log (`/program`): readings by sweep and cell, kept out of memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rramfit.measurement.file.acceptance import acceptance_source, inside_window
from rramfit.measurement.file.record import Bools, Integers, Levels, Program, SweepBlock
from rramfit.measurement.lab.table.group_parts import TableProgram
from rramfit.measurement.lab.table.groups import Finish, Group, Start
from rramfit.measurement.lab.table.levels import level_column
from rramfit.measurement.lab.table.rows import LogRows
from rramfit.measurement.lab.table.steps import StepNumbers, StepStore

__all__ = ["ProgramRows"]


class ProgramRows(Group):
    """Collects the rows of programming sweeps."""

    name = "program"

    def __init__(self, part: TableProgram, start: Start) -> None:
        super().__init__(part, start)
        self._part = part
        self._steps = StepNumbers("program.sweep", part.sweep, cells=start.cells, paths=start.paths)
        fields: dict[str, Any] = {"conductance": np.float64}
        self._leveled = part.level is not None or start.windows is not None
        if self._leveled:
            fields["level"] = np.int32  # level + 1, so that 0 is "not programmed"
        if part.verified is not None:
            fields["verified"] = np.bool_
        if part.pulses:
            fields["pulses"] = np.int64
        self._store = StepStore(
            "program", cells=start.cells, shape=start.shape, paths=start.paths, **fields
        )

    def use(self, rows: LogRows, chosen: Bools) -> Bools:
        """Store the chosen rows."""
        part = self._part
        values: dict[str, NDArray[Any]] = {}
        if self.start.windows is not None:
            chosen, number, _, _ = self.start.windows.number(rows, chosen)
            values["level"] = number + 1
        chosen, values["conductance"] = rows.conductance(
            "program.conductance", chosen, part.conductance
        )
        if part.level is not None:
            chosen, index = level_column(
                rows, "program.level", chosen, part.level, self.start.levels
            )
            values["level"] = index + 1
        if part.verified is not None:
            chosen, values["verified"] = rows.flag("program.verified", chosen, part.verified)
        if part.pulses:
            pulses: Integers = np.zeros(len(rows), np.int64)
            for name in part.pulses:
                chosen, counted = rows.count("program.pulses", chosen, name)
                pulses = pulses + counted
            values["pulses"] = pulses
        chosen, step = self._steps.number(rows, chosen)
        return self._store.put(rows, chosen, step, steps=len(self._steps), **values)

    def finish(self, end: Finish) -> Program:
        """Return the sweeps in rising order of their keys."""
        rank = end.window_rank if self._part.level is None else None
        order = self._steps.order()
        return Program(
            shape=(len(self._steps), *end.shape),
            levels_known=self._leveled,
            acceptance=acceptance_source(
                end.levels,
                verified_given=self._part.verified is not None,
                levels_known=self._leveled,
            ),
            read_voltage=self._part.read_voltage,
            max_pulses=self._part.max_pulses,
            open_blocks=_StoredSweeps(
                store=self._store,
                fields=tuple(self._store.fields),
                order=order,
                place=end.place,
                shape=end.shape,
                levels=end.levels,
                rank=rank,
            ),
            session=self._steps.named(self._part.session, order),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredSweeps:
    """Iterates over stored sweeps, block by block."""

    store: StepStore
    fields: tuple[str, ...]
    order: Integers  # (sweep,) step of each sweep
    place: Integers  # (cell number,) place in the array
    shape: tuple[int, int]
    levels: Levels | None
    rank: Integers | None  # (window number,) level

    def __call__(self, sweeps: int) -> Iterator[SweepBlock]:
        for first in range(0, len(self.order), sweeps):
            steps = self.order[first : first + sweeps]
            g = self._map(np.stack([self.store.measured("conductance", s) for s in steps]), np.nan)
            level = np.full(g.shape, -1, np.int64)
            if "level" in self.fields:
                level = self._map(self.store["level"][steps].astype(np.int64), 0) - 1
                known = self._map(self.store.known[steps], 0) > 0
                if self.rank is not None:
                    level = np.where(level >= 0, self.rank[np.maximum(level, 0)], -1)
                level = np.where(known, level, -1)
            if "verified" in self.fields:
                accepted = self._map(self.store["verified"][steps], fill=False)
            elif self.levels is not None and "level" in self.fields and _windowed(self.levels):
                accepted = inside_window(g, level, self.levels)
            else:
                accepted = np.ones(g.shape, np.bool_)
            pulses = None
            if "pulses" in self.fields:
                pulses = self._map(self.store["pulses"][steps], 0)
            self.store.release()
            yield SweepBlock(
                first=first, conductance=g, level=level, accepted=accepted, pulses=pulses
            )

    def _map(self, values: NDArray[Any], fill: object) -> NDArray[Any]:
        """Return values by (step, cell number) as (step, row, col)."""
        out = np.full((len(values), self.shape[0] * self.shape[1]), fill, dtype=values.dtype)
        out[:, self.place] = values[:, : len(self.place)]
        return out.reshape(len(values), *self.shape)


def _windowed(levels: Levels) -> bool:
    return levels.lower is not None or levels.upper is not None
