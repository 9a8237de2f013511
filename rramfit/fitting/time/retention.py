"""Retention: the change of a programmed state over time, level by level.

Time counts from programming. The reading at time 0 is taken at programming, and the reference time
t0 is that of the first later reading. With x = ln(t/t0), so that ln 0 never occurs,

    G(t0) = G(0) + first_step ± first_spread
    G(t)  = G(t0) + drift·x ± growth·√x

A file with a reading at 0 and one later reading therefore determines the first step but no drift.
Only cells that are at their level when first read are used, and their readings only until they
lose their state apart from the others (`rramfit.fitting.time.lost_cells`): drift and growth are
those of the cells that keep it. The same cells are read at all times, so standard errors are
clustered by cell. The dependence on
temperature is not fitted; the card states the temperature of the measurement.

Where levels were assigned from the reading at time 0, the error of that reading helped to select
the cells of a level. The next reading then regresses to the mean, and the first step is not only
relaxation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rramfit.card.quantity import Quantity
from rramfit.card.schema import DriftCard, RetentionCard
from rramfit.fitting.results.axes import axes_or_new
from rramfit.fitting.results.result import FitResult, ShowsResult, Verdict
from rramfit.fitting.screening.at_level import AtLevel
from rramfit.fitting.statistics.inference import clustered_covariance
from rramfit.fitting.time.drift import Drift, fit_drift
from rramfit.fitting.time.lost_cells import CollapsedShare, collapsed_share
from rramfit.fitting.time.retention_cells import MIN_CELLS, retention_cells
from rramfit.fitting.time.retention_findings import findings, not_determined
from rramfit.measurement.file.record import Levels, Reads

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CollapsedShare", "RetentionFit", "collapsed_share", "fit_retention"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

_WIDEST = 1e3  # ratio of the limits of a spread, beyond which not even its size is known


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionFit(ShowsResult):
    """Drift and growth of spread of every level.

    Attributes
    ----------
    result : FitResult
        `L3 first_step`, `L3 first_spread`, `L3 drift`, `L3 growth`, `L3 read` and so on, where the
        times determine them.
    temperature : float, optional
        [K]
    reference_time, longest_time : float
        [s]
    time : (time,) array
        Readings used [s].
    change_mean, change_std : (level, time) array
        Change since the first reading, over cells [S]; NaN for fewer than two cells.
    n_cells : (level,) array
        Cells with at least two readings.
    collapsed : CollapsedShare, optional
    """

    result: FitResult
    temperature: float | None
    reference_time: float
    longest_time: float
    time: Floats
    change_mean: Floats
    change_std: Floats
    n_cells: Integers
    target: Floats | None
    collapsed: CollapsedShare | None

    def __post_init__(self) -> None:
        for a in (self.time, self.change_mean, self.change_std, self.n_cells):
            a.flags.writeable = False

    def to_card(self) -> RetentionCard:
        """Return the retention part of the card."""
        e = self.result.estimates
        names = ("first_step", "first_spread", "drift", "growth")
        rows = [
            DriftCard(
                level=k,
                n_cells=int(n),
                **{name: e[f"L{k} {name}"] for name in names if f"L{k} {name}" in e},
            )
            for k, n in enumerate(self.n_cells)
            if any(f"L{k} {name}" in e for name in names)
        ]
        return RetentionCard(
            temperature=_given(self.temperature, "K"),
            reference_time=Quantity.given(self.reference_time, "s"),
            longest_time=Quantity.given(self.longest_time, "s"),
            collapsed=self.collapsed.share if self.collapsed else None,
            levels=rows,
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Plot the mean change of each level versus time, with time 0 at the left edge."""
        ax = axes_or_new(ax)
        positive = self.time[self.time > 0]
        at = np.where(self.time > 0, self.time, positive.min() / 10)
        levels = [k for k, n in enumerate(self.n_cells) if n >= MIN_CELLS]
        for i, k in enumerate(levels):
            shade = 0.15 + 0.75 * i / max(len(levels) - 1, 1)
            ax.plot(
                at, self.change_mean[k] * 1e6, "o-", ms=3, lw=1, color=(0.1, shade, 0.9 - shade / 2)
            )
        ax.set_xscale("log")
        ax.axhline(0, color="grey", lw=0.8)
        ax.set_xlabel("time since programming [s]")
        ax.set_ylabel("mean change since first reading [uS]")
        return ax


