"""Mean and spread of a parameter over devices and cycles, with its estimation error taken off.

Of run c of device d there is an estimate θ_dc whose error has the variance v_dc. With the spreads
γ² between the cycles of a device and β² between devices,

    within a device   Σ_d Σ_c w·(θ_dc − m_d)²,   w = 1/(γ² + v_dc),    m_d the weighted mean
    between devices   Σ_d W·(m_d − μ)²,          W = 1/(β² + 1/Σ_c w),  μ the weighted mean

are χ² distributed, with as many degrees of freedom as there are runs less devices, and devices
less one. γ² and β² are those for which the sums equal their degrees of freedom (Paule and Mandel,
J. Res. NBS 87, 377, 1982); their limits those for which the sums equal quantiles of χ²
(Viechtbauer, Stat. Med. 26, 37, 2007). The interval of μ uses Student's t with the weighted
variance about μ (Hartung and Knapp, Stat. Med. 20, 3875, 2001).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.quantity import Quantity

__all__ = ["Spread", "spread_of"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_HALVINGS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """One parameter.

    Attributes
    ----------
    mean : Quantity
    d2d, c2c : Quantity, optional
        Standard deviations; absent with one device, or with one run of each.
    device : (device,) array
        Value of each device.
    df : int
        Degrees of freedom of the mean's error; 0 if that is the estimation error of one run.
    """

    mean: Quantity
    d2d: Quantity | None
    c2c: Quantity | None
    device: Floats
    df: int


def spread_of(value: Floats, variance: Floats, device: Integers, unit: str) -> Spread:
    """Return mean and spread of a parameter.

    Parameters
    ----------
    value, variance : (run,) arrays
    device : (run,) int array
    unit : str
    """
    _, group = np.unique(device, return_inverse=True)
    count = int(group.max()) + 1
    floor = 1e-18 * max(float(np.abs(value).max()), 1e-300) ** 2
    v = np.maximum(variance, floor)
    free = len(value) - count
    c2c, gamma = _component(lambda extra: _within(value, v + extra, group, count), value, free)
    weight = 1 / (v + gamma)
    total = np.bincount(group, weight, count)
    m = np.bincount(group, weight * value, count) / total
    d2d, beta = _component(
        lambda extra: _within(m, 1 / total + extra, np.zeros(count, dtype=np.int64), 1),
        m,
        count - 1,
    )
    if count > 1:
        weights = 1 / (beta + 1 / total)
        mean = float(weights @ m / weights.sum())
        square = float(weights @ (m - mean) ** 2) / (count - 1)
        error, df = math.sqrt(square / float(weights.sum())), count - 1
    else:
        mean, df = float(m[0]), free
        square = float(weight @ (value - mean) ** 2) / free if free else 1.0
        error = math.sqrt(square / float(total[0]))
    return Spread(
        mean=Quantity.estimated(mean, error, unit, df=df or math.inf),
        d2d=None if d2d is None else _root(d2d, unit),
        c2c=None if c2c is None else _root(c2c, unit),
        device=m,
        df=df,
    )


def _within(value: Floats, variance: Floats, group: Integers, count: int) -> float:
    """Return the weighted sum of squares about the weighted mean of each group."""
    weight = 1 / variance
    mean = np.bincount(group, weight * value, count) / np.bincount(group, weight, count)
    return float(weight @ (value - mean[group]) ** 2)


def _component(
    q: Callable[[float], float], value: Floats, df: int
) -> tuple[tuple[float, float, float] | None, float]:
    """Return a variance with its 95 % limits, and the variance again, 0 where it is not known."""
    if df < 1:
        return None, 0.0
    most = float(value.max() - value.min()) ** 2 * 1e4 + 1e-300
    limits = [float(special.chdtri(df, p)) for p in (0.025, 0.975)]  # upper, lower quantile
    estimate, low, high = (_solve(q, at, most) for at in (float(df), limits[0], limits[1]))
    return (estimate, low, high), estimate


def _solve(q: Callable[[float], float], at: float, most: float) -> float:
    """Return where q, which falls, equals `at`; 0 if it is below from the start."""
    if q(0.0) <= at:
        return 0.0
    low, high = most * 1e-24, most
    if q(low) <= at:
        return low
    for _ in range(_HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if q(middle) > at else (low, middle)
    return math.sqrt(low * high)


def _root(component: tuple[float, float, float], unit: str) -> Quantity:
    value, low, high = (math.sqrt(c) for c in component)
    return Quantity.within(value, (high - low) / 3.92, unit, (low, max(high, value)))
