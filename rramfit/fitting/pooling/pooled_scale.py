"""The scale on which the estimates of several cards are compared.

It is that of most of their intervals: linear, logarithm, logit or artanh
(`rramfit.card.uncertainty.scales`). Exact intervals are symmetric on none of these, and shares of
zero are at no place of a logit scale. Such shares are compared as arcsin √p, other numbers that are
not negative as logarithms, or as roots if some are zero.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rramfit.card.quantity import Quantity
from rramfit.card.uncertainty.scales import NORMAL, SCALES, Transform, on_scale, own_scale
from rramfit.errors import FitError

__all__ = ["common_scale", "per_unit"]

Floats = NDArray[np.float64]

_ZERO = 1e-8  # arcsine of a share that is none

_ARCSINE = Transform(
    lambda x: math.asin(math.sqrt(x)),
    lambda x: 0.5 / math.sqrt(max(x * (1 - x), 1e-12)),
    lambda y: math.sin(min(y, math.pi / 2)) ** 2 if y > _ZERO else 0.0,
)
_ROOT = Transform(math.sqrt, lambda x: 0.5 / math.sqrt(max(x, 1e-300)), lambda y: max(y, 0.0) ** 2)


def common_scale(estimates: Sequence[Quantity]) -> tuple[Transform, Floats, Floats]:
    """Return the scale of the estimates' intervals, their values there, and their errors.

    Without a scale common to most of them: arcsine of the root for shares, logarithm for positive
    numbers, root for those that are not negative; the error is then that of the interval.
    """
    found = [own_scale(q) for q in estimates]
    frequent = Counter(SCALES.index(f[0]) for f in found if f is not None).most_common(1)
    candidates = [SCALES[i] for i, count in frequent if 2 * count > len(estimates)]
    ends = [x for q in estimates for x in (*(q.ci95 or ()), q.value)]
    if min(ends) >= 0:
        share = estimates[0].unit == "1" and max(ends) <= 1
        candidates += [_ARCSINE] if share else [SCALES[1], _ROOT]
    for scale in [*candidates, SCALES[0]]:
        try:
            values = np.array([scale.to(q.value) for q in estimates])
            errors = np.array([_error(q, scale) for q in estimates])
        except (ValueError, ZeroDivisionError):
            continue
        if np.isfinite(values).all() and np.isfinite(errors).all():
            return scale, values, errors
    msg = "an estimate is not finite"
    raise FitError(msg)


def _error(q: Quantity, scale: Transform) -> float:
    """Return the standard error on a scale; half the interval if it is not symmetric there."""
    found = on_scale(q, scale)
    if found is not None or q.ci95 is None:
        return (q.stderr or 0.0) * abs(scale.slope(q.value))
    return (scale.to(q.ci95[1]) - scale.to(q.ci95[0])) / (2 * NORMAL)


def per_unit(scale: Transform, middle: float, half: float) -> float:
    """Return the change of a number per unit of its scale, near `middle`.

    Where a number can be at the limit of its scale, the slope there says nothing of its
    surroundings; the mean slope over `middle` ± `half` is returned.

    Examples
    --------
    >>> round(per_unit(SCALES[1], math.log(5.0), 0.1), 12)
    5.0
    """
    if scale in SCALES or half == 0:
        return 1 / abs(scale.slope(scale.back(middle)))
    return (scale.back(middle + half) - scale.back(middle - half)) / (2 * half)