def fit_retention(
    retention: Reads,
    levels: Levels | None = None,
    *,
    healthy: Bools | None = None,
    at_level: AtLevel | None = None,
) -> RetentionFit:
    """Fit drift and growth of spread to readings over time.

    Parameters
    ----------
    retention : Reads
        Readings [S], (time, row, col), with the level that each cell was programmed to.
    levels : Levels, optional
        Targets and windows, to check how levels were assigned.
    healthy : (row, col) bool array, optional
        Cells to use; all by default.
    at_level : AtLevel, optional
        Cells that are at their level when first read; found from these readings by default.

    Returns
    -------
    RetentionFit

    Raises
    ------
    FitError
        If there are fewer than two times from programming on, no reading after programming, or no
        level with at least 5 cells.
    """
    kept = retention_cells(
        retention, n_levels=len(levels) if levels else 0, healthy=healthy, at_level=at_level
    )
    time, cells, level, n_levels = kept.time, kept.readings, kept.level, kept.n_levels
    found = kept.findings
    later = time > 0
    t0 = float(time[later][0])
    parts: list[_Part] = []
    if not later[0]:
        parts += _first_step(cells[:, 0], cells[:, later][:, 0], level, n_levels)
    drift = None
    if later.sum() > 1:
        drift = fit_drift(np.log(time[later] / t0), cells[:, later], level, n_levels)
        parts += _drift_parts(drift, level)
    result = _assemble(parts, kept.use, level, n_levels)
    mean, std = _changes(cells, level, n_levels)
    found += kept.at_level.findings("/retention", left=kept.left)
    if result.unknown:
        found.append(not_determined(result.unknown))
    found += findings(
        time=time,
        cells=cells,
        level=level,
        n_levels=n_levels,
        levels=levels,
        drift=drift,
        n_cells=kept.n_cells,
        temperature=retention.temperature,
        collapse=kept.collapse,
        min_cells=MIN_CELLS,
    )
    return RetentionFit(
        result=FitResult(
            title="retention",
            estimates=result.estimates,
            covariance=result.covariance,
            n_observations=int(np.isfinite(cells).sum()),
            verdict=Verdict(tuple(found)),
        ),
        temperature=retention.temperature,
        reference_time=t0,
        longest_time=float(time[-1]),
        time=time,
        change_mean=mean,
        change_std=std,
        n_cells=kept.n_cells,
        target=np.array(levels.target) if levels else None,
        collapsed=kept.collapse,
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """One parameter of all levels: values and the influence of every cell on its level."""

    name: str
    unit: str
    scale: str
    values: Floats  # (level,)
    influence: Floats  # (cell,)
    cells: Integers  # (level,)


def _first_step(before: Floats, after: Floats, level: Integers, n_levels: int) -> list[_Part]:
    """Compute mean and standard deviation of the change up to the reference time."""
    change = after - before
    seen = np.isfinite(change)
    d, k = np.where(seen, change, 0.0), level
    n = np.bincount(k, seen, n_levels)
    safe = np.maximum(n, 1)
    mean = np.bincount(k, d, n_levels) / safe
    r = np.where(seen, d - mean[k], 0.0)
    variance = np.bincount(k, r**2, n_levels) / np.maximum(n - 1, 1)
    std = np.sqrt(variance)
    # Bessel's correction is made later, as for the influences of the drift, in `_assemble`.
    twice = np.where(std > 0, 2 * std, 1.0)[k] * safe[k]
    count = n.astype(np.int64)
    return [
        _Part("first_step", "S", "linear", mean, r / safe[k], count),
        _Part("first_spread", "S", "log", std, seen * (r**2 - variance[k]) / twice, count),
    ]


def _drift_parts(drift: Drift, level: Integers) -> list[_Part]:
    out = [_Part("drift", "S", "linear", drift.slope, drift.slope_influence, drift.cells)]
    for name, variance, influence in (
        ("growth", drift.growth2, drift.growth2_influence),
        ("read", drift.read2, drift.read2_influence),
    ):
        std = np.sqrt(variance)
        twice = np.where(std > 0, 2 * std, np.nan)[level]  # at 0 no error, so no estimate
        out.append(_Part(name, "S", "log", std, influence / twice, drift.cells))
    return out


@dataclass(frozen=True, slots=True)
class _Assembled:
    estimates: dict[str, Quantity]
    covariance: Floats
    unknown: list[str]  # parameters of a level that the readings do not determine


def _assemble(parts: list[_Part], use: Bools, level: Integers, n_levels: int) -> _Assembled:
    """Return quantities with errors clustered by cell, inflated by a smooth field over the array.

    The cells of one level are scattered over the array, so the inflation found over all cells
    applies to a level in proportion to its share of them.
    """
    inflation = {p.name: _inflation(p, use, level, n_levels) for p in parts}
    n_all = len(level)
    estimates: dict[str, Quantity] = {}
    blocks: list[Floats] = []
    unknown: list[str] = []
    for k in range(n_levels):
        of = level == k
        known = [
            p
            for p in parts
            if p.cells[k] >= MIN_CELLS
            and np.isfinite(p.values[k])
            and np.isfinite(p.influence[of]).all()
        ]
        if not known:
            continue
        psi = np.stack([p.influence[of] for p in known])
        for row, p in zip(psi, known, strict=True):
            n = int(p.cells[k])
            extra = 1 + (inflation[p.name] - 1) * n / n_all
            row *= math.sqrt(extra * n / (n - 1))
        clustered = clustered_covariance(psi[:, None, :], spatial=False)
        determined = []
        for i, (p, stderr, df) in enumerate(
            zip(known, clustered.stderr, clustered.df, strict=True)
        ):
            found = Quantity.estimated(
                float(p.values[k]),
                float(stderr),
                p.unit,
                scale="log" if p.scale == "log" else "linear",
                df=float(df),
            )
            if p.scale == "log" and not _is_determined(found):
                unknown.append(f"{p.name} of level {k}")
                continue
            determined.append(i)
            estimates[f"L{k} {p.name}"] = found
        blocks.append(clustered.covariance[np.ix_(determined, determined)])
    covariance = np.zeros((len(estimates), len(estimates)))
    at = 0
    for b in blocks:
        covariance[at : at + len(b), at : at + len(b)] = b
        at += len(b)
    return _Assembled(estimates, covariance, unknown)


def _is_determined(spread: Quantity) -> bool:
    """Return False for a spread whose interval is so wide that it says nothing, not even its size.

    A spread is the root of a difference of variances. Where these nearly cancel, it is near zero,
    and the interval of its logarithm is wider than any spread that a cell can have.
    """
    if spread.ci95 is None:
        return True
    low, high = spread.ci95
    return bool(np.isfinite(high)) and high <= _WIDEST * low


def _inflation(part: _Part, use: Bools, level: Integers, n_levels: int) -> float:
    """Return the variance of a mean over all cells relative to that without a smooth field."""
    power = np.bincount(level, np.nan_to_num(part.influence) ** 2, n_levels)
    scale = np.sqrt(power / np.maximum(np.bincount(level, minlength=n_levels), 1))[level]
    field = np.zeros((1, *use.shape))
    field[0, use] = np.divide(
        np.nan_to_num(part.influence), scale, out=np.zeros(len(level)), where=scale > 0
    )
    if not field.any():
        return 1.0
    return float(clustered_covariance(field).inflation[0])


def _changes(cells: Floats, level: Integers, n_levels: int) -> tuple[Floats, Floats]:
    """Compute mean and standard deviation of the change since the first reading, (level, time)."""
    change = cells - cells[:, :1]
    seen = np.isfinite(change)
    d = np.where(seen, change, 0.0)
    mean, std = (np.full((n_levels, cells.shape[1]), np.nan) for _ in range(2))
    for j in range(cells.shape[1]):
        n = np.bincount(level, seen[:, j], n_levels)
        m = np.bincount(level, d[:, j], n_levels) / np.maximum(n, 1)
        r2 = np.bincount(level, seen[:, j] * (d[:, j] - m[level]) ** 2, n_levels)
        mean[:, j] = np.where(n > 1, m, np.nan)
        std[:, j] = np.where(n > 1, np.sqrt(r2 / np.maximum(n - 1, 1)), np.nan)
    return mean, std


def _given(value: float | None, unit: str) -> Quantity | None:
    return None if value is None else Quantity.given(value, unit)
