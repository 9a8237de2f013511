"""The 95 % interval that a parameter would have with a smaller or larger standard error.

The interval is computed on the scale of the card's interval, with degrees of freedom in proportion
to the information. A share with Jeffreys' interval is that of a number of effective attempts in
proportion to it. Other intervals shrink with the standard error.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from scipy import special

from rramfit.card.quantity import Quantity
from rramfit.card.uncertainty.scales import own_scale

__all__ = ["IntervalModel"]

_RANGE = 40.0  # of the logarithm of a variance


@dataclass(frozen=True, slots=True)
class IntervalModel:
    """Half width of a parameter's interval against the variance of its estimate."""

    quantity: Quantity
    variance: float  # of the estimate, to which `quantity` has its interval

    def half_width(self, variance: float) -> float:
        """Return the half width of the 95 % interval at another variance."""
        q = self.quantity
        if not math.isfinite(variance):
            return math.inf
        ratio = variance / self.variance
        if q.stderr is None or q.ci95 is None:
            return 1.96 * math.sqrt(variance)
        own = own_scale(q)
        if own is not None:
            scale, found = own
            df = found.df / ratio if ratio > 0 else math.inf
            t = 1.96 if math.isinf(df) or df > 1e7 else float(special.stdtrit(max(df, 1.0), 0.975))
            s = found.stderr * math.sqrt(ratio)
            ends = (found.value - t * s, found.value + t * s)
            try:
                return 0.5 * (scale.back(ends[1]) - scale.back(ends[0]))
            except OverflowError:
                return math.inf
        if q.unit == "1" and 0 <= q.value <= 1 and q.ci95[0] >= 0 and q.ci95[1] <= 1:
            trials = _trials(q) / ratio
            events = q.value * trials
            a, b = events + 0.5, trials - events + 0.5
            low = 0.0 if q.value == 0 else float(special.betaincinv(a, b, 0.025))
            high = 1.0 if q.value == 1 else float(special.betaincinv(a, b, 0.975))
            return 0.5 * (high - low)
        return 0.5 * (q.ci95[1] - q.ci95[0]) * math.sqrt(ratio)

    def largest_variance(self, half_width: float) -> float:
        """Return the largest variance at which the interval is at most so wide."""
        low, high = math.log(self.variance) - _RANGE, math.log(self.variance) + _RANGE
        for _ in range(50):
            middle = 0.5 * (low + high)
            fits = self.half_width(math.exp(middle)) <= half_width
            low, high = (middle, high) if fits else (low, middle)
        return math.exp(low)


@functools.lru_cache(maxsize=1024)
def _trials(q: Quantity) -> float:
    """Return the effective number of attempts whose Jeffreys interval is as wide."""
    assert q.ci95 is not None
    low, high = 1e-3, 1e15
    width = q.ci95[1] - q.ci95[0]
    for _ in range(60):
        middle = math.sqrt(low * high)
        a, b = q.value * middle + 0.5, (1 - q.value) * middle + 0.5
        ends = (
            0.0 if q.value == 0 else float(special.betaincinv(a, b, 0.025)),
            1.0 if q.value == 1 else float(special.betaincinv(a, b, 0.975)),
        )
        low, high = (middle, high) if ends[1] - ends[0] > width else (low, middle)
    return math.sqrt(low * high)
