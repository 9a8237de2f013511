"""Mixtures of normals in one dimension, and the states that they contain.

Maximum likelihood by expectation-maximisation over groups of neighbouring readings (each with its
weight, mean and variance), so that the time does not grow with the number of readings. To go from
K to K + 1 components, each component is split in turn and the most promising split is kept: 1-D
mixtures have poor local optima, and these starting points are good and deterministic.

A state need not be normal: a skew or heavy-tailed one takes several components. Components belong
to one state unless the density has a valley between them (Ray and Lindsay, Annals of Statistics 33
(2005) 2042; Hennig, Advances in Data Analysis and Classification 4 (2010) 3) that the counts
confirm: a window at the valley's bottom holds less than 3/4 of the readings of an equal window at
the lower peak, and the difference exceeds four standard deviations. States closer than about 2.5 of
their standard deviations have no valley and count as one. A group with less than 1 % of the
readings is a tail or outliers, not a state.

The tails of the components are not reliable: a component that is wide because of one tail is wide
in the other as well. If an almost empty gap separates two peaks, the states are therefore separated
by that gap and not where the tails of the mixture cross.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = [
    "Mixture",
    "Readings",
    "States",
    "find_states",
    "fit_mixtures",
    "group_readings",
    "refit",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_GROUPS = 600
_NARROWEST = 2e-3  # smallest standard deviation of a component, over the 1–99 % range of readings
_STEPS, _TRIAL_STEPS = 120, 15
_FURTHER = 2  # components tried beyond the minimum of the BIC
_SHALLOW, _SURE = 0.75, 4.0
_SMALLEST_STATE = 0.01
_GAP_WINDOW = 0.04  # half-width of a window, over the distance between peaks
_GAP_READINGS, _GAP_SHARE = 5.0, 0.02  # most readings in an empty window; share of the lower peak's
_GAP_WIDTH = 0.12  # smallest gap, over the distance between peaks; in a narrower one tails meet
_GRID = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """Groups of neighbouring readings, in ascending order."""

    x: Floats  #        mean of each group
    variance: Floats  # within each group
    weight: Floats  #   number of readings in each group
    narrowest: float  # smallest standard deviation of a component
    sorted: Floats  #   all readings


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """Components in ascending order of mean."""

    weight: Floats
    mean: Floats
    std: Floats
    log_likelihood: float  # of all readings

    def __len__(self) -> int:
        return len(self.mean)

    def bic(self, n: float) -> float:
        """Return the Bayesian (Schwarz) information criterion for n readings."""
        return (3 * len(self) - 1) * math.log(n) - 2 * self.log_likelihood

    def log_joint(self, x: Floats) -> Floats:
        """Return the log of weight times density of each component, (component, x)."""
        z = (x - self.mean[:, None]) / self.std[:, None]
        log_weight = np.log(self.weight) - np.log(self.std) - 0.5 * math.log(2 * math.pi)
        return np.asarray(log_weight[:, None] - 0.5 * z**2, dtype=np.float64)

    def log_density(self, x: Floats) -> Floats:
        """Return the log density at x, (x,)."""
        return np.asarray(special.logsumexp(self.log_joint(x), axis=0), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class States:
    """Modes of a mixture that the readings confirm."""

    peaks: Floats  #   (state,)
    valleys: Floats  # (state − 1,)
    gaps: Floats  #    (state − 1, 2) start and end of an almost empty gap; NaN if none


def group_readings(y: Floats) -> Readings:
    """Group neighbouring readings."""
    x = np.sort(np.asarray(y, dtype=np.float64).ravel())
    size = max(1, len(x) // _GROUPS)
    starts = np.arange(0, len(x), size)
    n = np.diff(np.append(starts, len(x))).astype(np.float64)
    mean = np.add.reduceat(x, starts) / n
    variance = np.add.reduceat((x - np.repeat(mean, n.astype(int))) ** 2, starts) / n
    low, high = np.quantile(x, [0.01, 0.99])
    narrowest = _NARROWEST * max(float(high - low), 1e-12 * (float(np.abs(x).max()) or 1.0))
    return Readings(x=mean, variance=variance, weight=n, narrowest=narrowest, sorted=x)


def fit_mixtures(data: Readings, most: int) -> list[Mixture]:
    """Fit mixtures of 1, 2, … components, up to `most` or until two more do not lower the BIC."""
    n = float(data.weight.sum())
    mean = float(data.weight @ data.x) / n
    var = float(data.weight @ (data.variance + (data.x - mean) ** 2)) / n
    start = (np.ones(1), np.array([mean]), np.array([math.sqrt(max(var, data.narrowest**2))]))
    out = [_maximise(data, *start, steps=2)]
    while len(out) < most:
        tried = [_maximise(data, *_split(out[-1], i), steps=_TRIAL_STEPS) for i in range(len(out))]
        best = max(tried, key=lambda m: m.log_likelihood)
        out.append(_maximise(data, best.weight, best.mean, best.std, steps=_STEPS))
        bic = [m.bic(n) for m in out]
        if len(out) - 1 - int(np.argmin(bic)) >= _FURTHER:
            break
    return out


def refit(m: Mixture, data: Readings) -> Mixture:
    """Fit the same number of components to other readings, starting from those of `m`."""
    return _maximise(data, m.weight, m.mean, m.std, steps=_STEPS)


def _split(m: Mixture, i: int) -> tuple[Floats, Floats, Floats]:
    weight, mean, std = m.weight.copy(), m.mean.copy(), m.std.copy()
    weight[i] /= 2
    apart, narrower = 0.8 * std[i], 0.6 * std[i]
    mean[i] -= apart
    std[i] = narrower
    return (
        np.append(weight, weight[i]),
        np.append(mean, m.mean[i] + apart),
        np.append(std, narrower),
    )


def _maximise(data: Readings, weight: Floats, mean: Floats, std: Floats, *, steps: int) -> Mixture:
    n = float(data.weight.sum())
    last = -math.inf
    for _ in range(steps):
        joint = _grouped_joint(data, weight, mean, std)
        top = joint.max(axis=0)
        p = np.exp(joint - top)
        total = p.sum(axis=0)
        value = float(data.weight @ (top + np.log(total)))
        if value - last < 1e-6 * n:
            break
        last = value
        r = p * (data.weight / total)
        cells = np.maximum(r.sum(axis=1), 1e-12 * n)
        mean = r @ data.x / cells
        spread = (data.x - mean[:, None]) ** 2 + data.variance
        std = np.sqrt(np.maximum((r * spread).sum(axis=1) / cells, data.narrowest**2))
        weight = cells / cells.sum()
    order = np.argsort(mean)
    joint = _grouped_joint(data, weight, mean, std)
    value = float(data.weight @ special.logsumexp(joint, axis=0))
    return Mixture(weight=weight[order], mean=mean[order], std=std[order], log_likelihood=value)


def _grouped_joint(data: Readings, weight: Floats, mean: Floats, std: Floats) -> Floats:
    """Return the group means of the log of weight times density, (component, group)."""
    square = ((data.x - mean[:, None]) ** 2 + data.variance) / std[:, None] ** 2
    log_weight = np.log(weight) - np.log(std) - 0.5 * math.log(2 * math.pi)
    return np.asarray(log_weight[:, None] - 0.5 * square, dtype=np.float64)


def find_states(m: Mixture, data: Readings) -> States:
    """Find the modes of a mixture that are states of the cells.

    Parameters
    ----------
    m : Mixture
    data : Readings
        Readings whose counts must confirm the valleys.
    """
    low, high = float(data.x[0]), float(data.x[-1])
    ends = np.concatenate([m.mean - 6 * m.std, m.mean + 6 * m.std, m.mean, [low, high]])
    even = np.linspace(low, high, _GRID)
    near = (m.mean[:, None] + m.std[:, None] * np.linspace(-5, 5, 201)).ravel()
    grid = np.unique(np.concatenate([ends, even, near]))
    grid = grid[(grid >= low) & (grid <= high)]
    f = m.log_density(grid)
    rising = np.diff(f) > 0
    peaks = np.flatnonzero(np.r_[True, rising] & ~np.r_[rising, False])
    found = [int(i) for i in peaks]
    valleys = [int(a + np.argmin(f[a : b + 1])) for a, b in itertools.pairwise(found)]
    while valleys:
        margin = [_valley_margin(data, grid, f, found, valleys, i) for i in range(len(valleys))]
        worst = int(np.argmin(margin))
        if margin[worst] > 0:
            break
        lower = worst if f[found[worst]] < f[found[worst + 1]] else worst + 1
        del found[lower], valleys[worst]
        valleys = [int(a + np.argmin(f[a : b + 1])) for a, b in itertools.pairwise(found)]
    gaps = [_gap(data, float(grid[a]), float(grid[b])) for a, b in itertools.pairwise(found)]
    return States(peaks=grid[found], valleys=grid[valleys], gaps=np.asarray(gaps).reshape(-1, 2))


def _valley_margin(
    data: Readings, grid: Floats, f: Floats, peaks: list[int], valleys: list[int], i: int
) -> float:
    """Return the margin by which a valley passes its tests; not positive if it fails one."""
    v = grid[valleys[i]]
    edges = [-math.inf, *(grid[j] for j in valleys), math.inf]
    n = np.diff(np.searchsorted(data.sorted, edges))
    if min(n[i], n[i + 1]) < _SMALLEST_STATE * n.sum():
        return float(min(n[i], n[i + 1]) / n.sum() - 1)
    lower = peaks[i] if f[peaks[i]] < f[peaks[i + 1]] else peaks[i + 1]
    half = 0.25 * min(v - grid[peaks[i]], grid[peaks[i + 1]] - v)
    at_peak, at_valley = (_count(data, c - half, c + half) for c in (grid[lower], v))
    if at_valley >= _SHALLOW * at_peak:
        return _SHALLOW * at_peak / max(at_valley, 1e-9) - 1
    return (at_peak - at_valley) / math.sqrt(at_peak + at_valley) - _SURE


def _gap(data: Readings, low: float, high: float) -> tuple[float, float]:
    """Find the widest interval between two peaks in which windows are almost empty."""
    half = _GAP_WINDOW * (high - low)
    at = np.linspace(low, high, 501)
    n = np.array([_count(data, x - half, x + half) for x in at])
    empty = n <= min(_GAP_READINGS, _GAP_SHARE * min(n[0], n[-1]))
    edges = np.flatnonzero(np.diff(np.r_[False, empty, False].astype(int)))
    if not edges.size:
        return math.nan, math.nan
    first, after = edges[::2], edges[1::2]
    i = int(np.argmax(after - first))
    a, b = float(at[first[i]]), float(at[after[i] - 1])
    return (a, b) if b - a > _GAP_WIDTH * (high - low) else (math.nan, math.nan)


def _count(data: Readings, low: float, high: float) -> float:
    """Count readings between two values."""
    a, b = np.searchsorted(data.sorted, [low, high])
    return float(b - a)
