"""Shares of cells or attempts, with intervals valid for rare, repeated or clustered events.

The share P = Σ x / Σ n over cells has the influence function ψ_c = (x_c − P·n_c)/Σ n. Its variance
is V = Σ ψ_c², because the attempts of one cell are not independent. If events cluster in lines,
sums over lines replace single cells (Cameron, Gelbach and Miller, J. Business & Economic Statistics
29 (2011) 238, for rows and columns together). If they cluster in patches, the products ψ_c·ψ_c' of
all cells up to the distance at which they vanish are added (Conley, J. Econometrics 92 (1999) 1;
the sum over distance stops as in Geyer's initial positive sequence). A round cluster also fills
rows and columns in part, so V is the larger of the two. V gives an effective number of attempts m,
and the interval is Jeffreys' interval for it (Korn and Graubard, Survey Methodology 24 (1998) 193):

    m = P(1 − P)/V,    P ~ Beta(P·m + 1/2, (1 − P)·m + 1/2),

with m at most Σ n. If P is 0 or 1, m is the number of cells tried, and the interval includes P.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, special

from rramfit.card.quantity import Quantity
from rramfit.fitting.failure.fault_clustering import FaultClustering

__all__ = [
    "DOUBT",
    "Share",
    "between",
    "clustered_share",
    "inflation",
    "jeffreys",
    "scaled",
    "share_of",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

DOUBT = 0.5
"""Uncertainty Σ p·(1 − p), in cells, above which intervals span both cases."""

_SURE = 1e-3  # probability below which a cell does not count, above 1 minus which it does
_ONE_SIDED = 0.025


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share and its uncertainty."""

    value: float
    variance: float
    effective: float  # number of independent attempts with the same uncertainty
    inflation: float  # variance relative to independent cells

    def quantity(self) -> Quantity:
        """Return the share with its Jeffreys interval."""
        return jeffreys(self.value * self.effective, self.effective)


def jeffreys(events: float, attempts: float) -> Quantity:
    """Return the share of `events` in `attempts` with Jeffreys' interval; both may be fractions.

    Examples
    --------
    >>> q = jeffreys(0, 100)
    >>> q.value, q.ci95[0], round(q.ci95[1], 4)
    (0.0, 0.0, 0.0247)
    """
    a, b = events + 0.5, attempts - events + 0.5
    value = events / attempts
    low = 0.0 if events <= 0 else float(special.betaincinv(a, b, 0.025))
    high = 1.0 if events >= attempts else float(special.betaincinv(a, b, 0.975))
    stderr = math.sqrt(a * b / ((a + b) ** 2 * (a + b + 1)))
    return Quantity.within(value, stderr, "1", (min(low, value), max(high, value)))


def clustered_share(events: Floats, attempts: Floats, clustering: FaultClustering | None) -> Share:
    """Compute the share of events in attempts over cells.

    Parameters
    ----------
    events, attempts : (row, col) array
        Counts of each cell; cells without attempts are ignored.
    clustering : FaultClustering or None
        Clustering of the faults; None if cells are independent.

    Raises
    ------
    ValueError
        If there is no attempt.
    """
    total, cells = float(attempts.sum()), int((attempts > 0).sum())
    if not cells:
        msg = "a share needs at least one attempt"
        raise ValueError(msg)
    value = float(events.sum()) / total
    psi = np.where(attempts > 0, events - value * attempts, 0.0) / total
    own = float((psi**2).sum())
    if own == 0 or not 0 < value < 1:
        return Share(value=value, variance=0.0, effective=float(cells), inflation=1.0)
    factor = inflation(psi, clustering) if clustering is not None else 1.0
    variance = own * factor
    effective = min(value * (1 - value) / variance, total)
    return Share(value=value, variance=variance, effective=effective, inflation=factor)


def share_of(
    p: Floats, of: Bools, clustering: FaultClustering | None, *, limits: Floats | None = None
) -> Quantity:
    """Estimate a share from the probability of each cell, (row, col), and its limits.

    The interval includes 0 if it may be that no cell counts, and 1 if it may be that all do.
    """
    p = np.where(p < _SURE, 0.0, np.where(p > 1 - _SURE, 1.0, p))
    share = clustered_share(p, of.astype(float), clustering)
    out = share.quantity()
    low, high = out.ci95 or (0.0, 1.0)
    if float((p * (1 - p)).sum()) > DOUBT:
        cells = float(of.sum())
        least, most = (
            scaled(float(n), cells, share.inflation).ci95 or (0.0, 0.0)
            for n in ((p > 0.99).sum(), (p > 0.01).sum())
        )
        low, high = least[0], most[1]
    if limits is not None and float((limits[1] - limits[0]).sum()) > DOUBT:
        least, most = (
            scaled(float(x.sum()), float(of.sum()), share.inflation).ci95 or (0.0, 0.0)
            for x in limits
        )
        low, high = min(low, least[0]), max(high, most[1])
    low = 0.0 if float(np.prod(1 - p[of])) > _ONE_SIDED else low
    high = 1.0 if float(np.prod(p[of])) > _ONE_SIDED else high
    if (low, high) == out.ci95:
        return out
    return between(out.value, low, high)


def between(value: float, low: float, high: float) -> Quantity:
    """Return a share with this interval, and its width as standard error."""
    return Quantity.within(value, (high - low) / 3.92, "1", (min(low, value), high))


def scaled(events: float, cells: float, inflation: float) -> Quantity:
    """Return Jeffreys' interval if as many independent cells are fewer by the inflation."""
    return jeffreys(events / inflation, cells / inflation)


def inflation(psi: Floats, clustering: FaultClustering) -> float:
    """Compute the variance of a sum over cells, relative to independent cells.

    Parameters
    ----------
    psi : (row, col) array
        Contribution of each cell to the sum, with mean 0.
    clustering : FaultClustering
        Lines or patches in which cells are correlated.
    """
    own = float((psi**2).sum())
    rows, cols = clustering.by("row"), clustering.by("column")
    by_row = float((psi.sum(axis=1) ** 2).sum()) if rows else own
    by_col = float((psi.sum(axis=0) ** 2).sum()) if cols else own
    variance = max(by_row + by_col - own, by_row, by_col, own)
    if clustering.by("patch"):
        variance = max(variance, _sum_to_range(psi))
    return variance / own


def _sum_to_range(psi: Floats) -> float:
    """Sum ψ_c·ψ_c' over pairs of cells up to the distance at which they are no longer correlated.

    Distances are rounded to whole pitches. The sum ends before the first distance whose products
    are below the standard deviation that those of independent cells have.
    """
    rows, cols = psi.shape
    products, pairs = _by_distance(psi), _by_distance((psi != 0).astype(np.float64))
    chance = products[0] / pairs[0] * np.sqrt(2 * np.maximum(pairs, 0.0))
    reach = min(rows, cols) // 2
    beyond = np.flatnonzero(products[1:reach] <= chance[1:reach])
    return float(products[: 1 + (beyond[0] if beyond.size else max(reach - 1, 0))].sum())


def _by_distance(x: Floats) -> Floats:
    """Sum x_c·x_c' over pairs of cells by their distance in whole pitches, (distance,)."""
    rows, cols = x.shape
    size = 2 * rows, 2 * cols
    products = fft.irfft2(np.abs(fft.rfft2(x, size)) ** 2, size)
    apart = [np.minimum(np.arange(n), n - np.arange(n)) for n in size]
    distance = np.rint(np.hypot(apart[0][:, None], apart[1])).astype(np.int64)
    return np.asarray(np.bincount(distance.ravel(), products.ravel()), dtype=np.float64)
