"""Shares of stuck cells and dead lines, and where stuck cells sit.

A share is over cells that were tried and lie in no dead line, for in a dead line nobody can tell.
The count is the sum of posteriors. Where it is not certain which cells are stuck, the interval
spans both readings: from the cells stuck beyond doubt to all that may be. After a single attempt,
or at a single level, that is from none to every cell that was not accepted.
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
"""Cells' worth of doubt, Σ p·(1 − p), from which intervals span both readings."""


def stuck_shares(
    statistics: ProgramStatistics, screening: Screening, clustering: FaultClustering | None
) -> StuckCard | None:
    """Shares of stuck cells and dead lines.

    None where no cell was tried, and where nothing can be told: acceptance is not known and no
    cell was asked for two levels.

    Parameters
    ----------
    statistics : ProgramStatistics
    screening : Screening
    clustering : FaultClustering or None
        How faults lie; None takes cells as independent.
    """
    dead = screening.where(Fault.DEAD_ROW, Fault.DEAD_COL)
    tried = (statistics.attempts.sum(axis=0) > 0) & ~dead
    nothing_to_tell = screening.acceptance == "unknown" and _vague(screening)
    if nothing_to_tell or not tried.any():
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
    """Median reading of the cells of one fault, which may go together where they lie together."""
    stuck = screening.fault == fault
    y = screening.value[stuck]
    if clustering is None or not y.size:
        return median_of_cells(y)
    below = np.where(stuck, (screening.value <= np.median(y)) - 0.5, 0.0)
    return median_of_cells(y, inflation=inflation(below, clustering))


def _vague(screening: Screening) -> bool:
    """Say whether no cell was tried twice, or at two levels that can be told apart."""
    return screening.attempts_per_cell <= 1 or screening.one_level


def _side(screening: Screening, tried: Bools) -> Bools:
    """Cells on the high side: of those called stuck as called, of others by their reading."""
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
    if _vague(screening):
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
