"""Variation of all levels: components, fields over the array, and correlation between levels.

Only accepted programming operations of healthy cells are used. The models are described in
`rramfit.fitting.variation.one_level` (one level), `rramfit.fitting.variation.spatial` (over the
array) and `rramfit.fitting.variation.correlation` (between levels).
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rramfit.card.quantity import Quantity, quantities_frame, quantities_html
from rramfit.card.schema import LineOffsets, VariationCard
from rramfit.errors import FitError
from rramfit.fitting.results.result import Finding, Verdict
from rramfit.fitting.screening.at_level import AtLevel
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.statistics.read_spread import read_spread
from rramfit.fitting.variation.correlation import (
    LevelCorrelation,
    cell_offsets,
    fit_level_correlation,
)
from rramfit.fitting.variation.few_cells import FewCells, fit_few_cells
from rramfit.fitting.variation.line_findings import line_findings
from rramfit.fitting.variation.line_offsets import line_correlation
from rramfit.fitting.variation.one_level import FEWEST_CELLS, LevelVariation, fit_level_variation
from rramfit.fitting.variation.part_of_array import find_parts
from rramfit.measurement.file.record import Reads
from rramfit.units import counted, format_estimate, format_percent

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["VariationFit", "fit_variation"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_FEW_EFFECTIVE = 10  # least number of independent cells for describing a population
_CLIPPED_SHARE = 0.01
_WHY_FEW = {
    "field": "conductance varies so smoothly over the array at {} that",
    "lines": "the cells of one line have so much in common at {} that",
    "unknown": "smooth variation over the array cannot be excluded at {}, and with it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VariationFit:
    """Variation of one array's levels.

    Attributes
    ----------
    levels : tuple of LevelVariation or None
        By level; None for too few cells.
    correlation : LevelCorrelation, optional
        Correlation of a cell's offsets between levels.
    offsets : (level, row, col) array
        Mean of each cell less that of the level [S], as posterior means; NaN where unknown.
    offset_stderr : (level, row, col) array
        Posterior standard deviations of `offsets` [S]; NaN where unknown.
    verdict : Verdict
    """

    levels: tuple[LevelVariation | None, ...]
    correlation: LevelCorrelation | None
    offsets: Floats
    offset_stderr: Floats
    line_correlation: Floats | None = None  # (level, level) of line offsets; NaN where unknown
    few: tuple[FewCells, ...] = ()  # levels of a few cells with many cycles
    verdict: Verdict = field(default_factory=Verdict)

    def __post_init__(self) -> None:
        for a in (self.offsets, self.offset_stderr):
            a.flags.writeable = False

    def to_card(self) -> list[VariationCard]:
        """Return the fitted levels as entries of a card."""
        cards = [v.to_card() for v in (*self.levels, *self.few) if v is not None]
        return sorted(cards, key=lambda card: card.level)

    def line_offsets(self) -> Floats | None:
        """Return the line offset of every cell, (level, row, col) [S]; None without lines."""
        if not any(v is not None and v.offsets for v in self.levels):
            return None
        out = np.full(self.offsets.shape, np.nan)
        for k, v in enumerate(self.levels):
            if v is not None:
                c = v.components
                log = v.domain == "log"
                out[k] = np.expm1(v.lines) * np.exp(c.mean + c.total / 2) if log else v.lines
        return out

    def line_correlation_to_card(self) -> list[list[float]] | None:
        """Return the correlation of line offsets between levels for a card; 0 where unknown."""
        if self.line_correlation is None:
            return None
        return [[float(x) for x in row] for row in np.nan_to_num(self.line_correlation)]

    def correlation_to_card(self) -> list[list[float]] | None:
        """Return the correlation between levels for a card; 0 where unknown."""
        if self.correlation is None:
            return None
        rows: list[list[float]] = np.nan_to_num(self.correlation.matrix).tolist()
        return rows

    def quantities(self) -> dict[str, Quantity]:
        """Return all estimates by name, such as ``level 1 d2d``."""
        found: dict[str, Quantity] = {}
        for v in self.levels:
            if v is None:
                continue
            parts: dict[str, Quantity | None] = {
                "total": v.total,
                "d2d": v.d2d,
                "c2c": v.c2c,
                "read": v.read,
            }
            if v.spatial is not None:
                parts |= {
                    "row trend": v.spatial.row_trend,
                    "col trend": v.spatial.col_trend,
                    "correlation length": v.spatial.correlation_length,
                    "share": v.spatial.share,
                }
            found |= {f"level {v.level} {name}": q for name, q in parts.items() if q is not None}
        for few in self.few:
            found |= {f"level {few.level} {n}": q for n, q in few.named() if q is not None}
        if self.correlation is not None:
            c = self.correlation
            for k, j in zip(*np.nonzero(np.tril(np.isfinite(c.matrix), -1)), strict=True):
                found[f"correlation {j} {k}"] = Quantity.estimated(
                    c.matrix[k, j], c.stderr[k, j], "1", scale="fisher", df=float(c.df[k, j])
                )
        return found

    def to_frame(self) -> pd.DataFrame:
        """Return one row per estimate: value, stderr, low, high, unit."""
        return quantities_frame(self.quantities())

    def summary(self) -> str:
        """Return the fit as readable text."""
        fitted = sum(v is not None for v in self.levels) + len(self.few)
        lines = [f"Variation: {counted(fitted, 'level')}, {self.verdict.word}"]
        lines += [f"  level {v.level}: {_format_level(v)}" for v in self.levels if v is not None]
        for few in self.few:
            parts = [
                f"{n} {format_estimate(q.value, q.ci95, q.unit)}"
                for n, q in few.named()
                if q is not None
            ]
            cells, readings = counted(few.n_cells, "cell"), counted(few.n_readings, "reading")
            lines.append(f"  level {few.level}: {', '.join(parts)}; {cells}, {readings}")
        lines += [f"  ! {f}" for f in self.verdict.findings]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        notes = "".join(f"<p>{html.escape(str(f))}</p>" for f in self.verdict.findings)
        title = f"<p><b>Variation ({self.verdict.word})</b></p>"
        return f"{title}{quantities_html(self.quantities())}{notes}"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the components against the level, with 95 % intervals."""
        from rramfit.fitting.results.axes import axes_or_new

        ax = axes_or_new(ax)
        for name in ("total", "d2d", "c2c", "read"):
            points = [(v.level, getattr(v, name)) for v in self.levels if v is not None]
            points = [(k, q) for k, q in points if q is not None]
            if points:
                value = np.array([q.value for _, q in points])
                ends = np.array([q.ci95 for _, q in points]).T
                bars = np.abs(ends - value)
                ax.errorbar(
                    [k for k, _ in points],
                    value * 1e6,
                    bars * 1e6,
                    marker="o",
                    markersize=3,
                    linestyle=":" if name == "total" else "-",
                    label=name,
                )
        ax.set_xlabel("level")
        ax.set_ylabel("standard deviation [uS]")
        ax.set_ylim(bottom=0)
        ax.legend()
        return ax


