"""Batch norms' statistics, estimated again on the chips that a network is on.

Cells and wires shift and shrink what a layer gives; mean and variance behind it are digital numbers
and can be measured once more. On one chip that is a calibration after programming; on freshly drawn
ones it makes the statistics those of the population. Images are taken as they are, in batches, and
every batch counts alike.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["estimate_norms", "norms_of"]

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def norms_of(model: nn.Module) -> list[nn.BatchNorm1d | nn.BatchNorm2d]:
    """List the batch norms that keep running statistics."""
    return [m for m in model.modules() if isinstance(m, _NORMS) and m.track_running_stats]


def estimate_norms(model: nn.Module, images: Tensor, *, batch: int = 128) -> None:
    """Estimate running means and variances of batch norms on images; nothing else is changed.

    A network in training draws new cells for every batch; one in evaluation stays on its chip.
    """
    norms = norms_of(model)
    if not norms or not len(images):
        return
    before = [(m.momentum, m.training) for m in norms]
    for m in norms:
        m.reset_running_stats()
        m.momentum = None  # a plain mean over batches
        m.train()
    try:
        with torch.no_grad():
            for some in torch.split(images, batch):
                if len(some) > 1:
                    model(some)
    finally:
        for m, (momentum, training) in zip(norms, before, strict=True):
            m.momentum = momentum
            m.train(training)
