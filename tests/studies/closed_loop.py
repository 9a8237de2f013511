"""Closed loop: does a card fitted to a chip predict a network's accuracy on that chip?

Virtual chips of 128 x 128 cells and three levels are measured and characterized. Each has a
different card (random levels, spreads, fields, trends, failures, stuck cells, read noise and wires;
an 8-bit read-out). An mlp, trained digitally on scikit-learn's digits, is mapped with the *fitted*
card, and a Monte Carlo simulation predicts its accuracy on 360 test images. Then the same mapping,
with its levels, scales and gains, is evaluated on the truth: the virtual chip's deviations, faults,
wires and channels. In truth and prediction, both matrices use the same array, one after another.

    card        accuracy on chips drawn from the fitted card: mean, 5th to 95th percentile
    card+cells  accuracy on the chip described by the sidecar, over programmings
    population  accuracy on chips drawn from the true card
    chip        accuracy on the chip's true cells: first programming, and mean over programmings

Compared cases use the same random numbers (chips, programmings), which reduces the variance of
their difference. The accuracy of one chip is one sample: a card of a population cannot predict it
to half a point, but 90 % of such samples must be in the card's 90 % interval. Two criteria are
therefore checked for each chip:

    population  |card − population| <= 0.5 points, and the chip's first programming is in the
                interval of `card`
    chip        |card+cells − chip's mean| <= 0.5 points, and the chip's first programming is in
                the interval of `card+cells`

At least 8 of 10 chips must meet each criterion. Run from the project's root:

    python tests/studies/closed_loop.py

This writes `reports/closed_loop.md` and `.csv`. Results are stored in `--records`, one line per
chip; an interrupted run continues from there. Delete the records after a change of the library.
"""

from __future__ import annotations

import argparse
import copy
import csv
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rramfit.array import Chips
    from rramfit.card import ModelCard
    from rramfit.mapping.study.datasets import Dataset
    from rramfit.mapping.tiles.setup import AnalogSetup

SHAPE = 128, 128
SWEEPS = 24
POINTS = 0.5
TARGET = 8, 10
CASES = "card", "card+cells", "population", "chip"
COLUMNS = (
    "chip", "card", "interval low", "interval high", "population", "card - population",
    "card+cells", "cells low", "cells high", "chip's mean", "card+cells - chip's mean",
    "first programming",
    "programmings in the card's interval", "population predicted", "chip predicted",
)  # fmt: skip


def true_card(seed: int) -> ModelCard:
    """Return a random card with wires and the reference chip's read-out."""
    from rramfit.card import Quantity, seal
    from rramfit.card.schema import LineCard
    from rramfit.measurement.virtual.cards import random_card
    from rramfit.measurement.virtual.reference_chip import reference_card
    from rramfit.streams import stream

    wires = stream(seed, "card/wires")
    segments, ends = wires.uniform(0.2, 0.8, 2), wires.uniform(1.0, 10.0, 2)
    line = LineCard(
        wordline_resistance=Quantity.given(segments[0], "ohm"),
        bitline_resistance=Quantity.given(segments[1], "ohm"),
        driver_resistance=Quantity.given(ends[0], "ohm"),
        sense_resistance=Quantity.given(ends[1], "ohm"),
        inactive_rows="grounded",
    )
    card = random_card(seed, array=SHAPE)
    return seal(card.model_copy(update={"line": line, "readout": reference_card().readout}))


def with_own_channels(card: ModelCard, seed: int) -> ModelCard:
    """Add the channels that `synthesize` measured on the chip of this seed to its card."""
    import torch

    from rramfit.array import draw_channels
    from rramfit.streams import torch_stream

    assert card.readout is not None
    generator = torch_stream(seed, "readout")
    channels = draw_channels(card.readout, 1, SHAPE[1], generator=generator, dtype=torch.float64)
    own = {
        "channels": list(range(SHAPE[1])),
        "channel_gain": channels.gain[0].tolist(),
        "channel_offset": channels.offset[0].tolist(),
    }
    return card.model_copy(update={"readout": card.readout.model_copy(update=own)})


def setup_of(card: ModelCard, origin: Any) -> AnalogSetup:
    """Return a setup with all factors on."""
    from rramfit.mapping import analog_setup

    return analog_setup(card, tile=SHAPE, origin=origin)


def true_chip(card: ModelCard, seed: int) -> Chips:
    """Draw the chip that `synthesize` measures, in single precision."""
    from rramfit.array import DeviceModel
    from rramfit.measurement.virtual.synthesize import virtual_chip

    chip = virtual_chip(card, rows=SHAPE[0], cols=SHAPE[1], seed=seed)
    return dataclasses.replace(
        chip,
        model=DeviceModel.from_card(card),
        deviation=chip.deviation.float(),
        stuck_conductance=chip.stuck_conductance.float(),
    )


def move_to_chips(network: nn.Module, card: ModelCard, chips: Chips) -> nn.Module:
    """Move a mapped network to given chips with a card's wires and channels."""
    from rramfit.mapping import analog_matrices

    moved = copy.deepcopy(network)
    truth = setup_of(card, None)
    for matrix in analog_matrices(moved):
        matrix.setup = dataclasses.replace(
            matrix.setup, line=truth.line, readout=truth.readout, origin=chips
        )
    return moved


