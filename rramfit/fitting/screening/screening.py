"""Screening: classify each cell as healthy or faulty.

All fits of the programming sweeps use healthy cells only, because a stuck cell does not follow the
distribution of a level. Steps, each applied to the remaining cells:

1. not measured: no finite reading;
2. dead rows and columns: 90 % of the line's cells do not respond, or the line reads a constant
   (`rramfit.fitting.screening.line_faults`);
3. stuck low, stuck high: the cell does not respond to its target
   (`rramfit.fitting.screening.stuck`).

Readings at a rail are counted and kept: they are bounds on a conductance, and enter the likelihood
as censored. A file without programming sweeps is screened on its first reads, which show only
unmeasured cells and dead lines. Soft failures are not here: `rramfit.fitting.failure.failure`.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rramfit.card.cells import Fault
from rramfit.card.quality import ScreenedCard
from rramfit.fitting.result import Finding, Verdict
from rramfit.fitting.screening.line_faults import constant_lines, unresponsive_lines
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.screening.stuck import StuckCells, cell_values, find_stuck, level_spread
from rramfit.measurement.file.record import Measurement, Reads
from rramfit.units import counted

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Screening", "screen"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

_NEAR_ZERO = 0.03  # of the array's 95 % quantile: reads as open, with read noise and offset
_RAIL_SHARE = 1e-3  # of readings at a rail from which a finding is reported
_MISSING_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """The fault of each cell.

    Attributes
    ----------
    fault : (row, col) int8 array
        Codes of `rramfit.card.cells.Fault`.
    stuck_posterior : (row, col) array
        P(stuck); 0 for cells that respond, NaN if it cannot be estimated.
    value : (row, col) array
        Mean reading of each cell [S]; NaN if there is none.
    ambiguous : (row, col) bool array
        Cells that were tried once, failed, and read what failed cells read: stuck low or failed.
    attempts_per_cell : int
        Largest number over cells; 0 without programming sweeps of known levels.
    one_level : bool
        No cell was programmed to two levels that can be distinguished.
    acceptance : {"verified", "window", "unknown", "no program"}
        How it is known whether an attempt succeeded.
    clipped_reads : int
        Readings of healthy cells at a rail.
    verdict : Verdict
    """

    fault: NDArray[np.int8]
    stuck_posterior: Floats
    value: Floats
    ambiguous: Bools
    attempts_per_cell: int
    one_level: bool
    acceptance: str
    clipped_reads: int
    verdict: Verdict = field(default_factory=Verdict)

    def __post_init__(self) -> None:
        for a in (self.fault, self.stuck_posterior, self.value, self.ambiguous):
            a.flags.writeable = False

    @property
    def healthy(self) -> Bools:
        """Cells without a fault, (row, col)."""
        out: Bools = self.fault == Fault.OK
        return out

    def where(self, *faults: Fault) -> Bools:
        """Return the cells that have one of these faults, (row, col)."""
        return np.isin(self.fault, faults)

    @property
    def counts(self) -> dict[Fault, int]:
        """Number of cells by fault, and of healthy cells."""
        return {f: int((self.fault == f).sum()) for f in Fault}

    @property
    def dead_rows(self) -> Integers:
        """Indices of dead rows."""
        return np.flatnonzero((self.fault == Fault.DEAD_ROW).any(axis=1))

    @property
    def dead_cols(self) -> Integers:
        """Indices of dead columns."""
        return np.flatnonzero((self.fault == Fault.DEAD_COL).any(axis=0))

    def to_card(self) -> ScreenedCard:
        """Return the card's entry: cells excluded from the fits, by reason."""
        reasons = {f.label: n for f, n in self.counts.items() if f is not Fault.OK and n}
        return ScreenedCard(
            reasons=reasons,
            clipped_reads=self.clipped_reads,
            cells_used=self.counts[Fault.OK],
        )

    def summary(self) -> str:
        """Return the screening as readable text."""
        lines = [f"Screening: {self.fault.size} cells, {self.verdict.word}"]
        lines += [f"  {f.label:<14} {n:>8}" for f, n in self.counts.items() if n or f is Fault.OK]
        if self.clipped_reads:
            lines.append(f"  {'clipped reads':<14} {self.clipped_reads:>8}")
        lines += [f"  ! {f}" for f in self.verdict.findings]
        return "\n".join(lines)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per fault: cells and share."""
        import pandas as pd

        counts = self.counts
        return pd.DataFrame(
            {
                "cells": list(counts.values()),
                "share": [n / self.fault.size for n in counts.values()],
            },
            index=[f.label for f in counts],
        )

    def _repr_html_(self) -> str:
        notes = "".join(f"<p>{html.escape(str(f))}</p>" for f in self.verdict.findings)
        return f"<p><b>Screening ({self.verdict.word})</b></p>{self.to_frame().to_html()}{notes}"


def screen(measurement: Measurement, statistics: ProgramStatistics | None) -> Screening:
    """Find the fault of each cell of a measured array.

    Parameters
    ----------
    measurement : Measurement
    statistics : ProgramStatistics or None
        Statistics of its programming sweeps; None if the file has none.

    Returns
    -------
    Screening

    Examples
    --------
    >>> from rramfit.measurement.file.record import ArrayIdentity, Measurement
    >>> empty = Measurement(
    ...     path=None, identity=ArrayIdentity(array_id="A", cell="1T1R"), rows=2, cols=3
    ... )
    >>> screen(empty, None).healthy.sum()
    np.int64(6)
    """
    shape = (measurement.rows, measurement.cols)
    program = measurement.program
    if statistics is not None and program is not None:
        if len(statistics.attempts) and (statistics.attempts > 0).any():
            return _screen_program(statistics, program.acceptance)
        sample = statistics.sample.conductance
        return _screen_reads(
            sample[0] if len(sample) else np.full(shape, np.nan),
            np.full(shape, -1),
            statistics.measured > 0,
            clipped=int(statistics.clipped.sum()),
            acceptance=program.acceptance,
        )
    reads = measurement.retention or measurement.reads
    if reads is not None:
        first, measured, level = _first_read(reads)
        return _screen_reads(first, level, measured, clipped=0, acceptance="no program")
    return _screen_others(measurement)


def _screen_program(statistics: ProgramStatistics, acceptance: str) -> Screening:
    value = cell_values(statistics)
    measured = np.isfinite(value)
    known = acceptance != "unknown"
    fault = np.where(statistics.measured > 0, Fault.OK, Fault.NOT_MEASURED).astype(np.int8)
    cells = find_stuck(statistics, measured, known=known)
    y, level = statistics.sample.conductance[0], statistics.sample.level[0]
    spread = level_spread(statistics, measured).spread
    unresponsive = cells.candidate | _near_zero(statistics.lowest, statistics.highest)
    programmed = np.where(level >= 0, y, np.nan)
    _mark_lines(fault, unresponsive, measured, programmed, level, spread)
    alive = measured & (fault == Fault.OK)
    if not alive.all():
        cells = find_stuck(statistics, alive, known=known)
    fault[cells.low] = Fault.STUCK_LOW
    fault[cells.high] = Fault.STUCK_HIGH
    clipped = int(statistics.clipped[:, fault == Fault.OK].sum())
    attempts = int(statistics.attempts.sum(axis=0).max())
    findings = [
        *_findings(fault, clipped, int(statistics.measured[fault == Fault.OK].sum())),
        *_ambiguous_findings(cells, attempts, known=known),
    ]
    return Screening(
        fault=fault,
        stuck_posterior=cells.posterior,
        value=value,
        ambiguous=cells.ambiguous,
        attempts_per_cell=attempts,
        one_level=cells.one_level,
        acceptance=acceptance,
        clipped_reads=clipped,
        verdict=Verdict(tuple(findings)),
    )


def _screen_reads(
    value: Floats,
    level: Integers,
    measured: Bools,
    *,
    clipped: int,
    acceptance: str,
    expect_all: bool = True,
) -> Screening:
    """Screen on one reading of each cell: unmeasured cells and dead lines."""
    fault = np.where(measured, Fault.OK, Fault.NOT_MEASURED).astype(np.int8)
    levels = int(level.max(initial=-1)) + 1
    spread = np.array([_spread(value[(level == k) & measured]) for k in range(levels)])
    _mark_lines(fault, _near_zero(value, value), measured, value, level, spread)
    none = np.zeros(fault.shape, dtype=bool)
    return Screening(
        fault=fault,
        stuck_posterior=np.full(fault.shape, np.nan),
        value=np.array(value),
        ambiguous=none,
        attempts_per_cell=0,
        one_level=True,
        acceptance=acceptance,
        clipped_reads=clipped,
        verdict=Verdict(
            tuple(_findings(fault, clipped, int(measured.sum()), expect_all=expect_all))
        ),
    )


def _screen_others(measurement: Measurement) -> Screening:
    """Screen a file that has only /mvm or /iv, which need not measure every cell."""
    measured = np.ones((measurement.rows, measurement.cols), dtype=bool)
    value = np.full(measured.shape, np.nan)
    if measurement.mvm is not None:
        value = np.array(measurement.mvm.conductance)
        measured = np.isfinite(value)
    elif measurement.iv is not None:
        measured = np.zeros(measured.shape, dtype=bool)
        measured[measurement.iv.row, measurement.iv.col] = True
    level = np.full(measured.shape, -1)
    return _screen_reads(
        value, level, measured, clipped=0, acceptance="no program", expect_all=False
    )


def _first_read(reads: Reads) -> tuple[Floats, Bools, Integers]:
    """Return the first finite reading of each cell, whether it has one, and its level."""
    first = np.full(reads.shape[1:], np.nan)
    for block in reads.blocks():
        for y in block:
            np.copyto(first, y, where=np.isnan(first))
        if np.isfinite(first).all():
            break
    return first, np.isfinite(first), reads.level


def _spread(y: Floats) -> float:
    y = y[np.isfinite(y)]
    return 1.4826 * float(np.median(np.abs(y - np.median(y)))) if y.size > 3 else float("nan")


def _near_zero(lowest: Floats, highest: Floats) -> Bools:
    """Return the cells whose readings are all close to zero."""
    largest = np.fmax(np.abs(lowest), np.abs(highest))
    if not np.isfinite(largest).any():
        return np.zeros(largest.shape, dtype=bool)
    with np.errstate(invalid="ignore"):
        out: Bools = largest < _NEAR_ZERO * np.nanquantile(largest, 0.95)
    return out


def _mark_lines(
    fault: NDArray[np.int8],
    unresponsive: Bools,
    measured: Bools,
    value: Floats,
    level: Integers,
    spread: Floats,
) -> None:
    """Mark dead rows and columns in `fault`; a cell in both is marked as in a dead row."""
    rows = unresponsive_lines(unresponsive, measured, 0)
    rows |= constant_lines(value, level, spread, 0)
    left = measured & ~rows[:, None]
    cols = unresponsive_lines(unresponsive, left, 1)
    cols |= constant_lines(np.where(left, value, np.nan), level, spread, 1)
    present = fault != Fault.NOT_MEASURED
    fault[present & cols] = Fault.DEAD_COL
    fault[present & rows[:, None]] = Fault.DEAD_ROW


def _findings(
    fault: NDArray[np.int8], clipped: int, readings: int, *, expect_all: bool = True
) -> list[Finding]:
    out = []
    healthy = int((fault == Fault.OK).sum())
    missing = int((fault == Fault.NOT_MEASURED).sum())
    measured = fault.size - missing
    if not measured:
        return [
            Finding(
                "No cell was measured: every reading is missing.",
                "Check the log file and its conversion.",
                severe=True,
                affected=1.0,
            )
        ]
    if healthy < 0.5 * measured or not healthy:
        out.append(
            Finding(
                f"Only {healthy} of {measured} measured cells are healthy.",
                "Check contacts, selectors and the read-out, and measure again.",
                severe=True,
                affected=1 - healthy / measured,
            )
        )
    if expect_all and missing > _MISSING_SHARE * fault.size:
        out.append(
            Finding(
                f"{missing} of {fault.size} cells were not measured.",
                "Measure them too if they may behave differently: the card describes only the "
                "measured cells.",
                affected=missing / fault.size,
            )
        )
    for kind, axis, word in ((Fault.DEAD_ROW, 1, "row"), (Fault.DEAD_COL, 0, "column")):
        lines = np.flatnonzero((fault == kind).any(axis=axis))
        if lines.size:
            out.append(
                Finding(
                    f"{_several(lines.size, word)} dead: {_listed(lines)}.",
                    "Check the driver, bonding and probe of each dead line; the fits exclude its "
                    "cells.",
                    affected=lines.size / fault.shape[1 - axis],
                )
            )
    if readings and clipped > _RAIL_SHARE * readings:
        out.append(
            Finding(
                f"{clipped} of {readings} readings ({clipped / readings:.2%}) are at a rail of the "
                "read-out, and are used only as bounds.",
                "Use a wider read-out range to measure these cells.",
                affected=clipped / readings,
            )
        )
    return out


def _ambiguous_findings(cells: StuckCells, attempts: int, *, known: bool) -> list[Finding]:
    if not known:
        return [
            Finding(
                "The file has no /program/verified and no verify window, so all readings are "
                "accepted.",
                "Record /program/verified, or the window /levels/lower and /levels/upper.",
            )
        ]
    flagged = int((cells.low | cells.high).sum())
    out = []
    if attempts == 1 and cells.ambiguous.any():
        out.append(
            Finding(
                f"{counted(int(cells.ambiguous.sum()), 'cell')} failed the only attempt, at low "
                "conductance; one attempt cannot distinguish stuck-low from failed cells.",
                "Program every cell to two levels, at least twice each.",
            )
        )
    if flagged and (attempts == 1 or cells.one_level):
        out.append(
            Finding(
                f"{counted(flagged, 'cell')} classified as stuck from "
                + ("one attempt" if attempts == 1 else "one level")
                + " may only have failed at this level.",
                "Program every cell to two levels, at least twice each.",
            )
        )
    return out


def _several(n: int, word: str) -> str:
    return f"{counted(n, word)} {'is' if n == 1 else 'are'}"


def _listed(lines: Integers, most: int = 8) -> str:
    shown = ", ".join(str(i) for i in lines[:most])
    return shown + (f" and {lines.size - most} more" if lines.size > most else "")
