"""Which family describes a level: held-out log likelihood over cells.

A family is fitted to four fifths of the cells and asked for the log density of the others, so that
it is not paid for fitting this array's accidents, and readings of one cell, which are alike, never
stand on both sides. Neighbours are alike too where a smooth field runs over the array; cells are
therefore dealt into the five folds by blocks, at random, the array being cut into eight by eight.
The score is the mean over all readings.

Two families are compared by the difference of their scores and its standard error, from the
differences summed by block (paired: most of a score is luck that all families share). Of the
families within one such error of the best, the one with the fewest parameters is chosen, and of
equals the one with the higher score.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.statistics.likelihood import LevelReadings, Maximum, refit
from rramfit.streams import stream

__all__ = ["FOLDS", "Folds", "HeldOutScore", "choose", "deal", "held_out"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FOLDS = 5
_BLOCKS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutScore:
    """What a family says of cells that it was not fitted to.

    Attributes
    ----------
    mean : float
        Log density of a reading [ln 1/S]; of a clipped one the log probability.
    by_cell : (cell,) array
        Summed over each cell's readings.
    """

    mean: float
    by_cell: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Folds:
    """How cells are dealt.

    Attributes
    ----------
    block : (cell,) int array
        Block of each cell, numbered from 0.
    fold : (cell,) int array
        Fold of each.
    weights : (FOLDS, m + 2) array
        Readings of each fold at each node and rail.
    """

    block: Integers
    fold: Integers
    weights: Floats


def deal(readings: LevelReadings, seed: int) -> Folds:
    """Deal the cells of a level into folds, by blocks; one by one where there are few blocks."""
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
    """Score one family on each fold of the cells after fitting it to the others."""
    fold = folds.fold
    everything = folds.weights.sum(axis=0)
    by_fold = np.stack(
        [
            maximum.likelihood.terms(refit(maximum, everything - w), maximum.points)[0]
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
    """Choose by the rule above.

    Parameters
    ----------
    maxima : sequence of Maximum
        Converged ones.
    scores : sequence of HeldOutScore
        Of each.
    readings : LevelReadings
    folds : Folds

    Returns
    -------
    chosen : int
        Which.
    errors : list of float
        Standard error of each score's difference from the best.
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
