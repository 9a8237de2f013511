"""The mlp on messy chips: fitted card and sidecar against later programmings of the same chip.

Each chip is programmed `SWEEPS` times for the fit, and then again many times; none of these later
readings is in the fit. The network, mapped with the fitted card, runs on them with the chip's true
wires and channels.

    card+cells     accuracy predicted from card and sidecar, mean over programmings
    replay         on the conductances of the fitted sweeps
    later          on those of the later ones, mean over programmings

The criterion is |card+cells − later| <= 0.5 points.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from loop.chips import (
    GROUPS,
    POINTS,
    SWEEPS,
    move_to_chips,
    setup_of,
    true_card,
    with_own_channels,
)
from loop.kinds import Kind
from loop.records import Record

if TYPE_CHECKING:
    from torch import nn

    from rramfit.array import ReplayedChips
    from rramfit.card import ModelCard
    from rramfit.fitting.characterization import Characterization
    from rramfit.mapping.study.datasets import Dataset
    from rramfit.measurement import Measurement

COLUMNS = (
    "kind of chip", "verdict", "card+cells", "replay", "later programmings",
    "card+cells − later", "standard error", "within 0.5",
)  # fmt: skip
CASES = "card+cells", "replay", "later"


def measured_chip(kind: Kind, seed: int) -> tuple[ModelCard, Measurement, Characterization]:
    """Return the true card of a messy chip, its measurement and its fit."""
    from rramfit.fitting.characterization import characterize
    from rramfit.measurement.virtual import Mess, synthesize

    card = true_card(seed, **kind.card)
    measured = synthesize(card, sweeps=SWEEPS, seed=seed, groups=GROUPS, mess=Mess(**kind.mess))
    name = f"{kind.name.replace(' ', '-')}-{seed}"
    return card, measured, characterize(measured, name=name, seed=seed)


def later_programmings(card: ModelCard, kind: Kind, seed: int, count: int) -> ReplayedChips:
    """Return further programmings of the chip, after those of `measured_chip`."""
    from rramfit.measurement.virtual import Mess, replay, synthesize

    levels = len(card.levels)
    sweeps = SWEEPS + count * levels
    longer = synthesize(card, sweeps=sweeps, seed=seed, mess=Mess(**kind.mess))
    chips, first = replay(longer), SWEEPS // levels
    return dataclasses.replace(
        chips, conductance=chips.conductance[first:], accepted=chips.accepted[first:]
    )


def one_chip(kind: Kind, seed: int, network: nn.Module, data: Dataset, programmings: int) -> Record:
    """Measure and characterize one messy chip, and evaluate the three cases."""
    from rramfit.mapping import convert_to_analog
    from rramfit.mapping.study.evaluation import evaluate
    from rramfit.measurement.virtual import replay

    card, measured, fitted = measured_chip(kind, seed)
    fitted_cycles = replay(measured)
    later = later_programmings(card, kind, seed, programmings)

    def run(model: nn.Module, count: int) -> list[float]:
        images, labels = data.test_images, data.test_labels
        found = evaluate(model, images, labels, digital=1.0, chips=count, seed=seed)
        return list(found.accuracies)

    def mapped(origin: Any) -> nn.Module:
        setup = setup_of(fitted.card, origin)
        return convert_to_analog(network, setup, inputs=data.train_images[:256], seed=seed)

    predicted, true = mapped(fitted.cells), with_own_channels(card, seed)
    return {
        "verdict": fitted.card.quality.verdict,
        "card+cells": run(predicted, programmings),
        "replay": run(move_to_chips(predicted, true, fitted_cycles), len(fitted_cycles)),
        "later": run(move_to_chips(predicted, true, later), programmings),
    }


def key_of(kind: Kind, seed: int) -> str:
    """Name a chip."""
    return f"{kind.name}, {seed}"


def row_of(record: Record) -> tuple[list[str], bool]:
    """Return a chip's table row, and whether it meets the criterion."""
    mean = {case: 100 * float(np.mean(record[case])) for case in CASES}
    off = mean["card+cells"] - mean["later"]
    compared = (np.array(record[case]) for case in ("card+cells", "later"))
    error = 100 * np.sqrt(sum(x.var(ddof=1) / len(x) for x in compared))
    good = abs(off) <= POINTS
    numbers = (f"{mean[case]:.2f}" for case in CASES)
    verdict = "yes" if good else "no"
    return [
        record["key"],
        record["verdict"],
        *numbers,
        f"{off:+.2f}",
        f"{error:.2f}",
        verdict,
    ], good
