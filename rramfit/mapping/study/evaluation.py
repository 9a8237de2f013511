"""Accuracy over chips: Monte Carlo over programmed networks, with 95 % intervals.

The intervals are in `rramfit.mapping.study.scores.summary`; those of an evaluation cover the
variation over chips on these test images. `Evaluation.total` also covers the choice of test images
and, with draws of the card, what the card does not know (`rramfit.mapping.study.mean_accuracy`).
All other numbers are those of the card as it is stated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rramfit.card.schema import ModelCard
from rramfit.errors import MappingError
from rramfit.mapping.layers.network import analog_matrices, program, to_digital
from rramfit.mapping.study.chip_results import ChipResults, Counts, DrawnChips, join, pieces
from rramfit.mapping.study.drawn_cards import card_is_exact, check_draws, on_drawn_cards
from rramfit.mapping.study.mean_accuracy import mean_accuracy, mean_accuracy_of_counts
from rramfit.mapping.study.scores.metrics import ACCURACY, Measure, Metric, metric_by_name
from rramfit.mapping.study.scores.scoring import (
    Batches,
    batches_of,
    joint_output,
    outputs_of,
    scores_of,
)
from rramfit.mapping.study.scores.summary import Estimate, Evaluation, summarise

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


def accuracy(
    model: nn.Module,
    images: Tensor | Batches,
    labels: Tensor | None = None,
    *,
    batch: int = 500,
    metric: Metric = ACCURACY,
) -> float:
    """Return the share of samples that a network classifies correctly, or another metric."""
    counts = scores_of(model, batches_of(images, labels, batch), metric)
    return metric.mean_of(int(counts.sum()), len(counts))


def evaluate(
    model: nn.Module,
    images: Tensor | Batches,
    labels: Tensor | None = None,
    *,
    digital: float | None = None,
    chips: int = 100,
    threshold: float | None = None,
    seed: int = 0,
    batch: int = 500,
    after_programming: Callable[[nn.Module], None] | None = None,
    on_chip: Callable[[int, float], None] | None = None,
    card: ModelCard | None = None,
    card_draws: int = 0,
    metric: Metric | str = ACCURACY,
    committee: int = 1,
    mirror: bool = False,
) -> Evaluation:
    """Evaluate an analog network on many chips.

    Parameters
    ----------
    model : nn.Module
        From `convert_to_analog`.
    images, labels : tensors
        Or a DataLoader of (image, label) in a fixed order, as `images`.
    digital : float, optional
        Accuracy of the network in float32. Default: it is computed.
    chips : int
        Number of chips; the chips have indices 0 to chips − 1.
    threshold : float, optional
        Minimum accuracy of a good chip, for the yield. Default: two points below `digital`; for
        metrics that are not shares, 5 % worse.
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
    metric : Metric or str
        Instead of the accuracy: a name of `rramfit.mapping.study.scores.metrics.METRICS`, or
        ``module:callable``.
    committee : int
        Chips of one committee, which decide together; `chips` is the number of committees.
    mirror : bool
        Whether a chip decides on an image and its mirror image together.

    Raises
    ------
    MappingError
        If the network has no analog layer, or the card cannot be drawn
        (`rramfit.mapping.study.drawn_cards`).
    """
    measured = metric_by_name(metric) if isinstance(metric, str) else metric
    check_study(model, card, chips=chips, draws=card_draws, metric=measured)
    if digital is None:
        digital = accuracy(to_digital(model), images, labels, batch=batch, metric=measured)
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
            metric=measured,
            committee=committee,
            mirror=mirror,
        )
        found.append(part)
        if on_chip is not None:
            for index, a in zip(part.indices, part.accuracies, strict=True):
                on_chip(index, measured.measure.of_mean(a))
    (results,) = join(found)
    return evaluation_of(
        results,
        digital=digital,
        threshold=threshold,
        card_draws=card_draws,
        measure=measured.measure,
    )


def check_study(
    model: nn.Module,
    card: ModelCard | None,
    *,
    chips: int,
    draws: int,
    metric: Metric = ACCURACY,
) -> None:
    """Check that a network can be evaluated on chips.

    Raises
    ------
    MappingError
        If it has no analog layer, or the card cannot be drawn.
    """
    if draws and metric.measure.name != "accuracy":
        msg = f"draws of the card give intervals of an accuracy, not of {metric.measure.name}"
        raise MappingError(msg)
    if not analog_matrices(model):
        msg = "the network has no analog layer; call convert_to_analog first"
        raise MappingError(msg)
    if draws:
        check_draws(model, card, chips=chips, draws=draws)


def evaluate_chips(
    model: nn.Module,
    images: Tensor | Batches,
    labels: Tensor | None,
    indices: range,
    *,
    seed: int = 0,
    batch: int = 500,
    after_programming: Callable[[nn.Module], None] | None = None,
    card: ModelCard | None = None,
    card_draws: int = 0,
    chips: int = 0,
    metric: Metric = ACCURACY,
    committee: int = 1,
    mirror: bool = False,
) -> ChipResults:
    """Evaluate an analog network on some chips; the parameters are those of `evaluate`.

    Parameters
    ----------
    indices : range
        Consecutive indices of chips, or of committees: committee c has chips c·n to c·n + n − 1.
    chips : int
        Number of chips of the whole study, among which the draws of the card are divided.
    """
    batches = batches_of(images, labels, batch)

    def put(index: int) -> None:
        program(model, seed=seed, index=index)
        if after_programming is not None:
            after_programming(model.eval())

    def run(index: int) -> NDArray[np.int64]:
        if committee == 1:
            put(index)
            return np.asarray(scores_of(model, batches, metric, mirror=mirror).numpy())
        each = []
        for member in range(committee):
            put(index * committee + member)
            each.append(outputs_of(model, batches, mirror=mirror))
        counts = []
        for (_, y), outputs in zip(batches, zip(*each, strict=True), strict=True):
            of_batch = [x for several in outputs for x in several]
            labels = y.to(of_batch[0].device)
            counts.append(metric.counts(joint_output(of_batch, labels), labels))
        return np.asarray(torch.cat(counts).numpy())

    drawn = None
    if card_draws and card is not None and not card_is_exact(card):
        of_draw: dict[int, Counts] = {}
        draw, drawn_hits = [], []
        with on_drawn_cards(model, card, chips=chips, draws=card_draws, seed=seed) as use:
            for index in indices:
                draw.append(use(index))
                right = run(index)
                drawn_hits.append(int(right.sum()))
                before = of_draw.get(draw[-1], np.zeros(len(right), np.int32))
                of_draw[draw[-1]] = before + right.astype(np.int32)
        drawn = DrawnChips(hits=tuple(drawn_hits), draw=tuple(draw), by_image=of_draw)
    hits: list[int] = []
    total = np.zeros(0, np.int64)
    for index in indices:
        right = run(index)
        hits.append(int(right.sum()))
        total = total + right if len(total) else right
    return ChipResults(
        first=indices.start,
        hits=tuple(hits),
        by_image=total.astype(np.int32) if metric.unit == 1 else total,
        drawn=drawn,
        unit=metric.unit,
    )


def evaluation_of(
    results: ChipResults,
    *,
    digital: float,
    threshold: float | None = None,
    card_draws: int = 0,
    measure: Measure = ACCURACY.measure,
) -> Evaluation:
    """Return the evaluation of chips with these results; the parameters are those of `evaluate`."""
    found = results.accuracies
    at = measure.threshold(digital) if threshold is None else threshold
    if measure.name != "accuracy":
        values = [measure.of_mean(x) for x in found]
        return summarise(
            values, digital=digital, threshold=at, images=len(results.by_image), measure=measure
        )
    summary = summarise(found, digital=digital, threshold=at, images=len(results.by_image))
    drawn = results.drawn
    too_few = drawn is not None and not 2 <= len(drawn.by_image) < len(found)  # a part of a study
    if drawn is None or too_few:
        total = mean_accuracy_of_counts(found, results.by_image)
        return replace(summary, total=replace(total, card_draws=0 if too_few else card_draws))
    present = sorted(drawn.by_image)
    of_chip = [present.index(d) for d in drawn.draw]
    counts = np.stack([drawn.by_image[d].astype(np.float64) for d in present])
    shares = counts / np.bincount(of_chip)[:, None]
    accuracies = [n / len(results.by_image) for n in drawn.hits]
    total = mean_accuracy(accuracies, shares, stated=found, draws=of_chip)
    return replace(summary, total=total)
