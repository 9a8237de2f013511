"""A virtual chip with its mess: programs and reads like the chip that it wraps.

    state    = chip's state + offsets of its lines + its mode          (accepted cells)
    reading  = (state + read noise)·(1 ± a/2)·gain_col·(1 + d_t·(i/(N − 1) − ½))

with a the distance of a telegraph cell's states, d_t the drift of sweep t and i the address of the
cell in row-major order. Faults replace one another in the order moving, middle, clusters, corner,
and all of them replace those of the card, except dead lines. Cells that failed in a group without
the file saying so have `OFF_NOISE` times the read noise and lose conductance with ln t.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.cells import Fault
from rramfit.errors import ArrayError
from rramfit.measurement.file.record import Bools, Floats, Integers
from rramfit.measurement.virtual import mess as kinds
from rramfit.measurement.virtual.mess import Mess
from rramfit.streams import stream, torch_stream

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from rramfit.array.devices.chips import Chips, Programmed

__all__ = [
    "MIDDLE",
    "MOVES_HIGH",
    "MOVES_LOW",
    "MessyChip",
    "State",
    "between_levels",
    "corner_cells",
    "messy_chip",
]

MOVES_LOW, MOVES_HIGH, MIDDLE = 1, 2, 3
"""Codes of `MessyChip.fault`; 0 is none of them."""

_OFF_LOSS = 0.02  # spread over failed cells of the exponent of their loss with time
_CANDIDATES = 16  # conductances tried for a failed cell until one is far from its level


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """One programming of the chip."""

    programmed: Programmed
    level: Integers  # (row, col) as the file states it; -1 = not programmed
    off: Bools  #      (row, col) failed, although the file states a level
    name: str  #       of its random streams


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MessyChip:
    """A chip, and what its mess does to each cell.

    Attributes
    ----------
    chip : Chips
        With the stuck cells of clusters and corner.
    offsets : dict
        Offsets of each kind of line, by axis and period, (level, line, part) [S].
    """

    chip: Chips
    mess: Mess
    seed: int
    fault: NDArray[np.int8]  # (row, col) moving and middle cells
    middle: Floats  #   [S]  (row, col) of cells stuck in the middle
    shift: Floats  #    [S]  (level, row, col) of accepted cells
    telegraph: Floats  #     (row, col) relative distance of the two states; 0 for others
    gain: Floats  #          (col,)
    offsets: dict[tuple[str, int], Floats]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.chip.shape

    def program(self, level: Integers, name: str, *, group: bool = False) -> State:
        """Program every cell once.

        Parameters
        ----------
        level : (row, col) array
        name : str
            Of the random streams.
        group : bool
            For an optional group, of which the file may state failed cells at their level.
        """
        import torch

        chip, seed = self.chip, self.seed
        state = chip.program(torch.from_numpy(level), generator=torch_stream(seed, name))
        kept = state.accepted & state.ages
        conductance, accepted = state.conductance, state.accepted
        ages, state_level = state.ages, state.state_level
        if self.shift.any():
            asked = torch.from_numpy(level).clamp_min(0)[None]
            shift = torch.from_numpy(self.shift).gather(0, asked)
            conductance = torch.where(kept, conductance + shift, conductance)
        if self.fault.any():
            there = torch.from_numpy(self.fault > 0)[None]
            conductance = torch.where(there, self._stuck(name), conductance)
            at = np.where(self.fault == MOVES_HIGH, chip.model.n_levels - 1, 0)
            accepted, ages = accepted & ~there, ages & ~there
            state_level = torch.where(there, torch.from_numpy(at)[None], state_level)
        stated = np.where(accepted[0].numpy(), level, -1)
        off = np.zeros(self.shape, dtype=np.bool_)
        if group and self.mess.off_level:
            stated, off = level, self._off_level(name) & accepted[0].numpy()
            failed, nearest, found = self._off_states(level, name)
            off &= found
            there = torch.from_numpy(off)[None]
            conductance = torch.where(there, torch.from_numpy(failed)[None], conductance)
            state_level = torch.where(there, torch.from_numpy(nearest)[None], state_level)
        changed = dataclasses.replace(
            state,
            conductance=conductance,
            accepted=accepted,
            ages=ages,
            state_level=state_level,
        )
        return State(programmed=changed, level=stated, off=off, name=name)

    def read(
        self,
        state: State,
        generator: torch.Generator,
        name: str,
        *,
        time: float = 0.0,
        up: Bools | None = None,
    ) -> Tensor:
        """Read every cell once, (row, col) [S], without the sweep's drift.

        Parameters
        ----------
        state : State
        generator : torch.Generator
            Of the read noise.
        name : str
            Of the random streams of this read.
        time : float
            Since programming [s]; only failed cells use it, others are aged before.
        up : (row, col) bool array, optional
            Whether telegraph cells are in their high state; by default drawn anew.
        """
        import torch

        programmed = state.programmed
        reading = programmed.read(generator)[0]
        if state.off.any():
            std = programmed.read_std[0]
            extra, loss = (
                stream(self.seed, f"mess/off_level/{of}").standard_normal(self.shape)
                for of in (f"{name}/noise", f"{state.name}/loss")
            )
            noisy = reading + std * math.sqrt(kinds.OFF_NOISE**2 - 1) * torch.from_numpy(extra)
            kept = torch.from_numpy(np.exp(-_OFF_LOSS * np.abs(loss) * math.log1p(time)))
            reading = torch.where(torch.from_numpy(state.off), noisy * kept, reading)
        if self.telegraph.any():
            if up is None:
                up = stream(self.seed, f"mess/telegraph/{name}").random(self.shape) < 0.5
            reading = reading * torch.from_numpy(1 + np.where(up, 0.5, -0.5) * self.telegraph)
        if self.mess.column_gain:
            reading = reading * torch.from_numpy(self.gain)
        return reading

    def drift(self, name: str) -> Floats:
        """Return the factor of each cell's reading in one sweep, (row, col)."""
        z = stream(self.seed, f"mess/sweep_drift/{name}").standard_normal()
        cells = math.prod(self.shape)
        address = np.arange(cells).reshape(self.shape) / max(cells - 1, 1)
        return np.asarray(1 + self.mess.sweep_drift * z * (address - 0.5))

    def _stuck(self, name: str) -> Tensor:
        """Draw what moving and middle cells have after a programming, (1, row, col) [S]."""
        import torch

        u = stream(self.seed, f"mess/moving_stuck/{name}").random(self.shape)
        mean = self.chip.model.levels.mean
        low, high = (
            m * (a + (b - a) * u)
            for m, (a, b) in ((mean[0], kinds.MOVING_LOW), (mean[-1], kinds.MOVING_HIGH))
        )
        out = np.where(self.fault == MOVES_HIGH, high, low)
        return torch.from_numpy(np.where(self.fault == MIDDLE, self.middle, out))[None]

    def _off_level(self, name: str) -> Bools:
        """Draw which cells failed in a group, (row, col)."""
        u = stream(self.seed, f"mess/off_level/{name}").random(self.shape)
        return np.asarray(u < self.mess.off_level)

    def _off_states(self, level: Integers, name: str) -> tuple[Floats, Integers, Bools]:
        """Draw conductance [S] and nearest level of failed cells, and whether there is any."""
        p = self.chip.model.levels
        std = level_std(self.chip)
        low, high = kinds.OFF_RANGE[0] * p.mean[0], kinds.OFF_RANGE[1] * p.mean[-1]
        u = stream(self.seed, f"mess/off_level/{name}/state").random((_CANDIDATES, *self.shape))
        tried = low * (high / low) ** u
        far = np.abs(tried - p.mean[level]) > kinds.OFF_DISTANCE * std[level]
        first = np.argmax(far, axis=0)[None]
        failed = np.take_along_axis(tried, first, axis=0)[0]
        nearest = np.abs(np.log(failed / p.mean[:, None, None])).argmin(axis=0)
        return failed, nearest, far.any(axis=0)


