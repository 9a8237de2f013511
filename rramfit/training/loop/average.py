"""Exponential moving average of weights: of parameters and running statistics over steps.

    average ← average + (1 − d)·(current − average)
    d = min(decay, (1 + step)/(1 + step + 1/span))

The average covers at most a share `span` of the past steps. With 1/9, the first steps lose weight
quickly; with 1, the average is the plain mean over all steps. Integer buffers are copied.
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
        Averages, with the names of the network's `state_dict`.
    """

    def __init__(self, model: nn.Module, decay: float, *, span: float = 1 / 9) -> None:
        self.decay, self.span = decay, span
        self.values = {k: v.detach().clone() for k, v in model.state_dict().items()}

    def update(self, model: nn.Module, step: int) -> None:
        """Add the weights after a step to the average; steps count from 0."""
        decay = min(self.decay, (1 + step) / (1 + step + 1 / self.span))
        with torch.no_grad():
            for name, current in model.state_dict().items():
                kept = self.values[name]
                if kept.is_floating_point():
                    kept.lerp_(current, 1 - decay)
                else:
                    kept.copy_(current)

    def load(self, values: dict[str, Tensor]) -> None:
        """Restore saved averages."""
        for name, value in values.items():
            self.values[name].copy_(value)
