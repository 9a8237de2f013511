"""Share of readings beyond a conductance after programming, by the extreme values of a card.

The estimate is that of the card's generalised Pareto distribution. Its upper limit is read off the
far ends of the intervals of the extrapolated conductances, straight on a logarithmic scale between
them and from the threshold on, which is above the limit itself for a tail that is not shorter than
an exponential one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rramfit.card.blocks.tails import LevelTailCard, TailsCard
from rramfit.fitting.tails.pareto import log_survival

__all__ = ["ExtremeShare", "extreme_share"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtremeShare:
    """Share of readings beyond a conductance.

    Attributes
    ----------
    at_least : float
        Estimate where the tail is heavier than the level's family; 0 elsewhere.
    limit : float
        97.5 % upper limit; 0 if nothing is known of the tail there.
    """

    at_least: float = 0.0
    limit: float = 0.0


def extreme_share(
    tails: TailsCard | None, level: int, side: Literal["lower", "upper"], conductance: float
) -> ExtremeShare:
    """Return the share of a level's readings beyond a conductance.

    Parameters
    ----------
    tails : TailsCard, optional
    level : int
    side : {"lower", "upper"}
    conductance : float
        [S]
    """
    tail = tails.levels.get(f"{level}_{side}") if tails else None
    if tail is None:
        return ExtremeShare()
    sign = 1.0 if side == "upper" else -1.0
    if sign * (conductance - tail.threshold.value) <= 0:
        return ExtremeShare()
    rate = tail.exceedances / tail.readings
    heavier = tail.agreement == "heavier"
    at = [tail.threshold.value]
    log_share = [math.log(rate)]
    for probability, q in sorted(tail.quantiles.items(), key=lambda x: -float(x[0])):
        low, high = q.ci95 or (q.value, q.value)
        at.append(high if side == "upper" else low)
        log_share.append(math.log(float(probability)))
    x = sign * np.array(at)
    limit = log_share[-1]
    if sign * conductance < x[-1]:
        limit = float(np.interp(sign * conductance, x, log_share))
    elif len(at) > 1:
        limit = -math.inf
    estimate = rate * math.exp(float(log_survival(_excess(tail, conductance), *_parameters(tail))))
    return ExtremeShare(
        at_least=estimate if heavier else 0.0, limit=max(math.exp(limit), estimate * heavier)
    )


def _excess(tail: LevelTailCard, conductance: float) -> Floats:
    sign = 1.0 if tail.side == "upper" else -1.0
    if not tail.log:
        return np.asarray(sign * (conductance - tail.threshold.value))
    if conductance <= 0:
        return np.asarray(math.inf)
    return np.asarray(sign * math.log(conductance / tail.threshold.value))


def _parameters(tail: LevelTailCard) -> tuple[float, float]:
    return tail.scale.value, tail.shape.value
