"""Checks for bad data: faults of the instrument or the file that no fit can correct.

Each check looks for one effect that instruments and files cause and cells do not:

| check | looks for | module |
| --- | --- | --- |
| collapse | cells that collapse or jump between two reads | `collapse` |
| offset | negative conductance, dead lines that conduct, current at 0 V | `offsets` |
| pattern | a periodic pattern over rows or columns | `line_artefacts` |
| hidden | differences between lines that the programmed levels hide | `hidden_lines` |
| constant | a line that reads a constant other than zero; levels without any spread | here |
| drift, duplicates | levels that drift over sweeps; copied sweeps or reads | `sweep_sequence` |
| asked | sweeps and lines that read another pattern than the one asked for | `asked_pattern` |
| copies | lines that repeat another line | `line_copies` |
| failures | failure that rises or falls over sweeps | `failure_trend` |
| readings | outside the window, far beyond all levels, or rounded | `odd_readings` |
| saturation | readings at a rail | here |
| targets | levels that miss their targets or overlap | `targets` |

Each check that uses a statistical test raises a false alarm on 1 in 1000 clean chips.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rramfit.card.cells import Fault
from rramfit.fitting.checks.asked_pattern import find_wrong_pattern
from rramfit.fitting.checks.collapse import find_collapse, format_ranges
from rramfit.fitting.checks.failure_trend import find_failure_trend
from rramfit.fitting.checks.hidden_lines import find_confounded, level_counts
from rramfit.fitting.checks.line_artefacts import find_periodic
from rramfit.fitting.checks.line_copies import find_line_copies
from rramfit.fitting.checks.odd_readings import (
    find_clipped_reads,
    find_far_readings,
    find_outside_window,
    find_rounding,
)
from rramfit.fitting.checks.sweep_sequence import (
    FEWEST_SWEEPS,
    find_drift,
    find_duplicates,
    identical_reads,
)
from rramfit.fitting.levels.targets import find_mismatch, level_medians
from rramfit.fitting.results.result import Finding, Verdict
from rramfit.fitting.screening.offsets import find_offset, largest_zero
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.screening.screening import Screening
from rramfit.fitting.screening.stuck import LevelSpread, level_spread
from rramfit.measurement.file.record import Measurement, Reads
from rramfit.units import counted, format_percent, format_quantity

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Diagnostics", "diagnose"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

_SATURATED, _SEVERE = 0.01, 0.1  # shares of readings at a rail
_CELLS = 2048
_FEWEST_ALIKE = 10  # readings of a level that do not agree by chance
_FEWEST_IN_GROUP = 64
_PSEUDO_LEVELS = 16  # groups of cells by their first reading, if their levels are not known


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostics:
    """Findings of the checks for bad data."""

    found: dict[str, tuple[Finding, ...]]  # by check, for every check that ran

    @property
    def verdict(self) -> Verdict:
        """All findings."""
        return Verdict(tuple(f for findings in self.found.values() for f in findings))

    def summary(self) -> str:
        """Return the checks as readable text."""
        lines = [f"Data checks: {counted(len(self.found), 'check')}, {self.verdict.word}"]
        for name, findings in self.found.items():
            lines.append(f"  {name:<12} {'no findings' if not findings else ''}".rstrip())
            lines += [f"  ! {f}" for f in findings]
        return "\n".join(lines)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per finding: check, what, remedy, severe."""
        import pandas as pd

        rows = [
            (name, f.what, f.remedy, f.severe)
            for name, findings in self.found.items()
            for f in findings
        ]
        return pd.DataFrame(rows, columns=["check", "what", "remedy", "severe"])

    def _repr_html_(self) -> str:
        items = "".join(
            f"<li>{html.escape(name)}: "
            + (" ".join(html.escape(str(f)) for f in findings) or "no findings")
            + "</li>"
            for name, findings in self.found.items()
        )
        return f"<p><b>Data checks ({self.verdict.word})</b></p><ul>{items}</ul>"


def diagnose(
    measurement: Measurement, statistics: ProgramStatistics | None, screening: Screening
) -> Diagnostics:
    """Check all groups of a measurement for bad data.

    Parameters
    ----------
    measurement : Measurement
    statistics : ProgramStatistics or None
        Statistics of its programming sweeps.
    screening : Screening
    """
    healthy = screening.healthy
    found: dict[str, list[Finding]] = {
        "offset": find_offset(measurement, statistics, screening),
    }
    if statistics is not None and statistics.sweeps:
        _check_program(found, measurement, statistics, screening)
    for name, reads in (("reads", measurement.reads), ("retention", measurement.retention)):
        if reads is not None:
            _check_reads(found, f"/{name}", reads, measurement, healthy)
    return Diagnostics(found={name: tuple(f) for name, f in found.items()})


