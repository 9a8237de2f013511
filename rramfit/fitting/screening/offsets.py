"""What the instrument adds: readings where there can be none.

No cell conducts less than nothing, an open line conducts nothing, and at 0 V no current flows. What
is read there is an offset of the read-out. Read noise makes a cell of next to no conductance read
negative now and then, but not far: negative readings count where one in a thousand is, or where
they reach beyond what noise makes of the smallest.
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
_RELATIVE = 2e-3  # of the array's conductance, or of the largest current: below, of no account
_REMEDY = "measure the read-out with inputs open and subtract it; low levels hold the offset"


def find_offset(
    measurement: Measurement, statistics: ProgramStatistics | None, screening: Screening
) -> list[Finding]:
    """Look for readings where there can be none."""
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
            f"{format_quantity(lowest, 'S')}: the read-out has an offset of at least that",
            _REMEDY,
        )
    ]


def _negative_maps(maps: Iterable[Floats], healthy: NDArray[np.bool_]) -> tuple[int, int, float]:
    """Negative readings and all, of the map (row, col) that has the most; and its lowest."""
    worst, lowest = (0, 1), np.nan
    for whole in maps:
        y = whole[healthy]
        count = (int((y < 0).sum()), int(np.isfinite(y).sum()))
        if count[0] / max(count[1], 1) > worst[0] / max(worst[1], 1):
            worst = count
            lowest = float(np.nanmin(y))
    return worst[0], worst[1], lowest


def _dead_lines(statistics: ProgramStatistics, screening: Screening) -> list[Finding]:
    """Open lines that read something."""
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
            f"dead lines read {format_quantity(mean, 'S')} rather than nothing: the read-out has "
            "that offset",
            _REMEDY,
        )
    ]


def _current_at_zero(iv: IVSweeps) -> list[Finding]:
    """Say what current flows at 0 V, over cells."""
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
            f"/iv: {format_quantity(mean, 'A')} flow at 0 V, mean over {y.size} cells "
            f"(± {format_quantity(error, 'A')}): an offset of the instrument",
            "measure the instrument with its inputs open and subtract it; the fit of /iv has an "
            "offset of its own",
        )
    ]
