"""Offsets of the read-out: readings that must be zero, or cannot be negative, but are.

A conductance is never negative, an open line does not conduct, and no current flows at 0 V; any
other reading is an offset of the read-out. Read noise of mean zero also makes readings of a low
level negative, so negative readings alone are no offset. They are one if

    the median over cells is negative, beyond its error;
    cells whose readings are negative on average in one half of the sweeps are so in the other half;
    more readings of a level are negative than its spread explains: P(y < 0) = Φ(−m/s), with m the
    median and s its distance to the 16 % quantile.

Readings are judged by level, and those of attempts that failed apart. At least one in a thousand
and five of a level must be negative. A mean of dead lines or at 0 V is reported beyond 3.29
standard errors.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.cells import Fault
from rramfit.fitting.results.result import Finding
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.screening.screening import Screening
from rramfit.fitting.screening.stuck import level_spread
from rramfit.measurement.file.curves import on_common_voltages
from rramfit.measurement.file.record import IVSweeps, Measurement
from rramfit.units import format_quantity

__all__ = ["find_offset", "largest_zero"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

_Z = 3.29  # two-sided 1e-3
_NEGATIVE_SHARE, _FEWEST = 1e-3, 5
_EXCESS = 4.0  # standard deviations of a count
_RELATIVE = 2e-3  # of the largest current: smaller offsets are ignored
_LOWEST_SHARE = 0.02  # of the lowest level: smaller offsets of dead lines are ignored
_AT_FLOOR = 0.1  # share of the readings of dead lines at the rail that hides an offset
_REMEDY = "Measure the offset with open inputs and subtract it; it affects low levels most."


def find_offset(
    measurement: Measurement, statistics: ProgramStatistics | None, screening: Screening
) -> list[Finding]:
    """Check for negative conductances, dead lines that conduct, and current at 0 V."""
    out = []
    healthy = screening.healthy
    if statistics is not None:
        out += _negative_program(statistics, screening)
        out += _dead_lines(statistics, screening)
    for name, reads in (("/reads", measurement.reads), ("/retention", measurement.retention)):
        if reads is not None:
            maps = (y for block in reads.blocks() for y in block)
            out += _negative_reads(name, [maps], reads.level, healthy)
    if (endurance := measurement.endurance) is not None:
        level = np.zeros(healthy.shape, dtype=np.int64)
        states = np.moveaxis(endurance.conductance, 1, 0)
        out += _negative_reads("/endurance", states, level, healthy)
    if measurement.iv is not None:
        out += _current_at_zero(measurement.iv)
    return out


def largest_zero(statistics: ProgramStatistics | None, screening: Screening) -> float:
    """Return the median of a dead line below which it reads zero [S]: well below every level."""
    if statistics is not None and len(statistics.attempts):
        at = level_spread(statistics, screening.healthy)
        if np.isfinite(at.centre).any():
            k = int(np.nanargmin(at.centre))
            centre, spread = max(float(at.centre[k]), 0.0), float(at.spread[k])
            return max(0.25 * centre, centre - 4 * spread, 2 * spread)
    value = np.abs(screening.value[screening.healthy])
    return 0.1 * float(np.nanmedian(value)) if np.isfinite(value).any() else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Readings of cells that were asked for the same level, or of all others."""

    halves: Floats  # [S] (2, cell) mean of every other reading of a cell; NaN if none
    sample: Floats  # [S] (reading,)
    one_level: bool

    @property
    def offset(self) -> bool:
        """Whether an offset is needed to explain the negative readings."""
        negative = int((self.sample < 0).sum())
        if negative < max(_FEWEST, _NEGATIVE_SHARE * self.sample.size):
            return False
        a, b = self.halves[:, np.isfinite(self.halves).any(axis=0)]
        cells = np.nanmean(np.stack([a, b]), axis=0)
        in_the_other = (y[(x < 0) & np.isfinite(y)] for x, y in ((a, b), (b, a)))
        if _is_negative(cells) or any(_is_negative(y) for y in in_the_other):
            return True
        each = self.sample.size / max(cells.size, 1)
        return self.one_level and _too_many(self.sample, negative, each=each)


def _is_negative(cells: Floats) -> bool:
    """Return whether the median of cells is negative, beyond its error."""
    if cells.size < _FEWEST:
        return False
    middle = float(np.median(cells))
    spread = float(np.median(np.abs(cells - middle))) / 0.6745
    return middle < -_Z * 1.2533 * spread / math.sqrt(cells.size)


def _too_many(y: Floats, negative: int, *, each: float) -> bool:
    """Return whether more readings are negative than the spread of a level explains.

    Readings of one cell, `each` of them, are taken as equal.
    """
    middle, low = np.quantile(y, [0.5, 0.1587])
    if middle <= 0:
        return False
    p = float(special.ndtr(-middle / (middle - low))) if middle > low else 0.0
    error = math.sqrt(each * (y.size * p * (1 - p) + 1))
    return bool(negative - y.size * p > max(_EXCESS * error, _FEWEST, _NEGATIVE_SHARE * y.size))


