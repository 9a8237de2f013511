"""Readings of a level in the direction of one tail, and how far they are from independent.

A tail is seen upwards: x = G or −G, or ±ln G where the level's family is one of positive
conductances, so that no extrapolation leaves it. Readings at a rail are bounds and not values; a
tail with clipped readings has no extreme-value fit.

Readings beyond a threshold come in groups: several cycles of one cell, cells of one line or of one
part of a smooth field. The design effect is the variance of their number over that of independent
readings, the largest of what the clusters of cells, the level's smooth field and line offsets
(`rramfit.fitting.statistics.inference`), and whole rows or columns make of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.statistics.inference import Driver, clustered_covariance
from rramfit.fitting.statistics.likelihood import LevelReadings

__all__ = ["Side", "TailSample", "design_effect", "influence_effect", "tail_sample"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Side = Literal["lower", "upper"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TailSample:
    """Readings of one level, oriented so that the tail is upwards.

    Attributes
    ----------
    side : {"lower", "upper"}
    log : bool
        Whether x is of ln G.
    x : (n,) array
        Rising.
    cell : (n,) int array
        Cell of each reading, numbered as in `position`.
    position : (cell,) int array
        Flat indices of the cells in the array.
    shape : (rows, cols)
    """

    side: Side
    log: bool
    x: Floats
    cell: Integers
    position: Integers
    shape: tuple[int, int]

    def to_x(self, conductance: Floats | float) -> Floats:
        """Convert conductances [S] to x."""
        g = np.asarray(conductance, dtype=np.float64)
        if self.log:
            with np.errstate(divide="ignore", invalid="ignore"):
                g = np.where(g > 0, np.log(np.where(g > 0, g, 1.0)), -np.inf)
        return np.asarray(g if self.side == "upper" else -g)

    def to_conductance(self, x: Floats | float) -> Floats:
        """Convert x to conductances [S]."""
        g = np.asarray(x, dtype=np.float64) * (1.0 if self.side == "upper" else -1.0)
        return np.asarray(np.exp(np.minimum(g, 700.0)) if self.log else g)


def tail_sample(readings: LevelReadings, side: Side, *, positive: bool) -> TailSample:
    """Orient the unclipped readings of a level towards one of its tails.

    Parameters
    ----------
    readings : LevelReadings
    side : {"lower", "upper"}
    positive : bool
        Whether the level's family is one of positive conductances.
    """
    log = positive and bool((readings.unclipped > 0).all())
    made = TailSample(
        side=side,
        log=log,
        x=np.empty(0),
        cell=np.empty(0, np.int64),
        position=readings.position,
        shape=readings.shape,
    )
    x = made.to_x(readings.unclipped)
    order = np.argsort(x, kind="stable")
    return TailSample(
        side=side,
        log=log,
        x=x[order],
        cell=readings.cell[order],
        position=readings.position,
        shape=readings.shape,
    )


def design_effect(
    events: Floats, attempts: Floats, driver: Driver | None, *, whole_lines: bool = True
) -> float:
    """Return the variance of a number of events over that of independent attempts, at least 1.

    Parameters
    ----------
    events, attempts : (row, col) array
        Counts of each cell.
    driver : Driver or None
        Smooth field and line offsets of the level; None if they are not known.
    whole_lines : bool
        Whether events may also gather in rows and columns for other reasons, such as faults.
    """
    total, count = float(attempts.sum()), float(events.sum())
    if not 0 < count < total:
        return max(total / max(int((attempts > 0).sum()), 1), 1.0)
    share = count / total
    psi = np.where(attempts > 0, events - share * attempts, 0.0)
    independent = np.array([total * share * (1 - share)])
    return influence_effect(psi[None], independent, driver, whole_lines=whole_lines)


def influence_effect(
    influence: Floats, independent: Floats, driver: Driver | None, *, whole_lines: bool = True
) -> float:
    """Return the largest ratio of the variances of sums over cells to those without clusters.

    Parameters
    ----------
    influence : (p, row, col) array
        Summed influence of each cell's readings on p estimates; the sum over cells is zero.
    independent : (p,) array
        Their variances if readings were independent.
    driver, whole_lines
        As for `design_effect`.
    """
    own = (influence**2).sum(axis=(1, 2))
    known = (own > 0) & (independent > 0)
    if not known.any():
        return 1.0
    field, own = influence[known], own[known]
    shared = np.ones(len(own))
    if driver is not None:
        scale = np.sqrt(own)[:, None, None]
        shared = np.maximum(shared, clustered_covariance(field / scale, driver=driver).inflation)
    if whole_lines:
        for axis in (1, 2):
            shared = np.maximum(shared, (field.sum(axis=axis) ** 2).sum(axis=1) / own)
    return max(float(np.max(own / independent[known] * shared)), 1.0)
