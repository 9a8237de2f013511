"""Levels: which conductance a cell has after it was programmed to level k.

In: accepted readings of sound cells. Out: per level the mean, the standard deviation, the
distribution family that predicts held-out cells best, the read threshold to the next level and the
bits stored per cell. Levels nobody wrote down are found from the readings (`find_levels`).

Not here: how readings divide into device-to-device and cycle-to-cycle parts
(`rramfit.fitting.variation`), and cells that were not accepted (`rramfit.fitting.failure`).
"""

from rramfit.fitting.levels.blind import BlindLevels, find_levels
from rramfit.fitting.levels.level_fit import LevelFit
from rramfit.fitting.levels.levels import LevelsFit, fit_levels

__all__ = ["BlindLevels", "LevelFit", "LevelsFit", "find_levels", "fit_levels"]
