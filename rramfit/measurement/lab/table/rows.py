"""A block of rows of a log: its columns as numbers, codes and flags, and what is wrong with them.

Every function takes a mask `chosen` of the rows that a group uses. A function that skips rows
records them with their line and the reason, and returns the smaller mask.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rramfit.errors import MeasurementError
from rramfit.measurement.file.origin import BadRows
from rramfit.measurement.file.record import Bools, Floats, Integers
from rramfit.measurement.lab.expressions import column_names, evaluate
from rramfit.measurement.lab.layout_parts import LayoutError
from rramfit.measurement.lab.layout_table import TableLayout
from rramfit.measurement.lab.table.quantity_parts import (
    TableCode,
    TableConductance,
    TableFlag,
    TableQuantity,
    Where,
)
from rramfit.units import ACCEPTED_UNITS, to_si

__all__ = ["Ledger", "LogRows", "NoColumnError", "as_numbers", "pattern_columns"]

_MOST_LINES = 100_000  # line numbers kept for each file and reason
_OVERFLOW = 1e30  # no measured value in any unit; SCPI overflow is 9.9e37


class NoColumnError(MeasurementError):
    """A log without a column that the layout names."""


class Ledger:
    """Skipped rows, by file and reason."""

    def __init__(self) -> None:
        self._found: dict[tuple[Path, str], tuple[list[int], list[int], str]] = {}
        self.unread = 0  # lines that are no rows at all

    def add_unread(self, bad: BadRows) -> None:
        """Record lines that could not be split into the columns of the log."""
        self.add(bad.path, bad.reason, bad.lines, bad.first)
        self.unread += len(bad.lines)

    def add(self, path: Path, reason: str, lines: Sequence[int], first: str = "") -> None:
        """Record the lines of skipped rows; a line is counted once for each reason."""
        kept, more, _ = self._found.setdefault((path, reason), ([], [0], first[:60]))
        for line in lines:
            if kept and line == kept[-1]:
                continue
            if len(kept) < _MOST_LINES:
                kept.append(line)
            else:
                more[0] += 1

    def bad(self) -> tuple[BadRows, ...]:
        """Return all skipped rows."""
        return tuple(
            BadRows(path=path, reason=reason, lines=tuple(sorted(lines)), first=first, more=more[0])
            for (path, reason), (lines, more, first) in self._found.items()
        )


@dataclass(slots=True, kw_only=True)
class LogRows:
    """Consecutive rows of one log, with their cells."""

    path: Path
    file: int
    columns: dict[str, NDArray[Any]]
    line: Integers
    fields: Integers | None  # of each line, if some have fewer than there are columns
    width: int  # number of columns of the log
    layout: TableLayout
    ledger: Ledger
    cell: Integers = field(default_factory=lambda: np.zeros(0, np.int64))  # provisional number
    good: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))  # with a valid cell
    used: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))  # by any group

    def __len__(self) -> int:
        return len(self.line)

    def drop(self, chosen: Bools, mask: Bools, reason: str, *, show: str = "") -> Bools:
        """Remove the rows of `mask` from `chosen` and record them; quote the first of `show`."""
        hit = np.flatnonzero(chosen & mask)
        if len(hit):
            sample = str(self.columns[show][hit[0]]) if show in self.columns else ""
            self.ledger.add(self.path, reason, self.line[hit].tolist(), sample)
        return chosen & ~mask

    def require_columns(self, place: str, *names: str) -> None:
        """Raise a `NoColumnError` if the log does not have all these columns."""
        for name in names:
            if name not in self.columns:
                own = list(self.columns)
                more = f", … ({len(own)} columns)" if len(own) > 12 else ""
                raise NoColumnError(
                    self.path,
                    place,
                    found=f"no column {name!r}",
                    expected=f"one of {', '.join(own[:12])}{more}",
                    remedy="correct the column name in the layout file",
                )

    def names(self, place: str, column: str) -> frozenset[str]:
        """Return the columns that a column or arithmetic refers to, which all exist."""
        if column in self.columns:
            return frozenset((column,))
        try:
            names = column_names(column, integer=False)
        except LayoutError as e:
            if not re.search(r"[-+*/%<>&|^]", column):
                self.require_columns(place, column)
            own = ", ".join(list(self.columns)[:12])
            raise NoColumnError(
                self.path,
                place,
                found=f"{column!r}, which is neither a column nor arithmetic",
                expected=f"one of {own}, or {e.expected}",
                remedy="correct the column in the layout file",
            ) from None
        self.require_columns(place, *sorted(names))
        return names

    def numbers(
        self, place: str, column: str, *, missing: bool = True
    ) -> tuple[NDArray[Any], Bools]:
        """Return a column, or arithmetic with columns, as numbers; and which are not numbers.

        Parameters
        ----------
        place : str
            Key of the layout file, for error messages.
        column : str
        missing : bool
            Whether the values of `source.missing` are NaN.

        Returns
        -------
        values : (n,) array of float64, or of integers
            NaN where nothing was measured.
        wrong : (n,) bool array
            Fields that are not numbers, or have no defined result.
        """
        source = self.layout.source
        marks = source.missing if missing else ()
        operands = {
            name: as_numbers(
                self.columns[name], marks, decimal=source.decimal, thousands=source.thousands
            )
            for name in self.names(place, column)
        }
        if column in operands:
            return operands[column]
        values = np.broadcast_to(
            evaluate(column, {n: v for n, (v, _) in operands.items()}), len(self)
        )
        wrong = np.zeros(len(self), np.bool_)
        absent = np.zeros(len(self), np.bool_)
        for operand, not_number in operands.values():
            wrong |= not_number
            absent |= np.isnan(operand)
        return values, wrong | (np.isnan(values) & ~absent)

    def finite(
        self, place: str, column: str, chosen: Bools, problem: str = "is not a number"
    ) -> tuple[Bools, Floats]:
        """Return a column that must have a number in every row."""
        values, wrong = self.numbers(place, column)
        wrong = wrong | ~np.isfinite(values)
        chosen = self.drop(chosen, wrong, f"{column} {problem}", show=column)
        return chosen, np.where(wrong, 0, values)

    def matches(self, place: str, where: Where) -> Bools:
        """Return which rows have the values that `where` requires."""
        chosen = np.ones(len(self), np.bool_)
        self.require_columns(place, *where)
        for name, wanted in where.items():
            options = wanted if isinstance(wanted, list) else [wanted]
            values = self.columns[name]
            if values.dtype.kind in "biuf":
                numbers = [n for o in options if (n := _number(o)) is not None]
                chosen &= np.isin(values.astype(np.float64), numbers)
            else:
                texts = {str(o).strip() for o in options}
                numbers = [float(o) for o in options if not isinstance(o, (str, bool))]
                found = [str(v).strip() for v in values.tolist()]
                hit = np.fromiter((v in texts for v in found), np.bool_, len(found))
                if numbers:
                    hit |= np.isin(as_numbers(values)[0], numbers)
                chosen &= hit
        return chosen

    def conductance(
        self, place: str, chosen: Bools, part: TableConductance
    ) -> tuple[Bools, Floats]:
        """Return the conductance of each row [S]; NaN = marked as not measured in the log."""
        column, units = part.column, part.units
        values, chosen = self._measured(place, chosen, column)
        if units in ACCEPTED_UNITS["current"]:
            current = to_si(values, units, "current")
            if not isinstance(part.voltage, str):
                return chosen, current / float(part.voltage or np.nan)
            voltage, no_voltage = self.numbers(place, part.voltage)
            no_voltage = no_voltage | ~np.isfinite(voltage) | (voltage == 0)
            reason = f"{part.voltage} is not a nonzero voltage"
            chosen = self.drop(chosen, no_voltage, reason, show=part.voltage)
            return chosen, current / np.where(no_voltage, 1.0, voltage)
        if units not in ("S", "mS", "uS", "nS"):
            chosen = self.drop(chosen, values == 0, f"{column} is 0 {units}")
            values = np.where(values == 0, np.nan, values)
        return chosen, to_si(values, units, "conductance")

    def quantity(
        self, place: str, chosen: Bools, part: TableQuantity, kind: str, *, gaps: bool = True
    ) -> tuple[Bools, Floats]:
        """Return a voltage, current, time or temperature in SI units; NaN only if `gaps`."""
        values, chosen = self._measured(place, chosen, part.column)
        if not gaps:
            reason = f"{part.column} has no {kind}"
            chosen = self.drop(chosen, np.isnan(values), reason, show=part.column)
        return chosen, to_si(values, part.units, kind)

    def _measured(self, place: str, chosen: Bools, column: str) -> tuple[Floats, Bools]:
        values, wrong = self.numbers(place, column)
        chosen = self.drop(chosen, wrong, f"{column} is not a number", show=column)
        chosen = self.drop(chosen, np.isinf(values), f"{column} is infinite", show=column)
        overflow = np.isfinite(values) & (np.abs(values) >= _OVERFLOW)
        chosen = self.drop(chosen, overflow, f"{column} is an overflow marker", show=column)
        return np.where(overflow | np.isinf(values), np.nan, values), chosen

    def count(self, place: str, chosen: Bools, column: str) -> tuple[Bools, Integers]:
        """Return a column of counts, 0 or more."""
        values, wrong = self.numbers(place, column)
        with np.errstate(invalid="ignore"):
            wrong = wrong | ~(values >= 0) | ~(values < 2**31) | (values != np.floor(values))
        chosen = self.drop(chosen, wrong, f"{column} is not a pulse count", show=column)
        return chosen, np.where(wrong, 0, values).astype(np.int64)

    def code(
        self, place: str, chosen: Bools, part: TableCode, valid: range, what: str
    ) -> tuple[Bools, Integers]:
        """Return a column of integers, or of texts that `part.values` translates.

        Parameters
        ----------
        valid : range
            Accepted integers.
        what : str
            Noun phrase for a row with another value: "one of the 4 levels".
        """
        if part.values is None:
            values, wrong = self.numbers(place, part.column)
        else:
            self.require_columns(place, part.column)
            known = {_plain(text): float(v) for text, v in part.values.items()}
            texts = self.columns[part.column].tolist()
            values = np.fromiter((known.get(_plain(t), np.nan) for t in texts), float, len(texts))
            wrong = np.isnan(values)
        with np.errstate(invalid="ignore"):
            wrong = wrong | ~((values >= valid.start) & (values < valid.stop))
            wrong |= ~wrong & (values != np.floor(values))
        chosen = self.drop(chosen, wrong, f"{part.column} is not {what}", show=part.column)
        return chosen, np.where(wrong, valid.start, values).astype(np.int64)

    def flag(self, place: str, chosen: Bools, part: TableFlag) -> tuple[Bools, Bools]:
        """Return a column of true and false values."""
        self.require_columns(place, part.column)
        if part.values is None:
            known = {**dict.fromkeys(part.false, False), **dict.fromkeys(part.true, True)}
        else:
            known = part.values
        code = {_plain(text): int(v) for text, v in known.items()}
        texts = self.columns[part.column].tolist()
        values = np.fromiter((code.get(_plain(t), -1) for t in texts), np.int64, len(texts))
        reason = f"{part.column} is neither true nor false"
        return self.drop(chosen, values < 0, reason, show=part.column), values == 1


def as_numbers(
    column: NDArray[Any],
    missing: Sequence[str] = (),
    *,
    decimal: str = ".",
    thousands: str | None = None,
) -> tuple[NDArray[Any], Bools]:
    """Return a column as numbers, and which of its fields are not numbers.

    Returns
    -------
    values : (n,) array of float64, or of integers
        NaN for "nan", for `missing` values, and for fields that are not numbers.
    wrong : (n,) bool array
        Fields that are not numbers; an empty field is none.
    """
    import pandas as pd

    if column.dtype.kind in "biuf":
        wrong = np.zeros(len(column), np.bool_)
        marks = [n for m in missing if (n := _number(m)) is not None]
        if column.dtype.kind in "iu" and not marks:
            return column, wrong
        values = column.astype(np.float64)
        values[np.isin(values, marks)] = np.nan
        return values, wrong
    text = pd.Series(column, dtype=object).astype(str).str.strip()
    unmeasured = text.isin([*missing, "nan", "NaN", "NAN"]).to_numpy()
    if thousands:
        text = text.str.replace(thousands, "", regex=False)
    if decimal != ".":
        text = text.str.replace(decimal, ".", regex=False)
    values = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64, copy=True)
    values[unmeasured] = np.nan
    marks = [n for m in missing if (n := _number(m)) is not None]
    if marks:
        marked = np.isin(values, marks)
        values[marked] = np.nan
        unmeasured = unmeasured | marked
    return values, np.isnan(values) & ~unmeasured


def _number(value: object) -> float | None:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def _plain(value: object) -> str:
    """Return a field as it is compared with the texts of a layout."""
    return str(value).strip().casefold().removesuffix(".0")


def pattern_columns(pattern: str, text: str) -> Mapping[str, str] | None:
    """Return what the names in braces of a pattern stand for; None if the text does not match.

    Examples
    --------
    >>> pattern_columns("bake_{celsius}C*", "bake_85C.tsv.gz")
    {'celsius': '85'}
    """
    parts = re.split(r"(\{\w+\}|\*)", pattern)
    expression = "".join(
        ".*" if p == "*" else f"(?P<{p[1:-1]}>.+?)" if p[:1] == "{" else re.escape(p) for p in parts
    )
    found = re.fullmatch(expression, text)
    return None if found is None else found.groupdict()
