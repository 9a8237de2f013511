"""Deviations of current-voltage curves from their law that are common to cells of one size.

The curves of all cells, and of the halves and quarters of the cells in order of G0, are compared
with the law at every voltage: mean deviation over mean current. A deviation is reported if it
exceeds `LARGE` and `SURE` standard errors, which 1 in 1000 sets of curves that follow the law do by
chance. Below a tenth of the highest voltage the offset of the instrument dominates.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.results.result import Finding
from rramfit.units import counted, format_percent, format_quantity

__all__ = ["find_misfit"]

Floats = NDArray[np.float64]

LARGE = 0.03  # relative deviation
SURE = 5.0  # standard errors
_FEWEST = 30  # cells in a class, so that the mean deviation is nearly normal
_NEAR_ZERO = 0.1  # of the highest voltage


def find_misfit(
    voltage: Floats, current: Floats, deviation: Floats, conductance: Floats
) -> list[Finding]:
    """Find the class of cells and the voltage at which the law fails most.

    Parameters
    ----------
    voltage : (point,) array
        [V]
    current : (cell, point) array
        Without the offset of the instrument [A].
    deviation : (cell, point) array
        Current minus fitted current [A]; NaN = not measured.
    conductance : (cell,) array
        G0 [S]

    Returns
    -------
    list of Finding
        At most one.
    """
    far = np.abs(voltage) > _NEAR_ZERO * np.nanmax(np.abs(voltage))
    order = np.argsort(conductance)
    worst: tuple[float, NDArray[np.int64], Floats, NDArray[np.bool_]] | None = None
    for parts in (1, 2, 4):
        for of in np.array_split(order, parts):
            if len(of) < _FEWEST:
                continue
            relative, error = _relative(current[of], deviation[of])
            with np.errstate(invalid="ignore"):
                departs = far & (np.abs(relative) > LARGE) & (np.abs(relative) > SURE * error)
            if not departs.any():
                continue
            size = float(np.max(np.abs(relative[departs])))
            if worst is None or size > worst[0]:
                worst = size, of, relative, departs
    if worst is None:
        return []
    size, of, relative, departs = worst
    at = np.flatnonzero(departs)[np.argmax(np.abs(relative[departs]))]
    low, high = (
        format_quantity(float(f(conductance[of])), "S", digits=2) for f in (np.min, np.max)
    )
    word = "more" if relative[at] > 0 else "less"
    where = f"at {voltage[at]:.3g} V"
    if departs.sum() > 1:
        others = counted(int(departs.sum()) - 1, "other voltage")
        where += f", and by more than {format_percent(LARGE, 0)} at {others}"
    return [
        Finding(
            f"Cells of {low} to {high} carry {format_percent(size)} {word} current than the law "
            f"G0·sinh(bV)/b {where}",
            "Fit a narrower voltage range, and check for a range switch of the instrument",
            code="iv-misfit",
        )
    ]


def _relative(current: Floats, deviation: Floats) -> tuple[Floats, Floats]:
    """Return mean deviation over mean fitted current, and its standard error, (point,)."""
    seen = np.isfinite(deviation)
    n = np.maximum(seen.sum(axis=0), 1)
    d = np.where(seen, deviation, 0.0)
    fitted = np.where(seen, current - d, 0.0).sum(axis=0) / n
    mean = d.sum(axis=0) / n
    square = np.where(seen, (d - mean) ** 2, 0.0).sum(axis=0) / np.maximum(n - 1, 1)
    size = np.where(np.abs(fitted) > 0, np.abs(fitted), math.inf)
    return mean / size * np.sign(fitted), np.sqrt(square / n) / size
