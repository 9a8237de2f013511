"""Random parts of a card for the optional groups: read noise, retention, I-V, endurance, wires.

`random_card` draws levels, variation and faults; `with_groups` adds what `/reads`, `/retention`,
`/iv`, `/endurance`, `/mvm` and `/readout` measure, so that studies over many chips cover a whole
card. Sizes are those of published filamentary cells: read noise of 1 %, drift of 0.1 % and a
superlinear I-V with b of 1 to 3 1/V. Every part has its own random stream.

Read noise follows the card's power law, so the level's read noise is its root mean square, and d2d
and c2c share what it leaves of the level's variance.
"""

from __future__ import annotations

import math

import numpy as np

from rramfit.card.document import seal
from rramfit.card.quantity import Quantity
from rramfit.card.schema import (
    DriftCard,
    EnduranceCard,
    EnduranceState,
    IVCard,
    LineCard,
    ModelCard,
    ReadNoiseCard,
    ReadoutCard,
    RetentionCard,
    VariationCard,
)
from rramfit.streams import stream

__all__ = ["with_groups"]

given = Quantity.given


def with_groups(card: ModelCard, seed: int) -> ModelCard:
    """Return the card with random parts for all optional groups.

    Parameters
    ----------
    card : ModelCard
        With mean, standard deviation, d2d and read noise of every level, as from `random_card`.
    seed : int
    """
    mean = np.array([level.mean.value for level in card.levels if level.mean is not None])
    reference = float(np.exp(np.log(mean).mean()))
    noise = _read_noise(seed, reference)
    variation = [
        _with_read(card, v, noise, float(m)) for v, m in zip(card.variation, mean, strict=True)
    ]
    read = [v.read.value if v.read else 0.0 for v in variation]
    parts = {
        "variation": variation,
        "read_noise": noise,
        "retention": _retention(seed, mean.tolist(), read),
        "iv": _iv(seed, reference),
        "endurance": _endurance(seed, mean.tolist()),
        "line": _line(seed),
        "readout": _readout(seed),
    }
    return seal(card.model_copy(update=parts))


def _read_noise(seed: int, reference: float) -> ReadNoiseCard:
    rng = stream(seed, "card/read_noise")
    return ReadNoiseCard(
        coefficient=given(rng.uniform(0.008, 0.015), "1"),
        exponent=given(rng.uniform(-0.4, 0.1), "1"),
        reference_conductance=given(reference, "S"),
    )


def _with_read(
    card: ModelCard, v: VariationCard, noise: ReadNoiseCard, mean: float
) -> VariationCard:
    """Return the variation with the read noise of the power law, to second order in the spread."""
    level = card.levels[v.level]
    if not (level.std and v.d2d and noise.coefficient and noise.exponent):
        msg = f"levels[{v.level}] has no std or no d2d; with_groups needs both"
        raise ValueError(msg)
    reference = noise.reference_conductance.value if noise.reference_conductance else mean
    power = noise.exponent.value + 1
    spread2 = (level.std.value / mean) ** 2
    rms = math.sqrt(1 + power * (2 * power - 1) * spread2)
    read = noise.coefficient.value * mean * (mean / reference) ** noise.exponent.value * rms
    old, total = v.read.value if v.read else 0.0, level.std.value**2
    share = v.d2d.value**2 / (total - old**2)
    left = total - read**2
    return v.model_copy(
        update={
            "read": given(read, "S"),
            "d2d": given(math.sqrt(share * left), "S"),
            "c2c": given(math.sqrt((1 - share) * left), "S"),
        }
    )


def _retention(seed: int, mean: list[float], read: list[float]) -> RetentionCard:
    rng = stream(seed, "card/retention")
    levels = []
    for k, (m, noise) in enumerate(zip(mean, read, strict=True)):
        step, drift = rng.uniform(-0.01, 0.01) * m, -rng.uniform(0.0005, 0.002) * m
        spread, growth = rng.uniform(0.005, 0.015) * m, rng.uniform(0.001, 0.004) * m
        levels.append(
            DriftCard(
                level=k,
                first_step=given(step, "S"),
                first_spread=given(math.hypot(spread, math.sqrt(2) * noise), "S"),
                drift=given(drift, "S"),
                growth=given(growth, "S"),
            )
        )
    return RetentionCard(
        temperature=given(358.15, "K"),
        reference_time=given(1.0, "s"),
        longest_time=given(86400.0, "s"),
        levels=levels,
    )


def _iv(seed: int, reference: float) -> IVCard:
    rng = stream(seed, "card/iv")
    b = rng.uniform(1.0, 3.0)
    return IVCard(
        nonlinearity=given(b, "1/V"),
        spread=given(rng.uniform(0.05, 0.15) * b, "1/V"),
        dependence=given(rng.uniform(-0.2, 0.2), "1/V"),
        reference_conductance=given(reference, "S"),
        offset=given(rng.uniform(-1e-8, 1e-8), "A"),
        noise=given(rng.uniform(1e-8, 4e-8), "A"),
    )


def _endurance(seed: int, mean: list[float]) -> EnduranceCard:
    rng = stream(seed, "card/endurance")
    states = []
    for i, m in enumerate((mean[0], mean[-1])):
        states.append(
            EnduranceState(
                state=i,
                mean=given(m, "S"),
                std=given(rng.uniform(0.05, 0.12) * m, "S"),
                drift=given(rng.uniform(-0.01, 0.01) * m, "S"),
                growth=given(rng.uniform(0.0, 0.01) * m, "S"),
            )
        )
    window = mean[-1] - mean[0]
    drifts = [s.drift.value if s.drift else 0.0 for s in states]
    return EnduranceCard(
        first_cycle=1,
        longest_cycle=10_000,
        states=states,
        window=given(window, "S"),
        window_loss=given((drifts[0] - drifts[1]) / window, "1") if window else None,
        failed=given(0.0, "1"),
    )


def _line(seed: int) -> LineCard:
    rng = stream(seed, "card/line")
    segment = np.exp(rng.uniform(math.log(0.5), math.log(4.0), 2))
    return LineCard(
        wordline_resistance=given(segment[0], "ohm"),
        bitline_resistance=given(segment[1], "ohm"),
        driver_resistance=given(rng.uniform(10, 100), "ohm"),
        sense_resistance=given(rng.uniform(10, 60), "ohm"),
        gain=given(rng.normal(1.0, 0.01), "1"),
        inactive_rows="grounded",
    )


def _readout(seed: int) -> ReadoutCard:
    rng = stream(seed, "card/readout")
    bits, full_scale, offset = 8, 1e-3, rng.uniform(3.0, 10.0)
    return ReadoutCard(
        bits=bits,
        full_scale=given(full_scale, "A"),
        gain=given(rng.uniform(0.9, 1.0) * (2**bits - 1 - offset) / full_scale, "LSB/A"),
        offset=given(offset, "LSB"),
        third_order=given(rng.uniform(-4.0, -1.0), "LSB"),
        noise=given(rng.uniform(0.5, 1.2), "LSB"),
        gain_spread=given(rng.uniform(0.005, 0.02), "1"),
        offset_spread=given(rng.uniform(0.5, 1.5), "LSB"),
    )
