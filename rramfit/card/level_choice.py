"""A card of some of a card's levels: those that a network is to be mapped on.

A measurement may hold more levels than a cell can keep apart, or some that nearly no cell reached;
weights need a few that lie well apart. The levels that are taken keep what is known of each
(distribution, variation, failure, retention, held-out checks) and are numbered anew in their order;
what speaks of the whole list (read thresholds and overlap towards the next level, bits a cell) or
of one array's cells (the sidecar) is left out. Fits and their verdicts stay those of the whole
card.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from rramfit.card.document import seal
from rramfit.card.quality import HeldOut
from rramfit.card.schema import (
    DriftCard,
    FailureCard,
    LevelCard,
    ModelCard,
    RetentionCard,
    VariationCard,
)
from rramfit.errors import RramfitError

__all__ = ["take_levels"]

_OfLevel = TypeVar("_OfLevel", VariationCard, FailureCard, DriftCard, HeldOut)


def take_levels(card: ModelCard, levels: Sequence[int], *, name: str | None = None) -> ModelCard:
    """Make a card of some levels of another.

    Parameters
    ----------
    card : ModelCard
    levels : sequence of int
        Indices of levels in `card`, rising.
    name : str, optional
        Of the new card; the old one's and the indices where not given.

    Returns
    -------
    ModelCard
        Sealed; `provenance.arguments` says which levels were taken of which card.

    Raises
    ------
    RramfitError
        If the indices do not rise, or the card has no such level.

    Examples
    --------
    >>> from rramfit.measurement.virtual.cards import virtual_card
    >>> card = virtual_card("five", mean=[1e-5, 2e-5, 4e-5, 7e-5, 1e-4], spread=0.1)
    >>> few = take_levels(card, [0, 2, 4])
    >>> few.name, [level.name for level in few.levels], [v.level for v in few.variation]
    ('five-0-2-4', ['L0', 'L2', 'L4'], [0, 1, 2])
    """
    place = {index: k for k, index in enumerate(levels)}
    known = [level.index for level in card.levels]
    if not levels or list(place) != sorted(place) or len(place) < len(levels):
        msg = f"levels to take are {list(levels)}; expected indices that rise"
        raise RramfitError(msg)
    if missing := [index for index in levels if index not in known]:
        msg = f"card {card.name!r} has no level {missing[0]}; it has {known[0]} to {known[-1]}"
        raise RramfitError(msg)
    taken = [known.index(index) for index in levels]
    correlation = card.variation_correlation
    if correlation is not None:
        correlation = [[correlation[j][k] for k in taken] for j in taken]
    listed = ",".join(str(index) for index in levels)
    arguments = {**card.provenance.arguments, "levels_taken": listed, "taken_from": card.digest}
    chosen = [_apart(card.levels[j], place) for j in taken]
    means = [level.mean for level in chosen if level.mean is not None]
    conductance = (means[0], means[-1]) if means else None
    return seal(
        card.model_copy(
            update={
                "name": name or "-".join([card.name, *(str(index) for index in levels)]),
                "levels": chosen,
                "variation": _renumbered(card.variation, place),
                "variation_correlation": correlation,
                "failure": _renumbered(card.failure, place),
                "retention": _retention(card.retention, place),
                "bits_per_cell": None,
                "domain": card.domain.model_copy(update={"conductance": conductance}),
                "quality": card.quality.model_copy(
                    update={"heldout": _renumbered(card.quality.heldout, place)}
                ),
                "provenance": card.provenance.model_copy(update={"arguments": arguments}),
                "cells": None,
            }
        )
    )


def _apart(level: LevelCard, place: dict[int, int]) -> LevelCard:
    """Renumber a level, without what it was towards the level that was next to it."""
    return level.model_copy(
        update={"index": place[level.index], "upper_threshold": None, "overlap": None}
    )


def _renumbered(parts: Sequence[_OfLevel], place: dict[int, int]) -> list[_OfLevel]:
    """Keep parts of levels that are taken, under their new numbers."""
    kept = [part for part in parts if part.level in place]
    return [part.model_copy(update={"level": place[part.level]}) for part in kept]


def _retention(retention: RetentionCard | None, place: dict[int, int]) -> RetentionCard | None:
    if retention is None:
        return None
    return retention.model_copy(update={"levels": _renumbered(retention.levels, place)})
