"""Detect periodic patterns over rows or columns, which a decoder or multiplexer causes.

Residuals of the cells, in standard deviations of their level, are averaged over each row, and a
straight line is subtracted from the row means. A pattern of period p rows gives peaks in the
periodogram of R rows at R/p, 2R/p, … A smooth field or trend has a smooth spectrum, so each
ordinate is compared with its neighbours,

    P_j / mean(P_{j±1} … P_{j±4})  ~  F(2, 16)    (F(1, ·) at half the sampling rate),

from the third ordinate up; the smallest p-value is multiplied by the number of ordinates. The
period is that of the most significant peak, or of its fundamental if that is also visible.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.fitting.result import Finding
from rramfit.units import format_p_value

__all__ = ["PeriodicPattern", "find_periodic", "periodic_pattern"]

Floats = NDArray[np.float64]

FALSE_ALARM = 1e-3
_FIRST, _NEIGHBOURS = 3, 4
_VISIBLE = 0.05  # p-value for a fundamental whose harmonic is significant
_CLIP = 4.0  # standard deviations at which residuals are clipped
_FEWEST_CELLS, _FEWEST_LINES = 4, 24
_LARGE = 0.5  # amplitude, in standard deviations of a level, that invalidates the fits


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicPattern:
    """The most significant peak in the periodogram of row or column means."""

    axis: int  # 0: over rows, 1: over columns
    period: float  # lines
    amplitude: float  # of the sine, in units of the residuals
    p_value: float  # corrected for the number of ordinates


def periodic_pattern(residual: Floats, axis: int) -> PeriodicPattern | None:
    """Find the most significant periodic pattern over rows (axis 0) or columns (axis 1).

    Parameters
    ----------
    residual : (row, col) array
        Deviation of each cell, in standard deviations of its level; NaN if unknown.
    axis : {0, 1}

    Returns
    -------
    PeriodicPattern or None
        None with fewer than 24 lines that have at least 4 cells.
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
    """Return the lowest visible ordinate that has the most significant one as a harmonic."""
    most = _FIRST + int(np.argmin(p[_FIRST:]))
    visible = [j for j in range(_FIRST, most) if most % j == 0 and p[j] < _VISIBLE]
    return visible[0] if visible else most


def find_periodic(residual: Floats, *, what: str) -> list[Finding]:
    """Check for periodic patterns over rows and columns.

    Parameters
    ----------
    residual : (row, col) array
        In standard deviations of a level.
    what : str
        Name of the residuals, a plural, that opens the finding.
    """
    out = []
    for axis, word in ((0, "row"), (1, "column")):
        found = periodic_pattern(residual, axis)
        if found is None or found.p_value > 0.5 * FALSE_ALARM:
            continue
        out.append(
            Finding(
                f"{what} repeat every {found.period:.3g} {word}s or a multiple of that, with an "
                f"amplitude of {found.amplitude:.2g} standard deviations of a level "
                f"({format_p_value(found.p_value)}).",
                f"Check and calibrate the {word} decoder or multiplexer, and measure again: cells "
                "do not cause such a pattern.",
                severe=found.amplitude > _LARGE,
            )
        )
    return out
