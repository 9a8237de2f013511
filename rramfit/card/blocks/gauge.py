"""The card's part on the gauge: how much of a reading's spread is the measurement's.

A reading of cell c in session s is mean + cell_c + session_s + interaction_cs + error. Standard
deviations are in siemens, by level. With `source` "reads" the error is that of repeated reads; with
"program" cells are programmed between readings, and it includes cycle-to-cycle variation.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rramfit.card.part import Count, Part
from rramfit.card.quantity import Finite, Quantity

__all__ = ["GaugeCard", "GaugeLevel"]


class GaugeLevel(Part):
    """Variance components of one level, as standard deviations [S]."""

    level: Count = Field(description="number of the level")
    n_cells: Count = Field(description="cells read in several sessions")
    mean: Quantity = Field(description="mean reading [S]")
    repeatability: Quantity | None = Field(None, description="of readings in one session")
    session: Quantity = Field(description="between sessions, common to all cells")
    interaction: Quantity | None = Field(
        None,
        description="between sessions, of each cell alone; with one reading of a cell in a session "
        "it includes repeatability",
    )
    reproducibility: Quantity = Field(description="session and interaction together")
    gauge: Quantity = Field(description="repeatability and reproducibility together")
    cells: Quantity = Field(description="between cells")
    share: Quantity = Field(description="share of the total variance that is the gauge's")
    p_value: Finite | None = Field(None, description="p-value of the test against no sessions")
    accuracy: Quantity | None = Field(
        None, description="standard uncertainty of the instrument by its stated limits (type B)"
    )
    combined: Quantity | None = Field(
        None, description="standard uncertainty of one reading: gauge and accuracy"
    )


class GaugeCard(Part):
    """A gauge study: sessions, testers or days as a factor."""

    source: Literal["reads", "program"] = Field(description="where the sessions come from")
    sessions: Count = Field(description="number of sessions")
    levels: list[GaugeLevel] = Field([], description="components of each level")
