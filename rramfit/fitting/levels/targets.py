"""Agreement of the levels with their targets, and their separation.

The median of a level is compared with its verify window: it is off target if it is more than a
window's width from the window's centre. Without a window it is compared with the targets: it is off
target if it is nearer to the target of another level. If in most levels hardly any reading is
inside its window, the windows do not belong to these data. The readings that they exclude were not
rejected by the tester, so the windows are then ignored (`set_aside_windows`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.results.result import Finding
from rramfit.measurement.file.record import Levels, Measurement, Program, SweepBlock
from rramfit.units import counted, format_percent, format_quantity

__all__ = ["LevelMedians", "find_mismatch", "level_medians", "set_aside_windows"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_FEWEST = 5  # least number of cells at a level
_MANY = 30  # least number of cells at a level for testing its separation
_SEPARATE = 0.5  # least distance of neighbouring medians, in standard deviations
_INSIDE = 0.1  # share of readings inside the window below which it is not valid
_MOST_READINGS = 1 << 22  # that are read to see every level against its window


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LevelMedians:
    """Readings by target level, accepted or not."""

    cells: NDArray[np.int64]  # (level,)
    median: Floats  # [S] (level,) NaN for too few cells
    spread: Floats  # [S] (level,)
    inside: Floats  # (level,) share inside the verify window; NaN without one


def level_medians(conductance: Floats, level: NDArray[np.int64], levels: Levels) -> LevelMedians:
    """Compute the median and spread of readings by target level.

    Parameters
    ----------
    conductance : (..., row, col) array
        [S]
    level : (..., row, col) int array
    levels : Levels
    """
    k = len(levels)
    cells = np.zeros(k, dtype=np.int64)
    median, spread, inside = (np.full(k, np.nan) for _ in range(3))
    low, high = window_limits(levels)
    seen = np.isfinite(conductance) & (level >= 0)
    order = np.argsort(level[seen], kind="stable")
    y, target = conductance[seen][order], level[seen][order]
    ends = np.searchsorted(target, np.arange(k + 1))
    for i in range(k):
        mine = y[ends[i] : ends[i + 1]]
        cells[i] = len(mine)
        if len(mine) < _FEWEST:
            continue
        median[i] = np.median(mine)
        spread[i] = 1.4826 * np.median(np.abs(mine - median[i]))
        if levels.lower is not None or levels.upper is not None:
            slack = 1e-6 * max(abs(x) for x in (low[i], high[i], 0.0) if np.isfinite(x))
            inside[i] = np.mean((mine >= low[i] - slack) & (mine <= high[i] + slack))
    return LevelMedians(cells=cells, median=median, spread=spread, inside=inside)


def window_limits(levels: Levels) -> tuple[Floats, Floats]:
    """Return the limits of the verify windows [S], infinite where a side is open."""
    k = len(levels)
    low = np.full(k, np.nan) if levels.lower is None else levels.lower
    high = np.full(k, np.nan) if levels.upper is None else levels.upper
    return np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)


def find_mismatch(found: LevelMedians, levels: Levels) -> list[Finding]:
    """Compare levels with their targets and with each other."""
    seen = np.isfinite(found.median)
    if not seen.any():
        return []
    off_target = np.flatnonzero(seen & _off_target(found, levels))
    out = []
    if off_target.size:
        k = int(off_target[np.argmax(np.abs(found.median[off_target] - levels.target[off_target]))])
        conducting = seen & (levels.target != 0)
        ratio = found.median[conducting] / levels.target[conducting]
        common = float(np.median(ratio)) if ratio.size else 0.0
        steady = ratio.size >= 3 and np.quantile(np.abs(ratio - common), 0.75) < 0.1 * abs(common)
        what = (
            f"{off_target.size} of {counted(int(seen.sum()), 'level')} "
            f"{'is' if off_target.size == 1 else 'are'} off target: the median of "
            f"{levels.names[k]} is {format_quantity(found.median[k], 'S', digits=3)}, "
            f"its target {format_quantity(float(levels.target[k]), 'S')}"
        )
        if steady:
            what += f" (all medians are about {common:.3g} times their targets)"
        out.append(
            Finding(
                what,
                "check /levels/target, its unit, the order of the levels and the read-out gain",
                severe=bool(off_target.size > 0.5 * seen.sum()),
                affected=float(off_target.size / seen.sum()),
                code="far-from-target",
            )
        )
    out += _order(found, levels)
    return out


def _off_target(found: LevelMedians, levels: Levels) -> Bools:
    if levels.lower is not None and levels.upper is not None:
        half = 0.5 * (levels.upper - levels.lower)
        middle = 0.5 * (levels.upper + levels.lower)
        low, high = window_limits(levels)
        margin = 0.5 * np.abs(levels.target)  # of a window that is open on one side
        with np.errstate(invalid="ignore"):
            outside = (found.median < low - margin) | (found.median > high + margin)
            far = np.where(np.isfinite(half), np.abs(found.median - middle) > 2 * half, outside)
        return np.asarray(far, dtype=np.bool_)
    if len(levels) < 2:
        with np.errstate(invalid="ignore"):
            return np.asarray(
                np.abs(found.median - levels.target) > 0.5 * np.abs(levels.target), dtype=np.bool_
            )
    nearest = np.argmin(np.abs(np.nan_to_num(found.median)[:, None] - levels.target), axis=1)
    return np.asarray(nearest != np.arange(len(levels)), dtype=np.bool_)


def _order(found: LevelMedians, levels: Levels) -> list[Finding]:
    """Report neighbouring levels that are out of order or not separated."""
    k = np.flatnonzero(np.isfinite(found.median) & (found.cells >= _MANY))
    if k.size < 2:
        return []
    gap = np.diff(found.median[k])
    width = 0.5 * (found.spread[k][1:] + found.spread[k][:-1])
    error = 1.2533 * np.sqrt(np.sum((found.spread[k] ** 2 / found.cells[k])[[0, -1]]))
    close = gap < _SEPARATE * width
    out = []
    swapped = np.flatnonzero(gap < -np.maximum(0.1 * width, 4 * error))
    if swapped.size:
        i = swapped[0]
        out.append(
            Finding(
                f"the median of {levels.names[k[i + 1]]} "
                f"({format_quantity(found.median[k[i + 1]], 'S', digits=3)}) is below that of "
                f"{levels.names[k[i]]} ({format_quantity(found.median[k[i]], 'S', digits=3)})",
                "check /program/level: levels must be numbered in ascending order of target",
                severe=True,
                affected=swapped.size / gap.size,
                code="median-below-lower-level",
            )
        )
    elif close.any():
        i = np.flatnonzero(close)[0]
        names = f"{levels.names[k[i]]} and {levels.names[k[i + 1]]}"
        out.append(
            Finding(
                f"{counted(int(close.sum()), 'pair')} of neighbouring levels "
                f"{'is' if close.sum() == 1 else 'are'} less than {_SEPARATE} standard deviations "
                f"apart and cannot be distinguished, first {names}",
                "use fewer levels or a narrower verify window",
                affected=float(close.mean()),
                code="levels-not-apart",
            )
        )
    return out


def set_aside_windows(measurement: Measurement) -> tuple[Measurement, Finding] | None:
    """Remove verify windows that do not belong to the data of a measurement.

    Parameters
    ----------
    measurement : Measurement

    Returns
    -------
    (Measurement, Finding) or None
        The measurement without windows, every reading accepted; None if the windows agree with the
        readings or do not determine acceptance.
    """
    program, levels = measurement.program, measurement.levels
    if program is None or levels is None or program.acceptance != "window":
        return None
    found = _against_windows(program, levels)
    seen = np.isfinite(found.inside)
    if not seen.any() or np.mean(found.inside[seen] < _INSIDE) <= 0.5:
        return None
    share = float(np.average(found.inside[seen], weights=found.cells[seen]))
    bare = dataclasses.replace(
        program, acceptance="unknown", open_blocks=_AllAccepted(program=program)
    )
    finding = Finding(
        f"only {format_percent(share)} of readings are inside the verify windows of /levels, so "
        "the windows were ignored and every reading counts as accepted",
        "correct /levels, or record /program/verified",
        severe=True,
        affected=1 - share,
        code="windows-ignored",
    )
    levels = dataclasses.replace(levels, lower=None, upper=None)
    return dataclasses.replace(measurement, levels=levels, program=bare), finding


def _against_windows(program: Program, levels: Levels) -> LevelMedians:
    """Compare readings with the windows, from as many sweeps as it takes to see every level."""
    y: list[Floats] = []
    level: list[NDArray[np.int64]] = []
    for block in program.blocks(4):
        y.append(block.conductance)
        level.append(block.level)
        cells = np.bincount(np.concatenate(level)[np.isfinite(np.concatenate(y))] + 1)
        every = len(cells) > len(levels) and bool((cells[1:] >= _FEWEST).all())
        if every or sum(a.size for a in y) >= _MOST_READINGS:
            break
    empty = np.empty((0, *program.shape[1:]))
    return level_medians(
        np.concatenate([empty, *y]),
        np.concatenate([empty.astype(np.int64), *level]),
        levels,
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _AllAccepted:
    """Yield the sweeps of a program, every reading accepted."""

    program: Program

    def __call__(self, sweeps: int) -> Iterator[SweepBlock]:
        for block in self.program.blocks(sweeps):
            yield dataclasses.replace(block, accepted=np.isfinite(block.conductance))
