"""Offsets of the read-out: readings that must be zero, or cannot be negative, but are.

A conductance is never negative, an open line does not conduct, and no current flows at 0 V; any
other reading is an offset of the read-out. Read noise makes a cell of almost zero conductance read
negative at times, so negative readings are reported only from one in a thousand (at least five). A
mean of dead lines or at 0 V is reported beyond 3.29 standard errors.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from rramfit.card.cells import Fault
from rramfit.fitting.result import Finding
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.screening.screening import Screening
from rramfit.measurement.file.record import IVSweeps, Measurement
from rramfit.units import format_quantity

__all__ = ["find_offset"]

Floats = NDArray[np.float64]

_Z = 3.29  # two-sided 1e-3
_NEGATIVE_SHARE, _FEWEST = 1e-3, 5
_RELATIVE = (
    2e-3  # of the array's conductance, or of the largest current: smaller offsets are ignored
)
_REMEDY = "Measure the offset with open inputs and subtract it; it affects low levels most."


def find_offset(
    measurement: Measurement, statistics: ProgramStatistics | None, screening: Screening
) -> list[Finding]:
    """Check for negative conductances, dead lines that conduct, and current at 0 V."""
    out = []
    if statistics is not None:
        n = int(np.isfinite(statistics.sample.conductance).sum())
        negative = statistics.sample.conductance[statistics.sample.conductance < 0]
        dead = screening.where(Fault.DEAD_ROW, Fault.DEAD_COL)
        in_dead = int((statistics.sample.conductance[:, dead] < 0).sum())
        lowest = float(np.nanmin(np.where(dead, np.nan, statistics.lowest), initial=np.inf))
        out += _negative("/program", negative.size - in_dead, n, lowest)
        out += _dead_lines(statistics, screening)
    for name, reads in (("/reads", measurement.reads), ("/retention", measurement.retention)):
        if reads is not None:
            maps = (y for block in reads.blocks() for y in block)
            out += _negative(name, *_negative_maps(maps, screening.healthy))
    if (endurance := measurement.endurance) is not None:
        states = endurance.conductance
        flat = states.reshape(-1, *states.shape[2:])
        out += _negative("/endurance", *_negative_maps(flat, screening.healthy))
    if measurement.iv is not None:
        out += _current_at_zero(measurement.iv)
    return out


def _negative(name: str, negative: int, readings: int, lowest: float) -> list[Finding]:
    if negative < max(_FEWEST, _NEGATIVE_SHARE * readings):
        return []
    return [
        Finding(
            f"{name}: {negative} of {readings} readings are negative, down to "
            f"{format_quantity(lowest, 'S', digits=3)}; the read-out has an offset.",
            _REMEDY,
            affected=negative / readings,
        )
    ]


def _negative_maps(maps: Iterable[Floats], healthy: NDArray[np.bool_]) -> tuple[int, int, float]:
    """Return the negative and all readings of the map with the largest share; and its minimum."""
    worst, lowest = (0, 1), np.nan
    for conductance in maps:
        y = conductance[healthy]
        count = (int((y < 0).sum()), int(np.isfinite(y).sum()))
        if count[0] / max(count[1], 1) > worst[0] / max(worst[1], 1):
            worst = count
            lowest = float(np.nanmin(y))
    return worst[0], worst[1], lowest


def _dead_lines(statistics: ProgramStatistics, screening: Screening) -> list[Finding]:
    """Check whether dead lines read a conductance other than zero."""
    dead = screening.where(Fault.DEAD_ROW, Fault.DEAD_COL)
    y = screening.value[dead & np.isfinite(screening.value)]
    scale = float(np.nanquantile(statistics.highest, 0.95)) if y.size else 0.0
    y = y[np.abs(y) < 0.1 * scale]
    if y.size < _FEWEST:
        return []
    mean, error = float(y.mean()), float(y.std(ddof=1)) / math.sqrt(y.size)
    if abs(mean) < max(_Z * error, _RELATIVE * scale):
        return []
    return [
        Finding(
            f"The dead lines read {format_quantity(mean, 'S', digits=3)} and not zero, which is an "
            "offset of the read-out.",
            _REMEDY,
        )
    ]


def _current_at_zero(iv: IVSweeps) -> list[Finding]:
    """Check whether the mean current over cells is zero at 0 V."""
    at = int(np.argmin(np.abs(iv.voltage)))
    if abs(iv.voltage[at]) > 1e-6:
        return []
    live = np.nanmax(np.abs(iv.current), axis=1, initial=0.0) > 0
    y = iv.current[live, at]
    y = y[np.isfinite(y)]
    if y.size < _FEWEST:
        return []
    mean, error = float(y.mean()), float(y.std(ddof=1)) / math.sqrt(y.size)
    largest = float(np.nanmax(np.abs(iv.current[live]), axis=1).mean())
    if abs(mean) < max(_Z * error, _RELATIVE * largest):
        return []
    return [
        Finding(
            f"/iv: a mean current of {format_quantity(mean, 'A', digits=3)} "
            f"(± {format_quantity(error, 'A', digits=2)}) flows at 0 V in {y.size} cells, which is "
            "an offset of the instrument.",
            "Measure the current with open inputs and subtract it. The fit of /iv estimates the "
            "offset as a parameter.",
        )
    ]
