"""The true parameters of a virtual chip, which every fit should recover.

Population values have the key paths of a card fitted to the file. They are computed from the model
by Hermite series and quadrature, not from the drawn chip. They apply to arrays of the chip's size
(a trend causes more d2d on a larger array) and to readings of the instrument (an offset shifts
every mean; rails have no effect, because a fit treats clipped readings as bounds). Without
`/reads`, c2c includes the read noise, as in a card.

Distribution parameters are included only if they have a closed form;
`rramfit.measurement.virtual.distribution_truth.distribution_truth` computes those of any family.

The faults of the drawn chip are under `realised`.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from rramfit.card.cells import Fault
from rramfit.card.quantity import Quantity
from rramfit.card.schema import ModelCard
from rramfit.measurement.virtual.distribution_truth import direct_parameters
from rramfit.measurement.virtual.tester import Instrument

if TYPE_CHECKING:
    from rramfit.array.devices.chips import Chips

__all__ = ["failure_probability", "truth"]


def truth(
    card: ModelCard,
    chip: Chips,
    *,
    groups: Collection[str],
    instrument: Instrument,
    seed: int,
) -> dict[str, Any]:
    """Return population values by card path, and the faults of the chip, as JSON values.

    Parameters
    ----------
    card : ModelCard
    chip : Chips
        One chip drawn from the card.
    groups : collection of str
        Groups in the file.
    instrument : Instrument
    seed : int
    """
    out: dict[str, Any] = {
        **_level_truth(chip, instrument=instrument, reads="reads" in groups),
        **_failure_truth(chip),
        **_electrical_truth(card),
    }
    p = chip.model.levels
    for k in range(len(p.mean)):
        distribution = card.levels[k].distribution
        if distribution is None:
            continue
        out[f"levels[{k}].distribution.family"] = distribution.family
        for name, value in direct_parameters(card, p, k, chip.shape, instrument.offset).items():
            out[f"levels[{k}].distribution.parameters.{name}"] = value
    out["realised"] = _realised(chip)
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
        for j in range(k):
            out[f"variation_correlation[{j}][{k}]"] = e.correlation[j, k]
    return {path: float(value) for path, value in out.items()}


def failure_probability(chip: Chips, level: int) -> float:
    """Return P(not accepted | level) over all measured cells, including stuck and dead ones.

    A stuck cell is accepted if its lognormal conductance is inside the level's verify window.
    """
    m, f = chip.model, chip.model.faults
    alive = (1 - f.dead_rows) * (1 - f.dead_cols)
    takes = (1 - float(f.hard[level])) * (1 - float(f.soft[level]))
    low, high = float(m.lower[level]), float(m.upper[level])
    passes = f.stuck_low * _inside(f.low_conductance, f.low_spread, low, high)
    passes += f.stuck_high * _inside(f.high_conductance, f.high_spread, low, high)
    return 1 - alive * ((1 - f.stuck_low - f.stuck_high) * takes + passes)


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
        "stuck.low_conductance": f.low_conductance,
        "stuck.high_conductance": f.high_conductance,
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
    for i, aged in enumerate(card.retention.levels if card.retention else ()):
        for name in ("first_step", "first_spread", "drift", "growth"):
            if (quantity := getattr(aged, name)) is not None:
                out[f"retention.levels[{i}].{name}"] = quantity.value
    return out


def _realised(chip: Chips) -> dict[str, Any]:
    fault = chip.fault[0].numpy()
    alive = fault == Fault.OK

    def cells(code: Fault) -> list[list[int]]:
        found: list[list[int]] = np.argwhere(fault == code).tolist()
        return found

    return {
        "stuck_low": cells(Fault.STUCK_LOW),
        "stuck_high": cells(Fault.STUCK_HIGH),
        "dead_rows": np.flatnonzero((fault == Fault.DEAD_ROW).any(axis=1)).tolist(),
        "dead_cols": np.flatnonzero((fault == Fault.DEAD_COL).any(axis=0)).tolist(),
        "healthy_cells": int(alive.sum()),
        "hard_failures": [int((h & alive).sum()) for h in chip.hard[0].numpy()],
    }
