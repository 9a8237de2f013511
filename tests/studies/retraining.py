"""What retraining for one fitted chip gives back of what the chip's faults cost.

A virtual chip of 128 x 128 cells of the reference kind with 2 % of its cells stuck (half low, half
high; see `placement.py`) is measured with 24 sweeps and characterized. A vgg5 that was trained for
the population of reference chips, which knows no stuck cells, is retrained for the fitted chip: its
faults and offsets from the sidecar, rows and columns placed around them, two epochs by the recipe
`cifar10`. All are judged on the chip's *true* cells, over programmings that are the same for all:

    without     the network as it was, on the chip without its stuck cells
    faulty      the same on the chip as it is
    placed      placed around the fitted faults, not trained
    retrained   placed and retrained

    given back = (retrained − faulty)/(without − faulty)

All matrices lie on the one array, one after another. Batch norms are estimated again after every
programming, on 512 training images. Run from the project's root, after `cifar10.py`:

    python tests/studies/retraining.py DATA

writes `reports/retraining.md`. Each chip's figures are kept in `--records`; a run that was broken
off goes on there, and a training at its last epoch.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from closed_loop import SHAPE, SWEEPS, meet, true_chip
from placement import faulty_card, interval

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rramfit.array import Chips
    from rramfit.mapping.study.datasets import Dataset

CASES = "without", "faulty", "placed", "retrained"
COLUMNS = ("chip", "faults in it, %", *(f"{c}, %" for c in CASES), "given back, %")
WANTED = 80  # [%]
NORM_IMAGES = 512


def healed(chip: Chips) -> Chips:
    """Take a chip's stuck cells for sound ones."""
    from rramfit.array.devices.chips import sound_where
    from rramfit.card.cells import Fault

    fault = sound_where(chip.fault, Fault.STUCK_LOW, Fault.STUCK_HIGH)
    return dataclasses.replace(chip, fault=fault)


def loaded(path: Path, data: Dataset) -> tuple[nn.Module, dict[str, dict[str, Tensor]] | None]:
    """Load a vgg5."""
    from rramfit.mapping.study.networks import load_weights, make_network

    network = make_network("vgg5", data.shape, data.classes)
    laid = load_weights(network, path)
    return network.eval(), laid


def one_chip(seed: int, data: Dataset, args: argparse.Namespace) -> dict[str, Any]:
    """Measure, characterize, retrain for and run one chip: accuracies of every case."""
    from rramfit.card.cells import Fault
    from rramfit.fitting.characterization import characterize
    from rramfit.mapping import analog_setup, convert_to_analog
    from rramfit.mapping.study.evaluation import evaluate
    from rramfit.measurement.virtual.synthesize import synthesize
    from rramfit.training import Run, estimate_norms, load_recipe, train_aware

    card = faulty_card(args.faults)
    measured = synthesize(card, sweeps=SWEEPS, seed=seed, groups=("program", "mvm", "readout"))
    fitted = characterize(measured, name=f"chip-{seed}", seed=seed)
    own = true_chip(card, seed)
    network, laid = loaded(args.trained, data)
    teacher, _ = loaded(args.teacher, data)
    images, labels = data.test_images[: args.images], data.test_labels[: args.images]

    setup = analog_setup(fitted.card, tile=SHAPE, origin=fitted.cells, weight_values=3)
    placed = dataclasses.replace(setup, place_around_faults=True)

    def judged(net: nn.Module, on: Any, lies: Any, chip: Chips) -> list[float]:
        mapped = convert_to_analog(net, on, inputs=data.train_images[:256], laid=lies, seed=seed)
        found = evaluate(
            meet(mapped, card, chip),
            images,
            labels,
            digital=1.0,
            chips=args.programmings,
            seed=seed,
            programmed=lambda n: estimate_norms(n, data.train_images[:NORM_IMAGES]),
        )
        return list(found.accuracies)

    run = Run(
        seed=seed,
        stage="retrain",
        of={"chip": str(seed), "faults": str(args.faults)},
        checkpoint=args.records.with_suffix(f".{seed}.state"),
        resume=True,
        on_epoch=lambda epochs: sys.stderr.write(f"chip {seed}, {epochs[-1]}\n"),
    )
    stage = load_recipe("cifar10").retrain
    new = train_aware(network, placed, data, stage, run, teacher=teacher, laid=laid)
    return {
        **asked(seed, args),
        "faults": float((own.fault != Fault.OK).float().mean()),
        "epochs": len(new.history),
        "without": judged(network, setup, laid, healed(own)),
        "faulty": judged(network, setup, laid, own),
        "placed": judged(network, placed, laid, own),
        "retrained": judged(new.network, placed, new.laid, own),
    }


def asked(seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """Say what a record is of."""
    names = "programmings", "images"
    return {"seed": seed, "share": args.faults, **{name: getattr(args, name) for name in names}}


def given_back(record: dict[str, Any]) -> float:
    """Share of what faults cost that retraining gives back [%]."""
    mean = {c: float(np.mean(record[c])) for c in CASES}
    return 100 * (mean["retrained"] - mean["faulty"]) / (mean["without"] - mean["faulty"])


def write_report(records: list[dict[str, Any]], args: argparse.Namespace, command: str) -> None:
    """Write the table."""
    rows = []
    for r in records:
        means = [f"{100 * np.mean(r[c]):.2f}" for c in CASES]
        faults = f"{100 * r['faults']:.2f}"
        rows.append([str(r["seed"]), faults, *means, f"{given_back(r):.0f}"])
    shares = np.array([given_back(r) for r in records])
    overall = f"{shares.mean():.0f} %"
    if len(shares) > 1:
        low, high = interval(shares)
        overall += f" ({low:.0f} to {high:.0f}, 95 % over chips)"
    lines = [
        "# Retraining for one fitted chip",
        "",
        f"Made by `{command}`,",
        "which says what is compared: a vgg5 trained for the population of reference chips, on",
        f"chips with {100 * args.faults:g} % of cells stuck, before and after",
        f"{records[0]['epochs']} epochs for it. {args.images} test images of CIFAR-10,",
        f"{args.programmings} programmings of each chip's true cells.",
        "",
        f"Given back of what the faults cost: {overall}; wanted: {WANTED} %.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "| " + " | ".join("---:" for _ in COLUMNS) + " |",
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
    args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Run what is not on record, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="folder of CIFAR-10's pickles")
    parser.add_argument("--chips", type=int, default=3)
    parser.add_argument("--faults", type=float, default=0.02, help="share of stuck cells")
    parser.add_argument("--programmings", type=int, default=5)
    parser.add_argument("--images", type=int, default=2000)
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
        wanted = asked(seed, args)
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
