"""The canonical form of a card: one spelling, one digest, written whole or not at all.

The canonical spelling is UTF-8 JSON with sorted keys, shortest round-trip floats, no NaN, and
absent fields left out. The digest is the SHA-256 of that spelling without `digest` and
`provenance`, so two cards with the same content have the same digest wherever and whenever they
were made.
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
from rramfit.provenance import whole_file

__all__ = ["canonical_json", "card_content", "card_digest", "check_digest", "save_card"]


def canonical_json(content: Mapping[str, Any]) -> str:
    """Spell a JSON document the one way: sorted keys, two spaces, no NaN, newline at the end."""
    text = json.dumps(content, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return text + "\n"


def card_digest(content: Mapping[str, Any]) -> str:
    """Digest of a card's content, `digest` and `provenance` left out."""
    body = {key: value for key, value in content.items() if key not in ("digest", "provenance")}
    return "sha256:" + hashlib.sha256(canonical_json(body).encode()).hexdigest()


def card_content(card: BaseModel) -> dict[str, Any]:
    """Render the card as JSON types."""
    content: dict[str, Any] = _without_absent(card.model_dump(mode="json", by_alias=True))
    return content


def _without_absent(value: Any) -> Any:
    """Leave out what is absent; a given quantity keeps its nulls, as the contract has it."""
    if isinstance(value, list):
        return [_without_absent(v) for v in value]
    if isinstance(value, dict):
        is_quantity = value.keys() == Quantity.model_fields.keys()
        return {k: _without_absent(v) for k, v in value.items() if is_quantity or v is not None}
    return value


def check_digest(content: Mapping[str, Any], path: Path) -> None:
    """Raise `CardError` if the digest in a card's content is not that of the content."""
    expected = card_digest(content)
    if content.get("digest") != expected:
        raise CardError(
            path,
            "digest",
            found=str(content.get("digest")),
            expected=expected,
            remedy="the content was changed after it was sealed; make the card anew, or seal it",
        )


def save_card(card: BaseModel, path: Path) -> None:
    """Write a sealed card, whole or not at all.

    Raises
    ------
    CardError
        If the card's digest is not that of its content; `seal` it first.
    """
    content = card_content(card)
    check_digest(content, path)
    with whole_file(path) as beside:
        beside.write_text(canonical_json(content), encoding="utf-8")
