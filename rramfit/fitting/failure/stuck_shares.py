"""Shares of stuck cells and dead lines, and the conductance of stuck cells.

A share is over the cells that were tried and are not in a dead line. The number of stuck cells on
one side is the sum of their posterior probabilities. If it is uncertain which cells are stuck, the
interval extends from the certainly stuck cells to all possibly stuck ones. After a single attempt,
or with a single level, it extends from 0 to all cells that were not accepted.

A stuck cell c was read n_c times, with mean m_c and variance v_c, and moves with probability q_c
(`rramfit.fitting.screening.stuck_motion`). Over the cells on one side,

    std²    = Var m_c − mean(v_c/n_c)        of the cells' own means
    motion² = Σ q_c·v_c / Σ q_c              of the moving ones

each with the standard error of a mean over cells, on the logarithm, by Student's t. The median of
fewer than six cells has the standard error of a normal one, √(π/2) times that of the mean.
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
Integers = NDArray[np.int64]

DOUBT = 0.5
"""Uncertainty Σ p·(1 − p), in cells, above which intervals span both cases."""

_SIDES = {"low": (LOW, Fault.STUCK_LOW), "middle": (MIDDLE, Fault.STUCK_MIDDLE)}
_SIDES |= {"high": (HIGH, Fault.STUCK_HIGH)}
_FEWEST = 5  # cells whose standard deviation is estimated
_FEWEST_ORDERED = 6  # values whose extremes enclose the median with 95 % probability
_OF_ONE = 0.5  # standard deviation of stuck cells relative to the only one
_SURE = 1e-3  # probability below which a cell does not count, above 1 minus which it does
_ONE_SIDED = 0.025


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
        limits = np.where(here, np.nan_to_num(screening.stuck_limits), 0.0)
        return _share_of(p, tried, clustering, limits=limits)
    share = clustered_share(p, tried.astype(float), clustering)
    never = here & (statistics.count.sum(axis=0) == 0)
    most = _scaled(float(never.sum()), float(tried.sum()), share.inflation)
    value = share.quantity().value
    return _between(value, 0.0, max((most.ci95 or (0.0, 0.0))[1], value))


def _share_of(
    p: Floats, of: Bools, clustering: FaultClustering | None, *, limits: Floats | None = None
) -> Quantity:
    """Estimate a share from the probability of each cell, (row, col), and its limits.

    The interval includes 0 if it may be that no cell counts, and 1 if it may be that all do.
    """
    p = np.where(p < _SURE, 0.0, np.where(p > 1 - _SURE, 1.0, p))
    share = clustered_share(p, of.astype(float), clustering)
    out = share.quantity()
    low, high = out.ci95 or (0.0, 1.0)
    if float((p * (1 - p)).sum()) > DOUBT:
        cells = float(of.sum())
        least, most = (
            _scaled(float(n), cells, share.inflation).ci95 or (0.0, 0.0)
            for n in ((p > 0.99).sum(), (p > 0.01).sum())
        )
        low, high = least[0], most[1]
    if limits is not None and float((limits[1] - limits[0]).sum()) > DOUBT:
        least, most = (
            _scaled(float(x.sum()), float(of.sum()), share.inflation).ci95 or (0.0, 0.0)
            for x in limits
        )
        low, high = min(low, least[0]), max(high, most[1])
    low = 0.0 if float(np.prod(1 - p[of])) > _ONE_SIDED else low
    high = 1.0 if float(np.prod(p[of])) > _ONE_SIDED else high
    if (low, high) == out.ci95:
        return out
    return _between(out.value, low, high)


def _between(value: float, low: float, high: float) -> Quantity:
    return Quantity.within(value, (high - low) / 3.92, "1", (min(low, value), high))


def _scaled(events: float, cells: float, inflation: float) -> Quantity:
    return jeffreys(events / inflation, cells / inflation)


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
    own = np.where(stuck, np.nan_to_num(screening.stuck_motion), 0.0) ** 2
    m = int(stuck.sum())
    centre = float(screening.value[stuck].mean()) if m else 0.0
    off = np.where(stuck, screening.value - centre, 0.0) ** 2 * m / max(m - 1, 1)
    several = m >= _FEWEST
    return {
        "std": _std(off - own / n, stuck.astype(float), clustering) if several else None,
        "moving": _share_of(p, seen, clustering) if seen.any() else None,
        "motion": _std(own, p, clustering, df=n - 1) if p.sum() > 0.5 else None,
    }


def _std(
    square: Floats,
    weight: Floats,
    clustering: FaultClustering | None,
    *,
    df: Integers | None = None,
) -> Quantity:
    """Return the root of the mean of a square over cells [S].

    For fewer than five cells the error is that of χ² with `df`, the degrees of freedom of each
    cell's variance. If the mean is not significantly above 0, the interval begins there.
    """
    m = float(weight.sum())
    mean = float((weight * square).sum()) / m
    psi = weight * (square - mean)
    factor = inflation(psi, clustering) if clustering is not None and psi.any() else 1.0
    error = math.sqrt(float((psi**2).sum()) / (m * max(m - 1, 1.0)) * factor)
    errors_df = max(m / factor - 1, 1.0)
    if df is not None and m < _FEWEST:
        errors_df = max(float((weight * df).sum()) / factor, 1.0)
        error = mean * math.sqrt(2 / errors_df)
    value, t = math.sqrt(max(mean, 0.0)), float(special.stdtrit(errors_df, 0.975))
    if mean > t * error:
        return Quantity.estimated(value, 0.5 * error / value, "S", scale="log", df=errors_df)
    high = math.sqrt(max(mean, 0.0) + t * error)
    return Quantity.within(value, high / (2 * 1.96), "S", (0.0, high))


def _lines(dead: int, measured: NDArray[np.int64], axis: int) -> Quantity:
    return jeffreys(dead, int((measured > 0).any(axis=axis).sum()))
