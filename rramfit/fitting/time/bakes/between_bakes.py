"""Scatter of the rates of bakes about the Arrhenius line, beyond the errors of their readings.

It comes from the temperature of the oven and from cells that were programmed anew. With ln f_b the
rate of bake b from all levels, S their covariance and a_b = (1/T_ref − 1/T_b)/k,

    ln f_b = E·a_b + η_b − η_0,   η ~ N(0, τ²)

τ² is estimated by the method of Paule and Mandel: the weighted sum of squares equals the
bakes − 2 degrees of freedom that are left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from rramfit.fitting.time.bakes.law_fit import LawFit, inverse_information

__all__ = ["DETERMINED", "Between", "between_bakes"]

Floats = NDArray[np.float64]

DETERMINED = 1.0
"""Standard error of ln f above which a bake says nothing on the scatter."""


@dataclass(frozen=True, slots=True)
class Between:
    """What the scatter between bakes adds to the energy's error."""

    tau: float | None
    variance: float
    quantile: float
    energy: float | None  # where the bakes are weighted with τ


def between_bakes(rates: LawFit, per_ev: Floats, *, within: float, inflation: float) -> Between:
    """Estimate τ from free rates of the bakes, and its part in the variance of the energy."""
    normal = float(special.ndtri(0.975))
    bakes = len(per_ev)
    if bakes < 3:
        return Between(None, 0.0, normal, None)
    slopes = np.eye(bakes)[1:]
    covariance = inverse_information(rates.information(slopes, with_exponent=False))
    S = covariance[: bakes - 1, : bakes - 1] * inflation
    stderr = np.sqrt(np.diagonal(S))
    good = np.isfinite(stderr) & (stderr < DETERMINED)
    if good.sum() < 2 or not np.any(per_ev[1:][good] != 0):
        return Between(None, 0.0, normal, None)
    y, a, S = rates.log_factors[1:][good], per_ev[1:][good], S[np.ix_(good, good)]
    shared = np.eye(len(y)) + 1.0
    left = len(y) - 1

    def gls(tau2: float) -> tuple[float, float, float]:
        weight = np.linalg.inv(S + tau2 * shared)
        variance = 1 / float(a @ weight @ a)
        energy = variance * float(a @ weight @ y)
        r = y - energy * a
        return energy, variance, float(r @ weight @ r)

    if gls(0.0)[2] <= left:
        return Between(0.0, 0.0, normal, None)
    high = 1.0
    while gls(high)[2] > left and high < 1e4:
        high *= 4
    tau2 = float(optimize.brentq(lambda x: gls(x)[2] - left, 0.0, high))
    energy, variance, _ = gls(tau2)
    extra = max(variance - gls(0.0)[1], 0.0)
    total = within + extra
    freedom = left * (total / extra) ** 2 if extra > 0 else math.inf
    quantile = float(special.stdtrit(min(freedom, 1e6), 0.975))
    return Between(math.sqrt(tau2), extra, quantile, energy if good.all() else None)
