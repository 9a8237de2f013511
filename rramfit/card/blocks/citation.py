"""Who made a card, under which licence it may be used, and how to cite it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from rramfit.card.part import Part

__all__ = ["CitationCard"]

Line = Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[^\r\n]+$")]


class CitationCard(Part):
    """Authors, licence and citation of a card."""

    authors: list[Line] | None = Field(None, description="names in the order of the citation")
    title: Line | None = Field(None, description="of the work to cite; by default the card's name")
    year: Annotated[int, Field(ge=1900, le=2200)] | None = Field(
        None, description="year of publication"
    )
    license: Annotated[str, Field(pattern=r"^[A-Za-z0-9.+()\- ]+$", max_length=200)] | None = Field(
        None, description="SPDX expression, such as CC-BY-4.0"
    )
    doi: Annotated[str, Field(pattern=r"^10\.\d{4,9}/\S+$", max_length=300)] | None = Field(
        None, description="of the card or of its data, without a resolver: 10.5281/zenodo.1234567"
    )
    text: Line | None = Field(None, description="citation text, in place of one made of the fields")
