"""`rramfit characterize`: measured sweeps in; cards, sidecars and reports out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rramfit_cli.console import print_json, stages

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
    help="FILEs are a lab's own, HDF5 or logs; this says what stands where in them.",
)
@click.option("--name", help="The card's name, for a single measurement; else the file's.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    help="Seed of folds, bootstraps and permutations.",
)
@click.option("--jobs", type=click.IntRange(min=1), default=1, help="Files at a time.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
@click.option("--no-report", is_flag=True, help="Write no HTML.")
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
    """Fit a model card from each FILE, and write its report.

    Writes NAME.card.json, NAME.cells.h5 and NAME.report.html into DIR; for several arrays also a
    summary of the lot, lot.csv and lot.html. With --layout, each tile of an array that the layout
    cuts gets a card, NAME_tile0 and so on. Exit code 3: a file is refused. Exit code 4: a fit's
    verdict is bad; the card is written and says so.
    """
    from rramfit.reporting.lot import characterize_files, write_lot

    if name is not None and Path(name).name != name:
        msg = f"{name!r} is no name of a file; the folder is given by -o"
        raise click.BadParameter(msg, param_hint="--name")
    if name is not None and len(files) > 1 and layout is None:
        msg = f"one name cannot serve {len(files)} files; leave --name out"
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
            _say(outcome)
    sys.exit(_exit_code(outcomes))


def _exit_code(outcomes: list[Outcome]) -> int:
    if any(outcome.card is None for outcome in outcomes):
        return _REFUSED
    return _BAD if any(o.card and o.card.quality.verdict == "bad" for o in outcomes) else 0


def _as_json(outcome: Outcome) -> dict[str, object]:
    if outcome.card is None or outcome.written is None:
        refused = {"name": outcome.name, "verdict": "refused", "error": outcome.error}
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


def _say(outcome: Outcome) -> None:
    if outcome.card is None or outcome.written is None:
        click.echo(f"Error: {outcome.error}", err=True)
        return
    card, written = outcome.card, outcome.written
    colour = {"ok": "green", "warning": "yellow", "bad": "red"}[card.quality.verdict]
    verdict = click.style(card.quality.verdict, fg=colour, bold=True)
    click.echo(f"{click.style(card.name, bold=True)}: {verdict}. {card.quality.summary}")
    for fit, quality in card.quality.fits.items():
        if quality.verdict != "not run":
            for finding, remedy in zip(quality.findings, quality.remedies, strict=True):
                click.echo(f"  {fit}: {finding}; {remedy}")
    missing = [fit for fit, quality in card.quality.fits.items() if quality.verdict == "not run"]
    if missing:
        click.echo(f"  not measured: {', '.join(missing)}")
    for label, path in (
        ("card", written.card),
        ("cells", written.cells),
        ("report", written.report),
    ):
        if path is not None:
            click.echo(f"  {label:<7}{path}")
