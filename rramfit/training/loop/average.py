"""Average of weights: an exponential one over steps, of parameters and running statistics.

    average ← average + (1 − d)·(now − average),   d = min(decay, (1 + step)/(1 + step + 1/span))

so that it spans a share of the steps so far at most: a ninth, and the first are forgotten soon;
all of them, and it is their even mean. Counts are taken as they are.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["WeightAverage"]


class WeightAverage:
    """Average of a network's weights.

    Attributes
    ----------
    values : dict of str to tensor
        As in the network's `state_dict`.
    """

    def __init__(self, model: nn.Module, decay: float, *, span: float = 1 / 9) -> None:
        self.decay, self.span = decay, span
        self.values = {k: v.detach().clone() for k, v in model.state_dict().items()}

    def update(self, model: nn.Module, step: int) -> None:
        """Take the weights after a step, counted from 0, into the average."""
        decay = min(self.decay, (1 + step) / (1 + step + 1 / self.span))
        with torch.no_grad():
            for name, now in model.state_dict().items():
                kept = self.values[name]
                if kept.is_floating_point():
                    kept.lerp_(now, 1 - decay)
                else:
                    kept.copy_(now)

    def load(self, values: dict[str, Tensor]) -> None:
        """Take averages that were saved."""
        for name, value in values.items():
            self.values[name].copy_(value)
