"""Change of a card's levels with time at one temperature, from its bakes or its retention.

A card of several bakes has a law of time and temperature (`rramfit.card.blocks.temperature_law`),
one of a single bake the drift and growth at its own temperature,

    mean        first_step + drift·ln(t/t0)
    variance    first_spread² − 2·read² + growth²·ln(t/t0)

Both hold from the reference time on; before it nothing changes. The variance of a step contains the
noise of two reads, which is subtracted. Where the cells of a level change by one factor (in the
logarithmic domain, unless the law says otherwise), its states are multiplied by that of the mean,
and the variance is what is beyond that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rramfit.card.blocks.temperature import ChangeLaw, LevelLaw, TemperatureCard
from rramfit.card.blocks.temperature_law import acceleration, law_change
from rramfit.card.conditions.card_parts import CardParts, RetentionPart
from rramfit.card.quantity import Quantity
from rramfit.errors import RramfitError
from rramfit.units import format_quantity

__all__ = [
    "EVEN",
    "LOWEST_MEAN",
    "ChangeAt",
    "change_at",
    "factor_probability",
    "has_law",
    "level_energy",
    "read_noise_std",
    "split_change",
]

Floats = NDArray[np.float64]

EVEN = 0.5
"""Probability from which cells are taken to change by one factor."""

LOWEST_MEAN = 0.01
"""Of the mean after programming: a level's mean falls no lower."""

_LARGEST = 50.0  # of a change of the logarithm

SAME_TEMPERATURE = 1.0
"""[K] difference below which a temperature is that of the measurement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeAt:
    """Change of every level at one temperature.

    Attributes
    ----------
    levels : tuple of int
        Indices of the card's levels.
    temperature : float, optional
        [K]
    reference_time : float
        [s]; before it nothing changes.
    longest_time : float
        [s] of the measurement.
    known : (level,) bool array
        Levels whose change was measured.
    """

    levels: tuple[int, ...]
    temperature: float | None
    reference_time: float
    longest_time: float
    known: NDArray[np.bool_]
    read: Floats  # [S] (level,)
    start: Floats  # [S] (level,) mean after programming
    retention: RetentionPart | None
    block: TemperatureCard | None

    def log_mean(self, time: float) -> Floats:
        """Return the logarithm of the factor by which cells change, (level,); 0 without one."""
        law = self.block.drift if self.block is not None else None
        if law is None or factor_probability(law) < EVEN:
            return np.zeros(len(self.levels))
        return split_change(law, self.law_value(law, time), self.start, by_factor=True)[0]

    def mean(self, time: float) -> Floats:
        """Return the amount by which cells change, (level,) [S]; 0 where they do by a factor."""
        if self.block is not None:
            law = self.block.drift
            if law is None:
                return np.zeros(len(self.levels))
            by_factor = factor_probability(law) >= EVEN
            return split_change(law, self.law_value(law, time), self.start, by_factor=by_factor)[1]
        return self._measured(time, "first_step", "drift", power=1)

    def variance(self, time: float) -> Floats:
        """Return the variance of the change over cells, without read noise, (level,) [S²].

        Without that of the factor, where all cells change by one.
        """
        if self.block is not None:
            law = self.block.growth
            change = np.zeros(len(self.levels))
            if law is not None:
                change = self.law_value(law, time)
            step = time >= self.reference_time and law is not None
            stepped = np.array(
                [step and _has_step(law, level) for level in self.levels], dtype=np.bool_
            )
            return np.maximum(change - np.where(stepped, 2 * self.read**2, 0.0), 0.0)
        if time < self.reference_time:
            return np.zeros(len(self.levels))
        first = self._measured(self.reference_time, "first_spread", "growth", power=2)
        grown = self._measured(time, "first_spread", "growth", power=2) - first
        return np.asarray(np.maximum(first - 2 * self.read**2, 0.0) + grown)

    def _measured(self, time: float, step: str, slope: str, *, power: int) -> Floats:
        """Return step^power + slope^power·ln(t/t0) of the card's retention."""
        out = np.zeros(len(self.levels))
        if self.retention is None or time < self.reference_time:
            return out
        rows = {row.level: row for row in self.retention.levels}
        x = math.log(time / self.reference_time)
        for i, level in enumerate(self.levels):
            if (row := rows.get(level)) is not None:
                start, rate = (_value(getattr(row, name)) for name in (step, slope))
                out[i] = start**power + rate**power * x
        return out

    def law_value(self, law: ChangeLaw, time: float) -> Floats:
        """Return c(t, T) of every level, (level,)."""
        out = np.zeros(len(self.levels))
        if time < self.reference_time:
            return out
        rows = {row.level: row for row in law.levels}
        for i, level in enumerate(self.levels):
            if (row := rows.get(level)) is not None:
                energy = level_energy(law, row).value
                theta = [_value(q) for q in (row.step, row.step_rate, row.rate)]
                out[i] = self.with_values(law, time, [energy, law.exponent.value, *theta])
        return out

    def with_values(self, law: ChangeLaw, time: float, values: Sequence[ArrayLike]) -> Floats:
        """Return c(t, T) of one level with these values, which broadcast.

        Parameters
        ----------
        law : ChangeLaw
        time : float
            [s], from the reference time on.
        values : sequence of array
            Energy [eV], exponent, step, step_rate, rate.
        """
        energy, exponent, step, step_rate, rate = values
        log_factor = np.asarray(energy) * acceleration(1.0, *self._temperatures)
        return law_change(
            time,
            step=step,
            step_rate=step_rate,
            rate=rate,
            log_factor=log_factor,
            exponent=exponent,
            reference_time=self.reference_time,
            accelerates=law.accelerates,
        )

    @property
    def _temperatures(self) -> tuple[float, float]:
        """Return the temperature and the reference [K]."""
        reference = 300.0 if self.block is None else self.block.reference_temperature.value
        return (reference if self.temperature is None else self.temperature), reference