def fit_variation(
    statistics: ProgramStatistics,
    healthy: Bools,
    *,
    domains: Sequence[str],
    reads: Reads | None = None,
    at_level: AtLevel | None = None,
    seed: int = 0,
) -> VariationFit:
    """Fit the variation of all levels.

    Parameters
    ----------
    statistics : ProgramStatistics
    healthy : (row, col) bool array
        Cells without faults.
    domains : sequence of {"linear", "log"}
        By level: "log" if the level is lognormal. For other families whose spread grows with their
        value (gamma, Weibull), conversion from logarithms would be biased. A level with a small
        spread is always fitted in siemens.
    reads : Reads, optional
        Repeated reads of one programmed state; with them, read noise is subtracted from c2c.
    at_level : AtLevel, optional
        Cells of `reads` that are at their level; by default all.
    seed : int
        Seed of the test for a smooth field.

    Raises
    ------
    FitError
        If no level has enough cells.
    """
    count = len(statistics.count)
    if len(domains) != count:
        msg = f"{counted(len(domains), 'domain')} for {counted(count, 'level')}; expected one each"
        raise ValueError(msg)
    noise = None
    if reads is not None:
        noise = read_spread(reads, within=None if at_level is None else at_level.within)
        noise = noise if at_level is None else noise.only(at_level.at)
    levels = tuple(
        fit_level_variation(statistics, healthy, k, domain=domains[k], reads=noise, seed=seed)
        for k in range(count)
    )
    none = [k for k, v in enumerate(levels) if v is None]
    scarce = [fit_few_cells(statistics, healthy, k, reads=noise) for k in none]
    few = tuple(v for v in scarce if v is not None)
    if not few and not any(v is not None for v in levels):
        cells = int((np.where(healthy, statistics.count, 0) > 0).sum(axis=(1, 2)).max(initial=0))
        msg = (
            f"variation: no level has more than {counted(cells, 'accepted healthy cell')}, but at "
            f"least {FEWEST_CELLS} are required"
        )
        raise FitError(msg)
    of_lines = line_correlation([None if v is None else v.driver for v in levels])
    correlation = fit_level_correlation(levels, of_lines)
    offsets, offset_stderr = cell_offsets(levels, correlation, healthy)
    return VariationFit(
        levels=levels,
        correlation=correlation,
        offsets=offsets,
        offset_stderr=offset_stderr,
        line_correlation=of_lines,
        few=few,
        verdict=Verdict(tuple(_findings(levels, few, statistics, healthy))),
    )


