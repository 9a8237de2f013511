"""The sweep, read or cycle of each row of a log, and the conductances of all cells at each.

A step is numbered by one or several keys: columns, counters, arithmetic, ``"file"`` (the index of
the log) or ``"occurrence"`` (the n-th such row of the cell with the same other keys). Steps are
numbered as they appear, and sorted at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rramfit.errors import MeasurementError
from rramfit.measurement.file.record import Bools, Floats, Integers
from rramfit.measurement.lab.table.rows import Ledger, LogRows
from rramfit.measurement.lab.table.store import GrowingArray, Registry, occurrence

__all__ = ["LARGEST", "StepNumbers", "StepStore"]

LARGEST = 2**28  # readings of one group
_FILE = 2**40  # more lines than a log has
REPEATED = "repeated cell in one sweep or read (the last row is kept)"

Indices = NDArray[np.int64]


class StepNumbers:
    """Numbers of the steps of a group."""

    def __init__(
        self, place: str, keys: Sequence[str] | None, *, cells: int, paths: Sequence[Path]
    ) -> None:
        self._place, self._keys = place, tuple(keys or ())
        self._steps, self._groups = Registry(), Registry()
        self._counts = GrowingArray(cells, np.int32)
        self._paths = tuple(paths)
        if self._keys == ("file",):
            self._steps.numbers(np.arange(len(self._paths)))

    def __len__(self) -> int:
        return len(self._steps)

    @property
    def by_file(self) -> bool:
        """True if each log is a step."""
        return self._keys == ("file",)

    @property
    def keys(self) -> list[tuple[Any, ...]]:
        """The keys of each step, by number; `occurrence` counts from 0."""
        return self._steps.keys

    def named(self, key: str | None, order: Indices) -> tuple[str, ...] | None:
        """Return the value of one key for some of the steps; the file's name for `file`."""
        if key is None:
            return None
        at, keys = self._keys.index(key), self.keys
        values = [keys[step][at] for step in order.tolist()]
        if key == "file":
            return tuple(self._paths[int(v)].name for v in values)
        return tuple(f"{v:g}" if isinstance(v, int | float) else str(v) for v in values)

    def order(self) -> Indices:
        """Return the numbers of the steps in rising order of their keys."""
        return self._steps.order()

    def number(
        self, rows: LogRows, chosen: Bools, within: Indices | None = None
    ) -> tuple[Bools, Indices]:
        """Return the step of each chosen row.

        Parameters
        ----------
        rows : LogRows
        chosen : (n,) bool array
        within : (n,) int array, optional
            Occurrences are counted apart for each of these values, such as the state.
        """
        chosen, columns = self._columns(rows, chosen)
        step = np.zeros(len(rows), np.int64)
        if not self._keys:
            step[chosen] = self._steps.numbers(np.zeros(np.count_nonzero(chosen)))
            return chosen, step
        if "occurrence" in self._keys:
            others = [c[chosen] for key, c in columns.items() if key != "occurrence"]
            if within is not None:
                others.append(within[chosen])
            columns["occurrence"][chosen] = self.occurrences(rows.cell[chosen], others)
        step[chosen] = self._steps.numbers(*(columns[key][chosen] for key in self._keys))
        return chosen, step

    def occurrences(self, cell: Indices, others: Sequence[NDArray[Any]] = ()) -> Indices:
        """Return how often each cell appeared before, with the same other keys."""
        group = self._groups.numbers(*others) if others else np.zeros(len(cell), np.int64)
        self._counts.grow(max(len(self._groups), 1))
        counts = self._counts.values
        index = group * counts.shape[1] + cell
        count = counts[group, cell] + occurrence(index)
        np.maximum.at(counts, (group, cell), count + 1)
        self._counts.release()
        return count

    def restart(self, cells: Indices) -> None:
        """Count the occurrences of these cells from 0 again."""
        self._counts.values[:, cells] = 0

    def _columns(self, rows: LogRows, chosen: Bools) -> tuple[Bools, dict[str, NDArray[Any]]]:
        columns: dict[str, NDArray[Any]] = {}
        for key in self._keys:
            if key == "occurrence":
                columns[key] = np.zeros(len(rows), np.int64)
            elif key == "file":
                columns[key] = np.full(len(rows), rows.file)
            elif key in rows.layout.source.counters:
                columns[key] = rows.columns[key]
                reason = f"before the first row counted by {key}"
                chosen = rows.drop(chosen, columns[key] < 0, reason)
            else:
                values, wrong = rows.numbers(self._place, key)
                wrong = wrong | ~np.isfinite(values)
                chosen = rows.drop(chosen, wrong, f"{key} is not a number", show=key)
                columns[key] = values
        return chosen, columns


