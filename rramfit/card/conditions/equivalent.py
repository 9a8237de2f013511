"""Equivalent time: how long at one temperature changes levels as a time at another.

It follows from the law of the drift (`rramfit.card.blocks.temperature_law`). Where the rate of
ln t is activated, an equal change at a lower temperature soon takes longer than any use; for a
power of time it is the time multiplied by exp(E/(m·k)·(1/T₂ − 1/T₁)).
"""

from __future__ import annotations

import math

import numpy as np

from rramfit.card.blocks.temperature_law import acceleration, equal_change_time
from rramfit.card.conditions.card_parts import CardParts
from rramfit.card.conditions.draws import NORMAL
from rramfit.card.quantity import Quantity
from rramfit.errors import RramfitError
from rramfit.streams import stream

__all__ = ["equivalent_time"]

_DRAWS = 2000
_LONGEST = 3.15e13  # [s] a million years: beyond it, there is no time to state


def equivalent_time(
    card: CardParts, time: float, *, temperature: float, at: float
) -> Quantity | None:
    """Return the time at `at` that changes levels as `time` does at `temperature`.

    Parameters
    ----------
    card : ModelCard
    time : float
        [s], from the card's reference time on.
    temperature, at : float
        [K]

    Returns
    -------
    Quantity or None
        [s], median over levels, with its interval; None if it, or its upper limit, is beyond a
        million years.

    Raises
    ------
    RramfitError
        If the card has no law of several bakes, or a number is out of its range.
    """
    block = card.temperature
    law = block.drift if block is not None else None
    if block is None or law is None or not law.levels:
        msg = (
            f"card {card.name} has no law of several bakes, so no equivalent time is known. Join "
            "bakes at two or more temperatures"
        )
        raise RramfitError(msg)
    reference = block.reference_time.value
    if not (math.isfinite(time) and time >= reference and temperature > 0 and at > 0):
        msg = (
            f"time = {time} s, temperature = {temperature} K, at = {at} K; expected a time from "
            f"{reference:g} s on and temperatures above 0 K. Correct the numbers"
        )
        raise RramfitError(msg)
    energy = law.activation_energy or law.assumed_energy or Quantity.given(0.0, "eV")
    z = stream(0, "equivalent time").standard_normal((2, _DRAWS))
    z[:, 0] = 0.0  # the first draw is the value
    energies, exponents = (
        q.value + (0.0 if q.ci95 is None else (q.ci95[1] - q.ci95[0]) / (2 * NORMAL)) * x
        for q, x in zip((energy, law.exponent), z, strict=True)
    )
    steps = [
        x.step_rate.value / x.rate.value
        for x in law.levels
        if x.step_rate is not None and x.rate.value != 0
    ]
    with np.errstate(invalid="ignore"):
        times = equal_change_time(
            time,
            log_factor=energies * acceleration(1.0, temperature, at),
            exponent=exponents,
            reference_time=reference,
            accelerates=law.accelerates,
            step_per_rate=float(np.median(steps)) if steps else 0.0,
        )
    value = float(times[0])
    low, high = (float(x) for x in np.quantile(times, [0.025, 0.975]))
    if not (value < _LONGEST and high < _LONGEST):
        return None
    low, high = min(low, value), max(high, value)
    if low == high:
        return Quantity.given(value, "s")
    return Quantity.within(value, (high - low) / (2 * NORMAL), "s", (low, high))
