"""Coverage for wires: do the 95 % intervals contain the true resistances for 95 % of chips?

Virtual chips have 128 x 128 cells, levels of 1, 20 and 40 uS with 10 % variation, and grounded
inactive rows; half of the rows are active in each of 32 patterns. Wordlines and bitlines have 0.4
to 4 ohm per segment (log-uniform), drivers 10 to 100 ohm, sense resistances 10 to 60 ohm. Noise is
1 % of a current and 0.5 % of a cell read; the gains of both differ by 1 %. Currents come from the
exact solver, which is independent of the solver of the fit. Run from the project's root:

    python tests/studies/line_coverage.py --chips 200 --out reports/line_coverage.csv

This writes the table as CSV and as Markdown. Chips in `--records` are not fitted again; delete the
file after a change of the fit.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

NAMES = (
    "wordline_resistance", "bitline_resistance", "driver_resistance", "sense_resistance", "gain",
)  # fmt: skip
LEVELS = (1e-6, 20e-6, 40e-6)  # [S]
COLUMNS = (
    "parameter", "identified", "coverage", "wilson low", "wilson high", "mean score", "sd of score",
    "largest score",
)  # fmt: skip


def one_chip(seed: int) -> dict[str, Any]:
    """Draw a chip and fit its wires; return truth, value and interval of each parameter."""
    import torch

    from rramfit.array import LineResistance, column_currents
    from rramfit.fitting.electrical.line_fit import fit_line_resistance
    from rramfit.measurement.file.record import MVM

    torch.set_num_threads(1)
    rng = np.random.default_rng([77, seed])
    size, patterns = 128, 32
    wires = (
        *np.exp(rng.uniform(*np.log([0.4, 4.0]), 2)),
        rng.uniform(10, 100),
        rng.uniform(10, 60),
    )
    gain = 1 + 0.01 * rng.standard_normal()
    g = rng.choice(LEVELS, (size, size)) * np.exp(0.1 * rng.standard_normal((size, size)))
    half = np.broadcast_to(np.arange(size) < size / 2, (patterns, size))
    voltage = np.where(rng.permuted(half, axis=1), 0.2, 0.0)
    line = LineResistance(r_wl=wires[0], r_bl=wires[1], r_driver=wires[2], r_sense=wires[3])
    exact = gain * column_currents(torch.tensor(g), torch.tensor(voltage), line).numpy()
    mvm = MVM(
        voltage=voltage,
        current=exact * (1 + 0.01 * rng.standard_normal(exact.shape)),
        conductance=g * (1 + 0.005 * rng.standard_normal(g.shape)),
        inactive_rows="grounded",
        cell_reads="intrinsic",
    )
    start = time.perf_counter()
    fit = fit_line_resistance(mvm)
    took = time.perf_counter() - start
    found = {}
    for name, truth in zip(NAMES, (*wires, gain), strict=True):
        q = fit.result.estimates.get(name)
        if q is not None and q.stderr is not None and q.ci95 is not None:
            found[name] = [truth, q.value, q.stderr, *q.ci95]
    return {"seed": seed, "seconds": took, "found": found}


def tabulate(records: list[dict[str, Any]]) -> list[list[str]]:
    """Return one table row per parameter."""
    from scipy.stats import binomtest

    rows = []
    for name in NAMES:
        x = np.array([r["found"][name] for r in records if name in r["found"]])
        truth, value, stderr, low, high = x.T
        hits = (low <= truth) & (truth <= high)
        wilson = binomtest(int(hits.sum()), len(hits)).proportion_ci(method="wilson")
        score = (value - truth) / stderr
        figures = hits.mean(), wilson.low, wilson.high
        spread = score.mean(), score.std(ddof=1), np.abs(score).max()
        rows.append(
            [
                name,
                f"{len(hits)} of {len(records)}",
                *(f"{100 * y:.1f} %" for y in figures),
                *(f"{y:.2f}" for y in spread),
            ]
        )
    return rows


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chips", type=int, default=200, help="number of chips")
    parser.add_argument("--out", type=Path, required=True, help="CSV file to write")
    parser.add_argument("--records", type=Path, default=Path("line_coverage.jsonl"))
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    args = parser.parse_args()
    old = args.records.read_text().splitlines() if args.records.exists() else []
    records = [json.loads(line) for line in old if line.endswith("}")]
    missing = sorted(set(range(args.chips)) - {r["seed"] for r in records})
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")  # the workers are the parallelism
    with multiprocessing.get_context("spawn").Pool(args.processes) as pool:
        for record in pool.imap(one_chip, missing):
            records.append(record)
            with args.records.open("a") as f:
                f.write(json.dumps(record) + "\n")
            sys.stderr.write(f"\r{len(records)} of {args.chips} chips")
    sys.stderr.write("\n")
    records.sort(key=lambda r: r["seed"])
    records = records[: args.chips]
    rows = tabulate(records)
    with args.out.open("w", newline="") as f:
        csv.writer(f).writerows([COLUMNS, *rows])
    lines = [
        "# Coverage of the fitted wires",
        "",
        f"    python tests/studies/line_coverage.py --chips {len(records)} --out {args.out}",
        "",
        (
            f"{len(records)} virtual chips of 128 × 128 cells, 32 patterns with half of the rows "
            "active, 0.4 to 4 ohm per segment, noise of 1 % of each current and 0.5 % of each cell "
            "read. "
            "Score: error divided by the stated standard error."
        ),
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "| --- |" + " ---: |" * (len(COLUMNS) - 1),
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
    ]
    args.out.with_suffix(".md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
