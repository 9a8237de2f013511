"""A card from measured arrays, and a network on chips of this card.

Two public measurements are characterized. They are not part of the project; the environment
variable `RRAMFIT_SHARED` gives their folder (default `../shared`):

    techC_relaxation.h5   levels 1.25 uS apart up to 40 uS, programmed once, and their relaxation
                          from 10 ms to 1e5 s; no data on failures
    C10_tile0.h5          one tile of 128 x 128 cells at one level, 4 % of them stuck

`measured-1.0.0.card.json` has levels 0, 15 and 31 of the first card (0.7, 19 and 39 uS: the lowest,
middle and highest level that enough cells reached; `rramfit.card.take_levels`) and the stuck cells
of the second, whose conductance is kept relative to the highest level. The card combines two
technologies. It has no wires, I-V, read noise or read-out, because neither measurement includes
them. Run from the project's root:

    python tests/studies/measured_card.py

This writes both cards to `fits/`, and `reports/measured_card.md`: an mlp on scikit-learn's digits
on chips of the card, at several ages, with and without stuck cells, and with all levels.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from loop.chips import trained_network

if TYPE_CHECKING:
    from torch import nn

    from rramfit.card import ModelCard
    from rramfit.mapping.study.datasets import Dataset

TAKEN = 0, 15, 31
REACHED = tuple(range(33))
AGES = {"as programmed": 0.0, "after an hour": 3600.0, "after 1e5 s": 1e5}
COLUMNS = "levels", "stuck cells", "age", "mean", "deviation", "5th percentile"


def fitted(name: str) -> ModelCard:
    """Characterize one of the measurements."""
    from rramfit.fitting.characterization import characterize

    folder = Path(os.environ.get("RRAMFIT_SHARED", "../shared")) / "data/measured/h5"
    return characterize(folder / f"{name}.h5").card


def measured_card(levels: ModelCard, tile: ModelCard) -> ModelCard:
    """Combine the levels of one card with the stuck cells of another."""
    from rramfit.card import Quantity, seal, take_levels
    from rramfit.card.schema import StuckCard

    few = take_levels(levels, TAKEN, name="measured")
    stuck, top, own = tile.stuck, few.levels[-1].mean, tile.levels[-1].mean
    assert stuck is not None
    assert stuck.high_conductance is not None
    assert top is not None
    assert own is not None
    scale = top.value / own.value
    joined = StuckCard(
        low=stuck.low,
        high=stuck.high,
        high_conductance=Quantity.given(stuck.high_conductance.value * scale, "S"),
        dead_rows=stuck.dead_rows,
        dead_cols=stuck.dead_cols,
    )
    summary = (
        f"Levels and retention of {levels.name} ({levels.quality.verdict}), stuck cells of "
        f"{tile.name} ({tile.quality.verdict}); two technologies. {few.quality.summary}"
    )
    provenance = few.provenance.model_copy(
        update={
            "inputs": [*few.provenance.inputs, *tile.provenance.inputs],
            "arguments": {**few.provenance.arguments, "stuck_from": tile.digest},
        }
    )
    return seal(
        few.model_copy(
            update={
                "stuck": joined,
                "quality": few.quality.model_copy(update={"summary": summary}),
                "provenance": provenance,
            }
        )
    )


def accuracies(
    card: ModelCard, network: nn.Module, data: Dataset, *, stuck: bool, age: float, chips: int
) -> list[str]:
    """Evaluate the network on chips of a card: mean, deviation and 5th percentile."""
    from rramfit.mapping import FACTORS, analog_setup, convert_to_analog
    from rramfit.mapping.study.evaluation import evaluate

    off = set() if stuck else {"stuck", "dead_lines"}
    setup = analog_setup(card, factors=[f for f in FACTORS if f not in off], time=age)
    analog = convert_to_analog(network, setup, inputs=data.train_images[:256])
    found = evaluate(analog, data.test_images, data.test_labels, digital=1.0, chips=chips)
    return [x.percent() for x in (found.mean, found.deviation, found.percentile5)]


def main() -> None:
    """Write the cards and the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--chips", type=int, default=100, help="number of chips per case")
    parser.add_argument("--cards", type=Path, default=Path("fits"), help="folder for the cards")
    parser.add_argument("--out", type=Path, default=Path("reports/measured_card.md"))
    args = parser.parse_args()
    import torch

    from rramfit.card import save_card, take_levels
    from rramfit.mapping.study.datasets import load_dataset

    torch.set_num_threads(1)
    levels = fitted("techC_relaxation")
    tile = take_levels(fitted("C10_tile0"), [0], name="C10-tile0")  # only its card is used
    card, all_levels = measured_card(levels, tile), take_levels(levels, REACHED)
    args.cards.mkdir(parents=True, exist_ok=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    save_card(tile, args.cards / "C10-tile0-1.0.0.card.json")
    save_card(card, args.cards / "measured-1.0.0.card.json")
    data = load_dataset("digits")
    network, digital = trained_network(data)
    rows = []
    for some, of in ((card, "3"), (all_levels, str(len(all_levels.levels)))):
        for stuck in (False, True) if some.stuck else (False,):
            for label, age in AGES.items():
                found = accuracies(some, network, data, stuck=stuck, age=age, chips=args.chips)
                rows.append([of, "C10's" if stuck else "none", label, *found])
                sys.stderr.write(".")
    sys.stderr.write("\n")
    means = ", ".join(f"{1e6 * x.mean.value:.3g}" for x in card.levels if x.mean)
    spreads = ", ".join(f"{1e6 * x.std.value:.2g}" for x in card.levels if x.std)
    assert card.stuck is not None
    assert card.stuck.low.value == 0
    lines = [
        "# A network on chips drawn from a measured card",
        "",
        f"Generated by `python tests/studies/measured_card.py --chips {args.chips}`, whose",
        "docstring describes the cards. An mlp on scikit-learn's digits, 360 test images, digital",
        f"accuracy {100 * digital:.2f} %, on {args.chips} chips per case. Intervals are 95 %",
        "intervals over chips.",
        "",
        f"- 3 levels: means {means} uS, standard deviations {spreads} uS as programmed",
        f"- stuck cells: {100 * card.stuck.high.value:.2f} % high, none low",
        f"- {len(all_levels.levels)} levels: all levels that enough cells reached",
        "- not measured, so not on the cards: wires, read-out, read noise, I-V, failures, cycles",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "| " + " | ".join("---" for _ in COLUMNS) + " |",
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
    args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