def _negative_program(statistics: ProgramStatistics, screening: Screening) -> list[Finding]:
    """Judge accepted readings of healthy cells by level, and the others together."""
    sample = statistics.sample
    dead = screening.where(Fault.DEAD_ROW, Fault.DEAD_COL, Fault.NOT_MEASURED)
    use = np.isfinite(sample.conductance) & ~dead
    negative = int((sample.conductance[use] < 0).sum())
    if negative < _FEWEST:
        return []
    good = use & sample.accepted & screening.healthy
    levels = np.unique(sample.level[good])
    kinds = [(good & (sample.level == k), bool(k >= 0)) for k in levels]
    groups = [_in_halves(sample.conductance, mine, one) for mine, one in kinds]
    groups.append(_in_halves(sample.conductance, use & ~good, one_level=False))
    lowest = float(np.nanmin(np.where(dead, np.nan, statistics.lowest)))
    return _finding("/program", groups, negative, int(use.sum()), lowest)


def _in_halves(y: Floats, use: Bools, one_level: bool) -> _Group:
    """Collect some readings, (sweep, row, col), of each cell in two halves by their order."""
    seen = use.any(axis=0)
    x, mine = y[:, seen], use[:, seen]
    order = np.cumsum(mine, axis=0) % 2
    halves = np.full((2, x.shape[1]), np.nan)
    for i in range(2):
        here = mine & (order == i)
        n = here.sum(axis=0)
        np.divide(np.where(here, x, 0.0).sum(axis=0), n, out=halves[i], where=n > 0)
    return _Group(halves=halves, sample=x[mine], one_level=one_level)


def _negative_reads(
    name: str, repeats: Iterable[Iterable[Floats]], level: Integers, healthy: Bools
) -> list[Finding]:
    """Judge repeated reads of states by level; the map with most negative readings is the sample.

    Parameters
    ----------
    name : str
        Name of the group.
    repeats : iterable over states of iterables of (row, col) arrays
        [S]
    level : (row, col) int array
    healthy : (row, col) bool array
    """
    groups: list[_Group] = []
    negative, readings, lowest = 0, 0, np.inf
    for maps in repeats:
        total, n = (np.zeros((2, int(healthy.sum()))) for _ in range(2))
        worst, most = np.full(total.shape[1], np.nan), -1
        for i, y in enumerate(maps):
            x = np.asarray(y[healthy], dtype=np.float64)
            seen, below = np.isfinite(x), int((x < 0).sum())
            total[i % 2] += np.where(seen, x, 0.0)
            n[i % 2] += seen
            negative, readings = negative + below, readings + int(seen.sum())
            lowest = min(lowest, float(np.min(x, initial=np.inf, where=seen)))
            if below > most:
                worst, most = x, below
        halves = np.full(total.shape, np.nan)
        np.divide(total, n, out=halves, where=n > 0)
        for k in np.unique(level[healthy]):
            mine = level[healthy] == k
            sample = worst[mine & np.isfinite(worst)]
            groups.append(_Group(halves=halves[:, mine], sample=sample, one_level=bool(k >= 0)))
    return _finding(name, groups, negative, readings, lowest)


def _finding(
    name: str, groups: list[_Group], negative: int, readings: int, lowest: float
) -> list[Finding]:
    if not any(group.offset for group in groups):
        return []
    return [
        Finding(
            f"{name}: {negative} of {readings} readings are negative, down to "
            f"{format_quantity(lowest, 'S', digits=3)}, which noise of mean zero does not explain; "
            "the read-out has an offset.",
            _REMEDY,
            affected=negative / readings,
            code="negative-readings",
        )
    ]


def _dead_lines(statistics: ProgramStatistics, screening: Screening) -> list[Finding]:
    """Check whether dead lines read a conductance other than zero."""
    dead = np.zeros(screening.fault.shape, dtype=bool)
    limit = largest_zero(statistics, screening)
    for axis, fault in ((1, Fault.DEAD_ROW), (0, Fault.DEAD_COL)):
        mine = screening.where(fault) & np.isfinite(screening.value)
        for i in np.flatnonzero(mine.any(axis=axis)):
            line = np.s_[i, :] if axis else np.s_[:, i]
            near = abs(float(np.median(screening.value[line][mine[line]]))) < limit
            dead[line] |= mine[line] & near
    y = screening.value[dead]
    clipped = int(statistics.clipped[0][dead].sum())
    if y.size < _FEWEST or clipped > _AT_FLOOR * int(statistics.measured[dead].sum()):
        return []
    lowest = float(np.nanmedian(np.abs(screening.value[screening.healthy])))
    if len(statistics.attempts):
        centre = level_spread(statistics, screening.healthy).centre
        lowest = float(np.nanmin(np.abs(centre))) if np.isfinite(centre).any() else lowest
    mean, error = float(y.mean()), float(y.std(ddof=1)) / math.sqrt(y.size)
    if abs(mean) < max(_Z * error, _LOWEST_SHARE * lowest):
        return []
    return [
        Finding(
            f"The dead lines read {format_quantity(mean, 'S', digits=3)} and not zero, which is an "
            "offset of the read-out.",
            _REMEDY,
            code="dead-lines-read-an-offset",
        )
    ]


def _current_at_zero(iv: IVSweeps) -> list[Finding]:
    """Check whether the mean current over cells is zero at 0 V."""
    iv = on_common_voltages(iv)
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
            code="current-at-zero-volt",
        )
    ]
