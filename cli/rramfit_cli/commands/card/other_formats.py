"""`rramfit card from`: the device description of another program as a card."""

from __future__ import annotations

from pathlib import Path

import click

from rramfit_cli.options.types import INPUT, output_of
from rramfit_cli.overwriting import force_option

__all__ = ["from_other"]


@click.command("from")
@click.argument("path", metavar="FILE", type=INPUT)
@click.option(
    "--kind",
    required=True,
    help="What FILE is: crosssim (JSON of CrossSimParameters), aihwkit (printed noise model or "
    "configuration), neurosim (mem_states.csv or flags of inference.py), or one of a plug-in.",
)
@click.option(
    "-o", "--output", type=output_of("card", "card from"), required=True, help="Card to write."
)
@click.option("--name", help="Name of the card; by default that of the file.")
@click.option("--rows", type=click.IntRange(min=1), default=128, help="Rows of the array.")
@click.option("--cols", type=click.IntRange(min=1), default=128, help="Columns of the array.")
@click.option(
    "--cell",
    type=click.Choice(["1T1R", "2T1R", "1S1R", "1R"]),
    default="1T1R",
    help="Kind of cell.",
)
@force_option
def from_other(
    path: Path, kind: str, output: Path, name: str | None, rows: int, cols: int, cell: str
) -> None:
    """Make a card of what another program's description states.

    Its numbers are stated, not estimated, and have no intervals. Compare a measured chip with
    what a simulator assumes by `rramfit card compare`.
    """
    from rramfit.card import save_card, seal
    from rramfit.export import StatedArray, find_importer, importers

    known = importers()
    if kind not in known.names:
        msg = f"{kind!r} is not one of {', '.join(known.names)}"
        raise click.BadParameter(msg, param_hint="--kind")
    array = StatedArray(rows=rows, cols=cols, cell=cell)  # type: ignore[arg-type]  # a choice
    made = find_importer(kind).read(path, array)
    if name is not None:
        made = seal(made.model_copy(update={"name": name}))
    save_card(made, output)
    levels = "1 level" if len(made.levels) == 1 else f"{len(made.levels)} levels"
    click.echo(f"{output}: card {made.name} with {levels}, stated and not estimated", err=True)
    for finding in made.quality.fits["import"].findings:
        click.echo(f"warning: {finding}", err=True)
