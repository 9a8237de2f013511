"""Readings that the tester or the converter should not have returned.

Accepted readings outside the verify window of their level; readings far beyond the highest level;
repeated reads at a rail; and readings rounded to steps that are large for the spread of a level
(`rramfit.fitting.screening.rounding`).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.results.result import Finding
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.screening.response import LevelSpread
from rramfit.fitting.screening.rounding import grid_step, local_step
from rramfit.measurement.file.record import Levels
from rramfit.units import counted, format_percent, format_quantity

__all__ = ["find_clipped_reads", "find_far_readings", "find_outside_window", "find_rounding"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_SHARE, _FEWEST = 1e-3, 5  # of accepted readings outside the window
_TOLERANCE = 1e-6  # of a window's edge: rounding of numbers in the file
_CLIPPED, _RAIL_READS, _RAIL_RATIO = 0.01, 5, 3  # share at a rail; as in `screening.accumulate`
_FAR = 10.0  # times the highest level
_COARSE = 1.0  # step relative to a level's standard deviation


def find_outside_window(statistics: ProgramStatistics, levels: Levels, use: Bools) -> list[Finding]:
    """Report accepted readings that are outside the verify window of their level.

    Parameters
    ----------
    statistics : ProgramStatistics
    levels : Levels
    use : (row, col) bool array
        Cells that are not dead or stuck.
    """
    if levels.lower is None or levels.upper is None:
        return []
    sample = statistics.sample
    y = sample.conductance
    good = sample.accepted & (sample.level >= 0) & use & np.isfinite(y)
    low, high = (np.append(x, np.nan)[sample.level] for x in (levels.lower, levels.upper))
    beyond = np.fmax(low - y, y - high) - _TOLERANCE * np.fmax(np.abs(low), np.abs(high))
    outside = good & (beyond > 0)
    n, of = int(outside.sum()), int(good.sum())
    if n < max(_FEWEST, _SHARE * of) or n > 0.5 * of:
        return []
    return [
        Finding(
            f"{n} of {counted(of, 'accepted reading')} ({format_percent(n / of, 2)}) are outside "
            "the verify window of their level, by up to "
            f"{format_quantity(float(beyond[outside].max()), 'S', digits=2)}.",
            "Check whether the tester verified with another window, or read again after a delay. "
            "The fits include these readings.",
            affected=n / of,
            code="outside-window",
        )
    ]


def find_far_readings(statistics: ProgramStatistics, at: LevelSpread, use: Bools) -> list[Finding]:
    """Report single readings of cells that are not stuck, far beyond the highest level."""
    top = float(np.nanmax(at.centre, initial=-math.inf))
    if not top > 0:
        return []
    y = statistics.sample.conductance
    with np.errstate(invalid="ignore"):
        far = (np.abs(y) > _FAR * top) & use
    n = int(far.sum())
    if not n:
        return []
    of = int((np.isfinite(y) & use).sum())
    largest = float(y[far][np.argmax(np.abs(y[far]))])
    return [
        Finding(
            f"{n} of {counted(of, 'reading')} of cells that follow their levels "
            f"{'is' if n == 1 else 'are'} beyond {_FAR:g} times the highest level, the largest "
            f"{format_quantity(largest, 'S', digits=3)}.",
            "Check these readings for errors of the measurement range or of the unit, and replace "
            "them by NaN. They count as failed attempts if the tester did not accept them.",
            affected=n / of,
            code="far-readings",
        )
    ]


def find_rounding(statistics: ProgramStatistics, at: LevelSpread, use: Bools) -> list[Finding]:
    """Report readings rounded to steps as large as a level's standard deviation, or larger."""
    sample = statistics.sample
    good = sample.accepted & use & np.isfinite(sample.conductance)
    values = grid_step(sample.conductance[good])[0]
    if not values.size:
        return []
    coarse = []
    for k in np.flatnonzero(np.isfinite(at.centre)):
        y = sample.conductance[good & (sample.level == k)]
        step = local_step(values, float(at.centre[k]))
        if y.size >= _FEWEST and step > _COARSE * float(y.std()):
            coarse.append((int(k), step))
    if not coarse:
        return []
    names = ", ".join(str(k) for k, _ in coarse[:8]) + (" and more" if len(coarse) > 8 else "")
    step = max(s for _, s in coarse)
    added = format_quantity(step / math.sqrt(12), "S", digits=2)
    return [
        Finding(
            f"Readings are rounded to steps of up to {format_quantity(step, 'S', digits=2)}, more "
            f"than the standard deviation of {'levels' if len(coarse) > 1 else 'level'} {names}. "
            f"Where a level spreads over several steps, its deviations include the rounding, "
            f"{added} (one standard deviation).",
            "Measure in a finer range, or with a converter of more bits.",
            affected=len(coarse) / len(at.centre),
            code="rounded-readings",
        )
    ]


def find_clipped_reads(name: str, reads: Floats) -> list[Finding]:
    """Report repeated reads that are clipped at the lowest or the highest value.

    Parameters
    ----------
    name : str
        Name of the group.
    reads : (read, cell) array
        Some readings [S].
    """
    y = reads[np.isfinite(reads)]
    if not y.size:
        return []
    values, counts = np.unique(y, return_counts=True)
    out = []
    for word, end, step in (("floor", 0, 1), ("ceiling", -1, -1)):
        n = int(counts[end])
        rail = values.size > 1 and n >= max(_RAIL_READS, _RAIL_RATIO * counts[end + step])
        if not rail or n <= _CLIPPED * y.size:
            continue
        if word == "floor" and values[0] > 0 and grid_step(y)[1] is not None:
            continue
        out.append(
            Finding(
                f"{name}: {format_percent(n / y.size)} of readings are at the {word} of the "
                f"read-out range, {format_quantity(float(values[end]), 'S', digits=3)}, so noise "
                "and changes of these cells look too small.",
                "Choose a read-out range that covers all levels, and measure again.",
                affected=n / y.size,
                code="at-a-rail",
            )
        )
    return out
