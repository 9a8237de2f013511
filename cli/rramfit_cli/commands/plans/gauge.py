"""`rramfit measurement gauge`: repeatability and reproducibility of a measurement."""

from __future__ import annotations

from pathlib import Path

import click

from rramfit_cli.console import console, print_json, stages
from rramfit_cli.options.types import INPUT, SEED

__all__ = ["gauge"]


@click.command()
@click.argument("paths", metavar="FILE…", nargs=-1, required=True, type=INPUT)
@click.option("--seed", type=SEED, default=0, help="Seed of the intervals.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def gauge(paths: tuple[Path, ...], seed: int, as_json: bool) -> None:
    """Separate what sessions, testers or days add to readings.

    FILE names the session of each read or sweep, or several FILEs of one array have the root
    attribute `session`. Standard deviations are by level, with 95 % intervals.
    """
    from rich.table import Table

    from rramfit.fitting.variation.gauge import fit_gauge
    from rramfit.measurement import read_measurement
    from rramfit.reporting.page.wording import with_interval

    with stages(f"gauge study of {len(paths)} files"):
        fit = fit_gauge([read_measurement(path) for path in paths], seed=seed)
    card = fit.to_card()
    if as_json:
        content = card.model_dump(mode="json", exclude_none=True)
        print_json({"gauge": content, "quality": fit.verdict.to_card().model_dump()})
        return
    click.echo(f"{card.sessions} sessions of /{card.source}: {', '.join(fit.sessions)}")
    table = Table(
        "level",
        "repeatability",
        "reproducibility",
        "cells",
        "gauge share",
        box=None,
        pad_edge=False,
    )
    for x in card.levels:
        repeat = "" if x.repeatability is None else with_interval(x.repeatability)
        cells = (repeat, with_interval(x.reproducibility), with_interval(x.cells))
        table.add_row(f"{x.level}", *cells, with_interval(x.share, percent=True))
    console().print(table, highlight=False)
    for finding in fit.verdict.findings:
        click.echo(f"  {finding}")
