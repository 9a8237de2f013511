"""Records of what was measured on one array, in SI units: the input of every fit.

Axes: `row` counts wordlines, which are driven; column 0 is next to the drivers. `col` counts
bitlines, which are sensed below the last row. NaN means "not measured", never "failed". Negative
conductances are valid: a readout offset makes a very high resistance look negative.

Programming sweeps and repeated reads may be larger than memory. `Program` and `Reads` therefore
iterate over blocks, from a file or from arrays in memory. `rramfit.measurement.file.read` reads a
file; `rramfit.measurement.file.validate` checks it.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rramfit.measurement.file.origin import Origin

__all__ = [
    "MVM",
    "ArrayIdentity",
    "Attempts",
    "Endurance",
    "IVSweeps",
    "Levels",
    "Measurement",
    "Program",
    "Pulses",
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
    die_x: int | None = None  # place of the die on the wafer
    die_y: int | None = None
    tile_row: int | None = None  # place of the tile within the die
    tile_col: int | None = None
    session: str | None = None  # tester, day or operator session
    accuracy: float | None = None  # stated limits of error of a reading, as a share of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Target levels, in rising order of target conductance."""

    target: Floats  # [S]  (level,)
    lower: Floats | None = None  # [S]  (level,) verify window
    upper: Floats | None = None  # [S]  (level,)
    names: tuple[str, ...] = ()  #      (level,) "L0", "L1", … if the file has no names

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
    accepted: Bools  #      (sweep, row, col) valid for programmed cells
    pulses: Integers | None = None  # (sweep, row, col)

    def __post_init__(self) -> None:
        _freeze(self.conductance, self.level, self.accepted, self.pulses)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Programming sweeps: each programs the array once and then reads it.

    Attributes
    ----------
    shape : (sweeps, rows, cols)
    levels_known : bool
        False if the programmed pattern is unknown; every `level` is then -1.
    acceptance : {"verified", "window", "unknown"}
        What decides `accepted`: the tester's flag, the verify windows, or nothing (all true).
    read_voltage : float
        [V]
    max_pulses : int, optional
    session : tuple of str, optional
        Tester, day or operator session of each sweep.
    """

    shape: tuple[int, int, int]
    levels_known: bool
    acceptance: str
    read_voltage: float
    max_pulses: int | None
    open_blocks: Callable[[int], Iterator[SweepBlock]] = field(repr=False)
    session: tuple[str, ...] | None = None

    def blocks(self, sweeps: int = 16) -> Iterator[SweepBlock]:
        """Iterate over all sweeps in order, `sweeps` at a time."""
        return self.open_blocks(sweeps)

    def read_all(self) -> SweepBlock:
        """Return all sweeps as one block; they must fit in memory."""
        return next(self.open_blocks(max(self.shape[0], 1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """Repeated reads of one programmed state: `/reads`, or `/retention` over long times."""

    shape: tuple[int, int, int]  # (reads, rows, cols)
    time: Floats  # [s]  (read,)
    level: Integers  #      (row, col); -1 = not programmed
    read_voltage: float | None  # [V]
    temperature: float | None  # [K]
    open_blocks: Callable[[int], Iterator[Floats]] = field(repr=False)  # [S] (read, row, col)
    session: tuple[str, ...] | None = None  # (read,) tester, day or operator session

    def __post_init__(self) -> None:
        _freeze(self.time, self.level)

    def blocks(self, reads: int = 16) -> Iterator[Floats]:
        """Iterate over all reads in order, `reads` at a time."""
        return self.open_blocks(reads)

    def read_all(self) -> Floats:
        """Return all reads, (read, row, col) [S]; they must fit in memory."""
        return next(self.open_blocks(max(self.shape[0], 1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Endurance:
    """Conductance of each switched state against the number of cycles."""

    conductance: Floats  # [S]  (point, state, row, col)
    cycle: Integers  #      (point,)

    def __post_init__(self) -> None:
        _freeze(self.conductance, self.cycle)


@dataclass(frozen=True, slots=True, kw_only=True)
class IVSweeps:
    """I–V curves of single cells; a cell may have several, and a curve may go up and down.

    Attributes
    ----------
    voltage : (point,) or (curve, point) array
        [V], in the order of measurement; NaN past the end of a curve.
    current : (curve, point) array
        [A]; NaN = not measured.
    row, col : (curve,) int array
    repeat : (curve,) int array, optional
        Number of the repeat of the cell, from 0.
    direction : (point,) or (curve, point) int array, optional
        +1 = voltage rising, -1 = falling, 0 past the end; None: from the order of the voltages.
    """

    voltage: Floats
    current: Floats
    row: Integers
    col: Integers
    repeat: Integers | None = None
    direction: Integers | None = None

    def __post_init__(self) -> None:
        _freeze(self.voltage, self.current, self.row, self.col, self.repeat, self.direction)

    @property
    def voltages(self) -> Floats:
        """Voltage of every point [V], (curve, point)."""
        return np.broadcast_to(self.voltage, self.current.shape)

    def take(self, curves: NDArray[Any]) -> IVSweeps:
        """Return some of the curves, chosen by their indices or by a mask."""
        voltage, direction = self.voltage, self.direction
        return IVSweeps(
            voltage=voltage if voltage.ndim == 1 else voltage[curves],
            current=self.current[curves],
            row=self.row[curves],
            col=self.col[curves],
            repeat=None if self.repeat is None else self.repeat[curves],
            direction=direction if direction is None or direction.ndim == 1 else direction[curves],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulses:
    """Pulse response of single cells: conductance after each pulse.

    Attributes
    ----------
    conductance : (device, cycle, pulse) array
        [S], read after each pulse; NaN = not measured.
    polarity : (pulse,) or (device, cycle, pulse) int array
        +1 = potentiation (SET), -1 = depression (RESET), 0 = read without a pulse.
    row, col : (device,) int array
    voltage : (pulse,) or (device, cycle, pulse) array, optional
        Amplitude [V].
    width : (pulse,) or (device, cycle, pulse) array, optional
        [s]
    read_voltage : float, optional
        [V]
    """

    conductance: Floats
    polarity: Integers
    row: Integers
    col: Integers
    voltage: Floats | None = None
    width: Floats | None = None
    read_voltage: float | None = None

    def __post_init__(self) -> None:
        _freeze(self.conductance, self.polarity, self.row, self.col, self.voltage, self.width)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """Write-verify attempts: one entry per attempt to program a cell into a window.

    Attributes
    ----------
    row, col : (attempt,) int array
    lower, upper : (attempt,) array
        Target window [S]; NaN = open.
    set_pulses, reset_pulses : (attempt,) int array
    level : (attempt,) int array, optional
        Target level; -1 = unknown.
    success : (attempt,) bool array, optional
    initial, final : (attempt,) array, optional
        Conductance before the first and after the last pulse [S].
    conductance : (attempt, step) array, optional
        [S], after each step; NaN past the end.
    polarity : (attempt, step) int array, optional
        +1 = SET, -1 = RESET, 0 = read without a pulse, or past the end.
    voltage, width : (attempt, step) array, optional
        Pulse of each step [V], [s].
    max_pulses : int, optional
    read_voltage : float, optional
        [V]
    """

    row: Integers
    col: Integers
    lower: Floats
    upper: Floats
    set_pulses: Integers
    reset_pulses: Integers
    level: Integers | None = None
    success: Bools | None = None
    initial: Floats | None = None
    final: Floats | None = None
    conductance: Floats | None = None
    polarity: Integers | None = None
    voltage: Floats | None = None
    width: Floats | None = None
    max_pulses: int | None = None
    read_voltage: float | None = None

    def __post_init__(self) -> None:
        _freeze(self.row, self.col, self.lower, self.upper, self.set_pulses, self.reset_pulses)
        _freeze(self.level, self.success, self.initial, self.final, self.conductance)
        _freeze(self.polarity, self.voltage, self.width)


@dataclass(frozen=True, slots=True, kw_only=True)
class MVM:
    """Column currents with many rows driven at once; used to fit the line resistance."""

    voltage: Floats  # [V]  (pattern, row)
    current: Floats  # [A]  (pattern, col)
    conductance: Floats  # [S]  (row, col) of the cells, read one by one
    inactive_rows: str  # "grounded", "floating" or "gated"
    cell_reads: str  # "intrinsic" or "terminal"

    def __post_init__(self) -> None:
        _freeze(self.voltage, self.current, self.conductance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readout:
    """ADC codes of the column readout at known input currents."""

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
    """One measured array: its identity and the groups of its file.

    `retention` is the first bake, which the fits at one temperature use; `more_bakes` are the
    others, and `bakes` are all.
    """

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
    pulses: Pulses | None = None
    attempts: Attempts | None = None
    more_bakes: tuple[Reads, ...] = ()
    origin: Origin | None = None  # if it was converted from another format
    truth: dict[str, Any] | None = None  # parameters of a synthetic measurement

    @property
    def bakes(self) -> tuple[Reads, ...]:
        """All bakes of `/retention`, in the order of the file."""
        return self.more_bakes if self.retention is None else (self.retention, *self.more_bakes)

    def _repr_html_(self) -> str:
        import pandas as pd

        named = {f.name: getattr(self, f.name) for f in fields(self)}
        groups = {
            f"/{name}": " × ".join(map(str, size))
            for name, group in named.items()
            if (size := getattr(group, "shape", None) or _size(group)) is not None
        }
        title = f"{self.identity.array_id}: {self.rows} × {self.cols} cells, {self.identity.cell}"
        table = pd.DataFrame({"size": groups}).to_html()
        return f"<p><b>{html.escape(title)}</b></p>{table}"


def _size(group: object) -> tuple[int, ...] | None:
    """Return the size of the measured array of a group; None if it is no group."""
    for name in ("code", "current", "conductance", "final", "target"):
        values = getattr(group, name, None)
        if values is not None:
            return tuple(np.shape(values))
    return None
