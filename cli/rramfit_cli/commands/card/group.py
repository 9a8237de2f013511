"""`rramfit card`: show, check and compare model cards, or select some of their levels."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rramfit_cli.commands.card.bakes import at, bakes
from rramfit_cli.commands.card.error_rates import error_rates
from rramfit_cli.commands.card.export import export
from rramfit_cli.commands.card.other_formats import from_other
from rramfit_cli.commands.card.pool import pool, trend
from rramfit_cli.commands.card.publishing import cite, migrate, publish
from rramfit_cli.console import console, print_json
from rramfit_cli.file_kinds import CARD, wrong_kind
from rramfit_cli.options.types import INPUT, output_of
from rramfit_cli.overwriting import force_option
from rramfit_cli.suggestions import SuggestingGroup

if TYPE_CHECKING:
    from rramfit.card import ModelCard

__all__ = ["card"]

_LISTED = 12


@click.group(cls=SuggestingGroup)
def card() -> None:
    """Show, check, compare, pool, export and publish model cards, or select some levels."""


for _command in (bakes, at, error_rates, pool, trend, export, from_other, publish, cite, migrate):
    card.add_command(_command)


@card.command()
@click.argument("path", metavar="CARD", type=INPUT)
@click.option("--json", "as_json", is_flag=True, help="Print the card as one JSON object.")
def show(path: Path, as_json: bool) -> None:
    """Show a card: every parameter with its interval."""
    from rich.markup import escape
    from rich.table import Table

    from rramfit.card import load_card, quantities
    from rramfit.reporting.page.wording import format_quantity_parts, with_unit

    c = load_card(path)
    if as_json:
        print_json(json.loads(path.read_text(encoding="utf-8")))
        return
    out = console()
    out.print(f"[bold]{escape(c.name)}[/] {c.revision}  {c.digest}", highlight=False)
    out.print(
        f"{c.array.rows} × {c.array.cols} {c.array.cell} array {escape(c.array.id)}"
        + (" (synthetic)" if c.array.synthetic else ""),
        highlight=False,
    )
    out.print(
        f"Quality: [bold]{c.quality.verdict}[/]. {escape(c.quality.summary)}\n", highlight=False
    )
    found = list(quantities(c))
    further = [
        (name, key)
        for name, key in (("between arrays", "between"), ("trend over the array", "trend"))
        if any(getattr(q, key) is not None for _, q in found)
    ]
    columns = ["parameter", "value", "95 % interval", *(name for name, _ in further)]
    table = Table(*columns, box=None, pad_edge=False)
    for where, q in found:
        text = format_quantity_parts(q)
        spreads = (getattr(q, key) for _, key in further)
        table.add_row(
            where,
            text.value_with_unit,
            text.interval or "given",
            *("" if x is None else with_unit(x, q.unit, digits=2) for x in spreads),
        )
    out.print(table, highlight=False)
    _show_lines(c)


def _show_lines(c: ModelCard) -> None:
    """Print the line offsets of each level, and their correlation between levels."""
    from rich.table import Table

    from rramfit.reporting.page.line_wording import line_correlations, line_offsets_table

    if not any(v.lines for v in c.variation):
        return
    out, lines = console(), line_offsets_table(c)
    out.print(f"\n{lines.caption}", highlight=False)
    table = Table(*(column.name for column in lines.columns), box=None, pad_edge=False)
    for row in lines.texts:
        table.add_row(*row)
    out.print(table, highlight=False)
    names = {x.index: x.name for x in c.levels}
    for pair in line_correlations(c):
        levels = " and ".join(names.get(k, f"L{k}") for k in (pair.first, pair.second))
        out.print(f"Correlation of {levels}: {pair.correlation:.2f}", highlight=False)


@card.command()
@click.argument("paths", metavar="CARD…", nargs=-1, required=True, type=INPUT)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def validate(paths: tuple[Path, ...], as_json: bool) -> None:
    """Check cards against the schema and their digests.

    Exit code 3: a card fails.
    """
    found = {str(path): _problems(path) for path in paths}
    if as_json:
        print_json({"files": found, "ok": not any(found.values())})
    else:
        for path, problems in found.items():
            count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
            click.echo(f"{path}: {count if problems else 'ok'}")
            for problem in problems:
                click.echo(f"  {problem}")
    if any(found.values()):
        sys.exit(3)


def _problems(path: Path) -> list[str]:
    """List the problems of a card; one problem if the file is of another kind."""
    from rramfit.card import card_problems

    problems = [str(p) for p in card_problems(path)]
    other = wrong_kind(path, CARD) if problems else None
    return problems if other is None else [str(other)]


@card.command()
def schema() -> None:
    """Print the JSON Schema of model cards."""
    from rramfit.card import canonical_json, json_schema

    click.echo(canonical_json(json_schema()), nl=False)


@card.command()
@click.argument("first", type=INPUT)
@click.argument("second", type=INPUT)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def compare(first: Path, second: Path, as_json: bool) -> None:
    """Compare two cards parameter by parameter.

    Uses the standard errors of both cards and the standard deviation between arrays, or, where no
    card states it, the trend of the value over each array. Numbers that were given, not estimated,
    are equal or differ. Exit code 4: at least one parameter differs significantly, or a given
    number differs.
    """
    from rich.table import Table

    from rramfit.card import load_card
    from rramfit.card.uncertainty.comparison import compare_cards
    from rramfit.reporting.page.wording import with_unit

    result = compare_cards(load_card(first), load_card(second))
    significant = result.significant
    if as_json:
        print_json(
            {
                "parameters": {
                    d.path: {
                        "first": d.first.value,
                        "second": d.second.value,
                        "unit": d.first.unit,
                        "t": d.t if math.isfinite(d.t) else None,
                        "p_value": d.p_value if d.estimated else None,
                        "estimated": d.estimated,
                        "differs": d.differs,
                        "result": d.words,
                    }
                    for d in result.differences
                },
                "only_first": list(result.only_first),
                "only_second": list(result.only_second),
                "other_meaning": list(result.other_meaning),
                "differs": bool(significant),
                "notes": list(result.notes),
            }
        )
    else:
        table = Table("parameter", "first", "second", "t", "", box=None, pad_edge=False)
        for d in result.differences:
            values = (with_unit(q.value, q.unit, digits=4) for q in (d.first, d.second))
            table.add_row(d.path, *values, _signed(d.t) if d.estimated else "", d.words)
        out = console()
        out.print(table, highlight=False)
        for label, paths in (
            ("Only in the first", result.only_first),
            ("Only in the second", result.only_second),
            ("Not compared, because their meaning differs between the cards", result.other_meaning),
        ):
            if paths:
                more = f" and {len(paths) - _LISTED} more" if len(paths) > _LISTED else ""
                out.print(f"{label}: {', '.join(paths[:_LISTED])}{more}", highlight=False)
        for estimated, kind in ((True, "parameters"), (False, "given numbers")):
            count = sum(d.estimated == estimated for d in result.differences)
            differ = sum(d.estimated == estimated for d in significant)
            test = " (Holm, 5 %)" if estimated else ""
            if count or estimated:
                out.print(f"{differ} of {count} {kind} differ{test}.", highlight=False)
        for note in result.notes:
            out.print(note, highlight=False)
    if significant:
        sys.exit(4)


def _signed(t: float) -> str:
    """Return a t statistic as text."""
    return f"{t:+.2f}".replace("-", "\N{MINUS SIGN}")


@card.command()
@click.argument("path", metavar="CARD", type=INPUT)
@click.option("--levels", "listed", required=True, help="Levels to keep, by index: 0,15,31.")
@click.option("--name", help="Name of the new card.")
@click.option(
    "-o", "--output", type=output_of("card", "card take"), required=True, help="Card to write."
)
@force_option
def take(path: Path, listed: str, name: str | None, output: Path) -> None:
    """Write a card with some of the levels of CARD.

    A network is mapped to all levels of its card. Select the levels to use for weights.
    """
    from rramfit.card import load_card, save_card, take_levels

    indices = listed.split(",")
    if not all(index.strip().isdigit() for index in indices):
        msg = f"{listed!r} is not a list of level indices such as 0,15,31"
        raise click.BadParameter(msg, param_hint="--levels")
    taken = take_levels(load_card(path), [int(index) for index in indices], name=name)
    save_card(taken, output)
    levels = "1 level" if len(taken.levels) == 1 else f"{len(taken.levels)} levels"
    click.echo(f"{output}: card {taken.name} with {levels}", err=True)