def _check_program(
    found: dict[str, list[Finding]],
    measurement: Measurement,
    statistics: ProgramStatistics,
    screening: Screening,
) -> None:
    healthy = screening.healthy
    found["constant"] = _constant(statistics, screening)
    found["saturation"] = _saturated(statistics, healthy)
    if statistics.sweeps > 1:
        found["duplicates"] = find_duplicates(statistics, healthy)
    levels = measurement.levels
    if levels is None or not (statistics.attempts > 0).any():
        return
    found["constant"] += _no_spread(statistics, healthy)
    at = level_spread(statistics, healthy)
    if statistics.sweeps >= FEWEST_SWEEPS:
        found["drift"] = find_drift(statistics, at.spread)
    counts = tuple(np.where(healthy, statistics.count, 0).sum(axis=a).T for a in (2, 1))
    found["pattern"] = find_periodic(
        _residual(statistics, at, healthy),
        what="The cells' deviations from their levels",
        counts=(counts[0], counts[1]),
    )
    found["hidden"] = find_confounded((counts[0], counts[1]))
    found["readings"] = [
        *find_outside_window(statistics, levels, healthy),
        *find_far_readings(statistics, at, healthy),
        *find_rounding(statistics, at, healthy),
    ]
    found["copies"] = find_line_copies(statistics, at, healthy)
    if screening.acceptance != "unknown":
        found["asked"] = find_wrong_pattern(statistics, at, healthy)
        if not found["asked"]:
            found["failures"] = find_failure_trend(statistics, healthy)
    sample = statistics.sample
    asked = np.where(healthy, sample.level, -1)
    found["targets"] = find_mismatch(level_medians(sample.conductance, asked, levels), levels)


def _check_reads(
    found: dict[str, list[Finding]],
    name: str,
    reads: Reads,
    measurement: Measurement,
    healthy: Bools,
) -> None:
    found.setdefault("collapse", []).extend(find_collapse(reads, healthy, group=name))
    change, first, some = _change(reads, healthy)
    if change is not None and first is not None:
        group = _groups(reads.level, first, healthy)
        counts = tuple(level_counts(group, int(group.max()) + 1, axis) for axis in (0, 1))
        found.setdefault("pattern", []).extend(
            find_periodic(
                _from_group(change, group),
                what=f"{name}: the changes since the first read",
                counts=(counts[0], counts[1]),
            )
        )
        if measurement.program is None:
            found.setdefault("hidden", []).extend(
                find_confounded((counts[0], counts[1]), where=f"{name}: ")
            )
    found.setdefault("saturation", []).extend(find_clipped_reads(name, some))
    copies = identical_reads(some)
    if copies:
        i, j = copies[0]
        found.setdefault("duplicates", []).append(
            Finding(
                f"{name}: {_repeats(len({j for _, j in copies}))} an earlier read exactly (first: "
                f"read {j} repeats read {i}).",
                "Remove the duplicates: they make noise and drift look too small.",
                severe=True,
                code="repeated-reads",
            )
        )
    if measurement.levels is not None and measurement.program is None and first is not None:
        asked = np.where(healthy, reads.level, -1)
        found.setdefault("targets", []).extend(
            find_mismatch(level_medians(first, asked, measurement.levels), measurement.levels)
        )


def _repeats(n: int) -> str:
    return f"{counted(n, 'read')} {'repeats' if n == 1 else 'repeat'}"


