"""Point estimates of one level, and the influences of its cells on them.

Errors of all estimates that depend on the level are computed later and together
(`rramfit.fitting.statistics.influence`): moments, distribution, goodness of fit, and the level's
part in thresholds and stored bits.
"""

from __future__ import annotations

import math
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
_ROUNDING = 1e-6  # of a conductance in float32


@dataclass(slots=True, kw_only=True)
class LevelEstimates:
    """Point estimates of one level, with influences in `parts`, keyed by estimate.

    Attributes
    ----------
    index : int
    readings : LevelReadings
        Readings used to fit the distribution.
    n_cells, n_observations : int
        Number of healthy cells with an accepted reading, and of those readings, in all sweeps.
    n_sample, n_clipped : int
        Number of readings used to fit the distribution, and of those at a rail.
    quantiles : (q,) array
        Evenly spaced quantiles of the readings, clipped ones at their rail [S].
    extremes : (lowest, highest)
        Extreme readings [S]; NaN without readings.
    distribution : LevelDistribution, optional
    reason : str
        Reason for a missing distribution.
    moments : Moments, optional
    driver : Driver
        Cell means.
    reliability : float
        Share of the variance of the cell means that is not noise.
    parts : dict of str to Influence
    """

    index: int
    readings: LevelReadings
    n_cells: int
    n_observations: int
    n_sample: int
    n_clipped: int
    quantiles: Floats
    extremes: tuple[float, float]
    distribution: LevelDistribution | None
    reason: str
    moments: Moments | None
    driver: Driver
    reliability: float
    parts: dict[str, Influence] = field(default_factory=dict)

    def window(self, lower: float | None, upper: float | None) -> tuple[float, float] | None:
        """Return the verify window if it holds all readings, none of which is at a rail.

        An open side is infinite; None without a window.
        """
        low = -math.inf if lower is None or math.isnan(lower) else lower
        high = math.inf if upper is None or math.isnan(upper) else upper
        slack = _ROUNDING * max(abs(x) for x in self.extremes)
        inside = low - slack <= self.extremes[0] and self.extremes[1] <= high + slack
        return (low, high) if inside and self.n_clipped == 0 else None

    def errors(self) -> dict[str, PartErrors]:
        """Compute the errors of all estimates in `parts`."""
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
        Seed of the assignment of cells to folds.
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
        extremes=(float(every.min()), float(every.max())) if at.size else (np.nan, np.nan),
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
    """Return the share of the cell means' variance that is not noise; 1 without repeated cells."""
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
