"""Groups of a log without a cell in each row: `/mvm` (the driven array) and `/readout` (the ADC).

A row that no voltage is listed for was driven with 0 V. A code must be there for each input current
and channel; repeats are counted as they appear.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rramfit.errors import MeasurementError
from rramfit.measurement.file.record import MVM, Bools, Floats, Integers, Readout
from rramfit.measurement.lab.layout_parts import counted
from rramfit.measurement.lab.table.group_parts import TableDrive, TableMVM, TableReadout
from rramfit.measurement.lab.table.groups import Finish, Group, Start
from rramfit.measurement.lab.table.quantity_parts import TableConductance, TableQuantity
from rramfit.measurement.lab.table.rows import LogRows
from rramfit.measurement.lab.table.steps import LARGEST
from rramfit.measurement.lab.table.store import Registry, Spool, occurrence

__all__ = ["MVMRows", "ReadoutRows"]


class _DriveRows(Group):
    """Collects one quantity of the driven array by pattern and line, or by cell."""

    def __init__(self, name: str, part: TableDrive, start: Start, patterns: Registry) -> None:
        super().__init__(part, start)
        self.name, self._part, self._patterns = f"mvm.{name}", part, patterns
        self._kind = name
        self._spool = Spool(first=np.int64, second=np.int64, value=np.float64)

    def use(self, rows: LogRows, chosen: Bools) -> Bools:
        """Store the chosen rows."""
        part, array = self._part, rows.layout.array
        if self._kind == "conductance":
            column = TableConductance(column=part.column, units=part.units)
            chosen, value = rows.conductance(self.name, chosen, column)
            if part.row is None or part.col is None:
                first, second = np.divmod(rows.cell, array.cols)
            else:
                chosen, first = self._line(rows, chosen, part.row, array.rows)
                chosen, second = self._line(rows, chosen, part.col, array.cols)
        else:
            quantity = TableQuantity(column=part.column, units=part.units)
            chosen, value = rows.quantity(self.name, chosen, quantity, self._kind)
            chosen, pattern = rows.finite(f"{self.name}.pattern", part.pattern, chosen)
            size = array.rows if self._kind == "voltage" else array.cols
            line = str(part.row if self._kind == "voltage" else part.col)
            chosen, second = self._line(rows, chosen, line, size)
            first = np.zeros(len(rows), np.int64)
            first[chosen] = self._patterns.numbers(pattern[chosen])
        self._spool.add(first=first[chosen], second=second[chosen], value=value[chosen])
        return chosen

    def finish(self, end: Finish) -> NDArray[Any]:
        """Return the values by pattern and line, or by row and column."""
        spool = self._spool
        if self._kind == "conductance":
            g = np.full(end.shape, np.nan)
            g[spool["first"], spool["second"]] = spool["value"]
            return g
        order = self._patterns.order()
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        lines = end.shape[0] if self._kind == "voltage" else end.shape[1]
        if len(order) * lines > LARGEST:
            raise MeasurementError(
                self.start.paths[0],
                f"{self.name}.pattern",
                found=f"{len(order)} patterns",
                expected=f"at most {LARGEST // lines} patterns",
            )
        out = np.full((len(order), lines), 0.0 if self._kind == "voltage" else np.nan)
        out[rank[spool["first"]], spool["second"]] = spool["value"]
        return out

    def _line(
        self, rows: LogRows, chosen: Bools, expression: str, size: int
    ) -> tuple[Bools, Integers]:
        """Return a row or column of the array."""
        values, wrong = rows.numbers(self.name, expression, missing=False)
        with np.errstate(invalid="ignore"):
            wrong = wrong | ~((values >= 0) & (values < size)) | (values != np.floor(values))
        reason = f"{expression} is not a line of the array, 0 to {size - 1}"
        chosen = rows.drop(chosen, wrong, reason, show=expression)
        return chosen, np.where(wrong, 0, values).astype(np.int64)


class MVMRows:
    """Collects the rows of column currents with many rows driven at once."""

    name = "mvm"

    def __init__(self, part: TableMVM, start: Start) -> None:
        self._part = part
        patterns = Registry()
        self._rows = {
            name: _DriveRows(name, drive, start, patterns)
            for name in ("voltage", "current", "conductance")
            if (drive := getattr(part, name)) is not None
        }

    def add(self, rows: LogRows) -> None:
        """Use the rows of a block that belong to this group."""
        for drive in self._rows.values():
            drive.add(rows)

    def check(self, ledger: Any) -> None:
        """Raise a `MeasurementError` if a quantity has no usable row."""
        for drive in self._rows.values():
            drive.check(ledger)

    def finish(self, end: Finish) -> MVM:
        """Return voltages, currents and conductances."""
        voltage, current = self._rows["voltage"].finish(end), self._rows["current"].finish(end)
        if "conductance" in self._rows:
            g: Floats = self._rows["conductance"].finish(end)
        else:
            if end.program is None or self._part.program is None:
                raise ValueError
            at = self._part.program % end.program.shape[0]
            g = np.concatenate([b.conductance for b in end.program.blocks(1) if b.first == at])[0]
        return MVM(
            voltage=voltage,
            current=current,
            conductance=g,
            inactive_rows=self._part.inactive_rows,
            cell_reads=self._part.cell_reads,
        )


class ReadoutRows(Group):
    """Collects the rows of ADC codes."""

    name = "readout"

    def __init__(self, part: TableReadout, start: Start) -> None:
        super().__init__(part, start)
        self._part = part
        self._spool = Spool(
            input=np.float64, code=np.int64, channel=np.int64, column=np.int64, line=np.int64
        )

    def use(self, rows: LogRows, chosen: Bools) -> Bools:
        """Store the chosen rows."""
        part = self._part
        chosen, current = rows.quantity("readout.input", chosen, part.input, "current", gaps=False)
        integers: dict[str, Integers] = {}
        for name in ("code", "channel", "channel_col"):
            column = getattr(part, name)
            if column is None:
                integers[name] = np.zeros(len(rows), np.int64)
                continue
            values, wrong = rows.numbers(f"readout.{name}", column)
            with np.errstate(invalid="ignore"):
                wrong = wrong | ~(np.abs(values) < 2**40) | (values != np.floor(values))
            chosen = rows.drop(chosen, wrong, f"{column} is not an integer", show=column)
            integers[name] = np.where(wrong, 0, values).astype(np.int64)
        self._spool.add(
            input=current[chosen],
            code=integers["code"][chosen],
            channel=integers["channel"][chosen],
            column=integers["channel_col"][chosen],
            line=rows.line[chosen],
        )
        return chosen

    def finish(self, end: Finish) -> Readout:
        """Return the codes by repeat, input current and channel."""
        spool, part = self._spool, self._part
        points, point = np.unique(spool["input"], return_inverse=True)
        channels, channel = np.unique(spool["channel"], return_inverse=True)
        group = point * len(channels) + channel
        counts = np.bincount(group, minlength=len(points) * len(channels))
        repeats = int(counts.min())
        if repeats == 0:
            p, c = divmod(int(np.argmin(counts)), len(channels))
            raise MeasurementError(
                self.start.paths[0],
                f"readout.{part.code}",
                found=f"no code of channel {channels[c]} at {points[p]:g} A",
                expected=f"a code for each of {counted(len(points), 'input current')} and "
                f"{counted(len(channels), 'channel')}",
                remedy="leave out the incomplete rows by `where`",
            )
        repeat = occurrence(group)
        extra = repeat >= repeats
        if extra.any():
            reason = "more repeats of this input and channel than of others"
            end.ledger.add(self.start.paths[0], reason, spool["line"][extra].tolist())
        code = np.zeros((repeats, len(points), len(channels)))
        at = (repeat[~extra], point[~extra], channel[~extra])
        code[at] = spool["code"][~extra]
        column = None
        if part.channel_col is not None:
            column = np.zeros(len(channels), np.int64)
            column[channel] = spool["column"]
        return Readout(
            input=points,
            code=code,
            channel_col=column,
            bits=part.bits,
            full_scale=part.full_scale,
            zero_code=part.zero_code,
        )
