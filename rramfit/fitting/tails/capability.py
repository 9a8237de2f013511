"""Process capability of a level against its verify window.

With the quantiles x_0.135 %, x_50 % and x_99.865 % of the level's fitted distribution, which are
mean − 3σ, mean and mean + 3σ where it is normal (percentile method of ISO 22514-2),

    Pp  = (U − L)/(x_99.865 − x_0.135),
    Ppk = min[(U − x_50)/(x_99.865 − x_50), (x_50 − L)/(x_50 − x_0.135)],

over the limits L and U that the window has. The distribution is that of accepted readings: where
the window itself decides what is accepted, Ppk says how well the process fills the window, and
rejected attempts are in the failure probability. Errors follow by the delta method from the
influences of the cells on the parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.card.quantity import Quantity
from rramfit.fitting.levels.distribution import LevelDistribution
from rramfit.fitting.levels.thresholds import cdf_slope
from rramfit.fitting.statistics.inference import Driver
from rramfit.fitting.statistics.influence import part_errors

__all__ = ["Capability", "family_quantiles", "fit_capability"]

Floats = NDArray[np.float64]

_SHARES = np.array([0.00135, 0.5, 0.99865])


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """Capability of one level.

    Attributes
    ----------
    pp : Quantity, optional
        None if the window has one limit.
    ppk : Quantity
    beyond : float
        Share of the fitted distribution outside the window.
    """

    pp: Quantity | None
    ppk: Quantity
    beyond: float


def quantile_slopes(distribution: LevelDistribution, probability: Floats) -> tuple[Floats, Floats]:
    """Return quantiles [S] and their derivatives by the internal parameters, (q,) and (q, p)."""
    x = distribution.ppf(probability)
    with np.errstate(over="ignore"):
        density = np.exp(distribution.logpdf(x))
    slope = -cdf_slope(distribution, x) / np.maximum(density, 1e-300)[:, None]
    return x, np.nan_to_num(slope, nan=0.0, posinf=0.0, neginf=0.0)


def family_quantiles(
    distribution: LevelDistribution, probability: Floats, driver: Driver
) -> list[Quantity]:
    """Return quantiles of the fitted family with intervals [S].

    Parameters
    ----------
    distribution : LevelDistribution
    probability : (q,) array
    driver : Driver
        Smooth field and line offsets of the level.
    """
    x, slope = quantile_slopes(distribution, probability)
    errors = part_errors({"quantiles": distribution.influence.through(slope)}, driver)
    found = errors["quantiles"].clustered
    return [
        Quantity.estimated(float(v), float(s), "S", df=float(df))
        for v, s, df in zip(x, found.stderr, found.df, strict=True)
    ]


def fit_capability(
    distribution: LevelDistribution, driver: Driver, *, lower: float | None, upper: float | None
) -> Capability | None:
    """Compute the capability of a level; None without a window or without spread.

    Parameters
    ----------
    distribution : LevelDistribution
    driver : Driver
    lower, upper : float, optional
        Verify window [S].
    """
    if lower is None and upper is None:
        return None
    x, slope = quantile_slopes(distribution, _SHARES)
    (low, middle, high), (d_low, d_middle, d_high) = x.tolist(), slope
    if not low < middle < high:
        return None
    sides: list[tuple[float, Floats]] = []
    if upper is not None:
        room, reach = upper - middle, high - middle
        sides.append((room / reach, -(d_middle + room / reach * (d_high - d_middle)) / reach))
    if lower is not None:
        room, reach = middle - lower, middle - low
        sides.append((room / reach, (d_middle - room / reach * (d_middle - d_low)) / reach))
    ppk, d_ppk = min(sides, key=lambda side: side[0])
    wanted, slopes = [ppk], [d_ppk]
    if lower is not None and upper is not None:
        pp = (upper - lower) / (high - low)
        wanted.append(pp)
        slopes.append(-pp * (d_high - d_low) / (high - low))
    errors = part_errors({"all": distribution.influence.through(np.stack(slopes))}, driver)
    found = errors["all"].clustered
    quantities = [
        Quantity.estimated(v, float(s), "1", df=float(df))
        for v, s, df in zip(wanted, found.stderr, found.df, strict=True)
    ]
    beyond = 0.0
    if lower is not None:
        beyond += float(distribution.cdf(np.array([lower]))[0])
    if upper is not None:
        beyond += float(distribution.sf(np.array([upper]))[0])
    return Capability(
        pp=quantities[1] if len(quantities) > 1 else None, ppk=quantities[0], beyond=beyond
    )
