"""Compare a card's distribution of a level with another chip's readings.

Each accepted reading y of a healthy cell at the level is transformed to u = F(y) by the card's
distribution; u is uniform on [0, 1] if the distribution also describes the other chip. Coverage,
the Kolmogorov-Smirnov distance and the mean log density follow. The p-value of the distance comes
from a bootstrap (`rramfit.fitting.levels.goodness_bootstrap`) that includes the card's uncertainty
of mean and spread: their errors, and their standard deviations between arrays. Where these are not
known, the standard deviations of their trends over either array take the place.

Two arrays of one kind can differ by more than that. Where it is not known how much, a significant
distance of at most 10 % is undecided.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rramfit.card.families import family
from rramfit.card.quality import HeldOut
from rramfit.card.quantity import Quantity
from rramfit.card.schema import LevelCard, ModelCard
from rramfit.fitting.checks.heldout import (
    COVERAGES,
    DISTANCE_LIMIT,
    P_LIMIT,
    SEVERE_DISTANCE,
)
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
    between_known : bool
        Whether a card states how much mean or standard deviation differ between arrays.
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
    between_known: bool

    @property
    def fails(self) -> bool:
        """Whether the distance is significant and large enough to matter."""
        return self.p_value < P_LIMIT and self.distance >= DISTANCE_LIMIT

    @property
    def undecided(self) -> bool:
        """Whether arrays of this kind may usually differ as much as these two."""
        return self.fails and self.distance <= SEVERE_DISTANCE and not self.between_known

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
            "undecided": self.undecided,
        }


def predict_levels(
    card: ModelCard,
    statistics: ProgramStatistics,
    healthy: Bools,
    *,
    seed: int,
    other: ModelCard | None = None,
) -> list[LevelPrediction]:
    """Compare another chip's readings with the card's distributions, level by level.

    Parameters
    ----------
    card : ModelCard
    statistics : ProgramStatistics
        Of the other chip.
    healthy : (row, col) bool array
        Of the other chip.
    seed : int
        Seed of the bootstrap.
    other : ModelCard, optional
        The other chip's own card, for its trends over the array.
    """
    own = {h.level: h for h in card.quality.heldout}
    others = {} if other is None else {x.index: x for x in other.levels}
    out = []
    for level in card.levels:
        if level.distribution is None or level.index >= len(statistics.count):
            continue
        twin = others.get(level.index)
        one = _predict_level(level, own.get(level.index), twin, statistics, healthy, seed)
        if one is not None:
            out.append(one)
    return out


def _predict_level(
    level: LevelCard,
    own: HeldOut | None,
    other: LevelCard | None,
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
        _gaps(level, parameters, _spreads(level, other)),
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
        between_known=any(
            q is not None and q.between is not None
            for x in (level, other)
            if x is not None
            for q in (x.mean, x.std)
        ),
    )


def _spreads(level: LevelCard, other: LevelCard | None) -> tuple[float, float]:
    """Return by how much mean and standard deviation may differ between the two arrays [S]."""
    out = []
    for name in ("mean", "std"):
        both: list[Quantity | None] = [getattr(x, name) for x in (level, other) if x is not None]
        found = [q for q in both if q is not None]
        between = [q.between for q in found if q.between is not None]
        out.append(math.hypot(*(between or [q.trend or 0.0 for q in found])))
    return out[0], out[1]


def _gaps(level: LevelCard, parameters: dict[str, float], spreads: tuple[float, float]) -> Floats:
    """Return the change of F at its quantiles for one standard error of mean and of spread.

    The error is that of a new array: from cells and, in `spreads`, between arrays.
    """
    if level.distribution is None or level.mean is None or level.std is None:
        return np.zeros((0, GRID.size))
    known = family(level.distribution.family)
    inside = np.clip(GRID, 1e-6, 1 - 1e-6)
    g = known.ppf(inside, parameters)
    shift = math.hypot(level.mean.stderr or 0.0, spreads[0])
    spread = math.hypot(level.std.stderr or 0.0, spreads[1])
    widen = spread / max(level.std.value, 1e-300)
    moved = (g - shift, level.mean.value + (g - level.mean.value) / (1 + widen))
    return np.stack([known.cdf(x, parameters) - inside for x in moved])
