"""vgg5 on CIFAR-10: digital training, naive mapping, and training for chips.

Every step is one `rramfit` command. Its JSON output is stored in `reports/cifar10/`, with
checkpoints, learning curves and HTML reports. A step whose JSON file exists is skipped, and an
interrupted training is resumed. Run from the project's root, with the folder of the CIFAR-10
pickles:

    python tests/studies/cifar10.py DATA

This runs the missing steps and writes `reports/cifar10.md`; `--list` prints the commands, `--only`
selects steps, and `--trial FOLDER` runs evaluations with few chips and images, into another folder,
to see that they work. All weights have three values, −1, 0 and 1, from the outer levels of two
cells.

Training for chips has four stages, each starting from the previous network: `first` ramps up the
non-idealities, `second` is long and uses cutout, `third` averages weights, `aware` uses no cutout.
`gated` and `measured` continue from `aware` for their cards.
"""

from __future__ import annotations

import argparse
import json
import re
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
FITTED = "fits/reference-1.0.0.card.json"
CARDS = (GROUNDED, FITTED, GATED, MEASURED)
BN_128, BN_512, BN_1024 = (f"--bn-recalibration {n}" for n in (128, 512, 1024))
ALL_IMAGES = 10_000
REPORT = Path("reports/cifar10.md")


@dataclass(frozen=True, slots=True)
class Step:
    """One command; DATA is the folder of images."""

    name: str
    command: str
    label: str = ""


def weights(name: str) -> str:
    """Return the path of a training's checkpoint."""
    return f"{PLACE}/vgg5.{name}.pt"


def training(name: str, card: str, start: str, more: str = "") -> Step:
    """Return the step that trains for the chips of a card."""
    return Step(
        f"train-{name}",
        f"rramfit train vgg5 --data DATA --checkpoint {weights(start)} --card {card} "
        f"--weight-values 3 -o {weights(name)} --chips 0 --json{more}",
    )


def evaluation(
    name: str, card: str, of: str, images: int, more: str, label: str, *, chips: int = 100
) -> Step:
    """Return the step that evaluates a checkpoint on chips of a card."""
    return Step(
        name,
        f"rramfit evaluate vgg5 --data DATA --checkpoint {weights(of)} --card {card} "
        f"--weight-values 3 --chips {chips} --images {images}{more} -o {PLACE}/{name}.html --json",
        label,
    )


def ablation(name: str, of: str) -> Step:
    """Return the step that switches factors one by one, on 5 chips per case."""
    return Step(
        name,
        f"rramfit ablate vgg5 --data DATA --checkpoint {weights(of)} --card {GROUNDED} "
        f"--weight-values 3 --chips 5 --images 1000 {BN_512} -o {PLACE}/{name}.html --json",
    )


ADAPT = f" --recipe cifar10-adapt --teacher {weights('plain')}"
AVERAGE = f" --recipe cifar10-average --teacher {weights('plain')}"
FINISH = f" --recipe cifar10-finish --teacher {weights('plain')}"
OTHER_FAULTS = f" --recipe tests/studies/measured.toml --teacher {weights('plain')}"
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
    training("measured", MEASURED, "aware", OTHER_FAULTS),
)
EVALUATIONS = (
    evaluation("naive", GROUNDED, "plain", 300, "", "grounded, naive, as trained"),
    evaluation(*("naive-bn", GROUNDED, "plain", 5000, f" {BN_1024}", "grounded, naive"), chips=20),
    evaluation("aware", GROUNDED, "aware", 5000, f" {BN_1024}", "grounded, trained for it"),
    *(
        evaluation(f"aware-{name}", GROUNDED, "aware", 500, more, f"… {label}", chips=5)
        for name, more, label in (
            ("5-chips", f" {BN_1024}", "fewer chips and images"),
            ("bn-128", f" {BN_128}", "recalibration with fewer images"),
            ("as-trained", "", "no recalibration"),
            ("6-bits", f" {BN_1024} --adc-bits 6", "6-bit ADC instead of 8 bits"),
        )
    ),
    *(
        evaluation(f"fitted-{name}", FITTED, of, 2000, more, f"fitted, {label}", chips=20)
        for name, of, more, label in (
            ("naive-bn", "plain", f" {BN_1024}", "naive"),
            ("as-trained", "aware", "", "trained for the grounded card, as trained"),
            ("bn", "aware", f" {BN_1024}", "trained for the grounded card"),
        )
    ),
    evaluation("naive-gated", GATED, "plain", 100, "", "gated, naive", chips=10),
    evaluation("gated", GATED, "gated", 1200, f" {BN_512}", "gated, trained for it"),
    evaluation(
        *("naive-measured", MEASURED, "plain", 300, f" {BN_512}", "measured, naive"), chips=10
    ),
    evaluation(
        "measured", MEASURED, "measured", 500, f" {BN_512}", "measured, trained for it", chips=30
    ),
)
ABLATIONS = ablation("ablation-naive", "plain"), ablation("ablation-aware", "aware")
STEPS = (*TRAININGS, *EVALUATIONS, *ABLATIONS)


