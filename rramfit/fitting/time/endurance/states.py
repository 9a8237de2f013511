"""Endurance: the switched states and the window between them versus the number of cycles.

With x = log10(max(cycle, 1)), the mean and standard deviation of every state over cells are

    mean(x) = mean(x₁) + drift·(x − x₁),      std(x) = std(x₁) + growth·(x − x₁)

where x₁ is the first point. The slope of the mean is the pooled within-cell regression, so that
cells with missing points do not bias it. The slope of the standard deviation is a line through the
points, weighted by the number of cells. A cell has failed when the window between its highest and
lowest state is less than half of its window at the first point.

Cells that are not in their states at the first point, as stuck cells are, are left out. A cell
whose window later leaves the distribution of the others' windows, that is in a second population
of lost windows (`rramfit.fitting.time.lost_cells`), or that collapses in one step, no longer
counts in mean and standard deviation from there on; a wear that all cells have in common does. The
same cells are read at all points, so standard errors are clustered by cell from the influence of
every cell.

How long cells last is in `rramfit.fitting.time.endurance.life`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.blocks.endurance import EnduranceCard, EnduranceState
from rramfit.card.quantity import Quantity, Scale
from rramfit.errors import FitError
from rramfit.fitting.results.axes import axes_or_new
from rramfit.fitting.results.result import FitResult, ShowsResult, Verdict
from rramfit.fitting.statistics.inference import clustered_covariance
from rramfit.fitting.time.endurance.cells import absent_cells, apart, collapse_points, lost_windows
from rramfit.fitting.time.endurance.failure_times import FAILED_BELOW, failure_times
from rramfit.fitting.time.endurance.life import LifeFit, fit_life
from rramfit.fitting.time.endurance.life_findings import life_findings
from rramfit.fitting.time.endurance.state_findings import state_findings
from rramfit.measurement.file.record import Endurance

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["EnduranceFit", "endurance_lives", "fit_endurance"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

MIN_CELLS = 5
TAIL = 0.01  # tail probability of the states between which the read window is measured


@dataclass(frozen=True, slots=True, kw_only=True)
class EnduranceFit(ShowsResult):
    """States, window and failed cells versus cycles.

    Attributes
    ----------
    result : FitResult
        `S0 mean`, `S0 std`, `S0 drift`, `S0 growth`, …, `window`, `window_loss`.
    order : (state,) array
        States of the file in order of increasing mean; `S0` is the lowest.
    cycle : (point,) array
    mean, std : (point, state) array
        Mean and standard deviation over cells, states in increasing order [S].
    tail_window : (point,) array
        1 % quantile of the highest state minus 99 % quantile of the lowest [S].
    failed : (point,) array
        Share of failed cells at each point.
    failed_share : Quantity, optional
        Share at the last point; None with a single state or a single point.
    life : LifeFit, optional
        How long cells last; None with a single state or a single point.
    """

    result: FitResult
    order: Integers
    cycle: Integers
    mean: Floats
    std: Floats
    tail_window: Floats
    failed: Floats
    failed_share: Quantity | None
    life: LifeFit | None = None

    def __post_init__(self) -> None:
        for a in (self.order, self.cycle, self.mean, self.std, self.tail_window, self.failed):
            a.flags.writeable = False

    def to_card(self) -> EnduranceCard:
        """Return the endurance part of the card."""
        e = self.result.estimates
        return EnduranceCard(
            first_cycle=int(self.cycle[0]),
            longest_cycle=int(self.cycle[-1]),
            states=[
                EnduranceState(
                    state=int(state),
                    mean=e[f"S{s} mean"],
                    std=e[f"S{s} std"],
                    drift=e.get(f"S{s} drift"),
                    growth=e.get(f"S{s} growth"),
                )
                for s, state in enumerate(self.order)
            ],
            window=e.get("window"),
            window_loss=e.get("window_loss"),
            failed=self.failed_share,
            life=None if self.life is None else self.life.to_card(),
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Plot the mean of every state versus cycles, with a band of one standard deviation."""
        ax = axes_or_new(ax)
        x = np.maximum(self.cycle, 1)
        for s in range(self.mean.shape[1]):
            m, d = self.mean[:, s] * 1e6, self.std[:, s] * 1e6
            ax.plot(x, m, "o-", ms=3, lw=1, color=f"C{s}")
            ax.fill_between(x, m - d, m + d, color=f"C{s}", alpha=0.2, lw=0)
        ax.set_xscale("log")
        ax.set_xlabel("SET/RESET cycles")
        ax.set_ylabel("conductance [uS]")
        return ax


