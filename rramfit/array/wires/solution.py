"""One array solved exactly for its inputs: column currents, and the current lost to the wires.

With wires of no resistance every column is at ground, in any state of the inactive rows, and
carries the ideal current I0 = V·G. The difference to its actual current I is lost, cell by cell,

    I0[k] − I[k] = sum_i G_ik (V_i − u_ik)        u the voltage across the cell

A cell in an inactive row contributes as well: the column loses the current that flows back through
it. A lost share is relative to |I0|, and undefined in a column whose cell currents nearly cancel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from rramfit.array.wires.effective import column_currents, node_voltages
from rramfit.array.wires.line import LineResistance

__all__ = ["ArrayMaps", "ArraySolution", "array_maps", "lost_shares", "solve_array"]

Floats = NDArray[np.float64]

_LEAST_CURRENT = 0.01  # of the largest ideal current; below it a lost share is undefined


@dataclass(frozen=True, slots=True, kw_only=True)
class ArraySolution:
    """Column currents of one array for some input vectors."""

    conductance: Floats  # [S]  (row, col)
    voltage: Floats  # [V]  (vector, row)
    line: LineResistance
    column_current: Floats  # [A]  (vector, col)
    ideal_current: Floats  # [A]  (vector, col) with wires of no resistance

    @property
    def lost(self) -> Floats:
        """Return the lost share of each current, (vector, col); NaN if it is undefined."""
        return lost_shares(self.column_current, self.ideal_current)

    @property
    def mean_lost(self) -> float:
        """Return the lost share of the total current."""
        due = float(np.abs(self.ideal_current).sum())
        return 1 - float(np.abs(self.column_current).sum()) / due if due > 0 else 0.0

    @property
    def worst_lost(self) -> tuple[float, int, int]:
        """Return the largest lost share, its vector and its column; zeros if all are undefined."""
        lost = self.lost
        if not np.isfinite(lost).any():
            return 0.0, 0, 0
        vector, col = np.unravel_index(int(np.nanargmax(lost)), lost.shape)
        return float(lost[vector, col]), int(vector), int(col)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayMaps:
    """Voltages and currents in one array for one input vector, (row, col) each."""

    wordline: Floats  # [V]
    bitline: Floats  # [V]
    cell_current: Floats  # [A]
    lost_current: Floats  # [A] ideal current, with wires of no resistance, less the cell current


def lost_shares(current: Floats, ideal: Floats) -> Floats:
    """Return the lost share of each current.

    It is NaN where the ideal current is at most 1 % of the largest one.

    Parameters
    ----------
    current, ideal : (vector, col) arrays
        [A]
    """
    size = np.abs(ideal)
    due = size > _LEAST_CURRENT * np.nanmax(size, initial=0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(due, 1 - current / ideal, np.nan)


def solve_array(conductance: Floats, voltage: Floats, line: LineResistance) -> ArraySolution:
    """Solve one array for all its inputs.

    Parameters
    ----------
    conductance : (row, col) array
        [S]
    voltage : (vector, row) array
        [V]; a row at 0 V is inactive.
    line : LineResistance

    Returns
    -------
    ArraySolution

    Raises
    ------
    ArrayError
        If shapes do not match, or a conductance is not finite.

    Examples
    --------
    >>> g, v = np.full((2, 2), 1e-4), np.ones((1, 2))
    >>> solution = solve_array(g, v, LineResistance(r_wl=100.0))
    >>> [round(float(x), 4) for x in solution.lost[0]]
    [0.0, 0.0099]
    """
    with torch.no_grad():
        current = column_currents(torch.tensor(conductance), torch.tensor(voltage), line)
    return ArraySolution(
        conductance=conductance,
        voltage=voltage,
        line=line,
        column_current=current.numpy(),
        ideal_current=voltage @ conductance,
    )


def array_maps(solution: ArraySolution, vector: int = 0) -> ArrayMaps:
    """Compute node voltages and the current lost in every cell, for one input vector."""
    v = solution.voltage[vector]
    nodes = node_voltages(torch.tensor(solution.conductance), torch.tensor(v[None]), solution.line)
    cell = nodes.cell[0].numpy()
    gated = solution.line.inactive_rows == "gated"
    seen = solution.conductance * ((v != 0)[:, None] if gated else 1.0)
    return ArrayMaps(
        wordline=nodes.wordline[0].numpy(),
        bitline=nodes.bitline[0].numpy(),
        cell_current=seen * cell,
        lost_current=seen * (v[:, None] - cell),
    )
