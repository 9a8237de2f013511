"""Virtual chips: measurements drawn from a card, with the truth that a fit should find.

In: a model card and a plan of what the tester asks for. Out: a `Measurement` like that of a real
chip, and its true parameters. `replay` turns measured conductances into chips for evaluation.

Not here: the device model that is drawn from (`rramfit.array.devices`).
"""

from rramfit.measurement.virtual.cards import random_card, virtual_card
from rramfit.measurement.virtual.reference_chip import reference_card
from rramfit.measurement.virtual.replay import replay
from rramfit.measurement.virtual.synthesize import synthesize, virtual_chip
from rramfit.measurement.virtual.tester import Instrument, Plan

__all__ = [
    "Instrument",
    "Plan",
    "random_card",
    "reference_card",
    "replay",
    "synthesize",
    "virtual_card",
    "virtual_chip",
]
