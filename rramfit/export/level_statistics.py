"""Statistics of every level of a card in one place: what tables and simulators of levels need.

The state of a cell is what it keeps between two reads; a reading is the state plus read noise:

    std² = state² + read²,   state² = d2d² + c2c² (+ trend² over the array)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rramfit.card.schema import ModelCard

__all__ = ["LevelStatistics", "level_statistics"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LevelStatistics:
    """One entry per level, in the order of the card."""

    name: tuple[str, ...]
    family: tuple[str, ...]
    target: Floats  # [S]
    mean: Floats  # [S]
    std: Floats  # [S] of readings, over cells and programmings
    state_std: Floats  # [S] without read noise
    d2d: Floats  # [S]
    c2c: Floats  # [S]
    read: Floats  # [S]
    failure: Floats  #     probability that a programming fails


def level_statistics(card: ModelCard) -> LevelStatistics:
    """Return the statistics of a card's levels, as drawn chips have them.

    Raises
    ------
    ArrayError
        If the card has no levels, or a level without distribution, mean and target.
    """
    from rramfit.array.devices.parameters import estimands, level_parameters

    p = level_parameters(card)
    e = estimands(p, (card.array.rows, card.array.cols))
    failure = {f.level: f.probability.value for f in card.failure}
    return LevelStatistics(
        name=tuple(x.name for x in card.levels),
        family=tuple(x.distribution.family if x.distribution else "normal" for x in card.levels),
        target=np.array(
            [
                m if x.target is None else x.target.value
                for x, m in zip(card.levels, e.mean, strict=True)
            ]
        ),
        mean=e.mean,
        std=e.std,
        state_std=np.sqrt(np.maximum(e.std**2 - e.read**2, 0.0)),
        d2d=e.d2d,
        c2c=e.c2c,
        read=e.read,
        failure=np.array([failure.get(x.index, 0.0) for x in card.levels]),
    )
