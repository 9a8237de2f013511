"""A card against another chip or another card.

In: a card, and a second card or a characterized measurement. Out: for every parameter whether both
can belong to one population, and whether the card's distributions predict the other readings.

Not here: the held-out check within one measurement (`rramfit.fitting.checks.heldout`).
"""

from rramfit.fitting.comparison.card_difference import ParameterTest, compare_parameters
from rramfit.fitting.comparison.prediction import PredictionCheck, predict_other

__all__ = ["ParameterTest", "PredictionCheck", "compare_parameters", "predict_other"]
