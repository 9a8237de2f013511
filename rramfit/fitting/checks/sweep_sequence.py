"""Checks of the sequence of sweeps: drift and duplicates.

Drift: let ȳ_kt be the mean of the accepted readings of sweep t at level k, and ȳ_k and σ_k the
level's mean and standard deviation. The weighted mean over levels,

    m_t = Σ_k n_kt·(ȳ_kt − ȳ_k)/σ_k / Σ_k n_kt,

is regressed on t. The standard error comes from the scatter of sweeps about the line, and so
includes variation that all cells of a sweep share.

This compares different cells if the pattern of levels changes from sweep to sweep. Then each cell c
is compared with itself: with x = t − t̄_kc and y = (g_tc − ḡ_kc)/σ_k about the means of the cell at
the level,

    slope = Σ x·y / Σ x²,    Var(slope) = [u²·Σ_t (Σ_c x_tc)² + e²·Σ x²] / (Σ x²)²,

e² the variance of a residual and u² that which the cells of a sweep share.

Duplicates: two separate sweeps share few exact readings, unless the converter is coarse; then all
pairs of sweeps share equally many. A reading that many cells have in common, such as the one code
of a low level, says nothing.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.fitting.results.result import Finding
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.units import format_p_value

__all__ = ["FEWEST_SWEEPS", "find_drift", "find_duplicates", "identical_reads"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

FALSE_ALARM = 1e-3
FEWEST_SWEEPS = 6
_LARGE = 0.5  # drift, in standard deviations of a level, that invalidates the fits
_IDENTICAL, _OVER_USUAL = 0.5, 3.0  # share of identical readings; ratio to the usual share
_CELLS = 2048  # cells compared in the search for duplicates
_FEWEST_CELLS, _FEW_READS = 10, 3
_COMMON = 5  # cells of one read with the same reading from which a match says nothing
_SAME_CELLS = 0.99  # share of a level's cells in each of its sweeps: the pattern does not change


def find_drift(statistics: ProgramStatistics, spread: Floats) -> list[Finding]:
    """Test for a drift of the levels over the sequence of sweeps.

    Parameters
    ----------
    statistics : ProgramStatistics
    spread : (level,) array
        Standard deviation of readings at each level [S]; NaN if unknown.
    """
    found = (_drift_of_sweeps if _one_pattern(statistics) else _drift_of_cells)(statistics, spread)
    if found is None:
        return []
    slope, error, df = found
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
            code="drift-over-sweeps",
        )
    ]


def _one_pattern(statistics: ProgramStatistics) -> bool:
    """Return whether each level is on the same cells in all of its sweeps."""
    sweeps = (statistics.sweep_count > 0).sum(axis=0)
    used = statistics.count > 0
    share = statistics.count.sum(axis=(1, 2)) / np.maximum(used.sum(axis=(1, 2)) * sweeps, 1)
    accepted = statistics.count.sum() / max(int(statistics.attempts.sum()), 1)
    return bool((share[sweeps > 0] >= _SAME_CELLS * accepted).all())


def _drift_of_sweeps(
    statistics: ProgramStatistics, spread: Floats
) -> tuple[float, float, float] | None:
    """Return slope of the sweep means [standard deviations per sweep], its error and df."""
    n = np.where(np.isfinite(spread) & (spread > 0), statistics.sweep_count, 0).astype(float)
    y = np.where(n > 0, statistics.sweep_mean, 0.0)
    total = n.sum(axis=0)
    sigma = np.where(total > 0, spread, 1.0)
    scaled = np.where(n > 0, (y - (n * y).sum(axis=0) / np.maximum(total, 1)) / sigma, 0.0)
    weight = n.sum(axis=1)
    seen = weight > 0
    if seen.sum() < FEWEST_SWEEPS:
        return None
    t = np.flatnonzero(seen).astype(float)
    w = weight[seen] / weight[seen].mean()
    m = ((n * scaled).sum(axis=1)[seen]) / weight[seen]
    t -= (w * t).sum() / w.sum()
    slope = (w * t * m).sum() / (w * t**2).sum()
    residual = m - (w * m).sum() / w.sum() - slope * t
    df = len(t) - 2
    error = math.sqrt(float((w * residual**2).sum()) / df / float((w * t**2).sum()))
    return float(slope), error, df


def _drift_of_cells(
    statistics: ProgramStatistics, spread: Floats
) -> tuple[float, float, float] | None:
    """Return the slope of each cell about its own mean at a level, its error and df."""
    sample, times = statistics.sample, statistics.sample_sweeps.astype(float)
    x, y = (np.zeros(sample.conductance.shape) for _ in range(2))
    used = np.zeros(x.shape, dtype=bool)
    free = 0
    for k in np.flatnonzero(np.isfinite(spread) & (spread > 0)):
        mine = sample.accepted & (sample.level == k) & np.isfinite(sample.conductance)
        n = mine.sum(axis=0)
        mine &= n > 1
        some = np.maximum(n, 1)
        t_mean = np.where(mine, times[:, None, None], 0.0).sum(axis=0) / some
        g_mean = np.where(mine, sample.conductance, 0.0).sum(axis=0) / some
        x += np.where(mine, times[:, None, None] - t_mean, 0.0)
        y += np.where(mine, (sample.conductance - g_mean) / spread[k], 0.0)
        used |= mine
        free += int((n[n > 1] - 1).sum())
    sweeps = used.any(axis=(1, 2))
    total = float(np.sum(x**2))
    if sweeps.sum() < FEWEST_SWEEPS or total == 0 or free < 2:
        return None
    slope = float(np.sum(x * y)) / total
    residual = np.where(used, y - slope * x, 0.0)
    own = float(np.sum(residual**2)) / (free - 1)
    count = used.sum(axis=(1, 2))[sweeps]
    scatter = residual.sum(axis=(1, 2))[sweeps] / count
    df = float(sweeps.sum()) - 2
    shared = max(float(np.sum(scatter**2)) / df - own * free / used.sum() * np.mean(1 / count), 0.0)
    variance = shared * float(np.sum(x.sum(axis=(1, 2)) ** 2)) + own * total
    return slope, math.sqrt(variance) / total, df


def find_duplicates(statistics: ProgramStatistics, healthy: Bools) -> list[Finding]:
    """Check for sweeps that duplicate other sweeps."""
    pairs = _same_means(statistics)
    sample = statistics.sample
    y = sample.conductance[:, healthy]
    rails = [r for r in (statistics.floor, statistics.ceiling) if r is not None]
    y = np.where(np.isin(y, rails), np.nan, y)
    numbers = statistics.sample_sweeps
    level = sample.level[:, healthy]
    pairs |= {(int(numbers[i]), int(numbers[j])) for i, j in identical_reads(y, level)}
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
            code="repeated-sweeps",
        )
    ]


def identical_reads(y: Floats, level: Integers | None = None) -> list[tuple[int, int]]:
    """Find pairs of reads (i, j), i < j, that duplicate each other.

    Readings that more than five cells of a read have in common are used only if there are no others
    and more than three reads, which show how many readings agree by chance. Only cells that were at
    one level in both reads are used then.

    Parameters
    ----------
    y : (read, cell) array
        NaN never matches.
    level : (read, cell) int array, optional
        Level of each reading.
    """
    reads = len(y)
    if reads < 2 or not y.size:
        return []
    step = max(1, y.shape[1] // _CELLS)
    x, k = y[:, ::step], None if level is None else level[:, ::step]
    shared, among_rare = (np.full((reads, reads), np.nan) for _ in range(2))
    for i in range(reads - 1):
        _, back, count = np.unique(x[i], return_inverse=True, return_counts=True)
        rare = count[back] <= _COMMON
        both = np.isfinite(x[i + 1 :]) & np.isfinite(x[i])
        same = both & (x[i + 1 :] == x[i])
        alike = both if k is None else both & (k[i + 1 :] == k[i])
        for out, cells in ((shared, alike), (among_rare, both & rare)):
            n = cells.sum(axis=1)
            share = (same & cells).sum(axis=1) / np.maximum(n, 1)
            out[i, i + 1 :] = np.where(n >= _FEWEST_CELLS, share, np.nan)
    found = _agree_too_often(among_rare)
    if reads > _FEW_READS:
        found |= np.isnan(among_rare) & _agree_too_often(shared)
    return [(int(i), int(j)) for i, j in np.argwhere(found)]


def _agree_too_often(shared: Floats) -> Bools:
    """Return which pairs of reads share far more readings than the other pairs do."""
    pairs = shared[np.isfinite(shared)]
    usual = float(np.median(pairs)) if pairs.size > _FEW_READS else 0.0
    with np.errstate(invalid="ignore"):
        out: Bools = shared > max(_IDENTICAL, min(_OVER_USUAL * usual, 0.95))
    return out


def _same_means(statistics: ProgramStatistics) -> set[tuple[int, int]]:
    """Return pairs of sweeps, not both in the sample, whose means agree exactly at every level."""
    many = statistics.sweep_count.sum(axis=1) >= _FEWEST_CELLS
    sampled = set(statistics.sample_sweeps.tolist())
    seen: dict[bytes, int] = {}
    out = set()
    for t in np.flatnonzero(many):
        key = np.nan_to_num(statistics.sweep_mean[t]).tobytes()
        if key not in seen:
            seen[key] = int(t)
        elif not {seen[key], int(t)} <= sampled:
            out.add((seen[key], int(t)))
    return out
