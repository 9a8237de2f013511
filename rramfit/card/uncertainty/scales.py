"""The scale on which an estimate's error is normal, found from its interval.

A quantity's interval was computed on one of four scales (`rramfit.card.quantity`), with Student's t
of few or many degrees of freedom. A card does not name the scale; it follows from symmetry:

    f(low) + f(high) = 2·f(value),   f = x, ln x, ln(x/(1 − x)) or artanh x

and the degrees of freedom from the half width in standard errors. An interval that is symmetric on
none of these scales (exact or profile) has two halves, each that of a normal distribution:

    lower half  (value − low)/1.96        upper half  (high − value)/1.96

A given number has no error; it is on every scale.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

from scipy import special

from rramfit.card.quantity import Quantity

__all__ = ["NORMAL", "SCALES", "OnScale", "halves", "on_scale", "own_scale"]

NORMAL = 1.959963984540054
"""97.5 % quantile of the normal distribution."""

_SYMMETRY = 1e-6  # of the half width


@dataclass(frozen=True, slots=True)
class Transform:
    """One scale: the function, its slope and its inverse."""

    to: Callable[[float], float]
    slope: Callable[[float], float]
    back: Callable[[float], float]


SCALES = (
    Transform(lambda x: x, lambda _: 1.0, lambda y: y),
    Transform(lambda x: math.log(x), lambda x: 1 / x, lambda y: math.exp(min(y, 700.0))),
    Transform(
        lambda x: math.log(x / (1 - x)),
        lambda x: 1 / (x * (1 - x)),
        lambda y: float(special.expit(y)),
    ),
    Transform(lambda x: math.atanh(x), lambda x: 1 / (1 - x**2), lambda y: math.tanh(y)),
)
"""Linear, logarithm, logit and artanh."""


@dataclass(frozen=True, slots=True)
class OnScale:
    """A number on one scale, with its two errors.

    Attributes
    ----------
    value : float
    stderr : float
        From the cells of one array; 0 for a given number.
    between : float
        Standard deviation between arrays; 0 if it is not known.
    df : float
        Degrees of freedom of `stderr`.
    """

    value: float
    stderr: float
    between: float
    df: float


def on_scale(q: Quantity, scale: Transform) -> OnScale | None:
    """Return a number on a scale if its interval is symmetric there; a given number always."""
    try:
        value, per = scale.to(q.value), scale.slope(q.value)
        between = (q.between or 0.0) * abs(per)
        if q.stderr is None or q.ci95 is None:
            return OnScale(value, 0.0, between, math.inf)
        low, high = scale.to(q.ci95[0]), scale.to(q.ci95[1])
    except (ValueError, ZeroDivisionError):
        return None
    stderr, half = q.stderr * abs(per), (high - low) / 2
    if not stderr > 0 or abs((high + low) / 2 - value) > _SYMMETRY * half:
        return None
    quantile = half / stderr
    return OnScale(value, stderr, between, _df(quantile)) if quantile > NORMAL - 1e-6 else None


def own_scale(q: Quantity) -> tuple[Transform, OnScale] | None:
    """Return the scale of an estimate's interval, and the number there; None if there is none."""
    for scale in SCALES:
        found = on_scale(q, scale)
        if found is not None:
            return scale, found
    return None


def halves(q: Quantity) -> tuple[float, float]:
    """Return the standard deviations of the lower and the upper half of an interval."""
    if q.ci95 is None:
        return 0.0, 0.0
    return max(q.value - q.ci95[0], 0.0) / NORMAL, max(q.ci95[1] - q.value, 0.0) / NORMAL


@functools.lru_cache(maxsize=4096)
def _df(quantile: float) -> float:
    """Return the degrees of freedom of the Student's t with this 97.5 % quantile."""
    low, high = 0.0, 1.0  # of 1/df
    for _ in range(50):
        middle = 0.5 * (low + high)
        reached = float(special.stdtrit(1 / middle, 0.975))
        low, high = (middle, high) if reached < quantile else (low, middle)
    return 1 / high
