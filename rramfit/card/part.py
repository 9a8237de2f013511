"""Base class of all parts of a card: frozen, keyword-only, unknown fields are errors."""

from __future__ import annotations

import html
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from rramfit.card.quantity import quantities, quantities_html

__all__ = ["Count", "Part", "Sha256"]

Count = Annotated[int, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Part(BaseModel):
    """One part of a card."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    def _repr_html_(self) -> str:
        found = dict(quantities(self))
        title = f"<p><b>{type(self).__name__}</b></p>"
        return title + (quantities_html(found) if found else html.escape(repr(self)))
