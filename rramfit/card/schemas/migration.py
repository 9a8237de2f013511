"""Migration of cards: a chain of steps between neighbouring schema versions.

A step gets the content of a card and returns that of the next version, with one sentence for each
thing that it had to assume. It never changes its input. Digests are not part of a step: a migrated
card is sealed anew.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Migrated", "Step", "migrate", "migration", "versions"]

Content = Mapping[str, Any]
Step = Callable[[dict[str, Any]], tuple[dict[str, Any], tuple[str, ...]]]
"""From the content of one version to that of the next, and what was assumed: sentences."""

_STEPS: dict[str, tuple[str, Step]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrated:
    """The content of a card in another schema version."""

    content: dict[str, Any]
    assumed: tuple[str, ...]
    """One sentence for each thing that a step assumed, in the order of the steps."""


def migration(old: str, new: str) -> Callable[[Step], Step]:
    """Register the step from one version to its neighbour."""

    def register(step: Step) -> Step:
        _STEPS[old] = (new, step)
        return step

    return register


def versions(start: str) -> Iterator[str]:
    """Iterate over the versions that the chain reaches, from `start` itself on.

    Examples
    --------
    >>> list(versions("1.0"))
    ['1.0', '1.1']
    """
    yield start
    while start in _STEPS:
        start, _ = _STEPS[start]
        yield start


def migrate(content: Content, *, to: str) -> Migrated:
    """Walk the chain from the version of a card to another.

    Parameters
    ----------
    content : mapping
        A card as JSON types, with its `schema_version`; it is not changed.
    to : str
        The wanted version.

    Raises
    ------
    LookupError
        If the chain does not lead there; the message names both versions.
    """
    at = str(content["schema_version"])
    start = at
    assumed: list[str] = []
    current = copy.deepcopy(dict(content))
    while at != to:
        if at not in _STEPS:
            msg = f"no migration leads from card schema {start} to {to}"
            raise LookupError(msg)
        at, step = _STEPS[at]
        current, sentences = step(current)
        current["schema_version"] = at
        assumed += sentences
    return Migrated(content=current, assumed=tuple(assumed))


@migration("1.0", "1.1")
def _optional_fields(card: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """1.1 only adds optional fields: everything that 1.0 states keeps its place and meaning."""
    return card, ()
