"""What the simulators that take a card predict for the same small network, and why they differ.

The network has two matrices on the levels of the reference card (`export_targets/digits_network`).
Every program draws its own chips from its export of the card. Four columns add what surrounds the
cells: wires with I-V curves, read noise, and the converters of the card. Dead lines are in a table
of their own: with two of them a chip, they alone decide the accuracy. Column currents are those of
one tile that rramfit drew, in circuit simulators. Run from the project's root:

    python tests/studies/exports.py

This writes `reports/exports.md`. Programs that are not installed are listed as not run
(`export_targets/programs`). Intervals are 95 %, Student's t, over chips on the same images.
"""

from __future__ import annotations

import argparse
import math
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "export_targets"))

import digits_network  # noqa: E402
import ours  # noqa: E402
import programs  # noqa: E402

from rramfit.card import ModelCard, load_card  # noqa: E402
from rramfit.export import export_card  # noqa: E402
from rramfit.mapping.study.evaluation import summarise  # noqa: E402

REPO = HERE.parent.parent
STEPS = ("cells", "+ wires, I-V curves", "+ read noise", "+ converters")
CELLS = ("quantisation", "d2d", "field", "lines", "trend", "c2c", "failure", "stuck", "dac")
OUR_FACTORS = (CELLS, ("wires", "nonlinearity"), ("read",), ("adc",), ("readout",))
CROSSSIM_OFF = (
    {"wires": "off", "nonlinearity": "off", "read_noise": "off", "adc": "off"},
    {"read_noise": "off", "adc": "off"},
    {"adc": "off"},
    {},
)
AIHWKIT_OFF = (
    ("wires", "read_noise", "converters"),
    ("read_noise", "converters"),
    ("converters",),
    (),
)
TILE = {"rows": 64, "cols": 32, "seed": 1}

NOT_RUN = ("NeuroSim V1.5", "MemTorch", "XBTorch", "analog-cim-sim")
"""Targets whose exports are checked by format and arithmetic only, in `tests/export/`."""

NOT_IN_THE_STUDY = ("States do not change", "There are no dead lines", "Weights: one cell")
"""Beginnings of limits that do not act here: no time passes, and all use the same weights."""

Accuracies = Sequence[float]


def without_dead_lines(card: ModelCard) -> ModelCard:
    """Return the card with no dead rows and columns."""
    assert card.stuck is not None
    stuck = card.stuck.model_copy(update={"dead_rows": None, "dead_cols": None})
    return card.model_copy(update={"stuck": stuck})


def on_rramfit(
    card: ModelCard, network: Mapping[str, Any], chips: int, *, dead_lines: bool
) -> list[Accuracies]:
    """Return accuracies of our chips for each step, and for all errors of the converters."""
    found, factors = [], ["dead_lines"] if dead_lines else []
    for step in OUR_FACTORS:
        factors += step
        if dead_lines and step is not OUR_FACTORS[3]:
            continue
        found.append(ours.on_our_chips(card, dict(network), chips, factors=factors))
    return found


def on_crosssim(card: ModelCard, file: Path, chips: int, off: Mapping[str, str]) -> Accuracies:
    """Return accuracies of the chips of CrossSim."""
    place = programs.place_of("crosssim")
    assert place is not None
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "crosssim"
        export_card(card, "crosssim", out, off)
        script = HERE / "export_targets/run_crosssim.py"
        return list(programs.run(place, script, out, out, file, chips)["accuracies"])


def on_aihwkit(card: ModelCard, file: Path, chips: int, off: Sequence[str]) -> Accuracies:
    """Return accuracies of the chips of aihwkit."""
    place = programs.place_of("aihwkit")
    assert place is not None
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "aihwkit"
        export_card(card, "aihwkit", out)
        script = HERE / "export_targets/run_aihwkit.py"
        return list(programs.run(place, script, out, file, chips, *off)["accuracies"])


def on_lightning(card: ModelCard, file: Path, chips: int) -> Accuracies:
    """Return accuracies with the noise of training in aihwkit-lightning."""
    place = programs.place_of("lightning")
    assert place is not None
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "lightning"
        export_card(card, "aihwkit-lightning", out)
        script = HERE / "export_targets/run_lightning.py"
        return list(programs.run(place, script, out, file, chips)["accuracies"])


def percent(accuracies: Accuracies | None) -> str:
    """Format the mean of accuracies with its interval."""
    if accuracies is None:
        return "–"
    mean = summarise(accuracies, digital=1.0, threshold=0.8, images=360).mean
    return f"{100 * mean.value:.1f} ({100 * mean.low:.1f}–{100 * mean.high:.1f})"


def difference(accuracies: Accuracies, others: Accuracies) -> str:
    """Format the difference of two means in points, with Welch's interval."""
    a, b = (100 * np.asarray(x) for x in (accuracies, others))
    parts = np.array([a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)])
    freedom = parts.sum() ** 2 / (parts**2 / [len(a) - 1, len(b) - 1]).sum()
    half = float(special.stdtrit(freedom, 0.975)) * math.sqrt(parts.sum())
    found = float(a.mean() - b.mean())
    return f"{found:+.1f} ({found - half:+.1f} to {found + half:+.1f})"


def tail(accuracies: Accuracies) -> str:
    """Format the median of accuracies, and the share of chips below 80 %."""
    a = np.asarray(accuracies)
    return f"{100 * np.median(a):.1f} | {100 * (a < 0.8).mean():.0f} %"


