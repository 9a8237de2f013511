"""Where the cells of a level are: scattered over the array, or on a pattern.

A level of a random pattern is scattered: the share of pairs of cells that both have it is ρ² at
every distance, with ρ its density. On stripes, blocks or a checkerboard, the share depends on the
distance, and the ordinates of the cosine transform
(`rramfit.fitting.statistics.over_array.ordinates`) repeat each other: as n cells have n independent
ordinates, N ordinates count as n.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["lattice", "pair_shares", "pairs_by_distance"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

_NEAR = 0.5  # of either side: lags at which pairs are counted
_UNEVEN = 0.25  # deviation of the share of pairs from ρ², relative to it, of a pattern
_NOISE = 6.0  # standard deviations of it, likewise


def lattice(observed: Bools) -> tuple[slice, slice]:
    """Return the smallest regular lattice of rows and columns that holds the observed cells."""
    box = []
    for axis in (1, 0):
        used = np.flatnonzero(observed.any(axis=axis))
        step = max(int(np.gcd.reduce(np.diff(used))), 1) if used.size > 1 else 1
        box.append(slice(used[0], used[-1] + 1, step) if used.size else slice(0, 0, 1))
    return box[0], box[1]


def pair_shares(observed: Bools) -> Floats | None:
    """Return the share of pairs at each lag that are observed, over the density of the cells.

    Parameters
    ----------
    observed : (row, col) bool array

    Returns
    -------
    (row lag, col lag) array or None
        Mean of both directions of a lag, 1 at lag 0; None if the cells are not on a pattern.

    Examples
    --------
    >>> stripes = np.arange(48) // 2 % 3 == 0
    >>> pair_shares(np.broadcast_to(stripes, (48, 48)))[0, :7].round(1)
    array([1. , 0.5, 0. , 0. , 0. , 0.5, 1. ])
    >>> pair_shares(np.random.default_rng(0).random((48, 48)) < 0.5) is None
    True
    """
    rows, cols = observed.shape
    density = float(observed.mean())
    if density >= 1 or not observed.any():
        return None
    spectrum = np.abs(np.fft.rfft2(observed, (2 * rows, 2 * cols))) ** 2
    found = np.fft.irfft2(spectrum, (2 * rows, 2 * cols))
    backward = np.roll(found[:, ::-1], 1, axis=1)
    pairs = 0.5 * (found + backward)[:rows, :cols]
    every = np.outer(rows - np.arange(rows), cols - np.arange(cols))
    share = np.maximum(pairs, 0.0) / every
    near = np.s_[: max(int(_NEAR * rows), 1), : max(int(_NEAR * cols), 1)]
    expected = density**2 * every[near]
    off = np.abs(pairs[near] - expected)
    off[0, 0] = 0.0
    if not (off > np.maximum(_UNEVEN * expected, _NOISE * np.sqrt(2 * expected + 1))).any():
        return None
    return np.asarray(share / density)


def pairs_by_distance(weights: Floats) -> tuple[Floats, Floats]:
    """Return distances between different cells, and Σ a_c·a_c' of the pairs at each."""
    rows, cols = weights.shape
    spectrum = np.abs(np.fft.rfft2(weights, (2 * rows, 2 * cols))) ** 2
    pairs = np.fft.irfft2(spectrum, (2 * rows, 2 * cols))  # by lag, wrapped
    pairs[0, 0] = 0.0
    square, place = _lags(rows, cols)
    return np.sqrt(square), np.asarray(np.bincount(place, pairs.ravel()), dtype=np.float64)


@lru_cache(maxsize=16)
def _lags(rows: int, cols: int) -> tuple[Floats, Integers]:
    """Squared distances of all lags, and which of them each wrapped lag has."""
    lag_r, lag_c = (np.minimum(np.arange(2 * n), 2 * n - np.arange(2 * n)) for n in (rows, cols))
    square, place = np.unique(lag_r[:, None] ** 2 + lag_c**2, return_inverse=True)
    return square.astype(np.float64), place.ravel()
