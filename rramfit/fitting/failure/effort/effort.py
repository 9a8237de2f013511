"""Programming effort: pulses to acceptance, failure against budget, residuals, energy, by level.

Means and shares over attempts are clustered by cell: with the influence ψ_c = Σ (x − mean)/n of
each cell, Var = Σ ψ_c²·cells/(cells − 1); shares have the Jeffreys interval of the number of
independent attempts with the same variance (`rramfit.fitting.failure.shares`).

A narrower window accepts the share q of the cells accepted now whose residual is inside it. What
this costs in pulses, failures and energy follows from q and from the distribution of the pulses
(`rramfit.card.blocks.pulse_counts`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rramfit.card.blocks.programming import (
    BudgetPoint,
    ProgrammingCard,
    WindowCost,
)
from rramfit.card.blocks.pulse_counts import FAMILIES
from rramfit.card.quantity import Quantity
from rramfit.fitting.failure.effort.attempts import WindowAttempts, grouped_attempts
from rramfit.fitting.failure.effort.findings import effort_findings
from rramfit.fitting.failure.effort.pulse_fit import PulseFit, fit_pulses
from rramfit.fitting.failure.shares import jeffreys
from rramfit.fitting.results.result import Finding, FitResult, ShowsResult, Verdict
from rramfit.measurement.file.record import Attempts, Levels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ProgrammingFit", "fit_programming"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

WINDOWS = (0.8, 0.6, 0.5, 0.4, 0.2)
"""Widths of narrower windows, relative to the present one."""

_AS_GOOD = 4.0  # difference of AIC up to which the interval of a budget covers a family
_FEWEST = 5  # attempts
_FEWEST_INSIDE = 10  # accepted cells inside the narrowest window that is described
_BUDGETS = (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000, 2000, 5000, 10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgrammingFit(ShowsResult):
    """Effort of programming, by level.

    Attributes
    ----------
    result : FitResult
        `L0 pulses`, `L0 failure`, `L0 budget_1pct`, …
    levels : tuple of WindowAttempts
    fits : tuple of tuple of PulseFit
        By level, the best family first.
    cards : tuple of ProgrammingCard
        By level.
    """

    result: FitResult
    levels: tuple[WindowAttempts, ...]
    fits: tuple[tuple[PulseFit, ...], ...]
    cards: tuple[ProgrammingCard, ...]

    def to_card(self) -> list[ProgrammingCard]:
        """Return the part of the card on programming effort."""
        return list(self.cards)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Plot the share of attempts that are not yet accepted against pulses, with the fits."""
        from rramfit.fitting.results.axes import axes_or_new

        ax = axes_or_new(ax)
        for i, (level, fits) in enumerate(zip(self.levels, self.fits, strict=True)):
            n = np.arange(int(level.pulses.max()) + 1, dtype=float)
            ax.step(n, not_accepted(level, n), where="post", color=f"C{i}", label=level.name)
            if fits:
                needed = float((~level.accepted | (level.pulses > 0)).mean())
                ax.plot(n, needed * fits[0].survival(n), "--", lw=1, color=f"C{i}")
        ax.set_xlabel("pulses")
        ax.set_ylabel("share not accepted")
        ax.legend()
        return ax


