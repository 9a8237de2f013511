"""The fit of one level: readings, moments, distribution, threshold, and its part of the card."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rramfit.card.quantity import Quantity
from rramfit.card.schema import LevelCard
from rramfit.fitting.levels.distribution import LevelDistribution
from rramfit.fitting.result import FitResult
from rramfit.fitting.statistics.likelihood import LevelReadings

__all__ = ["LevelFit"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelFit:
    """One level.

    Attributes
    ----------
    index : int
    name : str
    target : float
        [S]
    lower, upper : float, optional
        Verify window [S].
    n_cells, n_observations : int
        Healthy cells with an accepted reading, and those readings, in all sweeps.
    n_sample, n_clipped : int
        Readings that the distribution was fitted to, and how many of these were at a rail.
    readings : LevelReadings
        These readings, cell by cell.
    mean, std : Quantity, optional
        Over the population of cells and cycles [S].
    distribution : LevelDistribution, optional
    result : FitResult, optional
        The distribution's parameters as a card states them.
    reason : str
        Why there is no distribution.
    quantiles : (q,) array
        Evenly spaced quantiles of the readings [S], for pictures.
    reach : (lowest, highest)
        Of the readings [S]; NaN where there is none.
    threshold, overlap : Quantity, optional
        Best read threshold towards the next level [S], and share misread there.
    """

    index: int
    name: str
    target: float
    lower: float | None
    upper: float | None
    n_cells: int
    n_observations: int
    n_sample: int
    n_clipped: int
    readings: LevelReadings = field(repr=False)
    mean: Quantity | None
    std: Quantity | None
    distribution: LevelDistribution | None
    result: FitResult | None
    reason: str
    quantiles: Floats
    reach: tuple[float, float]
    threshold: Quantity | None = None
    overlap: Quantity | None = None

    @property
    def family(self) -> str | None:
        """Name of the chosen family."""
        return self.distribution.family if self.distribution else None

    @property
    def beyond_window(self) -> float | None:
        """Share of the distribution outside a verify window that all readings are in; None if not all."""
        if self.distribution is None or self.lower is None or self.upper is None:
            return None
        if self.reach[0] < self.lower or self.reach[1] > self.upper:
            return None
        ends = np.array([self.lower, self.upper])
        return float(self.distribution.cdf(ends)[0] + self.distribution.sf(ends)[1])

    def to_card(self) -> LevelCard:
        """Write the level as a part of a card."""
        return LevelCard(
            index=self.index,
            name=self.name,
            target=Quantity.given(self.target, "S") if np.isfinite(self.target) else None,
            lower=None if self.lower is None else Quantity.given(self.lower, "S"),
            upper=None if self.upper is None else Quantity.given(self.upper, "S"),
            n_cells=self.n_cells,
            n_observations=self.n_observations,
            mean=self.mean,
            std=self.std,
            distribution=self.distribution.to_card(self.result.estimates)
            if self.distribution and self.result
            else None,
            upper_threshold=self.threshold,
            overlap=self.overlap,
        )
