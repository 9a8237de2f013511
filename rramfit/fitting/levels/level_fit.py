"""Fit of one level: readings, moments, distribution, threshold, and its entry in the card."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rramfit.card.quantity import Quantity
from rramfit.card.schema import LevelCard
from rramfit.fitting.levels.distribution import LevelDistribution
from rramfit.fitting.levels.parameters import error_correlation
from rramfit.fitting.results.result import FitResult
from rramfit.fitting.statistics.inference import Driver
from rramfit.fitting.statistics.likelihood import LevelReadings

__all__ = ["LevelFit"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelFit:
    """Fit of one level.

    Attributes
    ----------
    index : int
    name : str
    target : float
        [S]; NaN for a level that was found blind.
    lower, upper : float, optional
        Verify window [S].
    n_cells, n_observations : int
        Number of healthy cells with an accepted reading, and of those readings, in all sweeps.
    n_sample, n_clipped : int
        Number of readings used to fit the distribution, and of those at a rail.
    readings : LevelReadings
        Readings used to fit the distribution, by cell.
    driver : Driver
        Cell means, with their smooth field and line offsets.
    mean, std : Quantity, optional
        Mean and standard deviation over the population of cells and cycles [S].
    distribution : LevelDistribution, optional
    result : FitResult, optional
        Parameters of the distribution as used in a card.
    reason : str
        Reason for a missing distribution.
    quantiles : (q,) array
        Evenly spaced quantiles of the readings [S], for plots.
    extremes : (lowest, highest)
        Extreme readings [S]; NaN without readings.
    threshold, overlap : Quantity, optional
        Best read threshold to the next level [S], and share of readings misread there.
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
    driver: Driver = field(repr=False)
    mean: Quantity | None
    std: Quantity | None
    distribution: LevelDistribution | None
    result: FitResult | None
    reason: str
    quantiles: Floats
    extremes: tuple[float, float]
    threshold: Quantity | None = None
    overlap: Quantity | None = None

    @property
    def family(self) -> str | None:
        """Name of the chosen family."""
        return self.distribution.family if self.distribution else None

    @property
    def beyond_window(self) -> float | None:
        """Share of the distribution outside the verify window; None if any reading is outside."""
        if self.distribution is None or self.lower is None or self.upper is None:
            return None
        if self.extremes[0] < self.lower or self.extremes[1] > self.upper:
            return None
        ends = np.array([self.lower, self.upper])
        return float(self.distribution.cdf(ends)[0] + self.distribution.sf(ends)[1])

    def to_card(self) -> LevelCard:
        """Return the level as an entry of a card."""
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
            distribution=self.distribution.to_card(
                self.result.estimates, error_correlation(self.result)
            )
            if self.distribution and self.result
            else None,
            upper_threshold=self.threshold,
            overlap=self.overlap,
        )