def fit_endurance(endurance: Endurance, *, healthy: Bools | None = None) -> EnduranceFit:
    """Fit drift and spread of the switched states versus cycles.

    Parameters
    ----------
    endurance : Endurance
        Conductance [S], (point, state, row, col), after `cycle` SET/RESET cycles.
    healthy : (row, col) bool array, optional
        Cells to use; all by default.

    Raises
    ------
    FitError
        If there is no point, if a cycle number is negative, or if a state has fewer than 5 cells at
        the first point.
    """
    cycle, every, order, use, absent = _readings(endurance, healthy)
    points, states = every.shape[:2]
    times = failure_times(cycle, every)
    lost = lost_windows(every)
    if times is not None:
        lost = np.minimum(lost, collapse_points(times, every))
    y = np.where((np.arange(points)[:, None] < lost)[:, None, :], every, np.nan)
    mean, std = _moments(y)
    x = np.log10(np.maximum(cycle, 1).astype(float))
    parts = _states(x, y, mean, std)
    if states > 1:
        parts += _window(parts, mean, drifts=bool(np.ptp(x) > 0))
    estimates, covariance = _assemble(parts, use)
    tail = _tail_window(every) if states > 1 else np.full(points, np.nan)
    failed, share = _failed(every)
    life = None if times is None else fit_life(times, every)
    findings = state_findings(cycle, tail, failed, share, estimates)
    left_out = int(absent.sum())
    findings += apart(left_out, int((lost < points).sum()), len(absent))
    findings += [] if life is None else life_findings(life)
    return EnduranceFit(
        result=FitResult(
            title="endurance",
            estimates=estimates,
            covariance=covariance,
            n_observations=int(np.isfinite(y).sum()),
            verdict=Verdict(tuple(findings)),
        ),
        order=order.astype(np.int64),
        cycle=np.array(cycle),
        mean=mean,
        std=std,
        tail_window=tail,
        failed=failed,
        failed_share=share,
        life=life,
    )


def endurance_lives(endurance: Endurance, *, healthy: Bools | None = None) -> LifeFit | None:
    """Return how long cells last, without fitting the states; see `fit_endurance`."""
    cycle, y, *_ = _readings(endurance, healthy)
    times = failure_times(cycle, y)
    return None if times is None else fit_life(times, y)


def _readings(
    endurance: Endurance, healthy: Bools | None
) -> tuple[Integers, Floats, Integers, Bools, Bools]:
    """Return the readings of cells that are in their states at the first point.

    Returns
    -------
    cycle : (point,) array
        In rising order.
    y : (point, state, cell) array
        States in increasing order of their mean.
    order : (state,) array
    use : (row, col) bool array
        The cells of `y`.
    absent : (healthy cell,) bool array
        Cells that are not in their states.
    """
    points, states, rows, cols = endurance.conductance.shape
    if points == 0 or states == 0:
        msg = (
            f"/endurance has shape (points, states) = ({points}, {states}); expected at least "
            "1 point and 1 state"
        )
        raise FitError(msg)
    if (endurance.cycle < 0).any():
        msg = (
            f"/endurance/cycle: found {int(endurance.cycle.min())}; expected cycle counts of 0 or "
            "more"
        )
        raise FitError(msg)
    use = np.ones((rows, cols), dtype=np.bool_) if healthy is None else healthy
    rank = np.argsort(endurance.cycle, kind="stable")
    cycle = endurance.cycle[rank]
    y = np.asarray(endurance.conductance[rank][:, :, use], dtype=np.float64)
    absent = absent_cells(y[0])
    use = use.copy()
    use[use] = ~absent
    y = y[:, :, ~absent]
    count = np.isfinite(y).sum(axis=2)
    if count[0].min() < MIN_CELLS:
        msg = (
            f"/endurance: state {int(count[0].argmin())} at the first point: found "
            f"{int(count[0].min())} measured cells; expected at least {MIN_CELLS}"
        )
        raise FitError(msg)
    order = np.argsort(_moments(y)[0][0], kind="stable")
    return cycle, y[:, order], order, use, absent


def _moments(y: Floats) -> tuple[Floats, Floats]:
    """Compute mean and standard deviation over cells, (point, state); NaN for fewer than two."""
    seen = np.isfinite(y)
    n = seen.sum(axis=2)
    mean = np.where(seen, y, 0.0).sum(axis=2) / np.maximum(n, 1)
    r2 = np.where(seen, (y - mean[:, :, None]) ** 2, 0.0).sum(axis=2)
    std = np.sqrt(r2 / np.maximum(n - 1, 1))
    return np.where(n > 1, mean, np.nan), np.where(n > 1, std, np.nan)


@dataclass(frozen=True, slots=True)
class _Part:
    """One estimate and the influence of every cell on it."""

    name: str
    unit: str
    scale: Scale
    value: float
    influence: Floats  # (cell,)