def in_short(step: Step, place: Path) -> Step:
    """Return the step with 2 chips, 40 images and 64 for recalibration, its page elsewhere."""
    command = re.sub(r"--chips \d+", "--chips 2", step.command)
    command = re.sub(r"--images \d+", "--images 40", command)
    command = re.sub(r"--bn-recalibration \d+", "--bn-recalibration 64", command)
    return Step(step.name, command.replace(f"-o {PLACE}", f"-o {place}"), step.label)


def run(step: Step, data: Path, place: Path) -> None:
    """Run one command and store its JSON output; store nothing if it fails."""
    out = place / f"{step.name}.json"
    if out.exists():
        return
    sys.stderr.write(f"{step.name}: {step.command}\n")
    words = [str(data) if w == "DATA" else w for w in shlex.split(step.command)]
    if any(place.glob(f"vgg5.{step.name.removeprefix('train-')}.*state")):
        words.append("--resume")
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True)
    result = json.loads(done.stdout)
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def float32_accuracy(data: Path, counts: set[int]) -> dict[int, float]:
    """Compute the accuracy of the digital network on the first n test images, per count n [%]."""
    from rramfit.mapping.study.datasets import load_dataset
    from rramfit.mapping.study.evaluation import accuracy
    from rramfit.mapping.study.networks import load_weights, make_network

    images = load_dataset(str(data))
    network = make_network("vgg5", images.shape, images.classes)
    load_weights(network, Path(weights("plain")))
    x, y = images.test_images, images.test_labels
    return {n: 100 * accuracy(network, x[:n], y[:n]) for n in counts}


def interval(estimate: dict[str, Any]) -> str:
    """Format a value and its 95 % interval in per cent."""
    low, high = estimate["ci95"]
    return f"{100 * estimate['value']:.2f} ({100 * low:.2f}–{100 * high:.2f})"


def card_rows() -> list[list[str]]:
    """Return a row for each card: factors that its chips have when programmed, and the others."""
    from rramfit.card import load_card
    from rramfit.mapping import FACTORS, analog_setup
    from rramfit.mapping.tiles.active_factors import active_factors

    rows = []
    for path in CARDS:
        setup = analog_setup(load_card(Path(path)))
        on = [name for name in FACTORS if name in active_factors(setup)]
        off = [name for name in FACTORS if name not in on]
        rows.append([f"`{path}`", ", ".join(on), ", ".join(off) or "none"])
    return rows


def headline_rows(results: dict[str, Any], float32: dict[int, float]) -> list[list[str]]:
    """Return a row for each card: the networks of one card with the same help."""
    rows = []
    for card, naive, trained in (
        (GROUNDED, "naive-bn", "aware"),
        (FITTED, "fitted-naive-bn", "fitted-bn"),
        (MEASURED, "naive-measured", "measured"),
    ):
        if not {naive, trained} <= set(results):
            continue
        both = [results[name] for name in (naive, trained)]
        rows.append(
            [
                f"`{card}`",
                " / ".join(str(x["bn_recalibration_images"]) for x in both),
                " / ".join(str(x["images"]) for x in both),
                " / ".join(str(x["chips"]) for x in both),
                f"{float32[both[1]['images']]:.2f}",
                *(interval(x["mean"]) for x in both),
            ]
        )
    return rows


def evaluation_rows(results: dict[str, Any], float32: dict[int, float]) -> list[list[str]]:
    """Return a table row for each evaluation."""
    rows = []
    for step in EVALUATIONS:
        if step.name not in results:
            continue
        of = results[step.name]
        plain, mean = float32[of["images"]], 100 * of["mean"]["value"]
        fifth = 100 * of["percentile5"]["value"]
        bn_images = of["bn_recalibration_images"] or "as trained"
        card = next(c for c in CARDS if f"--card {c}" in step.command)
        row = [
            step.label,
            f"`{Path(card).name}`",
            str(of["chips"]),
            str(bn_images),
            str(of["images"]),
            f"{plain:.2f}",
        ]
        row.append(f"{100 * of['digital_accuracy']:.2f}")
        row += [interval(of["mean"]), f"{plain - mean:.2f}", f"{100 * of['sd']['value']:.2f}"]
        row += [f"{fifth:.2f}", f"{mean - fifth:.2f}", f"[page](cifar10/{step.name}.html)"]
        rows.append(row)
    return rows


