"""How cells that are stuck on one side differ, and how they move between programmings.

A stuck cell c was read n_c times, with mean m_c and variance v_c, and moves with probability q_c
(`rramfit.fitting.screening.stuck_motion`). Over the cells on one side,

    std²    = Var m_c − mean(v_c/n_c)        of the cells' own means
    motion² = Σ q_c·v_c / Σ q_c              of the moving ones

Cells stuck low or high are lognormal over cells unless a normal distribution is clearly likelier.
Then, with σ² = Var ln m_c − mean(v_c/(n_c·m_c²)) and M the geometric mean,

    std² = M²·e^(σ²)·(e^(σ²) − 1),

where Var ln m_c has the error of χ² and ln M that of a mean. Otherwise, and for the motion, the
error is that of a mean of squares over cells, on the logarithm, by Student's t.

A few cells that failed at every attempt and are taken for stuck ones can be far from all others, at
the level that failed cells are left at. If at least half of the cells have a posterior above 0.99
and are away from all levels, the estimates are those of these cells, and the intervals span those
of all cells.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.quantity import Quantity
from rramfit.fitting.failure.fault_clustering import FaultClustering
from rramfit.fitting.failure.shares import inflation, share_of
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.screening.response import FAR, level_spread
from rramfit.fitting.screening.screening import Screening

__all__ = ["stuck_kinds"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]

_FEWEST = 5  # cells whose standard deviation is estimated
_CERTAIN = 0.99  # posterior of the cells that estimates rest on
_WIDEST = 1.0  # standard deviation of ln G of lognormal cells; above, a few cells are far off
_LIKELIER = 2.0  # gain in ln L from which cells are normal, not lognormal


def stuck_kinds(
    statistics: ProgramStatistics,
    screening: Screening,
    stuck: Bools,
    clustering: FaultClustering | None,
    *,
    positive: bool,
) -> dict[str, Quantity | None]:
    """Estimate `std` [S], `moving` and `motion` [S] of the cells stuck on one side.

    Parameters
    ----------
    statistics : ProgramStatistics
    screening : Screening
    stuck : (row, col) bool array
    clustering : FaultClustering or None
    positive : bool
        Whether the cells may be lognormal; those in the middle are anywhere between the levels.
    """
    every = _of_cells(statistics, screening, stuck, clustering, positive=positive)
    certain = stuck & (np.nan_to_num(screening.stuck_posterior) > _CERTAIN)
    certain &= ~_at_a_level(statistics, screening)
    if certain.sum() < max(0.5 * stuck.sum(), 1) or certain.sum() == stuck.sum():
        return every
    sure = _of_cells(statistics, screening, certain, clustering, positive=positive)
    return {name: _spanning(sure[name], q) for name, q in every.items()}


def _at_a_level(statistics: ProgramStatistics, screening: Screening) -> Bools:
    """Return the cells that read what accepted cells read at a level."""
    at = level_spread(statistics, screening.healthy)
    with np.errstate(invalid="ignore"):
        off = np.abs(screening.value - at.centre[:, None, None])
        return np.asarray((off <= FAR * at.spread[:, None, None]).any(axis=0))


def _spanning(sure: Quantity | None, every: Quantity | None) -> Quantity | None:
    """Return the estimate of the certain cells with an interval that spans that of all cells."""
    if sure is None or every is None:
        return sure or every
    ends = [x for q in (sure, every) for x in (q.ci95 or (q.value, q.value))]
    low, high = min(ends), max(ends)
    if (low, high) == sure.ci95:
        return sure
    stderr = max(sure.stderr or 0.0, (high - low) / 3.92)
    return Quantity.within(sure.value, stderr, sure.unit, (low, high))


def _of_cells(
    statistics: ProgramStatistics,
    screening: Screening,
    stuck: Bools,
    clustering: FaultClustering | None,
    *,
    positive: bool,
) -> dict[str, Quantity | None]:
    moving = screening.stuck_moving
    seen = stuck & np.isfinite(moving)
    p = np.where(seen, np.nan_to_num(moving), 0.0)
    n = np.maximum(statistics.attempts.sum(axis=0), 1)
    own = np.where(stuck, np.nan_to_num(screening.stuck_motion), 0.0) ** 2
    several = int(stuck.sum()) >= _FEWEST
    std = None
    if several and positive and _is_lognormal(screening.value[stuck]):
        std = _lognormal_std(screening.value, own / n, stuck, clustering)
    elif several:
        m = int(stuck.sum())
        centre = float(screening.value[stuck].mean())
        off = np.where(stuck, screening.value - centre, 0.0) ** 2 * m / (m - 1)
        normal = 2 * off[stuck].mean() ** 2 / (m - 1) if positive else 0.0
        std = _root_mean(off - own / n, stuck.astype(float), clustering, least=normal)
    return {
        "std": std,
        "moving": share_of(p, seen, clustering) if seen.any() else None,
        "motion": _root_mean(own, p, clustering, df=n - 1) if p.sum() > 0.5 else None,
    }


def _is_lognormal(y: Floats) -> bool:
    """Return whether a lognormal distribution is at most slightly less likely than a normal one."""
    if (y <= 0).any():
        return False
    x = np.log(y)
    if x.std() == 0 or x.std() > _WIDEST:
        return bool(x.std() == 0)
    gain = len(y) * math.log(float(x.std()) / float(y.std())) + float(x.sum())
    return gain < _LIKELIER


def _lognormal_std(
    value: Floats, noise: Floats, stuck: Bools, clustering: FaultClustering | None
) -> Quantity:
    """Return the standard deviation of lognormal cells [S]; `noise` is that of their means [S²]."""
    x = np.log(np.where(stuck, value, 1.0))
    m = int(stuck.sum())
    centre = float(x[stuck].mean())
    total = float(x[stuck].var(ddof=1))
    measured = float((noise[stuck] / value[stuck] ** 2).mean())
    off = np.where(stuck, x - centre, 0.0)
    factor = of_centre = 1.0
    if clustering is not None and total > 0:
        factor = inflation(np.where(stuck, off**2 - total * (m - 1) / m, 0.0), clustering)
        of_centre = inflation(off, clustering)
    df = max(m / factor - 1, 1.0)

    def std(variance: float) -> float:
        s2 = max(variance - measured, 0.0)
        return math.exp(centre + 0.5 * s2) * math.sqrt(math.expm1(s2))

    middle = std(total)
    ends = [std(total * df / float(special.chdtri(df, q))) for q in (0.025, 0.975)]
    shift = float(special.stdtrit(df, 0.975)) * math.sqrt(total * of_centre / m)
    low, high = ends
    if middle > 0:
        high = middle * math.exp(math.hypot(math.log(high / middle), shift))
        low = middle * math.exp(-math.hypot(math.log(middle / low), shift)) if low > 0 else 0.0
    return Quantity.within(middle, (high - low) / (2 * 1.96), "S", (low, high))


def _root_mean(
    square: Floats,
    weight: Floats,
    clustering: FaultClustering | None,
    *,
    df: Integers | None = None,
    least: float = 0.0,
) -> Quantity:
    """Return the root of the mean of a square over cells [S].

    `least` is the smallest variance of the mean, because few cells do not show their tails.
    For fewer than five cells the error is that of χ² with `df`, the degrees of freedom of each
    cell's variance. If the mean is not significantly above 0, the interval begins there.
    """
    m = float(weight.sum())
    mean = float((weight * square).sum()) / m
    psi = weight * (square - mean)
    factor = inflation(psi, clustering) if clustering is not None and psi.any() else 1.0
    variance = float((psi**2).sum()) / (m * max(m - 1, 1.0))
    error = math.sqrt(max(variance, least) * factor)
    errors_df = max(m / factor - 1, 1.0)
    if df is not None and m < _FEWEST:
        errors_df = max(float((weight * df).sum()) / factor, 1.0)
        error = mean * math.sqrt(2 / errors_df)
    value, t = math.sqrt(max(mean, 0.0)), float(special.stdtrit(errors_df, 0.975))
    if mean > t * error:
        return Quantity.estimated(value, 0.5 * error / value, "S", scale="log", df=errors_df)
    high = math.sqrt(max(mean, 0.0) + t * error)
    return Quantity.within(value, high / (2 * 1.96), "S", (0.0, high))
