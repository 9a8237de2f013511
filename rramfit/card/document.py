"""Reading, checking and sealing of card files.

Every minor version of the current major version can be read as it is; unknown fields of a newer
minor version are ignored with a warning. A card of an earlier major version is migrated
(`rramfit.card.schemas`), with a warning for everything that was assumed. A newer major version is
an error. The canonical form and the digest are defined in `rramfit.card.canonical`.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rramfit.card.canonical import card_content, card_digest, check_digest
from rramfit.card.schema import SCHEMA_VERSION, ModelCard
from rramfit.card.schemas.migration import migrate
from rramfit.errors import CardError, RramfitWarning
from rramfit.provenance import package_version

_CONTROL = re.compile(r"[\x7f-\x9f\ud800-\udfff]|(?<!\\)(?:\\\\)*\\u00[01][0-9a-f]")
"""Characters that terminals obey or cannot show, some of which JSON writes as escapes."""

__all__ = ["card_problems", "json_schema", "load_card", "migrated_card", "seal"]


def seal(card: ModelCard) -> ModelCard:
    """Return the card with the digest of its content."""
    return card.model_copy(update={"digest": card_digest(card_content(card))})


def load_card(path: Path | str) -> ModelCard:
    """Read a card.

    Raises
    ------
    CardError
        With the key path, what was found and expected, and the number of further problems.

    Warns
    -----
    RramfitWarning
        If the card has a newer minor version and contains unknown fields.
    """
    problems, card = _read(Path(path))
    if card is None:
        first, *others = problems
        if others:
            more = "1 more problem" if len(others) == 1 else f"{len(others)} more problems"
            remedy = f"List {more} with `rramfit card validate {path}`."
            raise CardError(
                first.path, first.where, found=first.found, expected=first.expected, remedy=remedy
            )
        raise first
    return card


def card_problems(path: Path | str) -> list[CardError]:
    """Return all problems of a card file; empty for a valid one."""
    return _read(Path(path))[0]


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the card."""
    return ModelCard.model_json_schema(by_alias=True)


def _read(path: Path) -> tuple[list[CardError], ModelCard | None]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
    except OSError as e:
        return [CardError(path, "file", found=e.strerror or str(e), expected="a model card")], None
    except (ValueError, RecursionError) as e:
        found = f"invalid JSON ({e})"
        return [CardError(path, "file", found=found, expected="one JSON document")], None
    if control := _CONTROL.search(json.dumps(content, ensure_ascii=False)):
        found = f"the control character {control[0]!r} in a text"
        return [CardError(path, "file", found=found, expected="printable text")], None
    if not isinstance(content, dict):
        found = type(content).__name__
        return [CardError(path, "file", found=found, expected="a JSON object")], None
    if "schema_version" not in content:
        problem = CardError(
            path, "schema_version", found="no such key", expected="a model card with this key"
        )
        return [problem], None
    version = str(content["schema_version"])
    if _major(version) != _major(SCHEMA_VERSION):
        try:
            content = _of_present_major(content, version, path)
        except CardError as e:
            return [e], None
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
            f"{path}: schema {version} is newer than {SCHEMA_VERSION}; ignored fields: {names}",
            RramfitWarning,
            stacklevel=4,
        )
        card = ModelCard.model_validate(content, extra="ignore")
    try:
        check_digest(content, path)
    except CardError as e:
        return [e], None
    return [], card


def migrated_card(path: Path | str) -> tuple[ModelCard, tuple[str, ...]]:
    """Read a card and return it in the present schema version, and what the migration assumed.

    Raises
    ------
    CardError
        If the card cannot be read.
    """
    card = load_card(path)
    assumed: tuple[str, ...] = ()
    arguments = {**card.provenance.arguments, "migrated_from": card.schema_version}
    provenance = card.provenance.model_copy(update={"arguments": arguments})
    if _minor(card.schema_version) < _minor(SCHEMA_VERSION):
        done = migrate(card_content(card), to=SCHEMA_VERSION)
        card, assumed = ModelCard.model_validate(done.content), done.assumed
    changed = {"schema_version": SCHEMA_VERSION, "provenance": provenance}
    return seal(card.model_copy(update=changed)), assumed


def _of_present_major(content: dict[str, Any], version: str, path: Path) -> dict[str, Any]:
    """Migrate the content of an earlier major version; raise `CardError` if there is no way."""
    major, present = _major(version), _major(SCHEMA_VERSION)
    if major is None or major > (present or 0):
        needs = "" if major is None else f" A release that reads card schema {major}.x is needed."
        raise CardError(
            path,
            "schema_version",
            found=version,
            expected=f"{present}.x",
            remedy=f"rramfit {package_version()} reads cards up to schema {SCHEMA_VERSION}.{needs}",
        )
    check_digest(content, path)
    try:
        done = migrate(content, to=SCHEMA_VERSION)
    except LookupError as e:
        raise CardError(
            path, "schema_version", found=version, expected=f"{present}.x", remedy=f"{e}."
        ) from None
    for sentence in done.assumed:
        warnings.warn(f"{path}: {sentence}", RramfitWarning, stacklevel=5)
    return {**done.content, "digest": card_digest(done.content)}


def _major(version: str) -> int | None:
    """Return the major number; None if the version is not MAJOR.MINOR."""
    parts = version.split(".")
    return int(parts[0]) if len(parts) == 2 and all(p.isdigit() for p in parts) else None


def _minor(version: str) -> int:
    parts = version.split(".")
    return int(parts[1]) if len(parts) == 2 and parts[1].isdigit() else -1


def _no_constant(name: str) -> float:
    msg = f"{name}, which JSON does not allow"
    raise ValueError(msg)


def _key_path(location: tuple[int | str, ...]) -> str:
    return "".join(f"[{x}]" if isinstance(x, int) else f".{x}" for x in location).lstrip(".")


def _problem(path: Path, error: Mapping[str, Any]) -> CardError:
    found = "nothing" if error["type"] == "missing" else repr(error["input"])
    found = found if len(found) <= 80 else found[:77] + "…"
    return CardError(path, _key_path(error["loc"]), found=found, expected=error["msg"])
