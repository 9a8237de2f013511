"""Readings as a likelihood sees them: weighted points, and bounds at the rails.

A reading clipped at the instrument's floor says "at most floor", one at the ceiling "at least
ceiling": they are left- and right-censored observations. All readings of one rail have the same
term, so a rail is one more point with a weight.

Many readings are compressed to about 2,000 points before a likelihood is maximised: equal readings
are one point; where there are still too many, the 64 lowest and highest stay single and the rest
are put together in runs of neighbours, each at its own mean. A run's width h changes the likelihood
only in second order, h²·(ln f)''/24 a reading. In the tails, where readings lie far apart, a run
holds 2 % of the readings beyond it, further in all runs hold the same number. The exact readings
then correct the maximum (`rramfit.fitting.statistics.likelihood.maximum`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Frame", "Points", "compress"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_FEW = 2048  # different readings that need no runs
_SINGLE, _RUNS, _TAIL = 64, 1500, 0.02


@dataclass(frozen=True, slots=True)
class Frame:
    """Coordinates in which a likelihood is worked out: x = (g − origin)/unit, of order one."""

    origin: float  # [S]
    unit: float  # [S]

    def put(self, g: Floats) -> Floats:
        """Put conductances [S] into the frame."""
        return np.asarray((g - self.origin) / self.unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Weighted points in a frame, the rails last.

    Attributes
    ----------
    x : (m,) array
        Readings seen as they are.
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
        """Mean of the readings that were seen."""
        w = self.weight[:-2]
        return float(w @ self.x / w.sum())

    @property
    def std(self) -> float:
        """Standard deviation of the readings that were seen."""
        w = self.weight[:-2]
        return float(np.sqrt(w @ (self.x - self.mean) ** 2 / w.sum()))

    def quantile(self, q: Floats) -> Floats:
        """Quantiles of the readings seen; `x` must rise."""
        w = self.weight[:-2]
        at = (np.cumsum(w) - 0.5 * w) / w.sum()
        return np.asarray(np.interp(q, at, self.x))

    def reweighted(self, weight: Floats) -> Points:
        """Return the same points with other weights, (m + 2,)."""
        return Points(x=self.x, floor=self.floor, ceiling=self.ceiling, weight=weight)


def compress(x: Floats) -> tuple[Floats, Integers, bool]:
    """Put readings together into points.

    Parameters
    ----------
    x : (n,) array

    Returns
    -------
    points : (m,) array
        Rising.
    index : (n,) array
        The point of each reading.
    exact : bool
        Whether each point stands for equal readings.
    """
    order = np.argsort(x)  # equal readings in any order: they are of one point
    rising = x[order]
    new = np.ones(x.size, dtype=bool)
    new[1:] = rising[1:] != rising[:-1]
    exact = np.count_nonzero(new) <= _FEW
    if not exact:
        first = np.maximum.accumulate(np.where(new, np.arange(x.size), 0))
        new[:] = False
        new[first[_run_starts(x.size)]] = True
    group = np.cumsum(new) - 1
    index = np.empty(x.size, dtype=np.int64)
    index[order] = group
    if exact:
        return rising[new], index, True
    return np.bincount(group, weights=rising) / np.bincount(group), index, False


def _run_starts(n: int) -> Integers:
    """Ranks at which runs of n > `_FEW` readings start, the same from both ends."""
    step = n / _RUNS
    tail = list(range(_SINGLE + 1))
    while _TAIL * tail[-1] < step:
        tail.append(tail[-1] + max(1, int(_TAIL * tail[-1])))
    inner = np.linspace(tail[-1], n - tail[-1], round((n - 2 * tail[-1]) / step) + 1)
    starts = np.concatenate([tail, inner.astype(np.int64), n - np.array(tail[1:])])
    return np.unique(starts)
