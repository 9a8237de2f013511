"""Conversion of the rows of a log to the groups of a measurement.

The log is read once, in blocks. Each row belongs to one cell; the `where` of a group selects its
rows. A selected row that cannot be used is bad: it is skipped and listed with its line and the
reason. A row that no group selects is not bad; it is counted as unused. Readings are collected in
temporary files, so that a log may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rramfit.errors import MeasurementError
from rramfit.measurement.file.origin import BadRows
from rramfit.measurement.file.record import (
    MVM,
    Attempts,
    Endurance,
    IVSweeps,
    Levels,
    Program,
    Pulses,
    Readout,
    Reads,
)
from rramfit.measurement.lab.layout_parts import counted
from rramfit.measurement.lab.layout_table import TableLayout
from rramfit.measurement.lab.table.blocks import log_rows
from rramfit.measurement.lab.table.cells import CellNumbers, Counters
from rramfit.measurement.lab.table.collect.attempts import AttemptRows
from rramfit.measurement.lab.table.collect.drive import MVMRows, ReadoutRows
from rramfit.measurement.lab.table.collect.endurance import EnduranceRows
from rramfit.measurement.lab.table.collect.iv import IVRows
from rramfit.measurement.lab.table.collect.program import ProgramRows
from rramfit.measurement.lab.table.collect.pulses import PulseRows
from rramfit.measurement.lab.table.collect.reads import ReadRows
from rramfit.measurement.lab.table.groups import Finish, Start
from rramfit.measurement.lab.table.levels import Windows, listed_levels
from rramfit.measurement.lab.table.rows import Ledger

__all__ = ["TableContent", "measurement_from_rows"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableContent:
    """Groups built from a log, with its bad and unused rows."""

    levels: Levels | None
    program: Program | None
    reads: Reads | None
    bakes: tuple[Reads, ...]  # of /retention, in rising order of temperature
    endurance: Endurance | None
    iv: IVSweeps | None
    mvm: MVM | None
    readout: Readout | None
    pulses: Pulses | None
    attempts: Attempts | None
    rows: int  # good and bad
    bad: tuple[BadRows, ...]
    unused: int


def measurement_from_rows(paths: Sequence[Path], layout: TableLayout) -> TableContent:
    """Read one or several logs and build the groups that the layout describes.

    Parameters
    ----------
    paths : sequence of Path
    layout : TableLayout

    Raises
    ------
    MeasurementError
        If a log cannot be read, a column of the layout does not exist, or no row of a group
        remains.
    """
    array, ledger = layout.array, Ledger()
    cells = CellNumbers(layout, paths[0])
    counters = Counters(layout, cells.size)
    windows = None
    if layout.levels is not None and layout.levels.windows is not None:
        windows = Windows(layout.levels.windows, layout.levels.name)
    listed = listed_levels(layout.levels)
    start = Start(
        paths=tuple(paths),
        cells=cells.size,
        shape=f"{array.rows} × {array.cols}",
        levels=listed,
        windows=windows,
        differing=len(paths) > 1 and bool(layout.source.header),
    )
    groups = _groups(layout, start)
    good = unused = 0
    for rows in log_rows(paths, layout, ledger):
        good += len(rows)
        cells.assign(rows)
        counters.add_to(rows)
        for group in groups.values():
            group.add(rows)
        unused += int(np.count_nonzero(rows.good & ~rows.used))
    if not good:
        _raise_no_rows(paths[0], layout, ledger)
    for group in groups.values():
        group.check(ledger)
    levels, rank = (listed, None) if windows is None else windows.levels(paths[0])
    end = Finish(
        place=cells.place(),
        shape=(array.rows, array.cols),
        levels=levels,
        window_rank=rank,
        ledger=ledger,
    )
    found: dict[str, Any] = {}
    for name, group in groups.items():  # [program] first, since others refer to it
        found[name] = group.finish(end)
        if name == "program":
            end = replace(end, program=found[name])
    reads = found.get("reads")
    return TableContent(
        levels=levels,
        program=found.get("program"),
        reads=reads[0] if reads else None,
        bakes=found.get("retention", ()),
        **{name: found.get(name) for name in _SINGLE},
        rows=good + ledger.unread,
        bad=ledger.bad(),
        unused=unused,
    )


_SINGLE = ("endurance", "iv", "mvm", "readout", "pulses", "attempts")


def _groups(layout: TableLayout, start: Start) -> dict[str, Any]:
    """Return the collectors of the groups of a layout, in the order in which they are built."""
    groups: dict[str, Any] = {}
    if layout.program is not None:
        groups["program"] = ProgramRows(layout.program, start)
    if layout.reads is not None:
        groups["reads"] = ReadRows(layout.reads, start, name="reads")
    if layout.retention is not None:
        groups["retention"] = ReadRows(layout.retention, start, name="retention")
    if layout.endurance is not None:
        groups["endurance"] = EnduranceRows(layout.endurance, start)
    if layout.iv is not None:
        groups["iv"] = IVRows(layout.iv, start)
    if layout.mvm is not None:
        groups["mvm"] = MVMRows(layout.mvm, start)
    if layout.readout is not None:
        groups["readout"] = ReadoutRows(layout.readout, start)
    if layout.pulses is not None:
        groups["pulses"] = PulseRows(layout.pulses, start)
    if layout.attempts is not None:
        groups["attempts"] = AttemptRows(layout.attempts, start)
    return groups


def _raise_no_rows(path: Path, layout: TableLayout, ledger: Ledger) -> None:
    bad = max(ledger.bad(), key=lambda b: b.rows, default=None)
    source = layout.source
    reason = ""
    if bad is not None:
        reason = f"; {counted(bad.rows, 'line')}: {bad.reason}, as in {bad.first!r}"
    raise MeasurementError(
        path if bad is None else bad.path,
        "/" if bad is None else f"line {bad.lines[0]}",
        found=f"no row with the right number of fields{reason}",
        expected=f"rows of {len(source.columns) or 'several'} fields",
        remedy="check `separator`, `columns` and `header` in the layout file",
    )
