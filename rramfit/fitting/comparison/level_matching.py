"""Whether two chips have the same levels, so that their parameters can be compared by position.

Levels that were programmed have targets: they are the same if each target agrees within 1 %, or
lies nearest to its counterpart and within one standard deviation of the level. Such targets may be
medians of readings; a real difference is for the comparison of parameters to find.

Levels that were found blind have none; they are matched by order and nearness: there are as many,
and each level's mean is nearer to the mean of its counterpart than to any other. Blind levels
of two chips then differ as the chips do, which is for the comparison of parameters to find.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rramfit.card.schema import ModelCard
from rramfit.card.uncertainty.comparison import levels_found_blind
from rramfit.fitting.results.result import Finding
from rramfit.units import counted

__all__ = ["SAME_TARGET", "LevelPlaces", "level_mismatch", "level_places", "places_match"]

Floats = NDArray[np.float64]

SAME_TARGET = 0.01  # relative difference of targets up to which levels are the same
_WITHIN = 1.0  # standard deviations of a level within which its targets are the same
_SHOWN = 6


class LevelPlaces(NamedTuple):
    """Where the levels of a chip are, one number per level [S].

    Attributes
    ----------
    blind : bool
        Whether they were found from the readings.
    target : list of float
        NaN without a target.
    centre : list of float
        Mean of the readings, else the target.
    spread : list of float
        Standard deviation; 0 if unknown.
    """

    blind: bool
    target: list[float]
    centre: list[float]
    spread: list[float]


def level_mismatch(card: ModelCard, other: ModelCard) -> Finding | None:
    """Report that two cards have different levels; None if they have the same, or none."""
    if not card.levels or not other.levels:
        return None
    places = (level_places(card), level_places(other))
    if places_match(*places):
        return None
    by_target = all(map(_by_target, places))
    centres = [np.array(p.target if by_target else p.centre) for p in places]
    remedy = (
        "Compare chips that were programmed to the same levels."
        if by_target
        else "Compare chips whose states lie near each other, or record the levels."
    )
    shown = [
        ", ".join(f"{g * 1e6:.3g}" for g in c[:_SHOWN]) + (", …" * (len(c) > _SHOWN))
        for c in centres
    ]
    return Finding(
        f"The levels differ: the card has {counted(len(centres[0]), 'level')} ({shown[0]} uS), the "
        f"other chip {len(centres[1])} ({shown[1]} uS).",
        remedy,
        severe=True,
        code="other-levels",
    )


def level_places(card: ModelCard) -> LevelPlaces:
    """Return where the levels of a card are."""
    return LevelPlaces(
        blind=levels_found_blind(card),
        target=[math.nan if x.target is None else x.target.value for x in card.levels],
        centre=[math.nan if (c := x.mean or x.target) is None else c.value for x in card.levels],
        spread=[0.0 if x.std is None else x.std.value for x in card.levels],
    )


def places_match(a: LevelPlaces, b: LevelPlaces) -> bool:
    """Return whether two chips have the same levels, or one has none."""
    if not a.centre or not b.centre:
        return True
    if _by_target(a) and _by_target(b):
        return _same_targets(*(np.array(x) for x in (a.target, b.target, a.spread, b.spread)))
    return _same_by_nearness(np.array(a.centre), np.array(b.centre))


def _by_target(places: LevelPlaces) -> bool:
    return not places.blind and any(map(math.isfinite, places.target))


def _same_targets(a: Floats, b: Floats, spread_a: Floats, spread_b: Floats) -> bool:
    if len(a) != len(b):
        return False
    differ = ~np.isclose(a, b, rtol=SAME_TARGET, atol=0.0) & np.isfinite(a) & np.isfinite(b)
    near = np.abs(a - b) <= _WITHIN * np.minimum(spread_a, spread_b)
    return not np.any(differ) or (bool(np.all(near[differ])) and _same_by_nearness(a, b))


def _same_by_nearness(a: Floats, b: Floats) -> bool:
    """Return whether each level is nearest to its counterpart, seen from either side."""
    if len(a) != len(b):
        return False
    known = np.isfinite(a) & np.isfinite(b)
    distance = np.abs(a[known][:, None] - b[known])
    own = np.diagonal(distance)
    return bool((own <= distance.min(axis=0)).all() and (own <= distance.min(axis=1)).all())
