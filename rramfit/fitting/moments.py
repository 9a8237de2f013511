"""Mean and standard deviation of a level over the population of cells and cycles.

With n_c accepted readings of cell c, their mean m_c and sum of squares q_c about it, N = Σ n_c,

    μ̂ = Σ n_c·m_c/N,   s² = Σ (q_c + n_c·(m_c − μ̂)²)/N.

Each is a sum over cells to first order; the influence of a cell is

    ψ_μ = n_c·(m_c − μ̂)/N,   ψ_σ² = (q_c + n_c·(m_c − μ̂)² − n_c·s²)/N,

and the covariance comes from these fields (`rramfit.fitting.inference`), so that readings of one
cell, and neighbours under one smooth field, are not taken for independent. s² misses how far the
array's mean lies from the population's: E s² = σ² − Var(μ̂), so σ̂² = s² + Var(μ̂).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.card.quantity import Quantity
from rramfit.fitting.inference import clustered_covariance
from rramfit.fitting.statistics import ProgramStatistics

__all__ = ["Moments", "level_moments"]

Bools = NDArray[np.bool_]

LEAST_CELLS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Mean and standard deviation of one level, or of none where too few cells were read.

    Attributes
    ----------
    n_cells, n_observations : int
        Healthy cells with an accepted reading, and those readings, over all sweeps.
    mean, std : Quantity, optional
        [S]
    """

    n_cells: int
    n_observations: int
    mean: Quantity | None = None
    std: Quantity | None = None


def level_moments(statistics: ProgramStatistics, healthy: Bools, level: int) -> Moments:
    """Estimate a level's mean and standard deviation from all its accepted readings.

    Parameters
    ----------
    statistics : ProgramStatistics
    healthy : (row, col) bool array
    level : int
    """
    n = np.where(healthy, statistics.count[level], 0).astype(np.float64)
    seen = n > 0
    total, cells = float(n.sum()), int(seen.sum())
    if cells < LEAST_CELLS:
        return Moments(n_cells=cells, n_observations=int(total))
    m = np.where(seen, statistics.mean[level], 0.0)
    mean = float((n * m).sum() / total)
    away = np.where(seen, m - mean, 0.0)
    square = np.where(seen, statistics.m2[level], 0.0) + n * away**2
    variance = float(square.sum() / total)
    influence = np.stack([n * away / total, (square - n * variance) / total])
    unit = math.sqrt(variance) if variance > 0 else 1.0
    scaled = influence / np.array([unit, unit**2])[:, None, None]
    found = clustered_covariance(scaled)
    error = np.sqrt(np.diagonal(found.covariance)) * np.array([unit, unit**2])
    std = math.sqrt(variance + float(error[0]) ** 2)
    return Moments(
        n_cells=cells,
        n_observations=int(total),
        mean=Quantity.estimated(mean, float(error[0]), "S", df=float(found.df[0])),
        std=Quantity.estimated(
            std,
            float(error[1]) / (2 * std) if std > 0 else 0.0,
            "S",
            scale="log",
            df=float(found.df[1]),
        ),
    )
