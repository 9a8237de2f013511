"""Dead rows and columns: an open line, or a line that reads a constant.

Each cell is judged against what was asked of it, never against the array as a whole: half of a
sound chip reads 1 % of the other half if it was programmed so. With the readings of level k in the
median line, let m be their median and q their 5 % quantile. A cell that was asked for level k and
was never accepted is

    silent    if it reads below both m/4 and q,
    loud      if it reads above q.

A level whose distribution includes 0 (q <= 0) reads like an open line: there, a cell is silent if
the tester rejected it and it reads no more than the level, and is not judged if acceptance is not
known. A cell is unresponsive if it is silent at a level that it was asked for and loud at none, or
does not follow its targets (`rramfit.fitting.screening.stuck`). A line is dead if at least 90 % of
the cells that can be judged are unresponsive, and if chance does not explain it:

    lines · P(Binomial(n, p) >= m) < 1e-4,

with m unresponsive cells among n, and p their share among the cells of the other lines that were
asked for the same levels (in the median line). A level on a single line is not judged: a dead line
and a level that cannot be programmed look alike.

A line is also dead if all its cells read the same: if their spread is far below the usual spread
within a line at the same levels, and the tester did not accept them. Without known levels, readings
must be practically one number, or zero, because a line may have been programmed to one state; zero
is a rail, or 4 standard deviations of the noise that makes readings negative.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.fitting.screening.program_statistics import ProgramStatistics

__all__ = [
    "DeadLines",
    "constant_lines",
    "find_dead_lines",
    "mean_readings",
    "silent_cells",
    "unresponsive_lines",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

_UNRESPONSIVE_SHARE = 0.9
_FEWEST = 4  # measured cells that a line needs to be judged
_CHANCE = 1e-4  # of calling any line of a healthy array dead
_SILENT, _LOW = 0.25, 0.05  # share of the median; quantile
_FEWEST_IN_LINE = 8  # cells of a line for a median and a quantile
_FEWEST_NARROW = 16  # measured cells below which a narrow spread may be chance
_NARROW = 0.1  # spread of a constant line, relative to the usual one at its levels
_SAME = 1e-3  # relative spread of a constant line if levels are not known, or few cells are
_FEW_LINES = 0.1  # most lines that read one number and are not a pattern, if levels are not known
_REJECTED = 0.9  # share of a line's cells at one level that a constant line fails at
_NOISE = 4.0  # standard deviations of noise around zero
_SIGMA, _NINETY = 0.6745, 1.645  # half-widths of 50 % and 90 % of a normal variable
_FEWEST_NEGATIVE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLines:
    """Dead lines of one array."""

    rows: Bools  # (row,)
    cols: Bools  # (col,)


def find_dead_lines(
    value: Floats,
    level: Integers,
    *,
    unresponsive: Bools,
    judged: Bools,
    stratum: Integers,
    accepted: Bools | None = None,
    floor: float | None = None,
) -> DeadLines:
    """Find dead rows, and then dead columns among the other rows.

    Parameters
    ----------
    value : (row, col) array
        One reading of each cell [S]; NaN if there is none.
    level : (row, col) int array
        Target level of that reading; -1 if it is not known.
    unresponsive : (row, col) bool array
    judged : (row, col) bool array
        Cells that would be unresponsive in a dead line.
    stratum : (row, col) int array
        Cells of one stratum were asked for the same.
    accepted : (row, col) bool array, optional
        Whether the tester accepted that reading; None if it is not known.
    floor : float, optional
        Lower rail of the read-out [S].
    """
    found = []
    left = np.ones(value.shape, dtype=np.bool_)
    for axis in (0, 1):
        y = np.where(left, value, np.nan)
        dead = unresponsive_lines(unresponsive, judged & left, axis, stratum=stratum)
        dead |= constant_lines(y, level, axis, accepted=accepted)
        if (level < 0).all():
            dead |= _zero_lines(y, axis, floor)
        found.append(dead)
        left = np.broadcast_to(~found[0][:, None], value.shape)
    return DeadLines(rows=found[0], cols=found[1])


def mean_readings(statistics: ProgramStatistics) -> Floats:
    """Return the mean of each cell's readings at each level, accepted or not, (level, row, col)."""
    total = np.where(statistics.count > 0, statistics.count * statistics.mean, 0.0)
    total += np.where(statistics.failures > 0, statistics.failures * statistics.failed_mean, 0.0)
    out = np.full(total.shape, np.nan)
    np.divide(total, statistics.attempts, out=out, where=statistics.attempts > 0)
    return out


