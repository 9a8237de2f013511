"""Coverage: do the stated 95 % intervals contain the true value for 95 % of chips?

Virtual chips of 64 x 64 cells and three levels are drawn from random cards, a new card for every
chip, and fitted as in `characterize`. For each parameter of the card, the study records whether the
interval contains the population's value. Cases: distribution of the levels (normal, lognormal, t
with 6 degrees of freedom) x with or without smooth field and trends x programmings of each cell
(one sweep in total, or two or eight sweeps per level). Run from the project's root:

    python tests/studies/coverage.py --chips 200 --out reports/coverage.csv

This writes the table as CSV and as Markdown. Results are stored in `--records`, one line per chip;
an interrupted run continues from there, and a run with more chips adds to them. Delete them after a
change of the fits. `--only TEXT` selects the cases whose names contain the text.

Levels of one chip and parameters of one kind are counted together. They are not independent, so the
Wilson interval of a coverage uses the number of independent trials with the same variance over
chips as the observed hits.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import math
import multiprocessing
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

NAMES = {"normal": "normal", "lognormal": "lognormal", "student_t": "t6"}
BOUNDS = 0.93, 0.97
COLUMNS = (
    "case", "parameter", "chips", "intervals", "coverage", "wilson low", "wilson high",
    "bias / actual error", "bias / truth", "stated / actual error", "verdict",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of chip."""

    distribution: str
    field: bool
    sweeps: int  # per level; 0: one sweep in total

    @property
    def name(self) -> str:
        field = "field" if self.field else "no field"
        sweeps = f"{self.sweeps} sweeps per level" if self.sweeps else "one sweep"
        return f"{NAMES[self.distribution]}, {field}, {sweeps}"


CASES = [Case(*x) for x in itertools.product(NAMES, (False, True), (0, 2, 8))]


def quantities(parts: Any, truth: dict[str, float]) -> Iterator[tuple[str, Any]]:
    """Yield the paths of a card's parameters and their quantities."""
    levels, variation, failure, stuck = parts
    for x in levels:
        at = f"levels[{x.index}]"
        yield from ((f"{at}.{name}", getattr(x, name)) for name in ("mean", "std"))
        if x.distribution is not None:
            family = x.distribution.family
            if family == truth.get(f"{at}.distribution.family"):
                for name, q in x.distribution.parameters.items():
                    yield f"{at}.distribution.parameters.{name}", q
    for x in variation.to_card():
        at = f"variation[{x.level}]"
        yield from ((f"{at}.{name}", getattr(x, name)) for name in ("d2d", "c2c"))
        if x.spatial is not None:
            for name in ("row_trend", "col_trend", "share", "correlation_length"):
                yield f"{at}.spatial.{name}", getattr(x.spatial, name)
    for name, q in variation.quantities().items():
        if name.startswith("correlation"):
            _, j, k = name.split()
            yield f"variation_correlation[{j}][{k}]", q
    for x in failure:
        for name in ("probability", "hard", "soft"):
            yield f"failure[{x.level}].{name}", getattr(x, name)
    if stuck is not None:
        yield from ((f"stuck.{name}", getattr(stuck, name)) for name in ("low", "high"))


