"""Tables of cell conductance distributions, so that drawing a cell is one table look-up.

Training draws every cell at every step. The conductance of a cell with target level k is one sample
of one distribution, which a table row of `ENTRIES` equally likely conductances represents:

    level k       after programming and ageing, d2d and c2c combined
    failed k      after a failed programming
    stuck low, stuck high, dead, stuck between

One random integer selects both the row (upper bits: faulty or not) and the entry (lower bits). Mean
and variance of a distribution are accurate to about 1e-3 of its spread.

Differences from the sampler of `rramfit.array.devices.chips`: a tile has one smooth field for all
levels, with their mean share and length; hard and soft failures are one, because a cell is
programmed only once. Fitted, replayed and given chips use that sampler, not these tables.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rramfit.array.devices.device_model import DeviceModel
from rramfit.array.devices.fields import smooth_fields
from rramfit.array.devices.line_shares import LineShares
from rramfit.array.devices.quantiles import interpolate
from rramfit.array.devices.stuck_cells import equally_likely_stuck
from rramfit.card.cells import Fault
from rramfit.streams import torch_stream

__all__ = ["CellDistributions", "cell_distributions"]

ENTRY_BITS = 12
ENTRIES = 2**ENTRY_BITS
FAULT_BITS = 19
"""Bits of the random integer that decide whether a cell is faulty; probability steps of 2e-6."""

SAMPLES = 2**19
"""Samples for the table of a level whose distribution has no closed-form quantiles."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CellDistributions:
    """Distributions of cell conductances as tables.

    Attributes
    ----------
    table : (row · ENTRIES,) tensor
        [S] rows: levels, failed levels, stuck low, stuck high, dead, stuck between.
    stuck_low, stuck_high, stuck_middle : int
        Cumulative thresholds of the fault bits: stuck low, then stuck high, then stuck between.
    failing : (level,) int32 tensor
        Cumulative threshold of the fault bits for any fault, out of 2^FAULT_BITS.
    """

    model: DeviceModel
    table: Tensor
    stuck_low: int
    stuck_high: int
    stuck_middle: int
    failing: Tensor
    field: tuple[float, float]  # smooth part of z: standard deviation, correlation length
    lines: tuple[
        tuple[float, LineShares], ...
    ]  # line offsets in z: standard deviation, which lines

    def draw(
        self, level: Tensor, generator: torch.Generator, *, strength: float = 1.0
    ) -> tuple[Tensor, Tensor | None]:
        """Draw all cells once.

        Parameters
        ----------
        level : (tile, row, col) int32 tensor
            Target level; −1 for unused cells.
        generator : torch.Generator
        strength : float
            Factor on deviations and fault probabilities, 0 to 1.

        Returns
        -------
        conductance : (tile, row, col) tensor
            [S]
        follows : (tile, row, col) bool tensor or None
            Cells that were programmed successfully; None if all were.
        """
        m = self.model
        target = level.clamp_min(0)
        bits = torch.randint(
            2 ** (ENTRY_BITS + FAULT_BITS),
            level.shape,
            generator=generator,
            dtype=torch.int32,
            device=level.device,
        )
        row, follows = target, None
        if int(self.failing.max()) > 0:
            u = bits >> ENTRY_BITS
            if strength < 1:
                u = (u / max(strength, 1e-6)).clamp_max(2**FAULT_BITS).int()
            follows = u >= self.failing.index_select(0, target.flatten()).view_as(target)
            kind = target + m.n_levels
            if self.stuck_middle > self.stuck_high:
                kind = torch.where(u < self.stuck_middle, 2 * m.n_levels + 3, kind)
            kind = torch.where(u < self.stuck_high, 2 * m.n_levels + 1, kind)
            kind = torch.where(u < self.stuck_low, 2 * m.n_levels, kind)
            row = torch.where(follows, target, kind)
        entry = bits & (ENTRIES - 1)
        if self.field[0] > 0 or self.lines:
            entry = self._with_shared_parts(entry, generator)
        if m.faults.dead_rows or m.faults.dead_cols:
            row, follows = self._with_dead_lines(row, follows, generator, strength)
        index = (row << ENTRY_BITS) + entry
        found = self.table.index_select(0, index.flatten()).view(level.shape)
        if "trend" in m.factors and bool((m.row_trend != 0).any() | (m.col_trend != 0).any()):
            found = found + self._trend(target)
        if strength < 1:
            mean = m.mean.index_select(0, target.flatten()).view(level.shape)
            moved = torch.lerp(mean, found, strength)
            found = moved if follows is None else torch.where(follows, moved, found)
        return found.clamp_min_(0), follows

    def _with_shared_parts(self, entry: Tensor, generator: torch.Generator) -> Tensor:
        """Return entries whose latent values include the smooth field and the line offsets."""
        tiles, rows, cols = entry.shape
        white = torch.special.ndtri((entry + 0.5) / ENTRIES)
        share, length = self.field
        of_lines = sum(size**2 for size, _ in self.lines)
        z = math.sqrt(max(1 - share**2 - of_lines, 0.0)) * white
        if share > 0:
            one = torch.ones(1, 1, dtype=self.model.dtype, device=entry.device)
            smooth = smooth_fields(
                (rows, cols), (length,), count=tiles, mixing=one, generator=generator
            )
            z = z + share * smooth[:, 0]
        for size, lines in self.lines:
            groups = torch.as_tensor(lines.groups((rows, cols)), device=entry.device)
            number = (tiles, int(groups.max()) + 1)
            offsets = torch.randn(number, generator=generator, device=entry.device, dtype=z.dtype)
            z = z + size * offsets[:, groups]
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


