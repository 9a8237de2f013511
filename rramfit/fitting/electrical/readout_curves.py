"""Transfer curves of single read-out channels.

    code = offset + gain·x + third·x³ + rest,   x = I/full scale

by least squares over the unclipped codes. Gain and offset are those at zero current, which a
conversion of currents to codes needs. The nonlinearity is the largest distance from the best-fit
line (the independently based line of IEEE Std 1241), or from the line through both ends. The
largest distance of raw codes would be biased by noise, so a smooth curve is used: a polynomial of
a degree common to all channels, selected by BIC from the cubic upwards: a lower degree than that of
the amplifier makes the nonlinearity too small. If the codes deviate from that curve by more than
the noise between repeats explains, the raw means are used instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["TransferCurves", "best_line", "rails", "repeat_noise", "transfer_curves"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

_LOWEST_DEGREE = 3
HIGHEST_DEGREE = 9
EXPLAINED = 1.5  # ratio of residual variance to noise up to which the smooth curve is used


def rails(bits: int, code: Floats) -> tuple[float, float]:
    """Return the lowest and highest code; two's complement if there are negative codes."""
    if np.nanmin(code, initial=0.0) < 0:
        return -(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1
    return 0.0, 2.0**bits - 1


def best_line(x: Floats, y: Floats) -> tuple[float, float]:
    """Return intercept and slope of the least-squares line."""
    (intercept, slope), _ = _least_squares(x, y, (0, 1))
    return float(intercept), float(slope)


def _least_squares(x: Floats, y: Floats, powers: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Return the coefficients of powers of x, and their covariance per unit of variance."""
    inverse = np.linalg.pinv(x[:, None] ** np.array(powers))
    return inverse @ y, inverse @ inverse.T


def repeat_noise(code: Floats, usable: Bools) -> tuple[Floats, Floats]:
    """Compute the variance between repeats of each channel [LSB²] and its degrees of freedom."""
    n = np.isfinite(code).sum(axis=0)
    mean = np.nansum(code, axis=0) / np.maximum(n, 1)
    ss = np.nansum((code - mean) ** 2, axis=0)
    df = np.where(usable, np.maximum(n - 1, 0), 0).sum(axis=0).astype(float)
    return np.where(usable, ss, 0.0).sum(axis=0) / np.maximum(df, 1), df


@dataclass(frozen=True, slots=True)
class TransferCurves:
    """Transfer of every working channel; x is the input over full scale."""

    gain: Floats  # [LSB per full scale]
    offset: Floats  # [LSB]
    inl: Floats  # [LSB]
    inl_endpoint: Floats  # [LSB]
    third_order: Floats  # [LSB]
    error: Floats  # (5, channel) standard errors of the above from the noise of the means
    distance: Floats  # (point, channel) [LSB]
    residual_variance: Floats  # of a code about the smooth curve [LSB²]
    smooth: bool
    steps_back: Integers  # points at which the mean code falls, by more than noise


def transfer_curves(
    x: Floats, mean: Floats, usable: Bools, repeats: Integers, variance: Floats, df: Floats
) -> TransferCurves:
    """Fit lines, cubic part and smooth curve of every channel.

    Parameters
    ----------
    x : (point,) array
        Input over full scale.
    mean : (point, channel) array
        Mean code [LSB].
    usable : (point, channel) bool array
    repeats : (point, channel) array of int
    variance, df : (channel,) array
        Variance between repeats [LSB²], and its degrees of freedom.
    """
    points, n = mean.shape
    degree = _shared_degree(x, mean, usable)
    smooth, residual_ss, residual_df = _smoothed(x, mean, usable, degree)
    residual_variance = residual_ss / np.maximum(residual_df, 1)
    per_mean = _mean_variance(variance, df, repeats, usable, residual_variance)
    ratio = float(residual_ss.sum() / max((residual_df * per_mean).sum(), 1e-300))
    explained = not (df > 0).any() or ratio < EXPLAINED + 6 / math.sqrt(max(residual_df.sum(), 1))
    out = {name: np.full(n, np.nan) for name in ("gain", "offset", "inl", "end", "third")}
    error = np.full((5, n), np.nan)
    distance = np.full((points, n), np.nan)
    steps_back = np.zeros(n, dtype=np.int64)
    for c in range(n):
        use = usable[:, c]
        xc, yc = x[use], mean[use, c]
        cubic, cubic_cov = _least_squares(xc, yc, (0, 1, 3))
        intercept, slope = best_line(xc, yc)
        distance[use, c] = yc - intercept - slope * xc
        curve = (smooth[use, c] if explained else yc) - intercept - slope * xc
        first, last = int(np.argmin(xc)), int(np.argmax(xc))
        ends = curve[first] + (curve[last] - curve[first]) * (xc - xc[first]) / np.ptp(xc)
        out["offset"][c], out["gain"][c], out["third"][c] = cubic
        out["inl"][c] = np.abs(curve).max()
        out["end"][c] = np.abs(curve - ends).max()
        s = math.sqrt(per_mean[c])
        at_peak = s * (math.sqrt((degree + 1) / len(xc)) if explained else 1.0)
        error[:, c] = (
            s * math.sqrt(cubic_cov[1, 1]),
            s * math.sqrt(cubic_cov[0, 0]),
            at_peak,
            at_peak,
            s * math.sqrt(cubic_cov[2, 2]),
        )
        rising = np.diff(yc[np.argsort(xc)]) * math.copysign(1, slope)
        steps_back[c] = int((rising < -6 * s * math.sqrt(2) - 1).sum())
    return TransferCurves(
        out["gain"], out["offset"], out["inl"], out["end"], out["third"], error, distance,
        residual_variance, explained, steps_back,
    )  # fmt: skip


def _mean_variance(
    variance: Floats, df: Floats, repeats: Integers, usable: Bools, residual: Floats
) -> Floats:
    """Return the variance of a mean code [LSB²]: noise between repeats plus shared rounding."""
    r = np.where(usable, repeats, 0).sum(axis=0) / np.maximum(usable.sum(axis=0), 1)
    # Rounding adds 1/12 without noise; with noise it is part of the variance between repeats.
    rounding = np.exp(-4 * math.pi**2 * variance) / 12
    return np.where(df > 0, variance / np.maximum(r, 1) + rounding, residual)


def _shared_degree(x: Floats, mean: Floats, usable: Bools) -> int:
    """Select the degree of the smooth curve, common to all channels, by BIC."""
    fewest = int(min(np.unique(x[u]).size for u in usable.T))
    n = int(usable.sum())
    highest = min(HIGHEST_DEGREE, max(fewest // 3, 1))
    best, best_bic = 1, math.inf
    for degree in range(min(_LOWEST_DEGREE, highest), highest + 1):
        _, residual_ss, _ = _smoothed(x, mean, usable, degree)
        bic = n * math.log(max(float(residual_ss.sum()), 1e-30) / n)
        bic += math.log(n) * (degree + 1) * mean.shape[1]
        if bic < best_bic:
            best, best_bic = degree, bic
    return best


def _smoothed(x: Floats, mean: Floats, usable: Bools, degree: int) -> tuple[Floats, Floats, Floats]:
    """Return curves (point, channel), their residual sums of squares and degrees of freedom."""
    span = max(float(np.ptp(x)), 1e-300)
    t = 2 * (x - x.min()) / span - 1
    A = np.polynomial.legendre.legvander(t, degree)
    curve = np.full(mean.shape, np.nan)
    patterns, index = np.unique(usable, axis=1, return_inverse=True)
    for i in range(patterns.shape[1]):
        use, of = patterns[:, i], np.flatnonzero(index.reshape(-1) == i)
        fitted = A[use] @ (np.linalg.pinv(A[use]) @ mean[np.ix_(use, of)])
        curve[np.ix_(use, of)] = fitted
    residual_ss = np.nansum(np.where(usable, mean - curve, 0.0) ** 2, axis=0)
    return curve, residual_ss, np.maximum(usable.sum(axis=0) - degree - 1.0, 0.0)
