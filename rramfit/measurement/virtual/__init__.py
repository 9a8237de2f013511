"""Virtual chips: synthetic measurements drawn from a model card, with their true parameters.

Input: a model card and a test plan. Output: a `Measurement` like that of a real chip, with the true
parameters that a fit should recover. `replay` turns measured conductances into chips for
evaluation.

The device model is in `rramfit.array.devices`.
"""

from rramfit.measurement.virtual.cards import random_card, virtual_card
from rramfit.measurement.virtual.mess import Mess
from rramfit.measurement.virtual.reference_chip import reference_card
from rramfit.measurement.virtual.replay import replay
from rramfit.measurement.virtual.synthesize import synthesize, virtual_chip
from rramfit.measurement.virtual.tester import Instrument, Plan

__all__ = [
    "Instrument",
    "Mess",
    "Plan",
    "random_card",
    "reference_card",
    "replay",
    "synthesize",
    "virtual_card",
    "virtual_chip",
]
