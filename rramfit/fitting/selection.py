"""Which family describes a level: held-out log likelihood over cells.

The cells are dealt into five folds at random. A family is fitted to four and asked for the log
density of the fifth, so that a family is not paid for fitting this array's accidents, and readings
of one cell, which are alike, never stand on both sides. The score is the mean over all readings.

Two families are compared by the difference of their scores and its standard error, from the
differences summed by cell (paired: most of a score is luck that all families share). Of the
families within one such error of the best, the one with the fewest parameters is chosen, and of
equals the one with the higher score.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.likelihood import LevelReadings, Maximum, refit
from rramfit.streams import stream

__all__ = ["FOLDS", "HeldOutScore", "choose", "deal", "held_out"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FOLDS = 5


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


def deal(n_cells: int, seed: int, name: str) -> Integers:
    """Fold of each cell, (cell,), folds as equal as can be."""
    order = stream(seed, name).permutation(n_cells)
    return np.asarray(order % FOLDS, dtype=np.int64)


def held_out(maximum: Maximum, readings: LevelReadings, fold: Integers) -> HeldOutScore:
    """Score one family on each fold of the cells after fitting it to the others."""
    weights = readings.fold_weights(fold, FOLDS)
    everything = weights.sum(axis=0)
    by_fold = np.stack(
        [
            maximum.likelihood.terms(refit(maximum, everything - w), maximum.points)[0]
            for w in weights
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
    maxima: Sequence[Maximum], scores: Sequence[HeldOutScore], readings: LevelReadings
) -> tuple[int, list[float]]:
    """Choose by the rule above.

    Parameters
    ----------
    maxima : sequence of Maximum
        Converged ones.
    scores : sequence of HeldOutScore
        Of each.
    readings : LevelReadings

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
        error = float(np.sqrt(((lead - count * mean) ** 2).sum())) / readings.n
        errors.append(error)
        if mean <= error or i == best:
            within.append(i)
    return min(within, key=lambda i: (maxima[i].size, -scores[i].mean)), errors
