"""One level before its errors are known: point estimates, and what the cells' influences are.

Errors come later, for all that rests on the level at once (`rramfit.fitting.statistics.influence`):
moments, distribution, test of fit, and the level's part in thresholds and stored bits.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rramfit.errors import FitError
from rramfit.fitting.levels.distribution import LevelDistribution, fit_distribution
from rramfit.fitting.levels.moments import Moments, distribution_moments, reading_moments
from rramfit.fitting.levels.parameters import parameter_influence
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.statistics.inference import Driver
from rramfit.fitting.statistics.influence import Influence, PartErrors, part_errors
from rramfit.fitting.statistics.likelihood import LevelReadings, collect_readings

__all__ = ["LevelEstimates", "estimate_level"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_CLIPPED_SHARE = 1e-3
_QUANTILES = 200
_LEAST_CELLS = 20
_LEAST_RELIABILITY = 0.05


@dataclass(slots=True, kw_only=True)
class LevelEstimates:
    """Point estimates of one level, and `parts`: influences by what they are on.

    Attributes
    ----------
    index : int
    readings : LevelReadings
        What the distribution was fitted to.
    n_cells, n_observations : int
        Healthy cells with an accepted reading, and those readings, in all sweeps.
    n_sample, n_clipped : int
        Readings that the distribution was fitted to, and how many of these were at a rail.
    quantiles : (q,) array
        Evenly spaced quantiles of the readings, clipped ones at their rail [S].
    reach : (lowest, highest)
        Of the readings [S]; NaN where there is none.
    distribution : LevelDistribution, optional
    reason : str
        Why there is no distribution.
    moments : Moments, optional
    driver : Driver
        The cells' own means.
    reliability : float
        Share of their variance that is not noise of the mean.
    parts : dict of str to Influence
    """

    index: int
    readings: LevelReadings
    n_cells: int
    n_observations: int
    n_sample: int
    n_clipped: int
    quantiles: Floats
    reach: tuple[float, float]
    distribution: LevelDistribution | None
    reason: str
    moments: Moments | None
    driver: Driver
    reliability: float
    parts: dict[str, Influence] = field(default_factory=dict)

    def errors(self) -> dict[str, PartErrors]:
        """Errors of everything in `parts`."""
        return part_errors(self.parts, self.driver)


def estimate_level(
    statistics: ProgramStatistics, healthy: Bools, level: int, seed: int
) -> LevelEstimates:
    """Estimate one level's moments and distribution.

    Parameters
    ----------
    statistics : ProgramStatistics
    healthy : (row, col) bool array
    level : int
    seed : int
        Of the folds that cells are dealt into.
    """
    readings = collect_readings(
        statistics.sample, healthy, level, floor=statistics.floor, ceiling=statistics.ceiling
    )
    distribution, reason = None, ""
    try:
        distribution = fit_distribution(readings, seed=seed)
    except FitError as e:
        reason = str(e)
    n_cells, n_observations, moments = reading_moments(statistics, healthy, level)
    if readings.n_clipped > _CLIPPED_SHARE * readings.n:
        moments = distribution_moments(distribution) if distribution else None
    parts: dict[str, Influence] = {}
    if moments is not None:
        parts["moments"] = moments.influence
    if distribution is not None:
        parts["distribution"] = parameter_influence(distribution)
        parts["fit"] = distribution.tests[distribution.family].leading
    every = readings.with_clipped()
    at = np.linspace(0.0, 1.0, 2 * min(_QUANTILES, every.size) + 1)[1::2]
    return LevelEstimates(
        index=level,
        readings=readings,
        n_cells=n_cells,
        n_observations=n_observations,
        n_sample=readings.n,
        n_clipped=readings.n_clipped,
        quantiles=np.quantile(every, at) if at.size else np.empty(0),
        reach=(float(every.min()), float(every.max())) if at.size else (np.nan, np.nan),
        distribution=distribution,
        reason=reason,
        moments=moments,
        parts=parts,
        driver=Driver.of(
            np.where(healthy & (statistics.count[level] > 0), statistics.mean[level], np.nan)
        ),
        reliability=_reliability(statistics, healthy, level),
    )


def _reliability(statistics: ProgramStatistics, healthy: Bools, level: int) -> float:
    """Share of the variance of cells' means that is theirs; 1 where no cell was read twice."""
    count = statistics.count[level][healthy]
    seen, again = count > 0, count > 1
    if not again.any() or seen.sum() < _LEAST_CELLS:
        return 1.0
    within = statistics.m2[level][healthy][again].sum() / (count[again] - 1).sum()
    between = float(statistics.mean[level][healthy][seen].var())
    if between <= 0:
        return 1.0
    noise = float(within * (1 / count[seen]).mean())
    return max(1 - noise / between, _LEAST_RELIABILITY)
