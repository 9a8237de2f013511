"""One measured chip: from the faults and offsets of its cells, or from its measured conductances.

`chip_from_cells` makes the chip that a sidecar describes: known properties of its cells are kept,
unknown ones are drawn from the card. `ReplayedChips` draws nothing: every cell returns its own
measured conductances. Both are programmed and read like drawn chips.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rramfit.array.devices.ageing import Ageing
from rramfit.array.devices.chips import (
    Chips,
    Programmed,
    clear_faults,
    draw_chips,
    stuck_conductance,
)
from rramfit.array.devices.device_model import DeviceModel
from rramfit.array.devices.quantiles import latent_knots
from rramfit.array.devices.read_noise import ReadNoise
from rramfit.array.devices.stuck_cells import wear_out
from rramfit.card.cells import STUCK, CellMaps, Fault
from rramfit.errors import ArrayError
from rramfit.units import counted

__all__ = ["ReplayedChips", "chip_from_cells"]


def chip_from_cells(
    model: DeviceModel, cells: CellMaps, *, count: int = 1, generator: torch.Generator
) -> Chips:
    """Make one measured chip `count` times, drawing its unknown properties.

    Faults, and the conductances and motions of stuck cells, are those of the sidecar. The deviation
    of each cell is the one that gives its offset from the level's mean, which is drawn within its
    standard error: offsets are posterior means, and vary less over cells than what they estimate.
    At levels where a cell was not measured, its deviation is drawn conditional on the measured
    ones. A hard failure is drawn with its posterior probability. Cells without any measurement are
    drawn from the population.

    Raises
    ------
    ArrayError
        If the sidecar and the model have different numbers of levels.
    """
    levels = cells.offset.shape[0]
    if levels != model.n_levels:
        msg = (
            f"the sidecar has {counted(levels, 'level')} and the card {model.n_levels}; "
            "expected the sidecar of this card"
        )
        raise ArrayError(msg)
    rows, cols = cells.fault.shape
    chips = draw_chips(model, count, shape=(rows, cols), generator=generator)
    known_fault = torch.tensor(cells.fault.astype(np.int64), device=model.device)
    fault = torch.where(known_fault == Fault.NOT_MEASURED, chips.fault, known_fault)
    if "stuck" not in model.factors:
        fault = clear_faults(fault, *STUCK)
    if "dead_lines" not in model.factors:
        fault = clear_faults(fault, Fault.DEAD_ROW, Fault.DEAD_COL)
    noise = torch.randn(fault.shape, generator=generator, device=model.device, dtype=model.dtype)
    posterior = torch.tensor(cells.hard_posterior, dtype=model.dtype, device=model.device)
    u = torch.rand(chips.hard.shape, generator=generator, device=model.device, dtype=model.dtype)
    hard = torch.where(torch.isfinite(posterior), u < posterior, chips.hard)
    z = torch.randn(u.shape, generator=generator, device=model.device, dtype=model.dtype)
    if model.faults.worn and "stuck" in model.factors:
        here = known_fault != Fault.NOT_MEASURED  # the others are worn out as drawn
        fault = torch.where(here, wear_out(fault, model.faults.worn, generator), fault)
    return dataclasses.replace(
        chips,
        deviation=_given_offsets(chips, cells, z),
        fault=fault,
        hard=hard,
        stuck_conductance=_stuck_at(cells, stuck_conductance(model.faults.stuck, fault, noise)),
        stuck_motion=_motion(chips, cells, known_fault),
    )


def _stuck_at(cells: CellMaps, drawn: Tensor) -> Tensor:
    """Return the conductance of stuck cells [S]: measured if known, else drawn."""
    if cells.stuck_conductance is None:
        return drawn
    known = torch.tensor(cells.stuck_conductance).to(drawn)
    return torch.where(known.isfinite(), known.clamp_min(0), drawn)


def _motion(chips: Chips, cells: CellMaps, known_fault: Tensor) -> Tensor | None:
    """Return the motion of stuck cells: as measured, and as drawn in cells without readings."""
    if cells.stuck_motion is None and chips.stuck_motion is None:
        return None
    drawn = chips.stuck_motion
    out = torch.zeros_like(chips.stuck_conductance) if drawn is None else drawn
    own = np.zeros(cells.fault.shape)
    if cells.stuck_motion is not None and cells.stuck_conductance is not None:
        with np.errstate(invalid="ignore", divide="ignore"):
            own = np.sqrt(np.log1p((cells.stuck_motion / cells.stuck_conductance) ** 2))
    measured = torch.tensor(np.where(np.isfinite(own), own, 0.0)).to(out)
    return torch.where(known_fault == Fault.NOT_MEASURED, out, measured)


def _given_offsets(chips: Chips, cells: CellMaps, z: Tensor) -> Tensor:
    """Return the deviations that give a sidecar's offsets, the unknown ones drawn given the known.

    With standard normal numbers `z` (chip, level, row, col), offsets are drawn within their errors.
    Those of one cell at two levels are nearly independent, because they come from other readings.

    By Matheron's rule, the draw at an unknown level is shifted by the regression on the differences
    between the known deviations and their draws.
    """
    m, p = chips.model, chips.model.levels
    table = m.conditional_mean.double().cpu().numpy()
    knots = latent_knots()
    drawn = chips.deviation.double().cpu().numpy()
    rows, cols = chips.shape
    level = torch.arange(m.n_levels, device=m.device)[:, None, None].expand(-1, rows, cols)
    offset = cells.offset - chips.trend(level).double().cpu().numpy()
    offset = np.broadcast_to(offset, drawn.shape).copy()
    if cells.offset_stderr is not None:
        offset += np.nan_to_num(cells.offset_stderr) * z.double().cpu().numpy()
    if cells.line_offset is not None:  # where nothing else is known to persist over cycles
        offset[:, p.lines_only] = cells.line_offset[p.lines_only]
    known = np.isfinite(offset[0]) & (p.a > 0)[:, None, None]
    wanted = np.zeros_like(offset)
    for k in np.flatnonzero(p.a > 0):
        wanted[:, k] = np.interp(p.mean[k] + np.nan_to_num(offset[:, k]), table[k], knots)
    out = np.where(known, wanted, drawn)
    correlation = p.deviation_correlation
    out, drawn = (x.reshape(len(chips), m.n_levels, -1) for x in (out, drawn))
    patterns, which = np.unique(known.reshape(m.n_levels, -1), axis=1, return_inverse=True)
    for i, seen in enumerate(patterns.T):
        if seen.all() or not seen.any():
            continue
        at = np.flatnonzero(which.ravel() == i)
        on_seen, on_rest = np.ix_(np.flatnonzero(seen), at), np.ix_(np.flatnonzero(~seen), at)
        regression = correlation[~seen][:, seen] @ np.linalg.pinv(correlation[seen][:, seen])
        for chip, draw in zip(out, drawn, strict=True):
            chip[on_rest] = draw[on_rest] + regression @ (chip[on_seen] - draw[on_seen])
    return torch.tensor(out.reshape(chips.deviation.shape), dtype=m.dtype, device=m.device)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReplayedChips:
    """Measured conductances: chip n has every cell's nth programming to each level."""

    conductance: Tensor  # [S]  (chip, level, row, col) as read back; NaN = not measured
    accepted: Tensor  #      (chip, level, row, col)

    def __len__(self) -> int:
        return len(self.conductance)

    @property
    def shape(self) -> tuple[int, int]:
        """Return the numbers of rows and columns."""
        return self.conductance.shape[2], self.conductance.shape[3]

    @property
    def unmeasured_share(self) -> float:
        """Return the share of (chip, level, cell) without a reading."""
        return float(torch.isnan(self.conductance).double().mean())

    def program(self, level: Tensor, *, generator: torch.Generator) -> Programmed:
        """Return every cell's own measured conductance at its target level.

        A cell without a reading at that level gets the reading of another cell at the level, chosen
        at random. Reads add no noise, and time changes nothing.
        """
        level = level.to(self.conductance.device, torch.int64).expand(len(self), *self.shape)
        target = level.clamp_min(0)
        conductance = self.conductance.gather(1, target[:, None])[:, 0]
        accepted = self.accepted.gather(1, target[:, None])[:, 0] & (level >= 0)
        for k in range(self.conductance.shape[1]):
            missing = torch.isnan(conductance) & (target == k)
            n = int(missing.sum())
            if not n:
                continue
            there = torch.isfinite(self.conductance[:, k])
            if not bool(there.any()):
                msg = f"no cell has a reading at level {k}; replay needs at least one"
                raise ArrayError(msg)
            pick = torch.randint(
                int(there.sum()), (n,), generator=generator, device=generator.device
            )
            conductance[missing] = self.conductance[:, k][there][pick]
            accepted[missing] = self.accepted[:, k][there][pick] & (level[missing] >= 0)
        none = torch.zeros(self.conductance.shape[1]).to(self.conductance)
        return Programmed(
            conductance=conductance,
            level=level,
            accepted=accepted,
            state_level=target,
            ages=torch.zeros_like(accepted),
            read_noise=ReadNoise(scale=none, reference=none, power=0.0),
            ageing=Ageing(
                first_step=none, first_spread=none, drift=none, growth=none, reference_time=1.0
            ),
        )
