"""Readings in the form that a likelihood uses: weighted points, and bounds at the rails.

A reading clipped at the instrument's floor means "at most floor", one at the ceiling "at least
ceiling": left- and right-censored observations. All readings at one rail have the same term, so a
rail is one more point with a weight.

Large samples are compressed to about 2,000 points before a likelihood is maximised. Equal readings
become one point. If too many points remain, the 64 lowest and 64 highest stay single and the rest
are grouped into bins of neighbours, each represented by its mean. A bin of width h changes the
likelihood only to second order, by h²·(ln f)''/24 per reading. In the tails, where readings are far
apart, a bin holds 2 % of the readings beyond it; elsewhere all bins hold the same number. The exact
readings then correct the maximum (`rramfit.fitting.statistics.likelihood.maximum`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Frame", "Points", "compress"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_FEW = 2048  # number of different readings up to which no bins are needed
_SINGLE, _BINS, _TAIL = 64, 1500, 0.02


@dataclass(frozen=True, slots=True)
class Frame:
    """Coordinates for computing a likelihood: x = (g − origin)/unit, of order one."""

    origin: float  # [S]
    unit: float  # [S]

    def put(self, g: Floats) -> Floats:
        """Convert conductances [S] to the frame."""
        return np.asarray((g - self.origin) / self.unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Weighted points in a frame, the rails last.

    Attributes
    ----------
    x : (m,) array
        Unclipped readings.
    floor, ceiling : float, optional
        Rails at which readings were clipped.
    weight : (m + 2,) array
        Number of readings at each point, at the floor, and at the ceiling.
    """

    x: Floats
    floor: float | None
    ceiling: float | None
    weight: Floats

    @property
    def total(self) -> float:
        """Number of readings."""
        return float(self.weight.sum())

    @property
    def mean(self) -> float:
        """Mean of the unclipped readings."""
        w = self.weight[:-2]
        return float(w @ self.x / w.sum())

    @property
    def std(self) -> float:
        """Standard deviation of the unclipped readings."""
        w = self.weight[:-2]
        return float(np.sqrt(w @ (self.x - self.mean) ** 2 / w.sum()))

    def quantile(self, q: Floats) -> Floats:
        """Return quantiles of the unclipped readings; `x` must be ascending."""
        w = self.weight[:-2]
        at = (np.cumsum(w) - 0.5 * w) / w.sum()
        return np.asarray(np.interp(q, at, self.x))

    def reweighted(self, weight: Floats) -> Points:
        """Return the same points with other weights, (m + 2,)."""
        return Points(x=self.x, floor=self.floor, ceiling=self.ceiling, weight=weight)


def compress(x: Floats) -> tuple[Floats, Integers, bool]:
    """Compress readings to points.

    Parameters
    ----------
    x : (n,) array

    Returns
    -------
    points : (m,) array
        Ascending.
    index : (n,) array
        Point of each reading.
    exact : bool
        Whether each point represents equal readings only.
    """
    order = np.argsort(x)  # equal readings in any order: they share a point
    ascending = x[order]
    new = np.ones(x.size, dtype=bool)
    new[1:] = ascending[1:] != ascending[:-1]
    exact = np.count_nonzero(new) <= _FEW
    if not exact:
        first = np.maximum.accumulate(np.where(new, np.arange(x.size), 0))
        new[:] = False
        new[first[_bin_starts(x.size)]] = True
    group = np.cumsum(new) - 1
    index = np.empty(x.size, dtype=np.int64)
    index[order] = group
    if exact:
        return ascending[new], index, True
    return np.bincount(group, weights=ascending) / np.bincount(group), index, False


def _bin_starts(n: int) -> Integers:
    """Return the start ranks of the bins of n > `_FEW` readings, the same from both ends."""
    step = n / _BINS
    tail = list(range(_SINGLE + 1))
    while _TAIL * tail[-1] < step:
        tail.append(tail[-1] + max(1, int(_TAIL * tail[-1])))
    inner = np.linspace(tail[-1], n - tail[-1], round((n - 2 * tail[-1]) / step) + 1)
    starts = np.concatenate([tail, inner.astype(np.int64), n - np.array(tail[1:])])
    return np.unique(starts)