def silent_cells(readings: Floats, accepted: Bools | None = None) -> tuple[Bools, Bools]:
    """Find the cells that read far below the level they were asked for.

    Parameters
    ----------
    readings : (level, row, col) array
        Reading of each cell at each level [S]; NaN if there is none.
    accepted : (row, col) bool array, optional
        Whether the tester ever accepted the cell; None if it is not known.

    Returns
    -------
    silent, judged : (row, col) bool arrays
        `judged` cells are silent or loud.
    """
    silent, loud = (np.zeros(readings.shape[1:], dtype=bool) for _ in range(2))
    for y in readings:
        low = _in_median_line(y, _LOW)
        if low > 0:
            silent |= y < min(_SILENT * _in_median_line(y, 0.5), low)
            loud |= y >= low
        elif accepted is not None:
            silent |= ~accepted & (y <= _in_median_line(y, 1 - _LOW))
            loud |= ~accepted & (y > _in_median_line(y, 1 - _LOW))
    if accepted is not None:
        loud |= accepted
    return silent & ~loud, silent | loud


def _in_median_line(y: Floats, quantile: float) -> float:
    """Return a quantile of the median row or the median column, whichever is larger [S].

    Dead lines are in all lines across them, but in few along them.
    """
    found = []
    for x in (y, y.T):
        n = np.isfinite(x).sum(axis=1)
        full = n >= _FEWEST_IN_LINE
        if full.any():
            ordered = np.sort(x[full], axis=1)  # NaN last
            at = (quantile * (n[full] - 1)).astype(np.int64)
            found.append(float(np.median(ordered[np.arange(len(at)), at])))
    some = y[np.isfinite(y)]
    if not found and some.size:
        found.append(float(np.quantile(some, quantile)))
    return max(found, default=0.0)


def unresponsive_lines(
    unresponsive: Bools, judged: Bools, axis: int, *, stratum: Integers | None = None
) -> Bools:
    """Find rows (axis 0) or columns (axis 1) that are dead because their cells do not respond.

    Parameters
    ----------
    unresponsive : (row, col) bool array
    judged : (row, col) bool array
        Cells that would be unresponsive in a dead line.
    axis : {0, 1}
    stratum : (row, col) int array, optional
        Cells of one stratum were asked for the same.

    Returns
    -------
    (line,) bool array
    """
    strata = np.zeros(judged.shape, dtype=np.int64) if stratum is None else stratum
    n, m, expected = (np.zeros(judged.shape[axis]) for _ in range(3))
    for s in np.unique(strata[judged]):
        mine = judged & (strata == s)
        cells = mine.sum(axis=1 - axis)
        silent = (mine & unresponsive).sum(axis=1 - axis)
        elsewhere = _in_other_lines(silent, cells)
        known = np.isfinite(elsewhere)
        n += np.where(known, cells, 0)
        m += np.where(known, silent, 0)
        expected += np.where(known, cells * np.where(known, elsewhere, 0.0), 0.0)
    seen = n >= _FEWEST
    if not seen.any():
        return np.zeros(len(n), dtype=bool)
    p = np.clip(expected / np.maximum(n, 1), 1.0 / (n.sum() + 1), 1.0)
    tail = np.where(m > 0, special.betainc(np.maximum(m, 1), n - m + 1.0, p), 1.0)
    dead: Bools = seen & (m >= _UNRESPONSIVE_SHARE * n) & (tail * seen.sum() < _CHANCE)
    return dead


def _in_other_lines(events: Integers, cells: Integers) -> Floats:
    """Return the share of events in the median of the other lines, (line,); NaN if none has any."""
    out = np.full(len(cells), np.nan)
    used = np.flatnonzero(cells > 0.25 * cells.max())
    share = events[used] / cells[used]
    order = np.argsort(share, kind="stable")
    ordered, n = share[order], len(used)
    rank = np.full(len(cells), n)  # lines that are not used have no share to leave out
    rank[used[order]] = np.arange(n)
    for i in np.flatnonzero(cells > 0):
        others = np.delete(ordered, rank[i]) if rank[i] < n else ordered
        if others.size:
            middle = (others.size - 1) // 2, others.size // 2
            out[i] = 0.5 * (others[middle[0]] + others[middle[1]])
    return out


