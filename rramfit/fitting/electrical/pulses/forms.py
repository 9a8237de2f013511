"""Forms of the course of a run, fitted by least squares to all runs of each device.

With x = n/N and f the exponential course of `rramfit.card.blocks.pulses`,

    linear        G = start + (end − start)·x                    start, end of each run
    exponential   G = start + (end − start)·f(x; a)              a of the device
    soft bounds   G = bound − (bound − start)·e^(−a·x)           bound and a of the device
    piecewise     straight lines between values at equal distances, of the device

Given a, all others are linear, so that a is found by a search in one dimension: a grid, then
golden sections. One Gauss-Newton step from the device's a then gives every run its own
start, end and a, linear in its readings; this keeps noise from biasing their spread.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.electrical.pulses.runs import Runs

__all__ = ["FORMS", "DeviceShapes", "RunEstimates", "fit_devices", "hats", "knots", "run_estimates"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FORMS = ("linear", "exponential", "soft bounds", "piecewise")
"""From the simplest to the most flexible."""

_LOWEST = -20.0  # of a
_GRID, _SECTIONS = 33, 24
_GOLDEN = (math.sqrt(5) - 1) / 2
_FLAT = 1e-6  # of a
_LIKE_ALL = 10.0  # runs in which the variance does not depend on the step, added to those measured


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceShapes:
    """One form, of each device.

    Attributes
    ----------
    device : (device,) int array
    start, end : (device,) array
        Means over the runs [S].
    a : (device,) array
    bound : (device,) array
        [S]; NaN unless the form has one.
    at_limit : (device,) bool array
        Whether a is as large as it may become: the first pulse does it all.
    """

    device: Integers
    start: Floats
    end: Floats
    a: Floats
    bound: Floats
    at_limit: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEstimates:
    """Start, end and a of every run, in this order, with the variances of their errors.

    Attributes
    ----------
    value, variance : (run, 3) array
    residual : (run, step) array
        Reading less the course of its run [S]; NaN = not measured.
    """

    value: Floats
    variance: Floats
    residual: Floats


def _course(x: Floats, a: Floats) -> Floats:
    """Return the exponential course of each a, (len(a), len(x))."""
    size = np.maximum(np.abs(a), _FLAT)[:, None]
    at = np.where(a[:, None] < 0, 1 - x, x)
    f = np.expm1(-size * np.minimum(at, 1e3)) / np.expm1(-size)
    with np.errstate(over="ignore"):
        return np.asarray(np.where(a[:, None] < 0, 1 - f, f))


def _sums(values: Floats, group: Integers, count: int) -> Floats:
    return np.asarray(np.bincount(group, values, count), dtype=np.float64)


def fit_devices(runs: Runs, form: str) -> DeviceShapes:
    """Fit one form with an a, to each device.

    Parameters
    ----------
    runs : Runs
    form : {"linear", "exponential", "soft bounds"}
    """
    device, group = np.unique(runs.device, return_inverse=True)
    count = len(device)
    known = np.isfinite(runs.conductance)
    y = np.where(known, runs.conductance, 0.0)
    middle = y.sum(axis=1) / known.sum(axis=1)
    y = np.where(known, y - _per_device(middle, group, count)[group][:, None], 0.0)
    w = known.astype(np.float64)
    fitted = _soft if form == "soft bounds" else _free

    def cost(a: Floats) -> Floats:
        return fitted(y, w, runs.x, a, group, count)[0]

    top = max(60.0, 3.0 * runs.steps)
    a, at_limit = np.zeros(count), np.zeros(count, dtype=np.bool_)
    if form != "linear":
        lowest = 0.02 if form == "soft bounds" else _LOWEST
        a, at_limit = _search(cost, lowest, top, count)
    _, start, end, bound = fitted(y, w, runs.x, a, group, count)
    offset = _per_device(middle, group, count)
    return DeviceShapes(
        device=device,
        start=_per_device(start, group, count) + offset,
        end=_per_device(end, group, count) + offset,
        a=a,
        bound=bound + offset,
        at_limit=at_limit,
    )


def _per_device(values: Floats, group: Integers, count: int) -> Floats:
    return _sums(values, group, count) / _sums(np.ones(len(values)), group, count)


def _search(
    cost: Callable[[Floats], Floats], low: float, top: float, count: int
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the a of least cost of each device, and whether it is at the upper limit."""
    grid = np.sinh(np.linspace(math.asinh(low), math.asinh(top), _GRID))
    costs = np.stack([cost(np.full(count, a)) for a in grid])
    best = costs.argmin(axis=0)
    left, right = grid[np.maximum(best - 1, 0)], grid[np.minimum(best + 1, _GRID - 1)]
    b, c = right - _GOLDEN * (right - left), left + _GOLDEN * (right - left)
    fb, fc = cost(b), cost(c)
    for _ in range(_SECTIONS):
        lower = fb < fc
        left, right = np.where(lower, left, b), np.where(lower, c, right)
        new = np.where(lower, right - _GOLDEN * (right - left), left + _GOLDEN * (right - left))
        f = cost(new)
        b, c = np.where(lower, new, c), np.where(lower, b, new)
        fb, fc = np.where(lower, f, fc), np.where(lower, fb, f)
    return (left + right) / 2, best == _GRID - 1


