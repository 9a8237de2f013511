"""Shares of cells or attempts, with intervals valid for rare, repeated or clustered events.

The share P = Σ x / Σ n over cells has the influence function ψ_c = (x_c − P·n_c)/Σ n. Its variance
is V = Σ ψ_c², because the attempts of one cell are not independent. If events cluster in lines,
sums over lines replace single cells (Cameron, Gelbach and Miller, J. Business & Economic Statistics
29 (2011) 238, for rows and columns together); if they cluster in patches, the spatial covariance is
added (`rramfit.fitting.statistics.inference`). V gives an effective number of attempts m, and the
interval is Jeffreys' interval for it (Korn and Graubard, Survey Methodology 24 (1998) 193):

    m = P(1 − P)/V,    P ~ Beta(P·m + 1/2, (1 − P)·m + 1/2),

with m at most Σ n. If P is 0 or 1, m is the number of cells tried, and the interval includes P.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.quantity import Quantity
from rramfit.fitting.failure.fault_clustering import FaultClustering
from rramfit.fitting.statistics.inference import clustered_covariance

__all__ = ["Share", "clustered_share", "inflation", "jeffreys"]

Floats = NDArray[np.float64]


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
    if clustering.by("patch") and not (rows or cols):
        found = clustered_covariance(np.where(psi != 0, psi, np.nan)[None])
        t = float(special.stdtrit(found.df[0], 0.975)) / 1.96
        variance = max(variance, own * float(found.inflation[0]) * t**2)
    return variance / own
