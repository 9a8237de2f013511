"""Accuracy over chips: Monte Carlo over programmed networks, with 95 % intervals.

The accuracy of one chip is the share of correct test images. Intervals over n independent chips:

    mean            Student's t
    deviation       χ², which assumes approximately normal accuracies
    percentiles     order statistics [a(l), a(u)] with binomial ranks, for any distribution; the
                    bound is 0 or 1 if n is too small for a rank
    yield           share of chips at or above an accuracy; Clopper-Pearson

These intervals cover the variation over chips on these test images. `Evaluation.total` also covers
the choice of test images and, with draws of the card, what the card does not know
(`rramfit.mapping.study.mean_accuracy`). All other numbers are those of the card as it is stated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special
from torch import Tensor, nn

from rramfit.card.schema import ModelCard
from rramfit.errors import MappingError
from rramfit.mapping.layers.network import analog_matrices, program
from rramfit.mapping.study.chip_results import ChipResults, DrawnChips, join, pieces
from rramfit.mapping.study.drawn_cards import card_is_exact, check_draws, on_drawn_cards
from rramfit.mapping.study.mean_accuracy import (
    MeanAccuracy,
    mean_accuracy,
    mean_accuracy_of_counts,
)

__all__ = [
    "Estimate",
    "Evaluation",
    "accuracy",
    "check_study",
    "evaluate",
    "evaluate_chips",
    "evaluation_of",
    "summarise",
]

TAIL = 0.025
"""Probability on either side of an interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float

    def percent(self) -> str:
        """Format the estimate in per cent."""
        return f"{100 * self.value:.2f} % ({100 * self.low:.2f}–{100 * self.high:.2f})"

    def to_json(self) -> dict[str, object]:
        """Return the estimate as JSON types."""
        return {"value": self.value, "ci95": [self.low, self.high]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Accuracies of one network on many chips.

    Attributes
    ----------
    digital : float
        Accuracy of the network in float32.
    threshold : float
        Minimum accuracy of a good chip, for the yield.
    total : MeanAccuracy, optional
        The mean with its full interval: chips, card, test images.
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
    total: MeanAccuracy | None = None

    @property
    def chips(self) -> int:
        """Number of chips."""
        return len(self.accuracies)

    def to_json(self) -> dict[str, object]:
        """Return the evaluation as JSON types."""
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
            "mean_total": None if self.total is None else self.total.to_json(),
        }


def accuracy(model: nn.Module, images: Tensor, labels: Tensor, *, batch: int = 500) -> float:
    """Return the share of images that a network classifies correctly."""
    return int(_right(model, images, labels, batch).sum()) / len(labels)


def _right(model: nn.Module, images: Tensor, labels: Tensor, batch: int) -> Tensor:
    """Return whether a network classifies each image correctly, (image,)."""
    model.eval()
    with torch.no_grad():
        parts = [
            model(images[at : at + batch]).argmax(-1) == labels[at : at + batch]
            for at in range(0, len(labels), batch)
        ]
    return torch.cat(parts).cpu()


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
    after_programming: Callable[[nn.Module], None] | None = None,
    on_chip: Callable[[int, float], None] | None = None,
    card: ModelCard | None = None,
    card_draws: int = 0,
) -> Evaluation:
    """Evaluate an analog network on many chips.

    Parameters
    ----------
    model : nn.Module
        From `convert_to_analog`.
    images, labels : tensors
    digital : float
        Accuracy of the network in float32.
    chips : int
        Number of chips; the chips have indices 0 to chips − 1.
    threshold : float, optional
        Minimum accuracy of a good chip, for the yield. Default: two points below `digital`.
    seed : int
    batch : int
        Images per batch.
    after_programming : callable (network), optional
        Called for each programmed chip before the test.
    on_chip : callable (index, accuracy), optional
        Called after each chip.
    card : ModelCard, optional
        The card of the network's setup; needed for `card_draws`.
    card_draws : int
        Number of draws of the card within its uncertainty, among which the chips are divided. Each
        chip is then evaluated twice, as stated and drawn. By default, the card is taken as exact.

    Raises
    ------
    MappingError
        If the network has no analog layer, or the card cannot be drawn
        (`rramfit.mapping.study.drawn_cards`).
    """
    check_study(model, card, chips=chips, draws=card_draws)
    found: list[ChipResults] = []
    for piece in pieces(
        range(chips), (), size=chips if card_draws else 1, chips=chips, draws=card_draws
    ):
        part = evaluate_chips(
            model,
            images,
            labels,
            piece,
            seed=seed,
            batch=batch,
            after_programming=after_programming,
            card=card,
            card_draws=card_draws,
            chips=chips,
        )
        found.append(part)
        if on_chip is not None:
            for index, a in zip(part.indices, part.accuracies, strict=True):
                on_chip(index, a)
    (results,) = join(found)
    return evaluation_of(results, digital=digital, threshold=threshold, card_draws=card_draws)


