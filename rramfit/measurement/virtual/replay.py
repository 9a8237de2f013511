"""Measured conductances as chips: evaluates a network on the measured cells themselves.

Chip n contains, for every cell and level, the reading after the cell's nth programming to that
level, including failed programmings. Nothing is drawn at random.
`rramfit.array.devices.measured_chips.ReplayedChips` handles cells that were not measured at a
level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rramfit.errors import ArrayError
from rramfit.measurement.file.record import Measurement

if TYPE_CHECKING:
    import torch

    from rramfit.array.devices.measured_chips import ReplayedChips

__all__ = ["replay"]


def replay(
    measurement: Measurement,
    *,
    cycles: int | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> ReplayedChips:
    """Return the programming sweeps of a measurement as chips.

    Parameters
    ----------
    measurement : Measurement
        Must contain `/program` with levels.
    cycles : int, optional
        Maximum number of chips; default: the largest number of cycles of any cell at a level.
    device, dtype : optional
        Of the conductances; default dtype: float32.

    Raises
    ------
    ArrayError
        If there is no programming sweep with known levels.
    """
    import torch

    from rramfit.array.devices.measured_chips import ReplayedChips

    program, levels = measurement.program, measurement.levels
    if program is None or levels is None or not program.levels_known:
        source = measurement.path or measurement.identity.array_id
        msg = f"{source}: replay needs /program with a known pattern, and /levels"
        raise ArrayError(msg)
    shape = (len(levels), *program.shape[1:])
    visits = np.zeros(shape, dtype=np.int64)
    found: list[tuple[np.ndarray, np.ndarray]] = []
    rows, cols = np.indices(program.shape[1:])
    for block in program.blocks():
        for g, level, accepted in zip(block.conductance, block.level, block.accepted, strict=True):
            there = (level >= 0) & np.isfinite(g)
            at = (level[there], rows[there], cols[there])
            nth = visits[at]
            for n in np.unique(nth):
                if cycles is not None and n >= cycles:
                    continue
                if n == len(found):
                    found.append((np.full(shape, np.nan), np.zeros(shape, dtype=np.bool_)))
                cell = tuple(x[nth == n] for x in at)
                found[n][0][cell], found[n][1][cell] = g[there][nth == n], accepted[there][nth == n]
            visits[at] += 1
    if not found:
        msg = f"{measurement.identity.array_id}: no cell was both programmed and read"
        raise ArrayError(msg)
    return ReplayedChips(
        conductance=torch.tensor(
            np.stack([g for g, _ in found]), dtype=dtype or torch.float32, device=device
        ),
        accepted=torch.tensor(np.stack([a for _, a in found]), device=device),
    )
