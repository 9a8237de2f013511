"""The tester of a virtual chip: target levels of each sweep, and the effect of the instrument.

With L levels, each cell is programmed to every level once in L consecutive sweeps. The pattern is
random, balanced over the array, and drawn anew every L sweeps. The number of sweeps counts all
programming sweeps: 24 sweeps of 3 levels are 8 cycles per level.

The instrument adds its offset to a reading, clips it at its rails, loses some readings, and rounds
to float32, as in files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rramfit.measurement.file.record import Floats, Integers
from rramfit.streams import stream, torch_stream

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Instrument", "Plan", "level_pattern", "read_times", "session_factors"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """The tester that reads the virtual chip."""

    offset: float = 0.0  # [S] added to every cell reading
    floor: float | None = None  # [S] rails that clip cell readings
    ceiling: float | None = None
    missing: float = 0.0  # share of cell readings that are lost
    read_voltage: float = 0.2  # [V] if the card's domain has none
    temperature: float = 298.15  # [K] if the card has none
    max_pulses: int | None = None  # pulse budget; None = no pulse counts
    current_noise: float = 0.01  # relative, of column currents in /mvm
    cell_read_noise: float = 0.005  # relative, of cell conductances in /mvm

    def measure(self, reading: Tensor, seed: int, name: str) -> Floats:
        """Return noisy cell readings as measured [S], rounded to float32."""
        import torch

        y = reading + self.offset
        if self.floor is not None or self.ceiling is not None:
            y = y.clamp(self.floor, self.ceiling)
        if self.missing > 0:
            u = torch.rand(y.shape, generator=torch_stream(seed, f"{name}/missing"))
            y = torch.where(u < self.missing, torch.nan, y)
        out: Floats = y.float().double().numpy()
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Sizes of the optional groups."""

    reads: int = 8
    read_interval: float = 1.0  # [s]
    read_burst: int = 0  # reads after which there is a pause; 0 = none
    read_pause: float = 0.0  # [s] of it
    telegraph_dwell: float = 0.0  # [s] median over cells of the time of telegraph cells in a state
    # of /reads; 0 = a new state at every read
    telegraph_spread: float = 0.5  # standard deviation of the logarithm of that time over cells
    retention_times: tuple[float, ...] = (0.0, 1.0, 60.0, 3600.0, 86400.0)  # [s] after programming
    iv_cells: int = 64
    iv_points: int = 41
    iv_range: float = 0.3  # [V] from −iv_range to iv_range
    iv_loops: int = 0  # sweeps of a cell through SET and RESET, instead of one below switching
    bake_temperatures: tuple[float, ...] = ()  # [K] of further bakes
    bake_energy: float = 1.1  # [eV] by which temperature accelerates them
    pulse_cells: int = 16
    pulse_cycles: int = 4
    pulse_count: int = 32  # up, and as many down
    attempt_cells: int = 64
    attempts: int = 8  # of each cell
    attempt_pulses: int = 30  # after which an attempt is given up
    attempt_success: float | None = None  # of one pulse; None = pulses move ln G step by step
    attempt_spread: float = 0.0  # of it over cells, as the spread of a beta-geometric distribution
    endurance_points: int = 5  # from the card's first to its longest cycle, even in its logarithm
    life: tuple[float, float] | None = None  # Weibull shape and scale [cycles] of /endurance
    sessions: int = 1  # of /reads, one after the other
    session_spread: float = 0.0  # relative, std over sessions of a factor of all readings
    mvm_patterns: int = 32  # half of the rows active
    readout_points: int = 65
    readout_repeats: int = 4


def read_times(plan: Plan) -> Floats:
    """Return the times of `/reads` [s], (read,)."""
    n = np.arange(plan.reads, dtype=np.float64)
    pauses = n // plan.read_burst if plan.read_burst else np.zeros_like(n)
    return np.asarray(n * plan.read_interval + pauses * plan.read_pause)


def session_factors(plan: Plan, seed: int) -> Floats:
    """Return the factor of all readings of each session of `/reads`, (session,)."""
    drawn = stream(seed, "reads/session").standard_normal(plan.sessions)
    return np.asarray(1 + plan.session_spread * drawn)


def level_pattern(levels: int, sweep: int, shape: tuple[int, int], *, seed: int) -> Integers:
    """Return the target levels of one sweep, (row, col), balanced over cells and sweeps."""
    order = stream(seed, f"pattern/{sweep // levels}").permutation(shape[0] * shape[1])
    pattern: Integers = ((order % levels + sweep) % levels).reshape(shape).astype(np.int64)
    return pattern
