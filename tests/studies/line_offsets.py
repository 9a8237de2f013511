"""Accuracy lost to line offsets: chips with and without them, at the same variation of a cell.

The cards are the reference card `fits/jetcas-reference-1.0.0.card.json` (5, 12 and 30 kohm, half of
the variance of a cell from device to device) and copies of it, in which half of the d2d variance of
every level is in offsets of lines: of columns, of rows, or of columns × (row mod 4), the part of a
column whose rows are equal modulo 4. A cell's standard deviation, its share that persists, faults,
wires and read-out are those of the reference card. Offsets of a line at two levels correlate as
cells do (0.5), or are equal, relative to the spread of the level (1).

    mlp                       on scikit-learn's digits, trained digitally
    mlp, for chips            then trained for chips without line offsets
    mlp, for these chips      then trained for chips with the line offsets of the row
    vgg5, for chips           on CIFAR-10, trained for chips without line offsets (`cifar10.py`)
    vgg5, for chips, BN       BatchNorm recalibrated on each chip with 512 training images

Weights are pairs of cells in neighbouring columns, on tiles of 128 x 128 cells. All cases use the
same seeds. Run from the project's root, with the folder of the CIFAR-10 pickles or without vgg5:

    python tests/studies/line_offsets.py [DATA]

This writes `reports/line_offsets.md`. The accuracies of each case are stored in `--records`; an
interrupted run continues from there. Delete the file after a change of the sampler.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from loop.chips import trained_network
from placement import interval
from retraining import loaded

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rramfit.card import ModelCard
    from rramfit.mapping.study.datasets import Dataset
    from rramfit.mapping.tiles.setup import AnalogSetup

CARD = Path("fits/jetcas-reference-1.0.0.card.json")
SHARE = 0.5  # of the d2d variance
LINES: dict[str, tuple[Literal["row", "col"], int] | None] = {
    "none": None,
    "columns": ("col", 1),
    "rows": ("row", 1),
    "columns × (row mod 4)": ("col", 4),
}
AS_CELLS, EQUAL = "0.5", "1"
BN_IMAGES = 512
COLUMNS = (
    "network", "line offsets", "between levels", "chips", "mean", "5th percentile", "deviation",
    "mean − without lines",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A network on the chips of one card."""

    network: str
    lines: str  # key of `LINES`
    correlation: str
    trained_for: str | None = None  # key of `LINES`; None: not trained here
    bn: bool = False

    @property
    def key(self) -> str:
        return f"{self.network}/{self.lines}/{self.correlation}"


def cases(*, vgg5: bool) -> list[Case]:
    """List all cases; those without line offsets first."""
    out = []
    for lines in LINES:
        for correlation in (AS_CELLS, EQUAL) if LINES[lines] else (AS_CELLS,):
            networks: list[tuple[str, str | None, bool]] = [
                ("mlp", None, False),
                ("mlp, for chips", "none", False),
                ("mlp, for these chips", lines, False),
            ]
            if vgg5:
                networks += [("vgg5, for chips", None, False), ("vgg5, for chips, BN", None, True)]
            out += [
                Case(network=n, lines=lines, correlation=correlation, trained_for=chips, bn=bn)
                for n, chips, bn in networks
            ]
    return out


def card_of(lines: str, correlation: str) -> ModelCard:
    """Return the reference card with half of the d2d variance in line offsets."""
    from rramfit.card import Quantity, load_card, seal
    from rramfit.card.schema import LineOffsets

    card, kind = load_card(CARD), LINES[lines]
    if kind is None:
        return card
    variation = []
    for v in card.variation:
        assert v.d2d is not None
        std = Quantity.given(SHARE**0.5 * v.d2d.value, "S")
        offsets = LineOffsets(axis=kind[0], period=kind[1], std=std)
        variation.append(v.model_copy(update={"lines": [offsets]}))
    equal = np.ones((len(variation), len(variation))).tolist()
    between = equal if correlation == EQUAL else card.variation_correlation
    return seal(card.model_copy(update={"variation": variation, "line_correlation": between}))


@lru_cache(maxsize=1)
def digits() -> tuple[Dataset, nn.Module, float]:
    """Load the digits, and train the mlp digitally."""
    from rramfit.mapping.study.datasets import load_dataset

    data = load_dataset("digits")
    return data, *trained_network(data)


@lru_cache(maxsize=1)
def cifar10(folder: Path) -> Dataset:
    """Load CIFAR-10."""
    from rramfit.mapping.study.datasets import load_dataset

    return load_dataset(str(folder))


@lru_cache(maxsize=8)
def trained_for_chips(lines: str, correlation: str) -> tuple[nn.Module, Any]:
    """Train the mlp for the chips of a card."""
    from rramfit.mapping import analog_setup
    from rramfit.training import Run, load_recipe, train_aware

    data, network, _ = digits()
    setup = analog_setup(card_of(lines, correlation))
    run = Run(seed=0, stage="aware")
    new = train_aware(network, setup, data, load_recipe("digits").aware, run, teacher=network)
    return new.network, new.mapping


