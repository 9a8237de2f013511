"""Survival and incidence of failures without a distribution: Kaplan-Meier and Aalen-Johansen.

Cells are read at few cycle counts, so survival is estimated at these. A failure in (low, high] that
spans several of the steps between them is divided among the steps by the estimate itself, until it
no longer changes (Turnbull, J. R. Stat. Soc. B 38 (1976) 290); if no reading is missing, this is
the estimator of Kaplan and Meier (J. Am. Stat. Assoc. 53 (1958) 457). With d_j failures among n_j
cells at risk in step j, and d_mj of them of mode m,

    S(j) = Π (1 − d_i/n_i),    F_m(j) = Σ S(i−1)·d_mi/n_i.

Bands are pointwise, from Greenwood's variance of S and that of Marubini and Valsecchi (Analysing
Survival Data, 1995, section 10.3) of F_m, on the scale of ln(−ln S). Where no cell has failed yet,
and where all have, the limits are those of Clopper and Pearson.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.time.endurance.failure_times import MODES, FailureTimes

__all__ = ["Incidence", "ProductLimit", "product_limit"]

Floats = NDArray[np.float64]

_Z = 1.959963984540054
_ROUNDS = 2000
_CONVERGED = 1e-10


@dataclass(frozen=True, slots=True, kw_only=True)
class Incidence:
    """Share of cells that have failed in one mode, at each point."""

    mode: str
    failures: int
    value: Floats  # (point,)
    low: Floats  #   (point,) 95 % limits
    high: Floats  #  (point,)
    stderr: Floats  # (point,)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductLimit:
    """Survival at the cycle counts of the readings.

    Attributes
    ----------
    cycle : (point,) array
        From the first point on, where survival is 1.
    survival, low, high, stderr : (point,) array
        With pointwise 95 % limits.
    failures, at_risk : (point,) array
        In the step that ends at each point; 0 failures at the first point. Fractions where readings
        are missing.
    hazard : (point,) array
        Failures per cell and cycle in that step; NaN at the first point and without cells at risk.
    incidence : tuple of Incidence
        Of all modes, in the order of `MODES`.
    """

    cycle: Floats
    survival: Floats
    low: Floats
    high: Floats
    stderr: Floats
    failures: Floats
    at_risk: Floats
    hazard: Floats
    incidence: tuple[Incidence, ...]


def product_limit(times: FailureTimes) -> ProductLimit:
    """Estimate survival and the incidence of each mode of failure."""
    cycle = times.points
    steps = len(cycle) - 1
    first = np.searchsorted(cycle, times.low)  # the first step that the life may end in
    last = np.where(times.failed, np.searchsorted(cycle, times.high), steps + 1) - 1
    failed = times.failed
    shape = (steps + 2, steps + 2, 3)
    code = np.ravel_multi_index((first[failed], last[failed], times.mode[failed]), shape)
    codes, number = np.unique(code, return_counts=True)
    kinds = np.stack(np.unravel_index(codes, shape))
    censored = np.bincount(first[~failed], minlength=steps + 1)[: steps + 1].astype(np.float64)
    count: Floats = number.astype(np.float64)
    spans = np.array(
        [(a <= np.arange(steps)) & (np.arange(steps) <= b) for a, b in kinds[:2].T], dtype=float
    ).reshape(len(count), steps)
    share = spans / np.maximum(spans.sum(axis=1, keepdims=True), 1.0)
    for _ in range(_ROUNDS if (spans.sum(axis=1) > 1).any() else 1):
        d, n, s = _table(share, count, censored)
        mass = s[:-1] * np.divide(d, n, out=np.zeros(steps), where=n > 0)
        weight = spans * np.maximum(mass, 1e-300)
        renewed = weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-300)
        change = float(np.abs(renewed - share).max()) if share.size else 0.0
        share = renewed
        if change < _CONVERGED:
            break
    d, n, s = _table(share, count, censored)
    by_mode = np.array([(share * (count * (kinds[2] == m))[:, None]).sum(axis=0) for m in range(3)])
    stderr = s * np.sqrt(np.concatenate([[0.0], np.cumsum(_ratio(d, n * (n - d)))]))
    low, high = _limits(1 - s, stderr, np.concatenate([[n[0] if steps else 1.0], n]))
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = -np.log1p(-d / n) / np.diff(cycle)
    return ProductLimit(
        cycle=cycle,
        survival=s,
        low=1 - high,
        high=1 - low,
        stderr=stderr,
        failures=np.concatenate([[0.0], d]),
        at_risk=np.concatenate([[float(len(times))], n]),
        hazard=np.concatenate([[np.nan], np.where(n > 0, rate, np.nan)]),
        incidence=tuple(_incidence(MODES[m], by_mode[m], d, n, s) for m in range(3)),
    )


def _table(share: Floats, count: Floats, censored: Floats) -> tuple[Floats, Floats, Floats]:
    """Return failures and cells at risk of each step, (step,), and survival, (step + 1,)."""
    d = (share * count[:, None]).sum(axis=0)
    total = d.sum() + censored.sum()
    gone = np.concatenate([[0.0], np.cumsum(d)[:-1]]) + np.cumsum(censored)[:-1]
    n = np.maximum(total - gone, 0.0)
    n = np.where(n < 1e-9 * max(total, 1.0), 0.0, n)
    d = np.minimum(np.where(d < 1e-9, 0.0, d), n)
    return d, n, np.concatenate([[1.0], np.cumprod(1 - _ratio(d, n))])


def _ratio(a: Floats, b: Floats) -> Floats:
    return np.divide(a, b, out=np.zeros(np.broadcast(a, b).shape), where=b > 0)


def _incidence(mode: str, dm: Floats, d: Floats, n: Floats, s: Floats) -> Incidence:
    """Estimate the cumulative incidence of one mode at each point."""
    value = np.concatenate([[0.0], np.cumsum(s[:-1] * _ratio(dm, n))])
    left = np.tril(value[1:, None] - value[1:])  # F(j) − F(i) for i ≤ j
    before = s[:-1]
    up_to = np.tril(np.ones((len(d), len(d))))
    variance = left**2 @ _ratio(d, n * (n - d))
    variance += up_to @ (before**2 * _ratio((n - dm) * dm, n**3))
    variance -= 2 * left @ (before * _ratio(dm, n**2))
    stderr = np.concatenate([[0.0], np.sqrt(np.maximum(variance, 0.0))])
    low, high = _limits(value, stderr, np.concatenate([[n[0]], n]))
    return Incidence(
        mode=mode,
        failures=round(float(dm.sum())),
        value=value,
        low=low,
        high=high,
        stderr=stderr,
    )


def _limits(failed: Floats, stderr: Floats, n: Floats) -> tuple[Floats, Floats]:
    """Return 95 % limits of shares that have failed; those of 0 of n and n of n at the ends."""
    low, high = np.zeros_like(failed), np.ones_like(failed)
    inner = (failed > 0) & (failed < 1) & (stderr > 0)
    p = failed[inner]
    w = np.minimum(_Z * stderr[inner] / np.abs((1 - p) * np.log1p(-p)), 50.0)
    low[inner] = -np.expm1(np.log1p(-p) * np.exp(-w))
    high[inner] = -np.expm1(np.log1p(-p) * np.exp(w))
    none = failed <= 0
    high[none] = 1 - 0.025 ** (1 / np.maximum(n[none], 1.0))
    every = failed >= 1
    low[every] = 0.025 ** (1 / np.maximum(n[0], 1.0))
    return low, high
