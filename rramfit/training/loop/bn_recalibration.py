"""BatchNorm recalibration: new estimates of the running statistics on the current chips.

Cells and wires shift and scale a layer's outputs. The mean and variance of the following BatchNorm
are digital and can be estimated again. On one chip this is a calibration after programming; with
newly drawn chips the statistics become those of the population. Images are not augmented; every
batch has the same weight.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["batch_norm_layers", "recalibrate_batch_norm"]

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def batch_norm_layers(model: nn.Module) -> list[nn.BatchNorm1d | nn.BatchNorm2d]:
    """Return the BatchNorm layers that keep running statistics."""
    return [m for m in model.modules() if isinstance(m, _BATCH_NORMS) and m.track_running_stats]


def recalibrate_batch_norm(model: nn.Module, images: Tensor, *, batch: int = 128) -> None:
    """Estimate running means and variances of BatchNorm layers on images; change nothing else.

    In training mode the network draws new cells for every batch; in evaluation mode it stays on its
    chip.
    """
    layers = batch_norm_layers(model)
    if not layers or not len(images):
        return
    before = [(m.momentum, m.training) for m in layers]
    for m in layers:
        m.reset_running_stats()
        m.momentum = None  # a plain mean over batches
        m.train()
    try:
        with torch.no_grad():
            for some in torch.split(images, batch):
                if len(some) > 1:
                    model(some)
    finally:
        for m, (momentum, training) in zip(layers, before, strict=True):
            m.momentum = momentum
            m.train(training)
