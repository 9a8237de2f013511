"""Selection of the family that describes a level, by held-out log likelihood over cells.

Each family is fitted to four fifths of the cells and scored by the log density of the remaining
fifth, so that overfitting to this array is not rewarded. All readings of one cell are in the same
fold because they are correlated. Neighbouring cells are correlated too if a smooth field runs over
the array; cells are therefore assigned to the five folds at random by blocks, the array being
divided into 8 × 8 blocks. The score is the mean over all readings.

Two families are compared by the difference of their scores. Its standard error comes from the
differences summed by block; the comparison is paired because most of the random part of a score is
common to all families. Among the families within one standard error of the best, the one with the
fewest parameters is chosen, and among equals the one with the higher score.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.statistics.likelihood import LevelReadings, Maximum, refit
from rramfit.streams import stream

__all__ = ["FOLDS", "Folds", "HeldOutScore", "assign_folds", "choose", "held_out"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FOLDS = 5
_BLOCKS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutScore:
    """Score of a family on cells that it was not fitted to.

    Attributes
    ----------
    mean : float
        Mean log density of a reading [ln 1/S]; log probability for a clipped one.
    by_cell : (cell,) array
        Sum over the readings of each cell.
    """

    mean: float
    by_cell: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Folds:
    """Assignment of cells to blocks and folds.

    Attributes
    ----------
    block : (cell,) int array
        Block of each cell, numbered from 0.
    fold : (cell,) int array
        Fold of each cell.
    weights : (FOLDS, m + 2) array
        Number of readings of each fold at each node and rail.
    """

    block: Integers
    fold: Integers
    weights: Floats


def assign_folds(readings: LevelReadings, seed: int) -> Folds:
    """Assign the cells of a level to folds by blocks, or one by one if there are few blocks."""
    row, col = np.divmod(readings.position, readings.shape[1])
    rows, cols = readings.shape
    place = (row * _BLOCKS // rows) * _BLOCKS + col * _BLOCKS // cols
    present, block = np.unique(place, return_inverse=True)
    if present.size < 2 * FOLDS:
        block = np.arange(readings.n_cells)
    order = stream(seed, f"levels/{readings.level}/folds").permutation(int(block.max()) + 1)
    fold = np.asarray(order[block] % FOLDS, dtype=np.int64)
    return Folds(block=block, fold=fold, weights=readings.fold_weights(fold, FOLDS))


def held_out(maximum: Maximum, readings: LevelReadings, folds: Folds) -> HeldOutScore:
    """Score a family on each fold of the cells after fitting it to the other folds."""
    fold = folds.fold
    total = folds.weights.sum(axis=0)
    by_fold = np.stack(
        [
            maximum.likelihood.terms(refit(maximum, total - w), maximum.points)[0]
            for w in folds.weights
        ]
    )
    by_fold[:, :-2] -= math.log(maximum.frame.unit)
    at = readings.point + fold[readings.cell] * by_fold.shape[1]
    by_cell: Floats = np.bincount(
        readings.cell, weights=by_fold.ravel()[at], minlength=readings.n_cells
    ).astype(float)
    if readings.n_clipped:
        by_cell += readings.floor_count * by_fold[fold, -2]
        by_cell += readings.ceiling_count * by_fold[fold, -1]
    return HeldOutScore(mean=float(by_cell.sum() / readings.n), by_cell=by_cell)


def choose(
    maxima: Sequence[Maximum],
    scores: Sequence[HeldOutScore],
    readings: LevelReadings,
    folds: Folds,
) -> tuple[int, list[float]]:
    """Choose a family by the one-standard-error rule of the module docstring.

    Parameters
    ----------
    maxima : sequence of Maximum
        Converged fits.
    scores : sequence of HeldOutScore
        Score of each fit.
    readings : LevelReadings
    folds : Folds

    Returns
    -------
    chosen : int
        Index of the chosen fit.
    errors : list of float
        Standard error of the difference of each score from the best.
    """
    best = int(np.argmax([s.mean for s in scores]))
    count = readings.cell_sums(np.ones(readings.weight.size))
    errors, within = [], []
    for i, score in enumerate(scores):
        lead = scores[best].by_cell - score.by_cell
        mean = float(lead.sum()) / readings.n
        by_block = np.bincount(folds.block, weights=lead - count * mean)
        error = float(np.sqrt((by_block**2).sum())) / readings.n
        errors.append(error)
        if mean <= error or i == best:
            within.append(i)
    return min(within, key=lambda i: (maxima[i].size, -scores[i].mean)), errors
