"""Virtual chips: drawn whole, programmed, aged and read, batched over chips.

`draw_chips` fixes what a die is born with: its cells' latent deviations D at every level (smooth
field and remainder, correlated between levels), its stuck cells, dead lines and hard failures.
`Chips.program` is one programming: fresh cycle-to-cycle deviations, soft failures, and where a
failed cell is left. `Programmed.read` adds read noise, `Programmed.age` lets time pass:

    G(t0) = G(0) + first_step ± first_spread
    G(t) = G(t0) + drift·x + growth·B(x),   x = ln(t/t0), B Brownian

One measured chip instead of chips like it is `rramfit.array.devices.measured_chips`.

Randomness comes from the generator that is handed in. Each call takes one number from it and opens
from that a stream for each factor, so that switching one factor off never shifts another.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from rramfit.array.devices.device_model import FACTORS, Ageing, DeviceModel, ReadNoise
from rramfit.array.devices.fields import smooth_fields
from rramfit.array.devices.line_shares import LineShares
from rramfit.card.cells import Fault
from rramfit.errors import ArrayError
from rramfit.streams import torch_stream

__all__ = ["Chips", "Programmed", "draw_chips", "sound_where", "stuck_conductance"]


def _split(generator: torch.Generator, *names: str) -> Mapping[str, torch.Generator]:
    """Streams by name, opened from one number of `generator`."""
    device = generator.device
    seed = int(torch.randint(2**62, (), generator=generator, device=device))
    return {name: torch_stream(seed, name, device=device) for name in names}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Programmed:
    """Chips in a state: what a read would find but for its noise.

    Attributes
    ----------
    distribution : integer tensor (chip, row, col)
        The level whose noise and drift the cell has: where it is, not where it was sent.
    """

    conductance: Tensor  # [S]  (chip, row, col)
    level: Tensor  #      (chip, row, col) asked for; -1 = not programmed
    accepted: Tensor  #      (chip, row, col)
    distribution: Tensor  #      (chip, row, col)
    ages: Tensor  #      (chip, row, col) neither stuck nor in a dead line
    read_noise: ReadNoise
    ageing: Ageing
    time: float = 0.0  # [s] since programming

    def read(self, generator: torch.Generator) -> Tensor:
        """Read every cell once, (chip, row, col) [S]."""
        noise = torch.randn(
            self.conductance.shape,
            generator=generator,
            device=self.conductance.device,
            dtype=self.conductance.dtype,
        )
        return torch.addcmul(
            self.conductance, self.read_noise.std(self.conductance, self.distribution), noise
        )

    def age(self, time: float, generator: torch.Generator) -> Programmed:
        """Let cells come to `time` [s] after programming.

        Before the reference time nothing is known to move; there the first step has been made.
        Collapse of single cells, which a card counts apart, is not here.

        Raises
        ------
        ArrayError
            If `time` lies before the time already reached.
        """
        if time < self.time:
            msg = f"cells are {self.time:.4g} s old and cannot go back to {time:.4g} s"
            raise ArrayError(msg)
        distribution, t0 = self.distribution, self.ageing.reference_time
        if time < t0:
            return dataclasses.replace(self, time=time)
        g = self.conductance
        first, step = torch.randn(
            (2, *g.shape), generator=generator, device=g.device, dtype=g.dtype
        )
        passed = math.log(time / max(self.time, t0))
        moved = (
            self.ageing.drift[distribution] * passed
            + self.ageing.growth[distribution] * math.sqrt(passed) * step
        )
        if self.time < t0:
            moved = (
                moved
                + self.ageing.first_step[distribution]
                + self.ageing.first_spread[distribution] * first
            )
        return dataclasses.replace(self, conductance=g + moved * self.ages, time=time)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chips:
    """Dies, before any programming."""

    model: DeviceModel
    deviation: Tensor  #      (chip, level, row, col) latent D
    fault: Tensor  #      (chip, row, col) codes of `rramfit.card.cells.Fault`
    hard: Tensor  #      (chip, level, row, col) never programs at the level
    stuck_conductance: Tensor  # [S] (chip, row, col) of stuck cells and dead lines
    nonlinearity: Tensor | None  # [1/V] (chip, row, col) deviation of b from its regression

    def __len__(self) -> int:
        return len(self.fault)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.fault.shape[1], self.fault.shape[2]

    def take(self, which: Tensor, *, factors: Collection[str] = FACTORS) -> Chips:
        """Pick dies by index, any of them more than once; factors that are not named are off."""
        off = self.model.factors - set(factors)
        chosen = which.to(self.fault.device)
        fault = self.fault[chosen]
        if "stuck" in off:
            fault = sound_where(fault, Fault.STUCK_LOW, Fault.STUCK_HIGH)
        if "dead_lines" in off:
            fault = sound_where(fault, Fault.DEAD_ROW, Fault.DEAD_COL)
        return Chips(
            model=self.model.without(*off),
            deviation=self.deviation[chosen],
            fault=fault,
            hard=self.hard[chosen],
            stuck_conductance=self.stuck_conductance[chosen],
            nonlinearity=None if self.nonlinearity is None else self.nonlinearity[chosen],
        )

    def trend(self, level: Tensor) -> Tensor:
        """Trend of each cell at the level asked for, (chip, row, col) [S]."""
        m = self.model
        rows, cols = self.shape
        r = torch.arange(rows, device=m.device, dtype=m.dtype) - (rows - 1) / 2
        c = torch.arange(cols, device=m.device, dtype=m.dtype) - (cols - 1) / 2
        return m.row_trend[level] * r[:, None] + m.col_trend[level] * c

    def _healthy(self, level: Tensor, generator: torch.Generator) -> Tensor:
        """State of cells that take the level, (chip, row, col) [S]."""
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
            Asked for; -1 leaves the cell as it was made, at the lowest level and not accepted.
        generator : torch.Generator
            On the model's device.

        Raises
        ------
        ArrayError
            If a level is not among the model's, or the pattern does not fit the chips.
        """
        m = self.model
        if tuple(level.shape[-2:]) != self.shape:
            msg = f"pattern of {tuple(level.shape)} for chips of {self.shape}"
            raise ArrayError(msg)
        level = level.to(m.device, torch.int64).expand(len(self), *self.shape)
        low, high = int(level.min()), int(level.max())
        if low < -1 or high >= m.n_levels:
            msg = f"levels {low} to {high} asked of a model with levels 0 to {m.n_levels - 1}"
            raise ArrayError(msg)
        streams = _split(generator, "cycle", "soft", "failed")
        asked = level.clamp_min(0)
        conductance = self._healthy(asked, streams["cycle"])
        accepted, distribution = level >= 0, asked
        if "failure" in m.factors and bool(((m.faults.hard > 0) | (m.faults.soft > 0)).any()):
            u = torch.rand(level.shape, generator=streams["soft"], device=m.device, dtype=m.dtype)
            fails = (u < m.faults.soft[asked]) | self.hard.gather(1, asked[:, None])[:, 0]
            fails = fails & accepted
            left = self._healthy(torch.zeros_like(asked), streams["failed"])
            scale = m.faults.failed_median / m.quantiles[0, m.quantiles.shape[1] // 2]
            left = left * torch.nan_to_num(scale, nan=1.0)[asked]
            conductance = torch.where(fails, left, conductance)
            accepted, distribution = accepted & ~fails, torch.where(fails, 0, distribution)
        ages = self.fault == Fault.OK
        if not bool(ages.all()):
            stuck = self.stuck_conductance
            inside = (stuck >= m.lower[asked]) & (stuck <= m.upper[asked])  # false without window
            live = (self.fault == Fault.STUCK_LOW) | (self.fault == Fault.STUCK_HIGH)
            conductance = torch.where(ages, conductance, stuck)
            accepted = torch.where(ages, accepted, inside & live & (level >= 0))
            at_top = torch.full_like(distribution, m.n_levels - 1)
            at = torch.where(self.fault == Fault.STUCK_HIGH, at_top, torch.zeros_like(distribution))
            distribution = torch.where(ages, distribution, at)
        return Programmed(
            conductance=conductance,
            level=level,
            accepted=accepted,
            distribution=distribution,
            ages=ages,
            read_noise=m.read_noise if "read" in m.factors else m.read_noise.silent(),
            ageing=m.ageing if "retention" in m.factors else m.ageing.stopped(),
        )

    def conduction(self, conductance: Tensor) -> tuple[Tensor, Tensor]:
        """G0 [S] and b [1/V] of cells in a state, I(V) = G0·sinh(bV)/b, each (chip, row, col).

        A card's conductance is I/V at its read voltage; G0 is the slope at 0 V. Without the factor
        `nonlinearity`, or where the card has none, b is 0 and G0 the conductance itself.
        """
        model = self.model.conduction
        if model is None or "nonlinearity" not in self.model.factors:
            return conductance, torch.zeros_like(conductance)
        spread = 0.0 if self.nonlinearity is None else self.nonlinearity
        g0, b = conductance, torch.zeros_like(conductance)
        for _ in range(3):  # b depends on ln G0, G0 on b; the error falls by ~0.1 a round
            ratio = (g0 / model.reference).clamp_min(1e-6)
            b = model.nonlinearity + model.dependence * ratio.log() + spread
            b = (b + model.slope * (g0 - model.reference)).clamp_min(0)
            x = (b * model.read_voltage).clamp_min(1e-4)
            g0 = conductance * x / torch.sinh(x)
        return g0, b


def sound_where(fault: Tensor, *kinds: Fault) -> Tensor:
    """Take faults of these kinds away."""
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
    """Draw whole chips.

    Parameters
    ----------
    model : DeviceModel
    count : int
    shape : (rows, cols), optional
        That of the card's array where not given.
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
        stuck_conductance=stuck_conductance(model, fault, normal("stuck_at")),
        nonlinearity=spread * normal("nonlinearity") if spread else None,
    )


def stuck_conductance(model: DeviceModel, fault: Tensor, noise: Tensor) -> Tensor:
    """Conductance of stuck cells and dead lines, lognormal about the medians [S].

    Parameters
    ----------
    fault : integer tensor (chip, row, col)
        Codes of `Fault`; sound cells get a number without meaning.
    noise : tensor (chip, row, col)
        Standard normal.
    """
    f = model.faults
    low = f.low_conductance * torch.exp(f.low_spread * noise)
    high = f.high_conductance * torch.exp(f.high_spread * noise)
    stuck = torch.where(fault == Fault.STUCK_LOW, low, high)
    dead = (fault == Fault.DEAD_ROW) | (fault == Fault.DEAD_COL)
    return torch.where(dead, 0.0, stuck)  # an open line conducts nothing


def _deviations(
    model: DeviceModel,
    count: int,
    shape: tuple[int, int],
    streams: Mapping[str, torch.Generator],
) -> Tensor:
    """Latent D of every cell at every level, (chip, level, row, col)."""
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
    """Codes of `Fault`, (chip, row, col)."""
    count, rows, cols = size
    f, device = model.faults, model.device
    fault = torch.full(size, int(Fault.OK), dtype=torch.int64, device=device)
    if "stuck" in model.factors:
        u = torch.rand(size, generator=streams["stuck"], device=device)
        fault[u < f.stuck_low] = int(Fault.STUCK_LOW)
        fault[u >= 1 - f.stuck_high] = int(Fault.STUCK_HIGH)
    if "dead_lines" in model.factors:
        u = torch.rand((count, rows + cols), generator=streams["dead"], device=device)
        fault[(u[:, :rows, None] < f.dead_rows).expand(size)] = int(Fault.DEAD_ROW)
        fault[(u[:, None, rows:] < f.dead_cols).expand(size)] = int(Fault.DEAD_COL)
    return fault
