"""Target levels of a log: listed in the layout, or the distinct verify windows of its rows.

A window may be open on one side: 0 to 5 kohm, or 80 kohm and more. Its missing limit is NaN and its
target is the other limit; otherwise the target is in the middle, in the units of the log.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rramfit.errors import MeasurementError
from rramfit.measurement.file.record import Bools, Floats, Integers, Levels
from rramfit.measurement.lab.layout_parts import LevelsPart, TableWindows
from rramfit.measurement.lab.table.quantity_parts import TableConductance, TableLevel
from rramfit.measurement.lab.table.rows import LogRows
from rramfit.measurement.lab.table.store import Registry
from rramfit.units import to_si

__all__ = ["Windows", "conductance_limits", "level_column", "listed_levels"]

_MOST_LEVELS = 4096
_OPEN_BELOW, _OPEN_ABOVE = 1e-9, 1.0  # [S]; a limit beyond these is no limit


def listed_levels(part: LevelsPart | None) -> Levels | None:
    """Return the levels that the layout file lists; None if it lists none."""
    if part is None or part.windows is not None:
        return None
    if part.evenly is not None:
        even = part.evenly
        edges = to_si(np.linspace(even.start, even.stop, even.count + 1), even.units, "conductance")
        target = (edges[1:] + edges[:-1]) / 2
        return Levels(target=target, lower=edges[:-1], upper=edges[1:], names=part.name)
    units = str(part.units)
    target = to_si(part.target or (), units, "conductance")
    edge = [
        None if limit is None else _closed(to_si(limit, units, "conductance"))
        for limit in (part.lower, part.upper)
    ]
    if units.endswith("ohm"):
        edge.reverse()  # the lower resistance is the upper conductance
    return Levels(target=target, lower=edge[0], upper=edge[1], names=part.name)


def _closed(limit: Floats) -> Floats:
    """Return limits in siemens, with NaN for those that are none."""
    with np.errstate(invalid="ignore"):
        return np.where((limit > _OPEN_BELOW) & (limit < _OPEN_ABOVE), limit, np.nan)


def limits(
    rows: LogRows, place: str, chosen: Bools, columns: tuple[str | None, str | None], units: str,
    unlimited: tuple[float, ...] = (),
) -> tuple[Bools, Floats, Floats]:  # fmt: skip
    """Return the limits of each row's window [S], the lower conductance first; NaN = open.

    Parameters
    ----------
    columns : (lower, upper)
        Columns in `units`; None = open.
    units : str
    unlimited : tuple of float
        Values of a limit that mean "open".
    """
    edge: list[Floats] = []
    for column in columns:
        if column is None:
            edge.append(np.full(len(rows), np.nan))
            continue
        values, wrong = rows.numbers(place, column)
        if column in rows.columns and rows.columns[column].dtype.kind not in "biuf":
            empty = [str(v).strip() == "" for v in rows.columns[column].tolist()]
            wrong = wrong & ~np.array(empty, dtype=np.bool_)
        chosen = rows.drop(chosen, wrong, f"{column} is not a number", show=column)
        values = np.where(np.isin(values, unlimited), np.nan, values)
        with np.errstate(divide="ignore"):
            edge.append(_closed(to_si(values, units, "conductance")))
    if units.endswith("ohm"):
        edge.reverse()
    lower, upper = edge
    return chosen, lower, upper


class Windows:
    """The distinct windows of the rows of a log, each of which is a level."""

    def __init__(self, part: TableWindows, names: tuple[str, ...]) -> None:
        self._part, self._names = part, names
        self._known = Registry()

    def number(self, rows: LogRows, chosen: Bools) -> tuple[Bools, Integers, Floats, Floats]:
        """Return the provisional number of each row's window, and its limits [S]."""
        part = self._part
        chosen, lower, upper = limits(
            rows, "levels.windows", chosen, (part.lower, part.upper), part.units, part.open
        )
        open_both = np.isnan(lower) & np.isnan(upper)
        reason = f"{part.lower} and {part.upper} are both open"
        chosen = rows.drop(chosen, open_both, reason, show=part.lower)
        swapped = lower > upper
        lower, upper = np.where(swapped, upper, lower), np.where(swapped, lower, upper)
        equal = lower == upper
        chosen = rows.drop(chosen, equal, f"{part.lower} equals {part.upper}", show=part.lower)
        number = np.full(len(rows), -1, np.int64)
        open_as = [np.where(np.isnan(x), -1.0, x)[chosen] for x in (lower, upper)]
        number[chosen] = self._known.numbers(*open_as)
        if len(self._known) > _MOST_LEVELS:
            raise MeasurementError(
                rows.path,
                "levels.windows",
                found=f"{len(self._known)} different windows",
                expected=f"at most {_MOST_LEVELS} levels",
                remedy=f"check that {part.lower} and {part.upper} are the limits of a window",
            )
        return chosen, number, lower, upper

    def levels(self, path: Path) -> tuple[Levels, Integers]:
        """Return the levels in rising order, and the level of each provisional number."""
        if self._names and len(self._names) != len(self._known):
            raise MeasurementError(
                path,
                "levels.name",
                found=f"{len(self._names)} names",
                expected=f"{len(self._known)}, one for each window in the log",
                remedy="correct `name` in [levels] of the layout file",
            )
        edge = np.array(self._known.keys, dtype=np.float64).reshape(-1, 2)
        lower, upper = np.where(edge < 0, np.nan, edge).T
        middle = 0.5 * (lower + upper)
        if self._part.units.endswith("ohm"):
            middle = 1 / (0.5 * (1 / lower + 1 / upper))
        target = np.where(np.isnan(lower), upper, np.where(np.isnan(upper), lower, middle))
        order = np.lexsort((np.nan_to_num(upper, nan=np.inf), np.nan_to_num(lower), target))
        rising = target[order]
        for i in range(1, len(rising)):  # windows that meet, each open on the other side
            rising[i] = max(rising[i], rising[i - 1] * (1 + 1e-6))
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        levels = Levels(target=rising, lower=lower[order], upper=upper[order], names=self._names)
        return levels, rank


