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
from typing import Literal

import numpy as np

from rramfit.card.blocks.temperature import ChangeLaw, LevelLaw, TemperatureCard
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

__all__ = ["with_bakes", "with_groups"]

given = Quantity.given
Domain = Literal["linear", "log"]


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


def with_bakes(
    card: ModelCard, *, energy: float, exponent: float = 0.0, domain: Domain = "linear"
) -> ModelCard:
    """Return the card with a law of time and temperature that has its drift and growth.

    Parameters
    ----------
    card : ModelCard
        With retention; its temperature and reference time are those of the law.
    energy : float
        Activation energy of the rate of change of mean and variance [eV].
    exponent : float
        Of time; 0 is its logarithm. Above 0, the change starts at programming.
    domain : {"linear", "log"}
        Whether the mean changes in siemens or by a factor.
    """
    r = card.retention
    if r is None or r.temperature is None:
        msg = f"card {card.name!r} has no retention with a temperature; with_bakes needs one"
        raise ValueError(msg)

    def law(rows: list[LevelLaw], domain: Domain) -> ChangeLaw:
        return ChangeLaw(
            domain=domain,
            accelerates="rate",
            exponent=given(exponent, "1"),
            fitted_exponent=exponent != 0,
            activation_energy=given(energy, "eV"),
            levels=rows,
        )

    drift: list[LevelLaw] = []
    growth: list[LevelLaw] = []
    for row in r.levels:
        mean = card.levels[row.level].mean
        scale = 1.0 if domain == "linear" or mean is None else mean.value
        unit = "S" if domain == "linear" else "1"
        values = {
            name: 0.0 if q is None else q.value
            for name, q in (
                ("step", row.first_step),
                ("rate", row.drift),
                ("spread", row.first_spread),
                ("growth", row.growth),
            )
        }
        for rows, step, rate, u in (
            (drift, values["step"] / scale, values["rate"] / scale, unit),
            (growth, values["spread"] ** 2, values["growth"] ** 2, "S²"),
        ):
            started = {"step_rate": given(rate / exponent, u)} if exponent > 0 else {}
            rows.append(
                LevelLaw(level=row.level, step=given(step, u), rate=given(rate, u), **started)
            )
    block = TemperatureCard(
        reference_temperature=r.temperature,
        reference_time=r.reference_time,
        longest_time=r.longest_time,
        drift=law(drift, domain),
        growth=law(growth, "linear"),
    )
    return seal(card.model_copy(update={"temperature": block}))


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
