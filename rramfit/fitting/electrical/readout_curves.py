"""Transfer curves of single read-out channels.

    code = offset + gain·x + third·x³ + rest,   x = I/full scale

by least squares over the unclipped codes. Gain and offset are those at zero current, which a
conversion of currents to codes needs. The nonlinearity is that of a smooth curve: a polynomial of a
degree common to all channels, selected by BIC from the cubic upwards, both of single channels and
of their mean: a lower degree than that of the amplifier makes the nonlinearity too small. If the
codes deviate from that curve by more than the noise between repeats explains, or there are too few
points for a cubic, it is that of the mean codes. Largest distances from a line are in
`rramfit.fitting.electrical.readout_nonlinearity`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.electrical.readout_nonlinearity import (
    LargestDistance,
    largest_distance,
    raw_curves,
    smooth_curves,
)
from rramfit.fitting.statistics.shrunken_variance import shrunken_variance

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
    third_order: Floats  # [LSB]
    error: Floats  # (3, channel) standard errors of the above from the noise of the means
    inl: LargestDistance
    inl_endpoint: LargestDistance
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
    residual_ss, residual_df = _about_smooth(x, mean, usable, degree)
    residual_variance = residual_ss / np.maximum(residual_df, 1)
    per_mean = _mean_variance(variance, df, repeats, usable, residual_variance)
    ratio = float(residual_ss.sum() / max((residual_df * per_mean).sum(), 1e-300))
    few = degree < _LOWEST_DEGREE  # points: a curve of lower degree would hide the nonlinearity
    explained = (
        few or not (df > 0).any() or ratio < EXPLAINED + 6 / math.sqrt(max(residual_df.sum(), 1))
    )
    if explained and not few:
        basis = _polynomials(x, degree)[:, 2:]  # without constant and line
        curves = smooth_curves(x, mean, usable, per_mean, basis)
    else:
        curves = raw_curves(x, mean, usable, per_mean)
    gain, offset, third = np.full((3, n), np.nan)
    error = np.full((3, n), np.nan)
    distance = np.full((points, n), np.nan)
    steps_back = np.zeros(n, dtype=np.int64)
    for c in range(n):
        use = usable[:, c]
        xc, yc = x[use], mean[use, c]
        cubic, cubic_cov = _least_squares(xc, yc, (0, 1, 3))
        intercept, slope = best_line(xc, yc)
        distance[use, c] = yc - intercept - slope * xc
        offset[c], gain[c], third[c] = cubic
        s = math.sqrt(per_mean[c])
        error[:, c] = s * np.sqrt(np.diagonal(cubic_cov))[[1, 0, 2]]
        rising = np.diff(yc[np.argsort(xc)]) * math.copysign(1, slope)
        steps_back[c] = int((rising < -6 * s * math.sqrt(2) - 1).sum())
    return TransferCurves(
        gain, offset, third, error, largest_distance(curves, through_ends=False),
        largest_distance(curves, through_ends=True), distance, residual_variance, explained,
        steps_back,
    )  # fmt: skip


def _mean_variance(
    variance: Floats, df: Floats, repeats: Integers, usable: Bools, residual: Floats
) -> Floats:
    """Return the variance of a mean code [LSB²]: noise between repeats plus shared rounding."""
    r = np.where(usable, repeats, 0).sum(axis=0) / np.maximum(usable.sum(axis=0), 1)
    between = shrunken_variance(variance, df, df > 0)
    return np.where(df > 0, between / np.maximum(r, 1) + _shared_rounding(between), residual)


def _shared_rounding(variance: Floats) -> Floats:
    """Return the variance of the rounding error that repeats share [LSB²].

    Noise of variance σ² before rounding leaves Σ_k exp(−4π²k²σ²)/(2π²k²) of the rounding error's
    1/12 to the mean (Widrow and Kollár, Quantization Noise, 2008, chapter 4); the rest is part of
    the variance between repeats.
    """
    k = np.arange(1, 200)[:, None]
    before = np.linspace(0.0, 1.0, 500)
    shared = np.sum(np.exp(-4 * np.pi**2 * k**2 * before) / (2 * np.pi**2 * k**2), axis=0)
    return np.asarray(np.interp(variance, before + 1 / 12 - shared, shared), dtype=np.float64)


def _shared_degree(x: Floats, mean: Floats, usable: Bools) -> int:
    """Select the degree of the smooth curve, common to all channels."""
    fewest = int(min(np.unique(x[u]).size for u in usable.T))
    highest = min(HIGHEST_DEGREE, max(fewest // 3, min(fewest - 2, _LOWEST_DEGREE)))
    degree = _best_degree(x, mean, usable, highest)
    common = np.asarray(usable.all(axis=1), dtype=np.bool_)
    if np.unique(x[common]).size < _LOWEST_DEGREE * highest:
        return degree
    # A bow that all channels have shows in their mean before it does in one of them.
    together = mean.mean(axis=1, keepdims=True)
    return max(degree, _best_degree(x, together, common[:, None], highest))


def _best_degree(x: Floats, mean: Floats, usable: Bools, highest: int) -> int:
    """Return the degree with the best BIC."""
    n = int(usable.sum())
    best, best_bic = 1, math.inf
    for degree in range(min(_LOWEST_DEGREE, highest), highest + 1):
        residual_ss, _ = _about_smooth(x, mean, usable, degree)
        bic = n * math.log(max(float(residual_ss.sum()), 1e-30) / n)
        bic += math.log(n) * (degree + 1) * mean.shape[1]
        if bic < best_bic:
            best, best_bic = degree, bic
    return best


def _polynomials(x: Floats, degree: int) -> Floats:
    """Return Legendre polynomials over the range of x, (point, degree + 1)."""
    t = 2 * (x - x.min()) / max(float(np.ptp(x)), 1e-300) - 1
    return np.asarray(np.polynomial.legendre.legvander(t, degree), dtype=np.float64)


def _about_smooth(x: Floats, mean: Floats, usable: Bools, degree: int) -> tuple[Floats, Floats]:
    """Return squared residuals about the curve of each channel, and their degrees of freedom."""
    A = _polynomials(x, degree)
    residual_ss = np.zeros(mean.shape[1])
    patterns, index = np.unique(usable, axis=1, return_inverse=True)
    for i, use in enumerate(patterns.T):
        of = np.flatnonzero(index.reshape(-1) == i)
        y = mean[np.ix_(use, of)]
        residual_ss[of] = np.sum((y - A[use] @ (np.linalg.pinv(A[use]) @ y)) ** 2, axis=0)
    return residual_ss, np.maximum(usable.sum(axis=0) - degree - 1.0, 0.0)
