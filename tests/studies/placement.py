"""Accuracy gain from placing rows and columns around the faults of a fitted chip.

The virtual chips have 128 x 128 cells of the reference kind (5, 12 and 30 kohm, 15 % variation,
0.5 ohm segments, its read-out, 1 % programming failure) and additional faults: equal shares of
cells stuck low and stuck high, together `--faults` (2 %). Each chip is measured with 24 sweeps and
characterized. An mlp, trained digitally on scikit-learn's digits, is mapped with the fitted card,
once without placement and once placed with the fitted sidecar, around faults and by the cells'
offsets and positions. Both mappings run on the chip's *true* cells, with the same programmings.
Both matrices use the same array, one after another. Run from the project's root:

    python tests/studies/placement.py

This writes `reports/placement.md` and `.csv`. Intervals are 95 %, Student's t: of one chip's gain
over its programmings, and of the mean gain over chips.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from loop.chips import SWEEPS, move_to_chips, setup_of, trained_network, true_chip
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn

    from rramfit.card import ModelCard
    from rramfit.mapping.study.datasets import Dataset

COLUMNS = (
    "chip", "faulty cells, %", "detected, %", "not placed, %", "placed, %", "gain, points",
    "gain low", "gain high", "squared error removed", "predicted not placed, %",
    "predicted placed, %",
)  # fmt: skip


def faulty_card(faults: float) -> ModelCard:
    """Return the card of the reference chip with stuck cells."""
    from rramfit.card import Quantity, seal
    from rramfit.card.schema import StuckCard
    from rramfit.measurement.virtual.reference_chip import reference_card

    half = Quantity.given(faults / 2, "1")
    stuck = StuckCard(
        low=half,
        high=half,
        low_conductance=Quantity.given(3e-6, "S"),
        high_conductance=Quantity.given(320e-6, "S"),
    )
    return seal(reference_card().model_copy(update={"stuck": stuck}))


def one_chip(
    seed: int, card: ModelCard, network: nn.Module, data: Dataset, programmings: int
) -> dict[str, Any]:
    """Measure and characterize one chip, map the network with and without placement, run it."""
    import dataclasses

    from rramfit.card.cells import Fault
    from rramfit.fitting.characterization import characterize
    from rramfit.mapping import analog_matrices, convert_to_analog
    from rramfit.mapping.study.evaluation import evaluate
    from rramfit.measurement.virtual.synthesize import synthesize

    measured = synthesize(card, sweeps=SWEEPS, seed=seed, groups=("program", "mvm", "readout"))
    fitted = characterize(measured, name=f"chip-{seed}", seed=seed)
    own = true_chip(card, seed)
    faulty = own.fault[0].numpy() != Fault.OK
    found = (fitted.cells.fault != Fault.OK) & faulty

    def run(model: nn.Module) -> NDArray[np.float64]:
        images, labels = data.test_images, data.test_labels
        of = evaluate(model, images, labels, digital=1.0, chips=programmings, seed=seed)
        return 100 * np.asarray(of.accuracies)

    out: dict[str, Any] = {
        "seed": seed, "faults": 100 * faulty.mean(), "found": 100 * found.sum() / faulty.sum()
    }  # fmt: skip
    for place in (False, True):
        setup = dataclasses.replace(setup_of(fitted.card, fitted.cells), place_around_faults=place)
        mapped = convert_to_analog(network, setup, inputs=data.train_images[:256], seed=seed)
        gains = [m.placed for m in analog_matrices(mapped) if m.placed is not None]
        before, after = (sum(getattr(p, name) for p in gains) for name in ("before", "after"))
        out[f"predicted {place}"] = run(mapped)
        out[f"true {place}"] = run(move_to_chips(mapped, card, own))
        out["removed"] = 1 - after / before if before else 0.0
    return out


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Compute the 95 % interval of a mean."""
    from scipy import special

    half = special.stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / math.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def write_report(
    chips: list[dict[str, Any]], digital: float, faults: float, out: Path, command: str
) -> None:
    """Write the table as CSV and Markdown."""
    rows, gains, sides = [], [], []
    for c in chips:
        gain = c["true True"] - c["true False"]
        gains.append(gain.mean())
        sides.append((c["true False"].mean(), c["true True"].mean()))
        low, high = interval(gain)
        rows.append([
            str(c["seed"]), f"{c['faults']:.2f}", f"{c['found']:.1f}",
            f"{c['true False'].mean():.2f}", f"{c['true True'].mean():.2f}", f"{gain.mean():+.2f}",
            f"{low:+.2f}", f"{high:+.2f}", f"{c['removed']:.2f}",
            f"{c['predicted False'].mean():.2f}", f"{c['predicted True'].mean():.2f}",
        ])  # fmt: skip
    with out.with_suffix(".csv").open("w", newline="") as f:
        csv.writer(f, lineterminator="\n").writerows([COLUMNS, *rows])
    low, high = interval(np.asarray(gains))
    without, with_it = np.mean(sides, axis=0)
    lines = [
        "# Placement around faults",
        "",
        f"Generated by `{command}`,",
        "whose docstring describes the comparison. An mlp on scikit-learn's digits, 360 test",
        f"images, digital accuracy {100 * digital:.2f} %; {len(chips)} reference chips with",
        f"{100 * faults:g} % stuck cells, {len(chips[0]['true True'])} programmings of each chip's",
        "true cells.",
        "",
        f"The mean accuracy is {without:.2f} % without placement and {with_it:.2f} % with",
        f"placement, a gain of {np.mean(gains):.2f} points ({low:.2f}–{high:.2f}, 95 % interval",
        "over chips).",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "| " + " | ".join("---:" for _ in COLUMNS) + " |",
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
        "`squared error removed`: share of the expected squared error of the weights (differences",
        "of pairs) that placement removes. `predicted`: from card and sidecar, without the true",
        "cells.",
    ]
    out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Run all chips and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--chips", type=int, default=8, help="number of chips")
    parser.add_argument(
        "--programmings", type=int, default=40, help="programmings per chip and mapping"
    )
    parser.add_argument("--faults", type=float, default=0.02, help="share of stuck cells")
    parser.add_argument("--out", type=Path, default=Path("reports/placement.md"))
    args = parser.parse_args()
    import torch

    from rramfit.mapping.study.datasets import load_dataset

    torch.set_num_threads(1)
    data = load_dataset("digits")
    network, digital = trained_network(data)
    card = faulty_card(args.faults)
    found = []
    for seed in range(args.chips):
        found.append(one_chip(seed, card, network, data, args.programmings))
        sys.stderr.write(f"\r{seed + 1} of {args.chips} chips")
    sys.stderr.write("\n")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    command = (
        f"python tests/studies/placement.py --chips {args.chips} "
        f"--programmings {args.programmings} --faults {args.faults:g}"
    )
    write_report(found, digital, args.faults, args.out, command)


if __name__ == "__main__":
    main()
