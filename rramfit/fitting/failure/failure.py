"""Programming failure: the probability that a cell is not accepted at its target level.

P(not accepted | level k) is over all measured cells, including stuck and dead ones; an attempt is
one use of the tester's full pulse budget. The interval takes cells as independent, not attempts;
if faults cluster, it takes lines or patches (`rramfit.fitting.failure.shares`). With a share π of
cells in dead lines,

    P = π·P_dead + (1 − π)·P_alive,    Var P = (P_dead − P_alive)²·Var π + (1 − π)²·Var P_alive,

where dead lines count as events among lines; if none was seen, the interval holds for arrays
without dead lines. For cells that are not stuck, repeated attempts separate the hard share from the
soft probability (`rramfit.fitting.failure.hard_soft`). If it is uncertain whether unresponsive
cells are stuck or failed each time, the intervals span both cases. The conductance of accepted
cells is not here.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rramfit.card.cells import STUCK, Fault
from rramfit.card.quantity import Quantity, quantities_frame, quantities_html
from rramfit.card.schema import FailureCard, StuckCard
from rramfit.errors import FitError
from rramfit.fitting.failure.failed_readings import failed_conductance
from rramfit.fitting.failure.fault_clustering import (
    FaultClustering,
    find_clustering,
    strata_by_levels,
)
from rramfit.fitting.failure.hard_soft import HardSoft, fit_hard_soft
from rramfit.fitting.failure.shares import DOUBT, Share, clustered_share
from rramfit.fitting.failure.stuck_shares import stuck_shares
from rramfit.fitting.results.result import Finding, Verdict
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.screening.screening import Screening
from rramfit.fitting.variation.variation import VariationFit
from rramfit.measurement.file.record import Levels
from rramfit.units import counted, format_estimate, format_percent

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["FailureFit", "LevelFailure", "fit_failure"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

_SCATTER_P = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelFailure:
    """Programming failure at one level."""

    level: int
    name: str
    attempts: int
    failures: int
    cells: int
    probability: Quantity
    inflation: float  # factor on the variance, from clustering of faults
    hard: Quantity | None = None
    soft: Quantity | None = None
    conductance: Quantity | None = None  # [S] median reading of failed attempts


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureFit:
    """Programming failure by level, stuck cells, and clustering of faults.

    Attributes
    ----------
    levels : tuple of LevelFailure
        Levels that were attempted; empty if acceptance is not known.
    stuck : StuckCard or None
    hard_posterior : (level, row, col) array
        P(the cell never programs at the level); NaN if it cannot be estimated.
    clustering : FaultClustering or None
    verdict : Verdict
    """

    levels: tuple[LevelFailure, ...]
    stuck: StuckCard | None
    hard_posterior: Floats
    clustering: FaultClustering | None
    verdict: Verdict

    def __post_init__(self) -> None:
        self.hard_posterior.flags.writeable = False

    def to_card(self) -> tuple[list[FailureCard], StuckCard | None]:
        """Return the parts `failure` and `stuck` of a card."""
        cards = [
            FailureCard(
                level=x.level,
                probability=x.probability,
                hard=x.hard,
                soft=x.soft,
                n_attempts=x.attempts,
                conductance=x.conductance,
            )
            for x in self.levels
        ]
        return cards, self.stuck

    def quantities(self) -> dict[str, Quantity]:
        """Return every estimate by name."""
        out: dict[str, Quantity] = {}
        for x in self.levels:
            for word in ("probability", "hard", "soft", "conductance"):
                q = getattr(x, word)
                if q is not None:
                    out[f"{x.name} {word}"] = q
        if self.stuck is not None:
            for word in StuckCard.model_fields:
                q = getattr(self.stuck, word)
                if q is not None:
                    out[f"stuck {word}".replace("_", " ")] = q
        return out

    def to_frame(self) -> pd.DataFrame:
        """Return one row per estimate: value, stderr, low, high, unit."""
        return quantities_frame(self.quantities())

    def summary(self) -> str:
        """Return the fit as readable text."""
        n = sum(x.attempts for x in self.levels)
        lines = [f"Programming failure: {counted(n, 'attempt')}, {self.verdict.word}"]
        for name, q in self.quantities().items():
            lines.append(f"  {name:<24} {format_estimate(q.value, q.ci95, q.unit)}")
        lines += [f"  ! {f}" for f in self.verdict.findings]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        notes = "".join(f"<p>{html.escape(str(f))}</p>" for f in self.verdict.findings)
        title = f"<p><b>Programming failure ({self.verdict.word})</b></p>"
        return f"{title}{quantities_html(self.quantities())}{notes}"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Plot P(not accepted) by level with its interval, and the hard and soft parts."""
        from rramfit.fitting.results.axes import axes_or_new

        axes = axes_or_new(ax)
        for i, (word, marker) in enumerate((("probability", "o"), ("hard", "s"), ("soft", "^"))):
            found = [(x.level, getattr(x, word)) for x in self.levels]
            seen = [(k + 0.12 * i, q) for k, q in found if q is not None]
            if not seen:
                continue
            at = np.array([x for x, _ in seen])
            y = np.array([q.value for _, q in seen])
            ends = np.array([q.ci95 or (q.value, q.value) for _, q in seen])
            label = {"probability": "not accepted"}.get(word, word)
            axes.errorbar(
                at, y, yerr=[y - ends[:, 0], ends[:, 1] - y], fmt=marker, capsize=2, label=label
            )
        axes.set_xlabel("level")
        axes.set_ylabel("probability")
        if self.levels:
            axes.legend()
        return axes


