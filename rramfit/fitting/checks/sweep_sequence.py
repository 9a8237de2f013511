"""The sequence of sweeps: do they drift, and are they all sweeps of their own.

Drift: the mean of accepted readings of sweep t at level k, less the level's mean and in units of
the level's spread, is averaged over levels by its number of readings,

    m_t = Σ_k n_kt·(ȳ_kt − ȳ_k)/σ_k / Σ_k n_kt,

and regressed on t; scatter of sweeps about the line sets the error, so what sweeps have in common
is allowed for. Duplicates: of two separate sweeps, hardly any reading agrees to the last digit
unless the converter is coarse, and then all pairs of sweeps agree as often.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.fitting.result import Finding
from rramfit.fitting.screening.program_statistics import ProgramStatistics

__all__ = ["FEWEST_SWEEPS", "find_drift", "find_duplicates", "identical_reads"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FALSE_ALARM = 1e-3
FEWEST_SWEEPS = 6
_LARGE = 0.5  # change over the sequence in standard deviations of a level that spoils the fits
_ALIKE, _OVER_OTHERS = 0.5, 3.0
_CELLS = 2048  # looked at for duplicates


def find_drift(statistics: ProgramStatistics, spread: Floats) -> list[Finding]:
    """Look for a drift of the levels over the sequence of sweeps.

    Parameters
    ----------
    statistics : ProgramStatistics
    spread : (level,) array
        Standard deviation of readings at each level [S]; NaN where unknown.
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
            f"levels drift by {change:+.2g} standard deviations over the {statistics.sweeps} "
            f"sweeps (p = {max(p, 1e-12):.1g})",
            "chip or instrument changes while it is measured: let it settle, ask for levels in "
            "mixed order, or cut the sequence; c2c holds the drift",
            severe=abs(change) > _LARGE,
        )
    ]


def find_duplicates(statistics: ProgramStatistics, healthy: Bools) -> list[Finding]:
    """Look for sweeps that are copies of others."""
    pairs = _same_means(statistics)
    sample = statistics.sample
    y = sample.conductance[:, healthy]
    rails = [r for r in (statistics.floor, statistics.ceiling) if r is not None]
    y = np.where(np.isin(y, rails), np.nan, y)
    numbers = statistics.sample_sweeps
    pairs |= {(int(numbers[i]), int(numbers[j])) for i, j in identical_reads(y)}
    if not pairs:
        return []
    first = ", ".join(f"{j} of {i}" for i, j in sorted(pairs)[:4])
    copies = len({j for _, j in pairs})
    return [
        Finding(
            f"{copies} of {statistics.sweeps} sweeps are copies of others (sweep {first})",
            "a sweep counted twice makes cycle-to-cycle variation look small: remove the copies",
            severe=True,
        )
    ]


def identical_reads(y: Floats) -> list[tuple[int, int]]:
    """Pairs of reads (i, j), i < j, that are copies of each other.

    Parameters
    ----------
    y : (read, cell) array
        NaN is never alike.
    """
    reads = len(y)
    if reads < 2 or not y.size:
        return []
    x = y[:, :: max(1, y.shape[1] // _CELLS)]
    alike = np.zeros((reads, reads))
    for i in range(reads - 1):
        same = x[i + 1 :] == x[i]
        both = np.isfinite(x[i + 1 :]) & np.isfinite(x[i])
        n = both.sum(axis=1)
        alike[i, i + 1 :] = np.where(n >= 10, same.sum(axis=1) / np.maximum(n, 1), 0.0)
    upper = np.triu_indices(reads, 1)
    usual = float(np.median(alike[upper])) if reads > 3 else 0.0
    found = alike > max(_ALIKE, min(_OVER_OTHERS * usual, 0.95))
    return [(int(i), int(j)) for i, j in np.argwhere(found)]


def _same_means(statistics: ProgramStatistics) -> set[tuple[int, int]]:
    """Sweeps of which all levels' means are the same to the last digit."""
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
