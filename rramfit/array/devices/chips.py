"""Virtual chips: drawn, programmed, aged and read, batched over chips.

`draw_chips` draws the fixed properties of a chip: its cells' latent deviations D at every level
(smooth field and remainder, correlated between levels), its stuck cells, dead lines and hard
failures. `Chips.program` programs all cells once: it draws cycle-to-cycle deviations, soft failures
and the conductance of each failed cell. `Programmed.read` adds read noise, `Programmed.age`
advances time (`rramfit.array.devices.ageing`), and `Programmed.after_reads` counts reads
(`rramfit.array.devices.read_disturb`).

A measured chip is in `rramfit.array.devices.measured_chips`.

Randomness comes from the caller's generator. Each call takes one number from it and seeds with that
number a stream for each factor, so that switching one factor off never shifts another.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from rramfit.array.devices.ageing import Ageing
from rramfit.array.devices.device_model import FACTORS, DeviceModel
from rramfit.array.devices.fields import smooth_fields
from rramfit.array.devices.line_shares import LineShares
from rramfit.array.devices.read_disturb import ReadDisturb
from rramfit.array.devices.read_noise import ReadNoise
from rramfit.array.devices.stuck_cells import draw_motion, moved, stuck_conductance, wear_out
from rramfit.card.cells import STUCK, Fault
from rramfit.errors import ArrayError
from rramfit.streams import torch_stream

__all__ = ["Chips", "Programmed", "clear_faults", "draw_chips", "stuck_conductance"]


def _split(generator: torch.Generator, *names: str) -> Mapping[str, torch.Generator]:
    """Return streams by name, seeded with one number from `generator`."""
    device = generator.device
    seed = int(torch.randint(2**62, (), generator=generator, device=device))
    return {name: torch_stream(seed, name, device=device) for name in names}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Programmed:
    """Programmed chips: the state of every cell, without read noise.

    Attributes
    ----------
    state_level : integer tensor (chip, row, col)
        The level whose distribution the cell follows, for its noise and drift. In a failed or
        stuck cell it is not the target level.
    """

    conductance: Tensor  # [S]  (chip, row, col)
    level: Tensor  #      (chip, row, col) target level; -1 = not programmed
    accepted: Tensor  #      (chip, row, col)
    state_level: Tensor  #      (chip, row, col)
    ages: Tensor  #      (chip, row, col) neither stuck nor in a dead line
    read_noise: ReadNoise
    ageing: Ageing
    disturb: ReadDisturb | None = None
    time: float = 0.0  # [s] since programming

    def read(self, generator: torch.Generator) -> Tensor:
        """Read every cell once and return (chip, row, col) [S]."""
        noise = torch.randn(
            self.conductance.shape,
            generator=generator,
            device=self.conductance.device,
            dtype=self.conductance.dtype,
        )
        return torch.addcmul(self.conductance, self.read_std, noise)

    @property
    def read_std(self) -> Tensor:
        """Return the standard deviation of one read of every cell, (chip, row, col) [S]."""
        failed = (self.level >= 0) & ~self.accepted
        return self.read_noise.std(self.conductance, self.state_level, failed | ~self.ages)

    def age(self, time: float, generator: torch.Generator) -> Programmed:
        """Return the cells at `time` [s] after programming.

        Before the reference time the states are constant; at that time the first step is made.
        The collapse of single cells, which a card counts separately, is not modelled.

        Raises
        ------
        ArrayError
            If `time` is before the present time of the cells.
        """
        if time < self.time:
            msg = (
                f"the cells are at {self.time:.4g} s after programming; expected a later time, "
                f"not {time:.4g} s"
            )
            raise ArrayError(msg)
        g = self.conductance
        if time < self.ageing.reference_time:
            return dataclasses.replace(self, time=time)
        noise = torch.randn((2, *g.shape), generator=generator, device=g.device, dtype=g.dtype)
        aged = self.ageing.aged(g, self.state_level, since=self.time, time=time, noise=noise)
        return dataclasses.replace(self, conductance=torch.where(self.ages, aged, g), time=time)

    def after_reads(self, reads: int) -> Programmed:
        """Return the cells after a number of further reads, by the card's read disturb."""
        if self.disturb is None or reads == 0:
            return self
        g = self.conductance
        moved = self.disturb.after(g, self.state_level, reads)
        return dataclasses.replace(self, conductance=torch.where(self.ages, moved, g))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chips:
    """Chips before programming."""

    model: DeviceModel
    deviation: Tensor  #      (chip, level, row, col) latent D
    fault: Tensor  #      (chip, row, col) codes of `rramfit.card.cells.Fault`
    hard: Tensor  #      (chip, level, row, col) never programs at the level
    stuck_conductance: Tensor  # [S] (chip, row, col) of stuck cells and dead lines
    nonlinearity: Tensor | None  # [1/V] (chip, row, col) deviation of b from its regression
    stuck_motion: Tensor | None = None  # (chip, row, col) std of ln G between programmings

    def __len__(self) -> int:
        return len(self.fault)

    @property
    def shape(self) -> tuple[int, int]:
        """Return the numbers of rows and columns."""
        return self.fault.shape[1], self.fault.shape[2]

    def take(self, which: Tensor, *, factors: Collection[str] = FACTORS) -> Chips:
        """Select chips by index, repeats allowed; factors that are not named are off."""
        off = self.model.factors - set(factors)
        chosen = which.to(self.fault.device)
        fault = self.fault[chosen]
        if "stuck" in off:
            fault = clear_faults(fault, *STUCK)
        if "dead_lines" in off:
            fault = clear_faults(fault, Fault.DEAD_ROW, Fault.DEAD_COL)
        return Chips(
            model=self.model.without(*off),
            deviation=self.deviation[chosen],
            fault=fault,
            hard=self.hard[chosen],
            stuck_conductance=self.stuck_conductance[chosen],
            nonlinearity=None if self.nonlinearity is None else self.nonlinearity[chosen],
            stuck_motion=None if self.stuck_motion is None else self.stuck_motion[chosen],
        )

    def trend(self, level: Tensor) -> Tensor:
        """Return the trend of each cell at its target level, (chip, row, col) [S]."""
        m = self.model
        rows, cols = self.shape
        r = torch.arange(rows, device=m.device, dtype=m.dtype) - (rows - 1) / 2
        c = torch.arange(cols, device=m.device, dtype=m.dtype) - (cols - 1) / 2
        return m.row_trend[level] * r[:, None] + m.col_trend[level] * c

    def _healthy(self, level: Tensor, generator: torch.Generator) -> Tensor:
        """Return the state of cells that reach their level, (chip, row, col) [S]."""
        m = self.model
        cycle = torch.randn(level.shape, generator=generator, device=m.device, dtype=m.dtype)
        deviation = self.deviation.gather(1, level[:, None])[:, 0]
        state = m.state(level, deviation, cycle)
        return state + self.trend(level) if "trend" in m.factors else state

    def program(self, level: Tensor, *, generator: torch.Generator) -> Programmed:
        """Program every cell once.

        Parameters
        ----------
        level : integer tensor, (row, col) or (chip, row, col)
            Target levels; -1 leaves the cell unprogrammed, at the lowest level and not accepted.
        generator : torch.Generator
            On the model's device.

        Raises
        ------
        ArrayError
            If a level is not in the model, or the pattern has another size than the chips.
        """
        m = self.model
        if tuple(level.shape[-2:]) != self.shape:
            msg = (
                f"the pattern has shape {tuple(level.shape)}; expected the rows and columns of the "
                f"chips, {self.shape}"
            )
            raise ArrayError(msg)
        level = level.to(m.device, torch.int64).expand(len(self), *self.shape)
        low, high = int(level.min()), int(level.max())
        if low < -1 or high >= m.n_levels:
            msg = f"the pattern has levels {low} to {high}; the model has 0 to {m.n_levels - 1}"
            raise ArrayError(msg)
        streams = _split(generator, "cycle", "soft", "failed", "motion")
        target = level.clamp_min(0)
        conductance = self._healthy(target, streams["cycle"])
        accepted, state_level = level >= 0, target
        if "failure" in m.factors and bool(((m.faults.hard > 0) | (m.faults.soft > 0)).any()):
            u = torch.rand(level.shape, generator=streams["soft"], device=m.device, dtype=m.dtype)
            fails = (u < m.faults.soft[target]) | self.hard.gather(1, target[:, None])[:, 0]
            fails = fails & accepted
            left = self._healthy(torch.zeros_like(target), streams["failed"])
            scale = m.faults.failed_median / m.quantiles[0, m.quantiles.shape[1] // 2]
            left = left * torch.nan_to_num(scale, nan=1.0)[target]
            conductance = torch.where(fails, left, conductance)
            accepted, state_level = accepted & ~fails, torch.where(fails, 0, state_level)
        ages = self.fault == Fault.OK
        if not bool(ages.all()):
            stuck = self._stuck(streams["motion"])
            inside = (stuck >= m.lower[target]) & (stuck <= m.upper[target])  # no window: false
            live = ~ages & (self.fault != Fault.DEAD_ROW) & (self.fault != Fault.DEAD_COL)
            conductance = torch.where(ages, conductance, stuck)
            accepted = torch.where(ages, accepted, inside & live & (level >= 0))
            state_level = torch.where(ages, state_level, self._nearest_level(stuck))
        return Programmed(
            conductance=conductance,
            level=level,
            accepted=accepted,
            state_level=state_level,
            ages=ages,
            read_noise=m.read_noise if "read" in m.factors else m.read_noise.silent(),
            ageing=m.state_ageing if "retention" in m.factors else m.ageing.stopped(),
            disturb=m.disturb if "retention" in m.factors else None,
        )

    def _stuck(self, generator: torch.Generator) -> Tensor:
        """Return the conductance of stuck cells after one programming, (chip, row, col) [S]."""
        if self.stuck_motion is None:
            return self.stuck_conductance
        m, size = self.model, self.stuck_conductance.shape
        noise = torch.randn(size, generator=generator, device=m.device, dtype=m.dtype)
        return moved(self.stuck_conductance, self.stuck_motion, noise)

    def _nearest_level(self, stuck: Tensor) -> Tensor:
        """Return the level whose noise a stuck cell has: an outermost one, or the nearest."""
        low = torch.zeros_like(self.fault)
        at = torch.where(self.fault == Fault.STUCK_HIGH, self.model.n_levels - 1, low)
        middle = self.fault == Fault.STUCK_MIDDLE
        if bool(middle.any()):
            at[middle] = (stuck[middle][:, None] - self.model.mean).abs().argmin(dim=1)
        return at

    def conduction(self, conductance: Tensor) -> tuple[Tensor, Tensor]:
        """Return G0 [S] and b [1/V] of cells, I(V) = G0·sinh(bV)/b, each (chip, row, col).

        A card's conductance is I/V at its read voltage; G0 is the slope at 0 V. Without the factor
        `nonlinearity`, or if the card has no I-V model, b is 0 and G0 is the conductance.
        """
        model = self.model.conduction
        if model is None or "nonlinearity" not in self.model.factors:
            return conductance, torch.zeros_like(conductance)
        spread = 0.0 if self.nonlinearity is None else self.nonlinearity
        g0, b = conductance, torch.zeros_like(conductance)
        for _ in range(3):  # b depends on ln G0, G0 on b; each round reduces the error ~10 times
            ratio = (g0 / model.reference).clamp_min(1e-6)
            b = model.nonlinearity + model.dependence * ratio.log() + spread
            b = (b + model.slope * (g0 - model.reference)).clamp_min(0)
            x = (b * model.read_voltage).clamp_min(1e-4)
            g0 = conductance * x / torch.sinh(x)
        return g0, b


def clear_faults(fault: Tensor, *kinds: Fault) -> Tensor:
    """Set faults of these kinds to `Fault.OK`."""
    for kind in kinds:
        fault = torch.where(fault == int(kind), int(Fault.OK), fault)
    return fault


def draw_chips(
    model: DeviceModel,
    count: int,
    *,
    shape: tuple[int, int] | None = None,
    generator: torch.Generator,
) -> Chips:
    """Draw chips before programming.

    Parameters
    ----------
    model : DeviceModel
    count : int
    shape : (rows, cols), optional
        By default that of the card's array.
    generator : torch.Generator
        On the model's device.
    """
    rows, cols = shape or model.shape
    streams = _split(
        generator,
        "field",
        "lines",
        "remainder",
        "stuck",
        "dead",
        "stuck_at",
        "hard",
        "nonlinearity",
        "motion",
        "wear",
    )
    size = (count, rows, cols)
    deviation = _deviations(model, count, (rows, cols), streams)
    fault = _draw_faults(model, size, streams)

    def normal(name: str) -> Tensor:
        return torch.randn(size, generator=streams[name], device=model.device, dtype=model.dtype)

    u = torch.rand(
        deviation.shape, generator=streams["hard"], device=model.device, dtype=model.dtype
    )
    spread = model.conduction.spread if model.conduction else 0.0
    return Chips(
        model=model,
        deviation=deviation,
        fault=fault,
        hard=u < model.faults.hard[:, None, None],
        stuck_conductance=stuck_conductance(model.faults.stuck, fault, normal("stuck_at")),
        nonlinearity=spread * normal("nonlinearity") if spread else None,
        stuck_motion=draw_motion(model.faults.stuck, fault, streams["motion"], model.dtype),
    )


def _deviations(
    model: DeviceModel,
    count: int,
    shape: tuple[int, int],
    streams: Mapping[str, torch.Generator],
) -> Tensor:
    """Draw the latent D of every cell at every level, (chip, level, row, col)."""
    white = (0.0,) * model.n_levels
    out = smooth_fields(
        shape, white, count=count, mixing=model.mixing, generator=streams["remainder"]
    )
    left = torch.ones_like(model.share)
    parts = []
    lengths = model.levels.lengths
    if "field" in model.factors and any(lengths):
        smooth = smooth_fields(
            shape, lengths, count=count, mixing=model.mixing, generator=streams["field"]
        )
        parts.append((model.share, smooth))
    if "lines" in model.factors:
        for lines in model.levels.lines:
            offsets = _line_offsets(model, count, shape, lines, streams["lines"])
            parts.append((torch.as_tensor(lines.share).to(model.share), offsets))
    for share, _ in parts:
        left = left - share
    if not parts:
        return out
    out = torch.sqrt(left.clamp_min(0))[:, None, None] * out
    for share, part in parts:
        out = out + torch.sqrt(share)[:, None, None] * part
    return out


def _line_offsets(
    model: DeviceModel,
    count: int,
    shape: tuple[int, int],
    lines: LineShares,
    generator: torch.Generator,
) -> Tensor:
    """Draw standard normal line offsets, at every cell of its line, (chip, level, row, col)."""
    groups = torch.as_tensor(lines.groups(shape), device=model.device)
    offsets = torch.randn(
        (count, int(groups.max()) + 1, model.n_levels),
        generator=generator,
        device=model.device,
        dtype=model.dtype,
    )
    return (offsets @ model.line_mixing.T).permute(0, 2, 1)[:, :, groups]


def _draw_faults(
    model: DeviceModel, size: tuple[int, int, int], streams: Mapping[str, torch.Generator]
) -> Tensor:
    """Draw the faults of every cell, codes of `Fault`, (chip, row, col)."""
    count, rows, cols = size
    f, device = model.faults, model.device
    fault = torch.full(size, int(Fault.OK), dtype=torch.int64, device=device)
    if "stuck" in model.factors:
        u = torch.rand(size, generator=streams["stuck"], device=device)
        fault[u < f.stuck_low] = int(Fault.STUCK_LOW)
        fault[u >= 1 - f.stuck_high] = int(Fault.STUCK_HIGH)
        middle = f.stuck[Fault.STUCK_MIDDLE].share
        fault[(u >= f.stuck_low) & (u < f.stuck_low + middle)] = int(Fault.STUCK_MIDDLE)
        if f.worn:
            fault = wear_out(fault, f.worn, streams["wear"])
    if "dead_lines" in model.factors:
        u = torch.rand((count, rows + cols), generator=streams["dead"], device=device)
        fault[(u[:, :rows, None] < f.dead_rows).expand(size)] = int(Fault.DEAD_ROW)
        fault[(u[:, None, rows:] < f.dead_cols).expand(size)] = int(Fault.DEAD_COL)
    return fault
