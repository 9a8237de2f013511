"""`rramfit characterize`: from measured sweeps to cards, sidecars and reports."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rramfit_cli.console import print_json, stages
from rramfit_cli.file_kinds import MEASUREMENT, wrong_kind

if TYPE_CHECKING:
    from rramfit.reporting.lot_outcomes import Outcome

__all__ = ["characterize"]

_REFUSED, _BAD = 3, 4


@click.command()
@click.argument(
    "files",
    metavar="FILE…",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Folder for the results.",
)
@click.option(
    "--layout",
    metavar="TOML",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Layout file for FILEs in your own format (HDF5 or text logs).",
)
@click.option(
    "--name", help="Name of the card of a single measurement.", show_default="name of the file"
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    help="Seed of cross-validation folds, bootstraps and permutations.",
)
@click.option("--jobs", type=click.IntRange(min=1), default=1, help="Files to process in parallel.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
@click.option("--no-report", is_flag=True, help="Do not write the HTML report.")
def characterize(
    files: tuple[Path, ...],
    output: Path,
    layout: Path | None,
    name: str | None,
    seed: int,
    jobs: int,
    as_json: bool,
    no_report: bool,
) -> None:
    """Fit a model card to each FILE and write its report.

    Writes NAME.card.json, NAME.cells.h5 and NAME.report.html into DIR; for several arrays also a
    summary of the lot, lot.csv and lot.html. If --layout divides an array into tiles, each tile
    gets a card: NAME_tile0, NAME_tile1, … Exit code 3: a file is rejected. Exit code 4: the verdict
    of a fit is bad; the card is written with this verdict.
    """
    from rramfit.reporting.lot import characterize_files, write_lot

    if name is not None and Path(name).name != name:
        msg = f"{name!r} is not a file name. Choose the folder with -o."
        raise click.BadParameter(msg, param_hint="--name")
    if name is not None and len(files) > 1 and layout is None:
        msg = f"--name names one card, but there are {len(files)} files. Omit --name."
        raise click.UsageError(msg)
    with stages("characterizing") as on_stage:
        outcomes = characterize_files(
            files,
            output=output,
            layout=layout,
            name=name,
            seed=seed,
            jobs=jobs,
            report=not no_report,
            on_stage=on_stage,
        )
        if len(outcomes) > 1:
            write_lot(outcomes, output, report=not no_report)
    if as_json:
        print_json({"files": [_as_json(outcome) for outcome in outcomes]})
    else:
        for outcome in outcomes:
            _print(outcome)
    sys.exit(_exit_code(outcomes))


def _exit_code(outcomes: list[Outcome]) -> int:
    if any(outcome.card is None for outcome in outcomes):
        return _REFUSED
    return _BAD if any(o.card and o.card.quality.verdict == "bad" for o in outcomes) else 0


def _as_json(outcome: Outcome) -> dict[str, object]:
    if outcome.card is None or outcome.written is None:
        refused = {"name": outcome.name, "verdict": "refused", "error": _error(outcome)}
        return {"file": str(outcome.path), **refused}
    written = outcome.written
    return {
        "file": str(outcome.path),
        "name": outcome.name,
        "verdict": outcome.card.quality.verdict,
        "summary": outcome.card.quality.summary,
        "digest": outcome.card.digest,
        "card": str(written.card),
        "cells": str(written.cells),
        "report": str(written.report) if written.report else None,
    }


def _error(outcome: Outcome) -> str:
    """Return why a file was rejected."""
    return str(wrong_kind(outcome.path, MEASUREMENT) or outcome.error)


def _headline(outcome: Outcome) -> str:
    """Return one sentence that does not repeat the findings, which are listed below it."""
    if outcome.card is None or not outcome.findings:
        return outcome.card.quality.summary if outcome.card else ""
    count = len(outcome.findings)
    findings = "1 finding" if count == 1 else f"{count} findings"
    if outcome.card.quality.verdict == "bad":
        return f"Do not use this card yet: {findings}."
    return f"The fits can be used, with {findings}."


def _print(outcome: Outcome) -> None:
    if outcome.card is None or outcome.written is None:
        click.echo(f"Error: {_error(outcome)}", err=True)
        return
    card, written = outcome.card, outcome.written
    colour = {"ok": "green", "warning": "yellow", "bad": "red"}[card.quality.verdict]
    verdict = click.style(card.quality.verdict, fg=colour, bold=True)
    click.echo(f"{click.style(card.name, bold=True)}: {verdict}. {_headline(outcome)}")
    for fit, finding in outcome.findings:
        click.echo(f"  {fit}: {finding}")
    not_run = [fit for fit, quality in card.quality.fits.items() if quality.verdict == "not run"]
    if not_run:
        click.echo(f"  no data for: {', '.join(not_run)}")
    for label, path in (
        ("card", written.card),
        ("cells", written.cells),
        ("report", written.report),
    ):
        if path is not None:
            click.echo(f"  {label:<7}{path}")
