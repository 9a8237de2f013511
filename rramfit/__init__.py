"""Characterize measured resistive-memory arrays; map and train neural networks on them.

>>> import rramfit
>>> c = rramfit.characterize("measurements.h5")      # doctest: +SKIP
>>> print(c.levels.summary())                        # doctest: +SKIP
>>> c.save("out")                                    # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rramfit.card import ModelCard, Quantity, load_card, save_card
    from rramfit.card.uncertainty.comparison import compare_cards
    from rramfit.errors import RramfitError
    from rramfit.fitting.characterization import Characterization, characterize
    from rramfit.measurement import read_measurement, synthesize, validate_layout, write_measurement
    from rramfit.reporting import save_report

__all__ = [
    "Characterization",
    "ModelCard",
    "Quantity",
    "RramfitError",
    "characterize",
    "compare_cards",
    "load_card",
    "read_measurement",
    "save_card",
    "save_report",
    "synthesize",
    "validate_layout",
    "write_measurement",
]

_HOMES = {
    "Characterization": "rramfit.fitting.characterization",
    "ModelCard": "rramfit.card",
    "Quantity": "rramfit.card",
    "RramfitError": "rramfit.errors",
    "characterize": "rramfit.fitting.characterization",
    "compare_cards": "rramfit.card.uncertainty.comparison",
    "load_card": "rramfit.card",
    "read_measurement": "rramfit.measurement",
    "save_card": "rramfit.card",
    "save_report": "rramfit.reporting",
    "synthesize": "rramfit.measurement",
    "validate_layout": "rramfit.measurement",
    "write_measurement": "rramfit.measurement",
}


def __getattr__(name: str) -> object:
    """Import a public name on first use, so that importing `rramfit` is fast."""
    if name not in _HOMES:
        msg = f"module 'rramfit' has no attribute {name!r}"
        raise AttributeError(msg)
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
