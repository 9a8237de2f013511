"""`rramfit card export`: a card as a table, or as the files of another program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rramfit_cli.console import console
from rramfit_cli.options.types import INPUT
from rramfit_cli.overwriting import force_option, forced

if TYPE_CHECKING:
    from rramfit.export import Exporter

__all__ = ["export"]

_TABLE = "table"
_SEPARATORS = {".csv": ",", ".tsv": "\t"}


@click.command()
@click.argument("path", metavar="CARD", type=INPUT, required=False)
@click.option(
    "--to",
    "target",
    metavar="TARGET",
    help="Program to export for (see --list); by default a table of the parameters.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder to write; for the table a file, .csv or .tsv.",
)
@click.option(
    "--option",
    "given",
    metavar="NAME=VALUE",
    multiple=True,
    help="Option of the target, may be repeated; --list --to TARGET shows them.",
)
@click.option("--list", "listed", is_flag=True, help="Show all targets, or the one of --to.")
@force_option
def export(
    path: Path | None,
    target: str | None,
    output: Path | None,
    given: tuple[str, ...],
    listed: bool,
) -> None:
    """Write a card as a table, or as the files of another program.

    A target gets a folder with a README.md: how to run it there, what was approximated, and what
    of the card could not be expressed.
    """
    if listed or target == "list":
        _list(None if target == "list" else target)
        return
    if path is None or output is None:
        msg = "CARD and -o are needed. `rramfit card export --list` shows the targets."
        raise click.UsageError(msg)
    if target in (None, _TABLE):
        if given:
            msg = "the table has no options"
            raise click.BadParameter(msg, param_hint="--option")
        _write_table(path, output)
        return
    from rramfit.card import load_card
    from rramfit.export import OptionError, export_card
    from rramfit.provenance import check_folder

    exporter, options = _found(str(target)), _options(given)
    try:
        exporter.resolve(options)
    except OptionError as e:
        raise click.BadParameter(str(e), param_hint="--option") from None
    check_folder(output)
    files = export_card(load_card(path), exporter, output, options, replace=forced())
    click.echo(
        f"{output}: {len(files)} files for {exporter.title}. Start with README.md.", err=True
    )


def _found(name: str) -> Exporter:
    """Return a target; a name that does not exist is a wrong option, not a rejected input."""
    from rramfit.export import exporters, find_exporter

    known = exporters()
    names = [n for one in known.found.values() for n in (one.name, *one.aliases)]
    if name not in names and name not in known.broken:
        import difflib

        close = difflib.get_close_matches(name.lower(), names)
        hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
        msg = f"there is no target {name!r}.{hint} Targets: {_TABLE}, {', '.join(known.found)}."
        raise click.BadParameter(msg, param_hint="--to")
    return find_exporter(name)


def _options(given: tuple[str, ...]) -> dict[str, object]:
    options: dict[str, object] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            msg = f"{text!r} is not NAME=VALUE"
            raise click.BadParameter(msg, param_hint="--option")
        options[name.strip()] = value
    return options


def _write_table(path: Path, output: Path) -> None:
    from rramfit.card import load_card
    from rramfit.export.plain.csv_tables import parameter_table
    from rramfit.provenance import atomic_file, check_file

    if output.suffix not in _SEPARATORS:
        msg = f"{output}: the name must end in .csv or .tsv; other formats need --to TARGET"
        raise click.BadParameter(msg, param_hint="-o")
    check_file(output)
    table = parameter_table(load_card(path))
    with atomic_file(output) as beside:
        table.to_csv(beside, sep=_SEPARATORS[output.suffix], index=False)
    click.echo(f"{output}: {len(table)} parameters", err=True)


def _list(name: str | None) -> None:
    """Print all targets, or one with its options."""
    from rich.table import Table

    from rramfit.export import exporters

    if name is not None and name != _TABLE:
        _show(_found(name))
        return
    known, out = exporters(), console()
    table = Table("target", "program", "writes", box=None, pad_edge=False)
    table.add_row(_TABLE, "CSV, TSV", "Every parameter with its interval, in one file.")
    for one in known.found.values():
        table.add_row(one.name, one.title, one.writes.replace("`", ""))
    out.print(table, highlight=False, markup=False)
    for sentence in known.broken.values():
        click.echo(f"warning: {sentence}", err=True)


def _show(one: Exporter) -> None:
    from rich.table import Table

    out = console()
    names = f" (also {', '.join(one.aliases)})" if one.aliases else ""
    out.print(f"{one.name}{names}: {one.title}", highlight=False, markup=False)
    for label, text in (
        ("Writes", one.writes),
        ("Cannot express", one.cannot),
        ("Verified", one.verified),
    ):
        out.print(f"{label}: {text.replace('`', '')}", highlight=False, markup=False)
    if one.options:
        table = Table("option", "default", "meaning", box=None, pad_edge=False)
        for option in one.options:
            choices = f" ({', '.join(option.choices)})" if option.choices else ""
            default = "" if option.default is None else str(option.default)
            table.add_row(option.name, default, f"{option.meaning}{choices}")
        out.print(table, highlight=False, markup=False)
