"""Losses by the kind of labels: classes, tokens, or targets of a regression.

classes (sample,)            cross entropy
tokens (sample, position)    cross entropy, mean over positions; negative labels do not count
targets, floating point      mean square of output − target
"""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

__all__ = ["distillation_loss", "task_loss"]

_NOT_COUNTED = -100


def task_loss(out: Tensor, labels: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Return the loss of outputs for the labels of a batch."""
    if labels.is_floating_point():
        return F.mse_loss(out.reshape(labels.shape), labels)
    if labels.ndim == 1:
        return F.cross_entropy(out, labels, label_smoothing=label_smoothing)
    return F.cross_entropy(
        out.flatten(0, -2),
        labels.flatten().masked_fill(labels.flatten() < 0, _NOT_COUNTED),
        ignore_index=_NOT_COUNTED,
        label_smoothing=label_smoothing,
    )


def distillation_loss(out: Tensor, wanted: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Return the divergence from a teacher's softened outputs; mean square in a regression."""
    if labels.is_floating_point():
        return F.mse_loss(out, wanted)
    soft = F.kl_div(
        F.log_softmax(out.flatten(0, -2) / temperature, -1),
        F.log_softmax(wanted.flatten(0, -2) / temperature, -1),
        log_target=True,
        reduction="batchmean",
    )
    return temperature**2 * soft
