"""The latent normal scale: the shares of cells, field and cycles in a level's distribution.

A healthy cell c programmed to level k in cycle t has the conductance

    S = mean_k + shrink_k·(Q_k(Φ(z)) − mean_k) + trend_k(row, col)
    z = a_k·D_ck + √(1 − a_k²)·E_ckt

with D and E standard normal and Q_k the quantile function of the level's family. In normalised
Hermite polynomials Q_k(Φ(z)) = Σ c_n·h_n(z), and by Mehler's formula two latent values of
correlation x give conductances of covariance

    P(x) = Σ_{n≥1} c_n²·x^n                                          (one level)
    P_kl(x) = Σ_{n≥1} c_n^k·c_n^l·x^n                                (two levels)

All variances follow exactly, for every family: between cells P(a²), between cycles P(1) − P(a²), of
the smooth field P(a²·s) with s the field's share of D. The field's covariance at distance h is
P(a²·s·ρ(h)). Each is monotone in x and is inverted by bisection. Cells are drawn in
`rramfit.array.devices.chips`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["conditional_means", "cross_covariance", "explained", "solve_rising", "spectra"]

Floats = NDArray[np.float64]

ORDER = 160
"""Highest Hermite order. Variance beyond it (steps of a mixture) counts as order 161."""

TAIL = 9.0
"""Half-width of the quadrature; the weight of h_n there is below exp(−81/4) = 2e-9."""


def _hermite(z: Floats, order: int) -> Floats:
    """Return the normalised Hermite polynomials h_0 … h_order at `z`, (order + 1, z)."""
    h = np.empty((order + 1, z.size))
    h[0], h[1] = 1.0, z
    for n in range(1, order):
        h[n + 1] = (z * h[n] - np.sqrt(n) * h[n - 1]) / np.sqrt(n + 1)
    return h


def spectra(knots: Floats, tables: Floats) -> tuple[Floats, Floats]:
    """Compute the Hermite coefficients of distributions given as tables over the latent scale.

    Parameters
    ----------
    knots : (knot,) array
        Evenly spaced latent values.
    tables : (level, knot) array
        Q(Φ(z)) [S], linear between knots and beyond the last ones.

    Returns
    -------
    coefficients : (level, ORDER + 1) array
        c_n [S]; c_0 is the mean.
    power : (level, ORDER + 2) array
        c_n² [S²] with 0 in place of c_0²; the last term is the remaining variance.
    """
    step = float(knots[1] - knots[0])
    extra = np.arange(1, int(np.ceil((TAIL - knots[-1]) / step)) + 1) * step
    z = np.concatenate((knots[0] - extra[::-1], knots, knots[-1] + extra))
    low = tables[:, :1] - (tables[:, 1:2] - tables[:, :1]) * (extra[::-1] / step)
    high = tables[:, -1:] + (tables[:, -1:] - tables[:, -2:-1]) * (extra / step)
    q = np.concatenate((low, tables, high), axis=1)
    weight = np.exp(-0.5 * z**2)
    weight /= weight.sum()
    coefficients = (q * weight) @ _hermite(z, ORDER).T
    variance = ((q - coefficients[:, :1]) ** 2) @ weight
    power = np.concatenate((coefficients**2, np.zeros((len(tables), 1))), axis=1)
    power[:, 0] = 0.0
    power[:, -1] = np.maximum(variance - power.sum(axis=1), 0.0)
    return coefficients, power


def explained(power: Floats, x: Floats) -> Floats:
    """Compute P(x) = Σ c_n²·x^n of every level [S²].

    Parameters
    ----------
    power : (level, order) array
        From `spectra`.
    x : (level,) array
        Latent correlation, 0 to 1.
    """
    return np.asarray((power * x[:, None] ** np.arange(power.shape[1])).sum(axis=1))


def cross_covariance(coefficients: Floats, x: Floats) -> Floats:
    """Compute P_kl(x_kl) of every pair of levels [S²].

    Parameters
    ----------
    coefficients : (level, order) array
        From `spectra`.
    x : (level, level) array
        Latent correlation, −1 to 1.
    """
    c = coefficients[:, 1:].T
    powers = np.cumprod(np.broadcast_to(x, (len(c), *x.shape)), axis=0)
    return np.asarray((c[:, :, None] * c[:, None, :] * powers).sum(axis=0))


def solve_rising(
    function: Callable[[Floats], Floats], target: Floats, *, low: float = 0.0, high: float = 1.0
) -> Floats:
    """Solve increasing functions for their targets, element by element; limited to the ends."""
    a, b = np.full(target.shape, low), np.full(target.shape, high)
    for _ in range(54):  # to float64 spacing of an interval of width 1
        middle = 0.5 * (a + b)
        below = function(middle) < target
        a, b = np.where(below, middle, a), np.where(below, b, middle)
    top = function(np.full(target.shape, high))
    return np.where(target >= top, high, np.where(b <= low + (high - low) * 2e-16, low, b))


def conditional_means(knots: Floats, tables: Floats, a: Floats) -> Floats:
    """Compute E[Q(Φ(z)) | D] of every level with D at the knots, (level, knot) [S].

    By quadrature over E, which unlike the Hermite series is exact for distributions with steps.

    Parameters
    ----------
    knots : (knot,) array
        Evenly spaced latent values.
    tables : (level, knot) array
        Q(Φ(z)) [S].
    a : (level,) array
        Weight of D in z.
    """
    e = np.linspace(-6.0, 6.0, 241)
    weight = np.exp(-0.5 * e**2)
    weight /= weight.sum()
    out = np.empty_like(tables)
    for k, weight_of_d in enumerate(a):
        z = weight_of_d * knots[:, None] + np.sqrt(max(1.0 - weight_of_d**2, 0.0)) * e
        out[k] = np.interp(z, knots, tables[k]) @ weight
    return out
