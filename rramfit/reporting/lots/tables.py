"""Parameters over the arrays of a lot, by columns of numbers."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rramfit.reporting.lots.row import Row

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LotTable", "ParameterColumn"]

_OUTLIER = 3.5  # |robust z| above which a chip is an outlier (Iglewicz & Hoaglin, 1993)


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
    the shape of a gamma distribution is not that of a Weibull distribution.

    Attributes
    ----------
    chips : list of (name, array id, verdict, text)
        Text is the summary of the card, or why there is none.
    parameters : dict of str to ParameterColumn
    """

    chips: list[tuple[str, str, str, str]] = field(default_factory=list)
    parameters: dict[str, ParameterColumn] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[Row]) -> LotTable:
        """Build the table; the rows are read once."""
        table = cls()
        for row in rows:
            text = row.summary if row.has_card else row.problem
            identity = str(row.array.get("id", ""))
            for path, (value, stderr, low, high, unit) in row.estimates.items():
                family = next(
                    (f for head, f in row.families.items() if path.startswith(f"{head}.")), None
                )
                key = path if family is None else f"{path} ({family})"
                column = table.parameters.setdefault(key, ParameterColumn(unit=unit))
                column.which.append(len(table.chips))
                column.numbers.extend((value, stderr, low, high))
            table.chips.append((row.name, identity, row.verdict, text))
        return table

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
        and outliers: names of cards whose value is more than 3.5 robust standard deviations
        (1.4826·MAD, at least the standard error) from the median.
        """
        import pandas as pd

        rows = {}
        for path, column in self.shared().items():
            value, error = column.value, column.stderr
            within = float(np.sqrt(np.mean(error**2)))
            std = float(value.std(ddof=1))
            away = np.abs(value - np.median(value))
            scale = np.maximum(1.4826 * np.median(away), error)
            far = away > _OUTLIER * np.where(scale > 0, scale, np.inf)
            rows[path] = {
                "chips": len(column),
                "median": float(np.median(value)),
                "mean": float(value.mean()),
                "std": std,
                "within": within,
                "between": float(np.sqrt(max(std**2 - within**2, 0.0))),
                "unit": column.unit,
                "outliers": " ".join(
                    name for name, f in zip(self.names(column), far, strict=True) if f
                ),
            }
        columns = ["chips", "median", "mean", "std", "within", "between", "unit", "outliers"]
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns)
