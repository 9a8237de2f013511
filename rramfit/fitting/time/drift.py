"""Drift of a state with the logarithm of time: slope, growth of spread, and read noise.

The reading of a cell at time t, with x = ln(t/t0), is

    y(t) = S + drift·x + growth·W(x) + read·ε

where W is a Wiener process in x that starts at 0, and ε is independent at every reading. The
covariance of consecutive increments separates read noise from growth: an increment over a step δ
has variance growth²·δ + 2·read², and neighbouring increments have covariance −read². With
Δ = diag(δ) and K = tridiagonal (2, −1), the covariance of a cell's increments is therefore
growth²·Δ + read²·K. The slope is estimated by generalised least squares. The two variances are
estimated by quadratic forms of the increments that are unbiased for any distribution (MIVQUE).

Cells may have missing readings. Cells that miss the same readings share their weights, and their
increments are centred on their own mean, so that a mean that does not follow ln t does not count
as spread. The influence of every cell is kept for standard errors clustered by cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Drift", "fit_drift"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

MIN_CELLS = 5  # cells with the same missing readings that the mean of their increments needs


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Slope and variances of each level; NaN where the data do not determine them.

    Attributes
    ----------
    slope : (level,) array
        [S per unit of ln t]
    growth2, read2 : (level,) array
        [S² per unit of ln t], [S²]; `read2` is NaN where it cannot be separated from growth.
    slope_influence, growth2_influence, read2_influence : (cell,) array
        Influence of each cell on the estimate of its level.
    cells : (level,) array
        Number of cells used for the slope.
    """

    slope: Floats
    growth2: Floats
    read2: Floats
    slope_influence: Floats
    growth2_influence: Floats
    read2_influence: Floats
    cells: Integers


@dataclass(frozen=True, slots=True)
class _Pattern:
    """Cells with the same readings, their increments and the covariance terms Δ and K."""

    cells: Integers
    increments: Floats  # (cell, step)
    delta: Floats  # (step,)
    K: Floats  # (step, step)


def fit_drift(x: Floats, y: Floats, level: Integers, n_levels: int) -> Drift:
    """Estimate drift, growth and read noise of every level.

    Parameters
    ----------
    x : (time,) array
        ln(t/t0), rising.
    y : (cell, time) array
        Readings [S]; NaN = not measured.
    level : (cell,) array of int
        0 … n_levels − 1.
    """
    patterns = _patterns(x, y)
    level_of = np.asarray(level, dtype=np.int64)
    ratio = 0.0
    for _ in range(3):  # read²/growth², pooled over levels, sets the weights only
        growth2, read2, read2_known, variance_influence = _variances(
            patterns, level_of, n_levels, ratio, len(y)
        )
        total = np.nansum(np.where(growth2 > 0, growth2, np.nan))
        known = np.where(read2_known & (growth2 > 0), read2, 0.0)
        ratio = float(np.nansum(known) / total) if total > 0 else 0.0
    slope, slope_influence, cells = _slopes(patterns, level_of, n_levels, ratio, len(y))
    return Drift(
        slope=slope,
        growth2=growth2,
        read2=np.where(read2_known, read2, np.nan),
        slope_influence=slope_influence,
        growth2_influence=variance_influence[0],
        read2_influence=variance_influence[1],
        cells=cells,
    )


def _patterns(x: Floats, y: Floats) -> list[_Pattern]:
    """Group the cells by the readings they have; cells with fewer than two are left out."""
    seen = np.isfinite(y)
    packed = np.packbits(seen, axis=1)
    _, index = np.unique(packed, axis=0, return_inverse=True)
    index = index.reshape(-1)
    order = np.argsort(index, kind="stable")
    bounds = np.flatnonzero(np.diff(index[order])) + 1
    out = []
    for cells in np.split(order, bounds):
        here = seen[cells[0]] if len(cells) else np.zeros(len(x), dtype=bool)
        m = int(here.sum()) - 1
        if m < 1:
            continue
        K = 2 * np.eye(m) - np.eye(m, k=1) - np.eye(m, k=-1)
        increments = np.diff(y[np.ix_(cells, here)], axis=1)
        out.append(_Pattern(cells, increments, np.diff(x[here]), K))
    return out


