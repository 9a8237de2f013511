"""Rows and columns that are dead as a whole: an open line, or one that reads a constant.

A line is dead where at least nine in ten of its measured cells are mute (they read near zero, or do
not follow what is asked of them) and that is more than the mute cells elsewhere on the array can
explain by chance,

    lines · P(Binomial(n, p) >= m) < 1e-4,

p the share of mute cells in the median line; a few missing or odd cells do not hide it. A line is
also dead where its cells read alike although others' differ: where cells were asked for known
levels, their spread is far below that of the levels' cells; where levels are not known, the
readings are practically one number (a whole row may have been put into one state, so a merely
narrow spread proves nothing there).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = ["constant_lines", "mute_lines"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

_MUTE_SHARE = 0.9
_FEWEST = 4  # measured cells without which nothing is said of a line
_CHANCE = 1e-4  # of calling any line of a sound array dead
_FEWEST_NARROW = 16  # measured cells without which a narrow spread may be chance
_NARROW = 0.1  # spread of a constant line, against that of sound cells at one level
_SAME = 1e-3  # relative spread of a constant line where levels are not known


def mute_lines(mute: Bools, measured: Bools, axis: int) -> Bools:
    """Say which rows (axis 0) or columns (axis 1) are dead because their cells are mute.

    Parameters
    ----------
    mute : (row, col) bool array
        Cells that read near zero or never respond.
    measured : (row, col) bool array
    axis : {0, 1}

    Returns
    -------
    (line,) bool array
    """
    n = measured.sum(axis=1 - axis)
    m = (mute & measured).sum(axis=1 - axis)
    seen = n >= _FEWEST
    if not seen.any():
        return np.zeros(len(n), dtype=bool)
    elsewhere = float(np.median(m[seen] / n[seen]))
    elsewhere = max(elsewhere, 1.0 / (int(n.sum()) + 1))
    with np.errstate(invalid="ignore"):
        tail = np.where(m > 0, special.betainc(np.maximum(m, 1), n - m + 1.0, elsewhere), 1.0)
        dead: Bools = seen & (m >= _MUTE_SHARE * n) & (tail * seen.sum() < _CHANCE)
    return dead


def constant_lines(value: Floats, level: Integers, spread: Floats, axis: int) -> Bools:
    """Say which rows (axis 0) or columns (axis 1) read a constant.

    Parameters
    ----------
    value : (row, col) array
        A reading of each cell [S]; NaN where there is none.
    level : (row, col) int array
        What was asked for in that reading; -1 where that is not known.
    spread : (level,) array
        Standard deviation of sound cells' readings at each level [S]; NaN where not known.
    axis : {0, 1}

    Returns
    -------
    (line,) bool array
    """
    x = value if axis == 0 else value.T
    k = level if axis == 0 else level.T
    out = np.zeros(len(x), dtype=bool)
    for i, (y, asked) in enumerate(zip(x, k, strict=True)):
        ok = np.isfinite(y)
        if ok.sum() < _FEWEST:
            continue
        centre = float(np.median(y[ok]))
        around = 1.4826 * float(np.median(np.abs(y[ok] - centre)))
        sounds = spread[asked[ok & (asked >= 0)]]
        sounds = sounds[np.isfinite(sounds)]
        sound = float(np.median(sounds)) if sounds.size else 0.0
        if sound > 0 and ok.sum() >= _FEWEST_NARROW:
            out[i] = around < _NARROW * sound
        else:
            out[i] = around <= _SAME * abs(centre)
    sound_lines = np.isfinite(x).sum(axis=1) >= _FEWEST
    if out.sum() > 0.5 * sound_lines.sum():  # then it is how this array reads, not a fault of lines
        out[:] = False
    return out
