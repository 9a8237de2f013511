"""Early failures mixed with wear-out: two Weibull populations instead of one.

    S(t) = p·S₁(t) + (1 − p)·S₂(t)

where S₁ is the population that fails early. The mixture is preferred if it raises the
log-likelihood of one Weibull distribution by more than χ²₃(0.99)/2 and its BIC is lower; the first
bound is on the safe side, because p is at the limit of its range under one population.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from rramfit.card.quantity import Quantity
from rramfit.fitting.time.endurance.life_distribution import (
    HALF_CHI2,
    LifeDistribution,
    Lives,
    profile_limit,
    survival,
)

__all__ = ["EarlyFailures", "find_early_failures"]

Floats = NDArray[np.float64]

_GAIN = 11.344866730144373 / 2  # half of the 99 % quantile of χ² with 3 degrees of freedom
_FEWEST = 8  # failures needed


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyFailures:
    """Two populations of lives.

    Attributes
    ----------
    share : Quantity
        Share of cells that belong to the early population.
    early_scale, early_shape : float
        Weibull scale [cycles] and shape of the early population.
    late_scale, late_shape : float
        The same of the others.
    burn_in : float
        [cycles] by which 95 % of the early population, or the whole of it at the longest cycle,
        have failed.
    log_likelihood : float
    """

    share: Quantity
    early_scale: float
    early_shape: float
    late_scale: float
    late_shape: float
    burn_in: float
    log_likelihood: float

    def survival(self, cycles: Floats) -> Floats:
        """Return the share of cells that outlive the given cycle counts."""
        p = self.share.value
        early = survival("weibull", math.log(self.early_scale), 1 / self.early_shape, cycles)
        late = survival("weibull", math.log(self.late_scale), 1 / self.late_shape, cycles)
        return p * early + (1 - p) * late


def find_early_failures(
    lives: Lives, one: LifeDistribution, *, longest: float
) -> EarlyFailures | None:
    """Return the mixture if it describes the lives better than one Weibull distribution.

    Parameters
    ----------
    lives : Lives
    one : LifeDistribution
        The single Weibull distribution.
    longest : float
        Longest cycle count.
    """
    if lives.failures < _FEWEST or lives.failing_intervals < 4:
        return None
    ends = np.log(np.maximum(lives.high[np.isfinite(lives.high)], 1.0))
    low, high = float(ends.min()), max(float(ends.max()), math.log(longest))
    bounds = [(-9.0, 4.0), (low - 5, high + 5), (-4.0, 4.0), (low - 5, high + 10), (-4.0, 2.5)]

    def nll(x: Floats) -> float:
        return _negative_log_likelihood(x, lives)

    starts = [
        (math.log(p / (1 - p)), low + 0.35 * (high - low) * f, 0.5, one.mu, -math.log(3.0))
        for p in (0.05, 0.25)
        for f in (0.3, 1.0)
    ]
    found = min(
        (optimize.minimize(nll, x, method="L-BFGS-B", bounds=bounds) for x in starts),
        key=lambda r: float(r.fun),
    )
    gain = -float(found.fun) - one.log_likelihood
    penalty = 1.5 * math.log(max(float(lives.count.sum()), 2.0))
    if gain < max(_GAIN, penalty):
        return None
    x = np.asarray(found.x)
    if x[1] > x[3]:
        x = np.array([-x[0], x[3], x[4], x[1], x[2]])
    if x[0] > 0:
        return None
    early_scale, early_shape = math.exp(x[1]), math.exp(-x[2])
    return EarlyFailures(
        share=_share(x, lives, float(found.fun)),
        early_scale=early_scale,
        early_shape=early_shape,
        late_scale=math.exp(x[3]),
        late_shape=math.exp(-x[4]),
        burn_in=min(early_scale * (-math.log(0.05)) ** (1 / early_shape), longest),
        log_likelihood=-float(found.fun),
    )


def _negative_log_likelihood(x: Floats, lives: Lives) -> float:
    """Return that of (logit p, μ₁, ln σ₁, μ₂, ln σ₂)."""
    p = float(special.expit(x[0]))

    def of(cycles: Floats) -> Floats:
        early = survival("weibull", float(x[1]), math.exp(x[2]), cycles)
        return p * early + (1 - p) * survival("weibull", float(x[3]), math.exp(x[4]), cycles)

    s_low, s_high = of(lives.low), of(lives.high)
    at_entry = float(of(np.array([lives.entry]))[0])
    inside = np.maximum(s_low - s_high, 1e-300)
    return -float(lives.count @ (np.log(inside) - math.log(max(at_entry, 1e-300))))


def _share(best: Floats, lives: Lives, least: float) -> Quantity:
    """Return the share of early failures with its profile-likelihood interval."""

    def profile(logit: float) -> float:
        def free(y: Floats) -> float:
            return _negative_log_likelihood(np.array([logit, *y]), lives)

        found = optimize.minimize(free, [float(v) for v in best[1:]], method="BFGS")
        return float(found.fun)

    value = float(best[0])
    low, high = (
        float(special.expit(profile_limit(profile, value, side, least + HALF_CHI2, 8.0)))
        for side in (-1, 1)
    )
    return Quantity.within(
        float(special.expit(value)), (high - low) / (2 * 1.959963984540054), "1", (low, high)
    )