def fit_programming(attempts: Attempts, levels: Levels | None = None) -> ProgrammingFit:
    """Fit the effort of programming each level, from write-verify attempts.

    Parameters
    ----------
    attempts : Attempts
    levels : Levels, optional
        Names of the levels.

    Raises
    ------
    FitError
        If no attempt is known to be accepted or not.
    """
    groups = grouped_attempts(attempts, levels)
    described = [(g, *_describe(g)) for g in groups if len(g) >= _FEWEST]
    estimates: dict[str, Quantity] = {}
    for g, _, card in described:
        for name in ("pulses", "failure", "budget_1pct", "residual", "energy"):
            if (q := getattr(card, name)) is not None:
                estimates[f"{g.name} {name}"] = q
    findings: list[Finding] = []
    if small := [g.name for g in groups if len(g) < _FEWEST]:
        findings.append(
            Finding(
                f"/attempts: {', '.join(small)}: fewer than {_FEWEST} attempts, which were left "
                "out",
                "Program more cells to these levels",
                code="few-attempts",
            )
        )
    for g, fits, card in described:
        findings += effort_findings(g, fits, card)
    errors = np.array([q.stderr or 0.0 for q in estimates.values()])
    return ProgrammingFit(
        result=FitResult(
            title="programming effort",
            estimates=estimates,
            covariance=np.diag(errors**2),
            n_observations=sum(len(g) for g in groups),
            verdict=Verdict(tuple(findings)),
        ),
        levels=tuple(g for g, _, _ in described),
        fits=tuple(f for _, f, _ in described),
        cards=tuple(c for _, _, c in described),
    )


def not_accepted(level: WindowAttempts, pulses: Floats) -> Floats:
    """Return the share of attempts not accepted after the given numbers of pulses.

    Attempts that were given up earlier are left out from there on.
    """
    done, given_up = (np.sort(level.pulses[x]) for x in (level.accepted, ~level.accepted))
    known = len(level) - np.searchsorted(given_up, pulses, side="left")
    late = known - np.searchsorted(done, pulses, side="right")
    return np.asarray(late / np.maximum(known, 1))


def _describe(g: WindowAttempts) -> tuple[tuple[PulseFit, ...], ProgrammingCard]:
    """Fit one level."""
    tried = ~(g.accepted & (g.pulses == 0))
    fits = fit_pulses(g.pulses[tried], g.accepted[tried], g.cell[tried])
    best = fits[0] if fits else None
    families = [f.to_card() for f in sorted(fits, key=lambda f: list(FAMILIES).index(f.family))]
    chosen = next((f for f in families if best is not None and f.family == best.family), None)
    inside = _share(~tried, g) if (~tried).any() else None
    failure = _share(~g.accepted, g)
    energy, per_pulse = _energies(g)
    budget_1pct = None
    if best is not None and (p := 0.01 / float(tried.mean())) < 1:
        budget_1pct = _budget_of(fits, p)
    known = g.accepted & np.isfinite(g.residual)
    card = ProgrammingCard(
        level=g.level,
        name=g.name,
        lower=Quantity.given(g.lower, "S") if math.isfinite(g.lower) else None,
        upper=Quantity.given(g.upper, "S") if math.isfinite(g.upper) else None,
        n_attempts=len(g),
        n_cells=len(np.unique(g.cell)),
        budget=g.budget,
        first=1 if best is None else best.first,
        inside=inside,
        pulses=_mean(g.spent.astype(float), g.cell, "1"),
        failure=failure,
        family=None if chosen is None else chosen.family,
        families=families,
        budget_1pct=budget_1pct,
        budgets=_budgets(g),
        residual=_residual(g, known) if known.sum() >= _FEWEST else None,
        residual_trend=_residual_trend(g, known),
        energy=energy,
        energy_per_pulse=per_pulse,
    )
    return fits, card.model_copy(update={"windows": _windows(g, card)})


def _budget_of(fits: tuple[PulseFit, ...], failure: float) -> Quantity | None:
    """Return the budget of the best family; the interval covers all that AIC does not rule out."""
    budgets = [f.budget(failure) for f in fits if f.aic - fits[0].aic <= _AS_GOOD]
    best = budgets[0]
    if best is None:
        return None
    ends = [b.ci95 for b in budgets if b is not None and b.ci95 is not None]
    low, high = min(e[0] for e in ends), max(e[1] for e in ends)
    stderr = best.value * math.log(high / low) / (2 * 1.959963984540054)
    return Quantity.within(best.value, stderr, "1", (low, high))


def _clusters(cell: NDArray[np.int64], x: Floats) -> tuple[Floats, int]:
    """Return the sums of x over the attempts of each cell, and the number of cells."""
    of = np.unique(cell, return_inverse=True)[1]
    sums = np.bincount(of, x).astype(np.float64)
    return sums, len(sums)