def level_std(chip: Chips) -> Floats:
    """Return the standard deviation of readings at each level, without mess [S]."""
    from rramfit.array.devices.parameters import estimands

    return estimands(chip.model.levels, chip.shape).std


def messy_chip(chip: Chips, mess: Mess, seed: int) -> MessyChip:
    """Draw the mess of a chip.

    Raises
    ------
    ArrayError
        If cells shall be stuck between levels that leave no room between them.
    """
    shape = chip.shape
    fault = np.zeros(shape, dtype=np.int8)
    alive = ~np.isin(chip.fault[0].numpy(), (Fault.DEAD_ROW, Fault.DEAD_COL))
    middle = np.full(shape, np.nan)
    if mess.moving_stuck:
        u = stream(seed, "mess/moving_stuck").random(shape)
        fault[alive & (u < mess.moving_stuck)] = MOVES_HIGH
        fault[alive & (u < mess.moving_stuck / 2)] = MOVES_LOW
    if mess.middle_stuck:
        u, place = stream(seed, "mess/middle_stuck").random((2, *shape))
        middle = between_levels(chip, place)
        fault[alive & (fault == 0) & (u < mess.middle_stuck)] = MIDDLE
    low = alive & (fault == 0) & (_clusters(mess, shape, seed) | _corner(mess, shape, seed))
    shift, offsets = _shifts(chip, mess, seed)
    return MessyChip(
        chip=_with_faults(chip, mess, low, fault > 0, seed),
        mess=mess,
        seed=seed,
        fault=fault,
        middle=middle,
        telegraph=_telegraph(mess, shape, seed),
        gain=_gain(mess, shape[1], seed),
        shift=shift,
        offsets=offsets,
    )


