"""Screening: classify each cell as healthy or faulty.

All fits of the programming sweeps use healthy cells only, because a stuck cell does not follow the
distribution of a level. Steps, each applied to the remaining cells:

1. not measured: no finite reading;
2. dead rows and columns: 90 % of the line's cells do not respond to what was asked of them, or the
   line reads a constant (`rramfit.fitting.screening.line_faults`);
3. stuck low, stuck high, stuck between: the cell does not respond to its target
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
from rramfit.fitting.results.result import Verdict
from rramfit.fitting.screening.line_faults import (
    DeadLines,
    find_dead_lines,
    mean_readings,
    silent_cells,
)
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.screening.screening_findings import ambiguous_findings, fault_findings
from rramfit.fitting.screening.stuck import cell_values, find_stuck
from rramfit.measurement.file.record import Measurement, Reads

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Screening", "screen"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]


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
    stuck_limits : (2, row, col) array
        Limits of `stuck_posterior`, from the uncertainty of the shares of stuck cells.
    stuck_side : (row, col) int8 array
        Where a cell reads: codes of `rramfit.fitting.screening.response`.
    stuck_moving : (row, col) array
        P(moving | stuck); NaN if it cannot be estimated.
    stuck_motion : (row, col) array
        Standard deviation between programmings of cells that may be stuck [S]; NaN if not known.
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
    stuck_limits: Floats
    stuck_side: NDArray[np.int8]
    stuck_moving: Floats
    stuck_motion: Floats
    ambiguous: Bools
    attempts_per_cell: int
    one_level: bool
    acceptance: str
    clipped_reads: int
    verdict: Verdict = field(default_factory=Verdict)

    def __post_init__(self) -> None:
        of_stuck = self.stuck_posterior, self.stuck_limits, self.stuck_side, self.stuck_moving
        for a in (self.fault, self.value, self.ambiguous, self.stuck_motion, *of_stuck):
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
        table = self.to_frame().to_html(float_format="{:.3g}".format)
        return f"<p><b>Screening ({self.verdict.word})</b></p>{table}{notes}"


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
    first = statistics.sample
    y, level = first.conductance[0], first.level[0]
    accepted = np.asarray((statistics.count > 0).any(axis=0))
    silent, judged = silent_cells(mean_readings(statistics), accepted if known else None)
    levels_tried = (statistics.attempts > 0).sum(axis=0)
    dead = find_dead_lines(
        np.where(level >= 0, y, np.nan),
        level,
        unresponsive=cells.candidate | silent,
        judged=measured & (judged | (levels_tried > 1)),
        stratum=np.where(levels_tried > 1, -1, statistics.attempts.argmax(axis=0)),
        accepted=first.accepted[0] if known else None,
        floor=statistics.floor,
    )
    _mark_lines(fault, dead)
    alive = measured & (fault == Fault.OK)
    if not alive.all():
        cells = find_stuck(statistics, alive, known=known)
    fault[cells.low] = Fault.STUCK_LOW
    fault[cells.middle] = Fault.STUCK_MIDDLE
    fault[cells.high] = Fault.STUCK_HIGH
    clipped = int(statistics.clipped[:, fault == Fault.OK].sum())
    attempts = int(statistics.attempts.sum(axis=0).max())
    findings = [
        *fault_findings(fault, clipped, int(statistics.measured[fault == Fault.OK].sum())),
        *ambiguous_findings(cells, attempts, known=known),
    ]
    return Screening(
        fault=fault,
        stuck_posterior=cells.posterior,
        value=value,
        stuck_limits=cells.limits,
        stuck_side=cells.side,
        stuck_moving=cells.moving,
        stuck_motion=cells.motion,
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
    levels = range(int(level.max(initial=-1)) + 1)
    silent, judged = silent_cells(
        np.stack([np.where(level == k, value, np.nan) for k in levels])
        if levels
        else np.full((1, *fault.shape), np.nan)
    )
    dead = find_dead_lines(
        value, level, unresponsive=silent, judged=measured & judged, stratum=np.array(level)
    )
    _mark_lines(fault, dead)
    none = np.zeros(fault.shape, dtype=bool)
    return Screening(
        fault=fault,
        stuck_posterior=np.full(fault.shape, np.nan),
        value=np.array(value),
        stuck_limits=np.full((2, *fault.shape), np.nan),
        stuck_side=np.zeros(fault.shape, dtype=np.int8),
        stuck_moving=np.full(fault.shape, np.nan),
        stuck_motion=np.full(fault.shape, np.nan),
        ambiguous=none,
        attempts_per_cell=0,
        one_level=True,
        acceptance=acceptance,
        clipped_reads=clipped,
        verdict=Verdict(
            tuple(fault_findings(fault, clipped, int(measured.sum()), expect_all=expect_all))
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


def _mark_lines(fault: NDArray[np.int8], dead: DeadLines) -> None:
    """Mark dead rows and columns in `fault`; a cell in both is marked as in a dead row."""
    present = fault != Fault.NOT_MEASURED
    fault[present & dead.cols] = Fault.DEAD_COL
    fault[present & dead.rows[:, None]] = Fault.DEAD_ROW
