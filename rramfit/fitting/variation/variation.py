"""Variation of all levels: components, their place on the array, and how levels go together.

Accepted programmings of healthy cells count, no others. What is estimated, and how, stands in
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

from rramfit.card.quantity import Quantity, quantities_frame
from rramfit.card.schema import VariationCard
from rramfit.errors import FitError
from rramfit.fitting.result import Finding, Verdict
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.statistics.read_spread import read_spread
from rramfit.fitting.variation.correlation import (
    LevelCorrelation,
    cell_offsets,
    fit_level_correlation,
)
from rramfit.fitting.variation.one_level import FEWEST_CELLS, LevelVariation, fit_level_variation
from rramfit.fitting.variation.spatial import PROVEN
from rramfit.measurement.file.record import Reads
from rramfit.units import format_quantity

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["VariationFit", "fit_variation"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_FEW_EFFECTIVE = 10  # independent patches below which a population cannot be told from one array
_CLIPPED_SHARE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class VariationFit:
    """Variation of one array's levels.

    Attributes
    ----------
    levels : tuple of LevelVariation or None
        By level; None where too few cells were read.
    correlation : LevelCorrelation, optional
        Of a cell's offset between levels.
    offsets : (level, row, col) array
        Each cell's own mean less the level's [S], as posterior means; NaN where unknown.
    verdict : Verdict
    """

    levels: tuple[LevelVariation | None, ...]
    correlation: LevelCorrelation | None
    offsets: Floats
    verdict: Verdict = field(default_factory=Verdict)

    def __post_init__(self) -> None:
        self.offsets.flags.writeable = False

    def to_card(self) -> list[VariationCard]:
        """Return the fitted levels' parts of a card."""
        return [v.to_card() for v in self.levels if v is not None]

    def correlation_to_card(self) -> list[list[float]] | None:
        """Correlation between levels for a card; 0 where it is not known."""
        if self.correlation is None:
            return None
        rows: list[list[float]] = np.nan_to_num(self.correlation.matrix).tolist()
        return rows

    def quantities(self) -> dict[str, Quantity]:
        """Every estimate by name, such as ``level 1 d2d``."""
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
        if self.correlation is not None:
            c = self.correlation
            for k, j in zip(*np.nonzero(np.tril(np.isfinite(c.matrix), -1)), strict=True):
                found[f"correlation {j} {k}"] = Quantity.estimated(
                    c.matrix[k, j], c.stderr[k, j], "1", scale="fisher", df=float(c.df[k, j])
                )
        return found

    def to_frame(self) -> pd.DataFrame:
        """One row an estimate: value, stderr, low, high, unit."""
        return quantities_frame(self.quantities())

    def summary(self) -> str:
        """Return the fit as text for people."""
        lines = [
            f"Variation: {sum(v is not None for v in self.levels)} levels, {self.verdict.word}"
        ]
        lines += [f"  level {v.level}: {_in_words(v)}" for v in self.levels if v is not None]
        lines += [f"  ! {f.what}: {f.remedy}" for f in self.verdict.findings]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        notes = "".join(
            f"<p>{html.escape(f.what)}: {html.escape(f.remedy)}</p>" for f in self.verdict.findings
        )
        return f"<p><b>Variation ({self.verdict.word})</b></p>{self.to_frame().to_html()}{notes}"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the components against the level, with 95 % intervals."""
        if ax is None:
            from matplotlib.figure import Figure

            ax = Figure(figsize=(5, 3), layout="constrained").subplots()
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
    seed: int = 0,
) -> VariationFit:
    """Fit the variation of all levels.

    Parameters
    ----------
    statistics : ProgramStatistics
    healthy : (row, col) bool array
        Cells that nothing is wrong with.
    domains : sequence of {"linear", "log"}
        By level: "log" where the level is lognormal. For other families that spread with their
        value, gamma or Weibull, the way back from logarithms would be biased. A level that spreads
        little is fitted in siemens in any case.
    reads : Reads, optional
        Repeated reads of one programmed state: takes read noise out of c2c.
    seed : int
        Of the test against no smooth field.

    Raises
    ------
    FitError
        If no level has cells enough.
    """
    count = len(statistics.count)
    if len(domains) != count:
        msg = f"{len(domains)} domains for {count} levels; expected one each"
        raise ValueError(msg)
    noise = None if reads is None else read_spread(reads)
    levels = tuple(
        fit_level_variation(statistics, healthy, k, domain=domains[k], reads=noise, seed=seed)
        for k in range(count)
    )
    if not any(v is not None for v in levels):
        cells = int((np.where(healthy, statistics.count, 0) > 0).sum(axis=(1, 2)).max(initial=0))
        msg = (
            f"variation: at most {cells} healthy cells were accepted at a level; "
            f"expected at least {FEWEST_CELLS}"
        )
        raise FitError(msg)
    correlation = fit_level_correlation(levels)
    return VariationFit(
        levels=levels,
        correlation=correlation,
        offsets=cell_offsets(levels, correlation, healthy),
        verdict=Verdict(tuple(_findings(levels, statistics, healthy))),
    )


def _findings(
    levels: Sequence[LevelVariation | None], statistics: ProgramStatistics, healthy: Bools
) -> list[Finding]:
    found = []
    fitted = [v for v in levels if v is not None]
    if few := [k for k, v in enumerate(levels) if v is None]:
        what = f"fewer than {FEWEST_CELLS} cells were accepted at {_named(few)}"
        found.append(Finding(what, "no variation is stated there; program more cells to it"))
    if mixed := [v.level for v in fitted if v.d2d is None]:
        what = (
            f"at {_named(mixed)} cells were programmed once: variation between cells and between "
            "cycles cannot be told apart, only their sum is known"
        )
        found.append(Finding(what, "program every cell to every level at least twice"))
    if patchy := [v.level for v in fitted if v.effective_cells < min(_FEW_EFFECTIVE, v.n_cells)]:
        least = min(v.effective_cells for v in fitted)
        rests = (
            "less than one independent patch"
            if least < 1
            else f"no more than {least:.1f} independent cells"
        )
        what = (
            f"conductance varies so smoothly over the array at {_named(patchy)} that the mean "
            f"rests on {rests}"
        )
        found.append(Finding(what, "measure further arrays, or a larger one"))
    clipped = int(statistics.clipped[:, healthy].sum())
    readings = int(statistics.measured[healthy].sum())
    if clipped > _CLIPPED_SHARE * readings:
        what = f"{clipped} of {readings} readings of healthy cells lie at a rail"
        remedy = "the components are too small; widen the instrument's range"
        found.append(Finding(what, remedy))
    return found


def _named(levels: Sequence[int]) -> str:
    """Name levels in words, runs of them in short."""
    runs: list[list[int]] = []
    for k in levels:
        if runs and runs[-1][-1] == k - 1:
            runs[-1].append(k)
        else:
            runs.append([k])
    parts = [str(r[0]) if len(r) == 1 else f"{r[0]} to {r[-1]}" for r in runs]
    return f"level{'s' if len(levels) > 1 else ''} {', '.join(parts)}"


def _in_words(v: LevelVariation) -> str:
    named = (("d2d", v.d2d), ("c2c", v.c2c), ("read", v.read), ("total", v.total))
    parts = [
        f"{name} {format_quantity(q.value, 'S', digits=3)}"
        + (f" ± {format_quantity(q.stderr, 'S', digits=3)}" if q.stderr else "")
        for name, q in named
        if q is not None
    ]
    if v.spatial is not None and v.spatial.p_value is not None and v.spatial.p_value < PROVEN:
        length = v.spatial.correlation_length
        reach = f", {length.value:.3g} pitches long" if length is not None else ""
        share = v.spatial.share
        parts.append(f"smooth field{f' {share.value:.0%} of d2d²' if share else ''}{reach}")
    return ", ".join(parts) + f" ({v.n_cells} cells, {v.n_readings} readings)"
