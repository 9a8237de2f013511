"""Pulse response of a log (`/pulses`): readings after each pulse, by device, cycle and pulse."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rramfit.errors import MeasurementError
from rramfit.measurement.file.record import Bools, Integers, Pulses
from rramfit.measurement.lab.table.group_parts import TablePulses
from rramfit.measurement.lab.table.groups import Finish, Group, Start
from rramfit.measurement.lab.table.rows import LogRows
from rramfit.measurement.lab.table.steps import LARGEST, StepNumbers, StepStore
from rramfit.measurement.lab.table.store import Registry

__all__ = ["PulseRows"]


class PulseRows(Group):
    """Collects the rows of pulses."""

    name = "pulses"

    def __init__(self, part: TablePulses, start: Start) -> None:
        super().__init__(part, start)
        self._part = part
        self._cycles = StepNumbers("pulses.cycle", part.cycle, cells=start.cells, paths=start.paths)
        self._pulses = StepNumbers("pulses.pulse", part.pulse, cells=start.cells, paths=start.paths)
        self._slots = Registry()  # of cycle and pulse
        fields: dict[str, Any] = {"conductance": np.float64, "polarity": np.int8}
        for name in ("initial", "voltage", "width"):
            if getattr(part, name) is not None:
                fields[name] = np.float64
        self._store = StepStore(
            "pulses", cells=start.cells, shape=start.shape, paths=start.paths, **fields
        )

    def use(self, rows: LogRows, chosen: Bools) -> Bools:
        """Store the chosen rows."""
        part = self._part
        values: dict[str, NDArray[Any]] = {}
        chosen, values["conductance"] = rows.conductance(
            "pulses.conductance", chosen, part.conductance
        )
        if isinstance(part.polarity, int):
            values["polarity"] = np.full(len(rows), part.polarity)
        else:
            chosen, values["polarity"] = rows.code(
                "pulses.polarity", chosen, part.polarity, range(-1, 2), "1 (SET), -1 (RESET) or 0"
            )
        if part.initial is not None:
            chosen, values["initial"] = rows.conductance("pulses.initial", chosen, part.initial)
        if part.voltage is not None:
            chosen, values["voltage"] = rows.quantity(
                "pulses.voltage", chosen, part.voltage, "voltage"
            )
        if part.width is not None:
            chosen, values["width"] = rows.quantity("pulses.width", chosen, part.width, "time")
        chosen, cycle = self._cycles.number(rows, chosen)
        chosen, pulse = self._pulses.number(rows, chosen, within=cycle)
        slot = np.zeros(len(rows), np.int64)
        slot[chosen] = self._slots.numbers(cycle[chosen], pulse[chosen])
        return self._store.put(rows, chosen, slot, steps=len(self._slots), **values)

    def finish(self, end: Finish) -> Pulses:
        """Return the readings by device, cycle and pulse."""
        cycle_rank, pulse_rank = _ranks(self._cycles), _ranks(self._pulses)
        known = self._store.known > 0
        devices = np.flatnonzero(known.any(axis=0))
        place = end.place[devices]
        devices, place = devices[np.argsort(place)], np.sort(place)
        before = 0 if self._part.initial is None else 1
        shape = (len(devices), len(cycle_rank), len(pulse_rank) + before)
        if np.prod(shape, dtype=np.float64) > LARGEST:
            raise MeasurementError(
                self.start.paths[0],
                "pulses",
                found=f"{shape[0]} devices × {shape[1]} cycles × {shape[2]} pulses",
                expected=f"at most {LARGEST} readings",
                remedy="number cycles and pulses by `cycle` and `pulse`",
            )
        names = [n for n in ("conductance", "voltage", "width") if n in self._store.fields]
        out = {name: np.full(shape, np.nan) for name in names}
        polarity = np.zeros(shape, np.int64)
        for slot, (cycle, pulse) in enumerate(self._slots.keys):
            here = known[slot, devices]
            c, p = cycle_rank[cycle], pulse_rank[pulse]
            for name, array in out.items():
                array[here, c, p + before] = self._store[name][slot, devices[here]]
            polarity[here, c, p + before] = self._store["polarity"][slot, devices[here]]
            if before and p == 0:
                out["conductance"][here, c, 0] = self._store["initial"][slot, devices[here]]
        measured = np.isfinite(out["conductance"])
        cols = end.shape[1]
        return Pulses(
            conductance=out["conductance"],
            polarity=_shared(polarity, measured),
            row=place // cols,
            col=place % cols,
            voltage=_shared(out["voltage"], measured) if "voltage" in out else None,
            width=_shared(out["width"], measured) if "width" in out else None,
            read_voltage=self._part.read_voltage,
        )


def _ranks(numbers: StepNumbers) -> Integers:
    """Return the place of each number in rising order of its key."""
    order = numbers.order()
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank


def _shared(values: NDArray[Any], measured: Bools) -> NDArray[Any]:
    """Return one value for each pulse, if it is the same for all devices and cycles."""
    flat, known = values.reshape(-1, values.shape[-1]), measured.reshape(-1, values.shape[-1])
    known = known & (flat == flat)
    first = flat[np.argmax(known, axis=0), np.arange(flat.shape[1])]
    return first if np.all((flat == first) | ~known) else values
