"""Reliability: nothing that happens to a file or a process leads to more than a sentence.

Mutated measurements, cards, sidecars, layouts, logs and checkpoints are read (`targets.py`), runs
of commands are killed (`kills.py`), and commands are run where a disk is full, a folder read-only
and the like (`circumstances.py`). Run from the project's root:

    python tests/studies/reliability --count 1.0

This writes `reports/reliability.md`. `--count` is a share of the full numbers, `--seconds` ends the
run earlier; `make check-long` runs all. Outcomes are kept in `--records`, and a run continues from
there: delete the folder after a change of what is tested. `--retry` tries only the mutations that
failed again, as after a repair.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from circumstances import CIRCUMSTANCES, run_circumstances
from kills import COMMANDS, run_kills
from sources import make_sources
from table import write_report
from targets import TARGETS
from trials import retry_failures, run_trials

FULL = {
    "sealed": 8000,
    "unsealed": 6000,
    "plain": 5000,
    "commands": 1000,
    "report": 400,
    "card": 3000,
    "resealed": 2000,
    "cells": 5000,
    "layout": 5000,
    "log": 5000,
    "checkpoint": 4000,
    "cifar": 1000,
}
"""Mutations of each target in a full run."""

KILLS = 50
"""Kills of each command in a full run."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=float, default=1.0, help="share of the full numbers")
    parser.add_argument("--seconds", type=float, default=1e9, help="end the trials after this time")
    parser.add_argument("--retry", action="store_true", help="try failures again, nothing else")
    parser.add_argument("--only", nargs="*", default=[], help="names of targets or commands")
    parser.add_argument("--out", type=Path, default=Path("reports/reliability.md"))
    parser.add_argument("--records", type=Path, default=Path("build/reliability"))
    args = parser.parse_args()
    until = time.monotonic() + args.seconds
    sources = args.records / "sources"
    make_sources(sources)
    wanted = args.only or [*TARGETS, *COMMANDS, *CIRCUMSTANCES]
    if args.retry:
        for name in (n for n in TARGETS if n in wanted):
            again = retry_failures(
                name, checked=TARGETS[name].checked, sources=sources, records=args.records
            )
            for number in again:
                _say(f"{name}: {number} again")
        sys.exit(1 if write_report(args.records, args.out) else 0)
    for name in (n for n in TARGETS if n in wanted):
        count = max(round(FULL[name] * args.count), 1)
        trials = run_trials(
            name,
            count=count,
            checked=TARGETS[name].checked,
            sources=sources,
            records=args.records,
            until=until,
        )
        for batch in trials:
            _say(f"{name}: {batch['first'] + batch['count']} of {count}, {len(batch['notes'])} bad")
    for name in (n for n in COMMANDS if n in wanted):
        kills = max(round(KILLS * args.count), 1)
        for done in run_kills(name, count=kills, records=args.records, until=until):
            _say(f"{name}: {done} of {kills} kills")
    run_circumstances([n for n in CIRCUMSTANCES if n in wanted], args.records)
    failures = write_report(args.records, args.out)
    sys.exit(1 if failures else 0)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
