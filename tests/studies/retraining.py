"""Recovery of the accuracy loss from faults by retraining for one fitted chip.

A virtual reference chip of 128 x 128 cells with 2 % stuck cells (half low, half high; see
`placement.py`) is measured with 24 sweeps and characterized. A vgg5 trained for the population of
reference chips, which have no stuck cells, is retrained for the fitted chip: with faults and
offsets from the sidecar, rows and columns placed around the faults, two epochs of the recipe
`cifar10`. All cases are evaluated on the chip's *true* cells, with the same programmings:

    without     the original network, on the chip without its stuck cells
    faulty      the original network, on the chip with its stuck cells
    placed      placed around the fitted faults, not retrained
    retrained   placed and retrained

    recovered = (retrained − faulty)/(without − faulty)

All matrices use the same array, one after another. BatchNorm is recalibrated after every
programming with 512 training images. Run from the project's root, after `cifar10.py`:

    python tests/studies/retraining.py DATA

This writes `reports/retraining.md`. The results of each chip are stored in `--records`; an
interrupted run continues from there, and an interrupted training from its last epoch.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from loop.chips import SHAPE, SWEEPS, move_to_chips, true_chip
from placement import faulty_card, interval

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rramfit.array import Chips
    from rramfit.mapping.study.datasets import Dataset

CASES = "without", "faulty", "placed", "retrained"
COLUMNS = ("chip", "faulty cells, %", *(f"{c}, %" for c in CASES), "recovered, %")
TARGET = 80  # [%]
BN_IMAGES = 512


def without_stuck_cells(chip: Chips) -> Chips:
    """Return a chip with its stuck cells replaced by healthy cells."""
    from rramfit.array.devices.chips import clear_faults
    from rramfit.card.cells import Fault

    fault = clear_faults(chip.fault, Fault.STUCK_LOW, Fault.STUCK_HIGH)
    return dataclasses.replace(chip, fault=fault)


def loaded(path: Path, data: Dataset) -> tuple[nn.Module, dict[str, dict[str, Tensor]] | None]:
    """Load a vgg5."""
    from rramfit.mapping.study.networks import load_weights, make_network

    network = make_network("vgg5", data.shape, data.classes)
    mapping = load_weights(network, path)
    return network.eval(), mapping


def one_chip(seed: int, data: Dataset, args: argparse.Namespace) -> dict[str, Any]:
    """Measure and characterize one chip, retrain for it, and evaluate every case."""
    from rramfit.card.cells import Fault
    from rramfit.fitting.characterization import characterize
    from rramfit.mapping import analog_setup, convert_to_analog
    from rramfit.mapping.study.evaluation import evaluate
    from rramfit.measurement.virtual.synthesize import synthesize
    from rramfit.training import Run, load_recipe, recalibrate_batch_norm, train_aware

    card = faulty_card(args.faults)
    measured = synthesize(card, sweeps=SWEEPS, seed=seed, groups=("program", "mvm", "readout"))
    fitted = characterize(measured, name=f"chip-{seed}", seed=seed)
    own = true_chip(card, seed)
    network, mapping = loaded(args.trained, data)
    teacher, _ = loaded(args.teacher, data)
    images, labels = data.test_images[: args.images], data.test_labels[: args.images]

    setup = analog_setup(fitted.card, tile=SHAPE, origin=fitted.cells, weight_values=3)
    placed = dataclasses.replace(setup, place_around_faults=True)

    def accuracies(net: nn.Module, setup: Any, layers: Any, chip: Chips) -> list[float]:
        inputs = data.train_images[:256]
        mapped = convert_to_analog(net, setup, inputs=inputs, mapping=layers, seed=seed)
        found = evaluate(
            move_to_chips(mapped, card, chip),
            images,
            labels,
            digital=1.0,
            chips=args.programmings,
            seed=seed,
            after_programming=lambda n: recalibrate_batch_norm(n, data.train_images[:BN_IMAGES]),
        )
        return list(found.accuracies)

    run = Run(
        seed=seed,
        stage="retrain",
        identity={"chip": str(seed), "faults": str(args.faults)},
        checkpoint=args.records.with_suffix(f".{seed}.state"),
        resume=True,
        on_epoch=lambda epochs: sys.stderr.write(f"chip {seed}, {epochs[-1]}\n"),
    )
    stage = load_recipe("cifar10").retrain
    new = train_aware(network, placed, data, stage, run, teacher=teacher, mapping=mapping)
    return {
        **settings(seed, args),
        "faults": float((own.fault != Fault.OK).float().mean()),
        "epochs": len(new.history),
        "without": accuracies(network, setup, mapping, without_stuck_cells(own)),
        "faulty": accuracies(network, setup, mapping, own),
        "placed": accuracies(network, placed, mapping, own),
        "retrained": accuracies(new.network, placed, new.mapping, own),
    }


def settings(seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that identify a record."""
    names = "programmings", "images"
    return {"seed": seed, "share": args.faults, **{name: getattr(args, name) for name in names}}


