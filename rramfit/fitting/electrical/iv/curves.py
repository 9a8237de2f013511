"""I-V curves of single cells: conductance and curvature of every cell, and the common offset.

    I(V) = offset + G0·V·f(qV²),   f(u) = sinh(√u)/√u for u > 0,  sin(√−u)/√−u for u < 0

The fit uses q = b² instead of b: f is analytic from q > 0 through q = 0, where a cell is a
resistor, to q < 0, where the curve is sublinear. Nothing is divided by b, and an estimate of q is
nearly normal where that of b is not. All cells are fitted at once by Gauss-Newton.

The common offset is taken from the points at 0 V if the sweep has any, because there it does not
depend on the I-V law. Otherwise it is fitted together with the curves, through the projection of
each cell. Both ways it is a Huber mean over cells, so that a few outliers do not shift it. The
population of q is in `rramfit.fitting.electrical.iv.population`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.statistics.shrunken_variance import shrunken_variance

__all__ = ["CellCurves", "current_shape", "fit_curves"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_HUBER = 2.0  # scores are clipped here [standard errors]: 95 % of a normal is unaffected


def current_shape(u: Floats) -> tuple[Floats, Floats]:
    """Return f(u) = sinh(√u)/√u and its derivative, continued through u = 0 to u < 0.

    Examples
    --------
    >>> f, slope = current_shape(np.array([0.0, 1.0]))
    >>> np.round(f, 6), np.round(slope, 6)
    (array([1.      , 1.175201]), array([0.166667, 0.18394 ]))
    """
    near = np.abs(u) < 0.5
    s = np.where(near, 0.0, u)
    root = np.sqrt(np.abs(np.where(near, 1.0, s)))
    grows = s > 0
    sine = np.where(grows, np.sinh(root), np.sin(root))
    cosine = np.where(grows, np.cosh(root), np.cos(root))
    f = sine / root
    slope = (cosine - f) / (2 * np.where(near, 1.0, s))
    # Taylor: f = Σ uⁿ/(2n+1)!; eight terms are exact to float64 for |u| < 0.5.
    series, series_slope = np.zeros_like(u), np.zeros_like(u)
    for n in range(8, -1, -1):
        series = series * u + 1 / math.factorial(2 * n + 1)
        if n > 0:
            series_slope = series_slope * u + n / math.factorial(2 * n + 1)
    return np.where(near, series, f), np.where(near, series_slope, slope)


@dataclass(frozen=True, slots=True)
class CellCurves:
    """Curves of all cells, and the common offset of the instrument."""

    offset: float  # [A]
    conductance: Floats  # [S]
    conductance_stderr: Floats  # [S]
    curvature: Floats  # [1/V²]
    curvature_stderr: Floats  # [1/V²]
    log_tilt: Floats  # d ln G0 / dq along the ridge of the cell's likelihood [V²]
    offset_tilt: Floats  # dq / d offset [1/(V²·A)]
    residual: Floats  # of a point about the curve of the cell and a constant [A]
    deviation: Floats  # (cell, point) [A]
    offset_score: Floats  # (cell,) influence on the common offset [A]
    enough: Bools  # (cell,) at least 4 finite currents


def fit_curves(voltage: Floats, current: Floats) -> CellCurves:
    """Fit G0 and q of every cell and the common offset by Gauss-Newton, all at once."""
    seen = np.isfinite(current) & np.isfinite(voltage)
    w = seen.astype(float)
    n = w.sum(axis=1)
    enough = n >= 4
    v = np.where(np.isfinite(voltage), voltage, 0.0)
    y = np.where(seen, current, 0.0)
    top = float(np.abs(v).max())
    q, offset = np.zeros(len(y)), 0.0
    at_zero = _offset_at_zero(v, np.where(seen, current, np.nan))
    if at_zero is not None:
        offset, score = at_zero
    bound = np.array([-2.0, 60.0]) / top**2  # sinh(√60)/√60 = 150, beyond any cell
    for step in range(40):
        f, slope = current_shape(q[:, None] * v**2)
        a = w * v * f
        g = _ratio((a * (y - offset)).sum(1), (a * a).sum(1))
        b = g[:, None] * w * v**3 * slope
        r = w * (y - offset) - g[:, None] * a
        aa, ab, bb = (a * a).sum(1), (a * b).sum(1), (b * b).sum(1)
        det = aa * bb - ab**2
        det = np.where(det > 1e-12 * aa * bb, det, np.inf)
        one_a, one_b = a.sum(1), b.sum(1)
        # 1'M1 and 1'Mr, where the projection M removes the (G0, q) of the cell.
        free = n - (bb * one_a**2 - 2 * ab * one_a * one_b + aa * one_b**2) / det
        ra, rb = (a * r).sum(1), (b * r).sum(1)
        common = r.sum(1) - (one_a * (bb * ra - ab * rb) + one_b * (aa * rb - ab * ra)) / det
        residual = np.sqrt((r**2).sum(1) / np.maximum(n - 2, 1))
        shift = 0.0
        if at_zero is None:
            stderr = _ratio(residual, np.sqrt(free))
            shift, score = _huber_mean(_ratio(common, free), stderr, enough)
        rb_shifted, ra_shifted = rb - shift * one_b, ra - shift * one_a
        move = (aa * rb_shifted - ab * ra_shifted) / det
        limit = 1.0 / top**2 + 0.5 * np.abs(q)
        new = np.clip(q + np.clip(move, -limit, limit), *bound)
        moved = float(np.max(np.abs(new - q)[enough], initial=0.0)) * top**2
        q, offset = new, offset + shift
        if step > 2 and moved < 1e-9 and abs(shift) <= 1e-9 * max(abs(offset), 1e-15):
            break
    # About a constant of each cell: an error of the offset, common to all, is not noise.
    rest = (r**2).sum(1) - _ratio(common**2, np.where(free > 1e-9 * n, free, 0.0))
    power = np.maximum(rest, 0.0) / np.maximum(n - 3, 1)
    noise, residual = np.sqrt(power), np.sqrt(shrunken_variance(power, n - 3, enough))
    inside = (q > bound[0]) & (q < bound[1]) & np.isfinite(det)
    with np.errstate(invalid="ignore", divide="ignore"):
        q_stderr = np.where(inside, residual * np.sqrt(aa / det), np.inf)
        g_stderr = residual * np.sqrt(bb / det)
        g_stderr = np.where(np.isfinite(det), g_stderr, residual / np.sqrt(aa))
        tilt = np.where(inside & (g > 0), -ab / aa / g, 0.0)
        offset_tilt = np.where(inside, -(aa * one_b - ab * one_a) / det, 0.0)
    deviation = np.where(seen, r, np.nan)
    return CellCurves(
        offset, g, g_stderr, q, q_stderr, tilt, offset_tilt, noise, deviation, score, enough
    )


def _offset_at_zero(voltage: Floats, current: Floats) -> tuple[float, Floats] | None:
    """Return the mean current at 0 V and each cell's influence on it; None without such points."""
    here = current[:, np.abs(voltage) <= 1e-6 * np.abs(voltage).max()]
    count = np.isfinite(here).sum(axis=1)
    if (count > 0).sum() < 3:
        return None
    mean = np.nansum(here, axis=1) / np.maximum(count, 1)
    spread = 1.4826 * float(np.median(np.abs(mean - np.median(mean[count > 0]))[count > 0]))
    return _huber_mean(mean, np.full(mean.shape, max(spread, 1e-30)), count > 0)


def _ratio(a: Floats, b: Floats) -> Floats:
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)


def _huber_mean(x: Floats, stderr: Floats, use: Bools) -> tuple[float, Floats]:
    """Return the weighted Huber location of `x` and the influence of each element on it."""
    use = use & (stderr > 0)
    out = np.zeros_like(x)
    if not use.any():
        return 0.0, out
    s = np.array(stderr[use])
    # Where the model is not exact, cells differ in offset by more than their errors.
    centre = float(np.median(x[use]))
    extra = (1.4826 * float(np.median(np.abs(x[use] - centre)))) ** 2 - float(np.median(s**2))
    s = np.sqrt(s**2 + max(extra, 0.0))
    for _ in range(30):
        z = (x[use] - centre) / s
        weight = np.minimum(1.0, _HUBER / np.maximum(np.abs(z), 1e-300)) / s**2
        new = float((weight * x[use]).sum() / weight.sum())
        done = abs(new - centre) < 1e-12 * float(np.median(s))
        centre = new
        if done:
            break
    z = (x[use] - centre) / s
    slope = ((np.abs(z) < _HUBER) / s**2).sum()
    out[use] = np.clip(z, -_HUBER, _HUBER) / s / slope
    return centre, out