def ablation_rows(results: dict[str, Any]) -> list[list[str]]:
    """Return a table row for each factor, with both networks."""
    if not all(step.name in results for step in ABLATIONS):
        return []
    both = [results[step.name] for step in ABLATIONS]
    rows = []
    for pair in zip(*(x["factors"] for x in both), strict=True):
        means = [100 * x[side]["mean"]["value"] for side in ("alone", "without") for x in pair]
        rows.append([pair[0]["factor"], *(f"{x:.2f}" for x in means)])
    together = [f"{100 * x['all']['mean']['value']:.2f}" for x in both]
    return [*rows, ["all factors", *together, "", ""]]


def table(columns: tuple[str, ...], rows: list[list[str]]) -> list[str]:
    """Return a Markdown table; the first column is left-aligned text."""
    ruler = ["---", *("---:" for _ in columns[1:])]
    return ["| " + " | ".join(line) + " |" for line in (columns, ruler, *rows)]


def write_report(data: Path, place: Path, out: Path) -> None:
    """Write the report from the JSON files of all finished steps."""
    kept = {s.name: place / f"{s.name}.json" for s in STEPS}
    results = {name: json.loads(path.read_text()) for name, path in kept.items() if path.exists()}
    counts = {results[s.name]["images"] for s in EVALUATIONS if s.name in results}
    float32 = float32_accuracy(data, {*counts, ALL_IMAGES})
    on_chips = (
        *(
            "case",
            "card",
            "chips",
            "BN images",
            "test images",
            "float32",
            "digital",
            "mean over chips",
        ),
        *("float32 − mean", "deviation", "5th percentile", "mean − 5th percentile", "report"),
    )
    headline = (
        *("card", "BN images", "test images", "chips", "float32", "naive, mean over chips"),
        "trained for chips, mean over chips",
    )
    by_factor = (
        *("factor", "naive, alone", "trained for chips, alone", "naive, without"),
        "trained for chips, without",
    )
    lines = [
        "# vgg5 on CIFAR-10: naive mapping and training for chips",
        "",
        "Generated by `python tests/studies/cifar10.py DATA`, which runs the commands below; DATA",
        "is the folder of the CIFAR-10 pickles. Weights have three values. Accuracies are in per",
        "cent, on the first n test images; `test images` is n. Intervals are 95 %, over chips.",
        "",
        f"The digitally trained network in float32 reaches {float32[ALL_IMAGES]:.2f} % on all",
        "10,000 test images.",
        "",
        "## Naive and trained, with the same help",
        "",
        "Both networks have their BatchNorm statistics re-estimated on each chip, with the stated",
        "number of training images. Of two numbers, the first is that of the naive network.",
        "",
        *table(headline, headline_rows(results, float32)),
        "",
        "What the chips of each card have, by the names of `rramfit ablate`:",
        "",
        *table(("card", "factors", "absent, or without effect at age 0"), card_rows()),
        "",
        "## Accuracy on chips",
        "",
        "`float32`: the digitally trained network on the same test images. `digital`: the",
        "evaluated network without a chip; training for chips quantises its weights.",
        "`BN images`: number of training images for BatchNorm recalibration on each chip after",
        "programming. The digital network keeps the BatchNorm statistics of training, which are",
        "those of all chips, so its accuracy can be below that on a recalibrated chip.",
        "",
        *table(on_chips, evaluation_rows(results, float32)),
        "",
        "## Accuracy by factor",
        "",
        "Reference chips, grounded rows; 5 chips per case, 1,000 test images, BatchNorm",
        "recalibration on each chip with 512 training images. `alone`: only this factor is on;",
        "`without`: all factors but this one are on.",
        "",
        *table(by_factor, ablation_rows(results)),
        "",
        "## Commands",
        "",
        *(f"    {s.command}" for s in STEPS if s.name in results),
    ]
    out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Run the missing steps and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="folder of the CIFAR-10 pickles")
    parser.add_argument(
        "--only", nargs="*", default=[s.name for s in STEPS], metavar="STEP", help="steps to run"
    )
    parser.add_argument("--trial", type=Path, metavar="FOLDER", help="few chips and images, there")
    parser.add_argument("--list", action="store_true", help="print the commands and exit")
    args = parser.parse_args()
    if args.list:
        sys.stdout.writelines(f"{s.name:<18}{s.command}\n" for s in STEPS)
        return
    place = args.trial or Path(PLACE)
    place.mkdir(parents=True, exist_ok=True)
    for step in STEPS if args.trial is None else EVALUATIONS:
        if step.name in args.only:
            run(step if args.trial is None else in_short(step, place), args.data, place)
    write_report(args.data, place, args.trial / "cifar10.md" if args.trial else REPORT)


if __name__ == "__main__":
    main()
