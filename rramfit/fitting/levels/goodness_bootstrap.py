"""Parametric bootstrap of a distribution's distance from its readings, cells and their cycles kept together.

Arrays are drawn from the fitted distribution itself: normal scores z = a·D + √(1 − a²)·E with D the
cell's own and E fresh at each reading, u = Φ(z), and a² the correlation found between readings of a
cell. Each draw is refitted, to first order: with s(u) the score of the distribution at a reading
and I = E[s·s'], the refitted distribution's distribution function at t is off by
E[s·1(u≤t)]'·I⁻¹·mean(s), so

    D*(t) = mean(1[u≤t] − t) − E[s·1(u≤t)]'·I⁻¹·mean(s)

which is right for refits to the same readings and, to this order, for cross-fitted ones: there each
reading enters the others' fits with the same total weight. The largest |D*| shrinks as one over the
root of the number of cells, so that draws of fewer cells serve. A smooth field over the array moves
all readings together: it adds to each draw a common shift of z and a common widening, of the
variances by which it inflates the means of z and of z², Student's t where these are ill known.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.families import family
from rramfit.fitting.levels.distribution import LevelDistribution
from rramfit.fitting.statistics.inference import clustered_covariance
from rramfit.fitting.statistics.likelihood import LevelReadings

__all__ = ["GRID", "bootstrap_p_value", "cell_correlation", "predicted_p_value"]

Floats = NDArray[np.float64]

DRAWS, FEWEST_DRAWS = 400, 250  # the least p-value is one over their number
MOST_CELLS, MOST_READINGS = 200, 500_000
_TABLE, _EVERY = 1024, 8  # even steps of u, of which every eighth is a point t

_X = special.ndtri((np.arange(_TABLE) + 0.5) / _TABLE)
_HERMITE = np.stack([_X, (_X**2 - 1) / 2])  # of the density of u, per unit of mean z and mean z²

GRID: Floats = np.arange(1, _TABLE // _EVERY + 1) * _EVERY / _TABLE
"""Points t at which the distance is taken."""


def bootstrap_p_value(
    distribution: LevelDistribution,
    readings: LevelReadings,
    u: Floats,
    distance: float,
    rng: np.random.Generator,
) -> float:
    """Chance of a distance as large, were the distribution true.

    Parameters
    ----------
    distribution : LevelDistribution
    readings : LevelReadings
    u : (n,) array
        Distribution function at the readings inside the rails.
    distance : float
        Largest gap between the distribution of u and the uniform.
    rng : Generator
    """
    scores = _scores(distribution)
    return _p_value(lambda share, _: _refitted(share, scores), readings, u, distance, rng)


def cell_correlation(z: Floats, readings: LevelReadings) -> float:
    """Correlation of a cell's readings among each other (one-way components), 0 to 1."""
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
    """Chance of a distance as large for a distribution that was fitted elsewhere, and is known so well.

    Parameters
    ----------
    gaps : (k, 128) array
        By how much the distribution function at its own quantiles i/128 is off, one standard error
        of each independent parameter at a time.
    readings, u, distance, rng
        As for `bootstrap_p_value`, u by the distribution from elsewhere.
    """

    def process(share: Floats, shrink: float) -> Floats:
        # What the card is off by does not shrink with this chip's cells.
        wide = rng.standard_normal((len(share), len(gaps))) @ gaps / shrink
        return _empirical(share) + wide

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
    # The same number of readings a cell on average, and as many cells as were measured.
    shrink = math.sqrt(per_cell.size / count.size)
    share = _shares(per_cell, z_own, draws, rng)
    together, df = _together(z, readings)
    moved = rng.standard_t(df, (draws, 2)) * together
    share += moved / shrink @ _HERMITE / _TABLE
    largest = shrink * np.abs(process(share, shrink)).max(axis=1)
    return float((1 + np.count_nonzero(largest >= distance)) / (1 + draws))


def _shares(
    per_cell: NDArray[np.int64], own: float, draws: int, rng: np.random.Generator
) -> Floats:
    """Share of each draw's readings in even steps of u, (draws, table)."""
    cell = np.repeat(np.arange(per_cell.size), per_cell)
    n = cell.size
    z = own * rng.standard_normal((draws, per_cell.size))[:, cell]
    z += math.sqrt(1 - own**2) * rng.standard_normal((draws, n))
    slot = np.minimum((special.ndtr(z) * _TABLE).astype(np.int64), _TABLE - 1)
    slot += _TABLE * np.arange(draws)[:, None]
    return np.bincount(slot.ravel(), minlength=draws * _TABLE).reshape(draws, _TABLE) / n


def _empirical(share: Floats) -> Floats:
    """Empirical process on the grid, (draws, grid)."""
    return np.cumsum(share, axis=1)[:, _EVERY - 1 :: _EVERY] - GRID


def _refitted(share: Floats, s: Floats) -> Floats:
    """Take out of the process what a refit takes, to first order."""
    process = _empirical(share)
    if not len(s):
        return process
    information = s @ s.T / _TABLE
    tilt = np.cumsum(s, axis=1)[:, _EVERY - 1 :: _EVERY] / _TABLE  # E[s·1(u ≤ t)]
    scale = np.sqrt(np.diagonal(information))
    inverse = np.linalg.pinv(information / np.outer(scale, scale), rcond=1e-8, hermitian=True)
    return process - (share @ (s / scale[:, None]).T) @ inverse @ (tilt / scale[:, None])


def _scores(distribution: LevelDistribution) -> Floats:
    """Scores of the distribution's free parameters over even steps of u, (p, table), of mean zero."""
    maximum = distribution.maximum
    likelihood, theta, frame = maximum.likelihood, maximum.theta, maximum.frame
    u = (np.arange(_TABLE) + 0.5) / _TABLE
    g = family(distribution.family).ppf(u, likelihood.natural(theta, frame))
    _, score = likelihood.log_density(theta, frame.put(g))
    free = (theta > likelihood.lower) & (theta < likelihood.upper)
    free &= np.isfinite(score).all(axis=1) & (np.ptp(score, axis=1) > 0)
    return np.asarray((score - score.mean(axis=1, keepdims=True))[free], dtype=np.float64)


def _together(z: Floats, readings: LevelReadings) -> tuple[Floats, Floats]:
    """Give the errors of the shift and widening that a smooth field makes, and their df, (2,)."""
    field = np.zeros((2, readings.shape[0] * readings.shape[1]))
    for row, score in zip(field, (z - z.mean(), z**2 - np.mean(z**2)), strict=True):
        total = np.bincount(readings.cell, weights=score, minlength=readings.n_cells)
        row[readings.position] = total / z.size
    found = clustered_covariance(field.reshape(2, *readings.shape))
    smooth = 1 - 1 / np.maximum(found.inflation, 1.0)
    return found.stderr * np.sqrt(smooth), found.df
