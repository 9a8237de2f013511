"""Influences of cells on estimates, and errors of quantities that depend on several levels.

To first order the error of an estimate is a sum of influences ψ_c over cells. The errors of all
estimates from one level are computed together (`rramfit.fitting.statistics.inference`), with the
cell means as driver of the smooth field. A quantity that depends on several levels (a threshold,
the bits stored) is a sum of parts, ψ_c = Σ_k ψ_kc, with variance

    Σ_c ψ_c² + Σ_m Σ_kl ρ_kl^m·s_km·s_lm,

where s_km² is the variance that the smooth field adds to part k through the Hermite polynomial He_m
of its driver, and s_km has the sign of that dependence: two levels that shift together move the
threshold between them but not their overlap, and two that widen together (m = 2) do the opposite.
ρ_kl is the correlation between the smooth fields of two levels. The model takes it as the
correlation of the cells' offsets: the correlation of the cell means at the two levels, divided by
the square root of the product of their reliabilities. If too few cells were programmed to both
levels, terms of equal sign are given ρ = 1 and terms of opposite sign ρ = 0, so that the variance
is an upper bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import hermite_e
from numpy.typing import NDArray

from rramfit.fitting.statistics.array_trend import trend_std
from rramfit.fitting.statistics.inference import (
    ClusteredCovariance,
    Driver,
    clustered_covariance,
)

__all__ = ["Influence", "PartErrors", "combine", "offset_correlation", "part_errors"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_LEAST_COMMON = 20
_ORDERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Influence:
    """Influences of some cells of an array on p estimates.

    Attributes
    ----------
    values : (p, cell) array
    position : (cell,) int array
        Flat indices of the cells in the array.
    shape : (rows, cols)
    """

    values: Floats
    position: Integers
    shape: tuple[int, int]

    def spread(self) -> Floats:
        """Return the influences on the array, (p, row, col), zero elsewhere."""
        out = np.zeros((len(self.values), self.shape[0] * self.shape[1]))
        out[:, self.position] = self.values
        return out.reshape(-1, *self.shape)

    def through(self, slope: Floats) -> Influence:
        """Return influences on functions of the estimates with derivatives `slope`, (q, p)."""
        return Influence(values=slope @ self.values, position=self.position, shape=self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartErrors:
    """Errors of p estimates from one level.

    Attributes
    ----------
    clustered : ClusteredCovariance
    smooth : (4, p) array
        Signed standard deviation added by the smooth field, by order m.
    trend : (p,) array
        Standard deviation of their linear trends over the array, not part of the errors.
    """

    clustered: ClusteredCovariance
    smooth: Floats
    trend: Floats


def part_errors(parts: Mapping[str, Influence], driver: Driver) -> dict[str, PartErrors]:
    """Compute the errors of all estimates from one level.

    Parameters
    ----------
    parts : mapping of str to Influence
    driver : Driver
        Cell means at the level.
    """
    if not parts:
        return {}
    fields = np.concatenate([part.spread() for part in parts.values()])
    own = (fields**2).sum(axis=(1, 2))
    scale = np.where(own > 0, np.sqrt(own), 1.0)
    found = clustered_covariance(fields / scale[:, None, None], driver=driver)
    covariance = found.covariance * np.outer(scale, scale)
    covariance[own == 0] = covariance[:, own == 0] = 0.0
    smooth = _smooth_parts(fields, driver, own * (found.inflation - 1))
    trend = trend_std(fields, driver)
    out, first = {}, 0
    for name, part in parts.items():
        last = first + len(part.values)
        out[name] = PartErrors(
            clustered=ClusteredCovariance(
                covariance=covariance[first:last, first:last].copy(),
                df=found.df[first:last].copy(),
                inflation=found.inflation[first:last].copy(),
            ),
            smooth=smooth[:, first:last],
            trend=trend[first:last],
        )
        first = last
    return out


def _smooth_parts(fields: Floats, driver: Driver, added: Floats) -> Floats:
    """Compute signed parts of what field and lines add, (order, p); squares sum to `added`."""
    out = np.zeros((_ORDERS, len(added)))
    if driver.field is None and driver.lines is None:
        return out
    field, lines, seen = driver.field, driver.lines, np.isfinite(driver.scores)
    x, values = driver.scores[seen], fields[:, seen]
    for m in range(1, _ORDERS + 1):
        h = hermite_e.hermeval(x, np.eye(_ORDERS + 1)[m])
        reach = 0.0
        if field is not None:
            reach += field.mean((field.variance * field.share) ** m * field.pair_sums(m))
        if lines is not None:
            reach += lines.power_sum(seen.astype(np.float64), m)
        size = max(reach, 0.0) ** 0.5
        out[m - 1] = values @ h * (size / np.sqrt(float(h @ h) * h.size))
    found = (out**2).sum(axis=0)
    ratio = np.where(found > 0, np.maximum(added, 0.0) / np.where(found > 0, found, 1.0), 0.0)
    return out * np.sqrt(ratio)


def offset_correlation(drivers: Sequence[Driver], reliability: Floats) -> Floats:
    """Estimate the correlation of cell offsets between levels, (level, level); NaN if unknown.

    Parameters
    ----------
    drivers : sequence of Driver
        Driver of each level.
    reliability : (level,) array
        Share of the variance of the cell means that is not noise.
    """
    z = np.stack([d.scores.ravel() for d in drivers])
    known = np.isfinite(z)
    z = np.where(known, z, 0.0)
    common = known.astype(np.float64)
    count = common @ common.T
    first = z @ common.T  # (k, l): sum of z_k over cells common to k and l
    square = z**2 @ common.T
    n = np.maximum(count, 1.0)
    covariance = z @ z.T / n - first * first.T / n**2
    variance = np.maximum(square / n - (first / n) ** 2, 0.0)
    scale = np.sqrt(variance * variance.T * np.outer(reliability, reliability))
    estimable = (count >= _LEAST_COMMON) & (scale > 0)
    r = np.where(
        estimable, np.clip(covariance / np.where(estimable, scale, 1.0), -1.0, 1.0), np.nan
    )
    np.fill_diagonal(r, 1.0)
    return np.asarray(r)


def combine(
    parts: Sequence[Influence], errors: Sequence[PartErrors], correlation: Floats
) -> tuple[Floats, Floats]:
    """Return standard errors and degrees of freedom of sums over levels, each (p,).

    Parameters
    ----------
    parts : sequence of Influence
        Influences of each level's cells.
    errors : sequence of PartErrors
        Errors of each level's part.
    correlation : (level, level) array
        Correlation of offsets; NaN where unknown.
    """
    total = np.zeros((len(parts[0].values), parts[0].shape[0] * parts[0].shape[1]))
    inflated, spent = np.zeros((2, len(total)))
    for part, error in zip(parts, errors, strict=True):
        total[:, part.position] += part.values
        variance = (part.values**2).sum(axis=1) * error.clustered.inflation
        inflated += variance
        spent += variance**2 / error.clustered.df
    s = np.stack([error.smooth for error in errors])  # (level, order, p)
    pairs = s[:, None] * s[None]
    power = correlation[..., None] ** np.arange(1, _ORDERS + 1)
    r = np.where(np.isnan(power)[..., None], pairs > 0, power[..., None])
    smooth = np.maximum((r * pairs).sum(axis=(0, 1, 2)), 0.0)
    df = np.where(spent > 0, inflated**2 / np.where(spent > 0, spent, 1.0), 1.0)
    return np.sqrt((total**2).sum(axis=1) + smooth), np.maximum(df, 1.0)
