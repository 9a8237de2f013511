"""The mlp on chips that follow the card's model: fitted card and sidecar against the truth.

card        accuracy on chips drawn from the fitted card: mean, 5th to 95th percentile
card+cells  accuracy on the chip described by the sidecar, over programmings
population  accuracy on chips drawn from the true card
chip        accuracy on the chip's true cells: first programming, and mean over programmings
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from loop.chips import (
    GROUPS,
    POINTS,
    SHAPE,
    SWEEPS,
    move_to_chips,
    setup_of,
    true_card,
    true_chip,
    with_own_channels,
)
from loop.records import Record

if TYPE_CHECKING:
    from torch import nn

    from rramfit.array import Chips
    from rramfit.card import ModelCard
    from rramfit.mapping.study.datasets import Dataset

TARGET = 8, 10
CASES = "card", "card+cells", "population", "chip"
COLUMNS = (
    "chip", "card", "interval low", "interval high", "population", "card - population",
    "card+cells", "cells low", "cells high", "chip's mean", "card+cells - chip's mean",
    "first programming",
    "programmings in the card's interval", "population predicted", "chip predicted",
)  # fmt: skip


def one_chip(seed: int, network: nn.Module, data: Dataset, chips: int) -> Record:
    """Measure and characterize one chip, and evaluate every case."""
    from rramfit.array import DeviceModel, draw_chips
    from rramfit.fitting.characterization import characterize
    from rramfit.mapping import convert_to_analog
    from rramfit.mapping.study.evaluation import evaluate
    from rramfit.measurement.virtual.synthesize import synthesize
    from rramfit.streams import torch_stream

    card = true_card(seed)
    measured = synthesize(card, sweeps=SWEEPS, seed=seed, groups=GROUPS)
    fitted = characterize(measured, name=f"chip-{seed}", seed=seed)

    def drawn(of: ModelCard) -> Chips:
        model = DeviceModel.from_card(of)
        return draw_chips(model, chips, shape=SHAPE, generator=torch_stream(seed, "dies"))

    def run(model: nn.Module, count: int) -> list[float]:
        images, labels = data.test_images, data.test_labels
        found = evaluate(model, images, labels, digital=1.0, chips=count, seed=seed)
        return list(found.accuracies)

    def mapped(origin: Any) -> nn.Module:
        setup = setup_of(fitted.card, origin)
        return convert_to_analog(network, setup, inputs=data.train_images[:256], seed=seed)

    predicted = mapped(drawn(fitted.card))
    own, with_channels = true_chip(card, seed), with_own_channels(card, seed)
    return {
        "seed": seed,
        "verdict": fitted.card.quality.verdict,
        "card": run(predicted, chips),
        "card+cells": run(mapped(fitted.cells), chips // 2),
        "population": run(move_to_chips(predicted, card, drawn(card)), chips),
        "chip": run(move_to_chips(predicted, with_channels, own), chips // 2),
    }


def row_of(record: Record) -> tuple[list[str], bool, bool]:
    """Return a chip's table row, and whether it meets the two criteria."""
    mean = {case: 100 * float(np.mean(record[case])) for case in CASES}

    def interval(case: str) -> tuple[float, float]:
        low, high = 100 * np.quantile(record[case], [0.05, 0.95], method="nearest")
        return float(low), float(high)

    of_card, of_cells, first = interval("card"), interval("card+cells"), 100 * record["chip"][0]
    tiny = 1e-9
    inside = np.mean([of_card[0] - tiny <= 100 * a <= of_card[1] + tiny for a in record["chip"]])
    off_population = mean["card"] - mean["population"]
    off_chip = mean["card+cells"] - mean["chip"]
    good = [
        abs(off) <= POINTS and low - tiny <= first <= high + tiny
        for off, (low, high) in ((off_population, of_card), (off_chip, of_cells))
    ]
    numbers = [
        f"{mean['card']:.2f}", *(f"{x:.2f}" for x in of_card), f"{mean['population']:.2f}",
        f"{off_population:+.2f}", f"{mean['card+cells']:.2f}", *(f"{x:.2f}" for x in of_cells),
        f"{mean['chip']:.2f}", f"{off_chip:+.2f}", f"{first:.2f}", f"{inside:.2f}",
    ]  # fmt: skip
    verdicts = ["yes" if g else "no" for g in good]
    return [str(record["seed"]), *numbers, *verdicts], good[0], good[1]