class StepStore:
    """Readings by step and cell; of two rows of a cell in one step, the later one is kept."""

    def __init__(
        self, place: str, *, cells: int, shape: str, paths: Sequence[Path], **fields: DTypeLike
    ) -> None:
        self._place, self._shape, self._paths = place, shape, tuple(paths)
        self._line = GrowingArray(cells, np.int64)
        self._fields = {name: GrowingArray(cells, dtype) for name, dtype in fields.items()}
        self._cells = cells

    def __len__(self) -> int:
        return len(self._line.values)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return a field, (step, cell); 0 where there is no reading."""
        return self._fields[name].values

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields."""
        return tuple(self._fields)

    @property
    def known(self) -> NDArray[np.int64]:
        """Nonzero where there is a reading, (step, cell)."""
        return self._line.values

    def put(
        self, rows: LogRows, chosen: Bools, step: Integers, *, steps: int, **values: NDArray[Any]
    ) -> Bools:
        """Store the chosen rows, and record the rows that later ones replace."""
        if steps * self._cells > LARGEST:
            raise MeasurementError(
                rows.path,
                self._place,
                found=f"{steps} × {self._shape} readings",
                expected=f"at most {LARGEST} readings in a group",
                remedy="use a smaller array, with cells numbered by `cells.packed`",
            )
        self._line.grow(steps)
        at = np.flatnonzero(chosen)
        key = step[at] * self._cells + rows.cell[at]
        _, last = np.unique(key[::-1], return_index=True)
        again = np.zeros(len(rows), np.bool_)
        again[at] = True
        again[at[::-1][last]] = False
        chosen = rows.drop(chosen, again, REPEATED)
        where = (step[chosen], rows.cell[chosen])
        before = self._line.values[where]
        if (before > 0).any():
            self._record(rows.ledger, before[before > 0], REPEATED)
        self._line.values[where] = rows.file * _FILE + rows.line[chosen]
        self._line.release()
        for name, array in self._fields.items():
            array.grow(steps)
            array.values[where] = values[name][chosen]
            array.release()
        return chosen

    def release(self) -> None:
        """Hand the memory of what was read from a file back to the operating system."""
        for array in (self._line, *self._fields.values()):
            array.release()

    def clear(self, cells: Integers) -> None:
        """Remove all readings of these cells."""
        self._line.values[:, cells] = 0

    def remove(self, ledger: Ledger, mask: Bools, reason: str) -> None:
        """Remove the readings of a (step, cell) mask and record their rows as bad."""
        hit = mask & (self.known > 0)
        if hit.any():
            self._record(ledger, self.known[hit], reason)
            self._line.values[hit] = 0

    def filled(self) -> Bools:
        """Return which steps have a reading."""
        filled = np.zeros(len(self), np.bool_)
        several = max(2**20 // self._cells, 1)
        for first in range(0, len(self), several):
            filled[first : first + several] = (self.known[first : first + several] > 0).any(axis=1)
        return filled

    def measured(self, name: str, step: int) -> Floats:
        """Return a field of one step, (cell,); NaN where there is no reading."""
        return np.where(self.known[step] > 0, self._fields[name].values[step], np.nan)

    def _record(self, ledger: Ledger, places: Integers, reason: str) -> None:
        file, line = places // _FILE, places % _FILE
        for f in np.unique(file).tolist():
            ledger.add(self._paths[f], reason, np.sort(line[file == f]).tolist())
