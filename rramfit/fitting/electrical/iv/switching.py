"""I-V sweeps through SET or RESET: where each curve switches, and its branches.

A sweep away from 0 V and back is one excursion. In the order of measurement a curve is in state A
up to the switching point k of an excursion and in state B from there on:

    I = a₁V + a₃V³  (i < k),   I = b₁V + b₃V³  (i ≥ k)

k minimises the squared residuals, over all k at once by cumulative sums. It is a switch if the
currents below the switching voltage, of one state and of the other, differ by more than `RATIO` and
`ABOVE_NOISE` times the noise. On an excursion without a way back the current must jump instead. A
current at the compliance of the instrument says nothing of the state, and is left out.

The branches are what is left on both sides: curves of a cell in its low and in its high state,
which `rramfit.fitting.electrical.iv.iv` fits as curves that do not switch. A gradual RESET is split
at its steepest point. The population of switching voltages is in `switching_voltage`.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.measurement.file.record import IVSweeps

__all__ = ["Switching", "find_switching"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

RATIO = 1.25  # of the currents of both states
ABOVE_NOISE = 5.0
_FEWEST = 4  # points of a state: two coefficients and some noise
_FEWEST_CURVES = 0.1  # share of the curves
_RETURNS = 0.1  # of the highest voltage: an excursion ends where the sweep comes this near to 0 V
_COMPLIANCE = 0.98  # of the highest current
_FLAT = 3  # points at the compliance from which it is one
_FLAT_RANGE = 0.1  # of the highest voltage, which an unlimited current would not cross unchanged


@dataclass(frozen=True, slots=True, kw_only=True)
class Switching:
    """Where curves switched, and their branches.

    Attributes
    ----------
    curve : (event,) int array
        Index of the curve of each excursion in which the cell could switch.
    start : (event,) int array
        First point of the excursion, which orders the excursions of a curve.
    rises : (event,) bool array
        True for SET (current rises), False for RESET; only for events that happened.
    happened : (event,) bool array
    lower, upper : (event,) array
        The cell switched between these voltages [V], |lower| < |upper|; without a switch, `lower`
        is the highest voltage of the excursion.
    branches : IVSweeps
        The states of all curves, as curves; those of one curve follow each other.
    high : (branch,) bool array
        Whether a branch is the state of high conductance of a curve that switched.
    low : (branch,) bool array
        Whether it is the state of low conductance.
    """

    curve: Integers
    start: Integers
    rises: Bools
    happened: Bools
    lower: Floats
    upper: Floats
    branches: IVSweeps
    high: Bools
    low: Bools


@dataclass(frozen=True, slots=True)
class _Excursion:
    """Result of one excursion over curves with the same voltages."""

    points: slice
    at: Integers  # (curve,) first point of the second state, in the excursion
    happened: Bools
    rises: Bools


def find_switching(iv: IVSweeps) -> Switching | None:
    """Find the switching points of all curves; None if fewer than a tenth of them switch.

    A few curves that switch are disturbed ones, in sweeps that were not made to switch cells.

    Parameters
    ----------
    iv : IVSweeps
        In the order of measurement.
    """
    voltage = iv.voltages
    group = np.zeros(len(voltage), np.int64)  # of curves with the same voltages
    if iv.voltage.ndim > 1:
        same = np.nan_to_num(voltage, nan=np.inf)
        group = np.unique(same, axis=0, return_inverse=True)[1].ravel()
    current = np.where(_limited(voltage, iv.current), np.nan, iv.current)
    state = np.zeros(iv.current.shape, np.int8)  # +1 high, -1 low, 0 a curve that did not switch
    events: list[tuple[Integers, _Excursion, Floats]] = []
    for g in range(int(group.max()) + 1):
        rows = np.flatnonzero(group == g)
        v = voltage[rows[0]]
        for points in _excursions(v):
            found = _switch(v[points], current[rows][:, points], points)
            if found is not None:
                events.append((rows, found, v))
        _mark(state, rows, [e for r, e, _ in events if r is rows])
    switched = np.count_nonzero((state != 0).any(axis=1))
    if switched == 0 or switched < _FEWEST_CURVES * len(state):
        return None
    return _collected(iv, current, state, events)


def _excursions(v: Floats) -> list[slice]:
    """Split a sweep where it passes or comes near 0 V."""
    seen = np.flatnonzero(np.isfinite(v))
    if seen.size < 2 * _FEWEST:
        return []
    stop = int(seen[-1]) + 1
    size = np.abs(v[:stop])
    near = size <= _RETURNS * np.nanmax(size)
    bounds = [0]
    start = 0
    for i in range(1, stop + 1):
        if i < stop and near[i] == near[start] and np.sign(v[i]) * np.sign(v[start]) >= 0:
            continue
        if near[start] and start > 0 and i < stop:
            bounds.append(start + int(np.argmin(size[start:i])))
        elif not near[start] and i < stop and not near[i]:
            bounds.append(i)  # a jump from one polarity to the other
        start = i
    bounds.append(stop)
    pairs = itertools.pairwise(bounds)
    return [slice(a, b + 1 if b < stop else b) for a, b in pairs if b - a >= 2 * _FEWEST]


def _limited(voltage: Floats, current: Floats) -> Bools:
    """Return which currents are at the compliance of the instrument."""
    size = np.abs(np.where(np.isfinite(current), current, 0.0))
    top = np.abs(np.where(np.isfinite(voltage), voltage, 0.0)).max(axis=1, keepdims=True)
    flat: Bools = np.zeros(current.shape, dtype=bool)
    for sign in (1, -1):
        side = np.sign(voltage) == sign
        here = np.where(side, size, 0.0)
        at = side & (here >= _COMPLIANCE * here.max(axis=1, keepdims=True)) & (here > 0)
        reached = np.abs(voltage)
        span = np.where(at, reached, -np.inf).max(axis=1) - np.where(at, reached, np.inf).min(
            axis=1
        )
        is_flat = (at.sum(axis=1) >= _FLAT) & (span > _FLAT_RANGE * top[:, 0])
        flat |= at & is_flat[:, None]
    return flat


def _switch(v: Floats, y: Floats, points: slice) -> _Excursion | None:
    """Find the switching point of every curve in one excursion."""
    seen = np.isfinite(y) & np.isfinite(v)
    n = len(v)
    if np.isfinite(v).sum() < 2 * _FEWEST:
        return None
    split, noise = _best_split(v, np.where(seen, y, 0.0), seen)
    inside = (split >= _FEWEST) & (split <= n - _FEWEST)
    top = int(np.nanargmax(np.abs(v)))
    back = n - 1 - top >= _FEWEST and abs(v[-1]) <= 0.5 * abs(v[top])
    happened, rises = np.zeros(len(y), dtype=bool), np.zeros(len(y), dtype=bool)
    for i in np.flatnonzero(inside):
        ratio = (
            _loop(v, y[i], top, int(split[i]), noise[i])
            if back
            else _jump(y[i], int(split[i]), noise[i])
        )
        happened[i], rises[i] = abs(ratio) > math.log(RATIO), ratio > 0
    return _Excursion(points, split, happened, rises)


def _best_split(v: Floats, y: Floats, seen: Bools) -> tuple[Integers, Floats]:
    """Return the first point of the second state, and the noise about both, of every curve."""
    scale = float(np.nanmax(np.abs(v))) or 1.0
    x = np.nan_to_num(v) / scale
    basis = np.stack([x, x**3])  # (2, point)
    unit = np.abs(y).max(axis=1, keepdims=True) + 1e-300
    y = y / unit
    moments = [np.cumsum(seen * basis[a] * basis[b], axis=1) for a, b in ((0, 0), (0, 1), (1, 1))]
    products = [np.cumsum(seen * basis[a] * y, axis=1) for a in (0, 1)]
    power = np.cumsum(seen * y**2, axis=1)
    count = np.cumsum(seen, axis=1)
    before = _residual(moments, products, power)
    after = _residual(
        [m[:, -1:] - m for m in moments],
        [p[:, -1:] - p for p in products],
        power[:, -1:] - power,
    )
    total = np.maximum(before + after, 0.0)[:, :-1]  # entry i: the second state starts at i + 1
    few = (count < _FEWEST) | (count[:, -1:] - count < _FEWEST)
    total = np.where(few[:, :-1], np.inf, total)
    best = np.argmin(total, axis=1)
    least = np.take_along_axis(total, best[:, None], axis=1)[:, 0]
    free = np.maximum(count[:, -1] - 4, 1)
    noise = np.where(np.isfinite(least), np.sqrt(np.where(np.isfinite(least), least, 0) / free), 0)
    return np.where(np.isfinite(least), best + 1, 0), noise * unit[:, 0]


def _residual(moments: list[Floats], products: list[Floats], power: Floats) -> Floats:
    """Return the squared residuals of a least-squares fit from its cumulative sums."""
    aa, ab, bb = moments
    ya, yb = products
    det = aa * bb - ab**2
    good = det > 1e-10 * aa * bb
    det = np.where(good, det, 1.0)
    two = (bb * ya**2 - 2 * ab * ya * yb + aa * yb**2) / det
    one = np.divide(ya**2, aa, out=np.zeros_like(aa), where=aa > 0)
    return np.asarray(power - np.where(good, two, one), dtype=np.float64)


def _loop(v: Floats, y: Floats, top: int, split: int, noise: float) -> float:
    """Return ln of the current on the way back over that on the way out, below the switch."""
    reached = abs(v[min(split, len(v) - 1)])
    seen = np.isfinite(y)
    out = np.flatnonzero(seen & (np.arange(len(v)) <= top) & (np.abs(v) < reached))
    back = np.flatnonzero(seen & (np.arange(len(v)) >= top))
    back = back[np.argsort(np.abs(v[back]))]
    if out.size < 2 or back.size < 2:
        return 0.0
    first = np.abs(y[out])
    second = np.abs(np.interp(np.abs(v[out]), np.abs(v[back]), y[back]))
    clear = np.abs(first - second) > ABOVE_NOISE * noise
    if clear.sum() < max(2, out.size // 4):
        return 0.0
    floor = max(noise, 1e-30)
    ratio = np.log(np.maximum(second, floor) / np.maximum(first, floor))
    return float(np.median(ratio[clear]))


def _jump(y: Floats, split: int, noise: float) -> float:
    """Return ln of the ratio of the current at a jump, if it exceeds the steps about it."""
    seen = np.flatnonzero(np.isfinite(y))
    at = int(np.searchsorted(seen, split))
    if at < 2 or at > len(seen) - 2:
        return 0.0
    near = np.abs(np.diff(y[seen[max(at - 6, 0) : at + 6]]))
    step = float(y[seen[at]] - y[seen[at - 1]])
    usual = float(np.median(near))
    if abs(step) < ABOVE_NOISE * max(usual, noise):
        return 0.0
    floor = max(noise, 1e-30)
    return math.log(max(abs(y[seen[at]]), floor) / max(abs(y[seen[at - 1]]), floor))


def _mark(state: NDArray[np.int8], rows: Integers, found: list[_Excursion]) -> None:
    """Write the state of every point of the curves that switched."""
    for i, row in enumerate(rows):
        known = [(e.points.start + int(e.at[i]), bool(e.rises[i])) for e in found if e.happened[i]]
        for j, (at, rises) in enumerate(known):
            begin = 0 if j == 0 else known[j - 1][0]
            end = known[j + 1][0] if j + 1 < len(known) else state.shape[1]
            state[row, begin:at] = -1 if rises else 1
            state[row, at:end] = 1 if rises else -1


def _collected(
    iv: IVSweeps,
    current: Floats,
    state: NDArray[np.int8],
    events: list[tuple[Integers, _Excursion, Floats]],
) -> Switching:
    curve, start, rises, happened, lower, upper = [], [], [], [], [], []
    for rows, e, v in events:
        part = v[e.points]
        last = np.clip(e.at, 1, len(part) - 1)
        ends = np.stack([part[last - 1], part[last]])
        order = np.argsort(np.abs(ends), axis=0)
        ends = np.take_along_axis(ends, order, axis=0)
        top = part[int(np.nanargmax(np.abs(part)))]
        curve.append(rows)
        start.append(np.full(len(rows), e.points.start))
        rises.append(e.rises)
        happened.append(e.happened)
        lower.append(np.where(e.happened, ends[0], top))
        upper.append(np.where(e.happened, ends[1], np.sign(top) * np.inf))
    parts = [(state == sign) & np.isfinite(current) for sign in (1, -1, 0)]
    index = [(i, kind) for i in range(len(current)) for kind in range(3) if parts[kind][i].any()]
    which = np.array([i for i, _ in index])
    kinds = np.array([kind for _, kind in index])
    chosen = np.stack([parts[kind][i] for i, kind in index])
    base = IVSweeps(
        voltage=iv.voltage, current=current.copy(), row=iv.row, col=iv.col, repeat=iv.repeat
    ).take(which)
    branches = IVSweeps(
        voltage=base.voltage,
        current=np.where(chosen, base.current, np.nan),
        row=base.row,
        col=base.col,
        repeat=base.repeat,
    )
    return Switching(
        curve=np.concatenate(curve),
        start=np.concatenate(start),
        rises=np.concatenate(rises),
        happened=np.concatenate(happened),
        lower=np.concatenate(lower),
        upper=np.concatenate(upper),
        branches=branches,
        high=kinds == 0,
        low=kinds == 1,
    )
