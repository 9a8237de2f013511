"""Write `reports/reliability.md` from the records."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from circumstances import CIRCUMSTANCES
from kills import COMMANDS
from targets import TARGETS
from trials import batches

__all__ = ["write_report"]

_WANTED = {
    "measurement": 20_000,
    "card": 5000,
    "sidecar": 5000,
    "layout": 5000,
    "log": 5000,
    "checkpoint": 5000,
}
_KILLS = 50
_HEAD = """# Reliability

What happens to rramfit when a file is damaged, a process is killed or the machine has no room.
Every mutation and every time of a kill follows from its number, so that each line can be repeated:

    make check-long        # all of it, several hours on one core; continues where it was stopped

"""
_MUTATIONS = """## Mutated files

Bits flipped, bytes set, blocks copied, removed and inserted, ends cut off, numbers set to extremes;
words and lines of text and values of JSON replaced (`tests/studies/reliability/mutations.py`).
Outcomes: a **sentence** (an error of rramfit on one line, exit code 3), the **same** numbers as the
sound file (an unused byte was hit), or **other** numbers. Other numbers are a failure where rramfit
wrote the file and sealed it: every change must be noticed. They cannot be noticed in a file without
checksums (`plain`), after the seal was removed (`unsealed`), in text (`layout`, `log`) and in the
pickles of others (`cifar`). Failures everywhere: another exception, the end of the process, no
outcome in a minute of processor time.

| file | mutations | of | sentence | same | other | unnoticed | exception | died | hung |
|---|---|---|---|---|---|---|---|---|---|
"""
_KILLED = """
## Kills

SIGKILL at a random time. Whole: cards and sidecars load, measurements validate, reports and tables
end as they should, inputs are unchanged, no process is left; one run in ten is repeated and
succeeds. Kills after the end of the command are not counted as killed.

| command | runs | of | killed | not whole |
|---|---|---|---|---|
"""
_AROUND = """
## Circumstances

Each with all commands above; the input is removed or grows at eight times of one command.

| circumstance | |
|---|---|
"""
_PACKAGES = """
## Dependencies

`make audit` (pip-audit) on the versions of `constraints.txt`: {packages} packages, of which
{missed} could not be looked up (no answer from the vulnerability service where it was run);
{known} known vulnerabilities. `make sbom` writes the bill of materials, `make dist` wheel and
sdist, which are the same bytes whenever they are built (`tests/test_distribution.py`).

"""


def write_report(records: Path, out: Path) -> int:
    """Write the report; return the number of failures."""
    text, failures = [_HEAD, _MUTATIONS], 0
    done: Counter[str] = Counter()
    notes: list[str] = []
    for name, target in TARGETS.items():
        outcomes: Counter[str] = Counter()
        for batch in batches(records, name):
            outcomes.update(batch["outcomes"])
            notes += [f"- `{name}` {n}: {how}. {what}" for n, how, what in batch["notes"]]
        done[target.kind] += outcomes.total()
        unnoticed = outcomes["other"] if target.checked else 0
        bad = unnoticed + outcomes["raw"] + outcomes["died"] + outcomes["hung"]
        failures += bad
        cells = [outcomes[k] for k in ("sentence", "same")]
        cells += [0 if target.checked else outcomes["other"], unnoticed]
        cells += [outcomes[k] for k in ("raw", "died", "hung")]
        row = [f"{name} ({target.kind})", outcomes.total(), "", *cells]
        text.append("| " + " | ".join(map(str, row)) + " |\n")
    for kind, wanted in _WANTED.items():
        text.append(f"| **all of kind {kind}** | {done[kind]} | {wanted} |" + " |" * 7 + "\n")
    if notes:
        text += ["\nFailures:\n\n", *(f"{note}\n" for note in notes[:50])]
    text.append(_kills(records))
    failures += sum(len(k["wrong"]) for name in COMMANDS for k in _read(records, name))
    text.append(_circumstances(records))
    failures += sum(map(len, _known(records).values()))
    text.append(_audit(records))
    out.write_text("".join(text), encoding="utf-8")
    return failures


def _read(records: Path, name: str) -> list[dict[str, Any]]:
    path = records / f"kills-{name}.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines]


def _kills(records: Path) -> str:
    text = [_KILLED]
    for name in COMMANDS:
        found = _read(records, name)
        killed = sum(k["killed"] for k in found)
        wrong = [k for k in found if k["wrong"]]
        text.append(f"| {name} | {len(found)} | {_KILLS} | {killed} | {len(wrong)} |\n")
        text += [f"\n- {name}: {w}\n" for k in wrong for w in k["wrong"]]
    return "".join(text)


def _known(records: Path) -> dict[str, list[str]]:
    path = records / "circumstances.json"
    found: dict[str, list[str]] = (
        json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    )
    return found


def _circumstances(records: Path) -> str:
    known = _known(records)
    text = [_AROUND]
    for name in CIRCUMSTANCES:
        wrong = known.get(name)
        said = "not run" if wrong is None else "; ".join(wrong) or "a sentence or a whole result"
        text.append(f"| {name} | {' '.join(said.split()).replace('|', '/')} |\n")
    return "".join(text)


def _audit(records: Path) -> str:
    path = records / "audit.json"
    if not path.is_file():
        return ""
    packages = json.loads(path.read_text(encoding="utf-8"))["dependencies"]
    known = [(p, v) for p in packages for v in p.get("vulns", [])]
    missed = sum("skip_reason" in p for p in packages)
    text = [_PACKAGES.format(packages=len(packages), missed=missed, known=len(known))]
    for package, found in known:
        fixed = ", ".join(found["fix_versions"]) or "no version"
        text.append(f"- {package['name']} {package['version']}: {found['id']}, fixed in {fixed}\n")
    return "".join(text)
