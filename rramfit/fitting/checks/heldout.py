"""Held-out check: how well a distribution fitted to some cells and cycles predicts the others.

Cells are split into five folds at random, and sweeps into an early and a late half. The readings
of a fold in one half are predicted by the level's distribution, refitted to the other folds in the
other half. Each reading is predicted once, without data from its own cell or its own half. With
u = F(y), the predicted distribution function at a reading y,

    coverage   share of u within the central 50, 90 and 99 %
    distance   Kolmogorov-Smirnov distance between the distribution of u and the uniform one
    log score  mean predicted log density [ln 1/S]

The family is the one chosen in the full fit. The p-value of the distance comes from a parametric
bootstrap (`rramfit.fitting.levels.goodness_bootstrap`). With very many readings every distribution
is rejected, so a finding also requires a minimum distance.
"""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rramfit.card.families import family
from rramfit.card.quality import HeldOut
from rramfit.fitting.levels.distribution import LevelDistribution
from rramfit.fitting.levels.goodness_bootstrap import bootstrap_p_value
from rramfit.fitting.levels.levels import LevelsFit, fit_levels
from rramfit.fitting.results.axes import axes_or_new
from rramfit.fitting.results.result import Finding, Verdict
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.statistics.likelihood import Frame, LevelReadings, refit
from rramfit.measurement.file.record import Levels
from rramfit.streams import stream
from rramfit.units import counted, format_percent

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["HeldOutCheck", "HeldOutLevel", "check_heldout"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

FOLDS = 5
COVERAGES = (0.50, 0.90, 0.99)
FEWEST_CELLS = 20  # at least four cells per fold
P_LIMIT = 0.005  # bootstrap p-value below which a distance is significant …
DISTANCE_LIMIT, SEVERE_DISTANCE = 0.03, 0.10  # … and distance for a finding, or a severe one
_U = 200  # number of quantiles of u kept for plots


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutLevel:
    """How well one level's distribution predicts readings that it was not fitted to.

    Attributes
    ----------
    index : int
    name : str
    family : str
    log_score : float
        [ln 1/S]
    distance : float
        Kolmogorov-Smirnov distance.
    coverage, coverage_stderr : (3,) array
        Coverage of the 50, 90 and 99 % intervals; standard errors clustered by cell.
    p_value : float
    n_cells, n_observations : int
    halves : bool
        Whether sweeps were split too; False if all readings belong to one sweep.
    u : (q,) array
        Evenly spaced quantiles of the predicted distribution function, for plots.
    """

    index: int
    name: str
    family: str
    log_score: float
    distance: float
    coverage: Floats
    coverage_stderr: Floats
    p_value: float
    n_cells: int
    n_observations: int
    halves: bool
    u: Floats

    @property
    def words(self) -> str:
        """The verdict on this level."""
        if self.p_value >= P_LIMIT:
            return "the distribution predicts held-out cells and cycles"
        if self.distance < DISTANCE_LIMIT:
            return "the deviation is significant but small"
        return (
            f"the distribution misplaces up to {format_percent(self.distance)} of held-out readings"
        )

    def to_card(self) -> HeldOut:
        """Return the card's entry."""
        return HeldOut(
            level=self.index,
            log_score=self.log_score,
            ks_distance=self.distance,
            coverage50=float(self.coverage[0]),
            coverage90=float(self.coverage[1]),
            coverage99=float(self.coverage[2]),
            p_value=self.p_value,
            n_cells=self.n_cells,
            n_observations=self.n_observations,
            words=self.words,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutCheck:
    """The held-out check of all levels that have a distribution and enough cells."""

    levels: tuple[HeldOutLevel, ...]
    verdict: Verdict

    def to_card(self) -> list[HeldOut]:
        """Return the card's entries."""
        return [level.to_card() for level in self.levels]

    def to_frame(self) -> pd.DataFrame:
        """Return one row per level."""
        import pandas as pd

        rows = [v.to_card().model_dump(exclude={"level"}) for v in self.levels]
        return pd.DataFrame(rows, index=pd.Index([v.index for v in self.levels], name="level"))

    def summary(self) -> str:
        """Return the check as readable text."""
        head = f"{'level':<8}{'50 %':>8}{'90 %':>8}{'99 %':>8}{'distance':>10}{'p':>8}{'score':>9}"
        lines = [f"Held-out check: {self.verdict.word}", head]
        for v in self.levels:
            share = "".join(f"{format_percent(c):>8}" for c in v.coverage)
            lines.append(
                f"{v.name:<8}{share}{v.distance:>10.4f}{v.p_value:>8.3f}{v.log_score:>9.3f}"
                f"  {v.words}"
            )
        lines += [f"  ! {f}" for f in self.verdict.findings]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        notes = "".join(f"<p>{html.escape(str(f))}</p>" for f in self.verdict.findings)
        title = html.escape(f"Held-out check ({self.verdict.word})")
        return (
            f"<p><b>{title}</b></p>{self.to_frame().to_html(float_format='{:.3g}'.format)}{notes}"
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Plot observed minus predicted share of readings below each predicted quantile."""
        ax = axes_or_new(ax)
        for v in self.levels:
            at = (np.arange(v.u.size) + 0.5) / v.u.size
            ax.plot(v.u, at - v.u, lw=1, label=v.name)
        ax.axhline(0, color="grey", lw=0.8)
        ax.set_xlabel("predicted share of readings below")
        ax.set_ylabel("observed minus predicted")
        if 0 < len(self.levels) <= 8:
            ax.legend()
        return ax


def check_heldout(
    statistics: ProgramStatistics,
    healthy: Bools,
    levels: Levels,
    *,
    seed: int,
    fit: LevelsFit | None = None,
) -> HeldOutCheck:
    """Predict each level's readings from other cells and other cycles.

    Parameters
    ----------
    statistics : ProgramStatistics
    healthy : (row, col) bool array
        Cells to use.
    levels : Levels
    seed : int
        Seed of folds and bootstrap.
    fit : LevelsFit, optional
        The fitted levels, if they are already known.
    """
    known = fit or fit_levels(statistics, healthy, levels, seed=seed)
    done: list[HeldOutLevel] = []
    skipped: list[str] = []
    for level in known.levels:
        if level.distribution is None or level.n_cells < FEWEST_CELLS:
            skipped.append(level.name)
            continue
        sweep = _sweeps(statistics, healthy, level.readings)
        done.append(_check_level(level.name, level.distribution, level.readings, sweep, seed))
    return HeldOutCheck(levels=tuple(done), verdict=Verdict(tuple(_findings(done, skipped))))


def _sweeps(statistics: ProgramStatistics, healthy: Bools, readings: LevelReadings) -> Integers:
    """Return the sweep of each reading inside the rails, (n,)."""
    sample = statistics.sample
    y = sample.conductance
    chosen = (sample.level == readings.level) & sample.accepted & healthy & np.isfinite(y)
    if readings.floor is not None:
        chosen &= y > readings.floor
    if readings.ceiling is not None:
        chosen &= y < readings.ceiling
    per_sweep = np.count_nonzero(chosen.reshape(len(y), -1), axis=1)
    return np.repeat(np.arange(len(y)), per_sweep)


def _check_level(
    name: str, distribution: LevelDistribution, readings: LevelReadings, sweep: Integers, seed: int
) -> HeldOutLevel:
    late, halves = _halves(sweep)
    order = stream(seed, f"heldout/{readings.level}/folds").permutation(readings.n_cells)
    fold = np.asarray(order % FOLDS, dtype=np.int64)
    parts = FOLDS * (2 if halves else 1)
    group = fold[readings.cell] * (2 if halves else 1) + late
    m = readings.node.size
    weights = np.bincount(group * m + readings.point, minlength=parts * m).reshape(parts, m)
    u_at, score_at = np.empty((parts, m)), np.empty((parts, m))
    ends = np.zeros((parts, 2))  # predicted probability of a reading at the floor, at the ceiling
    clipped = np.array([readings.floor_count.sum(), readings.ceiling_count.sum()])
    for p in range(parts):
        parameters = _predicted(distribution, weights, p, clipped, halves=halves)
        known = family(distribution.family)
        u_at[p] = known.cdf(readings.node, parameters)
        score_at[p] = known.logpdf(readings.node, parameters)
        if readings.floor is not None:
            ends[p, 0] = known.cdf(readings.floor, parameters)
        if readings.ceiling is not None:
            ends[p, 1] = known.sf(readings.ceiling, parameters)
    u = u_at[group, readings.point]
    n = readings.n
    total = float(score_at[group, readings.point].sum())
    # Readings at a rail are spread evenly over the predicted probability of that rail.
    at_floor = float(ends[:, 0].mean()) if clipped[0] else 0.0
    at_ceiling = float(ends[:, 1].mean()) if clipped[1] else 0.0
    for k, probability in zip(clipped, (at_floor, at_ceiling), strict=True):
        total += float(k) * math.log(max(probability, 1e-300))
    everything = np.concatenate(
        [
            u,
            at_floor * (np.arange(int(clipped[0])) + 0.5) / max(clipped[0], 1),
            1 - at_ceiling * (np.arange(int(clipped[1])) + 0.5) / max(clipped[1], 1),
        ]
    )
    ordered = np.sort(everything)
    rank = np.arange(n)
    distance = float(np.max(np.maximum((rank + 1) / n - ordered, ordered - rank / n)))
    coverage, errors = _coverage(u, readings)
    p_value = bootstrap_p_value(
        distribution, readings, u, distance, stream(seed, f"heldout/{readings.level}/bootstrap")
    )
    at = np.linspace(0, n - 1, min(_U, n)).round().astype(np.int64)
    return HeldOutLevel(
        index=readings.level,
        name=name,
        family=distribution.family,
        log_score=total / n,
        distance=distance,
        coverage=coverage,
        coverage_stderr=errors,
        p_value=p_value,
        n_cells=readings.n_cells,
        n_observations=n,
        halves=halves,
        u=ordered[at],
    )


def _halves(sweep: Integers) -> tuple[Integers, bool]:
    """Return 1 for readings of the late half of the sweeps, and whether there is more than one."""
    found = np.unique(sweep)
    if found.size < 2:
        return np.zeros(sweep.size, dtype=np.int64), False
    return (sweep >= found[found.size // 2]).astype(np.int64), True


def _predicted(
    distribution: LevelDistribution,
    weights: NDArray[np.int64],
    part: int,
    clipped: Floats,
    *,
    halves: bool,
) -> dict[str, float]:
    """Fit the parameters to the other cells in the other half of the sweeps."""
    number = np.arange(len(weights))
    train = number != part
    if halves:
        train = (number // 2 != part // 2) & (number % 2 != part % 2)
    weight = weights[train].sum(axis=0).astype(np.float64)
    # Each training set gets a proportional share of the few clipped readings.
    share = weight.sum() / max(float(weights.sum()), 1.0)
    theta = refit(distribution.maximum, np.concatenate([weight, clipped * share]))
    frame: Frame = distribution.maximum.frame
    return distribution.maximum.likelihood.natural(theta, frame)


def _coverage(u: Floats, readings: LevelReadings) -> tuple[Floats, Floats]:
    """Compute the coverage of the central intervals; a clipped reading is outside all of them."""
    count = readings.cell_sums(np.ones(readings.weight.size))
    values, errors = [], []
    for c in COVERAGES:
        hits = np.bincount(
            readings.cell, weights=np.abs(u - 0.5) <= c / 2, minlength=readings.n_cells
        )
        share = float(hits.sum()) / readings.n
        r = hits - share * count
        values.append(share)
        errors.append(float(np.sqrt((r**2).sum())) / readings.n)
    return np.array(values), np.array(errors)


def _findings(done: list[HeldOutLevel], skipped: list[str]) -> list[Finding]:
    out: list[Finding] = []
    missed = [v for v in done if v.p_value < P_LIMIT and v.distance >= DISTANCE_LIMIT]
    if missed:
        worst = max(missed, key=lambda v: v.distance)
        out.append(
            Finding(
                f"The distributions of {len(missed)} of {counted(len(done), 'level')} do not "
                f"predict held-out cells and cycles; for the worst, {worst.name}, the 90 % "
                f"interval covers {format_percent(worst.coverage[1])} of readings, and up to "
                f"{format_percent(worst.distance)} are misplaced.",
                "Check the level's probability plot for drift over sweeps, patterns over the "
                "array, or a shape that no family describes.",
                severe=worst.distance >= SEVERE_DISTANCE,
                affected=worst.distance * len(missed) / len(done),
                code="heldout-distribution",
            )
        )
    if skipped:
        shown = ", ".join(skipped[:6]) + (", …" if len(skipped) > 6 else "")
        out.append(
            Finding(
                f"{len(skipped)} of {counted(len(skipped) + len(done), 'level')} "
                f"{'has' if len(skipped) == 1 else 'have'} too few cells for the held-out check: "
                f"{shown}.",
                f"Program at least {FEWEST_CELLS} cells to each level.",
                code="heldout-too-few-cells",
            )
        )
    return out
