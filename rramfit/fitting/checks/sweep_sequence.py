"""Checks of the sequence of sweeps: drift and duplicates.

Drift: let ȳ_kt be the mean of the accepted readings of sweep t at level k, and ȳ_k and σ_k the
level's mean and standard deviation. The weighted mean over levels,

    m_t = Σ_k n_kt·(ȳ_kt − ȳ_k)/σ_k / Σ_k n_kt,

is regressed on t. The standard error comes from the scatter of sweeps about the line, and so
includes variation that all cells of a sweep share. Duplicates: two separate sweeps share few exact
readings, unless the converter is coarse; then all pairs of sweeps share equally many.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.fitting.result import Finding
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.units import format_p_value

__all__ = ["FEWEST_SWEEPS", "find_drift", "find_duplicates", "identical_reads"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FALSE_ALARM = 1e-3
FEWEST_SWEEPS = 6
_LARGE = 0.5  # drift, in standard deviations of a level, that invalidates the fits
_IDENTICAL, _OVER_USUAL = 0.5, 3.0  # share of identical readings; ratio to the usual share
_CELLS = 2048  # cells compared in the search for duplicates


def find_drift(statistics: ProgramStatistics, spread: Floats) -> list[Finding]:
    """Test for a drift of the levels over the sequence of sweeps.

    Parameters
    ----------
    statistics : ProgramStatistics
    spread : (level,) array
        Standard deviation of readings at each level [S]; NaN if unknown.
    """
    n = np.where(np.isfinite(spread) & (spread > 0), statistics.sweep_count, 0).astype(float)
    y = np.where(n > 0, statistics.sweep_mean, 0.0)
    total = n.sum(axis=0)
    sigma = np.where(total > 0, spread, 1.0)
    scaled = np.where(n > 0, (y - (n * y).sum(axis=0) / np.maximum(total, 1)) / sigma, 0.0)
    weight = n.sum(axis=1)
    seen = weight > 0
    if seen.sum() < FEWEST_SWEEPS:
        return []
    t = np.flatnonzero(seen).astype(float)
    w = weight[seen] / weight[seen].mean()
    m = ((n * scaled).sum(axis=1)[seen]) / weight[seen]
    t -= (w * t).sum() / w.sum()
    slope = (w * t * m).sum() / (w * t**2).sum()
    residual = m - (w * m).sum() / w.sum() - slope * t
    df = len(t) - 2
    error = math.sqrt(float((w * residual**2).sum()) / df / float((w * t**2).sum()))
    if error == 0:
        return []
    p = 2 * float(special.stdtr(df, -abs(slope) / error))
    change = slope * (statistics.sweeps - 1)
    if p > FALSE_ALARM:
        return []
    return [
        Finding(
            f"The levels drift by {change:+.2g} standard deviations over {statistics.sweeps} "
            f"sweeps ({format_p_value(p)}), and cycle-to-cycle variation includes this drift.",
            "Let the chip and the instrument settle, program the levels in mixed order, or use "
            "only a part of the sweeps.",
            severe=abs(change) > _LARGE,
        )
    ]


def find_duplicates(statistics: ProgramStatistics, healthy: Bools) -> list[Finding]:
    """Check for sweeps that duplicate other sweeps."""
    pairs = _same_means(statistics)
    sample = statistics.sample
    y = sample.conductance[:, healthy]
    rails = [r for r in (statistics.floor, statistics.ceiling) if r is not None]
    y = np.where(np.isin(y, rails), np.nan, y)
    numbers = statistics.sample_sweeps
    pairs |= {(int(numbers[i]), int(numbers[j])) for i, j in identical_reads(y)}
    if not pairs:
        return []
    first = ", ".join(f"{j} equals {i}" for i, j in sorted(pairs)[:4])
    copies = len({j for _, j in pairs})
    return [
        Finding(
            f"{copies} of {statistics.sweeps} sweeps "
            f"{'duplicates another sweep' if copies == 1 else 'duplicate other sweeps'} "
            f"(sweep {first}).",
            "Remove the duplicates: they make cycle-to-cycle variation look too small.",
            severe=True,
            affected=copies / statistics.sweeps,
        )
    ]


def identical_reads(y: Floats) -> list[tuple[int, int]]:
    """Find pairs of reads (i, j), i < j, that duplicate each other.

    Parameters
    ----------
    y : (read, cell) array
        NaN never matches.
    """
    reads = len(y)
    if reads < 2 or not y.size:
        return []
    x = y[:, :: max(1, y.shape[1] // _CELLS)]
    shared = np.zeros((reads, reads))
    for i in range(reads - 1):
        same = x[i + 1 :] == x[i]
        both = np.isfinite(x[i + 1 :]) & np.isfinite(x[i])
        n = both.sum(axis=1)
        shared[i, i + 1 :] = np.where(n >= 10, same.sum(axis=1) / np.maximum(n, 1), 0.0)
    upper = np.triu_indices(reads, 1)
    usual = float(np.median(shared[upper])) if reads > 3 else 0.0
    found = shared > max(_IDENTICAL, min(_OVER_USUAL * usual, 0.95))
    return [(int(i), int(j)) for i, j in np.argwhere(found)]


def _same_means(statistics: ProgramStatistics) -> set[tuple[int, int]]:
    """Return pairs of sweeps whose means agree exactly at every level."""
    many = statistics.sweep_count.sum(axis=1) >= 10
    seen: dict[bytes, int] = {}
    out = set()
    for t in np.flatnonzero(many):
        key = np.nan_to_num(statistics.sweep_mean[t]).tobytes()
        if key in seen:
            out.add((seen[key], int(t)))
        else:
            seen[key] = int(t)
    return out