def _states(x: Floats, y: Floats, mean: Floats, std: Floats) -> list[_Part]:
    """Estimate mean and spread of every state at the first point, and their slopes per decade."""
    out: list[_Part] = []
    drifts = bool(np.ptp(x) > 0)
    for s in range(y.shape[1]):
        seen = np.isfinite(y[:, s])
        n = seen.sum(axis=1)
        r = np.where(seen, y[:, s] - mean[:, s, None], 0.0)
        bessel = np.sqrt(n / np.maximum(n - 1, 1))[:, None]
        psi_mean = r * bessel / np.maximum(n, 1)[:, None]
        twice = 2 * np.where(std[:, s] > 0, std[:, s], np.inf) * np.maximum(n, 1)
        psi_std = seen * (r**2 - np.nan_to_num(std[:, s, None]) ** 2) / twice[:, None]
        out.append(_Part(f"S{s} mean", "S", "linear", float(mean[0, s]), psi_mean[0]))
        out.append(_Part(f"S{s} std", "S", "log", float(std[0, s]), psi_std[0]))
        if not drifts:
            continue
        out.append(_drift(f"S{s} drift", x, y[:, s], seen))
        known = np.isfinite(std[:, s])
        w = np.where(known, n, 0).astype(float)
        centred = x - (w @ x) / w.sum()
        if (w * centred**2).sum() > 0:
            weight = w * centred / (w * centred**2).sum()
            value = float(weight[known] @ std[known, s])
            out.append(_Part(f"S{s} growth", "S", "linear", value, weight @ psi_std))
    return out


def _drift(name: str, x: Floats, y: Floats, seen: Bools) -> _Part:
    """Fit the pooled slope over x, each cell centred on its mean."""
    n = np.maximum(seen.sum(axis=0), 1)
    xc = np.where(seen, x[:, None] - np.where(seen, x[:, None], 0).sum(axis=0) / n, 0.0)
    yc = np.where(seen, y, 0.0)
    sxx, sxy = (xc**2).sum(axis=0), (xc * yc).sum(axis=0)
    slope = float(sxy.sum() / sxx.sum())
    m = max(int((sxx > 0).sum()), 2)
    influence = (sxy - slope * sxx) / sxx.sum() * math.sqrt(m / (m - 1))
    return _Part(name, "S", "linear", slope, influence)


def _window(parts: list[_Part], mean: Floats, *, drifts: bool) -> list[_Part]:
    """Estimate the window between highest and lowest state, and its relative loss per decade."""
    by_name = {p.name: p for p in parts}
    top, low = by_name[f"S{mean.shape[1] - 1} mean"], by_name["S0 mean"]
    window = top.value - low.value
    psi = top.influence - low.influence
    out = [_Part("window", "S", "linear", window, psi)]
    if drifts and window > 0:
        up, down = by_name[f"S{mean.shape[1] - 1} drift"], by_name["S0 drift"]
        loss = -(up.value - down.value) / window
        slope = -(up.influence - down.influence) / window - loss * psi / window
        out.append(_Part("window_loss", "1", "linear", loss, slope))
    return out


def _assemble(parts: list[_Part], use: Bools) -> tuple[dict[str, Quantity], Floats]:
    influence = np.zeros((len(parts), *use.shape))
    influence[:, use] = np.stack([p.influence for p in parts])
    clustered = clustered_covariance(influence)
    estimates = {
        p.name: Quantity.estimated(
            p.value, float(clustered.stderr[i]), p.unit, scale=p.scale, df=float(clustered.df[i])
        )
        for i, p in enumerate(parts)
    }
    return estimates, np.array(clustered.covariance)


def _tail_window(y: Floats) -> Floats:
    """Compute the window between the tails at every point [S]; NaN where a state is missing."""
    out = np.full(len(y), np.nan)
    for i, at in enumerate(y):
        low, high = at[0][np.isfinite(at[0])], at[-1][np.isfinite(at[-1])]
        if low.size and high.size:
            out[i] = np.quantile(high, TAIL) - np.quantile(low, 1 - TAIL)
    return out


def _failed(y: Floats) -> tuple[Floats, Quantity | None]:
    """Return the share of failed cells at each point, and with its interval at the last point."""
    window = y[:, -1] - y[:, 0]
    start = window[0]
    valid = np.isfinite(start) & (start > 0)
    if y.shape[1] < 2 or len(y) < 2 or not valid.any():
        return np.full(len(y), np.nan), None
    seen = np.isfinite(window) & valid
    lost = seen & (np.where(seen, window, 0.0) < FAILED_BELOW * np.where(valid, start, 0.0))
    n, k = int(seen[-1].sum()), int(lost[-1].sum())
    share = lost.sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    if n == 0:
        return share, None
    low = float(special.betaincinv(k + 0.5, n - k + 0.5, 0.025)) if k else 0.0
    high = float(special.betaincinv(k + 0.5, n - k + 0.5, 0.975)) if k < n else 1.0
    stderr = math.sqrt((k + 0.5) * (n - k + 0.5) / (n + 1) ** 2 / (n + 2))
    return share, Quantity.within(k / n, stderr, "1", (low, high))
