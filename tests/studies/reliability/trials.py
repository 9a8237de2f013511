"""Try mutated files in a worker process, restart it when it is lost, and keep the outcomes.

Outcomes are appended to one file of JSON lines per target, in batches; a run continues where an
earlier one ended. `died` is the loss of the worker: rramfit itself must survive any file. `hung` is
no outcome within a minute of processor time, or ten minutes of the clock.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["Batch", "batches", "retry_failures", "run_trials"]

Batch = dict[
    str, Any
]  # "first", "count", "outcomes": {outcome: count}, "notes": [[n, outcome, text]]

_SIZE = 50
_LIMIT = 60.0  # [s] of processor time for one file, of the worker and its children
_CLOCK_LIMIT = 600.0  # [s]
_TICKS = os.sysconf("SC_CLK_TCK")
_ALLOWED = {"same", "other", "sentence"}


class _Worker:
    """The process that tries files."""

    def __init__(self, sources: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("worker.py")), str(sources)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            text=True,
            start_new_session=True,
        )

    def outcome(self, name: str, number: int) -> tuple[str, str]:
        """Return the outcome of one mutation; `died` or `hung` if the process is lost."""
        stdin, stdout = self._process.stdin, self._process.stdout
        begun, start = self._processor_time(), time.monotonic()
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(json.dumps([name, number]) + "\n")
            stdin.flush()
            with selectors.DefaultSelector() as selector:
                selector.register(stdout, selectors.EVENT_READ)
                while not selector.select(1.0):
                    spent = self._processor_time() - begun
                    if spent > _LIMIT or time.monotonic() - start > _CLOCK_LIMIT:
                        return "hung", f"no outcome in {spent:.0f} s of processor time"
            line = stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            return "died", f"the process ended with {self._process.wait()}"
        outcome, text = json.loads(line)
        return outcome, text

    def _processor_time(self) -> float:
        """Return what all processes of the worker's session have used [s]."""
        ticks = 0
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text(encoding="utf-8").rpartition(")")[2].split()
            except OSError:  # it has ended
                continue
            if int(fields[3]) == self._process.pid:
                ticks += sum(map(int, fields[11:15]))  # own and of children that ended
        return ticks / _TICKS

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def batches(records: Path, name: str) -> list[Batch]:
    """Return the batches of a target that are finished."""
    path = records / f"{name}.jsonl"
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def _is_bad(outcome: str, *, checked: bool) -> bool:
    return outcome not in _ALLOWED or (checked and outcome == "other")


def retry_failures(name: str, *, checked: bool, sources: Path, records: Path) -> Iterator[int]:
    """Try the failures in the records again, as after a repair; yield the number of each."""
    found = batches(records, name)
    worker = _Worker(sources)
    try:
        for batch in found:
            again = []
            for number, before, _ in batch["notes"]:
                outcome, text = worker.outcome(name, number)
                batch["outcomes"][before] -= 1
                batch["outcomes"][outcome] = batch["outcomes"].get(outcome, 0) + 1
                if _is_bad(outcome, checked=checked):
                    again.append([number, outcome, text])
                if outcome in ("died", "hung"):
                    worker.close()
                    worker = _Worker(sources)
                yield number
            batch["notes"] = again
    finally:
        worker.close()
    part = records / f"{name}.jsonl.part"
    part.write_text("".join(f"{json.dumps(b)}\n" for b in found), encoding="utf-8")
    part.replace(records / f"{name}.jsonl")


def run_trials(
    name: str, *, count: int, checked: bool, sources: Path, records: Path, until: float
) -> Iterator[Batch]:
    """Try mutations until there are `count`, or the clock (monotonic) shows `until`."""
    records.mkdir(parents=True, exist_ok=True)
    first = sum(batch["count"] for batch in batches(records, name))
    worker = _Worker(sources)
    try:
        while first < count and time.monotonic() < until:
            numbers = range(first, min(first + _SIZE, count))
            outcomes: Counter[str] = Counter()
            notes = []
            for number in numbers:
                outcome, text = worker.outcome(name, number)
                outcomes[outcome] += 1
                if _is_bad(outcome, checked=checked):
                    notes.append([number, outcome, text])
                if outcome in ("died", "hung"):
                    worker.close()
                    worker = _Worker(sources)
            batch = {"first": first, "count": len(numbers), "outcomes": outcomes, "notes": notes}
            with (records / f"{name}.jsonl").open("a", encoding="utf-8") as f:
                f.write(json.dumps(batch) + "\n")
            yield batch
            first += len(numbers)
    finally:
        worker.close()
