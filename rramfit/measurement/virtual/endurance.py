"""The group `/endurance` of a virtual measurement.

With x = log10(max(cycle, 1)) less that of the first point, the reading of cell c in state s is

    G = mean_s + drift_s·x + (std_s + growth_s·x)·(√½·z_cs + √½·ε)

with z the cell's own deviation and ε drawn afresh at every point, both standard normal. A share
`failed` of the cells loses its window at a cycle count that is uniform in x; from then on, all
states read as the lowest one. Stuck cells and cells in dead lines read their constant in every
state; with the mess `off_level`, so do further cells, at a conductance anywhere over the levels.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from rramfit.card.cells import Fault
from rramfit.card.schema import EnduranceCard, ModelCard
from rramfit.measurement.file.record import Endurance, Floats
from rramfit.measurement.virtual import mess as kinds
from rramfit.measurement.virtual.messy_chip import MessyChip
from rramfit.measurement.virtual.tester import Instrument, Plan
from rramfit.streams import stream

__all__ = ["draw_endurance", "endurance_failed"]


def draw_endurance(
    card: ModelCard, chip: MessyChip, plan: Plan, *, instrument: Instrument, seed: int
) -> Endurance:
    """Switch every cell between the card's states, and read them at some cycle counts.

    Raises
    ------
    ValueError
        If the card has no endurance.
    """
    part = card.endurance
    if part is None or not part.states:
        msg = "the card has no endurance, so /endurance cannot be drawn"
        raise ValueError(msg)
    first, last = max(part.first_cycle, 1), max(part.longest_cycle, 1)
    cycle = np.unique(np.geomspace(first, last, plan.endurance_points).round().astype(np.int64))
    x = np.log10(cycle / first)
    shape = chip.shape
    fixed = _fixed(chip, seed)
    alive = stream(seed, "endurance/failed").random((2, *shape))
    share = part.failed.value if part.failed else 0.0
    lost = (alive[0] < share) & (x[:, None, None] >= alive[1] * x[-1]) & (x[:, None, None] > 0)
    out = np.empty((len(cycle), len(part.states), *shape))
    for s, state in enumerate(part.states):
        name = f"endurance/{s}"
        own = stream(seed, f"{name}/cell").standard_normal(shape)
        fresh = stream(seed, f"{name}/point").standard_normal((len(cycle), *shape))
        z = np.sqrt(0.5) * (own + fresh)
        drift = state.drift.value if state.drift else 0.0
        growth = state.growth.value if state.growth else 0.0
        mean, std = state.mean.value + drift * x, state.std.value + growth * x
        g = mean[:, None, None] + std[:, None, None] * z
        if s:
            g = np.where(lost, out[:, 0], g)
        out[:, s] = g
    out = np.where(np.isfinite(fixed), fixed, out)
    if chip.mess.column_gain:
        out *= chip.gain
    order = np.argsort([state.state for state in part.states])
    readings = [
        [_measured(out[i, s], f"endurance/{i}/{s}", instrument, seed) for s in order]
        for i in range(len(cycle))
    ]
    return Endurance(conductance=np.array(readings), cycle=cycle)


def endurance_failed(part: EnduranceCard) -> float:
    """Return the share of cells with less than half of their first window at the longest cycle.

    They are the card's failing cells, and those of the others whose window is that small by
    variation: with W and V the first and the last window, V − W/2 is normal and below 0.
    """
    x = math.log10(max(part.longest_cycle, 1) / max(part.first_cycle, 1))
    mean = variance = 0.0
    for sign, state in ((-1, part.states[0]), (1, part.states[-1])):
        drift = state.drift.value if state.drift else 0.0
        growth = state.growth.value if state.growth else 0.0
        first, last = state.std.value, state.std.value + growth * x
        mean += sign * (state.mean.value / 2 + drift * x)
        variance += last**2 + first**2 / 4 - first * last / 2  # half of a cell's deviation is kept
    by_variation = float(special.ndtr(-mean / math.sqrt(variance))) if variance > 0 else 0.0
    share = part.failed.value if part.failed else 0.0
    return share + (1 - share) * by_variation


def _fixed(chip: MessyChip, seed: int) -> Floats:
    """Return the conductance of cells that do not switch [S]; NaN for the others."""
    healthy = (chip.chip.fault[0].numpy() == Fault.OK) & (chip.fault == 0)
    level = np.zeros(chip.shape, dtype=np.int64)
    constant = chip.program(level, "endurance/fixed").programmed.conductance[0].numpy()
    out = np.where(healthy, np.nan, constant)
    if chip.mess.off_level:
        mean = chip.chip.model.levels.mean
        low, high = kinds.OFF_RANGE[0] * mean[0], kinds.OFF_RANGE[1] * mean[-1]
        u, place = stream(seed, "mess/off_level/endurance").random((2, *chip.shape))
        off = healthy & (u < chip.mess.off_level)
        out = np.where(off, low * (high / low) ** place, out)
    return out


def _measured(reading: Floats, name: str, instrument: Instrument, seed: int) -> Floats:
    import torch

    return instrument.measure(torch.from_numpy(reading), seed, name)
