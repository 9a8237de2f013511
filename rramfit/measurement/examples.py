"""Files to try rramfit with, from the installed package: a card, layout files and their README.

In the repository they are in `fits/` and `data/layouts/`; a wheel holds copies beside this module.
"""

from __future__ import annotations

from pathlib import Path

from rramfit.card.document import load_card
from rramfit.card.schema import ModelCard
from rramfit.errors import RramfitError

__all__ = ["layout_examples", "sample_card"]

_HERE = Path(__file__).parent
_REPOSITORY = _HERE.parents[1]


def sample_card() -> ModelCard:
    """Return the card of a virtual chip with every part that a measurement can determine."""
    return load_card(_found("virtual.card.json", "fits/virtual-1.0.0.card.json"))


def layout_examples() -> dict[str, str]:
    """Return the text of each example layout file, and of their README, by name."""
    folder = _found("layouts", "data/layouts")
    files = sorted(p for p in folder.glob("*") if p.suffix in (".toml", ".md"))
    return {p.name: p.read_text(encoding="utf-8") for p in files}


def _found(installed: str, in_repository: str) -> Path:
    for path in (_HERE / installed, _REPOSITORY / in_repository):
        if path.exists():
            return path
    msg = f"{_HERE / installed} is missing. Install rramfit again."
    raise RramfitError(msg)
