"""One array under its inputs, solved exactly: column currents, and what the wires take of them.

Through wires without resistance every column is at ground, whatever the rows without input are
tied to, and carries I0 = V·G. The difference to the current I that it does carry is lost, cell by
cell,

    I0[k] − I[k] = sum_i G_ik (V_i − u_ik)        u the voltage across the cell

A cell without input takes part too: what flows back through it into its row is lost to the column.
Shares of loss are of |I0|; a column whose own currents all but cancel has none to speak of.
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

_LEAST_CURRENT = 0.01  # of the largest ideal current: below it a share of loss says nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class ArraySolution:
    """Column currents of one array under some input vectors."""

    conductance: Floats  # [S]  (row, col)
    voltage: Floats  # [V]  (vector, row)
    line: LineResistance
    column_current: Floats  # [A]  (vector, col)
    ideal_current: Floats  # [A]  (vector, col) through wires without resistance

    @property
    def lost(self) -> Floats:
        """Share of each current that is lost, (vector, col); NaN where next to none is due."""
        return lost_shares(self.column_current, self.ideal_current)

    @property
    def mean_lost(self) -> float:
        """Share of all current that is lost."""
        due = float(np.abs(self.ideal_current).sum())
        return 1 - float(np.abs(self.column_current).sum()) / due if due > 0 else 0.0

    @property
    def worst_lost(self) -> tuple[float, int, int]:
        """Largest share lost, and the vector and column where; zeros where no current is due."""
        lost = self.lost
        if not np.isfinite(lost).any():
            return 0.0, 0, 0
        vector, col = np.unravel_index(int(np.nanargmax(lost)), lost.shape)
        return float(lost[vector, col]), int(vector), int(col)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayMaps:
    """Every node of one array under one input vector, (row, col) each."""

    wordline: Floats  # [V]
    bitline: Floats  # [V]
    cell_current: Floats  # [A] that flows
    lost_current: Floats  # [A] that would flow through wires without resistance, less that


def lost_shares(current: Floats, ideal: Floats) -> Floats:
    """Share of each current that is lost; NaN where it is below 1 % of the largest ideal one.

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
        [V]; a row of 0 V is without input.
    line : LineResistance

    Returns
    -------
    ArraySolution

    Raises
    ------
    ArrayError
        If shapes do not fit, or a conductance is not finite.

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
    """Voltage of every node, and the current that every cell loses, under one input vector."""
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
