"""Do the levels lie where they were asked for, and apart.

A level's median is held against its verify window, or against its target where there is no window:
it is then astray when it lies nearer to a neighbour's target than to its own. A window that nearly
no reading lies in, at most levels, is not a window of these data; what was refused by it was not
refused by the tester, and the windows are better set aside (`set_aside_windows`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.result import Finding
from rramfit.measurement.file.record import Levels, Measurement, Program, SweepBlock
from rramfit.units import format_quantity

__all__ = ["LevelMedians", "find_mismatch", "level_medians", "set_aside_windows"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_FEWEST = 5  # cells at a level
_MANY = 30  # cells at a level from which its separation is judged
_SEPARATE = 0.5  # standard deviations between neighbouring medians
_INSIDE = 0.1  # share of readings inside the window below which it is not theirs


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LevelMedians:
    """What cells asked for each level read, whether accepted or not."""

    cells: NDArray[np.int64]  # (level,)
    median: Floats  # [S] (level,) NaN where there are too few
    spread: Floats  # [S] (level,)
    inside: Floats  # (level,) share inside the verify window; NaN without one


def level_medians(conductance: Floats, level: NDArray[np.int64], levels: Levels) -> LevelMedians:
    """Sum up readings by the level asked for.

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
    low = levels.lower if levels.lower is not None else np.full(k, -np.inf)
    high = levels.upper if levels.upper is not None else np.full(k, np.inf)
    seen = np.isfinite(conductance) & (level >= 0)
    order = np.argsort(level[seen], kind="stable")
    y, asked = conductance[seen][order], level[seen][order]
    ends = np.searchsorted(asked, np.arange(k + 1))
    for i in range(k):
        mine = y[ends[i] : ends[i + 1]]
        cells[i] = len(mine)
        if len(mine) < _FEWEST:
            continue
        median[i] = np.median(mine)
        spread[i] = 1.4826 * np.median(np.abs(mine - median[i]))
        if levels.lower is not None or levels.upper is not None:
            slack = 1e-6 * max(abs(low[i]), abs(high[i])) if np.isfinite(high[i]) else 0.0
            inside[i] = np.mean((mine >= low[i] - slack) & (mine <= high[i] + slack))
    return LevelMedians(cells=cells, median=median, spread=spread, inside=inside)


def find_mismatch(found: LevelMedians, levels: Levels) -> list[Finding]:
    """Hold levels against their targets and against each other."""
    seen = np.isfinite(found.median)
    if not seen.any():
        return []
    astray = np.flatnonzero(seen & _astray(found, levels))
    out = []
    if astray.size:
        k = int(astray[np.argmax(np.abs(found.median[astray] - levels.target[astray]))])
        conducting = seen & (levels.target != 0)
        ratio = found.median[conducting] / levels.target[conducting]
        common = float(np.median(ratio)) if ratio.size else 0.0
        steady = ratio.size >= 3 and np.quantile(np.abs(ratio - common), 0.75) < 0.1 * abs(common)
        what = (
            f"{astray.size} of {int(seen.sum())} levels do not lie where they were asked for; "
            f"{levels.names[k]} reads {format_quantity(found.median[k], 'S')}, its target is "
            f"{format_quantity(float(levels.target[k]), 'S')}"
        )
        if steady:
            what += f"; all levels lie at {common:.3g} times their targets"
        out.append(
            Finding(
                what,
                "check /levels/target, its units, and the order of levels, or the read-out's gain",
                severe=bool(astray.size > 0.5 * seen.sum()),
            )
        )
    out += _order(found, levels)
    return out


def _astray(found: LevelMedians, levels: Levels) -> Bools:
    if levels.lower is not None and levels.upper is not None:
        half = 0.5 * (levels.upper - levels.lower)
        middle = 0.5 * (levels.upper + levels.lower)
        with np.errstate(invalid="ignore"):
            far = np.abs(found.median - middle) > 2 * half
        return np.asarray(far, dtype=np.bool_)
    if len(levels) < 2:
        with np.errstate(invalid="ignore"):
            return np.asarray(
                np.abs(found.median - levels.target) > 0.5 * np.abs(levels.target), dtype=np.bool_
            )
    nearest = np.argmin(np.abs(np.nan_to_num(found.median)[:, None] - levels.target), axis=1)
    return np.asarray(nearest != np.arange(len(levels)), dtype=np.bool_)


def _order(found: LevelMedians, levels: Levels) -> list[Finding]:
    """Neighbouring levels out of order, or on top of each other."""
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
                f"{levels.names[k[i + 1]]} reads lower than {levels.names[k[i]]}, "
                f"{format_quantity(found.median[k[i + 1]], 'S')} against "
                f"{format_quantity(found.median[k[i]], 'S')}",
                "levels must be numbered in rising order of target; check /program/level",
                severe=True,
            )
        )
    elif close.any():
        i = np.flatnonzero(close)[0]
        names = f"{levels.names[k[i]]} and {levels.names[k[i + 1]]}"
        out.append(
            Finding(
                f"{int(close.sum())} pairs of neighbouring levels lie less than {_SEPARATE} "
                f"standard deviations apart, first {names}",
                "cells at them cannot be told apart; use fewer levels or a narrower window",
            )
        )
    return out


def set_aside_windows(measurement: Measurement) -> tuple[Measurement, Finding] | None:
    """Take verify windows off a measurement where they cannot be those of its data.

    Parameters
    ----------
    measurement : Measurement

    Returns
    -------
    (Measurement, Finding) or None
        Without windows, every reading accepted; None where the windows are not at odds with the
        readings, or do not decide what is accepted.
    """
    program, levels = measurement.program, measurement.levels
    if program is None or levels is None or program.acceptance != "window":
        return None
    block = next(iter(program.blocks(4)), None)
    if block is None:
        return None
    found = level_medians(block.conductance, block.level, levels)
    seen = np.isfinite(found.inside)
    if not seen.any() or np.mean(found.inside[seen] < _INSIDE) <= 0.5:
        return None
    share = float(np.average(found.inside[seen], weights=found.cells[seen]))
    bare = dataclasses.replace(
        program, acceptance="unknown", open_blocks=_AllAccepted(program=program)
    )
    finding = Finding(
        f"{share:.1%} of readings lie inside the verify windows of /levels: the windows are not "
        "those of these data, and were set aside; every reading counts as accepted",
        "correct /levels, or record /program/verified",
        severe=True,
    )
    levels = dataclasses.replace(levels, lower=None, upper=None)
    return dataclasses.replace(measurement, levels=levels, program=bare), finding


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _AllAccepted:
    """Hands out a program's sweeps, every reading accepted."""

    program: Program

    def __call__(self, sweeps: int) -> Iterator[SweepBlock]:
        for block in self.program.blocks(sweeps):
            yield dataclasses.replace(block, accepted=np.isfinite(block.conductance))
