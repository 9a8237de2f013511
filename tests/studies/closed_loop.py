"""Does a card that was fitted to a chip predict a network's accuracy on that chip?

Virtual chips of 128 x 128 cells and three levels, each from a card of its own (random levels,
spreads, fields, trends, failures, stuck cells, read noise and wires; an 8-bit read-out), are
measured and characterized. An mlp, trained plainly on scikit-learn's digits, is mapped with the
*fitted* card and its accuracy on 360 test images predicted by Monte Carlo. Then the same mapping,
its levels, scales and gains included, meets the truth: the virtual chip's own deviations, faults,
wires and channels. Both matrices lie on that one array, one after another, in truth and prediction.

    card        accuracy on chips drawn from the fitted card: mean, 5th to 95th percentile
    card+cells  accuracy on this chip as the sidecar describes it, over programmings
    population  accuracy on chips drawn from the true card
    chip        accuracy on the chip's true cells: its first programming, and the mean over many

Cases that are compared use the same random numbers (dies, programmings), so that their difference
has less chance in it than either. One chip's accuracy is one draw: no card of a population can
state it to half a point, but 90 % of such draws must lie in the card's 90 % interval. So two things
are counted for each chip:

    like it     |card − population| <= 0.5 points, and the chip's first programming lies in the
                interval of `card`
    itself      |card+cells − chip's mean| <= 0.5 points, and the chip's first programming lies in
                the interval of `card+cells`

Either is wanted of at least 8 of 10 chips. Run from the project's root:

    python tests/studies/closed_loop.py

writes `reports/closed_loop.md` and `.csv`. Records are kept in `--records`, one line a chip: a run
that was broken off goes on where it stopped. After a change of the library delete them.
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
WANTED = 8, 10
CASES = "card", "card+cells", "population", "chip"
COLUMNS = (
    "chip", "card", "interval low", "interval high", "population", "card - population",
    "card+cells", "cells low", "cells high", "chip's mean", "card+cells - chip's mean",
    "first programming",
    "programmings in the card's interval", "like it", "itself",
)  # fmt: skip


def true_card(seed: int) -> ModelCard:
    """State a random card with wires and the reference chip's read-out."""
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
    """Pin the channels that `synthesize` measured on the chip of this seed."""
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
    """Set up with everything on."""
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


def meet(network: nn.Module, card: ModelCard, dies: Chips) -> nn.Module:
    """Put a mapped network onto given dies, behind a card's wires and channels."""
    from rramfit.mapping import analog_matrices

    there = copy.deepcopy(network)
    truth = setup_of(card, None)
    for matrix in analog_matrices(there):
        matrix.setup = dataclasses.replace(
            matrix.setup, line=truth.line, readout=truth.readout, origin=dies
        )
    return there


def one_chip(seed: int, network: nn.Module, data: Dataset, chips: int) -> dict[str, Any]:
    """Measure, characterize, predict and run one chip: accuracies of every case."""
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
    own, itself = true_chip(card, seed), with_own_channels(card, seed)
    return {
        "seed": seed,
        "verdict": fitted.card.quality.verdict,
        "card": run(predicted, chips),
        "card+cells": run(mapped(fitted.cells), chips // 2),
        "population": run(meet(predicted, card, drawn(card)), chips),
        "chip": run(meet(predicted, itself, own), chips // 2),
    }


def trained_network(data: Dataset) -> tuple[nn.Module, float]:
    """Train the mlp plainly; also give its digital accuracy."""
    from rramfit.mapping.study.evaluation import accuracy
    from rramfit.mapping.study.networks import make_network
    from rramfit.training.plain import train_plain

    network = make_network("mlp", data.shape, data.classes, seed=0)
    images: Tensor = data.train_images
    train_plain(network, images, data.train_labels, seed=0)
    return network, accuracy(network, data.test_images, data.test_labels)


def row_of(record: dict[str, Any]) -> tuple[list[str], bool, bool]:
    """Give a chip's line of the table, and whether both of either kind hold."""
    mean = {case: 100 * float(np.mean(record[case])) for case in CASES}

    def interval(case: str) -> tuple[float, float]:
        low, high = 100 * np.quantile(record[case], [0.05, 0.95], method="nearest")
        return float(low), float(high)

    of_card, of_cells, first = interval("card"), interval("card+cells"), 100 * record["chip"][0]
    tiny = 1e-9
    inside = np.mean([of_card[0] - tiny <= 100 * a <= of_card[1] + tiny for a in record["chip"]])
    like = mean["card"] - mean["population"]
    itself = mean["card+cells"] - mean["chip"]
    good = [
        abs(off) <= POINTS and low - tiny <= first <= high + tiny
        for off, (low, high) in ((like, of_card), (itself, of_cells))
    ]
    numbers = [
        f"{mean['card']:.2f}", *(f"{x:.2f}" for x in of_card), f"{mean['population']:.2f}",
        f"{like:+.2f}", f"{mean['card+cells']:.2f}", *(f"{x:.2f}" for x in of_cells),
        f"{mean['chip']:.2f}", f"{itself:+.2f}", f"{first:.2f}", f"{inside:.2f}",
    ]  # fmt: skip
    said = ["yes" if g else "no" for g in good]
    return [str(record["seed"]), *numbers, *said], good[0], good[1]


def write_report(records: list[dict[str, Any]], digital: float, out: Path, command: str) -> None:
    """Write the table as CSV and Markdown."""
    found = [row_of(r) for r in records]
    rows = [row for row, _, _ in found]
    counts = sum(like for _, like, _ in found), sum(itself for _, _, itself in found)
    chips = len(records[0]["card"])
    errors = [np.std(r[case], ddof=1) / np.sqrt(chips) * 100 for r in records for case in CASES]
    with out.with_suffix(".csv").open("w", newline="") as f:
        csv.writer(f, lineterminator="\n").writerows([COLUMNS, *rows])
    off = [100 * (np.mean(r["card"]) - np.mean(r["chip"])) for r in records]
    lines = [
        "# Closed loop: accuracy predicted from a fitted card, and found on the chip's true cells",
        "",
        f"Made by `{command}`,",
        "which says what is compared. An mlp on scikit-learn's digits, 360 test images, digital",
        f"accuracy {100 * digital:.2f} %. Means are over {chips} dies, or",
        f"{chips // 2} programmings of one die; both sides of a difference use the same random",
        f"numbers, and its largest standard error is {max(errors):.2f} points. Accuracies are in",
        "per cent, differences in points.",
        "",
        f"- like it: {counts[0]} of {len(rows)} chips. The fitted card's mean lies within {POINTS}",
        "  points of the true population's, and the chip's first programming in the card's 90 %",
        "  interval.",
        f"- itself: {counts[1]} of {len(rows)} chips. The mean predicted from card and sidecar lies",
        f"  within {POINTS} points of the mean over programmings on the chip's true cells, and the",
        "  first programming in that 90 % interval.",
        f"- wanted: {WANTED[0]} of {WANTED[1]} of either.",
        "",
        "Where the card alone, which knows nothing of this very chip, is held against its mean:",
        f"within {POINTS} points at {sum(abs(x) <= POINTS for x in off)} of {len(off)} chips, rms",
        f"{np.sqrt(np.mean(np.square(off))):.2f} points.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "| " + " | ".join("---:" for _ in COLUMNS) + " |",
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
    out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Run what is not on record, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--chips", type=int, default=10, help="virtual chips measured")
    parser.add_argument(
        "--draws", type=int, default=300, help="dies drawn; half as many programmings"
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
