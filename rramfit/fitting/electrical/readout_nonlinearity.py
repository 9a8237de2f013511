"""Integral nonlinearity of a read-out chain: the mean over channels of a largest distance.

The INL of one channel is the largest distance of its curve from a line, over the inputs at which it
does not clip (IEEE Std 1241, independently based or terminal based):

    INL_c = max_x |A_c·b_c|(x),

with b_c the coefficients of the curve and A_c the basis less its line. The largest distance of a
noisy curve is too large. What remains of noise is removed in two steps.

1. Channels. Curves scatter about the mean curve β by noise, which is known, and by channels. Along
   the principal axes of the scatter, in units of the noise, the channels have the variance h where
   it exceeds that of noise by more than chance, and none otherwise. Curves contracted by
   √(h/(h + noise)) scatter by the channels alone. The mean INL of these curves, M, is the estimate
   but for the error of β. Channels that do not differ share the mean curve.
2. The mean curve. An error e of β moves M by the mean over channels of max_{x in V_c} ±A_c·e, with
   V_c the places where the distance could be the largest, within 2 standard errors of a difference.
   With one such place this is linear, and M ± t·s is the interval. With several, M is too large:
   the estimate is M less the median of that move, and the interval starts at M less its 97.5 %
   quantile and ends at M + t·s, as in inference on a maximum (Chernozhukov, Lee and Rosen,
   Econometrica 81 (2013) 667). It starts at 0 where the curve could be a line.

s is from the scatter over channels of their own distances at the places of the contracted curves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.quantity import Quantity
from rramfit.streams import stream

__all__ = ["ChannelCurves", "LargestDistance", "largest_distance", "raw_curves", "smooth_curves"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

_FEWEST = 3  # channels whose scatter is used
_DRAWS = 1000  # of the error of the mean curve, and as many with the other sign
_NULL_DRAWS = 200
_CHANCE = 0.99  # quantile of noise above which channels differ
_NEAR = 2.0  # standard errors of the difference of two distances of which either could be larger
_SMALLEST = 1e-12  # variance of a mean code [LSB²]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelCurves:
    """Curves of all channels in a common basis, as measured and without their noise.

    Attributes
    ----------
    x : (point,) array
        Input over full scale.
    usable : (point, channel) bool array
    basis : (point, p) array, optional
        None where a coefficient is the value at a point.
    measured, contracted : (p, channel) arrays
        Coefficients with noise, and with the scatter of the channels alone.
    errors : (p, draw) array
        Errors of the mean curve, in pairs of opposite sign.
    """

    x: Floats
    usable: Bools
    basis: Floats | None
    measured: Floats
    contracted: Floats
    errors: Floats

    def patterns(self) -> Iterator[tuple[Bools, Integers]]:
        """Yield points that are usable together, and the channels that have just these."""
        patterns, index = np.unique(self.usable, axis=1, return_inverse=True)
        for i, use in enumerate(patterns.T):
            yield use, np.flatnonzero(index.reshape(-1) == i)

    def at(self, use: Bools, coefficients: Floats) -> Floats:
        """Return the values of curves, (used point, ...)."""
        return coefficients[use] if self.basis is None else self.basis[use] @ coefficients


@dataclass(frozen=True, slots=True, kw_only=True)
class LargestDistance:
    """The mean largest distance from a line, with what its interval needs [LSB].

    Attributes
    ----------
    of_curves : float
        M, of the contracted curves.
    channel : (channel,) array
        Largest distance of each contracted curve, scaled to the mean `value`.
    influence : (channel,) array
        Of each channel on M; sums to zero.
    stderr : float
        s from the errors of the mean curve alone, for channels too few to show their scatter.
    too_large, reach : float
        Median and 97.5 % quantile of the move of M by the error of the mean curve.
    """

    of_curves: float
    channel: Floats
    influence: Floats
    stderr: float
    too_large: float
    reach: float

    @property
    def value(self) -> float:
        """Return the estimate: M less the median of what an error of the mean curve adds."""
        return max(self.of_curves - self.too_large, 0.0)

    def quantity(self, stderr: float, df: float) -> Quantity:
        """Return the estimate with its interval."""
        normal = float(special.ndtri(0.975))
        t = normal if math.isinf(df) else float(special.stdtrit(df, 0.975))
        value = self.value
        low = max(self.of_curves - t / normal * self.reach, 0.0)
        high = max(self.of_curves + t * stderr, value)
        return Quantity.within(value, stderr, "LSB", (min(low, value), high))


def smooth_curves(
    x: Floats, mean: Floats, usable: Bools, noise: Floats, basis: Floats
) -> ChannelCurves:
    """Return the curves in a basis that constants and lines have been left out of.

    Parameters
    ----------
    x : (point,) array
        Input over full scale.
    mean : (point, channel) array
        Mean code [LSB].
    usable : (point, channel) bool array
    noise : (channel,) array
        Variance of a mean code [LSB²].
    basis : (point, p) array
    """
    p, n = basis.shape[1], mean.shape[1]
    measured, information = np.zeros((p, n)), np.zeros((n, p, p))
    for c in range(n):
        use = usable[:, c]
        about = _distances(basis[use], x[use], through_ends=False)
        measured[:, c] = np.linalg.pinv(about) @ mean[use, c]
        information[c] = about.T @ about / max(noise[c], _SMALLEST)
    total = np.linalg.pinv(information.sum(axis=0))
    of_mean = np.einsum("ij,cjk,kc->ic", total, information, measured)
    middle = of_mean.sum(axis=1)
    deviation = measured - middle[:, None]
    random = stream(0, "readout/nonlinearity")
    if n < _FEWEST:
        contracted = np.repeat(middle[:, None], n, axis=1) if n > 1 else measured
        half = _root(total) @ random.standard_normal((p, _DRAWS))
    else:
        contracted = middle[:, None] + _contract(deviation, information, random)
        moves = np.einsum("ij,cjk,kc->ic", total, information, deviation)
        half = _multiplied(moves, random)
    return ChannelCurves(
        x=x,
        usable=usable,
        basis=basis,
        measured=measured,
        contracted=contracted,
        errors=np.hstack([half, -half]),
    )


def raw_curves(x: Floats, mean: Floats, usable: Bools, noise: Floats) -> ChannelCurves:
    """Return the mean codes themselves as curves, less each channel's line.

    The scatter of the channels has the same ratio to the noise at all points. Parameters are those
    of `smooth_curves`.
    """
    points, n = mean.shape
    measured = np.zeros((points, n))
    for c in range(n):
        use = usable[:, c]
        measured[use, c] = _distances(mean[use, c][:, None], x[use], through_ends=False)[:, 0]
    count = np.maximum(usable.sum(axis=1), 1)[:, None]
    middle = measured.sum(axis=1, keepdims=True) / count
    deviation = np.where(usable, measured - middle, 0.0)
    random = stream(0, "readout/nonlinearity")
    if n < _FEWEST:
        contracted = measured
        scale = math.sqrt(max(float(noise.mean()), _SMALLEST))
        half = scale / np.sqrt(count) * random.standard_normal((points, _DRAWS))
    else:
        square = np.where(usable, deviation**2 / np.maximum(noise, _SMALLEST), 0.0)
        between = float(square.sum()) / max(int(usable.sum()) * (n - 1) / n, 1) - 1
        chance = special.ndtri(_CHANCE) * math.sqrt(2 / max(int(usable.sum()), 1))
        kept = math.sqrt(between / (between + 1)) if between > chance else 0.0
        contracted = middle + kept * deviation
        half = _multiplied(deviation / count, random)
    return ChannelCurves(
        x=x,
        usable=usable,
        basis=None,
        measured=measured,
        contracted=contracted,
        errors=np.hstack([half, -half]),
    )


def largest_distance(curves: ChannelCurves, *, through_ends: bool) -> LargestDistance:
    """Return the mean over channels of the largest distance from a line.

    Parameters
    ----------
    curves : ChannelCurves
    through_ends : bool
        Whether the line goes through both ends, or is the least-squares line.
    """
    n = curves.measured.shape[1]
    channel, own = np.zeros((2, n))
    move, linear = np.zeros((2, curves.errors.shape[1]))
    for use, of in curves.patterns():
        x = curves.x[use]
        found, measured, errors = (
            _both_signs(_distances(curves.at(use, a), x, through_ends=through_ends))
            for a in (curves.contracted[:, of], curves.measured[:, of], curves.errors)
        )
        spread = errors.std(axis=1)
        for j, c in enumerate(of):
            at = int(np.argmax(found[:, j]))
            below = found[at, j] - found[:, j]
            near = np.flatnonzero(below <= _NEAR * (spread + spread[at]))
            near = near[below[near] <= _NEAR * (errors[near] - errors[at]).std(axis=1)]
            move += errors[near].max(axis=0) / n
            linear += errors[at] / n
            channel[c], own[c] = found[at, j], measured[at, j]
    influence = (own - own.mean()) / n
    by_mean = float(linear.var())
    if n >= _FEWEST:  # channels with other ranges have another INL on the same curve
        other = max(float(influence @ influence) * n / (n - 1) - by_mean, 0.0)
        normal = stream(0, "readout/nonlinearity/ranges").standard_normal(_DRAWS)
        move = move + math.sqrt(other) * np.concatenate([normal, -normal])
    of_curves, too_large = float(channel.mean()), max(float(np.median(move)), 0.0)
    return LargestDistance(
        of_curves=of_curves,
        channel=channel * max(1 - too_large / max(of_curves, 1e-300), 0.0),
        influence=influence,
        stderr=math.sqrt(by_mean),
        too_large=too_large,
        reach=float(np.quantile(move, 0.975)),
    )


def _distances(curves: Floats, x: Floats, *, through_ends: bool) -> Floats:
    """Return curves, (point, ...), less the line through both ends or the least-squares line."""
    if through_ends:
        first, last = int(np.argmin(x)), int(np.argmax(x))
        rise = np.multiply.outer((x - x[first]) / np.ptp(x), curves[last] - curves[first])
        return np.asarray(curves - curves[first] - rise, dtype=np.float64)
    line, _ = np.linalg.qr(np.stack([np.ones_like(x), x], axis=1))
    return np.asarray(curves - line @ (line.T @ curves), dtype=np.float64)


def _both_signs(a: Floats) -> Floats:
    return np.vstack([a, -a])


def _multiplied(moves: Floats, random: np.random.Generator) -> Floats:
    """Return draws of the sum of independent moves of mean zero, (p, draw)."""
    n = moves.shape[1]
    draws = moves @ random.standard_normal((n, _DRAWS)) * math.sqrt(n / (n - 1))
    return np.asarray(draws, dtype=np.float64)


def _contract(deviation: Floats, information: Floats, random: np.random.Generator) -> Floats:
    """Return deviations from the mean curve, (p, channel), that scatter by the channels alone."""
    p, n = deviation.shape
    unit = _root(np.linalg.pinv(information.mean(axis=0)))  # of the noise of a usual channel
    inverse = np.linalg.pinv(unit)
    noise = inverse @ np.linalg.pinv(information, hermitian=True) @ inverse.T
    weight = 1 / np.maximum(np.trace(noise, axis1=1, axis2=2) / p, 1e-9) ** 2
    weight = weight / weight.sum()
    expected = np.einsum("c,cij->ij", weight, noise)

    def excess(z: Floats) -> Floats:  # z is (..., p, channel)
        scatter = (z * weight) @ np.swapaxes(z, -1, -2) * n / (n - 1)
        return np.asarray(scatter - expected, dtype=np.float64)

    null = np.einsum("cij,djc->dic", _root(noise), random.standard_normal((_NULL_DRAWS, p, n)))
    null -= (null @ weight)[..., None]
    chance = float(np.quantile(np.linalg.eigvalsh(excess(null))[:, -1], _CHANCE))
    z = inverse @ deviation
    between, axes = np.linalg.eigh(excess(z))
    between = np.where(between > chance, between, 0.0)
    of_noise = np.einsum("ji,cjk,ki->ic", axes, noise, axes)
    kept = np.sqrt(between[:, None] / (between[:, None] + np.maximum(of_noise, 1e-12)))
    return np.asarray(unit @ axes @ (kept * (axes.T @ z)), dtype=np.float64)


def _root(matrix: Floats) -> Floats:
    """Return a square root R of positive semidefinite matrices, R·Rᵀ = matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :], dtype=np.float64)
