"""Levels whose cells are not spread evenly over the array, where a trend makes a difference.

The mean and the spread of a level are those of the cells that were programmed to it. With the plane
t through their conductances, and averages over these cells and over all healthy cells,

    mean of the array − mean of the part = mean t_all − mean t_level,
    d2d² of the array − d2d² of the part = var t_all − var t_level.

A level is reported if a slope of the plane is significant and one of the differences exceeds four
times the standard error of the estimate. The estimates are not changed: a trend that was seen on a
part need not continue over the array.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.results.result import Finding
from rramfit.fitting.variation.one_level import LevelVariation
from rramfit.units import format_quantity

__all__ = ["find_parts"]

Bools = NDArray[np.bool_]

_SIGNIFICANT, _MATTERS = 3.29, 4.0  # standard errors


def find_parts(levels: Sequence[LevelVariation], healthy: Bools) -> list[Finding]:
    """Report levels on a part of the array that differs from the whole by a trend.

    Parameters
    ----------
    levels : sequence of LevelVariation
    healthy : (row, col) bool array
    """
    changes = [(v, *_change(v, healthy)) for v in levels]
    changes = [x for x in changes if x[1] or x[2]]
    if not changes:
        return []
    v, mean, d2d = max(changes, key=lambda x: max(abs(x[1]), abs(x[2])) / x[0].total.value)
    parts = [
        f"its {name} would be {format_quantity(abs(x), 'S', digits=2)} "
        f"{'higher' if x > 0 else 'lower'}"
        for name, x in (("mean", mean), ("d2d", d2d))
        if x
    ]
    others = [str(x[0].level) for x in changes if x[0] is not v]
    more = f" (likewise level{'s' * (len(others) > 1)} {', '.join(others)})" if others else ""
    return [
        Finding(
            f"The cells of level {v.level} are not spread evenly over the array, and its "
            f"conductance has a trend: if the trend continues over the array, "
            f"{' and '.join(parts)} there{more}.",
            "Program every level over the whole array.",
            code="part-of-the-array",
        )
    ]


def _change(v: LevelVariation, healthy: Bools) -> tuple[float, float]:
    """Return the change of mean and d2d from the part to the array [S]; 0 if it does not matter."""
    if v.spatial is None:
        return 0.0, 0.0
    slopes = v.spatial.row_trend, v.spatial.col_trend
    if all(abs(b.value) < _SIGNIFICANT * (b.stderr or math.inf) for b in slopes):
        return 0.0, 0.0
    row, col = np.indices((healthy.shape[0], healthy.shape[1]))
    plane = slopes[0].value * row + slopes[1].value * col
    every, part = plane[healthy], plane[v.readings > 0]
    mean = float(every.mean() - part.mean())
    if abs(mean) < _MATTERS * v.total.value / math.sqrt(v.effective_cells):
        mean = 0.0
    if v.d2d is None:
        return mean, 0.0
    variance = v.d2d.value**2 + float(every.var() - part.var())
    d2d = math.sqrt(max(variance, 0.0)) - v.d2d.value
    return mean, d2d if abs(d2d) > _MATTERS * (v.d2d.stderr or math.inf) else 0.0
