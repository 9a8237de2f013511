"""Dead rows and columns: an open line, or a line that reads a constant.

A cell is unresponsive if it reads near zero or does not respond to its target. A line is dead if at
least 90 % of its measured cells are unresponsive, and if chance does not explain it:

    lines · P(Binomial(n, p) >= m) < 1e-4,

with m unresponsive cells among n measured ones, and p their share in the median line. A few missing
or odd cells do not hide a dead line. A line is also dead if all its cells read the same. With known
levels, their spread must be far below the spread of healthy cells at these levels; without, the
readings must be practically one number, because a row may have been programmed to one state.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = ["constant_lines", "unresponsive_lines"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

_UNRESPONSIVE_SHARE = 0.9
_FEWEST = 4  # measured cells that a line needs to be judged
_CHANCE = 1e-4  # of calling any line of a healthy array dead
_FEWEST_NARROW = 16  # measured cells below which a narrow spread may be chance
_NARROW = 0.1  # spread of a constant line, relative to healthy cells at one level
_SAME = 1e-3  # relative spread of a constant line if levels are not known


def unresponsive_lines(unresponsive: Bools, measured: Bools, axis: int) -> Bools:
    """Find rows (axis 0) or columns (axis 1) that are dead because their cells do not respond.

    Parameters
    ----------
    unresponsive : (row, col) bool array
        Cells that read near zero or never respond.
    measured : (row, col) bool array
    axis : {0, 1}

    Returns
    -------
    (line,) bool array
    """
    n = measured.sum(axis=1 - axis)
    m = (unresponsive & measured).sum(axis=1 - axis)
    seen = n >= _FEWEST
    if not seen.any():
        return np.zeros(len(n), dtype=bool)
    elsewhere = float(np.median(m[seen] / n[seen]))
    elsewhere = max(elsewhere, 1.0 / (int(n.sum()) + 1))
    with np.errstate(invalid="ignore"):
        tail = np.where(m > 0, special.betainc(np.maximum(m, 1), n - m + 1.0, elsewhere), 1.0)
        dead: Bools = seen & (m >= _UNRESPONSIVE_SHARE * n) & (tail * seen.sum() < _CHANCE)
    return dead


def constant_lines(value: Floats, level: Integers, spread: Floats, axis: int) -> Bools:
    """Find rows (axis 0) or columns (axis 1) that read a constant.

    Parameters
    ----------
    value : (row, col) array
        One reading of each cell [S]; NaN if there is none.
    level : (row, col) int array
        Target level of that reading; -1 if it is not known.
    spread : (level,) array
        Standard deviation of healthy cells' readings at each level [S]; NaN if not known.
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
        usual = spread[asked[ok & (asked >= 0)]]
        usual = usual[np.isfinite(usual)]
        healthy = float(np.median(usual)) if usual.size else 0.0
        if healthy > 0 and ok.sum() >= _FEWEST_NARROW:
            out[i] = around < _NARROW * healthy
        else:
            out[i] = around <= _SAME * abs(centre)
    judged = np.isfinite(x).sum(axis=1) >= _FEWEST
    if out.sum() > 0.5 * judged.sum():  # most lines read so: not a fault of single lines
        out[:] = False
    return out