def fit_failure(
    statistics: ProgramStatistics,
    screening: Screening,
    *,
    levels: Levels | None = None,
    variation: VariationFit | None = None,
    seed: int = 0,
) -> FailureFit:
    """Fit programming failure at every level, and the shares of stuck cells.

    Parameters
    ----------
    statistics : ProgramStatistics
    screening : Screening
    levels : Levels, optional
        Source of the levels' names.
    variation : VariationFit, optional
        Of the accepted cells, whose field and line offsets failed cells may share.
    seed : int
        Seed of the permutations in the test for clustering.

    Raises
    ------
    FitError
        If no cell was programmed to a known level.
    """
    if not (statistics.attempts > 0).any():
        msg = "no cell was programmed to a known level; the failure fit needs /program and /levels"
        raise FitError(msg)
    dead = screening.where(Fault.DEAD_ROW, Fault.DEAD_COL)
    stuck = screening.where(*STUCK)
    if screening.acceptance == "unknown":
        shape = statistics.attempts.shape
        return FailureFit(
            levels=(),
            stuck=stuck_shares(statistics, screening, None),
            hard_posterior=np.full(shape, np.nan),
            clustering=None,
            verdict=Verdict((_UNKNOWN,)),
        )
    fits = _hard_soft(statistics, screening, 1.0)
    posterior = _posteriors(statistics, stuck | dead, fits)
    clustering = _clustering(statistics, stuck, dead, posterior, seed)
    inflation = _hard_inflation(posterior, stuck | dead, clustering)
    if inflation > 1:
        fits = _hard_soft(statistics, screening, inflation)
    names = levels.names if levels is not None else [f"L{k}" for k in range(len(fits))]
    found = tuple(
        _level(statistics, k, names[k], dead, stuck, fits[k], clustering, variation)
        for k in range(len(fits))
        if (statistics.attempts[k] > 0).any()
    )
    return FailureFit(
        levels=found,
        stuck=stuck_shares(statistics, screening, clustering),
        hard_posterior=posterior,
        clustering=clustering,
        verdict=_verdict(found, fits, clustering),
    )


_UNKNOWN = Finding(
    "Acceptance is not known, so programming failure cannot be estimated.",
    "Record /program/verified, or the verify window /levels/lower and /levels/upper.",
    code="acceptance-unknown",
)


def _hard_soft(
    statistics: ProgramStatistics, screening: Screening, clustering: float
) -> list[HardSoft | None]:
    """Fit each level at which some cells were tried at least twice; None for the others.

    If it is uncertain whether cells are stuck or failed each time, the level is fitted with and
    without them, and the intervals span both fits.
    """
    faulty = ~screening.healthy
    p, (low, high) = np.nan_to_num(screening.stuck_posterior), np.nan_to_num(screening.stuck_limits)
    doubtful = (high > 0.01) & (low < 0.99)
    doubt = max(float((p * (1 - p)).sum()), float((high - low).sum())) > DOUBT
    out: list[HardSoft | None] = []
    for n, x in zip(statistics.attempts, statistics.failures, strict=True):
        use = ~faulty & (n > 0)
        if not (n[use] > 1).any():
            out.append(None)
            continue
        fit = fit_hard_soft(n[use], x[use], clustering=clustering)
        if doubt:
            for other in (use & ~doubtful, (use | doubtful) & (n > 0)):
                fit = fit.spanning(fit_hard_soft(n[other], x[other], clustering=clustering))
        out.append(fit)
    return out


def _posteriors(
    statistics: ProgramStatistics, faulty: Bools, fits: list[HardSoft | None]
) -> Floats:
    """Return P(never programs) by cell; a stuck or dead cell programs if it was ever accepted."""
    out = np.full(statistics.attempts.shape, np.nan)
    for k, fit in enumerate(fits):
        n, x = statistics.attempts[k], statistics.failures[k]
        if fit is not None:
            out[k] = fit.posterior(n, x)
        else:
            out[k][(n > 0) & (x < n)] = 0.0
        out[k][faulty & (n > 0)] = (x == n)[faulty & (n > 0)]
    return out


