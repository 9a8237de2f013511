"""Readings of `/retention` in order of time since programming.

A time before programming is no retention time. A file with some has taken its clock's zero at
another moment, or a difference the wrong way round; these readings are left out.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rramfit.errors import FitError
from rramfit.fitting.results.result import Finding
from rramfit.measurement.file.record import Reads
from rramfit.units import format_quantity

__all__ = ["retention_readings"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MAX_TIMES = 64  # of more times, those nearest to even steps in ln t are used


def retention_readings(retention: Reads) -> tuple[Floats, Floats, list[Finding]]:
    """Return sorted times and readings (time, row, col), at most `MAX_TIMES` even in ln t.

    Readings at a negative or missing time are left out, with a finding.
    """
    time = np.asarray(retention.time, dtype=np.float64)
    if len(time) < 2:
        msg = f"/retention/time has length {len(time)}; expected at least 2 readings"
        raise FitError(msg)
    with np.errstate(invalid="ignore"):
        valid = np.isfinite(time) & (time >= 0)
    found = [] if valid.all() else [_invalid_times(time, valid)]
    if valid.sum() < 2:
        msg = f"{found[0].what}, and fewer than 2 are left" if found else "no times"
        raise FitError(msg)
    order = np.argsort(time, kind="stable")
    order = order[valid[order]]
    if not (time > 0).any():
        msg = "/retention/time: all readings are at time 0; expected at least one later reading"
        raise FitError(msg)
    keep = order
    if len(order) > MAX_TIMES:
        x = np.log(np.maximum(time[order], time[valid & (time > 0)].min() / math.e))
        even = np.linspace(x[0], x[-1], MAX_TIMES)
        keep = order[np.unique(np.searchsorted(x, even).clip(0, len(x) - 1))]
    wanted = np.zeros(len(time), dtype=bool)
    wanted[keep] = True
    taken, first = [], 0
    for block in retention.blocks():
        taken.append(block[wanted[first : first + len(block)]])
        first += len(block)
    y = np.concatenate(taken)
    rank = np.argsort(time[wanted], kind="stable")
    return time[wanted][rank], y[rank], found


def _invalid_times(time: Floats, valid: Bools) -> Finding:
    bad = time[~valid]
    earliest = "missing"
    if np.isfinite(bad).any():
        earliest = (
            f"negative or missing, the earliest {format_quantity(float(np.nanmin(bad)), 's')}"
        )
    return Finding(
        f"{len(bad)} of {len(time)} times of /retention are {earliest}; the fits leave these "
        "readings out",
        "Is the clock's zero later than the programming, or was the difference taken the wrong "
        "way round? Write seconds since programming to /retention/time",
        code="retention-times",
    )