def check_study(model: nn.Module, card: ModelCard | None, *, chips: int, draws: int) -> None:
    """Check that a network can be evaluated on chips.

    Raises
    ------
    MappingError
        If it has no analog layer, or the card cannot be drawn.
    """
    if not analog_matrices(model):
        msg = "the network has no analog layer; call convert_to_analog first"
        raise MappingError(msg)
    if draws:
        check_draws(model, card, chips=chips, draws=draws)


def evaluate_chips(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    indices: range,
    *,
    seed: int = 0,
    batch: int = 500,
    after_programming: Callable[[nn.Module], None] | None = None,
    card: ModelCard | None = None,
    card_draws: int = 0,
    chips: int = 0,
) -> ChipResults:
    """Evaluate an analog network on some chips; the parameters are those of `evaluate`.

    Parameters
    ----------
    indices : range
        Consecutive indices of chips.
    chips : int
        Number of chips of the whole study, among which the draws of the card are divided.
    """

    def run(index: int) -> NDArray[np.bool_]:
        program(model, seed=seed, index=index)
        if after_programming is not None:
            after_programming(model.eval())
        return np.asarray(_right(model, images, labels, batch).numpy())

    drawn = None
    if card_draws and card is not None and not card_is_exact(card):
        of_draw: dict[int, NDArray[np.int32]] = {}
        draw, drawn_hits = [], []
        with on_drawn_cards(model, card, chips=chips, draws=card_draws, seed=seed) as use:
            for index in indices:
                draw.append(use(index))
                right = run(index)
                drawn_hits.append(int(right.sum()))
                of_draw[draw[-1]] = of_draw.get(draw[-1], np.int32(0)) + right.astype(np.int32)
        drawn = DrawnChips(hits=tuple(drawn_hits), draw=tuple(draw), by_image=of_draw)
    hits, by_image = [], np.zeros(len(labels), dtype=np.int32)
    for index in indices:
        right = run(index)
        hits.append(int(right.sum()))
        by_image += right
    return ChipResults(first=indices.start, hits=tuple(hits), by_image=by_image, drawn=drawn)


def evaluation_of(
    results: ChipResults, *, digital: float, threshold: float | None = None, card_draws: int = 0
) -> Evaluation:
    """Return the evaluation of chips with these results; the parameters are those of `evaluate`."""
    found = results.accuracies
    at = digital - 0.02 if threshold is None else threshold
    summary = summarise(found, digital=digital, threshold=at, images=len(results.by_image))
    drawn = results.drawn
    too_few = drawn is not None and not 2 <= len(drawn.by_image) < len(found)  # a part of a study
    if drawn is None or too_few:
        total = mean_accuracy_of_counts(found, results.by_image)
        return replace(summary, total=replace(total, card_draws=0 if too_few else card_draws))
    present = sorted(drawn.by_image)
    of_chip = [present.index(d) for d in drawn.draw]
    shares = np.stack([drawn.by_image[d] for d in present]) / np.bincount(of_chip)[:, None]
    accuracies = [n / len(results.by_image) for n in drawn.hits]
    total = mean_accuracy(accuracies, shares, stated=found, draws=of_chip)
    return replace(summary, total=total)


def summarise(
    accuracies: Sequence[float], *, digital: float, threshold: float, images: int
) -> Evaluation:
    """Compute mean, deviation, percentiles and yield of accuracies, with intervals.

    Examples
    --------
    >>> e = summarise([0.9, 0.92, 0.91, 0.93], digital=0.95, threshold=0.9, images=100)
    >>> e.mean.percent(), e.chip_yield.percent()
    ('91.50 % (89.45–93.55)', '100.00 % (39.76–100.00)')
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
    below = special.bdtr(ranks, n, p)  # P(at most `ranks` chips are below the percentile)
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
