"""The reference chip: a stated card for comparisons between networks, mappings and trainings.

Nobody measured it. Its numbers are those of a common three-level cell in a 128 × 128 array, chosen
so that every factor counts; `fits/README.md` gives the reason of each. There are two: rows that
carry no input are grounded and inputs are coded as amplitudes, or such rows are gated and inputs
are sent bit by bit.
"""

from __future__ import annotations

from rramfit.card.document import seal
from rramfit.card.quantity import Quantity
from rramfit.card.schema import LineCard, ModelCard, ReadoutCard
from rramfit.measurement.virtual.cards import virtual_card

__all__ = ["reference_card"]

RESISTANCES = (30e3, 12e3, 5e3)  # [ohm] of the levels, rising in conductance
VARIATION = 0.15  # relative standard deviation of each level; half its variance between cells
FAILURE = 0.01  # of programmings, to the high-resistance state; half of it for ever
SEGMENT = 0.5  # [ohm]
DRIVER = 0.5  # [ohm] as one segment
SENSE = 0.5  # [ohm] as one segment
READ_VOLTAGE = 0.2  # [V]
FULL_SCALE = 1.5e-3  # [A]
OFFSET, OFFSET_SPREAD = 4.0, 1.0  # [LSB] of 8 bits
GAIN_SPREAD = 0.01
THIRD_ORDER = -3.0  # [LSB] at full scale


def reference_card(*, gated: bool = False) -> ModelCard:
    """State the reference chip.

    Parameters
    ----------
    gated : bool
        Inactive rows gated, not grounded.
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