def of_case(case: Case, args: argparse.Namespace) -> tuple[Dataset, nn.Module, Any, AnalogSetup]:
    """Return data, network, mapping and setup of a case."""
    from rramfit.mapping import analog_setup

    card = card_of(case.lines, case.correlation)
    if case.network.startswith("vgg5"):
        data = cifar10(args.data)
        return data, *loaded(args.trained, data), analog_setup(card, weight_values=3)
    data, network, _ = digits()
    mapping: dict[str, dict[str, Tensor]] | None = None
    if case.trained_for is not None:
        correlation = AS_CELLS if case.trained_for == "none" else case.correlation
        network, mapping = trained_for_chips(case.trained_for, correlation)
    return data, network, mapping, analog_setup(card)


def accuracies(case: Case, args: argparse.Namespace) -> list[float]:
    """Evaluate a case."""
    from rramfit.mapping import convert_to_analog
    from rramfit.mapping.study.evaluation import evaluate
    from rramfit.training import recalibrate_batch_norm

    data, network, mapping, setup = of_case(case, args)
    analog = convert_to_analog(network, setup, inputs=data.train_images[:256], mapping=mapping)
    few = slice(args.images if case.network.startswith("vgg5") else None)

    def recalibrate(programmed: nn.Module) -> None:
        recalibrate_batch_norm(programmed, data.train_images[:BN_IMAGES])

    found = evaluate(
        analog,
        data.test_images[few],
        data.test_labels[few],
        digital=1.0,
        chips=chips_of(case, args),
        after_programming=recalibrate if case.bn else None,
    )
    return list(found.accuracies)


def chips_of(case: Case, args: argparse.Namespace) -> int:
    """Return the number of chips of a case."""
    return int(args.vgg5_chips if case.network.startswith("vgg5") else args.chips)


def row_of(case: Case, found: list[float], without: list[float]) -> list[str]:
    """Return a row of the table."""
    from rramfit.mapping.study.evaluation import summarise

    e = summarise(found, digital=1.0, threshold=0.0, images=1)
    lost = 100 * (np.asarray(found) - np.asarray(without))
    low, high = interval(lost) if case.lines != "none" else (0.0, 0.0)
    return [
        case.network,
        case.lines,
        case.correlation if case.lines != "none" else "",
        str(e.chips),
        e.mean.percent().replace(" %", ""),
        e.percentile5.percent().replace(" %", ""),
        f"{100 * e.deviation.value:.2f}",
        f"{lost.mean():+.2f} ({low:+.2f} to {high:+.2f})" if case.lines != "none" else "",
    ]


def write_report(records: dict[str, list[float]], args: argparse.Namespace, command: str) -> None:
    """Write the report."""
    vgg5 = args.data is not None
    wanted = cases(vgg5=vgg5)
    order = list(dict.fromkeys(case.network for case in wanted))
    wanted.sort(key=lambda case: order.index(case.network))
    rows = []
    for case in wanted:
        without = records[f"{case.network}/none/{AS_CELLS}"]
        rows.append(row_of(case, records[case.key], without))
    _, _, digital = digits()
    lines = [
        "# Accuracy lost to line offsets",
        "",
        f"Generated by `{command}`,",
        "whose docstring describes the chips. Accuracies are in per cent, differences in points.",
        "Intervals are 95 %: Student's t over chips for means; the difference is over chips of the",
        "same seed. The mlp reaches",
        f"{100 * digital:.2f} % digitally; its test images are all 360 of the digits."
        + (f" vgg5 is tested on {args.images} images." if vgg5 else ""),
        *(["A lower limit of 0 means that there are too few chips for one."] if vgg5 else []),
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
    args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Evaluate the missing cases and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, nargs="?", help="folder of the CIFAR-10 pickles")
    parser.add_argument("--chips", type=int, default=200, help="chips per case of the mlp")
    parser.add_argument("--vgg5-chips", type=int, default=10, help="chips per case of the vgg5")
    parser.add_argument("--images", type=int, default=500, help="test images of the vgg5")
    parser.add_argument("--trained", type=Path, default=Path("reports/cifar10/vgg5.aware.pt"))
    parser.add_argument("--out", type=Path, default=Path("reports/line_offsets.md"))
    parser.add_argument("--records", type=Path, default=Path("build/line_offsets.jsonl"))
    args = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    args.records.parent.mkdir(parents=True, exist_ok=True)
    kept = args.records.read_text().splitlines() if args.records.exists() else []
    known = {(r["case"], r["images"]): r["accuracies"] for r in map(json.loads, kept)}
    records: dict[str, list[float]] = {}
    wanted = cases(vgg5=args.data is not None)
    for case in wanted:
        images = args.images if case.network.startswith("vgg5") else 0
        found = known.get((case.key, images), [])
        if len(found) != chips_of(case, args):
            found = accuracies(case, args)
            with args.records.open("a") as f:
                line = {"case": case.key, "images": images, "accuracies": found}
                f.write(json.dumps(line) + "\n")
        records[case.key] = found
        sys.stderr.write(f"\r{len(records)} of {len(wanted)} cases")
    sys.stderr.write("\n")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    data = " DATA" if args.data is not None else ""
    command = (
        f"python tests/studies/line_offsets.py{data} --chips {args.chips} "
        f"--vgg5-chips {args.vgg5_chips} --images {args.images}"
    )
    write_report(records, args, command)


if __name__ == "__main__":
    main()
