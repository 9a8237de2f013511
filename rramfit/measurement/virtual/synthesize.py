"""Virtual chips: a synthetic measurement drawn from a card, with its true parameters.

`rramfit.array.devices` draws the chip. This module simulates the test: the sequence of target
levels, the instrument with its offset and rails, and missing readings. By default the card's
families describe accepted conductances, and acceptance is drawn independently. `verified` is
therefore always written; a verify window only decides whether a stuck cell is accepted.
`rramfit.measurement.virtual.mess.Mess` switches on what real arrays have besides a card's model.

Conductances are rounded to float32, as in files. Every random stream has its own name, so that
adding a group or a factor does not change the others. Programs of more than `IN_MEMORY` readings
are drawn block by block when they are read, with the same result every time.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rramfit.card.schema import ModelCard
from rramfit.errors import ArrayError
from rramfit.measurement.file.in_memory import program_in_memory
from rramfit.measurement.file.record import (
    ArrayIdentity,
    Floats,
    Integers,
    Levels,
    Measurement,
    Program,
    SweepBlock,
)
from rramfit.measurement.virtual.endurance import with_weibull_lives
from rramfit.measurement.virtual.groups import drawn_groups
from rramfit.measurement.virtual.mess import Mess
from rramfit.measurement.virtual.messy_chip import MessyChip, messy_chip
from rramfit.measurement.virtual.switching import switching_truth
from rramfit.measurement.virtual.telegraph import telegraph_truth
from rramfit.measurement.virtual.tester import Instrument, Plan, level_pattern, session_factors
from rramfit.measurement.virtual.truth import truth
from rramfit.streams import stream, torch_stream

if TYPE_CHECKING:
    from torch import Tensor

    from rramfit.array.devices.chips import Chips

__all__ = ["GROUPS", "synthesize", "virtual_chip"]

GROUPS = (
    "program",
    "reads",
    "retention",
    "iv",
    "mvm",
    "readout",
    "endurance",
    "pulses",
    "attempts",
)
"""Groups that can be synthesized."""

IN_MEMORY = 2**22
"""Largest number of readings kept in memory; larger programs are drawn when they are read."""


def virtual_chip(card: ModelCard, *, rows: int, cols: int, seed: int) -> Chips:
    """Draw the chip that `synthesize` measures, with its true deviations and faults."""
    import torch

    from rramfit.array.devices.chips import draw_chips
    from rramfit.array.devices.device_model import DeviceModel

    model = DeviceModel.from_card(card, dtype=torch.float64)
    return draw_chips(model, 1, shape=(rows, cols), generator=torch_stream(seed, "chip"))


def synthesize(
    card: ModelCard,
    *,
    rows: int | None = None,
    cols: int | None = None,
    sweeps: int = 24,
    seed: int = 0,
    groups: Collection[str] = ("program",),
    instrument: Instrument | None = None,
    plan: Plan | None = None,
    mess: Mess | None = None,
    array_id: str | None = None,
    measured_at: str | None = None,
) -> Measurement:
    """Draw and measure a virtual chip.

    Parameters
    ----------
    card : ModelCard
    rows, cols : int, optional
        Default: the size of the card's array.
    sweeps : int
        Number of programming sweeps; `tester` defines the order of levels.
    seed : int
    groups : collection of str
        From `GROUPS`. A part that the card does not have is ideal: without retention cells do not
        drift, without line resistance column currents are exact sums.
    instrument : Instrument, optional
    plan : Plan, optional
        Sizes of the optional groups.
    mess : Mess, optional
        What the chip has besides the card's model; nothing by default.
    array_id : str, optional
    measured_at : str, optional
        ISO 8601 with zone; only recorded.

    Returns
    -------
    Measurement
        With the truth: population values by card path, and the faults of this chip.

    Raises
    ------
    ArrayError
        If the card has no levels, a group is unknown or needs a missing part of the card, or a
        count is not positive.
    """
    rows, cols = rows or card.array.rows, cols or card.array.cols
    unknown = [g for g in groups if g not in GROUPS]
    if unknown:
        msg = f"cannot synthesize group {unknown[0]!r}; choose from {', '.join(GROUPS)}"
        raise ArrayError(msg)
    if min(rows, cols, sweeps) < 1:
        msg = f"rows = {rows}, cols = {cols}, sweeps = {sweeps}; each must be at least 1"
        raise ArrayError(msg)
    for group in ("readout", "endurance"):
        if group in groups and getattr(card, group) is None:
            msg = f"card {card.name!r} has no {group}, which the group /{group} needs"
            raise ArrayError(msg)
    instrument, plan = instrument or Instrument(), plan or Plan()
    if plan.life is not None:
        card = with_weibull_lives(card, *plan.life)
    voltage = card.domain.read_voltage
    read_voltage = instrument.read_voltage if voltage is None else voltage.value
    chip = messy_chip(virtual_chip(card, rows=rows, cols=cols, seed=seed), mess or Mess(), seed)
    levels = _levels(card, chip.chip)
    program = None
    if "program" in groups:
        drawn = _DrawnSweeps(chip=chip, count=sweeps, instrument=instrument, seed=seed)
        program = _program(drawn, read_voltage=read_voltage, levels=levels)
    temperature = card.domain.temperature
    return Measurement(
        path=None,
        identity=ArrayIdentity(
            array_id=array_id or f"{card.name}-{seed}",
            cell=card.array.cell,
            technology=card.array.technology,
            instrument="virtual",
            comment=f"drawn from card {card.name} {card.revision}, seed {seed}",
            measured_at=measured_at,
            temperature=instrument.temperature if temperature is None else temperature.value,
            synthetic=True,
        ),
        rows=rows,
        cols=cols,
        levels=levels,
        program=program,
        truth=_of_sessions(
            _of_telegraph(
                {
                    **truth(card, chip, groups=groups, instrument=instrument, seed=seed),
                    **switching_truth(groups, plan, levels),
                },
                plan,
            ),
            plan,
            seed,
        ),
        **drawn_groups(
            card,
            chip,
            groups=groups,
            instrument=instrument,
            plan=plan,
            levels=levels,
            read_voltage=read_voltage,
            seed=seed,
        ),
    )


def _of_telegraph(values: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """Add dwell times; leave out what a record of some dwell times does not determine."""
    if not plan.telegraph_dwell or "telegraph" not in values.get("mess", {}):
        return values
    unknown = (".read", ".c2c", ".d2d", ".std")
    kept = {name: value for name, value in values.items() if not name.endswith(unknown)}
    return kept | telegraph_truth(plan)


def _of_sessions(values: dict[str, Any], plan: Plan, seed: int) -> dict[str, Any]:
    """Add what sessions are; leave out what they add to, the noise of reads."""
    if plan.sessions < 2:
        return values
    factor = session_factors(plan, seed)
    kept = {
        name: value
        for name, value in values.items()
        if name.startswith("read_noise.disturb.")
        or (not name.startswith("read_noise.") and not name.endswith((".read", ".c2c")))
    }
    for k in range(len(values)):
        if f"levels[{k}].mean" in values:
            kept |= _gauge_truth(values, k, plan.session_spread, factor)
    return kept


def _gauge_truth(
    values: Mapping[str, Any], level: int, spread: float, factor: Floats
) -> dict[str, float]:
    """Return the components of a level [S], whose readings differ by a factor between sessions.

    Noise and the differences between cells are multiplied too, all by the same factors: what a
    chip shows of both is that of the factors drawn.
    """
    mean, v = values[f"levels[{level}].mean"], f"variation[{level}]"
    cells = math.hypot(values[f"{v}.d2d"], values[f"{v}.c2c"])
    repeatability = values[f"{v}.read"] * math.sqrt(float(np.mean(factor**2)))
    interaction = cells * float(np.std(factor, ddof=1))
    reproducibility = spread * math.hypot(mean, cells)
    gauge = math.hypot(repeatability, reproducibility)
    found = {
        "mean": mean,
        "repeatability": repeatability,
        "session": spread * mean,
        "interaction": interaction,
        "reproducibility": reproducibility,
        "gauge": gauge,
        "cells": cells,
        "share": gauge**2 / (gauge**2 + cells**2),
    }
    return {f"gauge.levels[{level}].{name}": value for name, value in found.items()}


def _levels(card: ModelCard, chip: Chips) -> Levels:
    def window(edge: Tensor) -> Floats | None:
        values: Floats = edge.numpy().copy()
        return values if np.isfinite(values).all() else None

    return Levels(
        target=chip.model.target.numpy().copy(),
        lower=window(chip.model.lower),
        upper=window(chip.model.upper),
        names=tuple(level.name for level in card.levels),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _DrawnSweeps:
    """Draws programming sweeps block by block, with the same result in every pass."""

    chip: MessyChip
    count: int
    instrument: Instrument
    seed: int

    def __call__(self, sweeps: int) -> Iterator[SweepBlock]:
        for first in range(0, self.count, sweeps):
            drawn = [self._sweep(t) for t in range(first, min(first + sweeps, self.count))]
            conductance, level, accepted, pulses = zip(*drawn, strict=True)
            yield SweepBlock(
                first=first,
                conductance=np.stack(conductance),
                level=np.stack(level),
                accepted=np.stack(accepted),
                pulses=None if self.instrument.max_pulses is None else np.stack(pulses),
            )

    def _sweep(self, t: int) -> tuple[Floats, Integers, NDArray[np.bool_], Integers]:
        import torch

        name = f"program/{t}"
        chip = self.chip
        level = level_pattern(chip.chip.model.n_levels, t, chip.shape, seed=self.seed)
        state = chip.program(level, name)
        reading = chip.read(state, torch_stream(self.seed, f"{name}/read"), name)
        if chip.mess.sweep_drift:
            reading = reading * torch.from_numpy(chip.drift(name))
        accepted: NDArray[np.bool_] = state.programmed.accepted[0].numpy()
        conductance = self.instrument.measure(reading, self.seed, name)
        return conductance, level, accepted, self._pulses(accepted, name)

    def _pulses(self, accepted: NDArray[np.bool_], name: str) -> Integers:
        """Draw pulse counts: geometric for accepted cells, the full budget for others."""
        budget = self.instrument.max_pulses
        if budget is None:
            return np.zeros(0, dtype=np.int64)
        drawn = stream(self.seed, f"{name}/pulses").geometric(min(4 / budget, 1.0), accepted.shape)
        used: Integers = np.where(accepted, np.minimum(drawn, budget), budget)
        return used


def _program(drawn: _DrawnSweeps, *, read_voltage: float, levels: Levels) -> Program:
    rows, cols = drawn.chip.shape
    if drawn.count * rows * cols > IN_MEMORY:
        return Program(
            shape=(drawn.count, rows, cols),
            levels_known=True,
            acceptance="verified",
            read_voltage=read_voltage,
            max_pulses=drawn.instrument.max_pulses,
            open_blocks=drawn,
        )
    block = next(drawn(drawn.count))
    return program_in_memory(
        block.conductance,
        read_voltage=read_voltage,
        level=block.level,
        verified=block.accepted,
        pulses=block.pulses,
        max_pulses=drawn.instrument.max_pulses,
        levels=levels,
    )
