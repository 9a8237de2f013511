"""Plain training of a digital network: the usual loss of its task, AdamW, one cosine schedule.

It is sufficient for small networks. The network is modified in place. The order of images depends
only on the seed. There is no augmentation here.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from rramfit.streams import torch_stream
from rramfit.training.loop.losses import task_loss

__all__ = ["train_plain"]


def train_plain(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epochs: int = 30,
    batch: int = 64,
    rate: float = 3e-3,
    decay: float = 1e-2,
    seed: int = 0,
    on_epoch: Callable[[int, float], None] | None = None,
) -> nn.Module:
    """Train a network on labelled images, or other samples.

    Parameters
    ----------
    model : nn.Module
    images, labels : tensors
    epochs, batch : int
    rate : float
        Initial learning rate; it decreases to zero along a cosine.
    decay : float
        Weight decay.
    seed : int
        Seed of the order of images.
    on_epoch : callable (epoch, mean loss), optional
    """
    generator, device = torch_stream(seed, "order"), next(model.parameters()).device
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
    steps = epochs * -(-len(labels) // batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * min(step / steps, 1.0)))
    )
    model.train()
    for epoch in range(epochs):
        total = 0.0
        order = torch.randperm(len(labels), generator=generator)
        for start in range(0, len(labels), batch):
            at = order[start : start + batch]
            loss = task_loss(model(images[at].to(device)), labels[at].to(device))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * len(at)
        if on_epoch is not None:
            on_epoch(epoch, total / len(labels))
    return model.eval()
