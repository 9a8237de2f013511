"""Which stuck cells move from one programming to the next, and which are fixed.

A stuck cell c was read n_c times, with variance v_c. Over the stuck cells on one side, ln σ_c
follows one normal distribution or a mixture of two, with a standard deviation of 0.35 each, and

    (n_c − 1)·v_c/σ_c²  ~  χ²(n_c − 1).

Two are taken if they are more than a factor of 2.5 apart, and ln L is larger by more than 3. With w
the standard deviation between programmings of healthy cells at the nearest level, the cells of the
upper one move if σ > 0.7·w, those of the lower one if σ > w. If there is only one, ln σ/w must be
clear of both limits by 1/√(n − 1): fixed and moving cells may not be separable.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = ["moving_probability"]

Floats = NDArray[np.float64]

_SCATTER = 0.35  # of ln σ over the cells of one kind
_APART = math.log(2.5)
_BETTER = 3.0
_SLIGHT = math.log(0.7)  # of σ/w
_GRID = np.arange(-7.0, 7.05, 0.1)  # of ln(σ/w)
_COARSE = slice(None, None, 2)
_MOST = 400  # cells that decide on two kinds
_SHARES = np.linspace(0.05, 0.95, 19)


def moving_probability(squares: Floats, n: Floats, healthy: Floats) -> Floats:
    """Compute P(moving) of the stuck cells on one side, (cell,); NaN if it cannot be decided.

    Parameters
    ----------
    squares : (cell,) array
        Sum of squares of the readings about their mean [S²].
    n : (cell,) array
        Number of readings.
    healthy : (cell,) array
        Standard deviation between programmings of healthy cells [S].

    Examples
    --------
    >>> n = np.full(4, 20.0)
    >>> v = np.array([0.1, 0.1, 9.0, 10.0])
    >>> moving_probability(v * (n - 1), n, np.ones(4)).round(3).tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    out = np.full(len(n), np.nan)
    seen = n > 1
    if not seen.any():
        return out
    log_p = _log_likelihood(squares[seen] / healthy[seen] ** 2, n[seen] - 1)
    unsure = 1 / math.sqrt(float(np.median(n[seen])) - 1)
    single = float(_GRID[log_p.sum(axis=0).argmax()])
    lower, upper, share, better = _best_pair(log_p)
    if better > _BETTER and _GRID[upper] - _GRID[lower] > _APART:
        odds = math.log(share / (1 - share)) + log_p[:, upper] - log_p[:, lower]
        of_upper = special.expit(odds)
        moves = float(_GRID[upper] > _SLIGHT), float(_GRID[lower] > 0)
        out[seen] = of_upper * moves[0] + (1 - of_upper) * moves[1]
    elif not _SLIGHT - unsure < single <= unsure:
        out[seen] = float(single > 0)
    return out


def _log_likelihood(squares: Floats, df: Floats) -> Floats:
    """Log-likelihood of each cell's variance for each mean of ln σ on the grid, (cell, mean)."""
    x = _GRID[None, :]
    q = np.maximum(squares, df * math.exp(2 * _GRID[0]))[:, None]
    own = -df[:, None] * x - 0.5 * q * np.exp(-2 * x)
    weight = -0.5 * ((_GRID[:, None] - _GRID) / _SCATTER) ** 2
    weight -= special.logsumexp(weight, axis=0)
    top = own.max(axis=1, keepdims=True)
    out: Floats = np.log(np.exp(own - top) @ np.exp(weight) + 1e-300) + top
    return out


def _best_pair(log_p: Floats) -> tuple[int, int, float, float]:
    """Return two means (indices of the grid), the share of the upper one, and the gain in ln L."""
    at = np.arange(len(_GRID))[_COARSE]
    some = np.linspace(0, len(log_p) - 1, min(len(log_p), _MOST)).round().astype(int)
    p = log_p[np.ix_(some, at)]
    one = float(log_p[some].sum(axis=0).max())
    top = p.max(axis=1, keepdims=True)
    p = np.exp(p - top)
    ordered = at[:, None] < at
    best, found = -np.inf, (0, 0, 0.5)
    for share in _SHARES:
        both = share * p[:, None, :] + (1 - share) * p[:, :, None]  # (cell, lower, upper)
        value = np.log(both + 1e-300).sum(axis=0)
        i, j = np.unravel_index(np.where(ordered, value, -np.inf).argmax(), value.shape)
        if value[i, j] > best:
            best, found = float(value[i, j]), (int(at[i]), int(at[j]), float(share))
    return *found, best + float(top.sum()) - one
