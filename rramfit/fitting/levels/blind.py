"""Blind level detection: the states of the cells if the programmed levels are not recorded.

Readings, or their logarithms, are modelled as a mixture of normals. The linear or logarithmic
domain is chosen by the likelihood of the readings themselves: that of ln y less Σ ln y. The number
of components is that of the lowest BIC; as a check, it is also determined by the likelihood of
held-out cells (two halves, each predicted by the other). A component is not yet a level: the wide,
skew distribution of the high-resistance state takes several. Components are combined to states by
`rramfit.fitting.statistics.state_mixture`. If the two numbers of components lead to different
numbers of states, this is reported as a finding.

P(state | y) follows from the mixture and is made monotone: a reading above the peak of the highest
state belongs to that state, even if a wide component below it has more weight there. A gap without
readings between two states replaces the tails of the mixture. The certainty of a cell is its
posterior.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from rramfit.card.cells import Fault
from rramfit.card.quantity import result_html
from rramfit.errors import FitError
from rramfit.fitting.results.result import Finding, Verdict
from rramfit.fitting.screening.accumulate import accumulate
from rramfit.fitting.screening.screening import screen
from rramfit.fitting.statistics.state_mixture import (
    Mixture,
    States,
    find_states,
    fit_mixtures,
    group_readings,
    refit,
)
from rramfit.measurement.file.record import Levels, Measurement, Program, SweepBlock
from rramfit.streams import stream
from rramfit.units import counted, format_number, format_percent, format_quantity

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["BlindLevels", "Choice", "find_levels"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]
Domain = Literal["linear", "log"]

_FEWEST, _ENOUGH = 100, 32768  # least and largest number of readings in a mixture fit
_MOST_COMPONENTS = 24
_FEW_CELLS = 8
_CERTAIN = 0.99
_UNCERTAIN_SHARE = 0.01
_GRID = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One number of components that was tried, and its scores."""

    domain: Domain
    components: int
    states: int
    bic: float
    heldout: float  # mean log density of a held-out reading [ln 1/S]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindLevels:
    """Levels found in readings without recorded levels.

    Attributes
    ----------
    levels : Levels
        Levels with the medians as targets.
    program : Program
        The program with the level of each reading filled in; acceptance is unknown.
    domain : {"linear", "log"}
    spread : (level,) array
        Robust standard deviation of each state's readings [S].
    share : (level,) array
        Share of readings in each state.
    thresholds : (level − 1,) array
        Conductances at which neighbouring states are equally likely [S].
    certainty : (row, col) array
        P(assigned level is correct), the lowest over the sweeps kept; NaN where not measured.
    choices : tuple of Choice
        All numbers of components tried in the chosen domain, and the best in the other.
    verdict : Verdict
    """

    levels: Levels
    program: Program
    domain: Domain
    spread: Floats
    share: Floats
    thresholds: Floats
    certainty: Floats
    choices: tuple[Choice, ...]
    verdict: Verdict

    def __post_init__(self) -> None:
        for a in (self.spread, self.share, self.thresholds, self.certainty):
            a.flags.writeable = False

    @property
    def uncertain_share(self) -> float:
        """Share of measured cells with a certainty below 99 %."""
        seen = np.isfinite(self.certainty)
        return float((self.certainty[seen] < _CERTAIN).mean())

    @property
    def expected_errors(self) -> float:
        """Expected number of cells with a wrong level."""
        return float(np.nansum(1 - self.certainty))

    def to_frame(self) -> pd.DataFrame:
        """Return one row per level: median, spread, share."""
        import pandas as pd

        return pd.DataFrame(
            {"median": self.levels.target, "spread": self.spread, "share": self.share},
            index=list(self.levels.names),
        )

    def summary(self) -> str:
        """Return the levels found as readable text."""
        wrong = format_number(self.expected_errors, 2)
        head = (
            f"Blind level detection: {counted(len(self.levels), 'state')}, {self.domain} domain, "
            f"{wrong} cells expected at a wrong level, {self.verdict.word}"
        )
        rows = [
            f"  {name:<6} median {x['median']:>9}, spread {x['spread']:>8}, {x['share']} of "
            "readings"
            for name, x in self._shown().items()
        ]
        notes = [f"  ! {f}" for f in self.verdict.findings]
        return "\n".join([head, *rows, *notes])

    def _shown(self) -> dict[str, dict[str, str]]:
        """Return median, spread and share of each level, rounded."""
        return {
            name: {
                "median": format_quantity(float(g), "S", digits=3),
                "spread": format_quantity(float(s), "S", digits=2),
                "share": format_percent(share),
            }
            for name, g, s, share in zip(
                self.levels.names, self.levels.target, self.spread, self.share, strict=True
            )
        }

    def _repr_html_(self) -> str:
        rows = self._shown()
        findings = [str(f) for f in self.verdict.findings]
        return result_html(f"Blind level detection ({self.verdict.word})", rows, findings)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw a histogram of the readings, and the thresholds between states."""
        from rramfit.fitting.results.axes import axes_or_new

        axes = axes_or_new(ax)
        y = np.concatenate([b.conductance.ravel() for b in self.program.blocks()][:4])
        y = y[np.isfinite(y)] * 1e6
        if self.domain == "log":
            y = y[y > 0]
            axes.set_xscale("log")
            bins = np.geomspace(y.min(), y.max(), 121)
        else:
            bins = np.linspace(y.min(), y.max(), 121)
        axes.hist(y, bins=bins.tolist(), histtype="stepfilled", alpha=0.5)
        for t in self.thresholds:
            axes.axvline(1e6 * t, linestyle="--", linewidth=1)
        axes.set_xlabel("conductance [uS]")
        axes.set_ylabel("readings")
        return axes


def find_levels(measurement: Measurement, *, seed: int = 0) -> BlindLevels:
    """Find the levels of programming sweeps whose levels are not recorded.

    Parameters
    ----------
    measurement : Measurement
    seed : int
        Seed of the split into halves.

    Raises
    ------
    FitError
        If there are no programming sweeps without levels, or fewer than 100 readings.
    """
    program = measurement.program
    if program is None or program.levels_known:
        msg = "blind level detection requires programming sweeps without /program/level"
        raise FitError(msg)
    statistics = accumulate(program, 0)
    dead = screen(measurement, statistics).where(Fault.DEAD_ROW, Fault.DEAD_COL)
    y = np.where(dead, np.nan, statistics.sample.conductance)
    seen = np.isfinite(y)
    if seen.sum() < _FEWEST:
        msg = (
            f"found {counted(int(seen.sum()), 'reading')} outside dead rows and columns, but blind "
            f"level detection requires {_FEWEST}"
        )
        raise FitError(msg)
    half = stream(seed, "blind levels").random(y.shape[1:]) < 0.5
    if half.size < _FEW_CELLS:  # halves of the readings: halves of the cells may be empty
        half = stream(seed, "blind levels of few cells").random(y.shape) < 0.5
    first = np.broadcast_to(half, y.shape)[seen]
    step = -(-len(first) // _ENOUGH)
    fits = [_fit(y[seen][::step], first[::step], d) for d in _domains(y[seen])]
    best = min(fits, key=lambda f: f.bic)
    posterior = _Posterior.of(best.mixture, best.states, best.domain)
    thresholds = posterior.thresholds()
    label = np.searchsorted(thresholds, y[seen])
    levels = len(thresholds) + 1
    median, spread = _medians(y[seen], label, levels)
    by_sweep = posterior.certainty(statistics.sample.conductance)
    with np.errstate(invalid="ignore"):
        certainty = np.fmin.reduce(by_sweep, axis=0)
    others = [min(f.choices, key=lambda c: c.bic) for f in fits if f is not best]
    labelled = dataclasses.replace(
        program,
        levels_known=True,
        open_blocks=_Labelled(program=program, thresholds=thresholds),
    )
    return BlindLevels(
        levels=Levels(target=median),
        program=labelled,
        domain=best.domain,
        spread=spread,
        share=np.bincount(label, minlength=levels) / len(label),
        thresholds=thresholds,
        certainty=certainty,
        choices=(*best.choices, *others),
        verdict=_verdict(best, certainty),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fit:
    domain: Domain
    mixture: Mixture
    states: States
    bic: float
    choices: tuple[Choice, ...]

    @property
    def states_by_heldout(self) -> int:
        return max(self.choices, key=lambda c: c.heldout).states


def _domains(y: Floats) -> tuple[Domain, ...]:
    return ("linear", "log") if y.min() > 0 else ("linear",)


def _fit(y: Floats, first: Bools, domain: Domain) -> _Fit:
    x = np.log(y) if domain == "log" else y
    jacobian = float(np.log(y).sum()) if domain == "log" else 0.0
    n = len(x)
    data = group_readings(x)
    mixtures = fit_mixtures(data, _MOST_COMPONENTS)
    heldout = np.zeros(len(mixtures))
    for train, test in ((first, ~first), (~first, first)):
        half, other = group_readings(x[train]), group_readings(x[test])
        heldout += [float(other.weight @ refit(m, half).log_density(other.x)) for m in mixtures]
    states = [find_states(m, data) for m in mixtures]
    choices = tuple(
        Choice(
            domain=domain,
            components=len(m),
            states=len(s.peaks),
            bic=m.bic(n) + 2 * jacobian,
            heldout=(float(h) - jacobian) / n,
        )
        for m, s, h in zip(mixtures, states, heldout, strict=True)
    )
    at = int(np.argmin([c.bic for c in choices]))
    return _Fit(
        domain=domain,
        mixture=mixtures[at],
        states=states[at],
        bic=choices[at].bic,
        choices=choices,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Posterior:
    """P(state >= j | reading) on a grid in the domain, monotone in the reading."""

    domain: Domain
    grid: Floats  #  (point,)
    upper: Floats  # (state − 1, point)

    @classmethod
    def of(cls, m: Mixture, states: States, domain: Domain) -> _Posterior:
        valleys, peaks = states.valleys, states.peaks
        within = [
            np.linspace(a, b, max(_GRID // max(len(valleys), 1), 64))
            for a, b in itertools.pairwise(peaks)
        ]
        grid = np.unique(np.concatenate([*within, peaks]))
        joint = m.log_joint(grid)
        p = np.exp(joint - joint.max(axis=0))
        p /= p.sum(axis=0)
        state = np.searchsorted(valleys, m.mean)
        upper = np.empty((len(valleys), len(grid)))
        for j in range(len(valleys)):
            raw = p[state > j].sum(axis=0)
            low, high = states.gaps[j]
            if np.isfinite(low):
                raw = np.interp(grid, [low, high], [0.0, 1.0])
            raw = np.where(grid <= peaks[j], 0.0, np.where(grid >= peaks[j + 1], 1.0, raw))
            upper[j] = np.maximum.accumulate(raw)
        return cls(domain=domain, grid=grid, upper=upper)

    def thresholds(self) -> Floats:
        """Return the conductances at which neighbouring states are equally likely [S]."""
        at = np.array([np.interp(0.5, u, self.grid) for u in self.upper])
        return np.exp(at) if self.domain == "log" else at

    def certainty(self, y: Floats) -> Floats:
        """Return the posterior of the most likely state of each reading; NaN without a reading."""
        with np.errstate(invalid="ignore", divide="ignore"):
            x = np.log(y) if self.domain == "log" else y
        x = np.where(np.isneginf(x), self.grid[0], x)
        bounds = [np.ones(y.shape), *(np.interp(x, self.grid, u) for u in self.upper)]
        bounds.append(np.zeros(y.shape))
        best = np.max([a - b for a, b in itertools.pairwise(bounds)], axis=0)
        return np.where(np.isfinite(y), best, np.nan)


def _medians(y: Floats, label: Integers, levels: int) -> tuple[Floats, Floats]:
    median = np.array([np.median(y[label == k]) for k in range(levels)])
    spread = np.array(
        [1.4826 * np.median(np.abs(y[label == k] - median[k])) for k in range(levels)]
    )
    return median, spread


def _verdict(best: _Fit, certainty: Floats) -> Verdict:
    findings = []
    n = len(best.states.peaks)
    if best.states_by_heldout != n:
        findings.append(
            Finding(
                f"the number of levels is uncertain: BIC selects {counted(n, 'state')}, the "
                f"likelihood of held-out cells {best.states_by_heldout}",
                "record the levels in /program/level",
                code="number-of-levels-uncertain",
            )
        )
    if n == 1:
        findings.append(
            Finding(
                "the readings show only one state",
                "record the levels in /program/level if several were programmed",
                code="one-state",
            )
        )
    seen = certainty[np.isfinite(certainty)]
    wrong, uncertain = float((1 - seen).sum()), float((seen < _CERTAIN).mean())
    if n > 1:
        what = (
            f"levels are not recorded and were found from the readings: {n} states, "
            f"{format_percent(uncertain, 2)} of cells with a certainty below "
            f"{format_percent(_CERTAIN, 0)}, and an expected "
            f"{format_number(wrong, 2)} of {counted(seen.size, 'cell')} at a wrong level"
        )
        if uncertain > _UNCERTAIN_SHARE:
            what += "; the tails of overlapping levels are truncated"
        remedy = "record the levels in /program/level; the certainty of each cell is in the sidecar"
        findings.append(Finding(what, remedy, code="levels-found-blind"))
    return Verdict(tuple(findings))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Labelled:
    """Yield the sweeps of a program with the level of each reading filled in."""

    program: Program
    thresholds: Floats

    def __call__(self, sweeps: int) -> Iterator[SweepBlock]:
        for block in self.program.blocks(sweeps):
            y = block.conductance
            level = np.where(np.isfinite(y), np.searchsorted(self.thresholds, y), -1)
            yield dataclasses.replace(block, level=level.astype(np.int64))
