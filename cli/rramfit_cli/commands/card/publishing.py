"""`rramfit card cite`, `publish` and `migrate`: cards for other people and other versions."""

from __future__ import annotations

from pathlib import Path

import click

from rramfit_cli.console import print_json
from rramfit_cli.options.types import INPUT, INPUT_FOLDER, output_of
from rramfit_cli.overwriting import force_option

__all__ = ["cite", "migrate", "publish"]


@click.command()
@click.argument("path", metavar="CARD", type=INPUT)
@click.option("--bibtex", is_flag=True, help="Print a BibTeX entry.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--author", "authors", multiple=True, metavar="NAME", help="Author; may be repeated.")
@click.option("--license", "license_", metavar="SPDX", help="Licence, such as CC-BY-4.0.")
@click.option("--doi", help="DOI of the card or of its data, such as 10.5281/zenodo.1234567.")
@click.option("--title", help="Title of the work to cite.")
@click.option("--year", type=click.IntRange(1900, 2200), help="Year of publication.")
@click.option("--text", help="Citation text, in place of the one made of these fields.")
@click.option(
    "-o",
    "--output",
    type=output_of("card", "card cite"),
    help="Card to write, with the fields that were given.",
)
@force_option
def cite(
    path: Path,
    bibtex: bool,
    as_json: bool,
    authors: tuple[str, ...],
    license_: str | None,
    doi: str | None,
    title: str | None,
    year: int | None,
    text: str | None,
    output: Path | None,
) -> None:
    """Print how to cite a card, or write a card with authors, licence and DOI."""
    from rramfit.card import load_card, save_card
    from rramfit.export.citation import bibtex_entry, citation_text, with_citation

    card = load_card(path)
    given = {
        "authors": list(authors) or None,
        "license": license_,
        "doi": doi,
        "title": title,
        "year": year,
        "text": text,
    }
    changes = {key: value for key, value in given.items() if value is not None}
    if changes:
        if output is None:
            msg = "-o is needed to write a card with these fields"
            raise click.UsageError(msg)
        try:
            card = with_citation(card, **changes)
        except ValueError as e:
            raise click.UsageError(str(e)) from None
        save_card(card, output)
    elif output is not None:
        msg = "nothing to write: add --author, --license, --doi, --title, --year or --text"
        raise click.UsageError(msg)
    if as_json:
        fields = {} if card.citation is None else card.citation.model_dump(exclude_none=True)
        print_json({**fields, "citation": citation_text(card), "bibtex": bibtex_entry(card)})
    else:
        click.echo(bibtex_entry(card) if bibtex else citation_text(card))


@click.command()
@click.argument("folder", metavar="DIR", type=INPUT_FOLDER)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write index.html and cards.json to; by default DIR.",
)
@click.option("--title", default="Model cards", help="Title of the page.")
@force_option
def publish(folder: Path, output: Path | None, title: str) -> None:
    """Make a searchable page of all cards in a folder and its subfolders.

    Writes index.html, one page that loads nothing, and cards.json with the same content. Both link
    to the cards where they are.
    """
    from rramfit.provenance import check_folder
    from rramfit.reporting.card_index import publish_cards

    site = folder if output is None else output
    check_folder(site)
    found = publish_cards(folder, site, title=title)
    for problem in found.problems:
        click.echo(f"warning: {problem}", err=True)
    cards = "1 card" if len(found.cards) == 1 else f"{len(found.cards)} cards"
    click.echo(f"{site / 'index.html'}: {cards}", err=True)


@click.command()
@click.argument("path", metavar="CARD", type=INPUT)
@click.option(
    "-o", "--output", type=output_of("card", "card migrate"), required=True, help="Card to write."
)
@force_option
def migrate(path: Path, output: Path) -> None:
    """Write a card of an earlier schema as one of the present schema.

    The input is not changed. What the migration assumed is printed.
    """
    from rramfit.card import SCHEMA_VERSION, save_card
    from rramfit.card.document import migrated_card

    card, assumed = migrated_card(path)
    save_card(card, output)
    click.echo(f"{output}: card {card.name}, schema {SCHEMA_VERSION}", err=True)
    for sentence in assumed or ("The migration assumed nothing.",):
        click.echo(sentence, err=True)
