"""Distributions of cells as tables: all that one draw of a cell can come to, for one gather a cell.

Training draws every cell anew at every step. What a cell asked for level k then shows is one number
of one distribution, so cell by cell a row of `ENTRIES` equally likely conductances is enough:

    level k       the state after programming, aged, d2d and c2c in one
    failed k      left where a failed programming leaves it
    stuck low, stuck high, dead

One random integer picks both the row (its upper bits: faulty, or not) and the entry (its lower
bits). A distribution's mean and variance are kept to about 1e-3 of its spread.

Against the sampler of `rramfit.array.devices.chips`: a tile's smooth field is one for all levels,
of their mean share and length; hard and soft failures are one, for no cell is asked twice. Fitted,
replayed and given chips are not drawn here, but by that sampler.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rramfit.array.devices.device_model import DeviceModel
from rramfit.array.devices.fields import smooth_fields
from rramfit.array.devices.quantiles import interpolate
from rramfit.streams import torch_stream

__all__ = ["CellDistributions", "cell_distributions"]

ENTRY_BITS = 12
ENTRIES = 2**ENTRY_BITS
FAULT_BITS = 19
"""Bits of one random integer that say what becomes of a cell: probabilities in steps of 2e-6."""

SAMPLES = 2**19
"""Draws of a level from which a table is made where a distribution has no quantiles in closed form."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CellDistributions:
    """What cells come to.

    Attributes
    ----------
    table : (row · ENTRIES,) tensor
        [S] rows: levels, failed ones, stuck low, stuck high, dead.
    failing : (level,) int32 tensor
        Of 2^FAULT_BITS: stuck low, then stuck high, then failed, summed.
    """

    model: DeviceModel
    table: Tensor
    stuck_low: int
    stuck_high: int
    failing: Tensor
    field: tuple[float, float]  # of z: standard deviation of the smooth part, its length

    def draw(
        self, level: Tensor, generator: torch.Generator, *, strength: float = 1.0
    ) -> tuple[Tensor, Tensor | None]:
        """Draw cells once.

        Parameters
        ----------
        level : (tile, row, col) int32 tensor
            Asked for; −1 where nothing is.
        generator : torch.Generator
        strength : float
            Share of every deviation and of every probability of a fault.

        Returns
        -------
        conductance : (tile, row, col) tensor
            [S]
        follows : (tile, row, col) bool tensor or None
            Cells that went where they were sent; None where all did.
        """
        m = self.model
        asked = level.clamp_min(0)
        bits = torch.randint(
            2 ** (ENTRY_BITS + FAULT_BITS),
            level.shape,
            generator=generator,
            dtype=torch.int32,
            device=level.device,
        )
        row, follows = asked, None
        if int(self.failing.max()) > 0:
            u = bits >> ENTRY_BITS
            if strength < 1:
                u = (u / max(strength, 1e-6)).clamp_max(2**FAULT_BITS).int()
            follows = u >= self.failing.index_select(0, asked.flatten()).view_as(asked)
            kind = asked + m.n_levels
            kind = torch.where(u < self.stuck_high, 2 * m.n_levels + 1, kind)
            kind = torch.where(u < self.stuck_low, 2 * m.n_levels, kind)
            row = torch.where(follows, asked, kind)
        entry = bits & (ENTRIES - 1)
        if self.field[0] > 0:
            entry = self._with_field(entry, generator)
        if m.faults.dead_rows or m.faults.dead_cols:
            row, follows = self._with_dead_lines(row, follows, generator, strength)
        index = (row << ENTRY_BITS) + entry
        found = self.table.index_select(0, index.flatten()).view(level.shape)
        if "trend" in m.factors and bool((m.row_trend != 0).any() | (m.col_trend != 0).any()):
            found = found + self._trend(asked)
        if strength < 1:
            mean = m.mean.index_select(0, asked.flatten()).view(level.shape)
            moved = torch.lerp(mean, found, strength)
            found = moved if follows is None else torch.where(follows, moved, found)
        return found.clamp_min_(0), follows

    def _with_field(self, entry: Tensor, generator: torch.Generator) -> Tensor:
        """Entries whose latent values have a smooth part."""
        share, length = self.field
        tiles, rows, cols = entry.shape
        one = torch.ones(1, 1, dtype=self.model.dtype, device=entry.device)
        smooth = smooth_fields(
            (rows, cols), (length,), count=tiles, mixing=one, generator=generator
        )[:, 0]
        white = torch.special.ndtri((entry + 0.5) / ENTRIES)
        z = share * smooth + math.sqrt(1 - share**2) * white
        out: Tensor = (torch.special.ndtr(z) * ENTRIES).int().clamp_max_(ENTRIES - 1)
        return out

    def _with_dead_lines(
        self, row: Tensor, follows: Tensor | None, generator: torch.Generator, strength: float
    ) -> tuple[Tensor, Tensor]:
        f = self.model.faults
        tiles, rows, cols = row.shape
        u = torch.rand((tiles, rows + cols), generator=generator, device=row.device)
        dead = (u[:, :rows, None] < strength * f.dead_rows) | (
            u[:, None, rows:] < strength * f.dead_cols
        )
        row = torch.where(dead, 2 * self.model.n_levels + 2, row)
        return row, ~dead if follows is None else follows & ~dead

    def _trend(self, level: Tensor) -> Tensor:
        m = self.model
        rows, cols = level.shape[-2:]
        r = torch.arange(rows, device=m.device, dtype=m.dtype) - (rows - 1) / 2
        c = torch.arange(cols, device=m.device, dtype=m.dtype) - (cols - 1) / 2
        return m.row_trend[level] * r[:, None] + m.col_trend[level] * c


