"""Coverage: do the stated 95 % intervals contain the true value for 95 % of chips?

Virtual chips of 48 x 48 cells and three levels are drawn from random cards, a new card for every
chip, and characterized like a measured one. For every parameter of the card whose true value is
known, the study records whether its interval contains it. The cases (`cases.py`) combine families
of distributions, fields, failures and numbers of sweeps with every kind of mess. Run from the
project's root:

    python tests/studies/coverage --chips 200 --processes 2

This writes `reports/coverage.csv` and `.md`. Results are appended to one CSV file per case in
`--records`; an interrupted run continues from there, and a run with more chips adds to them. Delete
the records after a change of the fits. `--cases TEXT ...` runs the cases with a text in their name.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from pathlib import Path

from cases import CASES, Case
from chip import one_chip
from records import append, finished, read_records
from table import tabulate, write_tables


def run(cases: list[Case], chips: int, folder: Path, processes: int) -> None:
    """Draw and fit the missing chips, alternating between cases."""
    folder.mkdir(parents=True, exist_ok=True)
    done = {case: finished(case, folder) for case in cases}
    jobs = [(case, n) for n in range(chips) for case in cases if n not in done[case]]
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")  # the workers are the parallelism
    context, start = multiprocessing.get_context("spawn"), time.monotonic()
    with context.Pool(processes, maxtasksperchild=500) as pool:
        for i, record in enumerate(pool.imap(one_chip, jobs), start=1):
            append(record, folder)
            left = (time.monotonic() - start) / i * (len(jobs) - i)
            sys.stderr.write(f"\r{i} of {len(jobs)} chips, {left / 60:.0f} min left ")
    sys.stderr.write("\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--chips", type=int, default=200, help="number of chips per case")
    parser.add_argument("--cases", nargs="*", default=[""], help="parts of names of cases to run")
    parser.add_argument("--out", type=Path, default=Path("reports/coverage.csv"))
    parser.add_argument("--records", type=Path, default=Path("build/coverage"))
    parser.add_argument("--processes", type=int, default=1, help="number of processes")
    parser.add_argument("--list", action="store_true", help="list the cases and stop")
    args = parser.parse_args()
    cases = [case for case in CASES if any(text in case.name for text in args.cases)]
    if args.list:
        sys.stdout.writelines(f"{case.name}: {case.text}\n" for case in cases)
        return
    if not cases:
        parser.error(f"no case has a name with {' or '.join(args.cases)}")
    run(cases, args.chips, args.records, args.processes)
    tables = [tabulate(case, read_records(case, args.records, args.chips)) for case in cases]
    command = "python tests/studies/coverage " + " ".join(sys.argv[1:])
    write_tables(tables, args.out, command)


if __name__ == "__main__":
    main()
