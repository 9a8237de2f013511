"""vgg5 on CIFAR-10: trained plainly, mapped naively, and trained for chips.

Every step is one `rramfit` command. What it prints as JSON is kept in `reports/cifar10/`, beside
checkpoints, learning curves and HTML reports; a step whose JSON is there is not run again, and a
training that was broken off goes on at its last epoch. Run from the project's root, with the folder
that holds CIFAR-10's pickles:

    python tests/studies/cifar10.py DATA

runs what is not there and writes `reports/cifar10.md`; `--list` prints the commands, `--only` takes
some of them. Weights take three values everywhere, −1, 0 and 1 by the outer levels of two cells.

Training for chips goes in four stages, each from the network before: `first` ramps non-idealities
up, `second` is long and has holes in its images, `third` averages weights, `aware` has whole images
again. `gated` and `measured` go on from there for their own cards.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLACE = "reports/cifar10"
GROUNDED = "fits/jetcas-reference-1.0.0.card.json"
GATED = "fits/jetcas-reference-gated-1.0.0.card.json"
MEASURED = "fits/measured-1.0.0.card.json"
FEW_NORMS, NORMS, MORE_NORMS = (f"--norms {n}" for n in (128, 512, 1024))
ALL_IMAGES = 10_000


@dataclass(frozen=True, slots=True)
class Step:
    """One command; DATA stands for the folder of images."""

    name: str
    command: str
    says: str = ""


def weights(name: str) -> str:
    """Name the checkpoint of a training."""
    return f"{PLACE}/vgg5.{name}.pt"


def training(name: str, card: str, start: str, more: str = "") -> Step:
    """Train for the chips of a card."""
    return Step(
        f"train-{name}",
        f"rramfit train vgg5 --data DATA --checkpoint {weights(start)} --card {card} "
        f"--weight-values 3 -o {weights(name)} --chips 0 --json{more}",
    )


def evaluation(
    name: str, card: str, of: str, images: int, more: str, says: str, *, chips: int = 100
) -> Step:
    """Evaluate a checkpoint on chips of a card."""
    return Step(
        name,
        f"rramfit evaluate vgg5 --data DATA --checkpoint {weights(of)} --card {card} "
        f"--weight-values 3 --chips {chips} --images {images}{more} -o {PLACE}/{name}.html --json",
        says,
    )


def ablation(name: str, of: str) -> Step:
    """Switch factors one by one, on 5 chips a case."""
    return Step(
        name,
        f"rramfit ablate vgg5 --data DATA --checkpoint {weights(of)} --card {GROUNDED} "
        f"--weight-values 3 --chips 5 --images 1000 {NORMS} -o {PLACE}/{name}.html --json",
    )


ADAPT = f" --recipe cifar10-adapt --teacher {weights('plain')}"
AVERAGE = f" --recipe cifar10-average --teacher {weights('plain')}"
FINISH = f" --recipe cifar10-finish --teacher {weights('plain')}"
FAR = f" --recipe tests/studies/measured.toml --teacher {weights('plain')}"
TRAININGS = (
    Step(
        "train-plain",
        f"rramfit train vgg5 --data DATA --plain -o {weights('plain')} --chips 0 --json",
    ),
    training("first", GROUNDED, "plain"),
    training("second", GROUNDED, "first", ADAPT),
    training("third", GROUNDED, "second", AVERAGE),
    training("aware", GROUNDED, "third", FINISH),
    training("gated", GATED, "aware", FINISH),
    training("measured", MEASURED, "aware", FAR),
)
EVALUATIONS = (
    evaluation("naive", GROUNDED, "plain", 300, "", "grounded, naive"),
    evaluation("aware", GROUNDED, "aware", 5000, f" {MORE_NORMS}", "grounded, trained for it"),
    *(
        evaluation(f"aware-{name}", GROUNDED, "aware", 500, more, f"… {says}", chips=5)
        for name, more, says in (
            ("norms", f" {MORE_NORMS}", "fewer chips and images"),
            ("few-norms", f" {FEW_NORMS}", "norms of fewer images"),
            ("as-trained", "", "norms of the population"),
            ("6-bits", f" {MORE_NORMS} --adc-bits 6", "ADC of 6 bits, not 8"),
        )
    ),
    evaluation("naive-gated", GATED, "plain", 100, "", "gated, naive", chips=10),
    evaluation("gated", GATED, "gated", 1200, f" {NORMS}", "gated, trained for it"),
    evaluation(
        *("naive-measured", MEASURED, "plain", 300, f" {NORMS}", "measured, naive"), chips=10
    ),
    evaluation(
        "measured", MEASURED, "measured", 500, f" {NORMS}", "measured, trained for it", chips=30
    ),
)
ABLATIONS = ablation("ablation-naive", "plain"), ablation("ablation-aware", "aware")
STEPS = (*TRAININGS, *EVALUATIONS, *ABLATIONS)


def run(step: Step, data: Path, place: Path) -> None:
    """Run one command, and keep what it prints; nothing where it fails."""
    out = place / f"{step.name}.json"
    if out.exists():
        return
    sys.stderr.write(f"{step.name}: {step.command}\n")
    words = [str(data) if w == "DATA" else w for w in shlex.split(step.command)]
    if any(place.glob(f"vgg5.{step.name.removeprefix('train-')}.*state")):
        words.append("--resume")
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True)
    told = json.loads(done.stdout)
    out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def float32_accuracy(data: Path, counts: set[int]) -> dict[int, float]:
    """Accuracy of the plainly trained network on the first test images, so many each time [%]."""
    from rramfit.mapping.study.datasets import load_dataset
    from rramfit.mapping.study.evaluation import accuracy
    from rramfit.mapping.study.networks import load_weights, make_network

    images = load_dataset(str(data))
    network = make_network("vgg5", images.shape, images.classes)
    load_weights(network, Path(weights("plain")))
    x, y = images.test_images, images.test_labels
    return {n: 100 * accuracy(network, x[:n], y[:n]) for n in counts}


def interval(estimate: dict[str, Any]) -> str:
    """Say a number and its 95 % interval in per cent."""
    low, high = estimate["ci95"]
    return f"{100 * estimate['value']:.2f} ({100 * low:.2f} to {100 * high:.2f})"


def evaluation_rows(told: dict[str, Any], float32: dict[int, float]) -> list[list[str]]:
    """Give a line of the table for each evaluation."""
    rows = []
    for step in EVALUATIONS:
        if step.name not in told:
            continue
        of = told[step.name]
        plain, mean = float32[of["images"]], 100 * of["mean"]["value"]
        fifth = 100 * of["percentile5"]["value"]
        norms = of["norm_images"] or "as trained"
        row = [step.says, str(of["chips"]), str(norms), str(of["images"]), f"{plain:.2f}"]
        row.append(f"{100 * of['digital_accuracy']:.2f}")
        row += [interval(of["mean"]), f"{plain - mean:.2f}", f"{100 * of['sd']['value']:.2f}"]
        row += [f"{fifth:.2f}", f"{mean - fifth:.2f}", f"[page](cifar10/{step.name}.html)"]
        rows.append(row)
    return rows


def ablation_rows(told: dict[str, Any]) -> list[list[str]]:
    """Give a line for each factor, of both networks."""
    if not all(step.name in told for step in ABLATIONS):
        return []
    both = [told[step.name] for step in ABLATIONS]
    rows = []
    for pair in zip(*(x["factors"] for x in both), strict=True):
        means = [100 * x[side]["mean"]["value"] for side in ("alone", "without") for x in pair]
        rows.append([pair[0]["factor"], *(f"{x:.2f}" for x in means)])
    together = [f"{100 * x['all']['mean']['value']:.2f}" for x in both]
    return [*rows, ["all together", *together, "", ""]]


def table(columns: tuple[str, ...], rows: list[list[str]]) -> list[str]:
    """Write Markdown; the first column in words."""
    ruler = ["---", *("---:" for _ in columns[1:])]
    return ["| " + " | ".join(line) + " |" for line in (columns, ruler, *rows)]


def write_report(data: Path, place: Path, out: Path) -> None:
    """Write the page from the JSON of all steps that were run."""
    kept = {s.name: place / f"{s.name}.json" for s in STEPS}
    told = {name: json.loads(path.read_text()) for name, path in kept.items() if path.exists()}
    counts = {told[s.name]["images"] for s in EVALUATIONS if s.name in told}
    float32 = float32_accuracy(data, {*counts, ALL_IMAGES})
    on_chips = (
        *("chips, network", "drawn", "norms", "images", "float32", "digital", "mean over chips"),
        *("under float32", "deviation", "5th percentile", "under the mean", "report"),
    )
    by_factor = (
        *("factor", "naive, alone", "trained for chips, alone", "naive, without"),
        "trained for chips, without",
    )
    lines = [
        "# vgg5 on CIFAR-10: naively mapped, and trained for chips",
        "",
        "Made by `python tests/studies/cifar10.py DATA`, which runs the commands below; DATA is",
        "the folder of CIFAR-10's pickles. Weights take three values. Accuracies are in per cent,",
        "on so many of the first test images; intervals are 95 %, over chips.",
        "",
        f"In float32 the plainly trained network reaches {float32[ALL_IMAGES]:.2f} % on all",
        "10,000 test images.",
        "",
        "## On chips",
        "",
        "`float32` is the plainly trained network on the images of the line, `digital` the line's",
        "own network, its weights on codes where it was trained for chips. `norms`: batch norms",
        "were estimated again on each chip after programming, on so many training images.",
        "Digitally they are those of the population, as trained, so that chips can do better.",
        "",
        *table(on_chips, evaluation_rows(told, float32)),
        "",
        "## Factor by factor",
        "",
        "Reference chips, grounded rows; 5 chips a case, 1,000 images, norms estimated again on",
        "each chip, on 512 training images. `alone`: this factor only; `without`: all but this",
        "one.",
        "",
        *table(by_factor, ablation_rows(told)),
        "",
        "## Commands",
        "",
        *(f"    {s.command}" for s in STEPS if s.name in told),
    ]
    out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Run what is not there, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="folder of CIFAR-10's pickles")
    parser.add_argument("--only", nargs="*", default=[s.name for s in STEPS], metavar="STEP")
    parser.add_argument("--list", action="store_true", help="print the commands and leave")
    args = parser.parse_args()
    if args.list:
        sys.stdout.writelines(f"{s.name:<18}{s.command}\n" for s in STEPS)
        return
    place = Path(PLACE)
    place.mkdir(parents=True, exist_ok=True)
    for step in STEPS:
        if step.name in args.only:
            run(step, args.data, place)
    write_report(args.data, place, Path("reports/cifar10.md"))


if __name__ == "__main__":
    main()
