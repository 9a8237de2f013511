"""Distributions of the same family and shape with another mean and standard deviation.

A location-scale family is moved by an affine map of the conductance,
g → mean + (g − mean₀)·std/std₀. Families of positive conductances have two parameters, which follow
from mean and std.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from scipy import optimize

from rramfit.card.families import family

__all__ = ["LOCATIONS", "affine", "with_moments"]

LOCATIONS = ("loc", "xi", "mean_")
_WIDTHS = ("scale", "lambda", "std_")
_POSITIVE = ("lognormal", "gamma", "weibull")
_LARGEST_SHAPE = 1e4


def with_moments(
    name: str, parameters: Mapping[str, float], mean: float, std: float
) -> dict[str, float] | None:
    """Return a distribution of the same shape with another mean and std; None if there is none.

    Examples
    --------
    >>> with_moments("gamma", {"shape": 1.0, "scale": 1.0}, 6.0, 3.0)
    {'shape': 4.0, 'scale': 1.5}
    """
    if name in _POSITIVE:
        return _positive(name, mean, std) if mean > 0 and std > 0 else None
    if not any(n.startswith(LOCATIONS) for n in parameters):
        return None
    m, s = family(name).moments(parameters)
    if not (math.isfinite(m) and math.isfinite(s)) or s <= 0 or std <= 0:
        return None
    return affine(parameters, std / s, m, mean - m)


def affine(
    parameters: Mapping[str, float], stretch: float, centre: float, shift: float
) -> dict[str, float]:
    """Return parameters of g mapped to centre + shift + (g − centre)·stretch."""
    out = dict(parameters)
    for name, value in parameters.items():
        if name.startswith(LOCATIONS):
            out[name] = centre + shift + (value - centre) * stretch
        elif name.startswith(_WIDTHS):
            out[name] = value * stretch
    return out


def _positive(name: str, mean: float, std: float) -> dict[str, float]:
    ratio = std / mean
    if name == "lognormal":
        sigma2 = math.log1p(ratio**2)
        return {"mu": math.log(mean) - sigma2 / 2, "sigma": math.sqrt(sigma2)}
    if name == "gamma":
        return {"shape": ratio**-2, "scale": std * ratio}

    def excess(log_shape: float) -> float:
        k = math.exp(log_shape)
        return 2 * math.lgamma(1 + 1 / k) - math.lgamma(1 + 2 / k) + math.log1p(ratio**2)

    low, high = math.log(0.05), math.log(_LARGEST_SHAPE)
    k = math.exp(float(optimize.brentq(excess, low, high, xtol=1e-14)))
    return {"shape": k, "scale": mean / math.gamma(1 + 1 / k)}
