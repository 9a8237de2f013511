"""Comparison of a card with another chip.

In: a card, and a measurement or its characterization. Out: for each parameter, whether the two
values differ significantly (`rramfit.card.uncertainty.comparison`); for each level, whether the
card's distribution predicts the other readings.

Not here: the held-out check within one measurement (`rramfit.fitting.checks.heldout`).
"""

from rramfit.fitting.comparison.level_prediction import LevelPrediction
from rramfit.fitting.comparison.prediction import PredictionCheck, predict_other

__all__ = ["LevelPrediction", "PredictionCheck", "predict_other"]
