"""Selection of levels: a card with some of the levels of another, for mapping a network.

A measurement may contain more levels than can be distinguished in a cell, or levels that hardly any
cell reached; weights need a few well-separated levels. The selected levels keep their distribution,
variation, failure, retention, read disturb, programming effort, gauge components and held-out
checks, and are renumbered in order. Left out is what depends on the full list of levels (read
thresholds, overlap and error rate with the next level, bits per cell) and the sidecar. Fits and
their verdicts remain those of the original card.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from rramfit.card.blocks.disturb import DisturbCard, DisturbLevel
from rramfit.card.blocks.gauge import GaugeCard, GaugeLevel
from rramfit.card.blocks.programming import ProgrammingCard
from rramfit.card.blocks.temperature import BakedLevel, ChangeLaw, LevelLaw, TemperatureCard
from rramfit.card.document import seal
from rramfit.card.quality import HeldOut
from rramfit.card.schema import (
    DriftCard,
    FailureCard,
    LevelCard,
    ModelCard,
    ReadNoiseCard,
    RetentionCard,
    VariationCard,
)
from rramfit.errors import RramfitError

__all__ = ["take_levels"]

_OfLevel = TypeVar(
    "_OfLevel",
    VariationCard,
    FailureCard,
    DriftCard,
    DisturbLevel,
    ProgrammingCard,
    GaugeLevel,
    HeldOut,
    BakedLevel,
    LevelLaw,
)
_Levelled = TypeVar("_Levelled", RetentionCard, DisturbCard, GaugeCard)


def take_levels(card: ModelCard, levels: Sequence[int], *, name: str | None = None) -> ModelCard:
    """Return a card with some of the levels of another.

    Parameters
    ----------
    card : ModelCard
    levels : sequence of int
        Indices of levels in `card`, in increasing order.
    name : str, optional
        Name of the new card; by default the name of `card` followed by the indices.

    Returns
    -------
    ModelCard
        Sealed; `provenance.arguments` records the levels and the digest of `card`.

    Raises
    ------
    RramfitError
        If the indices are not increasing, or the card has no such level.

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
        msg = f"levels: found {list(levels)}; expected increasing indices, at least one"
        raise RramfitError(msg)
    if missing := [index for index in levels if index not in known]:
        msg = (
            f"card {card.name!r} has no level {missing[0]}; its levels are {known[0]} to "
            f"{known[-1]}"
        )
        raise RramfitError(msg)
    taken = [known.index(index) for index in levels]
    listed = ",".join(str(index) for index in levels)
    arguments = {**card.provenance.arguments, "levels_taken": listed, "taken_from": card.digest}
    chosen = [_renumbered_level(card.levels[j], place) for j in taken]
    means = [level.mean for level in chosen if level.mean is not None]
    conductance = (means[0], means[-1]) if means else None
    return seal(
        card.model_copy(
            update={
                "name": name or "-".join([card.name, *(str(index) for index in levels)]),
                "levels": chosen,
                "variation": _renumbered(card.variation, place),
                "variation_correlation": _between(card.variation_correlation, taken),
                "line_correlation": _between(card.line_correlation, taken),
                "failure": _renumbered(card.failure, place),
                "read_noise": _read_noise(card.read_noise, place),
                "retention": _of_part(card.retention, place),
                "programming": None
                if card.programming is None
                else _renumbered(card.programming, place),
                "gauge": _of_part(card.gauge, place),
                "temperature": _temperature(card.temperature, place),
                "bits_per_cell": None,
                "tails": None if card.tails is None else card.tails.of_levels(place),
                "domain": card.domain.model_copy(update={"conductance": conductance}),
                "quality": card.quality.model_copy(
                    update={"heldout": _renumbered(card.quality.heldout, place)}
                ),
                "provenance": card.provenance.model_copy(update={"arguments": arguments}),
                "cells": None,
            }
        )
    )


def _between(matrix: list[list[float]] | None, taken: list[int]) -> list[list[float]] | None:
    """Return the correlations between the selected levels."""
    return None if matrix is None else [[matrix[j][k] for k in taken] for j in taken]


def _renumbered_level(level: LevelCard, place: dict[int, int]) -> LevelCard:
    """Renumber a level and remove its threshold and overlap with the next one."""
    return level.model_copy(
        update={"index": place[level.index], "upper_threshold": None, "overlap": None}
    )


def _renumbered(parts: Sequence[_OfLevel], place: dict[int, int]) -> list[_OfLevel]:
    """Keep the parts of selected levels, with their new numbers."""
    kept = [part for part in parts if part.level in place]
    return [part.model_copy(update={"level": place[part.level]}) for part in kept]


def _of_part(part: _Levelled | None, place: dict[int, int]) -> _Levelled | None:
    """Renumber the levels of a part of the card that lists them."""
    if part is None:
        return None
    return part.model_copy(update={"levels": _renumbered(part.levels, place)})


def _read_noise(noise: ReadNoiseCard | None, place: dict[int, int]) -> ReadNoiseCard | None:
    if noise is None:
        return None
    return noise.model_copy(update={"disturb": _of_part(noise.disturb, place)})


def _temperature(block: TemperatureCard | None, place: dict[int, int]) -> TemperatureCard | None:
    if block is None:
        return None

    def of_levels(law: ChangeLaw | None) -> ChangeLaw | None:
        if law is None:
            return None
        return law.model_copy(update={"levels": _renumbered(law.levels, place)})

    bakes = [
        bake.model_copy(update={"levels": _renumbered(bake.levels, place)}) for bake in block.bakes
    ]
    laws = {"drift": of_levels(block.drift), "growth": of_levels(block.growth)}
    return block.model_copy(update={"bakes": bakes, **laws})