def _inverse(pattern: _Pattern, ratio: float) -> Floats:
    V = np.diag(pattern.delta) + ratio * pattern.K
    return np.asarray(np.linalg.inv(V), dtype=np.float64)


def _slopes(
    patterns: list[_Pattern], level: Integers, n_levels: int, ratio: float, n: int
) -> tuple[Floats, Floats, Integers]:
    weight, weighted_sum = np.zeros(n), np.zeros(n)
    for p in patterns:
        weights = _inverse(p, ratio) @ p.delta
        weight[p.cells] = weights @ p.delta
        weighted_sum[p.cells] = p.increments @ weights
    total = np.bincount(level, weight, n_levels)
    slope = np.divide(
        np.bincount(level, weighted_sum, n_levels),
        total,
        out=np.full(n_levels, np.nan),
        where=total > 0,
    )
    used = weight > 0
    influence = np.zeros(n)
    influence[used] = (weighted_sum - weight * slope[level])[used] / total[level][used]
    return slope, influence, np.bincount(level[used], minlength=n_levels)


def _variances(
    patterns: list[_Pattern], level: Integers, n_levels: int, ratio: float, n: int
) -> tuple[Floats, Floats, Bools, Floats]:
    """Return the MIVQUE of (growth², read²), of growth² only where read² would be negative."""
    q = np.zeros((2, n))
    M = np.zeros((2, 2, n))
    for p in patterns:
        inverse = _inverse(p, ratio)
        forms = (inverse @ np.diag(p.delta) @ inverse, inverse @ p.K @ inverse)
        expected = np.array([[(A * B).sum() for B in (np.diag(p.delta), p.K)] for A in forms])
        of = level[p.cells]
        count = np.bincount(of, minlength=n_levels)
        steps = p.increments.shape[1]
        sums = [np.bincount(of, p.increments[:, j], n_levels) for j in range(steps)]
        mean = np.stack(sums, axis=1) / np.maximum(count, 1)[:, None]
        r = p.increments - mean[of]
        enough = count[of] >= MIN_CELLS
        gain = np.where(enough, count[of] / np.maximum(count[of] - 1, 1), 0.0)
        for i, A in enumerate(forms):
            q[i, p.cells] = gain * ((r @ A) * r).sum(1)
        M[:, :, p.cells] = expected[:, :, None] * enough
    Q = np.stack([np.bincount(level, q[i], n_levels) for i in range(2)])
    T = np.array([[np.bincount(level, M[i, j], n_levels) for j in range(2)] for i in range(2)])
    det = T[0, 0] * T[1, 1] - T[0, 1] * T[1, 0]
    scale = T[0, 0] * T[1, 1]
    both = (scale > 0) & (det > 1e-9 * scale)
    safe = np.where(both, det, 1.0)
    first = np.where(T[0, 0] > 0, T[0, 0], 1.0)
    growth2 = (T[1, 1] * Q[0] - T[0, 1] * Q[1]) / safe
    read2 = (T[0, 0] * Q[1] - T[1, 0] * Q[0]) / safe
    growth_only = ~both | (read2 < 0)
    growth2 = np.where(growth_only, Q[0] / first, growth2)
    read2 = np.where(growth_only, 0.0, read2)
    growth2 = np.where(T[0, 0] > 0, np.maximum(growth2, 0.0), np.nan)
    residual = q - np.stack([M[i, 0] * growth2[level] + M[i, 1] * read2[level] for i in range(2)])
    t = T[:, :, level]
    influence = np.stack(
        [
            np.where(
                growth_only[level],
                residual[0] / first[level],
                t[1, 1] * residual[0] - t[0, 1] * residual[1],
            ),
            np.where(growth_only[level], 0.0, t[0, 0] * residual[1] - t[1, 0] * residual[0]),
        ]
    )
    influence /= np.where(growth_only, 1.0, safe)[level]
    return growth2, read2, both, np.nan_to_num(influence)