def _with_faults(chip: Chips, mess: Mess, low: Bools, replaced: Bools, seed: int) -> Chips:
    """Return the chip with these cells stuck low, others sound, and correlated hard failures."""
    import torch

    from rramfit.array.devices.chips import stuck_conductance

    if low.any() or replaced.any():
        fault = chip.fault.clone()
        fault[0, torch.from_numpy(replaced)] = int(Fault.OK)
        fault[0, torch.from_numpy(low)] = int(Fault.STUCK_LOW)
        noise = torch.from_numpy(stream(seed, "mess/stuck_low").standard_normal(chip.shape))[None]
        drawn = stuck_conductance(chip.model.faults.stuck, fault, noise)
        there = torch.from_numpy(low)[None]
        at = torch.where(there, drawn, chip.stuck_conductance)
        motion = chip.stuck_motion
        if motion is not None:
            motion = torch.where(there, 0.0, motion)
        chip = dataclasses.replace(chip, fault=fault, stuck_conductance=at, stuck_motion=motion)
    if mess.shared_failures:
        levels = chip.model.n_levels
        z = stream(seed, "mess/shared_failures").standard_normal((levels + 1, *chip.shape))
        rho = mess.shared_failures
        u = special.ndtr(math.sqrt(rho) * z[0] + math.sqrt(1 - rho) * z[1:])
        hard = torch.from_numpy(u)[None] < chip.model.faults.hard[:, None, None]
        chip = dataclasses.replace(chip, hard=hard)
    return chip


def _gaps(chip: Chips) -> list[tuple[float, float]]:
    """Return the ranges between levels that are far from both, and outside their windows [S]."""
    model, std = chip.model, level_std(chip)
    far = kinds.MIDDLE_DISTANCE * std
    below = np.fmax(model.levels.mean + far, model.upper.numpy())
    above = np.fmin(model.levels.mean - far, model.lower.numpy())
    pairs = zip(below[:-1].tolist(), above[1:].tolist(), strict=True)
    return [(low, high) for low, high in pairs if low < high]


def between_levels(chip: Chips, place: Floats) -> Floats:
    """Return conductances between levels for uniform numbers, uniform in ln G [S]."""
    gaps = _gaps(chip)
    if not gaps:
        msg = (
            f"no two levels are {2 * kinds.MIDDLE_DISTANCE:g} standard deviations apart, so no "
            "cell can be stuck between them; use a card with narrower levels"
        )
        raise ArrayError(msg)
    ends = np.log(np.array(gaps))
    width = np.diff(ends, axis=1)[:, 0]
    edge = np.concatenate([[0.0], np.cumsum(width)])
    at = place * edge[-1]
    gap = np.clip(np.searchsorted(edge, at, side="right") - 1, 0, len(gaps) - 1)
    return np.asarray(np.exp(ends[gap, 0] + at - edge[gap]))