def _error(cell: NDArray[np.int64], psi: Floats) -> tuple[float, int]:
    """Return the standard error of a sum of influences, clustered by cell, and df."""
    sums, n = _clusters(cell, psi)
    return math.sqrt(float((sums**2).sum()) * n / max(n - 1, 1)), max(n - 1, 1)


def _mean(x: Floats, cell: NDArray[np.int64], unit: str) -> Quantity:
    mean = float(x.mean())
    error, df = _error(cell, (x - mean) / len(x))
    return Quantity.estimated(mean, error, unit, scale="log" if mean > 0 else "linear", df=df)


def _share(event: Bools, g: WindowAttempts, of: Bools | None = None) -> Quantity:
    """Return the share of attempts with an event, of those in `of`."""
    use = np.ones(len(g), dtype=bool) if of is None else of
    x, cell = event[use].astype(float), g.cell[use]
    n, p = len(x), float(x.mean())
    error, _ = _error(cell, (x - p) / n)
    effective = float(len(np.unique(cell))) if not 0 < p < 1 else min(p * (1 - p) / error**2, n)
    return jeffreys(p * effective, effective)


def _budgets(g: WindowAttempts) -> list[BudgetPoint]:
    """Return failures against budgets up to the longest attempt."""
    most = int(g.pulses.max())
    out = []
    for b in (*(b for b in _BUDGETS if b < most), most):
        known = g.accepted | (g.pulses >= b)
        if known.sum() >= _FEWEST:
            late = ~(g.accepted & (g.pulses <= b))
            out.append(BudgetPoint(budget=b, failure=_share(late, g, known)))
    return out


def _residual(g: WindowAttempts, known: Bools) -> Quantity:
    """Return the root mean square residual of the accepted cells."""
    x = g.residual[known] ** 2
    mean = float(x.mean())
    error, df = _error(g.cell[known], (x - mean) / len(x))
    root = math.sqrt(mean)
    error = error / (2 * root) if root > 0 else 0.0
    return Quantity.estimated(root, error, "1", scale="log", df=df)


def _residual_trend(g: WindowAttempts, known: Bools) -> Quantity | None:
    """Return the slope of the absolute residual over log2 of the pulse count."""
    use = known & (g.pulses > 0)
    if use.sum() < 2 * _FEWEST:
        return None
    x, y = np.log2(g.pulses[use].astype(float)), np.abs(g.residual[use])
    xc = x - x.mean()
    sxx = float(xc @ xc)
    if sxx <= 1e-9:
        return None
    slope = float(xc @ y) / sxx
    psi = xc * (y - y.mean() - slope * xc) / sxx
    error, df = _error(g.cell[use], psi)
    return Quantity.estimated(slope, error, "1", df=df)


def _energies(g: WindowAttempts) -> tuple[Quantity | None, Quantity | None]:
    """Return the mean energy of a write and of a pulse [J], where all of it is known."""
    known = np.isfinite(g.energy)
    if known.sum() < _FEWEST or float(g.energy[known].sum()) <= 0:
        return None, None
    energy, n, cell = g.energy[known], g.spent[known].astype(float), g.cell[known]
    ratio = float(energy.sum() / n.sum())
    error, df = _error(cell, (energy - ratio * n) / n.sum())
    return _mean(energy, cell, "J"), Quantity.estimated(ratio, error, "J", scale="log", df=df)


def _windows(g: WindowAttempts, card: ProgrammingCard) -> list[WindowCost]:
    """Return the costs of narrower windows that still hold enough of the accepted cells."""
    known = g.accepted & np.isfinite(g.residual)
    size = np.abs(g.residual)
    out: list[WindowCost] = []
    for width in WINDOWS if card.family is not None else ():
        within = known & (size <= width)
        if within.sum() < _FEWEST_INSIDE:
            break
        out.append(card.cost_of(width, _share(within, g, known), budget=g.budget))
    return out
