"""The card's part on random telegraph noise: dwell times and amplitude of two-state cells."""

from __future__ import annotations

from pydantic import Field

from rramfit.card.part import Count, Part
from rramfit.card.quantity import Quantity

__all__ = ["TelegraphCard"]


class TelegraphCard(Part):
    """Cells that switch between two states: how long they stay, and how far apart the states are.

    Dwell times are lognormal over cells. ΔG/G = amplitude·(G/reference)^exponent.
    """

    n_cells: Count = Field(description="two-state cells that were described")
    n_fast: Count = Field(
        description="cells that switch at about every read: only an upper limit of their dwell "
        "times is known"
    )
    n_slow: Count = Field(
        description="cells that switched less than twice each way: their dwell times are about as "
        "long as the record, or longer"
    )
    sample_time: Quantity = Field(description="between two reads [s]")
    record_time: Quantity = Field(description="from the first read to the last [s]")
    dwell_low: Quantity | None = Field(
        None, description="time in the state of lower conductance, median over cells [s]"
    )
    dwell_low_spread: Quantity | None = Field(
        None, description="standard deviation of ln(time) over cells, lower state"
    )
    dwell_high: Quantity | None = Field(
        None, description="time in the state of higher conductance, median over cells [s]"
    )
    dwell_high_spread: Quantity | None = Field(
        None, description="standard deviation of ln(time) over cells, higher state"
    )
    amplitude: Quantity | None = Field(
        None, description="distance of the states over conductance, at the reference conductance"
    )
    exponent: Quantity | None = Field(
        None, description="power of the conductance in the relative distance"
    )
    reference_conductance: Quantity | None = Field(
        None, description="conductance of the amplitude [S]"
    )
