"""The true parameters of a virtual chip, which every fit should recover.

Population values have the key paths of a card fitted to the file. They are computed from the model
by Hermite series and quadrature, not from the drawn chip. They apply to arrays of the chip's size
(a trend causes more d2d on a larger array) and to readings of the instrument (an offset shifts
every mean; rails have no effect, because a fit treats clipped readings as bounds). Without
`/reads`, c2c includes the read noise, as in a card.

Distribution parameters are included only if they have a closed form;
`rramfit.measurement.virtual.distribution_truth.distribution_truth` computes those of any family.

The faults of the drawn chip are under `realised`. With mess, `mess` lists the kinds that are on;
their effect on the population is in all values (`rramfit.measurement.virtual.mess_truth`). Standard
deviations over lines have paths such as `variation[0].lines[col,4].std`, by axis and period.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from rramfit.card.cells import Fault
from rramfit.card.conditions.wear import life_parameters
from rramfit.card.quantity import Quantity
from rramfit.card.schema import ModelCard
from rramfit.measurement.virtual.distribution_truth import direct_parameters
from rramfit.measurement.virtual.endurance import endurance_failed, failed_by_life
from rramfit.measurement.virtual.mess import TELEGRAPH
from rramfit.measurement.virtual.mess_truth import (
    Moments,
    factor_variance,
    messy_moments,
    realised_mess,
    stuck_kinds,
    stuck_shares,
)
from rramfit.measurement.virtual.messy_chip import MessyChip
from rramfit.measurement.virtual.tester import Instrument

if TYPE_CHECKING:
    from rramfit.array.devices.chips import Chips
    from rramfit.array.devices.stuck_cells import StuckState

__all__ = ["failure_probability", "truth"]


def truth(
    card: ModelCard,
    messy: MessyChip,
    *,
    groups: Collection[str],
    instrument: Instrument,
    seed: int,
) -> dict[str, Any]:
    """Return population values by card path, and the faults of the chip, as JSON values.

    Parameters
    ----------
    card : ModelCard
    messy : MessyChip
        One chip drawn from the card, with its mess.
    groups : collection of str
        Groups in the file.
    instrument : Instrument
    seed : int
    """
    chip, mess = messy.chip, messy.mess
    reads = "reads" in groups
    out: dict[str, Any] = {
        **_level_truth(chip, instrument=instrument, reads=reads),
        **_failure_truth(chip),
        **_electrical_truth(card),
    }
    p = chip.model.levels
    for k in range(len(p.mean)):
        distribution = card.levels[k].distribution
        if distribution is None:
            continue
        out[f"levels[{k}].distribution.family"] = distribution.family
        found = direct_parameters(card, p, k, chip.shape, instrument.offset, mess=mess)
        for name, value in found.items():
            out[f"levels[{k}].distribution.parameters.{name}"] = value
    out["realised"] = _realised(chip)
    if mess.kinds:
        levels = _messy_levels(messy, instrument=instrument, reads=reads)
        out |= levels | _messy_failure(messy, levels)
        out = _messy_groups(out, messy)
        out["realised"] |= realised_mess(messy)
        out["mess"] = mess.kinds
    out["made_from"] = {"card": card.name, "digest": card.digest, "seed": seed}
    out["assumptions"] = list(chip.model.assumptions)
    out["instrument"] = {
        name: getattr(instrument, name) for name in ("offset", "floor", "ceiling", "missing")
    }
    return out


def _level_truth(chip: Chips, *, instrument: Instrument, reads: bool) -> dict[str, float]:
    from rramfit.array.devices.parameters import estimands

    p = chip.model.levels
    e = estimands(p, chip.shape)
    c2c = e.c2c if reads else np.hypot(e.c2c, e.read)
    out: dict[str, float] = {}
    for k in range(len(e.mean)):
        v = f"variation[{k}]"
        out[f"levels[{k}].mean"] = e.mean[k] + instrument.offset
        out[f"levels[{k}].std"] = e.std[k]
        out[f"{v}.d2d"], out[f"{v}.c2c"], out[f"{v}.read"] = e.d2d[k], c2c[k], e.read[k]
        out[f"{v}.spatial.row_trend"] = p.row_trend[k]
        out[f"{v}.spatial.col_trend"] = p.col_trend[k]
        out[f"{v}.spatial.share"] = e.share[k]
        if e.share[k] > 0:
            out[f"{v}.spatial.correlation_length"] = e.lengths[k]
        for (axis, period), std in e.lines.items():
            if std[k] > 0:
                out[f"{v}.lines[{axis},{period}].std"] = std[k]
        for j in range(k):
            out[f"variation_correlation[{j}][{k}]"] = e.correlation[j, k]
    return {path: float(value) for path, value in out.items()}


def _messy_levels(messy: MessyChip, *, instrument: Instrument, reads: bool) -> dict[str, float]:
    """Return the level and variation values that mess changes."""
    from rramfit.array.devices.parameters import estimands

    e = estimands(messy.chip.model.levels, messy.shape)
    m = messy_moments(Moments.of(e), messy.mess)
    c2c = m.cycles if reads else m.cycles + m.read
    out: dict[str, float] = {}
    for k in range(len(m.mean)):
        v = f"variation[{k}]"
        out[f"levels[{k}].mean"] = m.mean[k] + instrument.offset
        out[f"levels[{k}].std"] = math.sqrt(m.total[k])
        for name, variance in (("d2d", m.between), ("c2c", c2c), ("read", m.read)):
            out[f"{v}.{name}"] = math.sqrt(variance[k])
        out[f"{v}.spatial.share"] = m.sill[k] / m.between[k] if m.between[k] else 0.0
        for (axis, period), variance in m.lines.items():
            if variance[k] > 0:
                out[f"{v}.lines[{axis},{period}].std"] = math.sqrt(variance[k])
        for j in range(k):
            out[f"variation_correlation[{j}][{k}]"] = m.correlation[j, k]
    return {path: float(value) for path, value in out.items()}


def _messy_failure(messy: MessyChip, levels: Mapping[str, float]) -> dict[str, float]:
    """Return stuck cells and failure probabilities with the faults of the mess.

    Parameters
    ----------
    messy : MessyChip
    levels : mapping
        Values of levels and variation, with mess.
    """
    chip, share = messy.chip, stuck_shares(messy)
    f, m = chip.model.faults, chip.model
    alive = (1 - f.dead_rows) * (1 - f.dead_cols)
    out = {"stuck.low": share.low, "stuck.high": share.high}
    read = np.square([levels[f"variation[{k}].read"] for k in range(m.n_levels)])
    out |= {f"stuck.{name}": value for name, value in stuck_kinds(messy, read).items()}
    for k in range(m.n_levels):
        of_card = (1 - failure_probability(chip, k)) / alive if alive else 0.0
        inside = _stuck_inside(f.stuck[Fault.STUCK_LOW], float(m.lower[k]), float(m.upper[k]))
        accepted = alive * (share.rest * of_card + share.new_low * inside)
        out[f"failure[{k}].probability"] = 1 - accepted
    return out


def _messy_groups(out: dict[str, Any], messy: MessyChip) -> dict[str, Any]:
    """Return the truth with the values of groups that mess changes; undefined ones are removed."""
    mess = messy.mess
    undefined: set[str] = set()
    if mess.moving_stuck:
        undefined |= {"stuck.low_conductance", "stuck.high_conductance"}
    if mess.telegraph:
        out["read_noise.telegraph_share"] = mess.telegraph
        out["read_noise.telegraph_amplitude"] = sum(TELEGRAPH) / 2
    if mess.off_level:
        undefined.add("endurance.failed")
    if mess.telegraph or mess.column_gain:
        undefined |= {"read_noise.coefficient", "read_noise.exponent"}
        undefined |= {p for p in out if p.endswith((".first_spread", ".growth"))}
    if factor_variance(mess, "column_gain"):
        undefined |= {p for p in out if p.startswith("endurance.") and p.endswith(".std")}
    return {path: value for path, value in out.items() if path not in undefined}


def failure_probability(chip: Chips, level: int) -> float:
    """Return P(not accepted | level) over all measured cells, including stuck and dead ones.

    A stuck cell is accepted if its lognormal conductance is inside the level's verify window.
    """
    m, f = chip.model, chip.model.faults
    alive = (1 - f.dead_rows) * (1 - f.dead_cols)
    takes = (1 - float(f.hard[level])) * (1 - float(f.soft[level]))
    low, high = float(m.lower[level]), float(m.upper[level])
    passes = sum(x.share * _stuck_inside(x, low, high) for x in f.stuck.values())
    return 1 - alive * ((1 - f.stuck_share) * takes + passes)


def _stuck_inside(x: StuckState, low: float, high: float) -> float:
    """Return P(a stuck cell reads from `low` to `high`); 0 without a window."""
    fixed = _inside(x.conductance, x.spread, low, high)
    median = x.conductance * math.exp(-0.5 * x.motion**2)
    moving = _inside(median, math.hypot(x.spread, x.motion), low, high)
    return (1 - x.moving) * fixed + x.moving * moving


def _inside(median: float, spread: float, low: float, high: float) -> float:
    """Return P(low <= median·exp(spread·ε) <= high); 0 without a window."""
    if not (math.isfinite(low) and math.isfinite(high)) or median <= 0:
        return 0.0
    if spread == 0:
        return float(low <= median <= high)

    def below(edge: float) -> float:
        if edge <= 0:
            return 0.0
        return 0.5 * math.erfc(-math.log(edge / median) / (spread * math.sqrt(2)))

    return below(high) - below(low)


def _failure_truth(chip: Chips) -> dict[str, float]:
    f = chip.model.faults
    out = {
        "stuck.low": f.stuck_low,
        "stuck.high": f.stuck_high,
        "stuck.dead_rows": f.dead_rows,
        "stuck.dead_cols": f.dead_cols,
        "stuck.low_conductance": f.stuck[Fault.STUCK_LOW].conductance,
        "stuck.high_conductance": f.stuck[Fault.STUCK_HIGH].conductance,
        "stuck.middle": f.stuck[Fault.STUCK_MIDDLE].share,
    }
    for k in range(chip.model.n_levels):
        out[f"failure[{k}].probability"] = failure_probability(chip, k)
        out[f"failure[{k}].hard"] = float(f.hard[k])
        out[f"failure[{k}].soft"] = float(f.soft[k])
    return out


def _electrical_truth(card: ModelCard) -> dict[str, float]:
    """Return the card's quantities of iv, line, read noise, retention and readout."""
    out: dict[str, float] = {}
    for part in ("iv", "line", "read_noise", "readout"):
        part_card = getattr(card, part)
        for name in type(part_card).model_fields if part_card is not None else ():
            if isinstance(quantity := getattr(part_card, name), Quantity):
                out[f"{part}.{name}"] = quantity.value
    disturb = card.read_noise.disturb if card.read_noise else None
    for i, moved in enumerate(disturb.levels if disturb else ()):
        out[f"read_noise.disturb.levels[{i}].rate"] = moved.rate.value
    for i, aged in enumerate(card.retention.levels if card.retention else ()):
        for name in ("first_step", "first_spread", "drift", "growth"):
            if (quantity := getattr(aged, name)) is not None:
                out[f"retention.levels[{i}].{name}"] = quantity.value
    if card.temperature is not None:
        for name, law in (("drift", card.temperature.drift), ("growth", card.temperature.growth)):
            if law is not None and law.activation_energy is not None:
                out[f"temperature.{name}.activation_energy"] = law.activation_energy.value
                out[f"temperature.{name}.exponent"] = law.exponent.value
    out |= _endurance_truth(card)
    return out


