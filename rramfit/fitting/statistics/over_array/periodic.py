"""Detect periodic patterns over rows or columns, which a decoder or multiplexer causes.

Residuals of the cells, in standard deviations of their level, are averaged over each row, and a
straight line is subtracted from the row means. A pattern of period p rows gives peaks in the
periodogram of R rows at R/p, 2R/p, … A smooth field or trend has a smooth spectrum, so each
ordinate is compared with its neighbours,

    P_j / mean(P_{j±1} … P_{j±4})  ~  F(2, 16)    (F(1, ·) at half the sampling rate),

from the third ordinate up; the smallest p-value is multiplied by the number of ordinates. The
residuals are deviations from level means, which absorb a part of every ordinate if the levels are
programmed in a pattern (`rramfit.fitting.checks.hidden_lines`): ordinates are divided by the part
that is left, and those of which less than a quarter is left are not used. The period is that of the
most significant peak, or of its fundamental if that is also visible.

The pattern must also be the same in all columns: with the Fourier sums a_c of the columns,

    C·|mean a|² / var a  ~  F(2, 2(C − 1)).

Offsets that repeat over the rows of a column, but differ from column to column, are line offsets
(`rramfit.fitting.statistics.over_array.lines`) and are reported with them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = [
    "FALSE_ALARM",
    "PeriodicPattern",
    "periodic_pattern",
    "shared_with_levels",
    "visible_power",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FALSE_ALARM = 1e-3
_FIRST, _NEIGHBOURS = 3, 4
_VISIBLE = 0.05  # p-value for a fundamental whose harmonic is significant
_CLIP = 4.0  # standard deviations at which residuals are clipped
_FEWEST_CELLS, _FEWEST_LINES = 4, 24
_LEFT = 0.25  # share of an ordinate's power that the levels must leave
_FEWEST_NEIGHBOURS = 3
_EXACT = 1.2  # preference for the period at the peak itself


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicPattern:
    """The most significant peak in the periodogram of row or column means."""

    axis: int  # 0: over rows, 1: over columns
    period: float  # lines
    amplitude: float  # of the sine, in units of the residuals
    p_value: float  # corrected for the number of ordinates
    profile: Floats  # (line of a period,) mean deviation; empty if the period is not a whole number


def periodic_pattern(
    residual: Floats, axis: int, *, counts: Integers | None = None
) -> PeriodicPattern | None:
    """Find the most significant periodic pattern over rows (axis 0) or columns (axis 1).

    Parameters
    ----------
    residual : (row, col) array
        Deviation of each cell, in standard deviations of its level; NaN if unknown.
    axis : {0, 1}
    counts : (line, level) int array, optional
        Readings of each level in each line; None if all cells have the same level.

    Returns
    -------
    PeriodicPattern or None
        None with fewer than 24 lines that have at least 4 cells, or if the levels hide all periods.
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
    left = np.ones(len(y) // 2 + 1) if counts is None else visible_power(counts)
    usable = left >= _LEFT
    power = np.abs(np.fft.rfft(y)) ** 2 / np.where(usable, left, 1.0)
    half = len(y) % 2 == 0  # the last ordinate then has one degree of freedom
    p = _p_values(power, usable, half=half)
    tried = int(usable[_FIRST:].sum())
    if not tried:
        return None
    j = _fundamental(p)
    own = 1 if half and j == len(power) - 1 else 2
    alike = _same_in_all(x, j, own) if p[_FIRST:].min() * tried < 1 else 1.0
    period, profile = _profile(y, seen, j)
    return PeriodicPattern(
        axis=axis,
        period=period,
        amplitude=(1 if own == 1 else 2) * math.sqrt(float(power[j])) / len(y),
        p_value=min(1.0, max(float(p[_FIRST:].min()), alike) * tried),
        profile=profile,
    )


def _p_values(power: Floats, usable: NDArray[np.bool_], *, half: bool) -> Floats:
    """Compare each ordinate with its usable neighbours; 1 where that is not possible."""
    last = len(power) - 1
    p = np.ones(len(power))
    for j in np.flatnonzero(usable):
        around = [
            i for i in range(j - _NEIGHBOURS, j + _NEIGHBOURS + 1)
            if i != j and 1 <= i <= last - half and usable[i]
        ]  # fmt: skip
        if j < _FIRST or len(around) < _FEWEST_NEIGHBOURS:
            continue
        background = float(power[around].mean())
        if background > 0:
            own = 1 if half and j == last else 2
            p[j] = special.fdtrc(own, 2 * len(around), power[j] / background)
    return p


def _fundamental(p: Floats) -> int:
    """Return the lowest visible ordinate that has the most significant one as a harmonic."""
    most = _FIRST + int(np.argmin(p[_FIRST:]))
    visible = [j for j in range(_FIRST, most) if most % j == 0 and p[j] < _VISIBLE]
    return visible[0] if visible else most


def _same_in_all(x: Floats, j: int, own: int) -> float:
    """Return the p-value of an ordinate over lines, (line, cell), being the same for all cells."""
    wave = np.exp(-2j * np.pi * j * np.arange(len(x)) / len(x))
    cells = np.isfinite(x).any(axis=0)
    a = wave @ np.nan_to_num(x[:, cells])
    count = len(a)
    scatter = float(np.sum(np.abs(a - a.mean()) ** 2)) / max(count - 1, 1)
    if count < _FEWEST_CELLS or scatter == 0:
        return 0.0
    return float(special.fdtrc(own, own * (count - 1), count * abs(a.mean()) ** 2 / scatter))


def _profile(y: Floats, seen: NDArray[np.bool_], j: int) -> tuple[float, Floats]:
    """Return the whole period that explains most of a peak, and the means over it, (line,)."""
    best, explained = None, 0.0
    for period in range(2, len(y) // _FIRST + 1):
        if abs(len(y) / period - j) >= 1:
            continue
        place = np.arange(len(y))[seen] % period
        count = np.bincount(place, minlength=period)
        mean = np.bincount(place, y[seen], period) / np.maximum(count, 1)
        gain = float(count @ mean**2) / (period - 1)
        if period * j == len(y):
            gain *= _EXACT
        if gain > explained:
            best, explained = mean, gain
    if best is None:
        return len(y) / j, np.empty(0)
    return float(len(best)), best


def visible_power(counts: Integers) -> Floats:
    """Return the share of white noise between lines that is left at each frequency, (ordinate,).

    Parameters
    ----------
    counts : (line, level) int array
        Readings of each level in each line.

    Returns
    -------
    (line // 2 + 1,) array
        For the ordinates of `numpy.fft.rfft` over the lines.
    """
    part = shared_with_levels(counts)
    absorbed = np.sum(np.abs(np.fft.rfft(part, axis=0)) ** 2, axis=1) / len(part)
    return np.asarray(np.maximum(1 - absorbed, 0.0))


def shared_with_levels(counts: Integers) -> Floats:
    """Return B with S = B·Bᵀ, N_ik/√(N_i·N_k), (line, level)."""
    n = counts[:, counts.sum(axis=0) > 0].astype(np.float64)
    in_line = np.maximum(n.sum(axis=1), 1)
    return np.asarray(n / np.sqrt(in_line[:, None] * n.sum(axis=0)))
