"""Small chips with known faults, drawn without the package's sampler."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from rramfit.fitting.screening.accumulate import accumulate
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.measurement.file.in_memory import program_in_memory
from rramfit.measurement.file.record import ArrayIdentity, Levels, Measurement


@dataclass(frozen=True, kw_only=True)
class Chip:
    """A measurement and its ground truth."""

    measurement: Measurement
    statistics: ProgramStatistics
    stuck_low: np.ndarray
    stuck_high: np.ndarray
    dead_rows: np.ndarray
    dead_cols: np.ndarray
    hard: np.ndarray  # (level, row, col)


def measured(
    y: np.ndarray,
    *,
    level: np.ndarray | None = None,
    verified: np.ndarray | None = None,
    levels: Levels | None = None,
) -> tuple[Measurement, ProgramStatistics]:
    """Wrap readings (sweep, row, col) [S] into a measurement and its statistics."""
    program = program_in_memory(y, read_voltage=0.2, level=level, verified=verified, levels=levels)
    measurement = Measurement(
        path=None,
        identity=ArrayIdentity(array_id="made", cell="1T1R"),
        rows=y.shape[1],
        cols=y.shape[2],
        levels=levels,
        program=program,
    )
    return measurement, accumulate(program, len(levels) if levels else 0)


def chip(
    seed: int,
    *,
    shape: tuple[int, int] = (48, 48),
    centres: tuple[float, ...] = (5.0, 50.0, 100.0),
    sweeps_per_level: int = 4,
    d2d: float = 0.06,
    c2c: float = 0.05,
    read: float = 0.02,
    stuck_low: float = 0.0,
    stuck_high: float = 0.0,
    hard: float = 0.0,
    soft: float = 0.0,
    dead_rows: tuple[int, ...] = (),
    dead_cols: tuple[int, ...] = (),
    missing: float = 0.0,
    mixed: bool = True,
    offset: float = 0.0,
    one_sweep: bool = False,
    stuck_at_lowest: bool = False,
) -> Chip:
    """Draw a chip: centres [uS], spreads relative to them, failed cells left at the lowest level.

    In `mixed` sweeps each cell has a random target level; in the others all cells have the same.
    """
    rng = np.random.default_rng(seed)
    c = np.array(centres)
    levels, sweeps = len(c), 1 if one_sweep else sweeps_per_level * len(c)
    order = np.tile(np.arange(levels), sweeps_per_level)
    if mixed or one_sweep:
        cells = rng.permuted(np.tile(order, (shape[0] * shape[1], 1)), axis=1)
        level = cells.T[:sweeps].reshape(sweeps, *shape)
    else:
        level = np.broadcast_to(order[:, None, None], (sweeps, *shape)).copy()
    own = rng.standard_normal(shape)
    state = c[level] * (1 + d2d * own + c2c * rng.standard_normal(level.shape))
    kind = rng.random(shape)
    is_low, is_high = kind < stuck_low, (kind >= stuck_low) & (kind < stuck_low + stuck_high)
    never = (rng.random((levels, *shape)) < hard) & ~(is_low | is_high)
    fails = np.take_along_axis(never, level, axis=0) | (rng.random(level.shape) < soft)
    left = c[0] * (1 + d2d * own + c2c * rng.standard_normal(level.shape))
    state = np.where(fails, left, state)
    at_low, at_high = 0.4 * c[0] * rng.random(shape), c[-1] * (1.3 + 0.3 * rng.random(shape))
    if stuck_at_lowest:
        at_low = c[0] * (1 + d2d * rng.standard_normal(shape))
    state = np.where(is_low, at_low, np.where(is_high, at_high, state))
    y = state * (1 + read * rng.standard_normal(level.shape))
    rows, cols = np.isin(np.arange(shape[0]), dead_rows), np.isin(np.arange(shape[1]), dead_cols)
    dead = rows[:, None] | cols
    y = np.where(dead, 0.02 * rng.standard_normal(y.shape), y) + offset
    verified = ~(fails | is_low | is_high | dead)
    y[rng.random(y.shape) < missing] = np.nan
    measurement, statistics = measured(
        y * 1e-6, level=level, verified=verified, levels=Levels(target=c * 1e-6)
    )
    return Chip(
        measurement=measurement,
        statistics=statistics,
        stuck_low=is_low & ~dead,
        stuck_high=is_high & ~dead,
        dead_rows=np.flatnonzero(rows),
        dead_cols=np.flatnonzero(cols),
        hard=never & ~dead,
    )


@pytest.fixture(scope="session")
def make_chip() -> Callable[..., Chip]:
    """Draw a chip with known faults."""
    return chip


@pytest.fixture(scope="session")
def make_measured() -> Callable[..., tuple[Measurement, ProgramStatistics]]:
    """Wrap readings into a measurement and its statistics."""
    return measured