def _change(reads: Reads, healthy: Bools) -> tuple[Floats | None, Floats | None, Floats]:
    """Return the change from first to last read, the first read, and reads of some cells."""
    first = last = None
    step = max(1, int(healthy.sum()) // _CELLS)
    most = max(1, reads.shape[0] // 64)
    some, at = [], 0
    for block in reads.blocks():
        for y in block:
            if first is None:
                first = np.array(y)
            last = y
            if at % most == 0:
                some.append(y[healthy][::step])
            at += 1
    few = np.stack(some) if some else np.empty((0, 0))
    if first is None or last is None or at < 2:
        return None, first, few
    change = np.where(healthy, last - first, np.nan)
    enough = np.isfinite(change).sum() >= _CELLS // 64
    return (change if enough else None), first, few


def _groups(level: Integers, first: Floats, healthy: Bools) -> Integers:
    """Return the level of each cell, or a group of similar first readings if it is not known.

    Cells change as their level does: changes are compared between cells of one group.
    """
    seen = healthy & np.isfinite(first)
    group = np.where(seen, level, -1)
    unknown = seen & (level < 0)
    if unknown.any():
        parts = max(1, min(_PSEUDO_LEVELS, int(unknown.sum()) // _FEWEST_IN_GROUP))
        edges = np.quantile(first[unknown], np.linspace(0, 1, parts + 1)[1:-1])
        group[unknown] = group.max(initial=-1) + 1 + np.searchsorted(edges, first[unknown])
    return group


def _from_group(change: Floats, group: Integers) -> Floats:
    """Return the changes less the mean of their group, in standard deviations of the group."""
    out = np.full(change.shape, np.nan)
    for k in range(int(group.max(initial=-1)) + 1):
        mine = (group == k) & np.isfinite(change)
        if mine.sum() < 2:
            continue
        x = change[mine]
        middle = float(np.median(x))
        spread = 1.4826 * float(np.median(np.abs(x - middle)))
        if spread > 0:
            z = np.clip((x - middle) / spread, -4, 4)
            out[mine] = z - z.mean()
    return out


def _residual(statistics: ProgramStatistics, at: LevelSpread, healthy: Bools) -> Floats:
    """Return each cell's deviation from its level means, in standard deviations, (row, col)."""
    total, n = np.zeros(healthy.shape), np.zeros(healthy.shape)
    for k in np.flatnonzero(np.isfinite(at.centre) & (at.spread > 0)):
        seen = healthy & (statistics.count[k] > 0)
        z = np.clip((statistics.mean[k][seen] - at.centre[k]) / at.spread[k], -4, 4)
        count = statistics.count[k][seen]
        total[seen] += count * (z - float(count @ z) / float(count.sum()))
        n[seen] += count
    out = np.full(healthy.shape, np.nan)
    np.divide(total, n, out=out, where=n > 0)
    return out


def _constant(statistics: ProgramStatistics, screening: Screening) -> list[Finding]:
    """Report dead lines that read a constant other than zero."""
    out = []
    zero = largest_zero(statistics, screening)
    for axis, word, fault in ((1, "row", Fault.DEAD_ROW), (0, "column", Fault.DEAD_COL)):
        lines = np.flatnonzero((screening.fault == fault).any(axis=axis))
        value = np.array(
            [np.nanmedian(screening.value.take(i, axis=1 - axis)) for i in lines], dtype=float
        )
        lines, value = lines[np.abs(value) >= zero], value[np.abs(value) >= zero]
        if lines.size:
            what = (
                f"{word} {lines[0]} reads"
                if lines.size == 1
                else (f"{word}s {format_ranges(lines)} read")
            )
            out.append(
                Finding(
                    f"{what.capitalize()} a constant "
                    f"{format_quantity(float(np.median(value)), 'S', digits=3)} at every level.",
                    "Check for a short or a stuck decoder line; the fits exclude these cells.",
                    affected=lines.size / screening.fault.shape[1 - axis],
                    code="constant-line",
                )
            )
    return out


def _no_spread(statistics: ProgramStatistics, healthy: Bools) -> list[Finding]:
    """Report a chip each of whose levels reads one number only."""
    sample = statistics.sample
    good = sample.accepted & healthy & np.isfinite(sample.conductance)
    levels = [sample.conductance[good & (sample.level == k)] for k in range(len(statistics.count))]
    levels = [y for y in levels if y.size >= _FEWEST_ALIKE]
    if not levels or any(np.ptp(y) > 0 for y in levels):
        return []
    return [
        Finding(
            f"All readings of a level are one number, at {counted(len(levels), 'level')}: cells "
            "differ, and so must their readings.",
            "Check that the file holds readings and not targets, and that the converter is fine "
            "enough.",
            severe=True,
            affected=1.0,
            code="all-readings-equal",
        )
    ]


def _saturated(statistics: ProgramStatistics, healthy: Bools) -> list[Finding]:
    readings = int(statistics.measured[healthy].sum())
    out = []
    for i, (word, rail) in enumerate(
        (("floor", statistics.floor), ("ceiling", statistics.ceiling))
    ):
        n = int(statistics.clipped[i][healthy].sum())
        if rail is None or n <= _SATURATED * readings:
            continue
        out.append(
            Finding(
                f"{format_percent(n / readings)} of readings are at the {word} of the read-out "
                f"range, {format_quantity(rail, 'S')}.",
                "Choose a read-out range that covers all levels, and measure again.",
                severe=n > _SEVERE * readings,
                affected=n / readings,
                code="at-a-rail",
            )
        )
    return out
