"""The reference chip: a card with fixed parameters, to compare networks, mappings and trainings.

It was not measured. Its parameters are typical of a three-level cell in a 128 × 128 array, chosen
so that every factor matters; `fits/README.md` gives the reason for each. There are two versions:
inactive rows are grounded, for inputs coded as amplitudes, or gated, for inputs sent bit by bit.
"""

from __future__ import annotations

from rramfit.card.document import seal
from rramfit.card.quantity import Quantity
from rramfit.card.schema import LineCard, ModelCard, ReadoutCard
from rramfit.measurement.virtual.cards import virtual_card

__all__ = ["reference_card"]

RESISTANCES = (30e3, 12e3, 5e3)  # [ohm] of HRS, MRS and LRS
VARIATION = 0.15  # relative standard deviation of each level; half its variance is D2D
FAILURE = 0.01  # probability that programming fails, leaving HRS; half of it is permanent
SEGMENT = 0.5  # [ohm]
DRIVER = 0.5  # [ohm] equal to one segment
SENSE = 0.5  # [ohm] equal to one segment
READ_VOLTAGE = 0.2  # [V]
FULL_SCALE = 1.5e-3  # [A]
OFFSET, OFFSET_SPREAD = 4.0, 1.0  # [LSB] of 8 bits
GAIN_SPREAD = 0.01
THIRD_ORDER = -3.0  # [LSB] at full scale


def reference_card(*, gated: bool = False) -> ModelCard:
    """Return the card of the reference chip.

    Parameters
    ----------
    gated : bool
        Gate inactive rows instead of grounding them.
    """
    mean = [1 / ohm for ohm in RESISTANCES]
    hard = FAILURE / 2
    name = "jetcas-reference-gated" if gated else "jetcas-reference"
    card = virtual_card(
        name,
        mean=mean,
        spread=VARIATION,
        between_cells=0.5,
        hard=hard,
        soft=1 - (1 - FAILURE) / (1 - hard),
        array=(128, 128),
        read_voltage=READ_VOLTAGE,
    )
    levels = [
        level.model_copy(update={"name": text})
        for level, text in zip(card.levels, ("HRS", "MRS", "LRS"), strict=True)
    ]
    line = LineCard(
        wordline_resistance=Quantity.given(SEGMENT, "ohm"),
        bitline_resistance=Quantity.given(SEGMENT, "ohm"),
        driver_resistance=Quantity.given(DRIVER, "ohm"),
        sense_resistance=Quantity.given(SENSE, "ohm"),
        inactive_rows="gated" if gated else "grounded",
    )
    readout = ReadoutCard(
        bits=8,
        full_scale=Quantity.given(FULL_SCALE, "A"),
        gain=Quantity.given((255 - OFFSET) / FULL_SCALE, "LSB/A"),
        gain_spread=Quantity.given(GAIN_SPREAD, "1"),
        offset=Quantity.given(OFFSET, "LSB"),
        offset_spread=Quantity.given(OFFSET_SPREAD, "LSB"),
        third_order=Quantity.given(THIRD_ORDER, "LSB"),
    )
    quality = card.quality.model_copy(
        update={"summary": "Stated parameters of a reference chip; not measured."}
    )
    return seal(
        card.model_copy(
            update={"levels": levels, "line": line, "readout": readout, "quality": quality}
        )
    )
