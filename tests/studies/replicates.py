"""Real replicates: do stated errors equal the scatter between arrays made and measured alike?

Two chips of 256 x 256 cells were measured cell by cell. They are not part of the project; the
command takes the folder that holds them:

    C10         every cell programmed and verified to one window of 91-100 uS
    C1 read 3   programmed with an unknown bit pattern, read once; two levels, found by clustering
    C1 formed   read once after forming; the levels found are those of one broad distribution

Each chip is cut into four tiles of 128 x 128 cells, each tile into quarters (64 x 64) and
sixteenths (32 x 32). Every array and sub-array is characterized by itself. For each parameter of
the card, the root mean square of the stated standard errors is divided by the standard deviation
between arrays: between the four tiles of a chip, or between the sub-arrays of one tile, pooled over
tiles. Nothing is taken out first: a trend over a tile counts as difference between its parts. One
array cannot show whether other arrays share its trend. The card therefore states the trend of a
value over the array beside its error (`trend`), and `rramfit validate` allows other arrays to
differ by it. The parts of a tile lie at different places of its trend: for them, the ratio with the
trend counts, where error and trend are added as squares. The last column is the ratio of the error
alone to the scatter about a plane over the tile. The intervals are 95 %, from the chi-square
distribution of the scatter; they do not include the errors of the stated errors.

Two checks use virtual arrays of the card fitted to tile 0 of C10, whose model is true:

    virtual        every array drawn by itself, so that a ratio away from 1 is an error of the fit
    virtual, cut   tiles cut as real ones are: their parts are at different places of the trend

One sweep at one level does not show whether a cell that failed is stuck or would fail again. The
stated error of a stuck share covers both cases, which sub-arrays have alike: it is above their
scatter for that reason. Run from the project's root:

    python tests/studies/replicates.py ../shared

This writes `reports/replicates.md` and `.csv`. Arrays in `--records` are not characterized again;
delete the file after a change of a fit.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import multiprocessing
import os
import re
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rramfit.card import ModelCard
    from rramfit.measurement import Measurement

LOGS = {
    "C10": ("stanford-mlc/C10_dead_test.csv.gz", "C10_dead_test"),
    "C1 read 3": ("stanford-256x256/C1_read_3.tsv.gz", "C1_read_3"),
    "C1 formed": ("stanford-256x256/C1_read_formed.tsv.gz", "C1_read_formed"),
}
APART, CUT = "virtual", "virtual, cut"
TILES = 4
FIRST_SEED = {"tiles": 0, "quarters": 1000, "sixteenths": 2000}  # of arrays drawn by themselves
PARTS = {"tiles": 1, "quarters": 2, "sixteenths": 4}  # cuts per side
PARAMETERS = re.compile(r"(levels\[\d+\]\.(mean|std)|failure\[\d+\]\.probability|stuck\.\w+)")
SHARES = "stuck.low", "stuck.middle", "stuck.high", "stuck.dead_rows", "stuck.dead_cols"
BOUNDS = 0.5, 2.0
YES, WITH_TREND, BY_DESIGN = "yes", "with the trend", "wide by design"
ENOUGH = 10  # arrays from which the bounds apply
ROUNDING = 1e-12  # of a sum of squares
COLUMNS = (
    "chip", "parameter", "arrays", "number", "unit", "mean", "stated error", "scatter", "ratio",
    "ratio low", "ratio high", "with trend", "within bounds", "beside a plane",
)  # fmt: skip

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One array or sub-array."""

    chip: str
    tile: int
    arrays: str  # key of `PARTS`
    part: int

    @property
    def key(self) -> str:
        return f"{self.chip}/{self.tile}/{self.arrays}/{self.part}"

    @property
    def place(self) -> tuple[int, int]:
        """Row and column: of a sub-array in its tile, of a tile on its chip."""
        if self.arrays == "tiles":
            return divmod(self.tile, 2)
        return divmod(self.part, PARTS[self.arrays])


