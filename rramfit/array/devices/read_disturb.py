"""Read disturb of drawn cells: every read moves a cell by the mean change of its level.

The change is rate·n after n reads, for levels whose rate a card proves to differ from 0
(`rramfit.card.conditions.reads_at`). A cell falls to a hundredth of its level's mean, no lower.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["ReadDisturb"]

_LOWEST = 0.01  # of the level's mean


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReadDisturb:
    """Change of a state by reads."""

    rate: Tensor  # [S per read] (level,)
    mean: Tensor  # [S] (level,)

    def after(self, g: Tensor, level: Tensor, reads: int) -> Tensor:
        """Return states after further reads.

        Parameters
        ----------
        g : tensor
            States [S].
        level : integer tensor
            Level that each follows.
        reads : int
        """
        shift = reads * self.rate[level]
        lowest = torch.minimum(g, _LOWEST * self.mean[level])
        return torch.where(shift == 0, g, torch.maximum(g + shift, lowest))
