"""The tester of a virtual chip: what it asks for, and what it does to readings.

Sweeps go round the levels: in every L consecutive sweeps of an L-level card each cell visits each
level once, in a random order of cells that is balanced over the array and new every L sweeps. A
number of sweeps counts all programming sweeps, so 24 sweeps of 3 levels are 8 cycles a level.

Readings get the instrument's offset, are clipped at its rails, may be lost, and are rounded to
float32, as files store them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rramfit.measurement.file.record import Floats, Integers
from rramfit.streams import stream, torch_stream

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Instrument", "Plan", "level_pattern"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """The tester that reads the virtual chip."""

    offset: float = 0.0  # [S] added to every cell reading
    floor: float | None = None  # [S] rails at which cell readings are clipped
    ceiling: float | None = None
    missing: float = 0.0  # share of cell readings that are lost
    read_voltage: float = 0.2  # [V] where the card's domain has none
    temperature: float = 298.15  # [K] where the card's domain, or its retention, has none
    max_pulses: int | None = None  # write pulse counts, up to this budget
    current_noise: float = 0.01  # of a column current, relative (/mvm)
    cell_read_noise: float = 0.005  # of the cells' state in /mvm, relative

    def measure(self, reading: Tensor, seed: int, name: str) -> Floats:
        """Give what reaches the file of noisy cell readings [S], float32 in float64."""
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
    """How much of every optional group is measured."""

    reads: int = 8
    read_interval: float = 1.0  # [s]
    retention_times: tuple[float, ...] = (0.0, 1.0, 60.0, 3600.0, 86400.0)  # [s] after programming
    iv_cells: int = 64
    iv_points: int = 41
    iv_range: float = 0.3  # [V] from −iv_range to iv_range
    mvm_patterns: int = 32  # half of the rows on
    readout_points: int = 65
    readout_repeats: int = 4


def level_pattern(levels: int, sweep: int, shape: tuple[int, int], *, seed: int) -> Integers:
    """Levels asked for in one sweep, (row, col): balanced over cells, and over sweeps per cell."""
    order = stream(seed, f"pattern/{sweep // levels}").permutation(shape[0] * shape[1])
    pattern: Integers = ((order % levels + sweep) % levels).reshape(shape).astype(np.int64)
    return pattern
