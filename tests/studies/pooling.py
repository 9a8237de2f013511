"""Pooling: do the intervals of components and of new arrays hold the truth?

Three checks of `rramfit card pool`:

lots     estimates of 200 lots per design are drawn with known standard deviations between wafers,
         dies and arrays (0.5, 0.3, 0.4) and standard errors of 0.2 to 0.4. Coverage of the 95 %
         intervals: components, mean, a new array of a known wafer, of a new wafer, and of each
         array predicted from all others.
lot      3 wafers x 20 dies x 4 tiles of 48 x 48 cells are drawn with known relative deviations of
         the levels' conductance, measured, characterized and pooled.
tiles    the four tiles of two real chips (`../shared`), each predicted from the other three. They
         are too few for a coverage; the table lists the p-values.

Run from the project's root:

    python tests/studies/pooling.py ../shared

This writes `reports/pooling.md`. Cards in `--records` are not fitted again; delete the folder after
a change of a fit.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from rramfit.card import ModelCard

DESIGNS = ((3, 20, 4), (6, 8, 4), (12, 4, 2))  # wafers, dies a wafer, arrays a die
STD = {"wafer": 0.5, "die": 0.3, "array": 0.4}
MEAN = 5.0
LOT = (3, 20, 4)
RELATIVE = {"wafer": 0.02, "die": 0.01, "array": 0.015}
SHAPE, SWEEPS = (48, 48), 8
BOUNDS = 0.93, 0.97
CASES = "array", "die", "wafer", "mean", "known wafer", "new wafer", "left out"


def lot_coverage(design: tuple[int, int, int], lots: int) -> dict[str, float]:
    """Return the share of lots whose intervals hold the truth."""
    from rramfit.fitting.pooling.nested_components import fit_nested
    from rramfit.fitting.pooling.nested_tree import nest

    wafers, dies, arrays = design
    held: dict[str, list[float]] = {case: [] for case in CASES}
    for seed in range(lots):
        rng = np.random.default_rng([seed, *design])
        wafer = np.repeat(np.arange(wafers), dies * arrays)
        die = np.repeat(np.arange(wafers * dies), arrays)
        of_wafer = MEAN + STD["wafer"] * rng.normal(size=wafers)
        of_die = STD["die"] * rng.normal(size=wafers * dies)
        true = of_wafer[wafer] + of_die[die] + STD["array"] * rng.normal(size=die.size)
        error = rng.uniform(0.2, 0.4, die.size)
        y = true + error * rng.normal(size=die.size)
        fit = fit_nested(nest(y.size, [wafer, die]), ("array", "die", "wafer"), y, error)
        for c in fit.components:
            held[c.name].append(c.low <= STD[c.name] <= c.high)
        low, high = fit.mean().interval()
        held["mean"].append(low <= MEAN <= high)
        within = np.hypot(STD["die"], STD["array"])
        known = of_wafer[0] + within * rng.normal()
        new = MEAN + np.hypot(STD["wafer"], within) * rng.normal()
        for case, level, value in (("known wafer", 2, known), ("new wafer", 3, new)):
            low, high = fit.new_array(level).interval()
            held[case].append(low[0] <= value <= high[0])
        p = fit.left_out()
        held["left out"].append(float(np.mean((p > 0.025) & (p < 0.975))))
    return {case: float(np.mean(x)) for case, x in held.items()}


def lot_card(task: tuple[int, Path]) -> Path:
    """Draw, measure and characterize one array of the virtual lot; return the path of its card."""
    from rramfit.card.conditions.moments import with_moments
    from rramfit.fitting.characterization import characterize
    from rramfit.measurement import synthesize
    from rramfit.measurement.virtual.reference_chip import reference_card

    index, folder = task
    path = folder / f"array{index:03d}.card.json"
    if path.exists():
        return path
    _, dies, arrays = LOT
    wafer, die = index // (dies * arrays), index // arrays
    factor = np.exp(
        sum(
            RELATIVE[kind] * np.random.default_rng([7, k, place]).normal()
            for k, (kind, place) in enumerate({"wafer": wafer, "die": die, "array": index}.items())
        )
    )
    base = reference_card()
    levels = []
    for level in base.levels:
        assert level.mean is not None
        assert level.std is not None
        assert level.distribution is not None
        mean = level.mean.value * factor
        stated = {n: q.value for n, q in level.distribution.parameters.items()}
        moved = with_moments(level.distribution.family, stated, mean, level.std.value)
        assert moved is not None
        parameters = {
            n: q.model_copy(update={"value": moved[n]})
            for n, q in level.distribution.parameters.items()
        }
        changed = level.distribution.model_copy(update={"parameters": parameters})
        of_level = level.mean.model_copy(update={"value": mean})
        levels.append(level.model_copy(update={"mean": of_level, "distribution": changed}))
    rows, cols = SHAPE
    chip = synthesize(
        base.model_copy(update={"levels": levels}),
        rows=rows,
        cols=cols,
        sweeps=SWEEPS,
        seed=index,
        array_id=f"array{index:03d}",
    )
    place = {"lot": "L1", "wafer": f"W{wafer + 1}", "die": f"D{die % dies + 1}"}
    chip = dataclasses.replace(chip, identity=dataclasses.replace(chip.identity, **place))
    characterize(chip, name=f"array{index:03d}").card.save(path)
    return path


def real_rows(shared: Path) -> list[str]:
    """Pool the tiles of each real chip; return table rows."""
    from rramfit.fitting.characterization import characterize
    from rramfit.fitting.pooling import pool_cards
    from rramfit.measurement import convert_measurement

    rows = []
    for chip, log, layout in (
        ("C10", "stanford-mlc/C10_dead_test.csv.gz", "C10_dead_test"),
        ("C1", "stanford-256x256/C1_read_3.tsv.gz", "C1_read_3"),
    ):
        files = [str(shared / "data/measured" / log)]
        tiles = convert_measurement(files, Path("data/layouts") / f"{layout}.toml").measurements
        cards = [characterize(x, name=f"tile{i}").card for i, x in enumerate(tiles)]
        pool = pool_cards(cards)
        for path, p in pool.parameters.items():
            if path.startswith("levels") and path.endswith((".mean", ".std")):
                (c,) = p.components
                rows.append(
                    f"| {chip} | {path} | {p.mean.value * 1e6:.3g} | {c.std * 1e6:.2g} | "
                    f"{c.low * 1e6:.2g} to {c.high * 1e6:.2g} | "
                    f"{', '.join(f'{x:.2g}' for x in p.p_value)} |"
                )
    return rows


def lot_rows(cards: list[ModelCard]) -> list[str]:
    """Pool the virtual lot; return table rows of the levels' means."""
    from rramfit.fitting.pooling import pool_cards

    pool = pool_cards(cards)
    rows = []
    for path, p in pool.parameters.items():
        if not (path.startswith("levels") and path.endswith(".mean")):
            continue
        for c in p.components:
            true = RELATIVE[c.name] * p.mean.value
            word = "yes" if c.low <= true <= c.high else "no"
            rows.append(
                f"| {path} | {c.name} | {c.groups} | {true * 1e6:.3g} | {c.std * 1e6:.3g} | "
                f"{c.low * 1e6:.3g} to {c.high * 1e6:.3g} | {word} |"
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shared", type=Path)
    parser.add_argument("--lots", type=int, default=200)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--records", type=Path, default=Path("build/pooling"))
    parser.add_argument("--out", type=Path, default=Path("reports/pooling.md"))
    arguments = parser.parse_args()
    from rramfit.card import load_card

    arguments.records.mkdir(parents=True, exist_ok=True)
    tasks = [(i, arguments.records) for i in range(int(np.prod(LOT)))]
    with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
        paths = pool.map(lot_card, tasks)
        coverage = pool.starmap(lot_coverage, [(d, arguments.lots) for d in DESIGNS])
    header = " | ".join(CASES)
    lines = [
        "# Pooled cards: components, predictions, real tiles",
        "",
        f"Generated by `python tests/studies/pooling.py {' '.join(sys.argv[1:])}`, whose docstring",
        "describes the three checks.",
        "",
        f"## Coverage of 95 % intervals over {arguments.lots} lots",
        "",
        "With few wafers the interval of the standard deviation between wafers also follows from",
        "the prior, so that it may cover more than 95 %.",
        "",
        f"| wafers x dies x arrays | {header} |",
        "| --- |" + " ---: |" * len(CASES),
    ]
    for design, found in zip(DESIGNS, coverage, strict=True):
        shares = " | ".join(f"{100 * found[case]:.1f} %" for case in CASES)
        lines.append(f"| {' x '.join(map(str, design))} | {shares} |")
    lines += [
        "",
        "## A virtual lot of 3 wafers, 20 dies a wafer and 4 tiles a die",
        "",
        "Every tile was drawn, measured and characterized. Standard deviations in uS.",
        "",
        "| parameter | between | groups | true | estimate | 95 % interval | holds the truth |",
        "| --- | --- | ---: | ---: | ---: | --- | --- |",
        *lot_rows([load_card(path) for path in paths]),
        "",
        "## Real tiles",
        "",
        "Four tiles a chip. Standard deviations between tiles in uS; the p-values are those of",
        "each tile, predicted from the other three.",
        "",
        "| chip | parameter | mean | std between tiles | 95 % interval | p-values |",
        "| --- | --- | ---: | ---: | --- | --- |",
        *real_rows(arguments.shared),
        "",
    ]
    arguments.out.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