@lru_cache(maxsize=4)
def tiles_of(chip: str, shared: Path) -> tuple[Measurement, ...]:
    """Convert the log of a chip."""
    from rramfit.measurement import convert_measurement

    log, layout = LOGS[chip]
    logs = [str(shared / "data/measured" / log)]
    return convert_measurement(logs, Path("data/layouts") / f"{layout}.toml").measurements


@lru_cache(maxsize=1)
def fitted_card(shared: Path) -> ModelCard:
    """Characterize the tile that virtual tiles are drawn from."""
    from rramfit.fitting.characterization import characterize

    return characterize(tiles_of("C10", shared)[0], name="C10-tile0").card


@lru_cache(maxsize=4)
def tile_of(chip: str, tile: int, shared: Path) -> Measurement:
    """Return one tile of a chip."""
    from rramfit.measurement import synthesize

    if chip == CUT:
        return synthesize(fitted_card(shared), sweeps=1, seed=tile)
    return tiles_of(chip, shared)[tile]


def array_of(sample: Sample, shared: Path) -> Measurement:
    """Return one array or sub-array."""
    from rramfit.measurement import synthesize
    from rramfit.measurement.lab.tiles import cut

    side = PARTS[sample.arrays]
    if sample.chip == APART:
        card = fitted_card(shared)
        rows, cols = card.array.rows // side, card.array.cols // side
        seed = FIRST_SEED[sample.arrays] + sample.part
        return synthesize(card, rows=rows, cols=cols, sweeps=1, seed=seed)
    whole = tile_of(sample.chip, sample.tile, shared)
    return cut(whole, (whole.rows // side, whole.cols // side))[sample.part]


def characterized(task: tuple[Sample, Path]) -> dict[str, Any]:
    """Characterize one array; return the parameters with their standard errors."""
    from rramfit.card.quantity import quantities
    from rramfit.fitting.characterization import characterize

    sample, shared = task
    card = characterize(array_of(sample, shared)).card
    found = {
        path: [q.value, q.stderr, q.trend or 0.0]
        for path, q in quantities(card)
        if PARAMETERS.fullmatch(path) and q.stderr is not None
    }
    return {"key": sample.key, "levels": len(card.levels), "found": found}


def samples(virtual: int) -> list[Sample]:
    """List all arrays, whole tiles first."""
    out = []
    for arrays, side in PARTS.items():
        tiles = {**dict.fromkeys(LOGS, TILES), CUT: virtual if side > 1 else 0}
        out += [
            Sample(chip=chip, tile=tile, arrays=arrays, part=part)
            for chip, count in tiles.items()
            for tile in range(count)
            for part in range(side**2)
        ]
        out += [
            Sample(chip=APART, tile=0, arrays=arrays, part=part) for part in range(virtual * side)
        ]
    return out


def compare(values: list[Floats], errors: list[Floats]) -> tuple[float, float, float, float, float]:
    """Compare stated errors with the scatter within groups.

    Returns
    -------
    stated, scatter, ratio, low, high : float
        Root mean square error, pooled standard deviation, and their ratio with its interval.
    """
    from scipy import special

    df = sum(len(x) - 1 for x in values)
    scatter = math.sqrt(sum(float(np.sum((x - x.mean()) ** 2)) for x in values) / df)
    stated = math.sqrt(float(np.mean(np.concatenate(errors) ** 2)))
    ratio = stated / scatter if scatter > 0 else math.inf
    low, high = (math.sqrt(float(special.chdtri(df, p)) / df) for p in (0.975, 0.025))
    return stated, scatter, ratio, low * ratio, high * ratio


def beside_plane(values: list[Floats], places: list[Floats], stated: float) -> float | None:
    """Return the ratio to the scatter about a plane over each group; None if there is none.

    Parameters
    ----------
    values : list of (array,) arrays
    places : list of (array, 2) arrays
        Row and column of each.
    stated : float
    """
    square, total, df = 0.0, 0.0, 0
    for x, place in zip(values, places, strict=True):
        design = np.column_stack([np.ones(len(x)), place])
        square += float(np.sum((x - design @ np.linalg.lstsq(design, x)[0]) ** 2))
        total += float(np.sum((x - x.mean()) ** 2))
        df += len(x) - int(np.linalg.matrix_rank(design))
    return stated / math.sqrt(square / df) if square > ROUNDING * total else None


def tabulate(records: dict[str, dict[str, Any]], wanted: list[Sample]) -> list[dict[str, Any]]:
    """Return one row per chip, parameter and size of array."""
    groups: dict[tuple[str, str], dict[int, list[Sample]]] = defaultdict(lambda: defaultdict(list))
    for s in wanted:
        group = 0 if s.arrays == "tiles" else s.tile
        groups[s.chip, s.arrays][group].append(s)
    rows = []
    for (chip, arrays), by_tile in groups.items():
        every = [records[s.key] for group in by_tile.values() for s in group]
        levels = Counter(records[s.key]["levels"] for s in wanted if s.chip == chip)
        usual = levels.most_common(1)[0][0]
        for path in sorted({p for r in every for p in r["found"]}, key=_order):
            if path.startswith("stuck") and path not in SHARES:
                continue
            kept = [
                [
                    s
                    for s in g
                    if records[s.key]["levels"] == usual and path in records[s.key]["found"]
                ]
                for g in by_tile.values()
            ]
            kept = [g for g in kept if len(g) > 1]
            if not kept:
                continue
            pairs = [np.array([records[s.key]["found"][path] for s in g]) for g in kept]
            values, errors = [x[:, 0] for x in pairs], [x[:, 1] for x in pairs]
            compared = compare(values, errors)
            trend = compare(values, [np.hypot(x[:, 1], x[:, 2]) for x in pairs])[2]
            places = [np.array([s.place for s in g], dtype=np.float64) for g in kept]
            many = chip != APART and arrays != "tiles"
            row = {
                "chip": chip,
                "arrays": arrays,
                "parameter": path,
                "number": sum(len(x) for x in values),
                "of": len(every),
                "mean": float(np.concatenate(values).mean()),
                "compared": compared,
                "with trend": trend,
                "plane": beside_plane(values, places, compared[0]) if many else None,
            }
            rows.append(row)
    order = [*LOGS, APART, CUT]
    rows.sort(key=lambda r: (order.index(r["chip"]), _order(r["parameter"])))
    return rows


def _order(path: str) -> tuple[int, str]:
    kinds = "levels", "failure", "stuck"
    return next(i for i, kind in enumerate(kinds) if path.startswith(kind)), path


def judged(row: dict[str, Any]) -> str:
    """Return whether a ratio is within the bounds; nothing for few arrays or no scatter."""
    ratio, low, high = row["compared"][2:]
    if row["number"] < ENOUGH or not math.isfinite(ratio):
        return ""
    if BOUNDS[0] <= ratio <= BOUNDS[1]:
        return YES
    if BOUNDS[0] <= row["with trend"] <= BOUNDS[1]:
        return WITH_TREND
    if row["parameter"].startswith("stuck.") and ratio > BOUNDS[1]:
        return BY_DESIGN
    near = low <= BOUNDS[1] and high >= BOUNDS[0]
    return "no, interval reaches them" if near else "no"


def beside_text(row: dict[str, Any]) -> str:
    """Return the ratio beside a plane as text."""
    return "" if row["plane"] is None else f"{row['plane']:.2f}"


def printed(row: dict[str, Any]) -> list[str]:
    """Return a row of the table as text."""
    stated, scatter, *ratio = row["compared"]
    unit, factor = ("uS", 1e6) if row["parameter"].startswith("levels") else ("%", 100.0)
    number = f"{row['number']}" if row["number"] == row["of"] else f"{row['number']} of {row['of']}"
    ratios = [f"{x:.2f}" if math.isfinite(x) else "" for x in ratio]
    return [
        row["chip"], row["parameter"], row["arrays"], number, unit,
        *(f"{factor * x:.3g}" for x in (row["mean"], stated, scatter)), *ratios,
        f"{row['with trend']:.2f}" if math.isfinite(row["with trend"]) else "", judged(row),
        beside_text(row),
    ]  # fmt: skip


def write_report(rows: list[dict[str, Any]], out: Path, command: str) -> None:
    """Write the table as CSV and Markdown."""
    text = [printed(r) for r in rows]
    with out.with_suffix(".csv").open("w", newline="") as f:
        csv.writer(f, lineterminator="\n").writerows([COLUMNS, *text])
    real = [r for r in rows if r["chip"] in LOGS and judged(r)]
    verdicts = Counter(judged(r) for r in real)
    off = [r for r in real if judged(r) not in {YES, WITH_TREND}]
    lines = [
        "# Stated errors and the scatter between real arrays",
        "",
        f"Generated by `{command}`,",
        "whose docstring describes the arrays. `ratio`: root mean square of the stated standard",
        "errors, divided by the standard deviation between arrays, with its 95 % interval. Below 1",
        f"the stated errors are too small. Bounds of {BOUNDS[0]:g}-{BOUNDS[1]:g} apply to {ENOUGH}",
        "or more arrays that scatter. `number`: arrays compared; the others have another number of",
        "levels, or no error of this parameter. `with trend`: ratio of the stated error and the",
        "stated trend, added as squares; `with the trend` in the next column: this ratio is within",
        "the bounds, that of the error alone is not. `wide by design`: one sweep does not show",
        "whether a failed cell is stuck, and the error covers both. `beside a plane`: ratio to the",
        "scatter about a plane over the tile.",
        "",
        f"Of {len(real)} ratios of real arrays, {verdicts[YES]} are within the bounds, and",
        f"{verdicts[WITH_TREND]} with the trend.",
    ]
    if off:
        lines += ["Outside are:", ""]
        lines += [
            f"- {r['chip']}, {r['arrays']}: {r['parameter']} {r['compared'][2]:.2f} ({judged(r)})"
            for r in off
        ]
    lines += [
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "| --- | --- | --- |" + " ---: |" * 9 + " --- | ---: |",
        *("| " + " | ".join(row) + " |" for row in text),
    ]
    out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Characterize the missing arrays and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("shared", type=Path, help="folder with data/measured")
    parser.add_argument(
        "--virtual",
        type=int,
        default=12,
        help="virtual tiles; twice as many quarters, four times as many sixteenths",
    )
    parser.add_argument("--out", type=Path, default=Path("reports/replicates.md"))
    parser.add_argument("--records", type=Path, default=Path("build/replicates.jsonl"))
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    args = parser.parse_args()
    args.records.parent.mkdir(parents=True, exist_ok=True)
    kept = args.records.read_text().splitlines() if args.records.exists() else []
    records = {r["key"]: r for r in (json.loads(line) for line in kept if line.endswith("}"))}
    wanted = samples(args.virtual)
    missing = [(s, args.shared) for s in wanted if s.key not in records]
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")  # the workers are the parallelism
    with multiprocessing.get_context("spawn").Pool(args.processes) as pool:
        for record in pool.imap(characterized, missing, chunksize=4):
            records[record["key"]] = record
            with args.records.open("a") as f:
                f.write(json.dumps(record) + "\n")
            sys.stderr.write(f"\r{len(records)} of {len(wanted)} arrays")
    sys.stderr.write("\n")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    command = f"python tests/studies/replicates.py {args.shared} --virtual {args.virtual}"
    write_report(tabulate(records, wanted), args.out, command)


if __name__ == "__main__":
    main()
