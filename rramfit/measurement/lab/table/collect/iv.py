"""I–V curves of a log (`/iv`): points in the order of measurement, several curves of a cell.

If all curves have the same voltages, they are stored once, and a point at another voltage is bad.
If many points differ, each curve keeps its own voltages.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rramfit.errors import MeasurementError
from rramfit.measurement.file.record import Bools, Floats, Integers, IVSweeps
from rramfit.measurement.lab.table.group_parts import TableIV
from rramfit.measurement.lab.table.groups import Finish, Group, Start
from rramfit.measurement.lab.table.rows import LogRows
from rramfit.measurement.lab.table.steps import LARGEST, StepNumbers
from rramfit.measurement.lab.table.store import Registry, Spool, occurrence

__all__ = ["IVRows"]

_SAME = 1e-3  # of the voltage range: deviation of one set voltage
_OWN_GRID = 0.25  # share of points off the common voltages, above which curves have their own


class IVRows(Group):
    """Collects the points of I–V curves."""

    name = "iv"

    def __init__(self, part: TableIV, start: Start) -> None:
        super().__init__(part, start)
        self._part = part
        self._curves = Registry()  # by cell and repeat
        self._repeats = StepNumbers("iv.repeat", part.repeat, cells=start.cells, paths=start.paths)
        self._turns = StepNumbers(
            "iv.points", ("occurrence",), cells=start.cells, paths=start.paths
        )
        self._points = np.zeros(0, np.int64)  # of each curve so far
        columns: dict[str, Any] = {
            "curve": np.int32, "point": np.int32, "voltage": np.float64, "current": np.float64,
            "line": np.int64, "file": np.int32,
        }  # fmt: skip
        if part.direction is not None:
            columns["direction"] = np.int8
        self._spool = Spool(**columns)

    def use(self, rows: LogRows, chosen: Bools) -> Bools:
        """Store the chosen points."""
        part = self._part
        chosen, voltage = rows.quantity("iv.voltage", chosen, part.voltage, "voltage", gaps=False)
        chosen, current = rows.quantity("iv.current", chosen, part.current, "current")
        direction = np.zeros(len(rows), np.int64)
        if part.direction is not None:
            chosen, direction = rows.code(
                "iv.direction", chosen, part.direction, range(-1, 2), "1, -1 or 0"
            )
        chosen, repeat = self._repeats.number(rows, chosen)
        if part.points is not None:
            turn = self._turns.occurrences(rows.cell[chosen], (repeat[chosen],))
            curve = self._curves.numbers(rows.cell[chosen], repeat[chosen], turn // part.points)
        else:
            curve = self._curves.numbers(rows.cell[chosen], repeat[chosen])
        if len(self._curves) > len(self._points):
            more = np.zeros(len(self._curves) - len(self._points), np.int64)
            self._points = np.concatenate([self._points, more])
        point = self._points[curve] + occurrence(curve)
        np.maximum.at(self._points, curve, point + 1)
        values = {"curve": curve, "point": point, "voltage": voltage[chosen]}
        values |= {"current": current[chosen], "line": rows.line[chosen]}
        values["file"] = np.full(len(curve), rows.file)
        if part.direction is not None:
            values["direction"] = direction[chosen]
        self._spool.add(**values)
        return chosen

    def finish(self, end: Finish) -> IVSweeps:
        """Return the curves in the order of the log."""
        curves, points = len(self._curves), int(self._points.max())
        if curves * points > LARGEST:
            raise MeasurementError(
                self.start.paths[0],
                "iv",
                found=f"{curves} curves of up to {points} points",
                expected=f"at most {LARGEST} points",
                remedy="number the curves of a cell by `repeat` or `points`",
            )
        spool = self._spool
        at = (spool["curve"], spool["point"])
        voltage = np.full((curves, points), np.nan)
        voltage[at] = spool["voltage"]
        current = np.full((curves, points), np.nan)
        current[at] = spool["current"]
        direction: Integers | None = None
        if self._part.direction is not None:
            direction = np.zeros((curves, points), np.int64)
            direction[at] = spool["direction"]
        grid, off = _common(voltage)
        if np.count_nonzero(off) > _OWN_GRID * len(spool["point"]):
            shared: Floats = voltage
        else:
            shared = grid
            if off.any():
                current[off] = np.nan
                self._record(off[at], end)
        place = np.array([key[0] for key in self._curves.keys], dtype=np.int64)
        cell = end.place[place]
        repeat = occurrence(cell)
        if direction is not None and (direction == direction[0]).all():
            direction = direction[0]
        cols = end.shape[1]
        return IVSweeps(
            voltage=shared,
            current=current,
            row=cell // cols,
            col=cell % cols,
            repeat=repeat if repeat.any() else None,
            direction=direction,
        )

    def _record(self, off: Bools, end: Finish) -> None:
        reason = "voltage differs from the same point of other cells"
        lines, files = self._spool["line"][off], self._spool["file"][off]
        voltages = self._spool["voltage"][off]
        for f in np.unique(files).tolist():
            here = files == f
            path: Path = self.start.paths[f]
            end.ledger.add(path, reason, lines[here].tolist(), f"{voltages[here][0]:g} V")


def _common(voltage: Floats) -> tuple[Floats, Bools]:
    """Return the median voltage of each point, and which points of a curve are elsewhere."""
    grid = np.array([np.median(v[np.isfinite(v)]) for v in voltage.T])
    with np.errstate(invalid="ignore"):
        off = np.abs(voltage - grid) > _SAME * max(float(np.ptp(grid)), _SAME)
    return grid, off