def cell_distributions(
    model: DeviceModel, *, time: float = 0.0, reads: int = 0
) -> CellDistributions:
    """Compute the tables of a device model's cells.

    Parameters
    ----------
    model : DeviceModel
        Model with only the active factors.
    time : float
        Time since programming [s].
    reads : int
        Reads since programming.
    """
    f, levels = model.faults, model.n_levels
    z = torch.special.ndtri((torch.arange(ENTRIES, dtype=torch.float64) + 0.5) / ENTRIES).to(
        model.mean
    )
    states = [_state_table(model, k, z, time) for k in range(levels)]
    if reads and "retention" in model.factors:
        states = [
            model.disturb.after(s, torch.full_like(s, k, dtype=torch.int64), reads)
            for k, s in enumerate(states)
        ]
    median = model.quantiles[0, model.quantiles.shape[1] // 2]
    ratio = torch.nan_to_num(f.failed_median / median, nan=1.0)
    failed = [states[0] * ratio[k] for k in range(levels)]
    sides = (Fault.STUCK_LOW, Fault.STUCK_HIGH, Fault.STUCK_MIDDLE)
    low, high, middle = (equally_likely_stuck(f.stuck[side], z) for side in sides)
    share = [f.share(side) if "stuck" in model.factors else 0.0 for side in sides]
    fails = (f.hard + (1 - f.hard) * f.soft).double().cpu()
    if "failure" not in model.factors:
        fails = torch.zeros_like(fails)
    steps = 2**FAULT_BITS
    failing = (sum(share) + (1 - sum(share)) * fails) * steps
    if "dead_lines" not in model.factors:
        model = _without_dead_lines(model)
    return CellDistributions(
        model=model,
        table=torch.cat([*states, *failed, low, high, torch.zeros_like(low), middle]),
        stuck_low=round(share[0] * steps),
        stuck_high=round(sum(share[:2]) * steps),
        stuck_middle=round(sum(share) * steps),
        failing=failing.round().int().to(model.device),
        field=_field(model),
        lines=_lines(model),
    )


def _without_dead_lines(model: DeviceModel) -> DeviceModel:
    faults = dataclasses.replace(model.faults, dead_rows=0.0, dead_cols=0.0)
    return dataclasses.replace(model, faults=faults)


def _state_table(model: DeviceModel, level: int, z: Tensor, time: float) -> Tensor:
    """Return equally likely conductances of one level in ascending order, (ENTRIES,) [S]."""
    a = model.ageing
    aged = "retention" in model.factors and time >= a.reference_time > 0
    both = {"d2d", "c2c"} <= model.factors
    if both and not aged:
        return interpolate(model.quantiles, torch.tensor(level, device=z.device), z)
    generator = torch_stream(level, "cell laws", device=model.device)
    d, e, first, step = torch.randn(
        (4, SAMPLES), generator=generator, device=model.device, dtype=model.dtype
    )
    state = model.state(torch.full((SAMPLES,), level, device=model.device), d, e)
    if aged:
        at = torch.full((SAMPLES,), level, device=model.device)
        noise = torch.stack([first, step])
        state = model.state_ageing.aged(state, at, since=0.0, time=time, noise=noise)
    each = SAMPLES // ENTRIES
    return state.sort().values.reshape(ENTRIES, each).mean(1)


def _field(model: DeviceModel) -> tuple[float, float]:
    """Return standard deviation and length of the smooth part of z; 0 if there is none."""
    lengths = [x for x in model.levels.lengths if x]
    if not {"field", "d2d"} <= model.factors or not lengths:
        return 0.0, 0.0
    between = model.between if "c2c" in model.factors else torch.ones_like(model.between)
    return float((between * model.share.sqrt()).mean()), sum(lengths) / len(lengths)


def _lines(model: DeviceModel) -> tuple[tuple[float, LineShares], ...]:
    """Return the standard deviation in z of each kind of line offsets, mean over levels."""
    if not {"lines", "d2d"} <= model.factors:
        return ()
    between = model.between if "c2c" in model.factors else torch.ones_like(model.between)
    weight = between.double().cpu().numpy()
    return tuple(
        (float((weight * np.sqrt(lines.share)).mean()), lines) for lines in model.levels.lines
    )
