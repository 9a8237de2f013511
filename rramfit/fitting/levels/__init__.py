"""Levels: the conductance of a cell after programming to level k.

In: accepted readings of healthy cells. Out: per level the mean, the standard deviation, the
distribution family that predicts held-out cells best, the read threshold to the next level and the
bits stored per cell. If the target levels are not recorded, they are found from the readings
(`find_levels`).

Not here: device-to-device and cycle-to-cycle variation (`rramfit.fitting.variation`), and cells
that were not accepted (`rramfit.fitting.failure`).
"""

from rramfit.fitting.levels.blind import BlindLevels, find_levels
from rramfit.fitting.levels.level_fit import LevelFit
from rramfit.fitting.levels.levels import LevelsFit, fit_levels
from rramfit.fitting.levels.registration import register_distribution, register_location_scale

__all__ = [
    "BlindLevels",
    "LevelFit",
    "LevelsFit",
    "find_levels",
    "fit_levels",
    "register_distribution",
    "register_location_scale",
]
