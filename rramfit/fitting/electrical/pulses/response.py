"""Pulse response of single devices: the course of potentiation and depression, and its spread.

    runs → responding devices → form by held-out readings → start, end, a of every run → spread

Start, end and the coefficient a are those of the exponential form whatever form is chosen, because
they are what simulators are given (`rramfit.card.blocks.pulses`). Of residuals r about the course
of their own run, differences d = r_n − r_(n−1) separate a random step s that stays from the noise
of reads:

    s² = ⟨d_n²⟩ + 2·⟨d_n·d_(n+1)⟩
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
from numpy.typing import NDArray

from rramfit.card.blocks.pulses import FormName, PulseBranch, PulseCard, PulseForm
from rramfit.card.quantity import Quantity
from rramfit.errors import FitError
from rramfit.fitting.electrical.pulses.findings import response_findings
from rramfit.fitting.electrical.pulses.forms import (
    DeviceShapes,
    RunEstimates,
    fit_devices,
    knots,
    run_estimates,
)
from rramfit.fitting.electrical.pulses.heldout import HeldOut, hold_out
from rramfit.fitting.electrical.pulses.responding import Responses, find_responses
from rramfit.fitting.electrical.pulses.runs import Runs
from rramfit.fitting.electrical.pulses.spread import Spread, spread_of
from rramfit.fitting.failure.shares import jeffreys
from rramfit.fitting.results.result import FitResult, ShowsResult, Verdict
from rramfit.measurement.file.record import Pulses

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Branch", "PulseFit", "fit_pulse_response"]

Floats = NDArray[np.float64]
Direction = Literal["potentiation", "depression"]

_KNOTS = 9  # of the mean course on the card
_APART = 6.0  # standard deviations of a reading between two levels
_LEAST_A = 1e-6  # below which a course has no bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """Response to one polarity.

    Attributes
    ----------
    start, end, step, nonlinearity : Spread
        By device, in the order of `shapes.device`.
    """

    direction: Direction
    runs: Runs
    shapes: DeviceShapes
    estimates: RunEstimates
    heldout: HeldOut
    start: Spread
    end: Spread
    step: Spread
    nonlinearity: Spread
    scatter: Quantity
    step_noise: Quantity | None

    def slope_at(self, g: Floats) -> Floats:
        """Return the size of a step of each device at a conductance, (device,) [S]."""
        a, n = self.nonlinearity.device, self.runs.steps
        change = self.end.device - self.start.device
        flat = np.abs(a) < _LEAST_A
        safe = np.where(flat, 1.0, a)
        with np.errstate(over="ignore"):
            bound = self.start.device + change / -np.expm1(-safe)
        return np.asarray(np.abs(np.where(flat, change, safe * (bound - g)) / n))


@dataclass(frozen=True, slots=True, kw_only=True)
class PulseFit(ShowsResult):
    """Pulse response of the devices.

    Attributes
    ----------
    result : FitResult
        `potentiation start`, `potentiation nonlinearity`, …
    branches : tuple of Branch
    responses : Responses
    card : PulseCard
    """

    result: FitResult
    branches: tuple[Branch, ...]
    responses: Responses
    card: PulseCard

    def to_card(self) -> PulseCard:
        """Return the part of the card on pulse response."""
        return self.card

    def plot(self, ax: Axes | None = None) -> Axes:
        """Plot the median reading after each pulse, with the mean course."""
        from rramfit.fitting.results.axes import axes_or_new

        ax = axes_or_new(ax)
        for i, (b, card) in enumerate(zip(self.branches, self.card.branches, strict=True)):
            n = np.arange(b.runs.steps + 1)
            median = np.nanmedian(b.runs.conductance[:, : len(n)], axis=0)
            ax.plot(n, median * 1e6, ".", color=f"C{i}", label=b.direction)
            ax.plot(n, np.interp(n / n[-1], _grid(len(card.knots)), card.knots) * 1e6, f"C{i}-")
        ax.set_xlabel("pulse")
        ax.set_ylabel("conductance [uS]")
        ax.legend()
        return ax


def fit_pulse_response(pulses: Pulses) -> PulseFit:
    """Fit the response of single devices to trains of equal pulses.

    Parameters
    ----------
    pulses : Pulses

    Raises
    ------
    FitError
        If no device responds, or if no run of pulses has enough readings.
    """
    found = find_responses(pulses)
    if not found.responding:
        once = f"; {found.at_once} move at the first pulse only" if found.at_once else ""
        msg = (
            f"/pulses: none of {found.measured} devices changes step by step over its runs{once}; "
            "expected a change beyond 4 standard errors of the reads"
        )
        raise FitError(msg)
    up, down = found.potentiation, found.depression
    branches = (
        *(() if up is None else (_branch(up, "potentiation"),)),
        *(() if down is None else (_branch(down, "depression"),)),
    )
    card = _card(found, branches)
    estimates = {
        f"{b.direction} {name}": getattr(part, name)
        for b, part in zip(branches, card.branches, strict=True)
        for name in ("start", "end", "step", "nonlinearity")
    }
    errors = np.array([q.stderr or 0.0 for q in estimates.values()])
    return PulseFit(
        result=FitResult(
            title="pulse response",
            estimates=estimates,
            covariance=np.diag(errors**2),
            n_observations=sum(int(np.isfinite(b.runs.conductance).sum()) for b in branches),
            verdict=Verdict(tuple(response_findings(pulses, found, card))),
        ),
        branches=branches,
        responses=found,
        card=card,
    )


def _grid(count: int) -> Floats:
    return np.linspace(0.0, 1.0, count)


def _branch(runs: Runs, direction: Direction) -> Branch:
    shapes = fit_devices(runs, "exponential")
    estimates = run_estimates(runs, shapes)
    (start, end, a), (v_start, v_end, v_a) = estimates.value.T, estimates.variance.T
    of = runs.device
    start_spread = spread_of(start, v_start, of, "S")
    size = (1 if direction == "potentiation" else -1) / runs.steps
    # start and end are at opposite ends of a run: their errors are nearly independent
    step = spread_of(size * (end - start), size**2 * (v_start + v_end), of, "S")
    scatter = _scatter(runs, estimates.residual)
    moved = [q.value for q in (start_spread.c2c, start_spread.d2d) if q is not None]
    return Branch(
        direction=direction,
        runs=runs,
        shapes=shapes,
        estimates=estimates,
        heldout=hold_out(
            runs, start_spread=moved[0] if moved else 0.0, noise=max(scatter.value, 1e-300)
        ),
        start=start_spread,
        end=spread_of(end, v_end, of, "S"),
        step=step,
        nonlinearity=spread_of(a, v_a, of, "1"),
        scatter=scatter,
        step_noise=_step_noise(runs, estimates.residual),
    )


def _units(runs: Runs) -> tuple[NDArray[np.int64], int]:
    """Return what varies independently: the devices, or the runs of a single one."""
    device, group = np.unique(runs.device, return_inverse=True)
    return (group, len(device)) if len(device) > 1 else (np.arange(len(runs)), len(runs))


def _scatter(runs: Runs, residual: Floats) -> Quantity:
    """Return the standard deviation of readings about their own course."""
    group, count = _units(runs)
    known = np.isfinite(residual)
    free = np.maximum(known.sum(axis=1) - 3, 1)
    square = np.bincount(group, np.nansum(residual**2, axis=1), count)
    dof = np.bincount(group, free, count)
    variance = float(square.sum() / dof.sum())
    psi = (square - variance * dof) / dof.sum()
    chance = variance * math.sqrt(2 / float(dof.sum()))
    error = max(math.sqrt(float((psi**2).sum()) * count / max(count - 1, 1)), chance)
    value = math.sqrt(variance)
    slope = 2 * value if value > 0 else 1.0
    df = count - 1 if count > 2 else math.inf
    return Quantity.estimated(value, error / slope, "S", scale="log", df=df)


def _step_noise(runs: Runs, residual: Floats) -> Quantity | None:
    """Return the standard deviation of the random part of a step that stays."""
    d = np.diff(residual, axis=1)
    both = d[:, 1:] * d[:, :-1]
    n, m = np.isfinite(d).sum(axis=1), np.isfinite(both).sum(axis=1)
    group, count = _units(runs)
    if count < 2 or not m.any():
        return None
    squares, products = np.nansum(d**2, axis=1), np.nansum(both, axis=1)
    total = float(squares.sum() / n.sum() + 2 * products.sum() / m.sum())
    each = (squares - squares.sum() / n.sum() * n) / n.sum() + 2 * (
        products - products.sum() / m.sum() * m
    ) / m.sum()
    psi = np.bincount(group, each, count)
    error = math.sqrt(float((psi**2).sum()) * count / (count - 1))
    q = Quantity.estimated(total, error, "1", df=count - 1)
    low, high = (math.sqrt(max(v, 0.0)) for v in q.ci95 or (0.0, 0.0))
    value = math.sqrt(max(total, 0.0))
    return Quantity.within(value, (high - low) / 3.92, "S", (low, max(high, value)))


def _card(found: Responses, branches: tuple[Branch, ...]) -> PulseCard:
    devices = np.unique(np.concatenate([b.shapes.device for b in branches]))
    low, high = (np.full(len(devices), np.nan) for _ in range(2))
    for b in branches:
        at = np.searchsorted(devices, b.shapes.device)
        ends = np.sort(np.stack([b.start.device, b.end.device]), axis=0)
        low[at] = np.fmin(low[at], ends[0])
        high[at] = np.fmax(high[at], ends[1])
    single = [(b.start.mean, b.end.mean) for b in branches] if len(devices) == 1 else []
    lowest, highest = _mean(low, single, min), _mean(high, single, max)
    span = highest.value - lowest.value
    error = math.hypot(lowest.stderr or 0.0, highest.stderr or 0.0) / span
    scatter = max((b.scatter for b in branches), key=lambda q: q.value)
    steps = max(b.runs.steps for b in branches)
    return PulseCard(
        n_devices=found.measured,
        responding=jeffreys(found.responding, found.measured),
        lowest=lowest,
        highest=highest,
        dynamic_range=_ratio(high, low, highest, lowest),
        levels=_levels(span, error, scatter, steps),
        asymmetry=_asymmetry(branches, low, high, devices),
        branches=[_branch_card(b, span) for b in branches],
    )


def _mean(
    values: Floats, single: list[tuple[Quantity, Quantity]], choose: Callable[..., Quantity]
) -> Quantity:
    """Return the mean over devices; of one device, the start or end that it is."""
    n = len(values)
    if n == 1:
        return choose((q for pair in single for q in pair), key=lambda q: q.value)
    return Quantity.estimated(
        float(values.mean()), float(values.std(ddof=1)) / math.sqrt(n), "S", df=n - 1
    )


def _ratio(high: Floats, low: Floats, highest: Quantity, lowest: Quantity) -> Quantity | None:
    if not (low > 0).all():
        return None
    log = np.log(high / low)
    n = len(log)
    if n > 1:
        ratio, error = math.exp(float(log.mean())), float(log.std(ddof=1)) / math.sqrt(n)
    else:
        ratio = float(high[0] / low[0])
        error = math.hypot(*((q.stderr or 0.0) / q.value for q in (highest, lowest)))
    return Quantity.estimated(
        ratio, ratio * error, "1", scale="log", df=n - 1 if n > 1 else math.inf
    )


def _levels(span: float, error: float, scatter: Quantity, steps: int) -> Quantity:
    """Return the number of levels that readings tell apart."""
    most = steps + 1.0
    apart = span / (_APART * max(scatter.value, span / (_APART * 1e6)))
    error = math.hypot(error, (scatter.stderr or 0.0) / max(scatter.value, 1e-300))
    q = Quantity.estimated(apart, apart * error, "1", scale="log")
    value, low, high = (min(1 + v, most) for v in (apart, *(q.ci95 or (apart, apart))))
    return Quantity.within(value, (high - low) / 3.92, "1", (low, high))


def _asymmetry(
    branches: tuple[Branch, ...], low: Floats, high: Floats, devices: NDArray[np.int64]
) -> Quantity | None:
    if len(branches) < 2:
        return None
    both = np.intersect1d(branches[0].shapes.device, branches[1].shapes.device)
    if not len(both):
        return None
    middle = ((low + high) / 2)[np.searchsorted(devices, both)]
    sizes = []
    for b in branches:
        at = np.searchsorted(b.shapes.device, both)
        g = np.full(len(b.shapes.device), np.nan)
        g[at] = middle
        sizes.append(b.slope_at(g)[at])
    up, down = sizes
    value = (up - down) / np.maximum(up + down, 1e-300)
    n = len(value)
    if n == 1:
        return Quantity.given(float(value[0]), "1")
    error = float(value.std(ddof=1)) / math.sqrt(n)
    return Quantity.estimated(float(value.mean()), error, "1", df=n - 1)


def _branch_card(b: Branch, span: float) -> PulseBranch:
    soft = fit_devices(b.runs, "soft bounds")
    n = len(soft.device)
    bound = rate = None
    if n > 1 and b.nonlinearity.mean.value > 0 and not soft.at_limit.any():
        middle = float(np.median(soft.a))
        if middle > 0.1:  # else the bound is far outside
            each = -np.expm1(-soft.a / b.runs.steps)
            bound, rate = (
                Quantity.estimated(
                    float(v.mean()), float(v.std(ddof=1)) / math.sqrt(n), unit, df=n - 1
                )
                for v, unit in ((soft.bound, "S"), (each, "1"))
            )
    spreads = {
        f"{name}_{kind}": getattr(getattr(b, name), kind)
        for name in ("start", "end", "step", "nonlinearity")
        for kind in ("d2d", "c2c")
    }
    return PulseBranch(
        direction=b.direction,
        n_devices=n,
        n_branches=len(b.runs),
        pulses=b.runs.steps,
        form=cast(FormName, b.heldout.form),
        forms=[
            PulseForm(form=cast(FormName, form), heldout_error=error / span)
            for form, error in b.heldout.error.items()
        ],
        start=b.start.mean,
        end=b.end.mean,
        step=b.step.mean,
        nonlinearity=b.nonlinearity.mean,
        bound=bound,
        rate=rate,
        scatter=b.scatter,
        step_noise=b.step_noise,
        knots=[float(v) for v in knots(b.runs, min(_KNOTS, b.runs.steps // 2 + 1))],
        **spreads,
    )
