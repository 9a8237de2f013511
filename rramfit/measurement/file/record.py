"""What was measured on one array, in SI units: the records that every fit starts from.

Axes: `row` is the wordline side, driven, column 0 next to the drivers; `col` is the bitline side,
sensed below the last row. NaN means "not measured", never "failed". Negative conductances are
legal: they are what a read-out offset makes of a very high resistance.

Programming sweeps and repeated reads may be too large for memory: `Program` and `Reads` hand them
out sweep by sweep, whether they lie in a file or in memory. How a file is read or checked is not
here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rramfit.measurement.file.origin import Origin

__all__ = [
    "MVM",
    "ArrayIdentity",
    "Endurance",
    "IVSweeps",
    "Levels",
    "Measurement",
    "Program",
    "Readout",
    "Reads",
    "SweepBlock",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]


def _freeze(*arrays: NDArray[Any] | None) -> None:
    for a in arrays:
        if a is not None:
            a.flags.writeable = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayIdentity:
    """Root attributes of a measurement file."""

    array_id: str
    cell: str  # "1T1R", "2T1R", "1S1R" or "1R"
    lot: str | None = None
    wafer: str | None = None
    die: str | None = None
    technology: str | None = None
    instrument: str | None = None
    operator: str | None = None
    comment: str | None = None
    measured_at: str | None = None  # ISO 8601 with zone
    temperature: float | None = None  # [K]
    synthetic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """What was asked for, in rising order of target conductance."""

    target: Floats  # [S]  (level,)
    lower: Floats | None = None  # [S]  (level,) verify window
    upper: Floats | None = None  # [S]  (level,)
    names: tuple[str, ...] = ()  #      (level,) "L0", "L1", … where the file names none

    def __post_init__(self) -> None:
        _freeze(self.target, self.lower, self.upper)
        if not self.names:
            object.__setattr__(self, "names", tuple(f"L{k}" for k in range(len(self.target))))

    def __len__(self) -> int:
        return len(self.target)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepBlock:
    """Consecutive programming sweeps, in memory."""

    first: int  # index of the block's first sweep in the whole program
    conductance: Floats  # [S]  (sweep, row, col); NaN = not measured
    level: Integers  #      (sweep, row, col); -1 = not programmed in this sweep
    accepted: Bools  #      (sweep, row, col) the tester accepted the cell, where programmed
    pulses: Integers | None = None  # (sweep, row, col)

    def __post_init__(self) -> None:
        _freeze(self.conductance, self.level, self.accepted, self.pulses)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Programming sweeps: each programs the array once and reads it back.

    Attributes
    ----------
    shape : (sweeps, rows, cols)
    levels_known : bool
        False where the file gives no intended pattern; every `level` is then -1.
    acceptance : {"verified", "window", "unknown"}
        Where `accepted` comes from: the tester's flag, the verify window, or nothing (all true).
    read_voltage : float
        [V]
    max_pulses : int, optional
    """

    shape: tuple[int, int, int]
    levels_known: bool
    acceptance: str
    read_voltage: float
    max_pulses: int | None
    open_blocks: Callable[[int], Iterator[SweepBlock]] = field(repr=False)

    def blocks(self, sweeps: int = 16) -> Iterator[SweepBlock]:
        """Hand out all sweeps in order, `sweeps` at a time."""
        return self.open_blocks(sweeps)

    def whole(self) -> SweepBlock:
        """Hand out all sweeps at once; for files that fit in memory."""
        return next(self.open_blocks(max(self.shape[0], 1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """Repeated reads of one programmed state: `/reads`, or over long times `/retention`."""

    shape: tuple[int, int, int]  # (reads, rows, cols)
    time: Floats  # [s]  (read,)
    level: Integers  #      (row, col); -1 = not programmed
    read_voltage: float | None  # [V]
    temperature: float | None  # [K]
    open_blocks: Callable[[int], Iterator[Floats]] = field(repr=False)  # [S] (read, row, col)

    def __post_init__(self) -> None:
        _freeze(self.time, self.level)

    def blocks(self, reads: int = 16) -> Iterator[Floats]:
        """Hand out all reads in order, `reads` at a time."""
        return self.open_blocks(reads)

    def whole(self) -> Floats:
        """Hand out all reads at once, (read, row, col) [S]."""
        return next(self.open_blocks(max(self.shape[0], 1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Endurance:
    """Conductance of the switched states after so many cycles."""

    conductance: Floats  # [S]  (point, state, row, col)
    cycle: Integers  #      (point,)

    def __post_init__(self) -> None:
        _freeze(self.conductance, self.cycle)


@dataclass(frozen=True, slots=True, kw_only=True)
class IVSweeps:
    """Current against voltage, cell by cell."""

    voltage: Floats  # [V]  (point,)
    current: Floats  # [A]  (cell, point)
    row: Integers  #      (cell,)
    col: Integers  #      (cell,)

    def __post_init__(self) -> None:
        _freeze(self.voltage, self.current, self.row, self.col)


@dataclass(frozen=True, slots=True, kw_only=True)
class MVM:
    """The whole array driven at once: the evidence for line resistance."""

    voltage: Floats  # [V]  (pattern, row)
    current: Floats  # [A]  (pattern, col)
    conductance: Floats  # [S]  (row, col) state of the cells, read one by one
    inactive_rows: str  # "grounded", "floating" or "gated"
    cell_reads: str  # "intrinsic" or "terminal"

    def __post_init__(self) -> None:
        _freeze(self.voltage, self.current, self.conductance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readout:
    """Codes of the column read-out chain at known input currents."""

    input: Floats  # [A]  (point,)
    code: Floats  # [LSB]  (repeat, point, channel)
    channel_col: Integers | None  # (channel,)
    bits: int
    full_scale: float  # [A]
    zero_code: int

    def __post_init__(self) -> None:
        _freeze(self.input, self.code, self.channel_col)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One measured array: its identity and the groups that its file holds."""

    path: Path | None
    identity: ArrayIdentity
    rows: int
    cols: int
    levels: Levels | None = None
    program: Program | None = None
    reads: Reads | None = None
    retention: Reads | None = None
    endurance: Endurance | None = None
    iv: IVSweeps | None = None
    mvm: MVM | None = None
    readout: Readout | None = None
    origin: Origin | None = None  # where it was converted from another layout
    truth: dict[str, Any] | None = None  # parameters of the program that made a synthetic file
