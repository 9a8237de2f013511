"""Parts of a card on cells that fail: programming failure by level, and stuck cells.

They belong to `rramfit.card.schema`, which has the whole card.
"""

from __future__ import annotations

from pydantic import Field

from rramfit.card.part import Count, Part
from rramfit.card.quantity import Quantity

__all__ = ["FailureCard", "StuckCard"]


class FailureCard(Part):
    """Programming failure at one level."""

    level: Count = Field(description="number of the level")
    probability: Quantity = Field(description="probability that an attempt is not accepted")
    hard: Quantity | None = Field(None, description="share of cells that never reach the level")
    soft: Quantity | None = Field(
        None, description="probability that another cell fails an attempt"
    )
    n_attempts: Count = Field(description="attempts to program this level")
    conductance: Quantity | None = Field(None, description="median conductance of failed cells")


class StuckCard(Part):
    """Cells that do not switch.

    A cell is fixed, or it moves: each programming leaves it elsewhere, by more than a healthy cell
    varies. Over cells, conductance has a median and a standard deviation; a moving cell varies
    about its own mean. Shares are of arrays with clusters of faults, or with dead lines, only if
    this array has some.
    """

    low: Quantity = Field(description="share of cells stuck at low conductance")
    high: Quantity = Field(description="share of cells stuck at high conductance")
    middle: Quantity | None = Field(
        None, description="share of cells stuck between the lowest and the highest level"
    )
    low_conductance: Quantity | None = Field(None, description="median of cells stuck low")
    high_conductance: Quantity | None = Field(None, description="median of cells stuck high")
    middle_conductance: Quantity | None = Field(None, description="median of cells stuck between")
    low_std: Quantity | None = Field(
        None, description="standard deviation over cells stuck low of their mean conductance [S]"
    )
    high_std: Quantity | None = Field(None, description="the same over cells stuck high [S]")
    middle_std: Quantity | None = Field(None, description="the same over cells stuck between [S]")
    low_moving: Quantity | None = Field(
        None, description="share of the cells stuck low that move from programming to programming"
    )
    high_moving: Quantity | None = Field(None, description="the same of cells stuck high")
    middle_moving: Quantity | None = Field(None, description="the same of cells stuck between")
    low_motion: Quantity | None = Field(
        None,
        description="standard deviation between programmings of a moving cell that is stuck low, "
        "read noise included [S]",
    )
    high_motion: Quantity | None = Field(None, description="the same of cells stuck high [S]")
    middle_motion: Quantity | None = Field(None, description="the same of cells stuck between [S]")
    dead_rows: Quantity | None = Field(None, description="share of rows")
    dead_cols: Quantity | None = Field(None, description="share of columns")

    @property
    def share(self) -> float:
        """Share of stuck cells, low, high and between."""
        middle = 0.0 if self.middle is None else self.middle.value
        return self.low.value + self.high.value + middle
