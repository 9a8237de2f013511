"""Base class of all parts of a card: frozen, keyword-only, unknown fields are errors."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Count", "Part", "Sha256"]

Count = Annotated[int, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Part(BaseModel):
    """One part of a card."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
