"""Endurance of a log (`/endurance`): readings by cycle, state and cell.

The states are columns of one row, or rows of one cycle that are distinguished by a column, by their
order, by a threshold, or by their conductances: state 0 is then the lower one.
"""

from __future__ import annotations

import numpy as np

from rramfit.measurement.file.record import Bools, Endurance, Floats, Integers
from rramfit.measurement.lab.layout_parts import counted
from rramfit.measurement.lab.table.group_parts import TableEndurance
from rramfit.measurement.lab.table.groups import Finish, Group, Start
from rramfit.measurement.lab.table.quantity_parts import TableState
from rramfit.measurement.lab.table.rows import LogRows
from rramfit.measurement.lab.table.steps import StepNumbers, StepStore
from rramfit.units import to_si

__all__ = ["EnduranceRows"]


class EnduranceRows(Group):
    """Collects the rows of switched states."""

    name = "endurance"

    def __init__(self, part: TableEndurance, start: Start) -> None:
        super().__init__(part, start)
        self._part = part
        self._states = len(part.states or ()) or (part.number_of_states if part.state else 1)
        self._in_turn = isinstance(part.state, str)
        self._counted = part.cycle == ("occurrence",)
        keys = ("_cycle",) if self._counted and self._in_turn else part.cycle
        self._cycles = StepNumbers("endurance.cycle", keys, cells=start.cells, paths=start.paths)
        self._turns = StepNumbers(
            "endurance.cycle", ("occurrence",), cells=start.cells, paths=start.paths
        )
        self._store = StepStore(
            "endurance",
            cells=start.cells,
            shape=start.shape,
            paths=start.paths,
            conductance=np.float64,
        )

    def use(self, rows: LogRows, chosen: Bools) -> Bools:
        """Store the readings of the chosen rows."""
        part = self._part
        if part.states is not None:
            chosen, cycle = self._cycle(rows, chosen, None)
            used = np.zeros(len(rows), np.bool_)
            for i, column in enumerate(part.states):
                kept, g = rows.conductance("endurance.states", chosen, column)
                used |= self._put(rows, kept, cycle, np.full(len(rows), i), g)
            return used
        if part.conductance is None:
            raise ValueError
        if self._in_turn:  # a row that cannot be read still has its turn
            chosen, cycle, state = self._turn(rows, chosen)
            chosen, g = rows.conductance("endurance.conductance", chosen, part.conductance)
            return self._put(rows, chosen, cycle, state, g)
        chosen, g = rows.conductance("endurance.conductance", chosen, part.conductance)
        chosen, state = self._state(rows, chosen, g)
        chosen, cycle = self._cycle(rows, chosen, state)
        return self._put(rows, chosen, cycle, state, g)

    def finish(self, end: Finish) -> Endurance:
        """Return the readings at each number of cycles."""
        if self._in_turn:
            self._drop_incomplete(end)
        order = self._cycles.order()
        shape = (len(order), self._states, *end.shape)
        g = np.full((len(order), self._states, end.shape[0] * end.shape[1]), np.nan)
        for i, cycle in enumerate(order.tolist()):
            for state in range(self._states):
                step = cycle * self._states + state
                if step < len(self._store):
                    g[i, state, end.place] = self._store.measured("conductance", step)[
                        : len(end.place)
                    ]
        if self._part.state == "value":
            g.sort(axis=1)  # NaN last
        filled = np.isfinite(g).any(axis=(1, 2))
        keys = self._cycles.keys
        if len(self._part.cycle) > 1:
            cycles = np.arange(1, len(order) + 1)
        else:
            cycles = np.array([keys[i][0] for i in order.tolist()], dtype=np.int64)
            cycles = cycles + (1 if self._counted else 0)
        return Endurance(conductance=g.reshape(shape)[filled], cycle=cycles[filled])

    def _cycle(
        self, rows: LogRows, chosen: Bools, state: Integers | None
    ) -> tuple[Bools, Integers]:
        for key in self._part.cycle:
            if key in ("occurrence", "file") or key in rows.layout.source.counters:
                continue
            values, wrong = rows.numbers("endurance.cycle", key)
            with np.errstate(invalid="ignore"):
                bad = wrong | ~(values >= 0) | ~(values < 2**62) | (values != np.floor(values))
            chosen = rows.drop(chosen, bad, f"{key} is not a number of cycles", show=key)
        return self._cycles.number(rows, chosen, within=state)

    def _turn(self, rows: LogRows, chosen: Bools) -> tuple[Bools, Integers, Integers]:
        """Return the cycle of each row, and which of the cycle's rows of the cell it is."""
        cycle = np.zeros(len(rows), np.int64)
        turn = np.zeros(len(rows), np.int64)
        if self._counted:
            turn[chosen] = self._turns.occurrences(rows.cell[chosen])
            rows.columns["_cycle"] = turn // self._states
            chosen, cycle = self._cycles.number(rows, chosen)
            return chosen, cycle, turn % self._states
        chosen, cycle = self._cycle(rows, chosen, None)
        turn[chosen] = self._turns.occurrences(rows.cell[chosen], (cycle[chosen],))
        reason = f"more than {counted(self._states, 'reading')} of the cell in one cycle"
        return rows.drop(chosen, turn >= self._states, reason), cycle, turn

    def _state(self, rows: LogRows, chosen: Bools, g: Floats) -> tuple[Bools, Integers]:
        state = self._part.state
        if not isinstance(state, TableState):
            return chosen, np.zeros(len(rows), np.int64)
        if state.threshold is not None:
            limit = float(to_si(state.threshold, str(state.units), "conductance"))
            with np.errstate(invalid="ignore"):
                return chosen, (g > limit).astype(np.int64)
        valid = range(self._states)
        what = " or ".join(map(str, valid)) if self._states < 4 else f"one of {self._states} states"
        return rows.code("endurance.state", chosen, state, valid, what)

    def _put(
        self, rows: LogRows, chosen: Bools, cycle: Integers, state: Integers, g: Floats
    ) -> Bools:
        step = cycle * self._states + state
        steps = len(self._cycles) * self._states
        return self._store.put(rows, chosen, step, steps=steps, conductance=g)

    def _drop_incomplete(self, end: Finish) -> None:
        """Drop the readings of a cell's cycle that does not have all states in turn."""
        store = self._store
        for first in range(0, len(store), self._states):
            known = store.known[first : first + self._states] > 0
            some = known.any(axis=0) & ~known.all(axis=0)
            if some.any():
                mask = np.zeros((len(store), known.shape[1]), np.bool_)
                mask[first : first + self._states] = some
                reason = "a cycle without all states, so that the state of the reading is unknown"
                store.remove(end.ledger, mask, reason)
