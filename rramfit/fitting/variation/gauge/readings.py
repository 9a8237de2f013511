"""Readings of a gauge study: number, mean and spread of each cell in each session, by level.

At most `MOST_CELLS` healthy cells are used, evenly spaced over the array: what a gauge study
estimates depends on the number of sessions, and cells beyond some thousands add nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.errors import FitError
from rramfit.measurement.file.record import Measurement

__all__ = ["MOST_CELLS", "SessionReadings", "session_readings", "sessions_of"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

MOST_CELLS = 16384


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionReadings:
    """Readings by level, session and cell.

    Attributes
    ----------
    source : {"reads", "program"}
    sessions : tuple of str
    count : (level, session, cell) array
    mean : (level, session, cell) array
        [S]; NaN without a reading.
    square : (level, session, cell) array
        Sum of squared deviations from `mean` [S²].
    """

    source: str
    sessions: tuple[str, ...]
    count: Integers
    mean: Floats
    square: Floats


def sessions_of(measurement: Measurement, source: str) -> tuple[str, ...] | None:
    """Return the session of each read or sweep; None if the file states none."""
    group = measurement.reads if source == "reads" else measurement.program
    if group is None:
        return None
    if group.session is not None:
        return group.session
    session = measurement.identity.session
    return None if session is None else (session,) * group.shape[0]


def session_readings(
    measurements: Sequence[Measurement], *, source: str, healthy: Bools
) -> SessionReadings:
    """Accumulate the readings of one or several files of one array.

    Parameters
    ----------
    measurements : sequence of Measurement
    source : {"reads", "program"}
    healthy : (row, col) bool array

    Raises
    ------
    FitError
        If the arrays have different sizes, or fewer than 2 sessions are stated.
    """
    shape = healthy.shape
    for m in measurements:
        if (m.rows, m.cols) != shape:
            msg = (
                f"{m.path or m.identity.array_id}: found {m.rows} × {m.cols} cells; expected "
                f"{shape[0]} × {shape[1]}, because a gauge study is of one array"
            )
            raise FitError(msg)
    named = [sessions_of(m, source) for m in measurements]
    names = tuple(dict.fromkeys(name for of in named if of is not None for name in of))
    if len(names) < 2:
        msg = f"/{source}: found {len(names)} sessions; a gauge study needs at least 2"
        raise FitError(msg)
    cells = np.flatnonzero(healthy)
    if len(cells) > MOST_CELLS:
        cells = cells[np.linspace(0, len(cells) - 1, MOST_CELLS).round().astype(np.int64)]
    index = {name: i for i, name in enumerate(names)}
    levels = _level_count(measurements, source)
    size = (levels, len(names), len(cells))
    count = np.zeros(size, dtype=np.int64)
    mean, square = np.zeros(size), np.zeros(size)
    for m, of in zip(measurements, named, strict=True):
        if of is None:
            continue
        for i, g, level in _steps(m, source, cells):
            at = np.flatnonzero(np.isfinite(g) & (level >= 0) & (level < levels))
            where = (level[at], np.full(len(at), index[of[i]]), at)
            count[where] += 1
            delta = g[at] - mean[where]
            mean[where] += delta / count[where]
            square[where] += delta * (g[at] - mean[where])
    return SessionReadings(
        source=source,
        sessions=names,
        count=count,
        mean=np.where(count > 0, mean, np.nan),
        square=square,
    )


def _level_count(measurements: Sequence[Measurement], source: str) -> int:
    named = max((len(m.levels) for m in measurements if m.levels is not None), default=0)
    if named or source == "program":
        return max(named, 1)
    found = [int(m.reads.level.max()) for m in measurements if m.reads is not None]
    return 1 + max(0, *found)


def _steps(
    measurement: Measurement, source: str, cells: Integers
) -> Iterator[tuple[int, Floats, Integers]]:
    """Yield index, readings and levels of the cells, for each read or sweep."""
    if source == "reads" and (reads := measurement.reads) is not None:
        level = reads.level.reshape(-1)[cells]
        if (level < 0).all():  # levels are not stated: one state of each cell
            level = np.zeros_like(level)
        first = 0
        for block in reads.blocks():
            for i, image in enumerate(block, start=first):
                yield i, image.reshape(-1)[cells].astype(np.float64), level
            first += len(block)
    elif (program := measurement.program) is not None:
        for part in program.blocks():
            for i in range(len(part.conductance)):
                level = part.level[i].reshape(-1)[cells]
                level = np.where(part.accepted[i].reshape(-1)[cells], level, -1)
                g = part.conductance[i].reshape(-1)[cells].astype(np.float64)
                yield part.first + i, g, level
