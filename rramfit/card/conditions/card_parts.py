"""The parts of a card that predictions use, as interfaces: the schema itself uses predictions."""

# ruff: noqa: D102 (the schema describes its fields)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from rramfit.card.blocks.disturb import DisturbCard
from rramfit.card.blocks.endurance import EnduranceCard
from rramfit.card.blocks.temperature import TemperatureCard
from rramfit.card.quantity import Quantity

__all__ = ["CardParts", "DriftPart", "LevelPart", "RetentionPart"]


class _Distribution(Protocol):
    @property
    def family(self) -> str: ...
    @property
    def parameters(self) -> Mapping[str, Quantity]: ...


class LevelPart(Protocol):
    """A level of the card."""

    @property
    def index(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def mean(self) -> Quantity | None: ...
    @property
    def std(self) -> Quantity | None: ...
    @property
    def distribution(self) -> _Distribution | None: ...


class _Variation(Protocol):
    @property
    def level(self) -> int: ...
    @property
    def read(self) -> Quantity | None: ...


class _ReadNoise(Protocol):
    @property
    def coefficient(self) -> Quantity | None: ...
    @property
    def exponent(self) -> Quantity | None: ...
    @property
    def reference_conductance(self) -> Quantity | None: ...
    @property
    def disturb(self) -> DisturbCard | None: ...


class DriftPart(Protocol):
    """Drift of one level in the card's retention."""

    @property
    def level(self) -> int: ...
    @property
    def first_step(self) -> Quantity | None: ...
    @property
    def first_spread(self) -> Quantity | None: ...
    @property
    def drift(self) -> Quantity | None: ...
    @property
    def growth(self) -> Quantity | None: ...


class RetentionPart(Protocol):
    """The card's retention, one bake."""

    @property
    def temperature(self) -> Quantity | None: ...
    @property
    def reference_time(self) -> Quantity: ...
    @property
    def longest_time(self) -> Quantity: ...
    @property
    def levels(self) -> Sequence[DriftPart]: ...


class CardParts(Protocol):
    """A card."""

    @property
    def name(self) -> str: ...
    @property
    def levels(self) -> Sequence[LevelPart]: ...
    @property
    def variation(self) -> Sequence[_Variation]: ...
    @property
    def read_noise(self) -> _ReadNoise | None: ...
    @property
    def retention(self) -> RetentionPart | None: ...
    @property
    def temperature(self) -> TemperatureCard | None: ...
    @property
    def endurance(self) -> EnduranceCard | None: ...