def recovered(record: dict[str, Any]) -> float:
    """Compute the share of the accuracy loss that retraining recovers [%]."""
    mean = {c: float(np.mean(record[c])) for c in CASES}
    return 100 * (mean["retrained"] - mean["faulty"]) / (mean["without"] - mean["faulty"])


def write_report(records: list[dict[str, Any]], args: argparse.Namespace, command: str) -> None:
    """Write the report."""
    rows = []
    for r in records:
        means = [f"{100 * np.mean(r[c]):.2f}" for c in CASES]
        faults = f"{100 * r['faults']:.2f}"
        rows.append([str(r["seed"]), faults, *means, f"{recovered(r):.0f}"])
    shares = np.array([recovered(r) for r in records])
    overall = f"{shares.mean():.0f} %"
    if len(shares) > 1:
        low, high = interval(shares)
        overall += f" ({low:.0f}–{high:.0f}, 95 % interval over chips)"
    lines = [
        "# Retraining for one fitted chip",
        "",
        f"Generated by `{command}`,",
        "whose docstring describes the comparison. A vgg5 trained for the population of reference",
        f"chips is evaluated on chips with {100 * args.faults:g} % stuck cells, before and",
        f"after {records[0]['epochs']} epochs of retraining for each chip, on {args.images} test",
        f"images of CIFAR-10 and {args.programmings} programmings of each chip's true cells.",
        "",
        f"Retraining recovers {overall} of the accuracy loss from faults. Target: {TARGET} %.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "| " + " | ".join("---:" for _ in COLUMNS) + " |",
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
    args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Run the missing chips and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="folder of the CIFAR-10 pickles")
    parser.add_argument("--chips", type=int, default=3, help="number of chips")
    parser.add_argument("--faults", type=float, default=0.02, help="share of stuck cells")
    parser.add_argument("--programmings", type=int, default=5, help="programmings per chip")
    parser.add_argument("--images", type=int, default=2000, help="number of test images")
    parser.add_argument("--trained", type=Path, default=Path("reports/cifar10/vgg5.aware.pt"))
    parser.add_argument("--teacher", type=Path, default=Path("reports/cifar10/vgg5.plain.pt"))
    parser.add_argument("--out", type=Path, default=Path("reports/retraining.md"))
    parser.add_argument("--records", type=Path, default=Path("build/retraining.jsonl"))
    args = parser.parse_args()

    from rramfit.mapping.study.datasets import load_dataset
    from rramfit_cli.allocator import keep_freed_memory

    keep_freed_memory()
    data = load_dataset(str(args.data))
    args.records.parent.mkdir(parents=True, exist_ok=True)
    lines = args.records.read_text().splitlines() if args.records.exists() else []
    kept = [json.loads(line) for line in lines]
    records = []
    for seed in range(args.chips):
        wanted = settings(seed, args)
        record = next((r for r in kept if {k: r.get(k) for k in wanted} == wanted), None)
        if record is None:
            record = one_chip(seed, data, args)
            with args.records.open("a") as f:
                f.write(json.dumps(record) + "\n")
        records.append(record)
    command = (
        f"python tests/studies/retraining.py DATA --chips {args.chips} --faults {args.faults:g} "
        f"--programmings {args.programmings} --images {args.images}"
    )
    write_report(records, args, command)


if __name__ == "__main__":
    main()