def circuits(card: ModelCard) -> list[tuple[str, str]]:
    """Return the largest difference of column currents from ours, of each circuit simulator."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name, target, command in (
            (
                "ngspice",
                "ngspice",
                "for f in run_*.cir; do ngspice -b $f > /dev/null; done && {} collect.py",
            ),
            ("badcrossbar 1.1.0", "badcrossbar", "{} run.py"),
        ):
            if target == "ngspice" and shutil.which("ngspice") is None:
                found.append((name, "not run: it is not installed"))
                continue
            out = Path(folder) / target
            try:
                export_card(card, target, out, TILE)
                done = subprocess.run(
                    command.format(sys.executable), shell=True, cwd=out, capture_output=True,
                    text=True, check=True,
                )  # fmt: skip
            except subprocess.CalledProcessError as e:
                found.append((name, f"not run: {e.stderr.strip().splitlines()[-1]}"))
                continue
            line = next(x for x in done.stdout.splitlines() if "largest difference" in x)
            found.append((name, line.partition(": ")[2]))
    return found


def main() -> None:
    """Run every program, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--chips", type=int, default=30)
    parser.add_argument("--card", type=Path, default=REPO / "fits/reference-1.0.0.card.json")
    parser.add_argument("--output", type=Path, default=REPO / "reports/exports.md")
    given = parser.parse_args()
    card = load_card(given.card)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.npz"
        network = ours.make_network(card, file)
        text = page(card, network, file, given.chips)
    given.output.write_text(text, encoding="utf-8")


def page(card: ModelCard, network: Mapping[str, Any], file: Path, chips: int) -> str:
    """Return the page, as Markdown."""
    bare = without_dead_lines(card)
    mine = on_rramfit(bare, network, chips, dead_lines=False)
    rows: dict[str, list[Accuracies | None]] = {
        "rramfit": list(mine[:4]),
        "rramfit, with all errors of the converters": [None, None, None, mine[4]],
    }
    dead: dict[str, Accuracies] = {"rramfit": on_rramfit(card, network, chips, dead_lines=True)[0]}
    missing = dict.fromkeys(NOT_RUN, "its export is checked by format and arithmetic")
    if programs.place_of("crosssim"):
        rows["CrossSim 3.2"] = [on_crosssim(bare, file, chips, off) for off in CROSSSIM_OFF]
        dead["CrossSim 3.2"] = on_crosssim(card, file, chips, CROSSSIM_OFF[3])
    else:
        missing["CrossSim 3.2"] = "it is not installed (RRAMFIT_CROSSSIM)"
    if programs.place_of("aihwkit"):
        rows["aihwkit, torch tile"] = [on_aihwkit(bare, file, chips, off) for off in AIHWKIT_OFF]
        dead["aihwkit, torch tile"] = on_aihwkit(card, file, chips, AIHWKIT_OFF[3])
    else:
        missing["aihwkit"] = "it is not installed (RRAMFIT_AIHWKIT)"
    if programs.place_of("lightning"):
        noisy = on_lightning(card, file, chips)
        rows["aihwkit-lightning, its noise of training"] = [None, None, None, noisy]
    else:
        missing["aihwkit-lightning"] = "it is not installed"
    exact = 100 * digits_network.exact(dict(network))
    lines = [
        "# One card in several simulators",
        "",
        "Generated by `python tests/studies/exports.py`, whose docstring describes the network and",
        f"the columns. Card: {card.name} {card.revision}. Entries are mean accuracies of {chips}",
        f"chips [%] with 95 % intervals, on {len(network['labels'])} images. The weights on their",
        f"levels, without any error, have {exact:.1f} %.",
        "",
        "## Accuracy without dead lines",
        "",
        f"| program | {' | '.join(STEPS)} |",
        f"| --- |{' ---: |' * len(STEPS)}",
        *(f"| {name} | {' | '.join(map(percent, row))} |" for name, row in rows.items()),
        "",
        "## Difference from rramfit with everything on, and what the exports leave out",
        "",
        *differences(card, rows),
        "",
        "## Accuracy with the card's dead lines, everything on",
        "",
        "| program | median, % | chips below 80 % |",
        "| --- | ---: | ---: |",
        *(f"| {name} | {tail(a)} |" for name, a in dead.items()),
        "",
        f"## Column currents of one tile of {TILE['rows']} × {TILE['cols']} cells",
        "",
        "| program | largest difference from rramfit |",
        "| --- | --- |",
        *(f"| {name} | {text} |" for name, text in circuits(card)),
        "",
        "In badcrossbar, driver and sense resistances are whole numbers of wire segments.",
        "`tests/export/` has the same for CrossSim (1e-4 of a current, by the tolerance of its",
        "solver) and for the torch tile of aihwkit (1e-5, by its float32).",
        "",
        "## Not run",
        "",
        *(f"- {name}: {why}." for name, why in missing.items()),
    ]
    return "\n".join(lines) + "\n"


def differences(card: ModelCard, rows: Mapping[str, list[Accuracies | None]]) -> list[str]:
    """Return the difference of each program, and its limits with their sizes in this card."""
    from rramfit.export import find_exporter

    mine, out = rows["rramfit"][3], []
    for name, target in (
        ("CrossSim 3.2", "crosssim"),
        ("aihwkit, torch tile", "aihwkit"),
        ("aihwkit-lightning, its noise of training", "aihwkit-lightning"),
    ):
        found = rows.get(name, [None] * 4)[3]
        if found is None or mine is None:
            continue
        exporter = find_exporter(target)
        export = exporter.export(card, exporter.resolve({}))
        listed = [
            x
            for x in (*export.approximated, *export.missing)
            if x.size != "not quantified" and not x.what.startswith(NOT_IN_THE_STUDY)
        ]
        out += [f"**{name}**: {difference(found, mine)} points.", ""]
        out += [*(f"- {x.what} Size: {x.size}." for x in listed), ""]
    return out[:-1]


if __name__ == "__main__":
    main()
