"""Levels: the conductance that a cell reaches when level k is the target.

The distribution of a level is that of accepted readings of healthy cells, over cells and cycles.
Mean and standard deviation are moments of all those readings (`rramfit.fitting.levels.moments`),
independent of the family. Only if more than 0.1 % of the readings are clipped at a rail do they
come from the fitted distribution. The distribution is one of eight families, fitted by maximum
likelihood (`rramfit.fitting.statistics.likelihood`), chosen by held-out log likelihood
(`rramfit.fitting.statistics.selection`) and tested for goodness of fit
(`rramfit.fitting.statistics.goodness`). From the distributions follow read thresholds and overlap
(`rramfit.fitting.levels.thresholds`) and bits stored per cell (`rramfit.fitting.levels.capacity`).

If a verify window determines acceptance, the distribution describes the readings inside the window,
and mean and standard deviation cannot leave what the window allows.

Not here: readings that were not accepted (`rramfit.fitting.failure.failure`), and variation between
cells and between cycles (`rramfit.fitting.variation.variation`).
"""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rramfit.card.quantity import Quantity, quantities_html
from rramfit.card.schema import LevelCard
from rramfit.fitting.levels.capacity import stored_bits
from rramfit.fitting.levels.findings import judge
from rramfit.fitting.levels.level_fit import LevelFit
from rramfit.fitting.levels.parameters import parameter_result
from rramfit.fitting.levels.plots import draw_probability_paper
from rramfit.fitting.levels.point_estimates import LevelEstimates, estimate_level
from rramfit.fitting.levels.thresholds import separate
from rramfit.fitting.results.result import Verdict
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.statistics.influence import PartErrors, offset_correlation
from rramfit.measurement.file.record import Levels
from rramfit.units import counted, format_estimate, format_quantity

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["LevelsFit", "fit_levels"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelsFit:
    """Fit of all levels of one array, and the bits stored per cell.

    Attributes
    ----------
    levels : tuple of LevelFit
        In the order of their targets.
    levels_with_distribution : int
    bits_per_cell, bits_with_thresholds : Quantity, optional
        Mutual information of the target level and the conductance, or the level read with the best
        thresholds [bit]; None if fewer than two levels have a distribution.
    verdict : Verdict
    """

    levels: tuple[LevelFit, ...]
    levels_with_distribution: int
    bits_per_cell: Quantity | None
    bits_with_thresholds: Quantity | None
    verdict: Verdict

    def __getitem__(self, index: int) -> LevelFit:
        return self.levels[index]

    def __len__(self) -> int:
        return len(self.levels)

    def to_card(self) -> list[LevelCard]:
        """Return the entries of a card's `levels`."""
        return [level.to_card() for level in self.levels]

    def to_frame(self) -> pd.DataFrame:
        """Return one row per level: target, readings and distribution."""
        import pandas as pd

        columns = ("mean", "std", "threshold", "overlap")
        rows = []
        for v in self.levels:
            row: dict[str, object] = {
                "name": v.name,
                "target": v.target,
                "n_cells": v.n_cells,
                "n_observations": v.n_observations,
                "family": v.family,
                "p_value": v.distribution.chosen.p_value if v.distribution else None,
            }
            for column in columns:
                q: Quantity | None = getattr(v, column)
                row[column] = q.value if q else None
                row[f"{column}_stderr"] = q.stderr if q else None
            rows.append(row)
        return pd.DataFrame(rows, index=pd.Index([v.index for v in self.levels], name="level"))

    def alternatives_frame(self) -> pd.DataFrame:
        """Return one row per level and family tried."""
        import pandas as pd

        rows = [
            {
                "level": v.index,
                "family": c.family,
                "chosen": c is v.distribution.chosen,
                "aic": c.aic,
                "bic": c.bic,
                "heldout": c.heldout,
                "heldout_stderr": c.heldout_error,
                "p_value": c.p_value,
                "distance": c.distance,
                "note": c.note,
            }
            for v in self.levels
            if v.distribution
            for c in v.distribution.candidates
        ]
        return pd.DataFrame(rows)

    def summary(self) -> str:
        """Return the levels as readable text."""
        head = (
            f"{'level':<8}{'target':>10}  {'mean (95 % CI)':<28}{'std (95 % CI)':<28}"
            f"{'cells':>8}{'readings':>10}  family"
        )
        lines = [f"{counted(len(self), 'level')}: {self.verdict.word}", head]
        for v in self.levels:
            target = "-" if not math.isfinite(v.target) else format_quantity(v.target, "S")
            lines.append(
                f"{v.name:<8}{target:>10}  {_estimate(v.mean):<28}{_estimate(v.std):<28}"
                f"{v.n_cells:>8}{v.n_observations:>10}  {v.family or '-'}"
            )
        soft, hard = self.bits_per_cell, self.bits_with_thresholds
        if soft and hard:
            limit = math.log2(self.levels_with_distribution)
            lines.append(
                f"bits per cell: {_estimate(soft)}; with thresholds: {_estimate(hard)}; "
                f"upper limit for {counted(self.levels_with_distribution, 'level')}: "
                f"{limit:.4g} {'bit' if limit == 1 else 'bits'}"
            )
        lines += [f"  ! {f}" for f in self.verdict.findings]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        notes = "".join(f"<p>{html.escape(str(f))}</p>" for f in self.verdict.findings)
        title = html.escape(f"{counted(len(self), 'level')} ({self.verdict.word})")
        shown = {
            f"{v.name}: {name}": q
            for v in self.levels
            for name in ("mean", "std", "threshold", "overlap")
            if (q := getattr(v, name)) is not None
        }
        families = ", ".join(f"{v.name} {v.family}" for v in self.levels if v.family)
        text = f"<p>Families: {html.escape(families)}</p>" if families else ""
        return f"<p><b>{title}</b></p>{text}{quantities_html(shown)}{notes}"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw readings and distributions on normal probability paper."""
        return draw_probability_paper(self.levels, ax)


def fit_levels(
    statistics: ProgramStatistics,
    healthy: Bools,
    levels: Levels,
    *,
    seed: int,
    targets_known: bool = True,
) -> LevelsFit:
    """Fit every level's distribution.

    Parameters
    ----------
    statistics : ProgramStatistics
    healthy : (row, col) bool array
        Cells that respond; the others are excluded.
    levels : Levels
        Target levels.
    seed : int
        Seed of the assignment of cells to folds.
    targets_known : bool
        Whether the targets were given; False for levels that were found blind, whose targets are
        medians of readings.

    Returns
    -------
    LevelsFit
        A level with too few readings has no distribution; this is a finding of the verdict.
    """
    drafts = [estimate_level(statistics, healthy, k, seed) for k in range(len(levels))]
    with_distribution = [d for d in drafts if d.distribution is not None]
    distributions = [d.distribution for d in with_distribution if d.distribution is not None]
    boundaries = [separate(below, above) for below, above in itertools.pairwise(distributions)]
    bits = (
        stored_bits(distributions, [b.threshold for b in boundaries])
        if len(distributions) > 1
        else None
    )
    for i, draft in enumerate(with_distribution):
        if bits is not None:
            draft.parts["bits"] = bits.parts[i]
        if i > 0:
            draft.parts["from below"] = boundaries[i - 1].above
        if i < len(boundaries):
            draft.parts["to above"] = boundaries[i].below
    found = [d.errors() for d in drafts]
    correlation = np.ones((0, 0))
    if len(distributions) > 1:
        correlation = offset_correlation(
            [d.driver for d in with_distribution],
            np.array([d.reliability for d in with_distribution]),
        )

    upper: dict[int, tuple[Quantity, Quantity]] = {}
    for i, boundary in enumerate(boundaries):
        below, above = with_distribution[i].index, with_distribution[i + 1].index
        if above == below + 1:
            upper[below] = boundary.quantities(
                found[below]["to above"],
                found[above]["from below"],
                correlation[i : i + 2, i : i + 2],
            )
    fits = tuple(
        _finish(draft, levels, covariances, upper.get(draft.index), targets_known=targets_known)
        for draft, covariances in zip(drafts, found, strict=True)
    )
    soft = hard = None
    if bits is not None:
        soft, hard = bits.quantities(
            [found[d.index]["bits"] for d in with_distribution], correlation
        )
    return LevelsFit(
        levels=fits,
        levels_with_distribution=len(distributions),
        bits_per_cell=soft,
        bits_with_thresholds=hard,
        verdict=judge(fits),
    )


def _finish(
    draft: LevelEstimates,
    levels: Levels,
    found: Mapping[str, PartErrors],
    upper: tuple[Quantity, Quantity] | None,
    *,
    targets_known: bool,
) -> LevelFit:
    """Complete the estimates of a level with their errors."""
    k, distribution, result = draft.index, draft.distribution, None
    if distribution is not None:
        errors = found["distribution"]
        result = parameter_result(distribution, errors.clustered, trend=errors.trend)
        distribution = distribution.with_inflation(found["fit"].clustered.inflation)
    mean: Quantity | None = None
    std: Quantity | None = None
    lower, ceiling = (
        None if limits is None or np.isnan(limits[k]) else float(limits[k])
        for limits in (levels.lower, levels.upper)
    )
    if draft.moments is not None:
        errors = found["moments"]
        mean, std = draft.moments.quantities(
            errors.clustered, window=draft.window(lower, ceiling), trend=errors.trend
        )
    threshold, overlap = upper or (None, None)
    return LevelFit(
        index=k,
        name=levels.names[k],
        target=float(levels.target[k]) if targets_known else math.nan,
        lower=lower,
        upper=ceiling,
        n_cells=draft.n_cells,
        n_observations=draft.n_observations,
        n_sample=draft.n_sample,
        n_clipped=draft.n_clipped,
        readings=draft.readings,
        driver=draft.driver,
        mean=mean,
        std=std,
        distribution=distribution,
        result=result,
        reason=draft.reason,
        quantiles=draft.quantiles,
        extremes=draft.extremes,
        threshold=threshold,
        overlap=overlap,
    )


def _estimate(q: Quantity | None) -> str:
    if q is None:
        return "-"
    return format_estimate(q.value, q.ci95, "bits" if q.unit == "bit" else q.unit)
