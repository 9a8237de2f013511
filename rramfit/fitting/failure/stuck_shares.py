"""Shares of stuck cells and dead lines, and the conductance of stuck cells.

A share is over the cells that were tried and are not in a dead line. The number of stuck cells on
one side is the sum of their posterior probabilities. If it is uncertain which cells are stuck, the
interval extends from the certainly stuck cells to all possibly stuck ones. After a single attempt,
or with a single level, it extends from 0 to all cells that were not accepted.

A stuck cell c was read n_c times, with mean m_c and variance v_c. Over the cells on one side,

    std²    = Var m_c − mean(v_c/n_c)        of the cells' own means
    motion² = mean(v_c)                      of the moving ones

each with the standard error of a mean over cells, on the logarithm, by Student's t.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.cells import Fault
from rramfit.card.quantity import Quantity
from rramfit.card.schema import StuckCard
from rramfit.fitting.failure.fault_clustering import FaultClustering
from rramfit.fitting.failure.shares import clustered_share, inflation, jeffreys
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.screening.response import HIGH, LOW, MIDDLE
from rramfit.fitting.screening.screening import Screening
from rramfit.fitting.statistics.medians import median_of_cells

__all__ = ["DOUBT", "stuck_shares"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

DOUBT = 0.5
"""Uncertainty Σ p·(1 − p), in cells, above which intervals span both cases."""

_SIDES = {"low": (LOW, Fault.STUCK_LOW), "middle": (MIDDLE, Fault.STUCK_MIDDLE)}
_SIDES |= {"high": (HIGH, Fault.STUCK_HIGH)}
_FEWEST = 5  # cells whose standard deviation is estimated


def stuck_shares(
    statistics: ProgramStatistics, screening: Screening, clustering: FaultClustering | None
) -> StuckCard | None:
    """Estimate the shares of stuck cells and dead lines.

    Return None if no cell was tried, or if acceptance is not known and no cell was programmed to
    two levels.

    Parameters
    ----------
    statistics : ProgramStatistics
    screening : Screening
    clustering : FaultClustering or None
        Clustering of the faults; None if cells are independent.
    """
    dead = screening.where(Fault.DEAD_ROW, Fault.DEAD_COL)
    tried = (statistics.attempts.sum(axis=0) > 0) & ~dead
    undecided = _undecided(screening)
    if (screening.acceptance == "unknown" and undecided) or not tried.any():
        return None
    found: dict[str, Quantity | None] = {}
    for name, (side, fault) in _SIDES.items():
        here, stuck = tried & (screening.stuck_side == side), screening.fault == fault
        likely = bool((np.nan_to_num(screening.stuck_posterior[here]) > 0).any())
        if name != "middle" or likely or not undecided:
            found[name] = _share(statistics, screening, tried, here, clustering)
        found[f"{name}_conductance"] = _median(screening, stuck, clustering)
        kinds = _kinds(statistics, screening, stuck, clustering)
        found |= {f"{name}_{word}": q for word, q in kinds.items()}
    return StuckCard(
        **found,
        dead_rows=_lines(screening.dead_rows.size, statistics.measured, 1),
        dead_cols=_lines(screening.dead_cols.size, statistics.measured, 0),
    )


def _undecided(screening: Screening) -> bool:
    """Return whether no cell was tried twice, or at two distinguishable levels."""
    return screening.attempts_per_cell <= 1 or screening.one_level


def _share(
    statistics: ProgramStatistics,
    screening: Screening,
    tried: Bools,
    here: Bools,
    clustering: FaultClustering | None,
) -> Quantity:
    """Estimate the share of the tried cells that are stuck on one side."""
    p = np.where(here, np.nan_to_num(screening.stuck_posterior), 0.0)
    if not _undecided(screening):
        return _share_of(p, tried, clustering)
    share = clustered_share(p, tried.astype(float), clustering)
    never = tried & (statistics.count.sum(axis=0) == 0)
    most = _scaled(float(never.sum()), float(tried.sum()), share.inflation)
    value = share.quantity().value
    return _between(value, 0.0, max((most.ci95 or (0.0, 0.0))[1], value))


def _share_of(p: Floats, of: Bools, clustering: FaultClustering | None) -> Quantity:
    """Estimate a share from the probability of each cell, (row, col)."""
    share = clustered_share(p, of.astype(float), clustering)
    out = share.quantity()
    if float((p * (1 - p)).sum()) <= DOUBT:
        return out
    cells = float(of.sum())
    least, most = (
        _scaled(float(n), cells, share.inflation).ci95 or (0.0, 0.0)
        for n in ((p > 0.99).sum(), (p > 0.01).sum())
    )
    return _between(out.value, least[0], most[1])


def _between(value: float, low: float, high: float) -> Quantity:
    return Quantity.within(value, (high - low) / 3.92, "1", (min(low, value), high))


def _scaled(events: float, cells: float, inflation: float) -> Quantity:
    return jeffreys(events / inflation, cells / inflation)


def _median(
    screening: Screening, stuck: Bools, clustering: FaultClustering | None
) -> Quantity | None:
    """Return the median reading of stuck cells, whose readings may be correlated."""
    y = screening.value[stuck]
    if clustering is None or not y.size:
        return median_of_cells(y)
    below = np.where(stuck, (screening.value <= np.median(y)) - 0.5, 0.0)
    return median_of_cells(y, inflation=inflation(below, clustering))


def _kinds(
    statistics: ProgramStatistics,
    screening: Screening,
    stuck: Bools,
    clustering: FaultClustering | None,
) -> dict[str, Quantity | None]:
    """Estimate how cells that are stuck on one side differ, and how they move."""
    moving = screening.stuck_moving
    seen = stuck & np.isfinite(moving)
    p = np.where(seen, np.nan_to_num(moving), 0.0)
    n = np.maximum(statistics.attempts.sum(axis=0), 1)
    own = np.where(seen, screening.stuck_motion**2, 0.0)
    m = int(stuck.sum())
    centre = float(screening.value[stuck].mean()) if m else 0.0
    off = np.where(stuck, screening.value - centre, 0.0)
    return {
        "std": _std(off**2 * m / max(m - 1, 1) - own / n, stuck, clustering),
        "moving": _share_of(p, seen, clustering) if seen.any() else None,
        "motion": _std(own, seen & (p > 0.5), clustering),
    }


def _std(square: Floats, cells: Bools, clustering: FaultClustering | None) -> Quantity | None:
    """Return the root of the mean of a square over cells [S]; None for fewer than five cells.

    If the mean is not significantly above 0, the interval begins there.
    """
    m = int(cells.sum())
    if m < _FEWEST:
        return None
    mean = float(square[cells].mean())
    psi = np.where(cells, square - mean, 0.0)
    factor = inflation(psi, clustering) if clustering is not None and psi.any() else 1.0
    error = math.sqrt(float((psi**2).sum()) / (m * (m - 1)) * factor)
    df = max(m / factor - 1, 1.0)
    value = math.sqrt(max(mean, 0.0))
    t = float(special.stdtrit(df, 0.975))
    if mean > t * error:
        return Quantity.estimated(value, 0.5 * error / value, "S", scale="log", df=df)
    high = math.sqrt(max(mean, 0.0) + t * error)
    return Quantity.within(value, high / (2 * 1.96), "S", (0.0, high))


def _lines(dead: int, measured: NDArray[np.int64], axis: int) -> Quantity:
    return jeffreys(dead, int((measured > 0).any(axis=axis).sum()))