def one_chip(seed: int, network: nn.Module, data: Dataset, chips: int) -> dict[str, Any]:
    """Measure and characterize one chip, and evaluate every case."""
    from rramfit.array import DeviceModel, draw_chips
    from rramfit.fitting.characterization import characterize
    from rramfit.mapping import convert_to_analog
    from rramfit.mapping.study.evaluation import evaluate
    from rramfit.measurement.virtual.synthesize import synthesize
    from rramfit.streams import torch_stream

    card = true_card(seed)
    measured = synthesize(
        card, sweeps=SWEEPS, seed=seed, groups=("program", "reads", "mvm", "readout")
    )
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


def trained_network(data: Dataset) -> tuple[nn.Module, float]:
    """Train the mlp digitally; return it with its accuracy."""
    from rramfit.mapping.study.evaluation import accuracy
    from rramfit.mapping.study.networks import make_network
    from rramfit.training.plain import train_plain

    network = make_network("mlp", data.shape, data.classes, seed=0)
    images: Tensor = data.train_images
    train_plain(network, images, data.train_labels, seed=0)
    return network, accuracy(network, data.test_images, data.test_labels)


def row_of(record: dict[str, Any]) -> tuple[list[str], bool, bool]:
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


def write_report(records: list[dict[str, Any]], digital: float, out: Path, command: str) -> None:
    """Write the table as CSV and Markdown."""
    found = [row_of(r) for r in records]
    rows = [row for row, _, _ in found]
    counts = sum(met for _, met, _ in found), sum(met for _, _, met in found)
    chips = len(records[0]["card"])
    errors = [np.std(r[case], ddof=1) / np.sqrt(chips) * 100 for r in records for case in CASES]
    with out.with_suffix(".csv").open("w", newline="") as f:
        csv.writer(f, lineterminator="\n").writerows([COLUMNS, *rows])
    off = [100 * (np.mean(r["card"]) - np.mean(r["chip"])) for r in records]
    lines = [
        "# Closed loop: predicted accuracy and accuracy on the chip's true cells",
        "",
        f"Generated by `{command}`,",
        "whose docstring describes the comparison. An mlp on scikit-learn's digits, 360 test",
        f"images, digital accuracy {100 * digital:.2f} %. Means are over {chips} chips, or over",
        f"{chips // 2} programmings of one chip; compared cases use the same random numbers. The",
        f"largest standard error of a mean is {max(errors):.2f} points. Accuracies are in",
        "per cent, differences in points.",
        "",
        f"- Population predicted: {counts[0]} of {len(rows)} chips. Criterion: the fitted card's",
        f"  mean is within {POINTS} points of the true population's mean, and the accuracy after",
        "  the chip's first programming is in the card's 90 % interval.",
        f"- Chip predicted: {counts[1]} of {len(rows)} chips. Criterion: the mean predicted from",
        f"  card and sidecar is within {POINTS} points of the mean over programmings of the chip's",
        "  true cells, and the accuracy after the first programming is in the predicted 90 %",
        "  interval.",
        f"- Target: {TARGET[0]} of {TARGET[1]} chips for each criterion.",
        "",
        "For comparison, the mean predicted from the card alone, without data on the individual",
        f"chip, is within {POINTS} points of the chip's mean for",
        f"{sum(abs(x) <= POINTS for x in off)} of {len(off)} chips; the rms difference is",
        f"{np.sqrt(np.mean(np.square(off))):.2f} points.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "| " + " | ".join("---:" for _ in COLUMNS) + " |",
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
    out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Run the missing chips and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--chips", type=int, default=10, help="number of measured chips")
    parser.add_argument(
        "--draws", type=int, default=300, help="drawn chips per case; twice the programmings"
    )
    parser.add_argument("--out", type=Path, default=Path("reports/closed_loop.md"))
    parser.add_argument("--records", type=Path, default=Path("build/closed_loop.jsonl"))
    args = parser.parse_args()
    import torch

    from rramfit.mapping.study.datasets import load_dataset

    torch.set_num_threads(1)
    data = load_dataset("digits")
    network, digital = trained_network(data)
    args.records.parent.mkdir(parents=True, exist_ok=True)
    kept = args.records.read_text().splitlines() if args.records.exists() else []
    records = {r["seed"]: r for r in map(json.loads, kept) if len(r["card"]) == args.draws}
    for seed in range(args.chips):
        if seed not in records:
            records[seed] = one_chip(seed, network, data, args.draws)
            with args.records.open("a") as f:
                f.write(json.dumps(records[seed]) + "\n")
        sys.stderr.write(f"\r{seed + 1} of {args.chips} chips")
    sys.stderr.write("\n")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    command = f"python tests/studies/closed_loop.py --chips {args.chips} --draws {args.draws}"
    write_report([records[s] for s in range(args.chips)], digital, args.out, command)


if __name__ == "__main__":
    main()
