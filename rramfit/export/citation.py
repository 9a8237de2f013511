"""How to cite a card: a sentence, a BibTeX entry, and a card with these fields set."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from rramfit.card.blocks.citation import CitationCard
from rramfit.card.document import seal

if TYPE_CHECKING:
    from rramfit.card.schema import ModelCard

__all__ = ["bibtex_entry", "citation_text", "with_citation"]

_UNDATED = "1970-01-01T00:00:00Z"  # of cards that nothing was measured for
_YEAR = re.compile(r"^(\d{4})-")
_SPECIAL = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
)


def with_citation(card: ModelCard, **changes: Any) -> ModelCard:
    """Return a sealed card with some fields of its citation set.

    Raises
    ------
    ValueError
        If a value is not allowed; the message names the field.
    """
    if isinstance(doi := changes.get("doi"), str):
        changes = {**changes, "doi": re.sub(r"^(https?://(dx\.)?doi\.org/|doi:)", "", doi.strip())}
    present = {} if card.citation is None else card.citation.model_dump()
    try:
        citation = CitationCard.model_validate({**present, **changes})
    except ValidationError as e:
        first = e.errors()[0]
        msg = f"{first['loc'][0]} is {first['input']!r}: {first['msg']}"
        raise ValueError(msg) from None
    arguments = {**card.provenance.arguments, "cited": True}
    provenance = card.provenance.model_copy(update={"arguments": arguments})
    return seal(card.model_copy(update={"citation": citation, "provenance": provenance}))


def _parts(card: ModelCard) -> tuple[list[str], str, str, str | None]:
    """Return authors, title, year and DOI; the year is that of the measurement if none is set."""
    c = card.citation or CitationCard()
    measured = None if card.provenance.time == _UNDATED else _YEAR.match(card.provenance.time)
    year = str(c.year) if c.year is not None else measured[1] if measured else "n.d."
    return c.authors or [], c.title or f"Model card {card.name}", year, c.doi


def citation_text(card: ModelCard) -> str:
    """Return how to cite a card, in one sentence with its revision and digest."""
    if card.citation is not None and card.citation.text is not None:
        return card.citation.text
    authors, title, year, doi = _parts(card)
    names = ", ".join(authors) or "Unnamed authors"
    link = f" https://doi.org/{doi}." if doi else ""
    digest = card.digest.removeprefix("sha256:")[:12]
    return f"{names} ({year}). {title}, revision {card.revision}, sha256 {digest}.{link}"


def bibtex_entry(card: ModelCard) -> str:
    """Return a BibTeX entry of the type misc."""
    authors, title, year, doi = _parts(card)
    key = re.sub(r"[^A-Za-z0-9]+", "-", f"{card.name}-{card.revision}").strip("-")
    fields = {
        "author": " and ".join(f"{{{a.translate(_SPECIAL)}}}" for a in authors),
        "title": f"{{{title.translate(_SPECIAL)}}}",
        "year": year if year.isdigit() else "",
        "doi": doi or "",
        "note": f"revision {card.revision}, {card.digest}",
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{{key},", *lines, "}"])
