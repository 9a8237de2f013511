"""Shares of stuck cells and dead lines, and the conductance of stuck cells.

A share is over the cells that were tried and are not in a dead line. The number of stuck cells is
the sum of their posterior probabilities. If it is uncertain which cells are stuck, the interval
extends from the certainly stuck cells to all possibly stuck ones. After a single attempt, or with a
single level, it extends from 0 to all cells that were not accepted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rramfit.card.cells import Fault
from rramfit.card.quantity import Quantity
from rramfit.card.schema import StuckCard
from rramfit.fitting.failure.fault_clustering import FaultClustering
from rramfit.fitting.failure.shares import clustered_share, inflation, jeffreys
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.screening.screening import Screening
from rramfit.fitting.statistics.medians import median_of_cells

__all__ = ["DOUBT", "stuck_shares"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

DOUBT = 0.5
"""Uncertainty Σ p·(1 − p), in cells, above which intervals span both cases."""


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
    undecidable = screening.acceptance == "unknown" and _undecided(screening)
    if undecidable or not tried.any():
        return None
    high = _side(screening, tried)
    return StuckCard(
        low=_share(statistics, screening, tried, ~high, clustering),
        high=_share(statistics, screening, tried, high, clustering),
        low_conductance=_median(screening, Fault.STUCK_LOW, clustering),
        high_conductance=_median(screening, Fault.STUCK_HIGH, clustering),
        dead_rows=_lines(screening.dead_rows.size, statistics.measured, 1),
        dead_cols=_lines(screening.dead_cols.size, statistics.measured, 0),
    )


def _median(
    screening: Screening, fault: Fault, clustering: FaultClustering | None
) -> Quantity | None:
    """Return the median reading of the cells with one fault, whose readings may be correlated."""
    stuck = screening.fault == fault
    y = screening.value[stuck]
    if clustering is None or not y.size:
        return median_of_cells(y)
    below = np.where(stuck, (screening.value <= np.median(y)) - 0.5, 0.0)
    return median_of_cells(y, inflation=inflation(below, clustering))


def _undecided(screening: Screening) -> bool:
    """Return whether no cell was tried twice, or at two distinguishable levels."""
    return screening.attempts_per_cell <= 1 or screening.one_level


def _side(screening: Screening, tried: Bools) -> Bools:
    """Return the cells on the high side: stuck cells as classified, others by their reading."""
    low = screening.fault == Fault.STUCK_LOW
    high = screening.fault == Fault.STUCK_HIGH
    middle = float(np.median(screening.value[tried]))
    with np.errstate(invalid="ignore"):
        above = screening.value > middle
    return np.asarray(high | (above & ~low & ~screening.ambiguous), dtype=np.bool_)


def _share(
    statistics: ProgramStatistics,
    screening: Screening,
    tried: Bools,
    side: Bools,
    clustering: FaultClustering | None,
) -> Quantity:
    p = np.where(tried & side, np.nan_to_num(screening.stuck_posterior), 0.0)
    share = clustered_share(p, tried.astype(float), clustering)
    out = share.quantity()
    cells = float(tried.sum())
    if _undecided(screening):
        never = tried & (statistics.count.sum(axis=0) == 0)
        most = _scaled(float(never.sum()), cells, share.inflation)
        low, high = 0.0, max((most.ci95 or (0.0, 0.0))[1], out.value)
    elif float((p * (1 - p)).sum()) > DOUBT:
        least = _scaled(float((p > 0.99).sum()), cells, share.inflation)
        most = _scaled(float((p > 0.01).sum()), cells, share.inflation)
        low, high = (least.ci95 or (0.0, 0.0))[0], (most.ci95 or (0.0, 0.0))[1]
    else:
        return out
    return Quantity.within(out.value, (high - low) / 3.92, "1", (min(low, out.value), high))


def _scaled(events: float, cells: float, inflation: float) -> Quantity:
    return jeffreys(events / inflation, cells / inflation)


def _lines(dead: int, measured: NDArray[np.int64], axis: int) -> Quantity:
    return jeffreys(dead, int((measured > 0).any(axis=axis).sum()))
