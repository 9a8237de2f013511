"""Write-verify attempts of a log (`/attempts`): one row per attempt, or one row per step of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rramfit.errors import MeasurementError
from rramfit.measurement.file.record import Attempts, Bools, Floats
from rramfit.measurement.lab.table.group_parts import TableAttempts
from rramfit.measurement.lab.table.groups import Finish, Group, Start
from rramfit.measurement.lab.table.levels import conductance_limits, level_column
from rramfit.measurement.lab.table.rows import LogRows
from rramfit.measurement.lab.table.steps import LARGEST, StepNumbers
from rramfit.measurement.lab.table.store import Registry, Spool, occurrence

__all__ = ["AttemptRows"]


class AttemptRows(Group):
    """Collects the rows of write-verify attempts."""

    name = "attempts"

    def __init__(self, part: TableAttempts, start: Start) -> None:
        super().__init__(part, start)
        self._part = part
        self._keys = StepNumbers(
            "attempts.attempt", part.attempt, cells=start.cells, paths=start.paths
        )
        self._attempts = Registry()  # by cell and key
        self._steps = np.zeros(0, np.int64)  # of each attempt so far
        self._windowed = start.windows is not None
        columns: dict[str, Any] = {"attempt": np.int64, "step": np.int32, "cell": np.int64}
        columns |= {"lower": np.float64, "upper": np.float64}
        if part.level is not None or self._windowed:
            columns["level"] = np.int32
        for name, dtype in (
            ("set_pulses", np.int64), ("reset_pulses", np.int64), ("success", np.bool_),
            ("initial", np.float64), ("final", np.float64), ("conductance", np.float64),
            ("polarity", np.int8), ("voltage", np.float64), ("width", np.float64),
        ):  # fmt: skip
            if getattr(part, name) is not None:
                columns[name] = dtype
        self._columns = tuple(columns)
        self._spool = Spool(**columns)

    def use(self, rows: LogRows, chosen: Bools) -> Bools:
        """Store the chosen rows."""
        chosen, values = self._values(rows, chosen)
        n = int(np.count_nonzero(chosen))
        if self._part.attempt is None:
            attempt = self._spool.rows + np.arange(n)
            step = np.zeros(n, np.int64)
        else:
            chosen, key = self._keys.number(rows, chosen)
            attempt = self._attempts.numbers(rows.cell[chosen], key[chosen])
            if len(self._attempts) > len(self._steps):
                more = np.zeros(len(self._attempts) - len(self._steps), np.int64)
                self._steps = np.concatenate([self._steps, more])
            step = self._steps[attempt] + occurrence(attempt)
            np.maximum.at(self._steps, attempt, step + 1)
        out = {name: values[name][chosen] for name in self._columns if name in values}
        self._spool.add(attempt=attempt, step=step, cell=rows.cell[chosen], **out)
        return chosen

    def _values(self, rows: LogRows, chosen: Bools) -> tuple[Bools, dict[str, NDArray[Any]]]:
        part = self._part
        values: dict[str, NDArray[Any]] = {}
        windows = self.start.windows
        if windows is not None:
            chosen, values["level"], lower, upper = windows.number(rows, chosen)
        if windows is None or part.lower is not None or part.upper is not None:
            chosen, lower, upper = conductance_limits(
                rows, "attempts", chosen, part.lower, part.upper
            )
            both = ~np.isnan(lower) & ~np.isnan(upper)
            reason = "the lower limit of the window is not below the upper one"
            with np.errstate(invalid="ignore"):
                chosen = rows.drop(chosen, both & (lower >= upper), reason)
        values |= {"lower": lower, "upper": upper}
        if part.level is not None:
            chosen, values["level"] = level_column(
                rows, "attempts.level", chosen, part.level, self.start.levels
            )
        for name in ("set_pulses", "reset_pulses"):
            if (column := getattr(part, name)) is not None:
                chosen, values[name] = rows.count(f"attempts.{name}", chosen, column)
        if part.success is not None:
            chosen, values["success"] = rows.flag("attempts.success", chosen, part.success)
        for name in ("initial", "final", "conductance"):
            if (conductance := getattr(part, name)) is not None:
                chosen, values[name] = rows.conductance(f"attempts.{name}", chosen, conductance)
        if part.polarity is not None:
            chosen, values["polarity"] = rows.code(
                "attempts.polarity", chosen, part.polarity, range(-1, 2), "1 (SET), -1 (RESET) or 0"
            )
        for name, kind in (("voltage", "voltage"), ("width", "time")):
            if (quantity := getattr(part, name)) is not None:
                chosen, values[name] = rows.quantity(f"attempts.{name}", chosen, quantity, kind)
        return chosen, values

    def finish(self, end: Finish) -> Attempts:
        """Return the attempts in the order of the log."""
        spool, part = self._spool, self._part
        attempt, step = spool["attempt"], spool["step"]
        n = int(attempt.max()) + 1
        steps = int(step.max()) + 1
        if n * steps > LARGEST:
            raise MeasurementError(
                self.start.paths[0],
                "attempts.attempt",
                found=f"{n} attempts of up to {steps} steps",
                expected=f"at most {LARGEST} steps",
                remedy="number the attempts of a cell by `attempt`",
            )
        first, last = np.zeros(n, np.int64), np.zeros(n, np.int64)
        first[attempt[::-1]] = np.arange(len(attempt))[::-1]
        last[attempt] = np.arange(len(attempt))
        place = end.place[spool["cell"][first]]
        grids = {name: self._grid(name, n, steps) for name in _STEPPED if name in self._columns}
        level = None
        if "level" in self._columns:
            level = spool["level"][first].astype(np.int64)
            if end.window_rank is not None and part.level is None:
                level = end.window_rank[level]
        return Attempts(
            row=place // end.shape[1],
            col=place % end.shape[1],
            lower=spool["lower"][first],
            upper=spool["upper"][first],
            set_pulses=self._pulses("set_pulses", 1, n, last),
            reset_pulses=self._pulses("reset_pulses", -1, n, last),
            level=level,
            success=spool["success"][last] if part.success is not None else None,
            initial=spool["initial"][first] if part.initial is not None else None,
            final=self._final(last),
            conductance=grids.get("conductance"),
            polarity=grids.get("polarity"),
            voltage=grids.get("voltage"),
            width=grids.get("width"),
            max_pulses=part.max_pulses,
            read_voltage=part.read_voltage,
        )

    def _grid(self, name: str, attempts: int, steps: int) -> NDArray[Any]:
        """Return a column by attempt and step, filled up at the end."""
        values = self._spool[name]
        empty: NDArray[Any] = (
            np.zeros((attempts, steps), np.int64)
            if name == "polarity"
            else np.full((attempts, steps), np.nan)
        )
        empty[self._spool["attempt"], self._spool["step"]] = values
        return empty

    def _pulses(self, name: str, sign: int, attempts: int, last: NDArray[np.int64]) -> NDArray[Any]:
        """Return the pulses of one kind: as listed in the last row, or counted by polarity."""
        if name in self._columns:
            out: NDArray[Any] = self._spool[name][last]
            return out
        hit = self._spool["polarity"] == sign
        return np.bincount(self._spool["attempt"][hit], minlength=attempts)

    def _final(self, last: NDArray[np.int64]) -> Floats | None:
        name = "final" if self._part.final is not None else "conductance"
        if name not in self._columns:
            return None
        values: Floats = self._spool[name][last]
        return values


_STEPPED = ("conductance", "polarity", "voltage", "width")
