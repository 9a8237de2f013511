"""Comparison of a card with another chip or another card.

In: a card, and a second card or a measurement. Out: for each parameter, whether the two values
differ significantly; for each level, whether the card's distribution predicts the other readings.

Not here: the held-out check within one measurement (`rramfit.fitting.checks.heldout`).
"""

from rramfit.fitting.comparison.card_difference import ParameterTest, compare_parameters
from rramfit.fitting.comparison.prediction import PredictionCheck, predict_other

__all__ = ["ParameterTest", "PredictionCheck", "compare_parameters", "predict_other"]
