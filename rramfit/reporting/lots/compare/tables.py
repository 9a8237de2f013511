"""Parameters over the arrays of a lot, by columns of numbers."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.comparison.level_matching import LevelPlaces, places_match
from rramfit.reporting.lots.compare.outliers import differ, outliers_of
from rramfit.reporting.lots.compare.yields import DEFAULT_YIELD, LotYield, YieldLimit, stuck_share
from rramfit.reporting.lots.row import Row, Site
from rramfit.reporting.lots.sources import LotSources

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LotTable", "ParameterColumn", "set_name"]


@dataclass(slots=True, kw_only=True)
class ParameterColumn:
    """One parameter over the arrays that have it."""

    unit: str
    which: array[int] = field(default_factory=lambda: array("l"))  # position of the array
    numbers: array[float] = field(default_factory=lambda: array("d"))  # four per array

    def __len__(self) -> int:
        return len(self.which)

    def _column(self, at: int) -> NDArray[np.float64]:
        return np.frombuffer(self.numbers, dtype=np.float64).reshape(-1, 4)[:, at]

    @property
    def value(self) -> NDArray[np.float64]:
        """The estimates, (array,)."""
        return self._column(0)

    @property
    def stderr(self) -> NDArray[np.float64]:
        """Their standard errors, (array,)."""
        return self._column(1)

    @property
    def low(self) -> NDArray[np.float64]:
        """Lower limits of their 95 % intervals, (array,)."""
        return self._column(2)

    @property
    def high(self) -> NDArray[np.float64]:
        """Upper limits of their 95 % intervals, (array,)."""
        return self._column(3)


@dataclass(slots=True)
class LotTable:
    """The arrays of a lot, and their parameters.

    The parameters of a distribution are compared within its family, which is given in parentheses:
    the shape of a gamma distribution is not that of a Weibull distribution. The parameters of a
    level are compared within arrays that have the same levels; if there are several sets of levels,
    they are named A, B, … in parentheses.

    Attributes
    ----------
    chips : list of (name, array id, verdict, text)
        Text is the summary of the card, or why there is none.
    parameters : dict of str to ParameterColumn
    reports, cards : list of str or None
        File of the report and of the card of each chip.
    stuck : list of float
        Share of the cells of each chip that are stuck low, high or in the middle; NaN if unknown.
    level_sets : list of (LevelPlaces, number of arrays)
        The different sets of levels, in the order of their first arrays.
    places : list of (lot, wafer, die)
        Of each chip; None where unknown.
    sites : list of Site
        Of each chip on its wafer; None where unknown.
    good : list of bool
        Whether each chip is within the limits of the yield; None where unknown.
    lot_yield : LotYield
    sources : LotSources
    """

    chips: list[tuple[str, str, str, str]] = field(default_factory=list)
    parameters: dict[str, ParameterColumn] = field(default_factory=dict)
    reports: list[str | None] = field(default_factory=list)
    cards: list[str | None] = field(default_factory=list)
    stuck: list[float] = field(default_factory=list)
    level_sets: list[tuple[LevelPlaces, int]] = field(default_factory=list)
    places: list[tuple[str | None, str | None, str | None]] = field(default_factory=list)
    sites: list[Site | None] = field(default_factory=list)
    good: list[bool | None] = field(default_factory=list)
    lot_yield: LotYield = field(default_factory=LotYield)
    sources: LotSources = field(default_factory=LotSources)

    @classmethod
    def of(cls, rows: Iterable[Row], limits: Sequence[YieldLimit] = DEFAULT_YIELD) -> LotTable:
        """Build the table, with the yield within the limits; the rows are read once."""
        table = cls(lot_yield=LotYield(tuple(limits)))
        columns: dict[tuple[str, str, int], ParameterColumn] = {}
        for row in rows:
            text = row.summary if row.has_card else row.problem
            identity = str(row.array.get("id", ""))
            levels = table._level_set(row.level_places) if row.levels else -1
            for path, (value, stderr, low, high, unit) in row.estimates.items():
                family = next(
                    (f for head, f in row.families.items() if path.startswith(f"{head}.")), ""
                )
                key = (path, family, levels if "[" in path else -1)
                column = columns.setdefault(key, ParameterColumn(unit=unit))
                column.which.append(len(table.chips))
                column.numbers.extend((value, stderr, low, high))
            table.chips.append((row.name, identity, row.verdict, text))
            table.reports.append(row.report)
            table.cards.append(row.card)
            table.places.append((row.lot, row.wafer, row.die))
            table.sites.append(row.site)
            table.stuck.append(stuck_share(row))
            table.good.append(table.lot_yield.add(row))
            table.sources.add(row)
        for (path, family, levels), column in columns.items():
            several = levels >= 0 and len(table.level_sets) > 1
            notes = [family] * bool(family) + [f"levels {set_name(levels)}"] * several
            table.parameters[path + (f" ({', '.join(notes)})" if notes else "")] = column
        return table

    def _level_set(self, places: LevelPlaces) -> int:
        """Return the position of the set with these levels; a new one is added."""
        for i, (known, count) in enumerate(self.level_sets):
            if places_match(known, places):
                self.level_sets[i] = (known, count + 1)
                return i
        self.level_sets.append((places, 1))
        return len(self.level_sets) - 1

    @property
    def without_card(self) -> list[tuple[str, str, str, str]]:
        """The entries of `chips` that have no card."""
        return [chip for chip in self.chips if chip[2] in ("refused", "failed")]

    def shared(self) -> dict[str, ParameterColumn]:
        """Return the parameters that at least two chips have."""
        return {path: column for path, column in self.parameters.items() if len(column) > 1}

    def names(self, column: ParameterColumn) -> list[str]:
        """Return the names of the chips of a column."""
        return [self.chips[i][0] for i in column.which]

    def spread_frame(self) -> pd.DataFrame:
        """Return one row per parameter that at least two chips have: its variation between chips.

        Columns: chips, median, mean, std (observed between chips), within (root mean square of the
        standard errors), between (√(std² − within²), not explained by the standard errors), unit,
        outliers: names of cards, by `outliers_of`; and differ: whether the values differ beyond
        their standard errors (χ², 1 % over all parameters).
        """
        import pandas as pd

        rows = {}
        shared = self.shared()
        for path, column in shared.items():
            value, error = column.value, column.stderr
            within = float(np.sqrt(np.mean(error**2)))
            std = float(value.std(ddof=1))
            far = outliers_of(value, error)
            rows[path] = {
                "chips": len(column),
                "median": float(np.median(value)),
                "mean": float(value.mean()),
                "std": std,
                "within": within,
                "between": float(np.sqrt(max(std**2 - within**2, 0.0))),
                "unit": column.unit,
                "outliers": tuple(n for n, f in zip(self.names(column), far, strict=True) if f),
                "differ": differ(value, error, len(shared)),
            }
        columns = ["chips", "median", "mean", "std", "within", "between", "unit", "outliers"]
        columns.append("differ")
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def set_name(position: int) -> str:
    """Return the name of a set of levels: A to Z, then AA and so on."""
    name = ""
    left = position + 1
    while left:
        left, at = divmod(left - 1, 26)
        name = chr(ord("A") + at) + name
    return name
