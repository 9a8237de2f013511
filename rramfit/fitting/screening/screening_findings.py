"""Findings of the screening: what was excluded, what may be misjudged, and what to do about it.

Each is one sentence on what was found, and one on what to do. The faults themselves are found in
`rramfit.fitting.screening.screening`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rramfit.card.cells import Fault
from rramfit.fitting.results.result import Finding
from rramfit.fitting.screening.stuck import StuckCells
from rramfit.units import counted, format_percent

__all__ = ["ambiguous_findings", "fault_findings"]

Integers = NDArray[np.int64]

_RAIL_SHARE = 1e-3  # of readings at a rail from which a finding is reported
_MISSING_SHARE = 0.1


def fault_findings(
    fault: NDArray[np.int8], clipped: int, readings: int, *, expect_all: bool = True
) -> list[Finding]:
    """Report missing cells, dead lines and clipped readings.

    Parameters
    ----------
    fault : (row, col) int8 array
    clipped, readings : int
        Readings of healthy cells at a rail, and all of them.
    expect_all : bool
        Whether every cell should have been measured.
    """
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
                code="nothing-measured",
            )
        ]
    if healthy < 0.5 * measured or not healthy:
        out.append(
            Finding(
                f"Only {healthy} of {measured} measured cells are healthy.",
                "Check contacts, selectors and the read-out, and measure again.",
                severe=True,
                affected=1 - healthy / measured,
                code="few-healthy-cells",
            )
        )
    if expect_all and missing > _MISSING_SHARE * fault.size:
        out.append(
            Finding(
                f"{missing} of {fault.size} cells were not measured.",
                "Measure them too if they may behave differently: the card describes only the "
                "measured cells.",
                affected=missing / fault.size,
                code="cells-not-measured",
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
                    code="dead-lines",
                )
            )
    if readings and clipped > _RAIL_SHARE * readings:
        out.append(
            Finding(
                f"{clipped} of {readings} readings ({format_percent(clipped / readings, 2)}) are "
                "at a rail of the read-out, and are used only as bounds.",
                "Use a wider read-out range to measure these cells.",
                affected=clipped / readings,
                code="readings-clipped",
            )
        )
    return out


def ambiguous_findings(cells: StuckCells, attempts: int, *, known: bool) -> list[Finding]:
    """Report cells that one attempt or one level cannot judge.

    Parameters
    ----------
    cells : StuckCells
    attempts : int
        Largest number of attempts at one cell.
    known : bool
        Whether acceptance is known.
    """
    if not known:
        return [
            Finding(
                "The file has no /program/verified and no verify window, so all readings are "
                "accepted.",
                "Record /program/verified, or the window /levels/lower and /levels/upper.",
                code="no-acceptance",
            )
        ]
    flagged = int(cells.stuck.sum())
    out = []
    if attempts == 1 and cells.ambiguous.any():
        out.append(
            Finding(
                f"{counted(int(cells.ambiguous.sum()), 'cell')} failed the only attempt, at low "
                "conductance; one attempt cannot distinguish stuck-low from failed cells.",
                "Program every cell to two levels, at least twice each.",
                code="one-failed-attempt",
            )
        )
    if flagged and (attempts == 1 or cells.one_level):
        out.append(
            Finding(
                f"{counted(flagged, 'cell')} classified as stuck from "
                + ("one attempt" if attempts == 1 else "one level")
                + " may have failed only at this level.",
                "Program every cell to two levels, at least twice each.",
                code="stuck-or-failed",
            )
        )
    return out


def _several(n: int, word: str) -> str:
    return f"{counted(n, word)} {'is' if n == 1 else 'are'}"


def _listed(lines: Integers, most: int = 8) -> str:
    shown = ", ".join(str(i) for i in lines[:most])
    return shown + (f" and {lines.size - most} more" if lines.size > most else "")
