"""Accuracy over chips: a Monte Carlo over whole networks, and what it says with how much certainty.

One chip's accuracy is that on all test images. Over n chips drawn alike:

    mean            Student's t
    deviation       χ², which takes accuracies to be about normal
    percentiles     order statistics, whatever the distribution: [a(l), a(u)] with binomial ranks; 0 or 1
                    where n chips are too few for a rank
    yield           share of chips at or above an accuracy; Clopper and Pearson

Intervals are of 95 % and speak of chips, on these test images: more images move the whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special
from torch import Tensor, nn

from rramfit.errors import MappingError
from rramfit.mapping.layers.convert import analog_matrices, program

__all__ = ["Estimate", "Evaluation", "accuracy", "evaluate", "summarise"]

TAIL = 0.025
"""Probability on either side of an interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number and its 95 % interval."""

    value: float
    low: float
    high: float

    def percent(self) -> str:
        """Say it in per cent."""
        return f"{100 * self.value:.2f} ({100 * self.low:.2f} to {100 * self.high:.2f}) %"

    def to_json(self) -> dict[str, object]:
        """Give it as JSON types."""
        return {"value": self.value, "ci95": [self.low, self.high]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Accuracies of one network on many chips.

    Attributes
    ----------
    digital : float
        Accuracy of the network in float32.
    threshold : float
        Accuracy that a chip must reach to count in the yield.
    """

    accuracies: tuple[float, ...]
    digital: float
    threshold: float
    images: int
    mean: Estimate
    deviation: Estimate
    percentile5: Estimate
    percentile95: Estimate
    chip_yield: Estimate

    @property
    def chips(self) -> int:
        """Number of chips."""
        return len(self.accuracies)

    def to_json(self) -> dict[str, object]:
        """Give it as JSON types."""
        return {
            "chips": self.chips,
            "images": self.images,
            "digital_accuracy": self.digital,
            "mean": self.mean.to_json(),
            "sd": self.deviation.to_json(),
            "percentile5": self.percentile5.to_json(),
            "percentile95": self.percentile95.to_json(),
            "yield": {"at": self.threshold, **self.chip_yield.to_json()},
            "accuracies": list(self.accuracies),
        }


def accuracy(model: nn.Module, images: Tensor, labels: Tensor, *, batch: int = 500) -> float:
    """Share of images that a network in evaluation names rightly."""
    right = 0
    model.eval()
    with torch.no_grad():
        for at in range(0, len(labels), batch):
            found = model(images[at : at + batch]).argmax(-1)
            right += int((found == labels[at : at + batch]).sum())
    return right / len(labels)


def evaluate(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    digital: float,
    chips: int = 100,
    threshold: float | None = None,
    seed: int = 0,
    batch: int = 500,
    programmed: Callable[[nn.Module], None] | None = None,
    on_chip: Callable[[int, float], None] | None = None,
) -> Evaluation:
    """Run an analog network on many chips.

    Parameters
    ----------
    model : nn.Module
        From `convert_to_analog`.
    images, labels : tensors
    digital : float
        Accuracy of the network in float32.
    chips : int
        Indices 0 to chips − 1 under the seed.
    threshold : float, optional
        For the yield; two points under `digital` where not given.
    seed : int
    batch : int
        Images at a time.
    programmed : callable (network), optional
        What is done to the network on each chip before it is judged.
    on_chip : callable (index, accuracy), optional
        Told of each chip.

    Raises
    ------
    MappingError
        If the network has no analog layer.
    """
    if not analog_matrices(model):
        msg = "the network has no analog layer; convert_to_analog first"
        raise MappingError(msg)
    found = []
    for index in range(chips):
        program(model, seed=seed, index=index)
        if programmed is not None:
            programmed(model.eval())
        found.append(accuracy(model, images, labels, batch=batch))
        if on_chip is not None:
            on_chip(index, found[-1])
    at = digital - 0.02 if threshold is None else threshold
    return summarise(found, digital=digital, threshold=at, images=len(labels))


def summarise(
    accuracies: Sequence[float], *, digital: float, threshold: float, images: int
) -> Evaluation:
    """Put accuracies of chips into numbers with intervals.

    Examples
    --------
    >>> e = summarise([0.9, 0.92, 0.91, 0.93], digital=0.95, threshold=0.9, images=100)
    >>> e.mean.percent(), e.chip_yield.percent()
    ('91.50 (89.45 to 93.55) %', '100.00 (39.76 to 100.00) %')
    """
    a = np.sort(np.asarray(accuracies, dtype=np.float64))
    n, mean = len(a), float(a.mean())
    std = float(a.std(ddof=1)) if n > 1 else 0.0
    if n > 1:
        half = float(special.stdtrit(n - 1, 1 - TAIL)) * std / math.sqrt(n)
        upper, lower = (float(special.chdtri(n - 1, p)) for p in (TAIL, 1 - TAIL))
        spread = (std * math.sqrt((n - 1) / upper), std * math.sqrt((n - 1) / lower))
    else:
        half, spread = math.inf, (0.0, math.inf)
    return Evaluation(
        accuracies=tuple(float(x) for x in accuracies),
        digital=digital,
        threshold=threshold,
        images=images,
        mean=Estimate(value=mean, low=max(mean - half, 0.0), high=min(mean + half, 1.0)),
        deviation=Estimate(value=std, low=spread[0], high=min(spread[1], 0.5)),
        percentile5=_percentile(a, 0.05),
        percentile95=_percentile(a, 0.95),
        chip_yield=_share(int((a >= threshold - 1e-12).sum()), n),
    )


def _percentile(rising: NDArray[np.float64], p: float) -> Estimate:
    n = len(rising)
    ranks = np.arange(n + 1)
    below = special.bdtr(ranks, n, p)  # P(at most so many chips lie below the percentile)
    low = int((below <= TAIL).sum())  # the interval starts at the low-th smallest
    high = int((below < 1 - TAIL).sum()) + 1
    return Estimate(
        value=float(np.quantile(rising, p)),
        low=float(rising[low - 1]) if low >= 1 else 0.0,
        high=float(rising[high - 1]) if high <= n else 1.0,
    )


def _share(hits: int, n: int) -> Estimate:
    low = float(special.betaincinv(hits, n - hits + 1, TAIL)) if hits else 0.0
    high = float(special.betaincinv(hits + 1, n - hits, 1 - TAIL)) if hits < n else 1.0
    return Estimate(value=hits / n, low=low, high=high)