def _clusters(mess: Mess, shape: tuple[int, int], seed: int) -> Bools:
    """Draw the faulty cells of round clusters whose centres are uniform in the plane.

    A cell of n clusters is faulty with probability 1 − (1 − density)^n, and n is a Poisson number
    of mean λ·π·radius², so that λ·π·radius²·density = −ln(1 − share).
    """
    out = np.zeros(shape, dtype=np.bool_)
    if not mess.clusters:
        return out
    rng = stream(seed, "mess/clusters")
    radius = kinds.CLUSTER_RADIUS
    rate = -math.log1p(-mess.clusters) / (math.pi * radius**2 * kinds.CLUSTER_DENSITY)
    size = np.array(shape) + 2 * radius
    centres = rng.random((rng.poisson(rate * size.prod()), 2)) * size - radius - 0.5
    row, col = np.indices(shape)
    for r, c in centres:
        inside = (row - r) ** 2 + (col - c) ** 2 < radius**2
        out |= inside & (rng.random(shape) < kinds.CLUSTER_DENSITY)
    return out


def corner_cells(share: float, shape: tuple[int, int]) -> Bools:
    """Return the quarter disc at the last row and column in which a share of cells is faulty."""
    row, col = np.indices(shape)
    distance = np.hypot(shape[0] - 1 - row, shape[1] - 1 - col)
    area = min(share / kinds.CORNER_DENSITY, 1.0) * math.prod(shape)
    return np.asarray(distance <= np.sort(distance, axis=None)[max(round(area) - 1, 0)])


def _corner(mess: Mess, shape: tuple[int, int], seed: int) -> Bools:
    if not mess.corner:
        return np.zeros(shape, dtype=np.bool_)
    u = stream(seed, "mess/corner").random(shape)
    return np.asarray(corner_cells(mess.corner, shape) & (u < kinds.CORNER_DENSITY))


def _telegraph(mess: Mess, shape: tuple[int, int], seed: int) -> Floats:
    if not mess.telegraph:
        return np.zeros(shape)
    u, size = stream(seed, "mess/telegraph").random((2, *shape))
    low, high = kinds.TELEGRAPH
    return np.where(u < mess.telegraph, low + (high - low) * size, 0.0)


def _gain(mess: Mess, cols: int, seed: int) -> Floats:
    if not mess.column_gain:
        return np.ones(cols)
    u = stream(seed, "mess/column_gain").random(cols)
    up, affected = u < mess.column_gain / 2, u < mess.column_gain
    return np.asarray(1 + kinds.GAIN_STEP * np.where(up, 1, np.where(affected, -1, 0)))


def _shifts(chip: Chips, mess: Mess, seed: int) -> tuple[Floats, dict[tuple[str, int], Floats]]:
    """Draw the offsets of accepted states: in total, and of each kind of line [S]."""
    levels, (rows, cols) = chip.model.n_levels, chip.shape
    shift = np.zeros((levels, rows, cols))
    offsets: dict[tuple[str, int], Floats] = {}
    if not (mess.lines or mess.bimodal):
        return shift, offsets
    std = level_std(chip)
    row, col = np.indices((rows, cols))
    for (axis, period), size in mess.lines.items():
        name = f"mess/{axis}_offsets" if period == 1 else "mess/folded_offsets"
        lines = rows if axis == "row" else cols
        w = stream(seed, name).standard_normal((levels + 1, lines, period))
        rho = kinds.LINE_CORRELATION
        own = math.sqrt(rho) * w[0] + math.sqrt(1 - rho) * w[1:]
        offsets[axis, period] = size * std[:, None, None] * own
        line, other = (row, col) if axis == "row" else (col, row)
        shift += offsets[axis, period][:, line, other % period]
    if mess.bimodal:
        k = levels // 2
        upper = stream(seed, "mess/bimodal").random((rows, cols)) < kinds.MODE_SHARE
        shift[k] += mess.bimodal * std[k] * (upper - kinds.MODE_SHARE)
    return shift, offsets
