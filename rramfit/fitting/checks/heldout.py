"""Held-out check: how well a distribution fitted to some cells and cycles predicts the others.

The cells are dealt into five folds and the sweeps cut into an early and a late half. Each fold's
cells in each half are predicted by the level's distribution refitted to the other cells in the
other half, so that every reading is predicted once and never by its own cell or its own time. With
u = F(y) the predicted distribution function at a reading,

    coverage   share of u within the central 50, 90 and 99 %
    distance   largest gap between the distribution of u and the uniform (Kolmogorov, Smirnov)
    log score  mean predicted log density [ln 1/S]

The family is the one that the whole fit chose. What the distance may be by chance is found by
parametric bootstrap (`rramfit.fitting.levels.goodness_bootstrap`). With very many readings every
distribution is refuted: the verdict asks for a distance that matters as well.
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
from rramfit.fitting.axes import own_axes
from rramfit.fitting.levels.distribution import LevelDistribution
from rramfit.fitting.levels.goodness_bootstrap import bootstrap_p_value
from rramfit.fitting.levels.levels import LevelsFit, fit_levels
from rramfit.fitting.result import Finding, Verdict
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.statistics.likelihood import Frame, LevelReadings, refit
from rramfit.measurement.file.record import Levels
from rramfit.streams import stream

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["HeldOutCheck", "HeldOutLevel", "check_heldout"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

FOLDS = 5
COVERAGES = (0.50, 0.90, 0.99)
FEWEST_CELLS = 20  # a fold of fewer than four cells says nothing
CHANCE = 0.005  # a distance that the bootstrap reaches less often is not chance …
MATTERS, SPOILS = 0.03, 0.10  # … and is worth a finding, or a severe one, from this size on
_U = 200  # quantiles of u kept for pictures


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
        Kolmogorov-Smirnov.
    coverage, coverage_stderr : (3,) array
        Of the 50, 90 and 99 % intervals; errors clustered by cell.
    p_value : float
    n_cells, n_observations : int
    halves : bool
        Whether cycles were split too; False where all readings are of one sweep.
    u : (q,) array
        Evenly spaced quantiles of the transforms, for pictures.
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
        if self.p_value >= CHANCE:
            return "the distribution predicts cells and cycles that it has not seen"
        if self.distance < MATTERS:
            return "off by more than chance, but by too little to matter"
        return f"the distribution misses: it misplaces up to {self.distance:.1%} of readings"

    def to_card(self) -> HeldOut:
        """Write the card's entry."""
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
    """The held-out check of all levels that have a distribution and cells enough."""

    levels: tuple[HeldOutLevel, ...]
    verdict: Verdict

    def to_card(self) -> list[HeldOut]:
        """Write the card's entries."""
        return [level.to_card() for level in self.levels]

    def to_frame(self) -> pd.DataFrame:
        """One row a level."""
        import pandas as pd

        rows = [v.to_card().model_dump(exclude={"level"}) for v in self.levels]
        return pd.DataFrame(rows, index=pd.Index([v.index for v in self.levels], name="level"))

    def summary(self) -> str:
        """Return the check as text for people."""
        head = f"{'level':<8}{'50 %':>8}{'90 %':>8}{'99 %':>8}{'distance':>10}{'p':>8}{'score':>9}"
        lines = [f"held-out prediction: {self.verdict.word}", head]
        for v in self.levels:
            share = "".join(f"{c:>8.1%}" for c in v.coverage)
            lines.append(
                f"{v.name:<8}{share}{v.distance:>10.4f}{v.p_value:>8.3f}{v.log_score:>9.3f}"
                f"  {v.words}"
            )
        lines += [f"  ! {f.what}: {f.remedy}" for f in self.verdict.findings]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        notes = "".join(
            f"<p>{html.escape(f.what)}: {html.escape(f.remedy)}</p>" for f in self.verdict.findings
        )
        title = html.escape(f"held-out prediction ({self.verdict.word})")
        return f"<p><b>{title}</b></p>{self.to_frame().to_html()}{notes}"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw observed less predicted share of readings below each predicted quantile."""
        ax = own_axes(ax)
        for v in self.levels:
            at = (np.arange(v.u.size) + 0.5) / v.u.size
            ax.plot(v.u, at - v.u, lw=1, label=v.name)
        ax.axhline(0, color="grey", lw=0.8)
        ax.set_xlabel("predicted share below")
        ax.set_ylabel("observed less predicted")
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
    """Predict every level's readings from other cells and other cycles.

    Parameters
    ----------
    statistics : ProgramStatistics
    healthy : (row, col) bool array
        Cells that respond.
    levels : Levels
    seed : int
        Of folds and bootstrap.
    fit : LevelsFit, optional
        The levels' distributions, where they are fitted already.
    """
    known = fit or fit_levels(statistics, healthy, levels, seed=seed)
    done: list[HeldOutLevel] = []
    left_out: list[str] = []
    for level in known.levels:
        if level.distribution is None or level.n_cells < FEWEST_CELLS:
            left_out.append(level.name)
            continue
        sweep = _sweeps(statistics, healthy, level.readings)
        done.append(_check_level(level.name, level.distribution, level.readings, sweep, seed))
    return HeldOutCheck(levels=tuple(done), verdict=Verdict(tuple(_findings(done, left_out))))


def _sweeps(statistics: ProgramStatistics, healthy: Bools, readings: LevelReadings) -> Integers:
    """Sweep of each of the readings inside the rails, (n,)."""
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
    ends = np.zeros((parts, 2))  # predicted chance of a reading at the floor, at the ceiling
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
    # Readings at a rail are spread over the chance that they have, as an even share of it.
    at_floor = float(ends[:, 0].mean()) if clipped[0] else 0.0
    at_ceiling = float(ends[:, 1].mean()) if clipped[1] else 0.0
    for k, chance in zip(clipped, (at_floor, at_ceiling), strict=True):
        total += float(k) * math.log(max(chance, 1e-300))
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
    """Tell readings of the late half of the sweeps; nothing to split where there is one sweep."""
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
    """Parameters fitted to other cells and the other half of the sweeps."""
    number = np.arange(len(weights))
    train = number != part
    if halves:
        train = (number // 2 != part // 2) & (number % 2 != part % 2)
    weight = weights[train].sum(axis=0).astype(np.float64)
    # Clipped readings are few; each training set has its share of all.
    share = weight.sum() / max(float(weights.sum()), 1.0)
    theta = refit(distribution.maximum, np.concatenate([weight, clipped * share]))
    frame: Frame = distribution.maximum.frame
    return distribution.maximum.likelihood.natural(theta, frame)


def _coverage(u: Floats, readings: LevelReadings) -> tuple[Floats, Floats]:
    """Coverage of the central intervals; a clipped reading is outside of them all."""
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


def _findings(done: list[HeldOutLevel], left_out: list[str]) -> list[Finding]:
    out: list[Finding] = []
    missed = [v for v in done if v.p_value < CHANCE and v.distance >= MATTERS]
    if missed:
        worst = max(missed, key=lambda v: v.distance)
        out.append(
            Finding(
                f"{len(missed)} of {len(done)} levels' distributions do not predict unseen cells and "
                f"cycles; the worst is {worst.name}: {worst.coverage[1]:.1%} of readings within "
                f"its 90 % interval, up to {worst.distance:.1%} misplaced",
                "look at the level's readings on probability paper: patterns over sweeps or over "
                "the array, or a distribution that no family here has",
                severe=worst.distance >= SPOILS,
            )
        )
    if left_out:
        shown = ", ".join(left_out[:6]) + (", …" if len(left_out) > 6 else "")
        out.append(
            Finding(
                f"too few cells to hold any out at {len(left_out)} of "
                f"{len(left_out) + len(done)} levels: {shown}",
                f"program at least {FEWEST_CELLS} cells to each level",
            )
        )
    return out