def _endurance_truth(card: ModelCard) -> dict[str, float]:
    """Return the card's endurance; slopes only without failing cells, which change them."""
    out: dict[str, float] = {}
    part = card.endurance
    if part is None:
        return out
    fails = failed_by_life(part) > 0
    for i, state in enumerate(part.states):
        for name in ("mean", "std", "drift", "growth"):
            quantity: Quantity | None = getattr(state, name)
            if quantity is not None and not (fails and name in ("drift", "growth")):
                out[f"endurance.states[{i}].{name}"] = quantity.value
    for name in ("window", "window_loss"):
        if (quantity := getattr(part, name)) is not None and not (fails and name == "window_loss"):
            out[f"endurance.{name}"] = quantity.value
    if len(part.states) > 1:
        out["endurance.failed"] = endurance_failed(part)
    if part.life is not None and part.life.family is not None:
        family, mu, sigma = life_parameters(part.life)
        place = f"endurance.life.families[{0 if family == 'weibull' else 1}].parameters"
        names = ("scale", "shape") if family == "weibull" else ("median", "sigma")
        z = math.log(-math.log1p(-0.01)) if family == "weibull" else float(special.ndtri(0.01))
        out[f"{place}.{names[0]}"] = math.exp(mu)
        out[f"{place}.{names[1]}"] = 1 / sigma if family == "weibull" else sigma
        out["endurance.life.cycles_to_1pct"] = math.exp(mu + sigma * z)
        out["endurance.life.surviving"] = 1 - failed_by_life(part)
        whole = sum(m.incidence.value for m in part.life.modes)
        for m in part.life.modes if whole > 0 else ():
            at = ("stuck low", "stuck high", "window closure").index(m.mode)
            share = failed_by_life(part) * m.incidence.value / whole
            out[f"endurance.life.modes[{at}].incidence"] = share
    return out


def _realised(chip: Chips) -> dict[str, Any]:
    fault = chip.fault[0].numpy()
    alive = fault == Fault.OK

    def cells(code: Fault) -> list[list[int]]:
        found: list[list[int]] = np.argwhere(fault == code).tolist()
        return found

    middle = cells(Fault.STUCK_MIDDLE)
    return {
        **({"stuck_middle": middle} if middle else {}),
        "stuck_low": cells(Fault.STUCK_LOW),
        "stuck_high": cells(Fault.STUCK_HIGH),
        "dead_rows": np.flatnonzero((fault == Fault.DEAD_ROW).any(axis=1)).tolist(),
        "dead_cols": np.flatnonzero((fault == Fault.DEAD_COL).any(axis=0)).tolist(),
        "healthy_cells": int(alive.sum()),
        "hard_failures": [int((h & alive).sum()) for h in chip.hard[0].numpy()],
    }
