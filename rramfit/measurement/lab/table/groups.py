"""What the groups of a log have in common: they select rows, use them, and become a group.

A group without any usable row ends the conversion with an error that names the most frequent
reason, its file, line and column.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from rramfit.errors import MeasurementError
from rramfit.measurement.file.record import Bools, Integers, Levels, Program
from rramfit.measurement.lab.layout_parts import counted
from rramfit.measurement.lab.table.levels import Windows
from rramfit.measurement.lab.table.quantity_parts import Where
from rramfit.measurement.lab.table.rows import Ledger, LogRows, NoColumnError

__all__ = ["Finish", "Group", "Start", "select"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a group knows before the log is read."""

    paths: tuple[Path, ...]
    cells: int
    shape: str  # of the array, as text
    levels: Levels | None  # as listed in the layout
    windows: Windows | None
    differing: bool  # whether the logs may have different columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """What a group knows when the log has been read."""

    place: Integers  # (cell number,) place in the array
    shape: tuple[int, int]
    levels: Levels | None
    window_rank: Integers | None  # (window number,) level
    ledger: Ledger
    program: Program | None = None
    known: Mapping[str, Any] = field(default_factory=dict)


class Group(ABC):
    """Collects the rows of one group."""

    name: str

    def __init__(self, part: BaseModel, start: Start) -> None:
        self.start = start
        self._where: Where = getattr(part, "where", {})
        self._words = _words(part.model_dump())
        self._selected = self._kept = 0
        self._no_column: NoColumnError | None = None

    @abstractmethod
    def use(self, rows: LogRows, chosen: Bools) -> Bools:
        """Use the chosen rows; return which of them were used."""

    @abstractmethod
    def finish(self, end: Finish) -> Any:
        """Return the group."""

    def add(self, rows: LogRows) -> None:
        """Use the rows of a block that belong to this group."""
        try:
            chosen = select(rows, f"{self.name}.where", self._where, self._words)
            self._selected += int(np.count_nonzero(chosen))
            if chosen.any():
                self._kept += int(np.count_nonzero(self.use(rows, chosen)))
        except NoColumnError as e:
            self.lacks(e)

    def lacks(self, error: NoColumnError) -> None:
        """Pass over a log without the group's columns, if the logs may differ; else raise."""
        if not self.start.differing:
            raise error from None
        self._no_column = error

    def check(self, ledger: Ledger) -> None:
        """Raise a `MeasurementError` if no row could be used."""
        if self._kept:
            return
        path = self.start.paths[0]
        if self._no_column is not None and not self._selected:
            raise self._no_column
        if self._where and not self._selected:
            wanted = ", ".join(f"{column} = {value!r}" for column, value in self._where.items())
            raise MeasurementError(
                path,
                f"{self.name}.where",
                found="no matching row in the log",
                expected=f"rows with {wanted}",
                remedy=f"correct {self.name}.where in the layout file",
            )
        bad = max(ledger.bad(), key=lambda b: b.rows, default=None)
        if bad is None:
            raise MeasurementError(
                path, self.name, found="no row in the log", expected="at least one reading"
            )
        sample = f", as in {bad.first!r}" if bad.first else ""
        raise MeasurementError(
            bad.path,
            f"line {bad.lines[0]}",
            found=f"no row that [{self.name}] can use: in {counted(bad.rows, 'row')}, "
            f"{bad.reason}{sample}",
            expected="at least one usable reading",
            remedy="check columns, separator and units in the layout file",
        )


def select(rows: LogRows, place: str, where: Where, words: frozenset[str]) -> Bools:
    """Return the rows with a valid cell that `where` selects.

    A line with fewer fields than the log has columns is used only if `where` selects it and it has
    the columns in `words`; otherwise it is bad.
    """
    chosen = rows.good & rows.matches(place, where)
    rows.used |= chosen
    if rows.fields is not None:
        needed = max((i for i, c in enumerate(rows.columns) if c in words), default=-1) + 1
        least = min(needed, rows.width) if where else rows.width
        short = chosen & (rows.fields < least)
        for n in np.unique(rows.fields[short]).tolist():
            reason = f"{counted(n, 'field')} instead of {rows.width}"
            chosen = rows.drop(chosen, short & (rows.fields == n), reason)
    return chosen


def _words(value: object) -> frozenset[str]:
    """Return all words and texts of a part, which may be names of columns."""
    if isinstance(value, str):
        return frozenset((value, *re.findall(r"\w+", value)))
    if isinstance(value, dict):
        return frozenset(map(str, value)).union(*map(_words, value.values()))
    if isinstance(value, (list, tuple)):
        return frozenset[str]().union(*map(_words, value))
    return frozenset()
