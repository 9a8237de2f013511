"""`rramfit card bakes` and `rramfit card at`: levels at other times and temperatures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rramfit_cli.console import console, print_json, stages
from rramfit_cli.file_kinds import CARD, identify
from rramfit_cli.options.types import INPUT, SEED, FiniteRange, output_of
from rramfit_cli.overwriting import force_option

if TYPE_CHECKING:
    from rramfit.card import ModelCard
    from rramfit.fitting.time.bakes import BakesFit
    from rramfit.measurement.file.record import Measurement

__all__ = ["at", "bakes"]


@click.command()
@click.argument("paths", metavar="FILE…", nargs=-1, required=True, type=INPUT)
@click.option(
    "-o",
    "--output",
    type=output_of("card", "card bakes"),
    help="Card to write: that of the first FILE, with the law of all bakes.",
)
@click.option("--seed", type=SEED, default=0, help="Seed of the fits to the first measurement.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@force_option
def bakes(paths: tuple[Path, ...], output: Path | None, seed: int, as_json: bool) -> None:
    """Join bakes at several temperatures: activation energy and law of drift.

    FILEs are measurements or model cards with bakes of the same levels; one measurement with
    several bakes is enough. Two temperatures give an energy, three also test the Arrhenius law.
    """
    from rramfit.card import save_card
    from rramfit.fitting.time.bakes import join_bakes, with_joined_bakes

    sources = [_source(path) for path in paths]
    with stages(f"joining the bakes of {len(sources)} files"):
        fit = join_bakes(sources)
    if output is not None:
        save_card(with_joined_bakes(_card(sources[0], seed), fit), output)
    if as_json:
        block = fit.to_card().model_dump(mode="json", exclude_none=True)
        print_json({"temperature": block, "quality": fit.verdict.to_card().model_dump()})
        return
    _print_fit(fit)
    if output is not None:
        click.echo(f"card   {output}")


@click.command()
@click.argument("path", metavar="CARD", type=INPUT)
@click.option("--time", type=FiniteRange(min=0), default=0.0, help="Time since programming [s].")
@click.option(
    "--temperature",
    type=FiniteRange(min=0, min_open=True),
    metavar="KELVIN",
    help="Temperature [K]. Default: that of the card's bake.",
)
@click.option("--reads", type=click.IntRange(min=0), default=0, help="Reads since programming.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def at(path: Path, time: float, temperature: float | None, reads: int, as_json: bool) -> None:
    """Predict the levels of a card at a time and a temperature.

    Numbers past what was measured are marked as extrapolated.
    """
    from rich.table import Table

    from rramfit.card import load_card
    from rramfit.reporting.page.wording import with_interval

    found = load_card(path).levels_at(time=time, temperature=temperature, reads=reads)
    if as_json:
        print_json(found.to_dict())
        return
    table = Table("level", "mean", "std", "family", "", box=None, pad_edge=False)
    for level in found.levels:
        mark = "extrapolated" if level.extrapolated else ""
        quantities = (with_interval(q) for q in (level.mean, level.std))
        table.add_row(level.name, *quantities, level.family, mark)
    console().print(table, highlight=False)
    for finding in found.findings:
        click.echo(f"  {finding}")


def _source(path: Path) -> Measurement | ModelCard:
    from rramfit.card import load_card
    from rramfit.measurement import read_measurement

    return load_card(path) if identify(path) == CARD else read_measurement(path)


def _card(source: Measurement | ModelCard, seed: int) -> ModelCard:
    """Return the card of the first source."""
    from rramfit.card import ModelCard
    from rramfit.fitting.characterization import characterize

    if isinstance(source, ModelCard):
        return source
    with stages("characterizing the first file"):
        return characterize(source, seed=seed).card


def _print_fit(fit: BakesFit) -> None:
    from rich.table import Table

    from rramfit.reporting.page.wording import with_interval, with_unit

    out = console()
    block = fit.to_card()
    rows: dict[str, Any] = {name: with_interval(q) for name, q in fit.result.estimates.items()}
    table = Table("quantity", "value (95 % interval)", box=None, pad_edge=False)
    for name, value in rows.items():
        table.add_row(name.replace("_", " "), value)
    out.print(table, highlight=False)
    for bake in block.bakes:
        factor = "" if bake.factor is None else f", acceleration {with_interval(bake.factor)}"
        name = f" ({bake.source})" if bake.source else ""
        out.print(
            f"bake at {with_unit(bake.temperature.value, 'K')}{name}: {bake.cells:,} cells, "
            f"{bake.lost} lost{factor}",
            highlight=False,
            markup=False,
        )
    for finding in fit.verdict.findings:
        click.echo(f"  {finding}")
