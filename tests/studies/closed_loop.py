"""Closed loop: does a card fitted to a chip predict a network's accuracy on that chip?

Three parts, each in a module of `loop/` that describes its comparison:

    calm    mlp on 10 virtual chips that follow the card's model, against the true cells
    messy   mlp on virtual chips with what real arrays have besides, against later programmings
    vgg5    vgg5 on CIFAR-10, on measurement files and messy virtual chips: card and sidecar against
            the measured conductances themselves, on the same images

Virtual chips have 128 x 128 cells and three levels, and each has a different card (random levels,
spreads, fields, trends, failures, stuck cells, read noise and wires; an 8-bit read-out). They are
measured and characterized like real ones. An mlp, trained digitally on scikit-learn's digits, is
mapped with the *fitted* card; both its matrices use the same array, one after another. A Monte
Carlo simulation predicts its accuracy on 360 test images. Compared cases use the same random
numbers where both draw any.

The accuracy of one chip is one sample: a card of a population cannot predict it to half a point,
but 90 % of such samples must be in the card's 90 % interval. For calm chips, two criteria are
therefore checked:

    population  |card − population| <= 0.5 points, and the chip's first programming is in the
                interval of `card`
    chip        |card+cells − chip's mean| <= 0.5 points, and the chip's first programming is in
                the interval of `card+cells`

At least 8 of 10 chips must meet each criterion. Run from the project's root, with the folder of the
CIFAR-10 pickles and measurement files of three levels for vgg5, or with neither:

    python tests/studies/closed_loop.py --cifar10 DATA --measured FILE FILE

This writes `reports/closed_loop.md` and `.csv`. Results are stored in `--records`, one line per
chip; an interrupted run continues from there. `--parts` runs and reports some of the parts. Delete
the records after a change of the library.
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from typing import TYPE_CHECKING

from loop import calm, cifar, messy
from loop.chips import trained_network
from loop.kinds import KINDS
from loop.records import completed
from loop.report import Part, calm_part, messy_part, vgg5_part, write_report

if TYPE_CHECKING:
    from torch import nn

    from rramfit.mapping.study.datasets import Dataset

PARTS = "calm", "messy", "vgg5"
DIGITS_CHIPS = 10


def run_calm(folder: Path, draws: int) -> Part:
    """Return the section on calm chips."""
    network, digital, data = _digits()
    records = completed(
        folder / "calm.jsonl",
        [str(seed) for seed in range(DIGITS_CHIPS)],
        {"draws": draws},
        lambda key: calm.one_chip(int(key), network, data, draws),
    )
    return calm_part(records, digital)


def run_messy(folder: Path, programmings: int) -> Part:
    """Return the section on messy chips, each with the seed of its place in the list."""
    network, digital, data = _digits()
    chips = {messy.key_of(kind, seed): (kind, seed) for seed, kind in enumerate(KINDS)}
    records = completed(
        folder / "messy.jsonl",
        list(chips),
        {"programmings": programmings},
        lambda key: messy.one_chip(*chips[key], network, data, programmings),
    )
    return messy_part(records, digital)


def run_vgg5(folder: Path, where: Path, files: list[Path], settings: dict[str, int]) -> Part:
    """Return the section on vgg5."""
    from rramfit.mapping.study.datasets import load_dataset

    data = load_dataset(str(where))
    network, mapping = cifar.trained(data)
    chips = cifar.chips_of(files)
    seeds = {kind.name: seed for seed, kind in enumerate(KINDS)}
    records = completed(
        folder / "vgg5.jsonl",
        list(chips),
        settings,
        lambda key: cifar.one_chip(chips[key], seeds.get(key, 0), network, mapping, data, settings),
    )
    return vgg5_part(records)


@functools.cache
def _digits() -> tuple[nn.Module, float, Dataset]:
    from rramfit.mapping.study.datasets import load_dataset

    data = load_dataset("digits")
    return *trained_network(data), data


def command_of(args: argparse.Namespace) -> str:
    """Return the command that makes the report, with DATA for a folder and files by name."""
    words = ["python tests/studies/closed_loop.py"]
    if tuple(args.parts) != PARTS:
        words += ["--parts", *args.parts]
    words += [f"--draws {args.draws} --programmings {args.programmings}"]
    if args.cifar10 is not None:
        files = " ".join(path.name for path in args.measured)
        words += ["--cifar10 DATA", *([f"--measured {files}"] if files else [])]
        words += [f"--images {args.images} --vgg5-programmings {args.vgg5_programmings}"]
    return " ".join(words)


def main() -> None:
    """Run the missing chips and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="parts to run")
    parser.add_argument("--draws", type=int, default=300, help="calm: drawn chips per case")
    parser.add_argument("--programmings", type=int, default=100, help="messy: of each case")
    parser.add_argument("--cifar10", type=Path, help="vgg5: folder of the CIFAR-10 pickles")
    parser.add_argument("--measured", type=Path, nargs="*", default=[], help="vgg5: files")
    parser.add_argument("--images", type=int, default=1000, help="vgg5: test images")
    parser.add_argument("--vgg5-programmings", type=int, default=4, help="vgg5: of each case")
    parser.add_argument("--out", type=Path, default=Path("reports/closed_loop.md"))
    parser.add_argument("--records", type=Path, default=Path("build/closed_loop"))
    args = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    parts = []
    if "calm" in args.parts:
        parts.append(run_calm(args.records, args.draws))
    if "messy" in args.parts:
        parts.append(run_messy(args.records, args.programmings))
    if "vgg5" in args.parts and args.cifar10 is not None:
        settings = {"images": args.images, "programmings": args.vgg5_programmings}
        parts.append(run_vgg5(args.records, args.cifar10, args.measured, settings))
    write_report(parts, args.out, command_of(args))


if __name__ == "__main__":
    main()
