"""Parametric bootstrap of the distance between a distribution and its readings, by whole cells.

Arrays are drawn from the fitted distribution: normal scores z = a·D + √(1 − a²)·E, with D one draw
per cell and E one per reading, u = Φ(z), and a² the correlation found between readings of a cell.
Each draw is refitted to first order. With s(u) the score of the distribution at a reading and
I = E[s·s'], refitting changes the distribution function at t by E[s·1(u≤t)]'·I⁻¹·mean(s), so

    D*(t) = mean(1[u≤t] − t) − E[s·1(u≤t)]'·I⁻¹·mean(s).

This holds for refits to the same readings and, to first order, for cross-fitted distributions:
there each reading enters the fits of the other folds with the same total weight. The largest |D*|
decreases as 1/√cells, so draws with fewer cells suffice. A smooth field and lines shift readings
together. Each draw therefore includes a common shift of z and a common widening, with the variances
by which field and lines inflate the means of z and z², and Student's t if these are uncertain.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.families import family
from rramfit.fitting.levels.distribution import LevelDistribution
from rramfit.fitting.statistics.inference import Driver, clustered_covariance
from rramfit.fitting.statistics.likelihood import LevelReadings

__all__ = ["GRID", "bootstrap_p_value", "cell_correlation", "predicted_p_value"]

Floats = NDArray[np.float64]

DRAWS, FEWEST_DRAWS = 400, 250  # the smallest p-value is 1/(1 + draws)
MOST_CELLS, MOST_READINGS = 200, 500_000
_TABLE, _EVERY = 1024, 8  # equal steps of u, of which every eighth is a point t

_X = special.ndtri((np.arange(_TABLE) + 0.5) / _TABLE)
# Change of the density of u per unit of mean z and of mean z²:
_HERMITE = np.stack([_X, (_X**2 - 1) / 2])

GRID: Floats = np.arange(1, _TABLE // _EVERY + 1) * _EVERY / _TABLE
"""Points t at which the distance is computed."""


def bootstrap_p_value(
    distribution: LevelDistribution,
    readings: LevelReadings,
    u: Floats,
    distance: float,
    rng: np.random.Generator,
) -> float:
    """Return the probability of a distance at least this large if the distribution is true.

    Parameters
    ----------
    distribution : LevelDistribution
    readings : LevelReadings
    u : (n,) array
        Distribution function at the readings inside the rails.
    distance : float
        Largest difference between the distribution function of u and the uniform.
    rng : Generator
    """
    scores = _scores(distribution)
    return _p_value(lambda share, _: _refitted(share, scores), readings, u, distance, rng)


def cell_correlation(z: Floats, readings: LevelReadings) -> float:
    """Return the correlation between readings of one cell (one-way components), 0 to 1."""
    n = np.bincount(readings.cell, minlength=readings.n_cells).astype(float)
    several = n > 1
    if not several.any():
        return 0.0
    total = np.bincount(readings.cell, weights=z, minlength=readings.n_cells)
    square = np.bincount(readings.cell, weights=z**2, minlength=readings.n_cells)
    within = float((square - total**2 / np.maximum(n, 1))[several].sum() / (n[several] - 1).sum())
    between = float(z.var()) - within
    return float(np.clip(between / max(between + within, 1e-300), 0.0, 1.0))


def predicted_p_value(
    gaps: Floats,
    readings: LevelReadings,
    u: Floats,
    distance: float,
    rng: np.random.Generator,
) -> float:
    """Return the p-value of a distance for a distribution fitted to other data, with its errors.

    Parameters
    ----------
    gaps : (k, 128) array
        Change of the distribution function at its quantiles i/128 for one standard error of each
        independent parameter.
    readings, u, distance, rng
        As for `bootstrap_p_value`, with u from the given distribution.
    """

    def process(share: Floats, shrink: float) -> Floats:
        # The error of the given distribution does not depend on the number of cells drawn.
        error = rng.standard_normal((len(share), len(gaps))) @ gaps / shrink
        return _empirical(share) + error

    return _p_value(process, readings, u, distance, rng)


def _p_value(
    process: Callable[[Floats, float], Floats],
    readings: LevelReadings,
    u: Floats,
    distance: float,
    rng: np.random.Generator,
) -> float:
    z = special.ndtri(np.clip(u, 1e-9, 1 - 1e-9))
    z_own = math.sqrt(cell_correlation(z, readings))
    count = np.bincount(readings.cell, minlength=readings.n_cells)
    count = count[count > 0]
    if count.size == 0:
        return 1.0
    size = min(MOST_CELLS, count.size)
    per_cell = rng.choice(count, size, replace=False) if size < count.size else count
    draws = int(np.clip(MOST_READINGS // max(int(per_cell.sum()), 1), FEWEST_DRAWS, DRAWS))
    # Scale from the cells drawn to the cells measured; both have the same readings per cell.
    shrink = math.sqrt(per_cell.size / count.size)
    share = _shares(per_cell, z_own, draws, rng)
    error, df = _common_shift(z, readings)
    moved = rng.standard_t(df, (draws, 2)) * error
    share += moved / shrink @ _HERMITE / _TABLE
    largest = shrink * np.abs(process(share, shrink)).max(axis=1)
    return float((1 + np.count_nonzero(largest >= distance)) / (1 + draws))


def _shares(
    per_cell: NDArray[np.int64], own: float, draws: int, rng: np.random.Generator
) -> Floats:
    """Draw the share of readings in equal steps of u, (draws, table)."""
    cell = np.repeat(np.arange(per_cell.size), per_cell)
    n = cell.size
    z = own * rng.standard_normal((draws, per_cell.size))[:, cell]
    z += math.sqrt(1 - own**2) * rng.standard_normal((draws, n))
    slot = np.minimum((special.ndtr(z) * _TABLE).astype(np.int64), _TABLE - 1)
    slot += _TABLE * np.arange(draws)[:, None]
    return np.bincount(slot.ravel(), minlength=draws * _TABLE).reshape(draws, _TABLE) / n


def _empirical(share: Floats) -> Floats:
    """Return the empirical process on the grid, (draws, grid)."""
    return np.cumsum(share, axis=1)[:, _EVERY - 1 :: _EVERY] - GRID


def _refitted(share: Floats, s: Floats) -> Floats:
    """Return the empirical process after a refit, to first order."""
    process = _empirical(share)
    if not len(s):
        return process
    information = s @ s.T / _TABLE
    tilt = np.cumsum(s, axis=1)[:, _EVERY - 1 :: _EVERY] / _TABLE  # E[s·1(u ≤ t)]
    scale = np.sqrt(np.diagonal(information))
    inverse = np.linalg.pinv(information / np.outer(scale, scale), rcond=1e-8, hermitian=True)
    return process - (share @ (s / scale[:, None]).T) @ inverse @ (tilt / scale[:, None])


def _scores(distribution: LevelDistribution) -> Floats:
    """Return zero-mean scores of the free parameters over equal steps of u, (p, table)."""
    maximum = distribution.maximum
    likelihood, theta, frame = maximum.likelihood, maximum.theta, maximum.frame
    u = (np.arange(_TABLE) + 0.5) / _TABLE
    g = family(distribution.family).ppf(u, likelihood.natural(theta, frame))
    _, score = likelihood.log_density(theta, frame.put(g))
    free = (theta > likelihood.lower) & (theta < likelihood.upper)
    free &= np.isfinite(score).all(axis=1) & (np.ptp(score, axis=1) > 0)
    return np.asarray((score - score.mean(axis=1, keepdims=True))[free], dtype=np.float64)


def _common_shift(z: Floats, readings: LevelReadings) -> tuple[Floats, Floats]:
    """Return the errors of the shift and widening from field and lines, and their df, each (2,)."""
    cells = readings.shape[0] * readings.shape[1]
    field, mean = np.zeros((2, cells)), np.full(cells, np.nan)

    def by_cell(x: Floats) -> Floats:
        total = np.bincount(readings.cell, weights=x, minlength=readings.n_cells)
        return total.astype(np.float64)

    for row, score in zip(field, (z - z.mean(), z**2 - np.mean(z**2)), strict=True):
        row[readings.position] = by_cell(score) / z.size
    mean[readings.position] = by_cell(z) / np.maximum(by_cell(np.ones(z.size)), 1.0)
    driver = Driver.of(mean.reshape(readings.shape))
    found = clustered_covariance(field.reshape(2, *readings.shape), driver=driver)
    common = 1 - 1 / np.maximum(found.inflation, 1.0)
    return found.stderr * np.sqrt(common), found.df
