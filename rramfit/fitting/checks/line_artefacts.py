"""Patterns that repeat over rows or columns: a multiplexer's, not the cells'.

Cells' residuals, in standard deviations of their level, are averaged over each row and the line
through the means taken off. A pattern of period p rows is a line in their periodogram at R/p,
2R/p, … of R rows. A smooth field and a trend have smooth spectra, so each ordinate is compared with
its neighbours,

    P_j / mean(P_{j±1} … P_{j±4})  ~  F(2, 16)    (F(1, ·) at half the sampling rate),

from the third ordinate up, and the smallest p-value is multiplied by the number of ordinates. The
period is that of the most telling line, or of its fundamental where that shows as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.fitting.result import Finding

__all__ = ["PeriodicPattern", "find_periodic", "periodic_pattern"]

Floats = NDArray[np.float64]

FALSE_ALARM = 1e-3
_FIRST, _NEIGHBOURS = 3, 4
_SHOWS = 0.05  # p-value of a fundamental whose harmonic was found
_CLIP = 4.0  # standard deviations at which single residuals are cut off
_FEWEST_CELLS, _FEWEST_LINES = 4, 24
_LARGE = 0.5  # amplitude in standard deviations of a level that spoils the fits


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicPattern:
    """The most telling line in a periodogram of row or column means."""

    axis: int  # 0: over rows, 1: over columns
    period: float  # lines
    amplitude: float  # of the sine, in the residuals' unit
    p_value: float  # all ordinates allowed for


def periodic_pattern(residual: Floats, axis: int) -> PeriodicPattern | None:
    """Find the most telling periodic pattern over rows (axis 0) or columns (axis 1).

    Parameters
    ----------
    residual : (row, col) array
        Deviation of each cell in standard deviations of its level; NaN where unknown.
    axis : {0, 1}

    Returns
    -------
    PeriodicPattern or None
        None with fewer than 24 lines that have cells.
    """
    x = np.clip(residual if axis == 0 else residual.T, -_CLIP, _CLIP)
    n = np.isfinite(x).sum(axis=1)
    seen = n >= _FEWEST_CELLS
    if seen.sum() < max(_FEWEST_LINES, 0.9 * len(x)):
        return None
    mean = np.nansum(x, axis=1) / np.maximum(n, 1)
    t = np.arange(len(x)) - 0.5 * (len(x) - 1)
    slope, level = np.polyfit(t[seen], mean[seen], 1)
    y = np.where(seen, mean - level - slope * t, 0.0)
    power = np.abs(np.fft.rfft(y)) ** 2
    last = len(power) - 1
    half = len(y) % 2 == 0  # the last ordinate then has one degree of freedom
    p = np.ones(len(power))
    for j in range(_FIRST, last + 1):
        around = [
            i for i in range(j - _NEIGHBOURS, j + _NEIGHBOURS + 1)
            if i != j and 1 <= i <= last - half
        ]  # fmt: skip
        background = float(power[around].mean())
        if background > 0:
            own = 1 if half and j == last else 2
            p[j] = special.fdtrc(own, 2 * len(around), power[j] / background)
    j = _fundamental(p)
    scale = 1 if half and j == last else 2
    return PeriodicPattern(
        axis=axis,
        period=len(y) / j,
        amplitude=scale * math.sqrt(float(power[j])) / len(y),
        p_value=min(1.0, float(p.min()) * (last - _FIRST + 1)),
    )


def _fundamental(p: Floats) -> int:
    """Take the first ordinate that shows and of which the most telling one is a harmonic."""
    most = _FIRST + int(np.argmin(p[_FIRST:]))
    shows = [j for j in range(_FIRST, most) if most % j == 0 and p[j] < _SHOWS]
    return shows[0] if shows else most


def find_periodic(residual: Floats, *, what: str) -> list[Finding]:
    """Look for patterns that repeat over rows or columns.

    Parameters
    ----------
    residual : (row, col) array
        In standard deviations of a level.
    what : str
        What the residuals are of, for people.
    """
    out = []
    for axis, word in ((0, "row"), (1, "column")):
        found = periodic_pattern(residual, axis)
        if found is None or found.p_value > 0.5 * FALSE_ALARM:
            continue
        out.append(
            Finding(
                f"{what} repeat every {found.period:.3g} {word}s or a multiple of that, by "
                f"±{found.amplitude:.2g} standard deviations of a level "
                f"(p = {max(found.p_value, 1e-12):.1g})",
                f"a {word} decoder or multiplexer makes such a pattern, cells do not: calibrate it "
                "out and measure again",
                severe=found.amplitude > _LARGE,
            )
        )
    return out