def _clustering(
    statistics: ProgramStatistics, stuck: Bools, dead: Bools, posterior: Floats, seed: int
) -> FaultClustering:
    """Test whether stuck cells, and cells that never program at some level, cluster."""
    once = statistics.attempts.sum(axis=0) <= 1
    never = (np.nan_to_num(posterior) > 0.5).any(axis=0)
    failed = once & (statistics.failures.sum(axis=0) > 0)
    possible = (statistics.attempts.sum(axis=0) > 0) & ~dead
    fault = stuck | never | failed
    stratum = strata_by_levels(statistics.attempts, fault & possible, possible)
    return find_clustering(fault, possible, stratum=stratum, seed=seed)


def _hard_inflation(posterior: Floats, faulty: Bools, clustering: FaultClustering) -> float:
    """Return the variance of the number of hard cells over that of independent cells."""
    if clustering.dominant is None or np.isnan(posterior).all():
        return 1.0
    hard = np.where(faulty, 0.0, np.nan_to_num(posterior).max(axis=0))
    return clustered_share(hard, (~faulty).astype(float), clustering).inflation


def _level(
    statistics: ProgramStatistics,
    k: int,
    name: str,
    dead: Bools,
    stuck: Bools,
    fit: HardSoft | None,
    clustering: FaultClustering,
    variation: VariationFit | None,
) -> LevelFailure:
    n, x = statistics.attempts[k], statistics.failures[k]
    share = _with_dead_lines(n, x, dead, clustering)
    return LevelFailure(
        level=k,
        name=name,
        attempts=int(n.sum()),
        failures=int(x.sum()),
        cells=int((n > 0).sum()),
        probability=share.quantity(),
        inflation=share.inflation,
        hard=fit.hard if fit else None,
        soft=fit.soft if fit else None,
        conductance=failed_conductance(statistics, k, ~(dead | stuck), variation),
    )


def _with_dead_lines(n: Integers, x: Integers, dead: Bools, clustering: FaultClustering) -> Share:
    """Compute P(not accepted) over all measured cells; dead lines are events among lines."""
    alive = np.where(dead, 0, n)
    if not alive.any():
        return clustered_share(x.astype(float), n.astype(float), None)
    share = clustered_share(np.where(dead, 0.0, x), alive.astype(float), clustering)
    in_dead = int(n[dead].sum())
    if not in_dead:
        return share
    p_dead = float(x[dead].sum()) / in_dead
    pi = in_dead / int(n.sum())
    rows, cols = dead.all(axis=1), dead.all(axis=0)
    variance_pi = sum(line.mean() * (1 - line.mean()) / line.size for line in (rows, cols))
    value = pi * p_dead + (1 - pi) * share.value
    alive_variance = share.variance or 0.25 / share.effective**2
    variance = (p_dead - share.value) ** 2 * float(variance_pi) + (1 - pi) ** 2 * alive_variance
    if not (0 < value < 1 and variance > 0):
        return share
    return Share(
        value=value,
        variance=variance,
        effective=min(value * (1 - value) / variance, float(n.sum())),
        inflation=variance / max(alive_variance, 1e-300),
    )


def _verdict(
    levels: tuple[LevelFailure, ...],
    fits: list[HardSoft | None],
    clustering: FaultClustering,
) -> Verdict:
    findings = []
    failing = [x for x in levels if x.failures]
    if failing and all(x.hard is None for x in levels):
        findings.append(
            Finding(
                "Each cell was programmed once to each level. One attempt cannot distinguish hard "
                "from soft failure.",
                "Program every cell at least twice at each level.",
                code="one-attempt",
            )
        )
    uneven = [
        f"{fit.scatter:.2g} ({x.name})"
        for x in levels
        if (fit := fits[x.level]) is not None and fit.scatter_p < _SCATTER_P
    ]
    if uneven:
        findings.append(
            Finding(
                "Cells differ in their soft failure probability: the variance of failures over "
                f"cells exceeds the binomial one, with ratios {', '.join(uneven[:8])}.",
                "Use the soft probability as the mean over cells; its interval is widened.",
                code="uneven-soft-failure",
            )
        )
    most = max(levels, key=lambda x: x.probability.value, default=None)
    if most is not None and most.probability.value > 0.5:
        findings.append(
            Finding(
                f"{format_percent(most.probability.value, 0)} of attempts at {most.name} were "
                "not accepted.",
                "Check the verify window and the pulse budget, and program the level again.",
                severe=True,
                affected=most.probability.value,
                code="most-attempts-fail",
            )
        )
    return Verdict((*findings, *clustering.verdict.findings))