def level_column(
    rows: LogRows, place: str, chosen: Bools, part: TableLevel, levels: Levels | None
) -> tuple[Bools, Integers]:
    """Return the level of each row from a column; -1 = not programmed."""
    count = 0 if levels is None else len(levels)
    if not count:
        raise MeasurementError(
            rows.path,
            place,
            found=f"the level of each row, in {part.column}, but no levels",
            expected="[levels] with the target of each level",
            remedy="list `target` and `units` of the levels in [levels] of the layout file",
        )
    what = "the 1 level" if count == 1 else f"one of the {count} levels"
    chosen, code = rows.code(
        place, chosen, part, range(min(part.first, 0) - 1, part.first + count), what
    )
    index = code - part.first
    unknown = (index < -1) & (code != -1)
    chosen = rows.drop(chosen, unknown, f"{part.column} is not {what}", show=part.column)
    return chosen, np.maximum(index, -1)


def conductance_limits(
    rows: LogRows,
    place: str,
    chosen: Bools,
    lower: TableConductance | None,
    upper: TableConductance | None,
) -> tuple[Bools, Floats, Floats]:
    """Return the window of each row [S] from two columns, which may differ in their units."""
    edge: list[NDArray[Any]] = []
    for part in (lower, upper):
        if part is None:
            edge.append(np.full(len(rows), np.nan))
            continue
        chosen, first, second = limits(rows, place, chosen, (part.column, None), part.units)
        edge.append(np.where(np.isnan(first), second, first))
    low = np.fmin(edge[0], edge[1])
    high = np.fmax(edge[0], edge[1])
    one = np.isnan(edge[0]) ^ np.isnan(edge[1])
    if one.any():  # an open side stays where it is, after conversion to conductance
        resistance = any(p is not None and p.units.endswith("ohm") for p in (lower, upper))
        first, second = (edge[1], edge[0]) if resistance else (edge[0], edge[1])
        low, high = np.where(one, first, low), np.where(one, second, high)
    return chosen, low, high
