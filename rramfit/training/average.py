"""Average of weights: an exponential one over steps, of parameters and running statistics.

    average ← average + (1 − d)·(now − average),   d = min(decay, (1 + step)/(10 + step))

so that the first steps are forgotten soon. Counts are taken as they are.
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

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {k: v.detach().clone() for k, v in model.state_dict().items()}

    def update(self, model: nn.Module, step: int) -> None:
        """Take the weights after a step, counted from 0, into the average."""
        decay = min(self.decay, (1 + step) / (10 + step))
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