def _findings(
    levels: Sequence[LevelVariation | None],
    few: Sequence[FewCells],
    statistics: ProgramStatistics,
    healthy: Bools,
) -> list[Finding]:
    found = []
    fitted = [v for v in levels if v is not None]
    if few:
        most = max(v.n_cells for v in few)
        number = "a single cell was" if most == 1 else f"at most {most} cells were"
        what = (
            f"{number} accepted at {_format_levels([v.level for v in few])}: the variation "
            "describes "
            + ("this cell, and that between cells is not known" if most == 1 else "these cells")
        )
        found.append(Finding(what, "program more cells to these levels", code="few-cells"))
    known = {v.level for v in few}
    if absent := [k for k, v in enumerate(levels) if v is None and k not in known]:
        what = (
            f"fewer than {FEWEST_CELLS} cells were accepted at {_format_levels(absent)}, so no "
            "variation is reported there"
        )
        found.append(Finding(what, "program more cells to these levels", code="no-variation"))
    if mixed := [v.level for v in fitted if v.d2d is None]:
        what = (
            f"at {_format_levels(mixed)}, too few cells were programmed more than once, so "
            "variation between cells and between cycles cannot be separated and only their sum is "
            "known"
        )
        found.append(
            Finding(
                what, "program every cell to every level at least twice", code="no-repeated-cells"
            )
        )
    found += _few_independent(fitted)
    found += line_findings(fitted)
    found += find_parts(fitted, healthy)
    clipped = int(statistics.clipped[:, healthy].sum())
    readings = int(statistics.measured[healthy].sum())
    if clipped > _CLIPPED_SHARE * readings:
        what = (
            f"{clipped} of {readings} readings of healthy cells "
            f"({format_percent(clipped / readings)}) are clipped at a rail, so the components are "
            "too small"
        )
        remedy = "increase the instrument's range"
        found.append(Finding(what, remedy, code="variation-clipped"))
    return found


def _few_independent(fitted: Sequence[LevelVariation]) -> list[Finding]:
    """Return findings on levels with few independent cells, by what correlates them."""
    few = [v for v in fitted if v.effective_cells < min(_FEW_EFFECTIVE, v.n_cells)]
    reasons = [_correlated_by(v) for v in few]
    found = []
    for reason, why in _WHY_FEW.items():
        levels = [v for v, x in zip(few, reasons, strict=True) if x == reason]
        if levels:
            least = min(v.effective_cells for v in levels)
            number = "below 1" if least < 1 else f"only {least:.1f}"
            what = why.format(_format_levels([v.level for v in levels]))
            what += f" the effective number of independent cells is {number}"
            found.append(
                Finding(what, "measure more arrays, or a larger one", code="few-independent-cells")
            )
    return found


def _correlated_by(v: LevelVariation) -> str:
    """Return what correlates the cells of a level most: "field", "lines", or "unknown"."""
    has_field = v.spatial is not None and v.spatial.has_field
    lines, field = v.driver.lines, v.driver.field
    if lines is None or field is None or not has_field:
        return "field" if has_field else "unknown" if lines is None else "lines"
    seen = np.isfinite(v.driver.scores).astype(np.float64)
    by_lines = lines.pair_sums(seen) @ [e.variance for e in lines.effects]
    by_field = field.mean(field.variance * field.share * field.pair_sums())
    return "field" if by_field > by_lines else "lines"


def _format_levels(levels: Sequence[int]) -> str:
    """Return the level numbers, consecutive ones as a range."""
    runs: list[list[int]] = []
    for k in levels:
        if runs and runs[-1][-1] == k - 1:
            runs[-1].append(k)
        else:
            runs.append([k])
    parts: list[str] = []
    for r in runs:
        parts += [str(k) for k in r] if len(r) < 3 else [f"{r[0]} to {r[-1]}"]
    text = f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]
    return f"level{'s' if len(levels) > 1 else ''} {text}"


def _format_level(v: LevelVariation) -> str:
    named = (("d2d", v.d2d), ("c2c", v.c2c), ("read", v.read), ("total", v.total))
    parts = [
        f"{name} {format_estimate(q.value, q.ci95, q.unit)}" for name, q in named if q is not None
    ]
    s = v.spatial
    if s is not None and s.has_field:
        text = "smooth field"
        if s.share is not None:
            text += f" {format_estimate(s.share.value, s.share.ci95, '1', percent=True)} of d2d²"
        if s.correlation_length is not None:
            length = s.correlation_length
            text += f", correlation length {format_estimate(length.value, length.ci95, 'pitches')}"
        parts.append(text)
    parts += [
        f"offsets of {_format_lines(x)} {format_estimate(x.std.value, x.std.ci95, x.std.unit)}"
        for x in v.offsets
    ]
    cells, readings = counted(v.n_cells, "cell"), counted(v.n_readings, "reading")
    return f"{', '.join(parts)}; {cells}, {readings}"


def _format_lines(x: LineOffsets) -> str:
    """Return which lines share an offset."""
    line, other = ("columns", "rows") if x.axis == "col" else ("rows", "columns")
    return line if x.period == 1 else f"{line} ({other} modulo {x.period})"
