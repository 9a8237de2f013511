"""Measured conductances as chips: what a network would have met on the very cells measured.

Chip n holds, for every cell and level, what was read back at the cell's nth programming to that
level, failed programmings included. Nothing is drawn; where a cell was not measured at a level, see
`rramfit.array.devices.measured_chips.ReplayedChips`.
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
    """Hand out a measurement's programming sweeps as chips.

    Parameters
    ----------
    measurement : Measurement
        With `/program` and its levels.
    cycles : int, optional
        At most so many chips; as many as the most visited cell has cycles where not given.
    device, dtype : optional
        Of the conductances; float32 where not given.

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
        msg = f"{source}: no /program with /levels and a known pattern; nothing can be replayed"
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
        msg = f"{measurement.identity.array_id}: no cell was programmed and read"
        raise ArrayError(msg)
    return ReplayedChips(
        conductance=torch.tensor(
            np.stack([g for g, _ in found]), dtype=dtype or torch.float32, device=device
        ),
        accepted=torch.tensor(np.stack([a for _, a in found]), device=device),
    )
