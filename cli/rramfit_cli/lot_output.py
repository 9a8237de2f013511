"""What the commands on lots print, and their exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rramfit_cli.file_kinds import MEASUREMENT, wrong_kind

if TYPE_CHECKING:
    from rramfit.reporting.lots import LotRun, Row
    from rramfit.reporting.lots.compare import LotYield, YieldLimit

__all__ = ["print_run"]

_REFUSED, _BAD = 3, 4
_MOST_IN_FULL = 10  # arrays whose findings are printed


def print_run(run: LotRun, output: Path, good: tuple[YieldLimit, ...], *, as_json: bool) -> int:
    """Print the rows of a lot, in order, then its yield, and return the exit code."""
    from rramfit.reporting.lots.compare import LotYield

    count, refused, bad, of_lot = 0, False, False, LotYield(good)
    for row in run:
        count += 1
        of_lot.add(row)
        refused |= not row.has_card
        bad |= row.verdict == "bad"
    if as_json:
        _print_json(run, output, of_lot)
    else:
        for row in run:
            _print(row, output, in_full=count <= _MOST_IN_FULL)
        if count > 1:
            click.echo(of_lot.text)
    return _REFUSED if refused else _BAD if bad else 0


def _print_json(run: LotRun, output: Path, of_lot: LotYield) -> None:
    """Print one JSON object, a row at a time."""
    click.echo('{\n  "files": [', nl=False)
    separator = "\n"
    for row in run:
        text = json.dumps(_as_json(row, output), indent=2, ensure_ascii=False, allow_nan=False)
        click.echo(separator + "    " + text.replace("\n", "\n    "), nl=False)
        separator = ",\n"
    counts = {
        "criterion": of_lot.criterion,
        "good": of_lot.good,
        "bad": of_lot.bad,
        "unknown": of_lot.unknown,
        "without_card": of_lot.without_card,
    }
    end = "\n  ]" if separator != "\n" else "]"
    click.echo(f'{end},\n  "yield": {json.dumps(counts, ensure_ascii=False)}\n}}')


def _as_json(row: Row, output: Path) -> dict[str, Any]:
    head = {"file": row.file, "name": row.name, "verdict": row.verdict}
    if not row.has_card:
        return {**head, "error": _error(row)}
    files = {
        key: None if name is None else str(output / name)
        for key, name in (("card", row.card), ("cells", row.cells), ("report", row.report))
    }
    return {**head, "summary": row.summary, "digest": row.digest, **files}


def _error(row: Row) -> str:
    """Return why there is no card."""
    found = wrong_kind(Path(row.file), MEASUREMENT) if row.verdict == "refused" else None
    return str(found or row.problem)


def _headline(row: Row) -> str:
    """Return one sentence that does not repeat the findings, which are listed below it."""
    if not row.findings:
        return row.summary
    count = len(row.findings)
    findings = "1 finding" if count == 1 else f"{count} findings"
    if row.verdict == "bad":
        return f"Do not use this card yet: {findings}."
    return f"The fits can be used, with {findings}."


def _print(row: Row, output: Path, *, in_full: bool) -> None:
    if not row.has_card:
        click.echo(f"Error: {_error(row)}", err=True)
        return
    colour = {"ok": "green", "warning": "yellow", "bad": "red"}[row.verdict]
    verdict = click.style(row.verdict, fg=colour, bold=True)
    kept = " Kept from an earlier run." if row.kept else ""
    click.echo(f"{click.style(row.name, bold=True)}: {verdict}. {_headline(row)}{kept}")
    if not in_full:
        return
    for fit, text in row.findings:
        click.echo(f"  {fit}: {text}")
    if row.not_run:
        click.echo(f"  no data for: {', '.join(row.not_run)}")
    for label, name in (("card", row.card), ("cells", row.cells), ("report", row.report)):
        if name is not None:
            click.echo(f"  {label:<7}{output / name}")
