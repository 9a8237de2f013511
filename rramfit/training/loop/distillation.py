"""Loss of a stage with a teacher: the labels', plus a share of distance from the teacher's outputs.

The teacher sees the same augmented images, in the stage's precision (Hinton et al., "Distilling the
Knowledge in a Neural Network", arXiv:1503.02531).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rramfit.training.loop.losses import distillation_loss
from rramfit.training.loop.recipe import Stage
from rramfit.training.loop.stage import Loss, cross_entropy, precision

__all__ = ["teacher_loss"]


def teacher_loss(stage: Stage, teacher: nn.Module | None) -> Loss:
    """Return the loss of a stage; without a teacher or a share of distillation, the labels' alone.

    Parameters
    ----------
    stage : Stage
    teacher : nn.Module, optional
        In evaluation mode, on the device of the images.
    """
    plain, share, t = cross_entropy(stage), stage.distillation, stage.temperature
    if share == 0 or teacher is None:
        return plain

    def loss(out: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad(), precision(stage, images.device):
            wanted = teacher(images).float()
        soft = distillation_loss(out, wanted, labels, t)
        return (1 - share) * plain(out, images, labels) + share * soft

    return loss
