"""Wafers that differ from the other wafers of the lot.

For each parameter, the mean of a wafer is compared with the mean of the other wafers by a t test;
the scale is the standard deviation between dies within wafers, pooled over the wafers (arrays of
one die are averaged; an array of unknown die counts as a die). The p-value of the wafer farthest
from the others is corrected for the number of wafers (Bonferroni), and the p-values of all
parameters by Holm's method (S. Holm, Scand. J. Statist. 6, 65, 1979): of lots whose wafers do not
differ, at most `FALSE_ALARM` have one that is said to. Without a wafer in the identity, lots are
compared in the same way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from rramfit.reporting.lots.compare.outliers import FALSE_ALARM
from rramfit.reporting.lots.compare.tables import LotTable, ParameterColumn

__all__ = ["WaferDifference", "wafer_differences"]

Wafer = tuple[str | None, str | None]

_FEWEST = 2  # dies of a wafer, and wafers
_ROUNDING = 1e-9  # relative scatter below which values are one number


@dataclass(frozen=True, slots=True)
class WaferDifference:
    """A wafer whose mean of one parameter differs from the mean of the other wafers.

    Attributes
    ----------
    wafer : str
        "wafer W2", with its lot if there are several; or "lot L2".
    path, unit : str
        The parameter.
    mean, others : float
        Mean over the dies of the wafer, and mean of the means of the other wafers [unit].
    p : float
        Corrected for the numbers of wafers and of parameters.
    """

    wafer: str
    path: str
    unit: str
    mean: float
    others: float
    p: float


def wafer_differences(table: LotTable) -> list[WaferDifference]:
    """Return the parameters in which a wafer differs, the smallest p-value first."""
    lots = {lot for lot, wafer, _ in table.places if wafer is not None}
    tested = []
    for path, column in table.shared().items():
        found = _farthest(table, column)
        if found is not None:
            (lot, wafer), mean, others, p = found
            named = f"lot {lot}" if wafer is None else f"wafer {wafer}"
            named += f" of lot {lot}" if wafer is not None and lot and len(lots) > 1 else ""
            tested.append(WaferDifference(named, path, column.unit, mean, others, p))
    out, largest = [], 0.0
    for i, test in enumerate(sorted(tested, key=lambda x: x.p)):
        largest = max(largest, min(1.0, test.p * (len(tested) - i)))
        if largest >= FALSE_ALARM:
            break
        out.append(
            WaferDifference(test.wafer, test.path, test.unit, test.mean, test.others, largest)
        )
    return out


def _farthest(table: LotTable, column: ParameterColumn) -> tuple[Wafer, float, float, float] | None:
    """Return the wafer farthest from the others, both means, and p; None if it cannot be tested."""
    dies: dict[Wafer, dict[str | int, list[float]]] = {}
    for at, value in zip(column.which, column.value, strict=True):
        lot, wafer, die = table.places[at]
        if lot is not None or wafer is not None:
            of_wafer = dies.setdefault((lot, wafer), {})
            of_wafer.setdefault(at if die is None else die, []).append(float(value))
    wafers = [
        (wafer, np.array([np.mean(values) for values in of_die.values()]))
        for wafer, of_die in dies.items()
        if len(of_die) >= _FEWEST
    ]
    if len(wafers) < _FEWEST:
        return None
    count = len(wafers)
    size = np.array([values.size for _, values in wafers])
    mean = np.array([values.mean() for _, values in wafers])
    freedom = int(size.sum()) - count
    squares = float(sum(((values - values.mean()) ** 2).sum() for _, values in wafers))
    variance = squares / freedom
    if not math.sqrt(variance) > _ROUNDING * float(np.abs(mean).max()):
        return None
    others = (mean.sum() - mean) / (count - 1)
    error = variance * (1 / size + ((1 / size).sum() - 1 / size) / (count - 1) ** 2)
    t = (mean - others) / np.sqrt(error)
    far = int(np.argmax(np.abs(t)))
    pairs = 1 if count == 2 else count  # two wafers are compared once
    p = min(1.0, 2 * pairs * float(special.stdtr(freedom, -abs(t[far]))))
    return wafers[far][0], float(mean[far]), float(others[far]), p
