"""Tolerance interval of a level: by its normal or lognormal distribution, or by its readings.

The normal one is taken where the level's family is normal or lognormal and the goodness-of-fit test
does not reject it at 5 %; its numbers of independent cells come from the errors of mean and
standard deviation, which count cells, lines and fields. Otherwise limits are readings, one of each
cell, so that the population is one of cells.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.levels.level_fit import LevelFit
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.statistics.inference import clustered_covariance
from rramfit.fitting.tails.tolerance import (
    Method,
    Tolerance,
    free_limits,
    normal_factor_two_sided,
)

__all__ = ["level_tolerance"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_REJECTED = 0.05
_PARAMETERS: dict[str, tuple[Method, str, str]] = {
    "normal": ("normal", "loc", "scale"),
    "lognormal": ("lognormal", "mu", "sigma"),
}
_FEWEST = 3.0  # independent cells


def level_tolerance(
    statistics: ProgramStatistics, healthy: Bools, level: LevelFit
) -> Tolerance | None:
    """Return the tolerance interval of a level, or how many cells one needs; None if it is empty.

    Parameters
    ----------
    statistics : ProgramStatistics
    healthy : (row, col) bool array
    level : LevelFit
    """
    if not level.readings.n:
        return None
    found = _by_distribution(level)
    if found is not None:
        return found
    values = _one_of_each_cell(statistics, healthy, level.index)
    return free_limits(values[np.isfinite(values)], _inflation(values, level))


def _by_distribution(level: LevelFit) -> Tolerance | None:
    distribution, result = level.distribution, level.result
    if distribution is None or result is None or distribution.family not in _PARAMETERS:
        return None
    p = distribution.chosen.p_value
    if p is None or p < _REJECTED:
        return None
    method, centre, width = _PARAMETERS[distribution.family]
    mean, std = result.estimates[centre], result.estimates[width]
    if not (mean.stderr and std.stderr and std.value > 0):
        return None
    n = min((std.value / mean.stderr) ** 2, float(level.n_observations))
    df = min(0.5 * (std.value / std.stderr) ** 2, level.n_observations - 1.0)
    if min(n, df + 1) < _FEWEST:
        return None
    k = normal_factor_two_sided(n, df)
    ends = (mean.value - k * std.value, mean.value + k * std.value)
    low, high = (math.exp(x) for x in ends) if method == "lognormal" else ends
    return Tolerance(method=method, lower=low, upper=high, cells=min(n, df + 1))


def _one_of_each_cell(statistics: ProgramStatistics, healthy: Bools, level: int) -> Floats:
    """Return the first kept accepted reading of each healthy cell, (row, col); NaN without one."""
    sample = statistics.sample
    y = np.where((sample.level == level) & sample.accepted & healthy, sample.conductance, np.nan)
    seen = np.isfinite(y)
    first = np.argmax(seen, axis=0)
    chosen = np.take_along_axis(y, first[None], axis=0)[0]
    return np.asarray(np.where(seen.any(axis=0), chosen, np.nan), dtype=np.float64)


def _inflation(values: Floats, level: LevelFit) -> float:
    """Return the variance of the number of cells beyond 99 % over that of independent cells."""
    seen = np.isfinite(values)
    if seen.sum() < _FEWEST:
        return 1.0
    found = 1.0
    for share in (0.01, 0.99):
        cut = np.quantile(values[seen], share)
        beyond = np.where(seen, (values > cut) if share > 0.5 else (values < cut), 0.0)
        if 0 < beyond.sum() < seen.sum():
            psi = np.where(seen, beyond - beyond.sum() / seen.sum(), 0.0)
            covariance = clustered_covariance(psi[None], driver=level.driver)
            found = max(found, float(covariance.inflation[0]))
    return found