def constant_lines(
    value: Floats, level: Integers, axis: int, *, accepted: Bools | None = None
) -> Bools:
    """Find rows (axis 0) or columns (axis 1) that read a constant.

    Parameters
    ----------
    value : (row, col) array
        One reading of each cell [S]; NaN if there is none.
    level : (row, col) int array
        Target level of that reading; -1 if it is not known.
    axis : {0, 1}
    accepted : (row, col) bool array, optional
        Whether the tester accepted that reading; None if it is not known.

    Returns
    -------
    (line,) bool array
    """
    x, k = (value, level) if axis == 0 else (value.T, level.T)
    spread = _spread_within_lines(x, k)
    passed = None if accepted is None else (accepted if axis == 0 else accepted.T)
    out, without = (np.zeros(len(x), dtype=bool) for _ in range(2))
    for i, (y, asked) in enumerate(zip(x, k, strict=True)):
        ok = np.isfinite(y)
        n = int(ok.sum())
        if n < _FEWEST:
            continue
        centre, around = _most_of(y[ok])
        known = ok & (asked >= 0)
        without[i] = not known.any()
        if without[i]:
            out[i] = around <= _SAME * abs(centre)
            continue
        usual = spread[asked[known]]
        healthy = float(np.median(usual))
        narrow = _NARROW * healthy
        if n < _FEWEST_NARROW:
            narrow = min(narrow, _SAME * abs(centre))
        out[i] = healthy > 0 and around <= narrow
        if out[i] and passed is not None:
            out[i] = _rejected(passed[i][known], asked[known])
    if out[without].sum() > max(_FEW_LINES * without.sum(), 1):  # a pattern, not a fault
        out[without] = False
    return out


def _most_of(y: Floats) -> tuple[float, float]:
    """Return location and standard deviation from the shortest interval with 90 % of the values.

    A line of two levels has half of its cells at one of them; a constant line has nearly all.
    """
    x = np.sort(y)
    count = math.ceil(_UNRESPONSIVE_SHARE * len(x))
    width = x[count - 1 :] - x[: len(x) - count + 1]
    at = int(np.argmin(width))
    return float(x[at : at + count].mean()), float(width[at]) / (2 * _NINETY)


def _spread_within_lines(value: Floats, level: Integers) -> Floats:
    """Return the usual spread of the readings in a line, (line, cell), by level [S], (level,)."""
    out = np.zeros(int(level.max(initial=-1)) + 1)
    for k in range(len(out)):
        y = np.where(level == k, value, np.nan)
        lines = y[np.isfinite(y).sum(axis=1) >= _FEWEST_IN_LINE]
        some = y[np.isfinite(y)]
        if len(lines) > 1:
            out[k] = np.median([_most_of(x[np.isfinite(x)])[1] for x in lines])
        elif some.size >= _FEWEST:
            out[k] = _most_of(some)[1]
    return out


def _rejected(accepted: Bools, level: Integers) -> bool:
    """Return whether the tester rejected nearly all cells of a line at one of its levels."""
    for k in np.unique(level):
        mine = accepted[level == k]
        if mine.size >= _FEWEST and mine.mean() <= 1 - _REJECTED:
            return True
    return bool(accepted.mean() <= 1 - _REJECTED)


def _zero_lines(value: Floats, axis: int, floor: float | None) -> Bools:
    """Find lines that read zero, if the levels are not known."""
    seen = np.isfinite(value)
    negative = -value[seen & (value < 0)]
    bound = 0.0 if floor is None else max(floor, 0.0)
    if negative.size >= _FEWEST_NEGATIVE:
        bound = max(bound, _NOISE * float(np.median(negative)) / _SIGMA)
    with np.errstate(invalid="ignore"):
        zero = seen & (np.abs(value) <= bound)
    dead = unresponsive_lines(zero, seen, axis)
    if dead.sum() > max(_FEW_LINES * len(dead), 1):  # programmed to zero in a pattern of lines
        dead[:] = False
    return dead
