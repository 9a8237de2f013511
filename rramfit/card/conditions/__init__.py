"""What a card says of its levels at other times, temperatures and numbers of reads.

Input: a card. Output: the change of each level at a temperature, and the distribution of its
readings with interval, marked where it is extrapolated. Not here: the laws
(`rramfit.card.blocks.temperature_law`) and their fits (`rramfit.fitting.time`).
"""

from rramfit.card.conditions.change_at import ChangeAt, change_at
from rramfit.card.conditions.levels_at import LevelAt, LevelsAt, levels_at

__all__ = ["ChangeAt", "LevelAt", "LevelsAt", "change_at", "levels_at"]
