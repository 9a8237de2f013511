"""The group `/endurance` of a virtual measurement.

With x = log10(max(cycle, 1)) less that of the first point, the reading of cell c in state s is

    G = mean_s + drift_s·x + (std_s + growth_s·x)·(√½·z_cs + √½·ε)

with z the cell's own deviation and ε drawn afresh at every point, both standard normal. If the card
has a distribution of lives, every cell draws its life from it, and its mode of failure from the
incidence of the modes: from then on all states read as the lowest one (stuck low), as the highest
one (stuck high), or within a third of the window in its middle. Otherwise, a share `failed` of the
cells loses its window at a cycle count that is uniform in x, and is stuck low. Stuck cells and
cells in dead lines read their constant in every state; with the mess `off_level`, so do further
cells, at a conductance anywhere over the levels.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from rramfit.card.blocks.endurance import EnduranceCard, FailureMode, LifeCard, LifeFamily
from rramfit.card.cells import Fault
from rramfit.card.conditions.wear import life_parameters
from rramfit.card.quantity import Quantity
from rramfit.card.schema import ModelCard
from rramfit.measurement.file.record import Bools, Endurance, Floats, Integers
from rramfit.measurement.virtual import mess as kinds
from rramfit.measurement.virtual.messy_chip import MessyChip
from rramfit.measurement.virtual.tester import Instrument, Plan
from rramfit.streams import stream

__all__ = [
    "draw_endurance",
    "endurance_failed",
    "failed_by_life",
    "with_weibull_lives",
]

MODE_SHARES = {"stuck low": 0.3, "stuck high": 0.5, "window closure": 0.2}
"""Shares of the modes of failure of cells with `Plan.life`."""


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
    lost, mode = _lost(part, cycle, shape, seed)
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
        out[:, s] = g
    low, high = out[:, 0].copy(), out[:, -1].copy()
    for s in range(len(part.states)):
        third = (1 + s / max(len(part.states) - 1, 1)) / 3
        failed = np.select([mode == 0, mode == 1], [low, high], low + third * (high - low))
        out[:, s] = np.where(lost, failed, out[:, s])
    out = np.where(np.isfinite(fixed), fixed, out)
    if chip.mess.column_gain:
        out *= chip.gain
    order = np.argsort([state.state for state in part.states])
    readings = [
        [_measured(out[i, s], f"endurance/{i}/{s}", instrument, seed) for s in order]
        for i in range(len(cycle))
    ]
    return Endurance(conductance=np.array(readings), cycle=cycle)


def _lost(
    part: EnduranceCard, cycle: Integers, shape: tuple[int, int], seed: int
) -> tuple[Bools, Integers]:
    """Return which cells have failed at each point, (point, row, col), and how, (row, col)."""
    life = part.life
    if life is None or life.family is None:
        x = np.log10(cycle / cycle[0])[:, None, None]
        alive = stream(seed, "endurance/failed").random((2, *shape))
        share = part.failed.value if part.failed else 0.0
        lost = (alive[0] < share) & (x >= alive[1] * x[-1]) & (x > 0)
        return lost, np.zeros(shape, dtype=np.int64)
    family, mu, sigma = life_parameters(life)
    u = stream(seed, "endurance/life").random(shape)
    z = np.log(-np.log(u)) if family == "weibull" else -special.ndtri(u)
    incidence = np.array([max(m.incidence.value, 0.0) for m in life.modes] or [1.0])
    edges = np.cumsum(incidence / incidence.sum())[:-1]
    drawn = np.searchsorted(edges, stream(seed, "endurance/mode").random(shape), side="right")
    names = [m.mode for m in life.modes] or ["stuck low"]
    kinds = np.array([("stuck low", "stuck high", "window closure").index(n) for n in names])
    return cycle[:, None, None] >= np.exp(mu + sigma * z), kinds[drawn].astype(np.int64)


def with_weibull_lives(card: ModelCard, shape: float, scale: float) -> ModelCard:
    """Return a card whose cells have Weibull lives; they get stuck, or their window closes."""
    if card.endurance is None:
        return card
    share = 1 - math.exp(-((max(card.endurance.longest_cycle, 1) / scale) ** shape))
    one = scale * (-math.log1p(-0.01)) ** (1 / shape)
    life = LifeCard(
        cells=0,
        failures=0,
        family="weibull",
        families=[
            LifeFamily(
                family="weibull",
                parameters={
                    "shape": Quantity.given(shape, "1"),
                    "scale": Quantity.given(scale, "cycles"),
                },
                cycles_to_1pct=Quantity.given(one, "cycles"),
                log_likelihood=0.0,
            )
        ],
        cycles_to_1pct=Quantity.given(one, "cycles"),
        surviving=Quantity.given(1 - share, "1"),
        modes=[
            FailureMode.model_validate(
                {"mode": mode, "failures": 0, "incidence": Quantity.given(share * part, "1")}
            )
            for mode, part in MODE_SHARES.items()
        ],
    )
    endurance = card.endurance.model_copy(update={"life": life, "failed": None})
    return card.model_copy(update={"endurance": endurance})


def failed_by_life(part: EnduranceCard) -> float:
    """Return the share of cells whose drawn life ends by the longest cycle."""
    if part.life is None or part.life.family is None:
        return part.failed.value if part.failed else 0.0
    family, mu, sigma = life_parameters(part.life)
    z = (math.log(max(part.longest_cycle, 1)) - mu) / sigma
    return -math.expm1(-math.exp(z)) if family == "weibull" else float(special.ndtr(z))


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
    share = failed_by_life(part)
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