def cell_distributions(model: DeviceModel, *, time: float = 0.0) -> CellDistributions:
    """Make the tables of a device model's cells.

    Parameters
    ----------
    model : DeviceModel
        With the factors that are on.
    time : float
        [s] since programming.
    """
    f, levels = model.faults, model.n_levels
    z = torch.special.ndtri((torch.arange(ENTRIES, dtype=torch.float64) + 0.5) / ENTRIES).to(
        model.mean
    )
    states = [_state_table(model, k, z, time) for k in range(levels)]
    median = model.quantiles[0, model.quantiles.shape[1] // 2]
    ratio = torch.nan_to_num(f.failed_median / median, nan=1.0)
    failed = [states[0] * ratio[k] for k in range(levels)]
    low = f.low_conductance * torch.exp(f.low_spread * z)
    high = f.high_conductance * torch.exp(f.high_spread * z)
    stuck = "stuck" in model.factors
    p_low, p_high = (f.stuck_low, f.stuck_high) if stuck else (0.0, 0.0)
    fails = (f.hard + (1 - f.hard) * f.soft).double().cpu()
    if "failure" not in model.factors:
        fails = torch.zeros_like(fails)
    steps = 2**FAULT_BITS
    failing = (p_low + p_high + (1 - p_low - p_high) * fails) * steps
    if "dead_lines" not in model.factors:
        model = _without_dead_lines(model)
    return CellDistributions(
        model=model,
        table=torch.cat([*states, *failed, low, high, torch.zeros_like(low)]),
        stuck_low=round(p_low * steps),
        stuck_high=round((p_low + p_high) * steps),
        failing=failing.round().int().to(model.device),
        field=_field(model),
    )


def _without_dead_lines(model: DeviceModel) -> DeviceModel:
    faults = dataclasses.replace(model.faults, dead_rows=0.0, dead_cols=0.0)
    return dataclasses.replace(model, faults=faults)


def _state_table(model: DeviceModel, level: int, z: Tensor, time: float) -> Tensor:
    """Equally likely conductances of one level, rising, (ENTRIES,) [S]."""
    a = model.ageing
    aged = "retention" in model.factors and time >= a.reference_time > 0
    both = {"d2d", "c2c"} <= model.factors
    if both and not aged:
        return interpolate(model.quantiles, torch.tensor(level, device=z.device), z)
    generator = torch_stream(level, "cell distributions", device=model.device)
    d, e, first, step = torch.randn(
        (4, SAMPLES), generator=generator, device=model.device, dtype=model.dtype
    )
    state = model.state(torch.full((SAMPLES,), level, device=model.device), d, e)
    if aged:
        passed = math.log(time / a.reference_time)
        state = state + a.first_step[level] + a.first_spread[level] * first
        state = state + a.drift[level] * passed + a.growth[level] * math.sqrt(passed) * step
    each = SAMPLES // ENTRIES
    return state.sort().values.reshape(ENTRIES, each).mean(1)


def _field(model: DeviceModel) -> tuple[float, float]:
    """Smooth part of z, and its length; 0 where there is none."""
    lengths = [x for x in model.levels.lengths if x]
    if not {"field", "d2d"} <= model.factors or not lengths:
        return 0.0, 0.0
    between = model.between if "c2c" in model.factors else torch.ones_like(model.between)
    return float((between * model.share.sqrt()).mean()), sum(lengths) / len(lengths)
