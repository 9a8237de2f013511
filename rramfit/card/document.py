"""Cards as files: one spelling, one digest, read back whole or refused.

The canonical spelling is UTF-8 JSON with sorted keys, shortest round-trip floats, no NaN, and
absent fields left out. The digest is the SHA-256 of that spelling without `digest` and
`provenance`, so two cards with the same content have the same digest wherever and whenever they
were made.

A reader takes every minor version of its own major one: fields that it does not know are passed
over with a warning. Another major version is refused.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from rramfit.card.quantity import Quantity
from rramfit.card.schema import SCHEMA_VERSION, ModelCard
from rramfit.errors import CardError, RramfitWarning
from rramfit.provenance import whole_file

__all__ = [
    "canonical_json",
    "card_digest",
    "card_problems",
    "json_schema",
    "load_card",
    "quantities",
    "save_card",
    "seal",
]


def canonical_json(content: Mapping[str, Any]) -> str:
    """Spell a JSON document the one way: sorted keys, two spaces, no NaN, newline at the end."""
    text = json.dumps(content, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return text + "\n"


def card_digest(content: Mapping[str, Any]) -> str:
    """Digest of a card's content, `digest` and `provenance` left out."""
    body = {key: value for key, value in content.items() if key not in ("digest", "provenance")}
    return "sha256:" + hashlib.sha256(canonical_json(body).encode()).hexdigest()


def seal(card: ModelCard) -> ModelCard:
    """Return the card with the digest of its content."""
    return card.model_copy(update={"digest": card_digest(_content(card))})


def save_card(card: ModelCard, path: Path) -> None:
    """Write a sealed card, whole or not at all.

    Raises
    ------
    CardError
        If the card's digest is not that of its content; `seal` it first.
    """
    content = _content(card)
    _check_digest(content, path)
    with whole_file(path) as beside:
        beside.write_text(canonical_json(content), encoding="utf-8")


def load_card(path: Path | str) -> ModelCard:
    """Read a card.

    Raises
    ------
    CardError
        Naming the key path, what was found, what was expected and how many problems more there are.

    Warns
    -----
    RramfitWarning
        If the card is of a newer minor version and holds fields that this reader does not know.
    """
    problems, card = _read(Path(path))
    if card is None:
        first, *others = problems
        if others:
            more = f"{len(others)} more problems: `rramfit card validate {path}` lists them"
            raise CardError(
                first.path, first.where, found=first.found, expected=first.expected, remedy=more
            )
        raise first
    return card


def card_problems(path: Path | str) -> list[CardError]:
    """List everything that is wrong with a card's file; empty for a good one."""
    return _read(Path(path))[0]


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the card."""
    return ModelCard.model_json_schema(by_alias=True)


def quantities(part: BaseModel) -> Iterator[tuple[str, Quantity]]:
    """Walk over every quantity in a card or a part of one, with its key path.

    Examples
    --------
    >>> from rramfit.card.schema import StuckCard
    >>> part = StuckCard(low=Quantity.given(0.01, "1"), high=Quantity.given(0.0, "1"))
    >>> [path for path, _ in quantities(part)]
    ['low', 'high']
    """
    for name, value in part:
        yield from _walk(name, value)


def _walk(path: str, value: object) -> Iterator[tuple[str, Quantity]]:
    if isinstance(value, Quantity):
        yield path, value
    elif isinstance(value, BaseModel):
        for name, inner in value:
            yield from _walk(f"{path}.{name}", inner)
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _walk(f"{path}.{name}", inner)
    elif isinstance(value, list | tuple):
        for i, inner in enumerate(value):
            yield from _walk(f"{path}[{i}]", inner)


def _content(card: ModelCard) -> dict[str, Any]:
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


def _check_digest(content: Mapping[str, Any], path: Path) -> None:
    expected = card_digest(content)
    if content.get("digest") != expected:
        raise CardError(
            path,
            "digest",
            found=str(content.get("digest")),
            expected=expected,
            remedy="the content was changed after it was sealed; make the card anew, or seal it",
        )


def _read(path: Path) -> tuple[list[CardError], ModelCard | None]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
    except OSError as e:
        return [CardError(path, "file", found=e.strerror or str(e), expected="a model card")], None
    except ValueError as e:
        return [CardError(path, "file", found=f"{e}", expected="one JSON document")], None
    if not isinstance(content, dict):
        found = type(content).__name__
        return [CardError(path, "file", found=found, expected="a JSON object")], None
    version = str(content.get("schema_version"))
    if version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
        problem = CardError(
            path,
            "schema_version",
            found=version,
            expected=f"{SCHEMA_VERSION.split('.')[0]}.x",
            remedy="use the rramfit release that reads this version",
        )
        return [problem], None
    try:
        card = ModelCard.model_validate(content)
    except ValidationError as e:
        unknown = [x for x in e.errors() if x["type"] == "extra_forbidden"]
        others = [x for x in e.errors() if x["type"] != "extra_forbidden"]
        newer = _minor(version) > _minor(SCHEMA_VERSION)
        if others or not newer:
            return [_problem(path, x) for x in (others or unknown)], None
        names = ", ".join(_key_path(x["loc"]) for x in unknown)
        warnings.warn(
            f"{path}: schema {version} is newer than {SCHEMA_VERSION}; passed over: {names}",
            RramfitWarning,
            stacklevel=4,
        )
        card = ModelCard.model_validate(content, extra="ignore")
    try:
        _check_digest(content, path)
    except CardError as e:
        return [e], None
    return [], card


def _minor(version: str) -> int:
    parts = version.split(".")
    return int(parts[1]) if len(parts) == 2 and parts[1].isdigit() else -1


def _no_constant(name: str) -> float:
    msg = f"{name}, which a card never holds"
    raise ValueError(msg)


def _key_path(location: tuple[int | str, ...]) -> str:
    return "".join(f"[{x}]" if isinstance(x, int) else f".{x}" for x in location).lstrip(".")


def _problem(path: Path, error: Mapping[str, Any]) -> CardError:
    found = "nothing" if error["type"] == "missing" else repr(error["input"])
    found = found if len(found) <= 80 else found[:77] + "…"
    return CardError(path, _key_path(error["loc"]), found=found, expected=error["msg"])
