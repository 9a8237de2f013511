"""`rramfit lot`: what concerns many characterized arrays together."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rramfit_cli.lot_output import print_run
from rramfit_cli.options.types import INPUT_FOLDER
from rramfit_cli.options.yields import limits_of, yield_option
from rramfit_cli.overwriting import force_option
from rramfit_cli.suggestions import SuggestingGroup

if TYPE_CHECKING:
    from rramfit.reporting.lots.compare import YieldLimit

__all__ = ["lot"]


@click.group(cls=SuggestingGroup)
def lot() -> None:
    """Merge the results of several runs of `rramfit characterize`."""


@lot.command()
@click.argument(
    "folders",
    metavar="DIR…",
    nargs=-1,
    required=True,
    type=INPUT_FOLDER,
)
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the merged lot; it may be one of the others.",
)
@yield_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
@click.option("--no-report", is_flag=True, help="Do not write the HTML report.")
@force_option
def merge(
    folders: tuple[Path, ...],
    output: Path,
    yield_at: tuple[YieldLimit, ...],
    as_json: bool,
    no_report: bool,
) -> None:
    """Merge folders with shards of a lot, lots, or cards of single files into one lot.

    Writes lot.csv and lot.html, as one run would have written them, and links or copies the cards,
    sidecars and reports. All shards of a lot must be there. Exit codes as for characterize.
    """
    from rramfit.reporting.lots import merge_lots

    good = limits_of(yield_at)
    with merge_lots(folders, output, report=not no_report, good=good) as run:
        sys.exit(print_run(run, output, good, as_json=as_json))
