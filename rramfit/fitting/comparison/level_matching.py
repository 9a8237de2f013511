"""Whether two chips have the same levels, so that their parameters can be compared by position.

Levels that were programmed have targets: they are the same if each target agrees within 1 %, or
lies nearest to its counterpart and within one standard deviation of the level. Such targets may be
medians of readings; a real difference is for the comparison of parameters to find.

Levels that were found blind have none; they are matched by order and nearness: there are as many,
and each level's mean is nearer to the mean of its own counterpart than to any other. Blind levels
of two chips then differ as the chips do, which is for the comparison of parameters to find.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rramfit.card.schema import LevelCard, ModelCard
from rramfit.card.uncertainty.comparison import levels_found_blind
from rramfit.fitting.results.result import Finding
from rramfit.units import counted

__all__ = ["SAME_TARGET", "level_mismatch"]

Floats = NDArray[np.float64]

SAME_TARGET = 0.01  # relative difference of targets up to which levels are the same
_WITHIN = 1.0  # standard deviations of a level within which its targets are the same
_SHOWN = 6


def level_mismatch(card: ModelCard, other: ModelCard) -> Finding | None:
    """Report that two cards have different levels; None if they have the same, or none."""
    if not card.levels or not other.levels:
        return None
    cards = (card, other)
    if any(levels_found_blind(c) for c in cards) or not all(map(_has_targets, cards)):
        centres = [np.array([_centre(x) for x in c.levels]) for c in cards]
        if _same_by_nearness(*centres):
            return None
        remedy = "Compare chips whose states lie near each other, or record the levels."
    else:
        centres = [np.array([_target(x) for x in c.levels]) for c in cards]
        spreads = [np.array([_spread(x) for x in c.levels]) for c in cards]
        if _same_targets(*centres, *spreads):
            return None
        remedy = "Compare chips that were programmed to the same levels."
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


def _has_targets(card: ModelCard) -> bool:
    return any(level.target is not None for level in card.levels)


def _target(level: LevelCard) -> float:
    return math.nan if level.target is None else level.target.value


def _centre(level: LevelCard) -> float:
    centre = level.mean or level.target
    return math.nan if centre is None else centre.value


def _spread(level: LevelCard) -> float:
    return 0.0 if level.std is None else level.std.value


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
