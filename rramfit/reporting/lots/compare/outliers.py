"""Outliers among the estimates of one parameter, by the generalized extreme studentized deviate.

The value farthest from the mean is tested against the others by the t distribution, removed, and so
on for up to a fifth of the arrays; all values up to the last that is significant are outliers. The
scale is the standard deviation of the others, at least the standard error of the value. Of lots
with normal values without outliers, 1 % have one (B. Rosner, Technometrics 25, 165, 1983).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = ["FALSE_ALARM", "FEWEST", "differ", "outliers_of"]

Floats = NDArray[np.float64]

FALSE_ALARM = 0.01
"""Probability that a parameter without outliers has one."""

FEWEST = 4
"""Fewest arrays among which an outlier can be named."""

_SHARE = 5


def outliers_of(value: Floats, stderr: Floats) -> NDArray[np.bool_]:
    """Return which values are outliers, (array,); none of fewer than `FEWEST`.

    Parameters
    ----------
    value, stderr : (array,) arrays
        Estimates and their standard errors.
    """
    out = np.zeros(value.size, dtype=bool)
    if value.size < FEWEST:
        return out
    left = value - np.median(value)
    order = np.arange(value.size)
    found = 0
    removed: list[int] = []
    for _ in range(max(1, value.size // _SHARE)):
        far = int(np.argmax(np.abs(left - left.mean())))
        others = np.delete(left, far)
        scale = max(float(others.std(ddof=1)), float(stderr[order[far]]))
        away = abs(float(left[far] - others.mean()))
        removed.append(int(order[far]))
        limit = special.stdtrit(others.size - 1, 1 - FALSE_ALARM / (2 * left.size))
        if away > limit * scale * np.sqrt(1 + 1 / others.size):
            found = len(removed)
        left, order = others, np.delete(order, far)
    out[removed[:found]] = True
    return out


def differ(value: Floats, stderr: Floats, tests: int) -> bool:
    """Return whether values differ beyond their standard errors (χ²).

    Parameters
    ----------
    value, stderr : (array,) arrays
    tests : int
        Number of parameters tested; the false-alarm rate is that of all of them together.
    """
    if value.size < 2 or not np.all(stderr > 0):
        return False
    weight = stderr**-2.0
    mean = float(weight @ value / weight.sum())
    chi2 = float(weight @ (value - mean) ** 2)
    return bool(special.chdtrc(value.size - 1, chi2) < FALSE_ALARM / tests)
