"""Signs that a file or a layout file is wrong although it is valid: units, reciprocals, times.

A unit that is off by 10³, a resistance read as a conductance or a time in milliseconds gives
numbers that every fit accepts. They are compared here with the targets, per level by the median,
with the range of resistive memory, 1 nS to 100 mS, and with the lengths of experiments. Only what
no array can do is a problem; an array that was never formed, or whose cells all failed, is not.

A sample of the readings is enough: blocks are read until every level is seen.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rramfit.errors import MeasurementError
from rramfit.measurement.file.problem import Problem, raise_first_violation
from rramfit.measurement.file.record import Floats, Integers, Measurement, Reads
from rramfit.units import format_quantity

__all__ = ["implausible", "raise_implausible"]

_LOWEST, _HIGHEST = 1e-9, 0.1  # [S] conductances of resistive memory
_ENOUGH = 20  # readings of a level after which no more are read
_FEWEST = 3  # readings of a level that show a factor of 1000
_FEWEST_ORDERED = 8  # readings of each level that show a wrong order
_MOST_READINGS = 1 << 22
_BLOCK = 4  # sweeps or reads at a time
_NEGATIVE = 0.9  # share of the readings; offsets make a few of a high resistance negative
_OFF = 2.5  # decades between readings and targets that no programming error makes at every level
_NEAR = 0.35  # decades: a factor of 2.2 about a power of 1000
_PROPORTIONAL = 0.2  # decades: readings follow the targets but for a factor
_APART = 3.0  # ratio of targets that lets one see whether readings follow them
_FALLS = 1.5  # ratio by which readings fall while targets rise
_YEAR = 365.25 * 86400.0  # [s]
_LONGEST = 3 * _YEAR  # of a retention measurement
_HOUR, _HOUR_IN_MS, _DAY = 3600.0, 3.6e6, 86400.0
_LONGEST_PULSE = 1.0  # [s]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """Readings of one group and the levels of their cells."""

    where: str
    conductance: Floats
    level: Integers  # same shape; -1 = unknown


def raise_implausible(measurement: Measurement, path: Path) -> None:
    """Raise an error for the first sign that the content of a measurement is wrong.

    Raises
    ------
    MeasurementError
        With the evidence.
    """
    raise_first_violation(implausible(measurement, path))


def implausible(measurement: Measurement, path: Path) -> list[Problem]:
    """List the signs that the content of a measurement is wrong, with the evidence.

    Parameters
    ----------
    measurement : Measurement
    path : Path
        For the messages.
    """
    m = measurement
    problems: list[Problem] = []
    target = None if m.levels is None else m.levels.target
    if target is not None:
        problems += _target_problems(path, target)
    for sample in _samples(m):
        if target is None or not np.any(sample.level >= 0):
            problems += _range_problems(path, sample)
        else:
            problems += _level_problems(path, sample, target)
    for name, bake in (("reads", m.reads), *(("retention", bake) for bake in m.bakes)):
        if bake is not None:
            problems += _time_problems(path, f"/{name}/time", bake.time)
    problems += _width_problems(path, m)
    return problems


def _samples(m: Measurement) -> Iterator[_Sample]:
    if m.program is not None:
        blocks = ((b.conductance, b.level) for b in m.program.blocks(_BLOCK))
        yield _collected("/program/conductance", blocks, 0 if m.levels is None else len(m.levels))
    for name, reads in (("reads", m.reads), ("retention", m.retention)):
        if reads is not None:
            yield _of_reads(f"/{name}/conductance", reads)
    for name, g in (
        ("endurance", None if m.endurance is None else m.endurance.conductance),
        ("mvm", None if m.mvm is None else m.mvm.conductance),
        ("pulses", None if m.pulses is None else m.pulses.conductance),
    ):
        if g is not None:
            where = f"/{name}/conductance"
            yield _Sample(where=where, conductance=g, level=np.full(g.shape, -1, np.int64))
    if (a := m.attempts) is not None and a.conductance is not None:
        level = np.full(a.conductance.shape, -1, np.int64)
        yield _Sample(where="/attempts/conductance", conductance=a.conductance, level=level)


def _of_reads(where: str, reads: Reads) -> _Sample:
    blocks = ((g, np.broadcast_to(reads.level, g.shape)) for g in reads.blocks(1))
    return _collected(where, itertools.islice(blocks, 1), 0)


def _collected(where: str, blocks: Iterator[tuple[Floats, Integers]], levels: int) -> _Sample:
    """Return the first blocks, until every level is seen."""
    conductance, level = [], []
    seen, size = np.zeros(levels, np.int64), 0
    for g, k in _readable(blocks):
        conductance.append(g.ravel())
        level.append(np.ravel(k))
        if levels:
            read = level[-1][np.isfinite(conductance[-1]) & (level[-1] >= 0)]
            seen += np.bincount(read, minlength=levels)[:levels]
        size += g.size
        if size >= _MOST_READINGS or (levels and np.all(seen >= _ENOUGH)):
            break
    if not conductance:
        conductance, level = [np.empty(0)], [np.empty(0, np.int64)]
    return _Sample(
        where=where, conductance=np.concatenate(conductance), level=np.concatenate(level)
    )


def _readable(
    blocks: Iterator[tuple[Floats, Integers]],
) -> Iterator[tuple[Floats, Integers]]:
    """Yield blocks up to the first with wrong values, which is reported where all are read."""
    with contextlib.suppress(MeasurementError):
        yield from blocks


def _target_problems(path: Path, target: Floats) -> Iterator[Problem]:
    low, high = float(target[0]), float(target[-1])
    if high > _HIGHEST or high < _LOWEST:
        span = _s(high) if low == high else f"{_s(low)} to {_s(high)}"
        yield Problem(
            path=path,
            where="/levels/target",
            found=f"targets of {span}",
            expected=f"conductances of {_s(_LOWEST)} to {_s(_HIGHEST)}, as of resistive memory",
            remedy="correct the unit of the targets; if they are resistances, name the unit ohm",
        )


def _range_problems(path: Path, sample: _Sample) -> Iterator[Problem]:
    """Compare readings of unknown level with the range of resistive memory."""
    known = sample.conductance[np.isfinite(sample.conductance)]
    size = np.abs(known)
    if not size.size:
        return
    if size.size >= _FEWEST and np.mean(known < 0) > _NEGATIVE:
        yield Problem(
            path=path,
            where=sample.where,
            found=f"negative conductances in {np.count_nonzero(known < 0)} of {size.size} readings",
            expected="conductances above 0, but for offsets of the read-out",
            remedy='reverse the sign of the current or its voltage in the layout: `column = "-I"`',
        )
    median, high = float(np.median(size)), float(np.quantile(size, 0.95))
    if median > _HIGHEST or high < _LOWEST / 1000:
        yield Problem(
            path=path,
            where=sample.where,
            found=f"readings of {_s(median)} (median of {size.size})",
            expected=f"conductances of {_s(_LOWEST)} to {_s(_HIGHEST)}, as of resistive memory",
            remedy="correct the unit; if the readings are resistances, name the unit ohm",
        )


def _level_problems(path: Path, sample: _Sample, target: Floats) -> Iterator[Problem]:
    """Compare the median reading of each level with its target."""
    g, level = sample.conductance.ravel(), sample.level.ravel()
    seen, medians, counts = [], [], []
    for k in range(len(target)):
        of_level = np.abs(g[(level == k) & np.isfinite(g)])
        if of_level.size >= _FEWEST and target[k] > 0 and np.median(of_level) > 0:
            seen.append(k)
            counts.append(of_level.size)
            medians.append(float(np.median(of_level)))
    if not seen:
        return
    t, median = target[seen], np.array(medians)
    evidence = _evidence(seen, t, median)
    ratio = np.log10(median / t)
    apart = float(t[-1] / t[0]) if len(t) > 1 else 1.0
    falls = np.all(np.diff(median) < 0) and median[0] / median[-1] >= _FALLS
    if apart >= _FALLS and falls and min(counts) >= _FEWEST_ORDERED:
        slope = float(np.polyfit(np.log(t), np.log(median), 1)[0])
        inverse = abs(slope + 1) < 0.3  # also with the spread of real levels
        yield Problem(
            path=path,
            where=sample.where,
            found=f"readings that fall while targets rise ({evidence})"
            + (", as 1/target: these are resistances" if inverse else ""),
            expected="readings that rise with the target conductance",
            remedy="if the readings are resistances, name a unit of resistance (ohm, kohm, Mohm); "
            "else check that `level` counts the levels in rising order of conductance",
        )
        return
    size = np.abs(ratio)
    off = np.all(ratio > _OFF) or np.all(ratio < -_OFF)
    power = 3 * round(float(np.median(ratio)) / 3)
    near = power != 0 and bool(np.all(np.abs(ratio - power) < _NEAR))
    follows = apart >= _APART and float(np.ptp(ratio)) < _PROPORTIONAL
    if off and (near or follows or float(median[-1]) > _HIGHEST):
        factor = f"10^{abs(power)}" if near else f"{10 ** float(np.median(size)):.2g}"
        side = "above" if ratio[0] > 0 else "below"
        yield Problem(
            path=path,
            where=sample.where,
            found=f"readings about {factor} times {side} their targets ({evidence})",
            expected=f"readings near the targets, between {_s(_LOWEST)} and {_s(_HIGHEST)}",
            remedy="correct the unit of the readings or of the targets"
            + (f"; a factor of 10^{abs(power)} is a wrong prefix (n, u, m, k)" if near else "")
            + "; if the readings are resistances, name a unit of resistance",
        )


def _evidence(seen: list[int], target: Floats, median: Floats) -> str:
    """Return the first and last level with their target and median reading."""
    ends = dict.fromkeys((0, len(seen) - 1))
    return "; ".join(
        f"level {seen[i]}: target {_s(float(target[i]))}, median reading {_s(float(median[i]))}"
        for i in ends
    )


def _time_problems(path: Path, where: str, time: Floats) -> Iterator[Problem]:
    """Recognize times in milliseconds that are taken as seconds."""
    longest = float(np.nanmax(time)) if time.size else 0.0
    later = time[time > 0]
    # 1000 h is a common length and 3.6e6 s, too; then the other times are whole hours as well
    whole = bool(np.all(later % 1000 == 0)) and bool(np.any(later % _HOUR != 0))
    hours = later[(later % _HOUR_IN_MS == 0) & (later % _DAY != 0)] if whole else later[:0]
    if hours.size:
        t = float(hours[0])
        found = (
            f"times that are whole seconds and hours only as milliseconds: {t:g} s is "
            f"{t / _DAY:.2f} days, {t:g} ms is {t / _HOUR_IN_MS:g} h"
        )
    elif longest > _LONGEST:
        found = f"times up to {longest:g} s, {longest / _YEAR:.1f} years"
    else:
        return
    yield Problem(
        path=path,
        where=where,
        found=found,
        expected="times of an experiment, in the unit that is named",
        remedy="correct the unit of the times, for example to ms",
    )


def _width_problems(path: Path, m: Measurement) -> Iterator[Problem]:
    for name, record in (("pulses", m.pulses), ("attempts", m.attempts)):
        width = None if record is None else record.width
        if width is None or not np.any(np.isfinite(width)):
            continue
        typical = float(np.nanmedian(width))
        if typical > _LONGEST_PULSE:
            yield Problem(
                path=path,
                where=f"/{name}/width",
                found=f"pulses of {typical:g} s (median)",
                expected=f"pulse widths below {_LONGEST_PULSE:g} s",
                remedy="correct the unit of the widths, for example to ns",
            )


def _s(conductance: float) -> str:
    if not math.isfinite(conductance):
        return f"{conductance} S"
    return format_quantity(conductance, "S")
