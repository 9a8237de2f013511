"""Shares of stuck cells and dead lines, and the conductance of stuck cells.

A share is over the cells that were tried and are not in a dead line. The number of stuck cells on
one side is the sum of their posterior probabilities. If it is uncertain which cells are stuck, the
interval extends from the certainly stuck cells to all possibly stuck ones. After a single attempt,
or with a single level, it extends from 0 to all cells that were not accepted.

The median of fewer than six cells has the standard error of a normal one, √(π/2) times that of the
mean. How stuck cells differ and move is in `rramfit.fitting.failure.stuck_kinds`; after a single
attempt only those stuck high are described, because the others may be cells that failed.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rramfit.card.cells import Fault
from rramfit.card.quantity import Quantity
from rramfit.card.schema import StuckCard
from rramfit.fitting.failure.fault_clustering import FaultClustering
from rramfit.fitting.failure.shares import (
    between,
    clustered_share,
    inflation,
    jeffreys,
    scaled,
    share_of,
)
from rramfit.fitting.failure.stuck_kinds import stuck_kinds
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.screening.response import HIGH, LOW, MIDDLE
from rramfit.fitting.screening.screening import Screening
from rramfit.fitting.statistics.medians import median_of_cells

__all__ = ["stuck_shares"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_SIDES = {"low": (LOW, Fault.STUCK_LOW), "middle": (MIDDLE, Fault.STUCK_MIDDLE)}
_SIDES |= {"high": (HIGH, Fault.STUCK_HIGH)}
_FEWEST_ORDERED = 6  # values whose extremes enclose the median with 95 % probability
_OF_ONE = 0.5  # standard deviation of stuck cells relative to the only one


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
        if name == "high" or not undecided:
            kinds = stuck_kinds(statistics, screening, stuck, clustering, positive=name != "middle")
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
        limits = np.where(here, np.nan_to_num(screening.stuck_limits), 0.0)
        return share_of(p, tried, clustering, limits=limits)
    share = clustered_share(p, tried.astype(float), clustering)
    never = here & (statistics.count.sum(axis=0) == 0)
    most = scaled(float(never.sum()), float(tried.sum()), share.inflation)
    value = share.quantity().value
    return between(value, 0.0, max((most.ci95 or (0.0, 0.0))[1], value))


def _median(
    screening: Screening, stuck: Bools, clustering: FaultClustering | None
) -> Quantity | None:
    """Return the median reading of stuck cells, whose readings may be correlated."""
    y = screening.value[stuck]
    if not y.size:
        return None
    factor = 1.0
    if clustering is not None:
        below = np.where(stuck, (screening.value <= np.median(y)) - 0.5, 0.0)
        factor = inflation(below, clustering)
    if y.size >= _FEWEST_ORDERED:
        return median_of_cells(y, inflation=factor)
    middle = float(np.median(y))
    own = float(y.std(ddof=1)) if y.size > 1 else _OF_ONE * abs(middle)
    df = max(y.size - 1, 1) if y.size > 1 else math.inf
    stderr = own * math.sqrt(0.5 * math.pi * factor / y.size)
    return Quantity.estimated(middle, stderr, "S", scale="log" if middle > 0 else "linear", df=df)


def _lines(dead: int, measured: NDArray[np.int64], axis: int) -> Quantity:
    return jeffreys(dead, int((measured > 0).any(axis=axis).sum()))
