"""Pulse response for aihwkit: presets of `PiecewiseStepDevice` and `SoftBoundsDevice`.

Their fields are those of `rramfit.card.blocks.pulses`. Devices that do not respond to pulses are
`corrupt_devices_prob`, anywhere in the range. Spreads that the card does not have are 0, in place
of aihwkit's defaults.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

from rramfit.errors import CardError
from rramfit.export.contract import Limit

if TYPE_CHECKING:
    from rramfit.card.schema import ModelCard

__all__ = ["pulse_files", "pulse_presets"]

NODES = 10
"""Nodes of a piecewise response; aihwkit takes fewer than 64."""


def pulse_presets(card: ModelCard) -> dict[str, dict[str, Any]] | None:
    """Return the fields of both devices; None without the response to both polarities."""
    pulses = card.pulses
    if pulses is None:
        return None
    try:
        found: dict[str, dict[str, Any]] = {
            "piecewise": {**pulses.piecewise_steps(NODES)},
            "soft_bounds": {**pulses.soft_bounds()},
        }
    except CardError:
        return None
    others = {
        "up_down_dtod": 0.0,
        "corrupt_devices_prob": min(max(1.0 - pulses.responding.value, 0.0), 1.0),
        "corrupt_devices_range": 1.0,
    }
    return {name: {**fields, **others} for name, fields in found.items()}


def pulse_files(card: ModelCard) -> tuple[dict[str, str], tuple[Limit, ...]]:
    """Return the files with the presets of a card, and what they lack."""
    presets, pulses = pulse_presets(card), card.pulses
    if presets is None:
        if pulses is None:
            return {}, ()
        only = ", ".join(b.direction for b in pulses.branches) or "none"
        return {}, (Limit(what="Pulse response: it needs both polarities.", size=f"has {only}"),)
    source = resources.files("rramfit.export.networks.aihwkit").joinpath("files", "rram_pulses.py")
    return {
        "rram_pulses.py": source.read_text(encoding="utf-8"),
        "rram_pulses.json": json.dumps(presets, indent=2) + "\n",
    }, ()