def one_chip(job: tuple[Case, int]) -> dict[str, Any]:
    """Draw and fit one chip; return truth, value, stderr and interval of every parameter."""
    import torch

    from rramfit.errors import FitError
    from rramfit.fitting.failure.failure import fit_failure
    from rramfit.fitting.levels.levels import fit_levels
    from rramfit.fitting.screening.accumulate import accumulate
    from rramfit.fitting.screening.screening import screen
    from rramfit.fitting.variation.variation import fit_variation
    from rramfit.measurement.virtual.cards import random_card
    from rramfit.measurement.virtual.distribution_truth import distribution_truth
    from rramfit.measurement.virtual.synthesize import synthesize

    torch.set_num_threads(1)
    case, seed = job
    own = 10_000 * CASES.index(case) + seed  # different cards and chips in every case
    card = random_card(own, distribution=case.distribution, spatial=case.field)
    sweeps = case.sweeps * len(card.levels) or 1
    measurement = synthesize(card, sweeps=sweeps, seed=own)
    truth = {**measurement.truth, **distribution_truth(card, (64, 64))}
    statistics = accumulate(measurement.program, len(measurement.levels))
    screening = screen(measurement, statistics)
    record: dict[str, Any] = {"seed": seed}
    try:
        levels = fit_levels(statistics, screening.healthy, measurement.levels, seed=seed)
        cards = levels.to_card()
        domains = [
            "log" if x.distribution and x.distribution.family == "lognormal" else "linear"
            for x in cards
        ]
        variation = fit_variation(statistics, screening.healthy, domains=domains, seed=seed)
        failure = fit_failure(statistics, screening, levels=measurement.levels, seed=seed)
    except FitError as e:
        return {**record, "error": str(e)}
    parts = cards, variation, *failure.to_card()
    found = {}
    for path, q in quantities(parts, truth):
        if q is not None and q.ci95 is not None and path in truth:
            found[path] = [truth[path], q.value, q.stderr, *q.ci95]
    return {**record, "found": found}


def file_of(case: Case, folder: Path) -> Path:
    return folder / (re.sub(r"\W+", "-", case.name) + ".jsonl")


def records_of(case: Case, folder: Path) -> list[dict[str, Any]]:
    """Return the stored chips; an incomplete line is ignored."""
    path = file_of(case, folder)
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def run(cases: list[Case], chips: int, folder: Path, processes: int) -> None:
    """Draw and fit the missing chips, alternating between cases."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = []
    for case in cases:
        done = {r["seed"] for r in records_of(case, folder)}
        jobs += [(seed, case) for seed in range(chips) if seed not in done]
    jobs.sort(key=lambda job: job[0])
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")  # the workers are the parallelism
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, maxtasksperchild=500) as pool:
        work = pool.imap(one_chip, [(case, seed) for seed, case in jobs])
        for i, ((_, case), record) in enumerate(zip(jobs, work, strict=True), start=1):
            with file_of(case, folder).open("a") as f:
                f.write(json.dumps(record) + "\n")
            sys.stderr.write(f"\r{i} of {len(jobs)} chips")
    sys.stderr.write("\n")


def wilson(share: float, n: float) -> tuple[float, float]:
    z = 1.959964
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return centre - half, centre + half


def independent_trials(hits: list[list[bool]]) -> float:
    """Compute the number of independent trials with the variance of the chips' mean hits."""
    counts = np.array([len(h) for h in hits], dtype=float)
    sums = np.array([sum(h) for h in hits], dtype=float)
    share = sums.sum() / counts.sum()
    scatter = np.sum((sums - share * counts) ** 2) / counts.sum() ** 2
    if scatter == 0:
        return float(len(hits))
    return float(np.clip(share * (1 - share) / scatter, len(hits), counts.sum()))


def judge(share: float, low: float, high: float, *, edge: bool) -> str:
    """Return the verdict on a coverage with its Wilson interval."""
    if BOUNDS[0] <= share <= BOUNDS[1]:
        return "ok"
    if low <= BOUNDS[1] and high >= BOUNDS[0]:
        return "within chance"
    if edge and share > BOUNDS[1]:
        return "edge"
    return "OUT, too wide" if share > BOUNDS[1] else "OUT, too narrow"


