"""The canonical form of a card, its digest, and atomic writing.

The canonical form is UTF-8 JSON with sorted keys, shortest round-trip floats, no NaN, and without
absent fields. The digest is the SHA-256 of that form without `digest` and `provenance`, so two
cards with the same content have the same digest wherever and whenever they were made.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from rramfit.card.quantity import Quantity
from rramfit.errors import CardError
from rramfit.provenance import atomic_file

_QUANTITY = frozenset({"value", "stderr", "ci95", "unit"})
"""Keys that a quantity has even where they are null, as the contract has it."""

__all__ = ["canonical_json", "card_content", "card_digest", "check_digest", "save_card"]


def canonical_json(content: Mapping[str, Any]) -> str:
    """Format a JSON document canonically: sorted keys, two spaces, no NaN, final newline."""
    text = json.dumps(content, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return text + "\n"


def card_digest(content: Mapping[str, Any]) -> str:
    """Return the digest of a card's content without `digest` and `provenance`."""
    body = {key: value for key, value in content.items() if key not in ("digest", "provenance")}
    return "sha256:" + hashlib.sha256(canonical_json(body).encode()).hexdigest()


def card_content(card: BaseModel) -> dict[str, Any]:
    """Convert the card to JSON types."""
    content: dict[str, Any] = _without_absent(card.model_dump(mode="json", by_alias=True))
    return content


def _without_absent(value: Any) -> Any:
    """Remove absent fields; a given quantity keeps its nulls, as the card format requires."""
    if isinstance(value, list):
        return [_without_absent(v) for v in value]
    if isinstance(value, dict):
        kept = _QUANTITY if value.keys() == Quantity.model_fields.keys() else frozenset()
        return {k: _without_absent(v) for k, v in value.items() if k in kept or v is not None}
    return value


def check_digest(content: Mapping[str, Any], path: Path) -> None:
    """Raise `CardError` if the digest in a card does not match its content."""
    try:
        expected = card_digest(content)
    except ValueError as e:  # an infinite number, or half of a surrogate pair
        raise CardError(
            path, "file", found=f"content that JSON does not allow ({e})", expected="a model card"
        ) from None
    if content.get("digest") != expected:
        raise CardError(
            path,
            "digest",
            found=str(content.get("digest")),
            expected=expected,
            remedy="The content was changed after sealing: generate the card again, or seal it.",
        )


def save_card(card: BaseModel, path: Path) -> None:
    """Write a sealed card atomically.

    Raises
    ------
    CardError
        If the digest of the card does not match its content; `seal` it first.
    """
    content = card_content(card)
    check_digest(content, path)
    with atomic_file(path) as temporary:
        temporary.write_text(canonical_json(content), encoding="utf-8")
