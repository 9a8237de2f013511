"""vgg5 on CIFAR-10: card and sidecar of a chip against its measured conductances, same images.

The measured conductances of a file are those that the fit has seen. A virtual chip is programmed
`LATER` times more after the fit, because all tiles share the few programmings of the fit, on which
the accuracy differs by chance from the chip's mean.

The network is `reports/cifar10/vgg5.aware.pt`, trained for chips of the reference card and not for
these, with three values per weight, on tiles of 64 x 64 cells cut from the measured array again and
again. BatchNorm is recalibrated on every programming with 256 training images. The comparison is
that of the commands

    rramfit evaluate vgg5 --card CARD --cells CELLS ...
    rramfit evaluate vgg5 --card CARD --replay FILE ...

Both use the fitted card's wires and converters. Errors of the difference:

    programmings   standard error over programmings, on these images
    images         standard error over images of the difference of the shares of programmings that
                   are right; for other images of the same kind

The criterion is |cells − replay| <= 0.5 points.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from loop.chips import POINTS
from loop.kinds import KINDS, Kind
from loop.messy import later_programmings, measured_chip
from loop.records import Record

if TYPE_CHECKING:
    from torch import nn

    from rramfit.array import ReplayedChips
    from rramfit.fitting.characterization import Characterization
    from rramfit.mapping.study.datasets import Dataset

CHECKPOINT = Path("reports/cifar10/vgg5.aware.pt")
TILE, WEIGHT_VALUES, BN_IMAGES = (64, 64), 3, 256
LATER = 32
"""Programmings of a virtual chip after the fit."""
COLUMNS = (
    "chip", "verdict", "cells", "replay", "cells − replay", "error: programmings",
    "error: images", "within 0.5",
)  # fmt: skip
CASES = "cells", "replay"


def chips_of(files: list[Path]) -> dict[str, Path | Kind]:
    """Return the chips by name: measurement files, then kinds of virtual chips."""
    return {
        **{path.name: path for path in files},
        **{kind.name: kind for kind in KINDS if kind.vgg5},
    }


def _fitted(chip: Path | Kind, seed: int) -> tuple[Characterization, ReplayedChips]:
    """Return the fit of a chip, and measured conductances to compare with."""
    from rramfit.fitting.characterization import characterize
    from rramfit.measurement import read_measurement
    from rramfit.measurement.virtual import replay

    if isinstance(chip, Kind):
        card, _, fitted = measured_chip(chip, seed)
        return fitted, later_programmings(card, chip, seed, LATER)
    measured = read_measurement(chip)
    return characterize(measured, name=chip.stem, seed=0), replay(measured)


def one_chip(
    chip: Path | Kind,
    seed: int,
    network: nn.Module,
    mapping: Any,
    data: Dataset,
    settings: dict[str, int],
) -> Record:
    """Characterize one chip, and count for every image how many programmings are right."""
    from rramfit.mapping import analog_setup, convert_to_analog, program
    from rramfit.training.loop.bn_recalibration import recalibrate_batch_norm

    fitted, measured = _fitted(chip, seed)
    images, programmings = settings["images"], settings["programmings"]
    test, labels = data.test_images[:images], data.test_labels[:images]
    digital = hits(network, test, labels).mean()
    found: Record = {"verdict": fitted.card.quality.verdict, "digital": float(digital)}
    for case, origin in (("cells", fitted.cells), ("replay", measured)):
        setup = analog_setup(fitted.card, tile=TILE, weight_values=WEIGHT_VALUES, origin=origin)
        analog = convert_to_analog(
            network, setup, inputs=data.train_images[:BN_IMAGES], mapping=mapping, seed=0
        )
        right = np.zeros((programmings, images), dtype=int)
        for n in range(programmings):
            program(analog, seed=0, index=n)
            recalibrate_batch_norm(analog.eval(), data.train_images[:BN_IMAGES])
            right[n] = hits(analog, test, labels)
        found[case] = right.mean(axis=1).tolist()
        found[f"{case} right"] = right.sum(axis=0).tolist()
    return found


def trained(data: Dataset) -> tuple[nn.Module, Any]:
    """Return the trained vgg5 and its mapping."""
    from rramfit.mapping.study.networks import load_weights, make_network

    network = make_network("vgg5", data.shape, data.classes, seed=0)
    mapping = load_weights(network, CHECKPOINT)
    return network.eval(), mapping


def hits(network: nn.Module, images: Any, labels: Any) -> Any:
    """Return whether a network classifies each image correctly, (image,)."""
    import torch

    with torch.no_grad():
        batches = zip(images.split(500), labels.split(500), strict=True)
        return torch.cat([network(x).argmax(-1) == y for x, y in batches]).numpy()


def row_of(record: Record) -> tuple[list[str], bool]:
    """Return a chip's table row, and whether it meets the criterion."""
    mean = {case: 100 * float(np.mean(record[case])) for case in CASES}
    off = mean["cells"] - mean["replay"]
    over = np.array([record[case] for case in CASES])
    by_programming = 100 * np.sqrt((over.var(axis=1, ddof=1) / over.shape[1]).sum())
    a, b = (np.array(record[f"{case} right"]) / len(record[case]) for case in CASES)
    by_image = 100 * (a - b).std(ddof=1) / np.sqrt(len(a))
    good = abs(off) <= POINTS
    numbers = (f"{mean['cells']:.2f}", f"{mean['replay']:.2f}", f"{off:+.2f}")
    errors = (f"{by_programming:.2f}", f"{by_image:.2f}")
    return [record["key"], record["verdict"], *numbers, *errors, "yes" if good else "no"], good
