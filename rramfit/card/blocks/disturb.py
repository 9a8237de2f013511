"""The card's part on read disturb: how conductance moves with the number of reads.

A cell of level k is at mean + rate_k·n after n reads. The rate is that of the mean over the cells
that stay at their level; cells that leave it during the reads are counted apart.
"""

from __future__ import annotations

from pydantic import Field

from rramfit.card.part import Count, Part
from rramfit.card.quantity import Quantity

__all__ = ["DisturbCard", "DisturbLevel"]


class DisturbLevel(Part):
    """Read disturb of one level."""

    level: Count = Field(description="number of the level")
    n_cells: Count = Field(description="cells whose reads were used")
    rate: Quantity = Field(description="mean change per read [S]")
    left: Quantity = Field(description="share of cells that left their level during the reads")

    @property
    def significant(self) -> bool:
        """Whether the rate differs from 0: by its 95 % interval, if it was estimated."""
        low, high = self.rate.ci95 or (self.rate.value, self.rate.value)
        return not low <= 0 <= high


class DisturbCard(Part):
    """Change of conductance with the number of reads."""

    reads: Count = Field(description="reads of each cell: the most to which the rate applies")
    separated: bool = Field(
        description="whether drift with time was separated, by reads at uneven intervals; if not, "
        "the rate includes the drift between two reads"
    )
    levels: list[DisturbLevel] = Field([], description="change of each level")