def _free(
    y: Floats, w: Floats, x: Floats, a: Floats, group: Integers, count: int
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the cost by device, start and end by run; the bound is not known."""
    f = _course(x, a)[group]
    g = 1 - f
    ff, fg, gg = ((w * p).sum(axis=1) for p in (f * f, f * g, g * g))
    fy, gy = (f * y).sum(axis=1), (g * y).sum(axis=1)
    det = np.maximum(ff * gg - fg * fg, 1e-12 * np.maximum(ff * gg, 1e-300))
    start, end = (ff * gy - fg * fy) / det, (gg * fy - fg * gy) / det
    r = w * (y - start[:, None] * g - end[:, None] * f)
    return _sums((r * r).sum(axis=1), group, count), start, end, np.full(count, np.nan)


def _soft(
    y: Floats, w: Floats, x: Floats, a: Floats, group: Integers, count: int
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the cost and the bound by device, start and end by run."""
    e = np.exp(-a[:, None] * x)[group]
    u = 1 - e
    ee, eu, uu = ((w * p).sum(axis=1) for p in (e * e, e * u, u * u))
    ey, uy = (e * y).sum(axis=1), (u * y).sum(axis=1)
    safe = np.maximum(ee, 1e-300)
    over = _sums(uy - eu * ey / safe, group, count)
    under = _sums(uu - eu * eu / safe, group, count)
    bound = over / np.maximum(under, 1e-12 * _sums(uu, group, count) + 1e-300)
    start = (ey - bound[group] * eu) / safe
    r = w * (y - bound[group][:, None] * u - start[:, None] * e)
    end = bound[group] - (bound[group] - start) * np.exp(-a)[group]
    return _sums((r * r).sum(axis=1), group, count), start, end, bound


def hats(x: Floats, count: int) -> Floats:
    """Return the share of each of `count` knots on 0 … 1 in the value at x, (len(x), count)."""
    at = np.clip(x, 0.0, 1.0) * (count - 1)
    return np.asarray(np.maximum(1 - np.abs(at[:, None] - np.arange(count)), 0.0))


def knots(runs: Runs, count: int) -> Floats:
    """Return the values at knots of the mean course, least squares over all runs, (count,) [S]."""
    known = np.isfinite(runs.conductance)
    y = np.where(known, runs.conductance, 0.0)
    shares = hats(runs.x, count)
    weight = known.sum(axis=0).astype(np.float64)
    mean = y.sum(axis=0) / np.maximum(weight, 1)
    root = np.sqrt(weight)
    return np.asarray(np.linalg.lstsq(shares * root[:, None], mean * root, rcond=None)[0])


def run_estimates(runs: Runs, shapes: DeviceShapes) -> RunEstimates:
    """Estimate start, end and a of every run, by one Gauss-Newton step from those of its device.

    The variance of a reading is that of its step over all runs, scaled to its device, and with
    few runs near that of all steps. If neighbouring residuals correlate by ρ > 0, variances of
    errors grow by (1 + ρ)/(1 − ρ).
    """
    group = np.searchsorted(shapes.device, runs.device)
    a = shapes.a[group]
    known = np.isfinite(runs.conductance)
    w = known.astype(np.float64)
    x = runs.x
    f = _course(x, a)
    step = 1e-4 * np.maximum(np.abs(a), 1.0)
    slope = (_course(x, a + step) - _course(x, a - step)) / (2 * step)[:, None]
    change = (shapes.end - shapes.start)[group]
    # relative to the change, so that the three columns are of one size
    jacobian = np.stack([1 - f, f, slope], axis=2) * w[:, :, None]
    course = shapes.start[group][:, None] + change[:, None] * f
    y = np.where(known, (runs.conductance - course) / change[:, None], 0.0)
    inverse = np.linalg.pinv(np.einsum("rnp,rnq->rpq", jacobian, jacobian), hermitian=True)
    delta = np.einsum("rpq,rnq,rn->rp", inverse, jacobian, y)
    residual = y - np.einsum("rnp,rp->rn", jacobian, delta)
    leverage = np.einsum("rnp,rpq,rnq->rn", jacobian, inverse, jacobian)
    noise = _noise(residual, np.minimum(leverage, 0.9), w, group)
    middle = np.einsum("rnp,rnq,rn->rpq", jacobian, jacobian, noise)
    covariance = inverse @ middle @ inverse
    ends = np.stack([shapes.start[group], shapes.end[group], np.zeros(len(a))], axis=1)
    scale = np.stack([change, change, np.ones(len(a))], axis=1)
    value = ends + delta * scale
    value[:, 2] += a
    variance = np.einsum("rpp->rp", covariance) * scale**2
    return RunEstimates(
        value=value,
        variance=np.asarray(variance),
        residual=np.where(known, residual * change[:, None], np.nan),
    )


def _noise(residual: Floats, leverage: Floats, w: Floats, group: Integers) -> Floats:
    """Return the variance that readings have for the errors of estimates, (run, step).

    A fit pulls a reading's residual in by its leverage h: E[r²] = σ²·(1 − h).
    """
    count = int(group.max()) + 1
    square = residual**2 / (1 - leverage)
    mean = max(float(square.sum() / w.sum()), 1e-300)
    shape = (square.sum(axis=0) / mean + _LIKE_ALL) / (w.sum(axis=0) + _LIKE_ALL)
    by_device = _sums(square.sum(axis=1), group, count) / _sums(w.sum(axis=1), group, count)
    square = residual**2
    both = w[:, 1:] * w[:, :-1]
    cross = float((residual[:, 1:] * residual[:, :-1] * both).sum() / max(both.sum(), 1))
    rho = min(max(cross / max(float(square.sum() / w.sum()), 1e-300), 0.0), 0.9)
    return np.asarray(by_device[group][:, None] * shape * (1 + rho) / (1 - rho))