def tabulate(case: Case, records: list[dict[str, Any]]) -> Iterator[list[str]]:
    """Yield one table row per kind of parameter."""
    kinds: dict[str, list[list[list[float]]]] = defaultdict(list)
    for record in records:
        of_chip: dict[str, list[list[float]]] = defaultdict(list)
        for path, row in record.get("found", {}).items():
            of_chip[re.sub(r"\[\d+\]", "", path).replace("distribution.parameters.", "")].append(
                row
            )
        for kind, rows in of_chip.items():
            kinds[kind].append(rows)
    for kind, chips in sorted(kinds.items()):
        hits = [[low <= true <= high for true, _, _, low, high in rows] for rows in chips]
        flat = np.array([row for rows in chips for row in rows])
        true, value, stated = flat[:, 0], flat[:, 1], flat[:, 2]
        share = float(np.mean([h for chip in hits for h in chip]))
        low, high = wilson(share, independent_trials(hits))
        off = value - true
        z = off[stated > 0] / stated[stated > 0]
        actual = math.sqrt(float(np.mean(z**2))) if z.size else math.nan
        size = float(np.mean(np.abs(true)))
        relative = f"{off.mean() / size:+.4f}" if size else ""
        verdict = judge(share, low, high, edge=bool((true == 0).all() and (flat[:, 3] >= 0).all()))
        yield [
            case.name, kind, str(len(chips)), str(len(flat)), f"{share:.3f}", f"{low:.3f}",
            f"{high:.3f}", f"{z.mean() / actual:+.2f}", relative, f"{1 / actual:.2f}", verdict,
        ]  # fmt: skip


def write_tables(rows: list[list[str]], errors: list[str], out: Path, command: str) -> None:
    with out.open("w", newline="") as f:
        csv.writer(f, lineterminator="\n").writerows([COLUMNS, *rows])
    share = sum(row[-1] == "ok" for row in rows)
    outside = [row for row in rows if row[-1].startswith("OUT")]
    lines = [
        "# Coverage of the stated 95 % intervals",
        "",
        f"Generated by `{command}`",
        "from virtual chips of 64 x 64 cells and three levels, with a new random card for every",
        "chip. All intervals of card parameters with a known true value are counted; levels are",
        "counted together. `ok`: the coverage is 0.93 to 0.97. `within chance`: the 95 % Wilson",
        "interval of the coverage overlaps this range. `edge`: the true value is 0 and intervals",
        "do not extend below 0, so only the upper end can miss. With z the error divided by the",
        "stated standard error, bias / actual error is mean(z)/rms(z), and stated / actual error",
        "is 1/rms(z). After one sweep, a stuck cell and a cell that failed programming cannot be",
        "distinguished. The interval of a share of stuck cells then covers both cases and is too",
        "wide by design.",
        "",
        f"Of {len(rows)} rows, {share} are ok and {len(outside)} are out of bounds.",
        *(f"- {row[-1]}: {row[0]}: {row[1]}, {row[4]} [{row[5]}, {row[6]}]" for row in outside),
        *(f"- no fit: {text}" for text in errors),
    ]
    for case, of_case in itertools.groupby(rows, key=lambda row: row[0]):
        lines += ["", f"## {case}", "", "| " + " | ".join(COLUMNS[1:]) + " |"]
        lines += ["| " + " | ".join("---" for _ in COLUMNS[1:]) + " |"]
        lines += ["| " + " | ".join(row[1:]) + " |" for row in of_case]
    out.with_suffix(".md").write_text("\n".join(lines) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--chips", type=int, default=200, help="number of chips per case")
    parser.add_argument("--out", type=Path, default=Path("reports/coverage.csv"))
    parser.add_argument("--records", type=Path, default=Path("build/coverage"))
    parser.add_argument("--processes", type=int, default=1, help="number of processes")
    parser.add_argument("--only", default="", help="run only cases whose names contain this text")
    args = parser.parse_args()
    cases = [case for case in CASES if args.only in case.name]
    run(cases, args.chips, args.records, args.processes)
    rows, errors = [], []
    for case in cases:
        records = [r for r in records_of(case, args.records) if r["seed"] < args.chips]
        rows += list(tabulate(case, records))
        errors += sorted({f"{case.name}: {r['error']}" for r in records if "error" in r})
    command = f"python tests/studies/coverage.py --chips {args.chips} --out {args.out}"
    command += f' --only "{args.only}"' if args.only else ""
    write_tables(rows, errors, args.out, command)


if __name__ == "__main__":
    main()