def factor_probability(law: ChangeLaw) -> float:
    """Return the probability that all cells of a level change by one factor."""
    return float(law.domain == "log") if law.by_factor is None else law.by_factor


def split_change(
    law: ChangeLaw, change: Floats, start: Floats, *, by_factor: ArrayLike
) -> tuple[Floats, Floats]:
    """Return the logarithm of the factor, and the amount [S], by which cells change; all broadcast.

    Parameters
    ----------
    law : ChangeLaw
        Of the mean.
    change : array
        c of the law.
    start : array
        Mean after programming [S]; where it is not positive, there is no factor.
    by_factor : bool array
        Whether all cells change by one factor.
    """
    positive = start > 0
    if law.domain == "log":
        log = np.minimum(change, _LARGEST)
        amount = start * np.expm1(log)
    else:
        ratio = 1 + change / np.where(positive, start, np.inf)
        log, amount = np.log(np.maximum(ratio, LOWEST_MEAN)), change
    use = np.logical_and(by_factor, positive)
    return np.where(use, log, 0.0), np.where(use, 0.0, amount)


def change_at(
    card: CardParts, temperature: float | None, *, read: ArrayLike, start: ArrayLike
) -> ChangeAt:
    """Return the change of a card's levels at a temperature.

    Parameters
    ----------
    card : CardParts
    temperature : float, optional
        [K]; by default that of the retention measurement.
    read : (level,) array
        Standard deviation between reads [S].
    start : (level,) array
        Mean after programming [S].

    Raises
    ------
    RramfitError
        If the temperature is not a positive number, or differs from the only one that was measured.
    """
    if temperature is not None and not (np.isfinite(temperature) and temperature > 0):
        msg = f"temperature: found {temperature:g} K; expected a number above 0 K. State it in K"
        raise RramfitError(msg)
    block = card.temperature
    if not has_law(card):
        block = None
    retention = card.retention
    measured = retention.temperature.value if retention and retention.temperature else None
    if block is not None:
        measured = block.reference_temperature.value
    elif temperature is not None:
        _refuse(card, temperature, measured)
    indices = tuple(level.index for level in card.levels)
    return ChangeAt(
        levels=indices,
        temperature=measured if temperature is None else temperature,
        reference_time=_reference_time(retention, block),
        longest_time=_longest(retention, block),
        known=np.array([_is_known(retention, block, level) for level in indices], dtype=np.bool_),
        read=np.asarray(read, dtype=np.float64),
        start=np.asarray(start, dtype=np.float64),
        retention=retention,
        block=block,
    )


def has_law(card: CardParts) -> bool:
    """Return whether several bakes say how levels change at other temperatures."""
    block = card.temperature
    return block is not None and (block.drift is not None or block.growth is not None)


def level_energy(law: ChangeLaw, level: LevelLaw) -> Quantity:
    """Return the energy that applies to a level [eV]; 0 if the law has none."""
    if not law.common and level.activation_energy is not None:
        return level.activation_energy
    return law.activation_energy or law.assumed_energy or Quantity.given(0.0, "eV")


def read_noise_std(card: CardParts, index: int, mean: float) -> float:
    """Return the standard deviation between reads of a state at a level of this mean [S].

    That of the level's variation if it has one, or else that of the power law of the read noise.
    """
    variation = next((v for v in card.variation if v.level == index), None)
    if variation is not None and variation.read is not None:
        return variation.read.value
    noise = card.read_noise
    if noise is None or noise.coefficient is None:
        return 0.0
    reference = noise.reference_conductance.value if noise.reference_conductance else mean
    exponent = noise.exponent.value if noise.exponent else 0.0
    if mean == 0:  # the power law has no value there unless noise grows with conductance
        return 0.0
    return noise.coefficient.value * abs(mean) * math.pow(abs(mean / reference), exponent)


def _refuse(card: CardParts, temperature: float, measured: float | None) -> None:
    """Raise an error for a temperature at which the card knows nothing."""
    if card.retention is None:
        msg = (
            f"card {card.name} has no retention, so nothing is known at {temperature:g} K. Leave "
            "the temperature out, or characterize a file with bakes"
        )
        raise RramfitError(msg)
    if measured is None or abs(temperature - measured) > SAME_TEMPERATURE:
        at = "an unknown temperature" if measured is None else format_quantity(measured, "K")
        msg = (
            f"card {card.name} has one bake, at {at}: one temperature gives no activation energy, "
            f"so nothing is known at {temperature:g} K. Leave the temperature out, or join bakes "
            "at several temperatures with `rramfit card bakes`"
        )
        raise RramfitError(msg)


def _value(q: Quantity | None) -> float:
    return 0.0 if q is None else q.value


def _has_step(law: ChangeLaw | None, level: int) -> bool:
    return law is not None and any(x.level == level and x.step is not None for x in law.levels)


def _is_known(retention: RetentionPart | None, block: TemperatureCard | None, level: int) -> bool:
    if block is not None:
        return block.drift is not None and any(x.level == level for x in block.drift.levels)
    return retention is not None and any(x.level == level for x in retention.levels)


def _reference_time(retention: RetentionPart | None, block: TemperatureCard | None) -> float:
    if block is not None:
        return block.reference_time.value
    return 1.0 if retention is None else retention.reference_time.value


def _longest(retention: RetentionPart | None, block: TemperatureCard | None) -> float:
    if block is not None:
        return block.longest_time.value
    return 0.0 if retention is None else retention.longest_time.value
