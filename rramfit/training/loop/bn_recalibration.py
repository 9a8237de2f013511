"""BatchNorm recalibration: new estimates of the running statistics on the current chips.

Cells and wires shift and scale a layer's outputs. The mean and variance of the following BatchNorm
are digital and can be estimated again. On one chip this is a calibration after programming; with
newly drawn chips the statistics become those of the population. Images are not augmented; every
batch has the same weight.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

__all__ = [
    "batch_norm_finding",
    "batch_norm_layers",
    "kept_statistics",
    "recalibrate_batch_norm",
]

MATTERS = 0.25
"""Difference of means in standard deviations, or of the logarithm of standard deviations, root of
the mean square over the channels of a layer, from which new statistics are advised."""

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
    device = next((p.device for p in model.parameters()), images.device)
    try:
        with torch.no_grad():
            for some in torch.split(images, batch):
                if len(some) > 1:
                    model(some.to(device))
    finally:
        for m, (momentum, training) in zip(layers, before, strict=True):
            m.momentum = momentum
            m.train(training)


@contextlib.contextmanager
def kept_statistics(model: nn.Module) -> Iterator[None]:
    """Restore the running statistics of BatchNorm layers at the end."""
    layers = batch_norm_layers(model)
    before = [{k: v.clone() for k, v in m.state_dict().items()} for m in layers]
    try:
        yield
    finally:
        for m, state in zip(layers, before, strict=True):
            m.load_state_dict(state)


def batch_norm_finding(model: nn.Module, images: Tensor) -> str:
    """Return a sentence if BatchNorm statistics on the current chip differ from the stored ones.

    Parameters
    ----------
    model : nn.Module
        In evaluation mode, on a programmed chip.
    images : tensor
        Some hundred inputs of the training set.

    Returns
    -------
    str
        Empty if the statistics do not differ much, or there are none.
    """
    layers = {n: m for n, m in model.named_modules() if m in set(batch_norm_layers(model))}
    stored = {n: _statistics(m) for n, m in layers.items()}
    with kept_statistics(model):
        recalibrate_batch_norm(model, images)
        found = {n: _statistics(m) for n, m in layers.items()}
    worst, name, by = 0.0, "", (0.0, 1.0)
    for n, (mean, std) in stored.items():
        shift = float(((found[n][0] - mean) / std).square().mean().sqrt())
        ratio = (found[n][1] / std).log()
        size = max(shift, float(ratio.square().mean().sqrt()))
        if size > worst:
            worst, name, by = size, n, (shift, math.exp(float(ratio.mean())))
    if worst < MATTERS:
        return ""
    return (
        f"BatchNorm statistics on the chip differ from the stored ones: those of layer {name} by "
        f"{by[0]:.2g} standard deviations, and by a factor of {by[1]:.2g} in the standard "
        "deviation. Add --bn-recalibration 1024 to estimate them again on each chip."
    )


def _statistics(layer: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each channel."""
    mean, variance = layer.running_mean, layer.running_var
    if mean is None or variance is None:
        return torch.zeros(0), torch.zeros(0)
    return mean.clone(), (variance + layer.eps).sqrt()
