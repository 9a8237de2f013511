"""Programming sweeps and repeated reads that are held in memory, as `Program` and `Reads`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rramfit.measurement.file.acceptance import acceptance_source, inside_window
from rramfit.measurement.file.record import (
    Bools,
    Floats,
    Integers,
    Levels,
    Program,
    Reads,
    SweepBlock,
)

__all__ = ["program_in_memory", "reads_in_memory"]


def program_in_memory(
    conductance: Floats,
    *,
    read_voltage: float,
    level: Integers | None = None,
    verified: Bools | None = None,
    pulses: Integers | None = None,
    max_pulses: int | None = None,
    levels: Levels | None = None,
    session: Sequence[str] | None = None,
) -> Program:
    """Return programming sweeps given as arrays.

    Parameters
    ----------
    conductance : (sweep, row, col) array
        Readings after programming [S]; NaN = not measured.
    read_voltage : float
        [V]
    level : (sweep, row, col) or (sweep,) int array, optional
        -1 = not programmed; None if the pattern is unknown.
    verified : (sweep, row, col) bool array, optional
        The tester's flag; if not given, the verify windows of `levels` decide, if there are any.
    pulses : (sweep, row, col) int array, optional
    max_pulses : int, optional
    levels : Levels, optional
        Target levels and their verify windows.
    session : sequence of str, optional
        Tester, day or operator session of each sweep.

    Raises
    ------
    ValueError
        If the shapes do not match.
    """
    g = np.asarray(conductance, dtype=np.float64)
    if g.ndim != 3:
        msg = f"conductance has shape {g.shape}; expected 3 axes (sweep, row, col)"
        raise ValueError(msg)
    source = acceptance_source(
        levels, verified_given=verified is not None, levels_known=level is not None
    )
    if level is None:
        target = np.broadcast_to(np.int64(-1), g.shape)
    else:
        given = np.asarray(level, dtype=np.int64)
        target = np.broadcast_to(given if given.ndim == 3 else given[:, None, None], g.shape)
    if verified is not None:
        accepted: Bools = np.asarray(verified, dtype=np.bool_)
    elif source == "window" and levels is not None:
        accepted = inside_window(g, target, levels)
    else:
        accepted = np.broadcast_to(np.True_, g.shape)
    for name, a in (("verified", accepted), ("pulses", pulses)):
        if a is not None and a.shape != g.shape:
            msg = f"{name} has shape {a.shape}; expected {g.shape}, the shape of conductance"
            raise ValueError(msg)
    if session is not None and len(session) != len(g):
        msg = f"session has {len(session)} entries; expected {len(g)}, one for each sweep"
        raise ValueError(msg)
    rows, cols = g.shape[1:]
    return Program(
        shape=(len(g), rows, cols),
        levels_known=level is not None,
        acceptance=source,
        read_voltage=read_voltage,
        max_pulses=max_pulses,
        open_blocks=_SweepsInMemory(
            conductance=g,
            level=target,
            accepted=accepted,
            pulses=None if pulses is None else np.asarray(pulses, dtype=np.int64),
        ),
        session=None if session is None else tuple(session),
    )


def reads_in_memory(
    conductance: Floats,
    *,
    time: Floats,
    level: Integers,
    read_voltage: float | None = None,
    temperature: float | None = None,
    session: Sequence[str] | None = None,
) -> Reads:
    """Return repeated reads given as arrays.

    Parameters
    ----------
    conductance : (read, row, col) array
        [S]; NaN = not measured.
    time : (read,) array
        [s]
    level : (row, col) int array
        -1 = not programmed, or level unknown.
    read_voltage : float, optional
        [V]
    temperature : float, optional
        [K]
    session : sequence of str, optional
        Tester, day or operator session of each read.
    """
    if session is not None and len(session) != len(conductance):
        msg = f"session has {len(session)} entries; expected {len(conductance)}, one for each read"
        raise ValueError(msg)
    g = np.asarray(conductance, dtype=np.float64)
    if g.ndim != 3 or time.shape != g.shape[:1] or level.shape != g.shape[1:]:
        msg = (
            f"the shapes of conductance {g.shape}, time {time.shape} and level {level.shape} do "
            "not match; expected (read, row, col), (read,) and (row, col)"
        )
        raise ValueError(msg)
    reads, rows, cols = g.shape
    return Reads(
        shape=(reads, rows, cols),
        time=np.asarray(time, dtype=np.float64),
        level=np.asarray(level, dtype=np.int64),
        read_voltage=read_voltage,
        temperature=temperature,
        open_blocks=_ReadsInMemory(conductance=g),
        session=None if session is None else tuple(session),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _SweepsInMemory:
    """Iterates over sweeps in memory, block by block."""

    conductance: Floats
    level: Integers
    accepted: Bools
    pulses: Integers | None

    def __call__(self, sweeps: int) -> Iterator[SweepBlock]:
        for first in range(0, len(self.conductance), sweeps):
            part = slice(first, first + sweeps)
            yield SweepBlock(
                first=first,
                conductance=self.conductance[part],
                level=self.level[part],
                accepted=self.accepted[part],
                pulses=None if self.pulses is None else self.pulses[part],
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _ReadsInMemory:
    """Iterates over reads in memory, block by block."""

    conductance: Floats

    def __call__(self, reads: int) -> Iterator[Floats]:
        for first in range(0, len(self.conductance), reads):
            block = self.conductance[first : first + reads]
            block.flags.writeable = False
            yield block
