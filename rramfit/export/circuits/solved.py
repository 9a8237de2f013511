"""The cells of exported circuits, and their column currents by the solvers of rramfit.

A circuit cell has no negative conductance: a read below zero, which the offset of a read-out or a
normal distribution can give, is exported as an open cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rramfit.export.contract import Limit

if TYPE_CHECKING:
    from rramfit.array.wires.line import LineResistance
    from rramfit.export.drawn import DrawnChips

__all__ = ["circuit_cells", "negative_reads", "solved_currents"]

Floats = NDArray[np.float64]


def circuit_cells(chips: DrawnChips, *, ohmic: bool) -> tuple[Floats, Floats]:
    """Return G0 [S] and b [1/V] of every cell, (chip, tile, row, col) each.

    Parameters
    ----------
    chips : DrawnChips
        Of whose cells one read is used.
    ohmic : bool
        Whether every cell has its conductance at the read voltage at all voltages.
    """
    slope = chips.read if ohmic else chips.slope
    b = np.zeros_like(slope) if ohmic else chips.nonlinearity
    return np.maximum(slope, 0.0), np.where(slope > 0, b, 0.0)


def negative_reads(chips: DrawnChips) -> Iterator[Limit]:
    """Yield the limit that negative reads are open cells, if there are any."""
    below = chips.read < 0
    if below.any():
        share = 100 * float(below.mean())
        lowest = float(chips.read.min())
        yield Limit(
            what="Cells that read below zero are open.",
            size=f"{share:.2g} % of the cells, down to {lowest:.2g} S",
        )


def solved_currents(
    slope: Floats, nonlinearity: Floats, voltage: Floats, line: LineResistance
) -> Floats:
    """Return the column currents of every chip, tile and vector, (chip, tile, vector, col) [A].

    Parameters
    ----------
    slope, nonlinearity : (chip, tile, row, col) arrays
        As `circuit_cells` returns them.
    voltage : (vector, row) array
        [V]; a row at 0 V is inactive.
    line : LineResistance
    """
    import torch

    from rramfit.array.wires.effective import column_currents
    from rramfit.array.wires.nonlinear import solve_nonlinear

    chips, tiles, rows, cols = slope.shape
    g = torch.as_tensor(slope.reshape(-1, rows, cols))
    v = torch.as_tensor(voltage)
    with torch.no_grad():
        if not (nonlinearity > 0).any():
            found = column_currents(g, v, line)
        else:
            b = torch.as_tensor(nonlinearity.reshape(-1, 1, rows, cols))
            found = solve_nonlinear(g, v, line, nonlinearity=b).column_current
    return np.asarray(found.numpy()).reshape(chips, tiles, len(voltage), cols)
