"""Scores of one chip, or of a committee of chips, on samples.

A committee is several chips with the same network; its output is the mean of their probabilities,
or of their outputs in a regression. With mirrored images, the mean is also over each image and its
mirror image. Both need several passes, and are reported apart from the accuracy of one chip.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler

from rramfit.errors import MappingError
from rramfit.mapping.study.scores.metrics import Metric

__all__ = ["Batches", "batches_of", "joint_output", "outputs_of", "scores_of"]

Batches = Iterable[tuple[Tensor, Tensor]]
"""Inputs and labels in batches, in the same order at every pass, such as a DataLoader."""


def batches_of(images: Tensor | Batches, labels: Tensor | None, batch: int) -> Batches:
    """Return samples in batches.

    Raises
    ------
    MappingError
        If a DataLoader is shuffled, since samples are compared between chips, or labels are
        missing.
    """
    if isinstance(images, Tensor):
        if labels is None:
            msg = "labels are missing; give images and labels, or a DataLoader"
            raise MappingError(msg)
        return _Split(images, labels, batch)
    if isinstance(images, DataLoader) and isinstance(images.sampler, RandomSampler):
        msg = "the DataLoader is shuffled; use shuffle=False, so that chips see the same order"
        raise MappingError(msg)
    if isinstance(images, Iterator):
        msg = "an iterator can be used once only; give a DataLoader or a list of batches"
        raise MappingError(msg)
    return images


class _Split:
    """Batches of tensors."""

    def __init__(self, images: Tensor, labels: Tensor, batch: int) -> None:
        self.images, self.labels, self.batch = images, labels, batch

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for at in range(0, len(self.labels), self.batch):
            yield self.images[at : at + self.batch], self.labels[at : at + self.batch]


def outputs_of(model: nn.Module, batches: Batches, *, mirror: bool = False) -> list[list[Tensor]]:
    """Return the outputs of a network for each batch; two for each batch with mirrored images.

    Raises
    ------
    MappingError
        If samples to be mirrored are not images.
    """
    model.eval()
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    found = []
    with torch.no_grad():
        for some, _ in batches:
            x = some.to(device)
            if mirror and x.ndim != 4:
                msg = f"samples {tuple(x.shape[1:])} cannot be mirrored; they are not images"
                raise MappingError(msg)
            found.append([model(x), *([model(x.flip(-1))] if mirror else [])])
    return found


def joint_output(outputs: list[Tensor], labels: Tensor) -> Tensor:
    """Return the output of several: log of the mean probabilities, or the mean in a regression."""
    if len(outputs) == 1:
        return outputs[0]
    together = torch.stack(outputs)
    if labels.is_floating_point():
        return together.mean(0)
    return together.log_softmax(-1).logsumexp(0) - math.log(len(outputs))


def scores_of(
    model: nn.Module, batches: Batches, metric: Metric, *, mirror: bool = False
) -> Tensor:
    """Return the counts of each sample, (sample,) int64, batch by batch."""
    model.eval()
    found = []
    for x, y in batches:
        (outputs,) = outputs_of(model, [(x, y)], mirror=mirror)
        labels = y.to(outputs[0].device)
        found.append(metric.counts(joint_output(outputs, labels), labels))
    return torch.cat(found) if found else torch.zeros(0, dtype=torch.int64)
