"""Compare a card's distribution of a level with another chip's readings.

Each accepted reading y of a healthy cell at the level is transformed to u = F(y) by the card's
distribution; u is uniform on [0, 1] if the distribution also describes the other chip. Coverage,
the Kolmogorov-Smirnov distance and the mean log density follow. The p-value of the distance comes
from a bootstrap (`rramfit.fitting.levels.goodness_bootstrap`) that includes the card's uncertainty
of mean and spread: their errors, and their standard deviations between arrays where these are
known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rramfit.card.families import family
from rramfit.card.quality import HeldOut
from rramfit.card.schema import LevelCard, ModelCard
from rramfit.fitting.checks.heldout import COVERAGES, DISTANCE_LIMIT, P_LIMIT
from rramfit.fitting.levels.goodness_bootstrap import GRID, predicted_p_value
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.statistics.likelihood import collect_readings
from rramfit.streams import stream

__all__ = ["LevelPrediction", "predict_levels"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FEWEST_READINGS = 20
_U = 200  # number of quantiles of u kept for plots


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelPrediction:
    """How well the card's distribution of a level predicts the other chip's readings.

    Attributes
    ----------
    index : int
    name : str
    log_score : float
        Mean log density of the readings under the card's distribution [ln 1/S].
    own_score : float, optional
        The log score of the card's own held-out check [ln 1/S].
    distance : float
        Kolmogorov-Smirnov distance.
    coverage : (3,) array
        Coverage of the card's 50, 90 and 99 % intervals.
    p_value : float
    n_cells, n_observations : int
    u : (q,) array
        Evenly spaced quantiles of the card's distribution function, for plots.
    """

    index: int
    name: str
    log_score: float
    own_score: float | None
    distance: float
    coverage: Floats
    p_value: float
    n_cells: int
    n_observations: int
    u: Floats

    @property
    def fails(self) -> bool:
        """Whether the distance is significant and large enough to matter."""
        return self.p_value < P_LIMIT and self.distance >= DISTANCE_LIMIT

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain values."""
        return {
            "name": self.name,
            "coverage50": float(self.coverage[0]),
            "coverage90": float(self.coverage[1]),
            "coverage99": float(self.coverage[2]),
            "ks_distance": self.distance,
            "p_value": self.p_value,
            "log_score": self.log_score,
            "own_log_score": self.own_score,
            "n_cells": self.n_cells,
            "n_observations": self.n_observations,
            "fails": self.fails,
        }


def predict_levels(
    card: ModelCard, statistics: ProgramStatistics, healthy: Bools, *, seed: int
) -> list[LevelPrediction]:
    """Compare another chip's readings with the card's distributions, level by level."""
    own = {h.level: h for h in card.quality.heldout}
    out = []
    for level in card.levels:
        if level.distribution is None or level.index >= len(statistics.count):
            continue
        one = _predict_level(level, own.get(level.index), statistics, healthy, seed)
        if one is not None:
            out.append(one)
    return out


def _predict_level(
    level: LevelCard,
    own: HeldOut | None,
    statistics: ProgramStatistics,
    healthy: Bools,
    seed: int,
) -> LevelPrediction | None:
    distribution = level.distribution
    if distribution is None:
        return None
    readings = collect_readings(
        statistics.sample,
        healthy,
        level.index,
        floor=statistics.floor,
        ceiling=statistics.ceiling,
    )
    if readings.unclipped.size < FEWEST_READINGS:
        return None
    known = family(distribution.family)
    parameters = {name: q.value for name, q in distribution.parameters.items()}
    u = np.clip(known.cdf(readings.unclipped, parameters), 0.0, 1.0)
    ordered = np.sort(u)
    n = ordered.size
    rank = np.arange(n)
    distance = float(np.max(np.maximum((rank + 1) / n - ordered, ordered - rank / n)))
    density = np.maximum(
        known.logpdf(readings.unclipped, parameters), -1e3
    )  # a finite score outside the support
    p_value = predicted_p_value(
        _gaps(level, parameters),
        readings,
        u,
        distance,
        stream(seed, f"prediction/{level.index}"),
    )
    at = np.linspace(0, n - 1, min(_U, n)).round().astype(np.int64)
    return LevelPrediction(
        index=level.index,
        name=level.name,
        log_score=float(density.mean()),
        own_score=own.log_score if own else None,
        distance=distance,
        coverage=np.array([np.mean(np.abs(u - 0.5) <= c / 2) for c in COVERAGES]),
        p_value=p_value,
        n_cells=readings.n_cells,
        n_observations=n,
        u=ordered[at],
    )


def _gaps(level: LevelCard, parameters: dict[str, float]) -> Floats:
    """Return the change of F at its quantiles for one standard error of mean and of spread.

    The error is that of a new array: from cells and between arrays.
    """
    if level.distribution is None or level.mean is None or level.std is None:
        return np.zeros((0, GRID.size))
    known = family(level.distribution.family)
    inside = np.clip(GRID, 1e-6, 1 - 1e-6)
    g = known.ppf(inside, parameters)
    shift = math.hypot(level.mean.stderr or 0.0, level.mean.between or 0.0)
    spread = math.hypot(level.std.stderr or 0.0, level.std.between or 0.0)
    widen = spread / max(level.std.value, 1e-300)
    moved = (g - shift, level.mean.value + (g - level.mean.value) / (1 + widen))
    return np.stack([known.cdf(x, parameters) - inside for x in moved])
