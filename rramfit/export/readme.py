"""The README.md beside an export: what it is, how to run it, its limits for this card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rramfit.errors import visible
from rramfit.export.contract import Export, Exporter, Limit

if TYPE_CHECKING:
    from rramfit.card.schema import ModelCard

__all__ = ["readme"]


def readme(
    exporter: Exporter, card: ModelCard, options: Mapping[str, object], content: Export
) -> str:
    """Return the text of the README.md, as Markdown."""
    given = ", ".join(f"{k} = {v}" for k, v in options.items() if v is not None) or "none"
    lines = [
        f"# {visible(card.name)} {card.revision} for {exporter.title}",
        "",
        exporter.writes,
        "",
        f"- Card: {visible(card.name)} {card.revision}, {card.digest}",
        f"- Quality of the card: {card.quality.verdict}. {visible(card.quality.summary)}",
        f"- Target: `{exporter.name}`; options: {visible(given)}",
        "",
        "## Run",
        "In this folder:",
        "",
        *(f"    {command}" for command in content.commands),
        "",
        "## Files",
        *(f"- `{name}`" for name in content.files),
        "",
    ]
    if content.notes:
        lines += ["## Units and conventions", *(f"- {note}" for note in content.notes), ""]
    lines += ["## What was approximated", *_listed(content.approximated), ""]
    lines += ["## What could not be expressed", exporter.cannot, ""]
    lines += [*_listed(content.missing), "", "## How this export is verified", exporter.verified]
    return "\n".join(lines) + "\n"


def _listed(found: Sequence[Limit]) -> list[str]:
    if not found:
        return ["Nothing that this card has."]
    return [f"- {visible(limit.what)} Size in this card: {visible(limit.size)}." for limit in found]
