"""The report of the closed loop: one section with one table for each part."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from loop import calm, cifar, messy
from loop.chips import POINTS
from loop.kinds import KINDS
from loop.records import Record

TARGET = "Target: 8 of 10 chips"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One section."""

    name: str
    title: str
    lines: list[str]
    columns: tuple[str, ...]
    rows: list[list[str]]

    def table(self) -> list[str]:
        """Return the table in Markdown; numbers are aligned to the right."""
        number = [all(_is_number(row[i]) for row in self.rows) for i in range(len(self.columns))]
        return [
            "| " + " | ".join(self.columns) + " |",
            "| " + " | ".join("---:" if right else "---" for right in number) + " |",
            *("| " + " | ".join(row) + " |" for row in self.rows),
        ]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def calm_part(records: list[Record], digital: float) -> Part:
    """Return the section on chips that follow the card's model."""
    found = [calm.row_of(r) for r in records]
    rows = [row for row, _, _ in found]
    counts = sum(met for _, met, _ in found), sum(met for _, _, met in found)
    chips = len(records[0]["card"])
    errors = [
        np.std(r[case], ddof=1) / np.sqrt(chips) * 100 for r in records for case in calm.CASES
    ]
    off = [100 * (np.mean(r["card"]) - np.mean(r["chip"])) for r in records]
    lines = [
        f"An mlp on scikit-learn's digits, 360 images, digital accuracy {100 * digital:.2f} %.",
        f"Means are over {chips} chips, or over {chips // 2} programmings of one chip. The largest",
        f"standard error of a mean is {max(errors):.2f} points.",
        "",
        f"- Population predicted: {counts[0]} of {len(rows)} chips. Criterion: the fitted card's",
        f"  mean is within {POINTS} points of the true population's mean, and the accuracy after",
        "  the chip's first programming is in the card's 90 % interval.",
        f"- Chip predicted: {counts[1]} of {len(rows)} chips. Criterion: the mean predicted from",
        f"  card and sidecar is within {POINTS} points of the mean over programmings of the chip's",
        "  true cells, and the accuracy after the first programming is in the predicted 90 %",
        "  interval.",
        f"- {TARGET} for each criterion.",
        "",
        "For comparison, the mean predicted from the card alone, without data on the individual",
        f"chip, is within {POINTS} points of the chip's mean for",
        f"{sum(abs(x) <= POINTS for x in off)} of {len(off)} chips; the rms difference is",
        f"{np.sqrt(np.mean(np.square(off))):.2f} points.",
    ]
    return Part(
        name="calm",
        title="Chips that follow the card's model",
        lines=lines,
        columns=calm.COLUMNS,
        rows=rows,
    )


def messy_part(records: list[Record], digital: float) -> Part:
    """Return the section on messy chips with the mlp."""
    found = [messy.row_of(r) for r in records]
    off = [100 * (np.mean(r["card+cells"]) - np.mean(r["later"])) for r in records]
    count = len(records[0]["later"])
    lines = [
        "The same mlp and images on virtual chips with what real arrays have besides the card's",
        f"model; digital accuracy {100 * digital:.2f} %. Each chip is programmed for the fit, and",
        f"{count} times more after it. The number of a chip is its seed.",
        "",
        f"- `card+cells`: predicted from fitted card and sidecar, mean of {count} programmings.",
        "- `replay`: mean on the measured conductances of the fitted sweeps.",
        "- `later programmings`: mean on the measured conductances of the later ones. This and",
        "  `replay` use the chip's true wires and channels.",
        "- `standard error`: of the difference, over programmings.",
        "",
        "Kinds of chips:",
        "",
        *(f"- {kind.name}: {kind.text}." for kind in KINDS),
        "",
        f"Predicted: {sum(met for _, met in found)} of {len(found)} chips. Criterion: the mean",
        f"predicted from card and sidecar is within {POINTS} points of the mean of later",
        f"programmings. {TARGET}. The rms difference is",
        f"{np.sqrt(np.mean(np.square(off))):.2f} points.",
    ]
    return Part(
        name="messy",
        title="Messy chips",
        lines=lines,
        columns=messy.COLUMNS,
        rows=[row for row, _ in found],
    )


def vgg5_part(records: list[Record]) -> Part:
    """Return the section on vgg5."""
    found = [cifar.row_of(r) for r in records]
    off = [100 * (np.mean(r["cells"]) - np.mean(r["replay"])) for r in records]
    images, count = len(records[0]["cells right"]), len(records[0]["cells"])
    digital = records[0]["digital"]
    lines = [
        f"vgg5 with three values per weight, trained for chips of the reference card, on {images}",
        f"CIFAR-10 test images; digital accuracy {100 * digital:.2f} %. Tiles of 64 × 64 cells are",
        "cut from the one array of each chip. BatchNorm is recalibrated on every programming with",
        f"{cifar.BN_IMAGES} training images.",
        "",
        f"- `cells`: mean over {count} programmings predicted from the fitted card and sidecar",
        "  (`rramfit evaluate --cells`).",
        f"- `replay`: mean on measured conductances (`--replay`), over {count} assignments of the",
        "  measured programmings to tiles, with the fitted wires and channels. Those of a file are",
        f"  the ones of the fit; virtual chips are programmed {cifar.LATER} times more after it.",
        "- `error: programmings`: standard error of the difference over programmings, for these",
        "  images.",
        "- `error: images`: standard error of the difference over images, which would also apply",
        "  to other images.",
        "",
        f"Predicted: {sum(met for _, met in found)} of {len(found)} chips. Criterion: `cells` is",
        f"within {POINTS} points of `replay`. {TARGET}. The rms difference is",
        f"{np.sqrt(np.mean(np.square(off))):.2f} points.",
    ]
    return Part(
        name="vgg5",
        title="vgg5 on CIFAR-10",
        lines=lines,
        columns=cifar.COLUMNS,
        rows=[row for row, _ in found],
    )


def write_report(parts: list[Part], out: Path, command: str) -> None:
    """Write the tables: in Markdown, and as CSV with one number a row."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.with_suffix(".csv").open("w", newline="", encoding="utf-8") as f:
        writer = csv.writer(f, lineterminator="\n")
        writer.writerow(["part", "chip", "quantity", "value"])
        for part in parts:
            for chip, *values in part.rows:
                writer.writerows(
                    [part.name, chip, name, value]
                    for name, value in zip(part.columns[1:], values, strict=True)
                )
    lines = [
        "# Closed loop: predicted accuracy and accuracy on the chip's own cells",
        "",
        f"Generated by `{command}`,",
        "whose docstring describes the comparisons. Accuracies are in per cent, differences in",
        "points. Compared cases use the same random numbers where both draw any.",
    ]
    for part in parts:
        lines += ["", f"## {part.title}", "", *part.lines, "", *part.table()]
    out.write_text("\n".join(lines) + "\n", encoding="utf-8")
