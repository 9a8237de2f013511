"""`rramfit measurement plan`: the size of a measurement for wanted intervals."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rramfit_cli.console import console, print_json
from rramfit_cli.options.types import INPUT

if TYPE_CHECKING:
    from rramfit.measurement.planning.planned import MeasurementPlan

__all__ = ["plan"]

_NOT_REACHED = 4  # exit code: no plan within the fixed sizes meets every want


@click.command("plan")
@click.option(
    "--card",
    "path",
    type=INPUT,
    required=True,
    help="Card of such an array: its errors and variance components are the model.",
)
@click.option(
    "--want",
    "wanted",
    metavar="PATH=AMOUNT",
    multiple=True,
    required=True,
    help="Wanted half width of the 95 % interval of a parameter, in % of its value or in its unit: "
    "levels[0].mean=0.2uS. A star is any index or name. Repeat for several.",
)
@click.option("--cells", type=click.IntRange(min=1), help="Cells that you can program, if fixed.")
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    help="Times that each cell is programmed to each level, if fixed.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def plan(
    path: Path, *, wanted: tuple[str, ...], cells: int | None, repeats: int | None, as_json: bool
) -> None:
    """Plan how many cells, sweeps, reads and bakes a wanted interval needs.

    Any parameter that `rramfit card show` lists can be wanted. The plan has the fewest
    attempts with little more than the fewest arrays. Exit code 4: no plan with the fixed
    --cells and --repeats meets every want; what they reach is printed.
    """
    from rramfit.card import load_card
    from rramfit.errors import RramfitError
    from rramfit.measurement.planning import parse_want, plan_measurement

    try:
        wants = [parse_want(text) for text in wanted]
    except RramfitError as e:
        raise click.BadParameter(str(e), param_hint="--want") from None
    found = plan_measurement(load_card(path), wants, cells=cells, repeats=repeats)
    if as_json:
        print_json(found.to_dict())
    else:
        _print(found)
    if not found.met:
        sys.exit(_NOT_REACHED)


def _print(found: MeasurementPlan) -> None:
    from rich.table import Table

    from rramfit.measurement.planning.planned import half_width_text
    from rramfit.reporting.page.wording import number, with_unit

    table = Table(
        "parameter",
        "value",
        "wanted",
        "now",
        "planned",
        "cells, sweeps as now",
        "repeats, cells as now",
        box=None,
        pad_edge=False,
    )
    for p in found.parameters:
        halves = (f"± {half_width_text(x, p.unit)}" for x in (p.wanted, p.now, p.planned))
        if p.group == "program":
            alone = "never" if p.cells_only is None else f"{p.cells_only:,}"
            again = "never" if p.sweeps_only is None else f"{p.sweeps_only:,}"
        else:
            alone = f"× {number(p.factor)}" if math.isfinite(p.factor) else "never"
            again = ""
        table.add_row(p.path, with_unit(p.value, p.unit), *halves, alone, again)
    console().print(table, highlight=False, markup=False)
    for line in found.sizes():
        click.echo(line)
    for note in found.notes:
        click.echo(f"  {note}")
