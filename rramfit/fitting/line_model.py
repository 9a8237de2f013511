"""Column currents as a function of the four resistances, with their exact sensitivities.

With u the cell voltages, i = G u and u = e - R(r) i, a change of one resistance obeys the same
linear network,

    w + R G w = -(dR/dr) i + (d ln G/dr) u        dI/dr = column sums of G w

so currents and sensitivities are five solves of one system (`rramfit.array.iterative`), for any
convention of inactive rows. Cell reads that were taken at the terminals have the wires of their own
path in series, 1/G = 1/G_read - rho(r), and G then moves with the resistances: the second term.

A cell read that is off by a share d changes its column's current by d times G u a, where a is the
voltage that the cell would show if all columns were driven by 1 V instead of the rows: this is what
weights cell errors in `rramfit.fitting.line_noise`.

Resistances below zero do not exist, but an estimate may come out there; the model goes on linearly
from zero, so that errors stay symmetric. Fitting is not here: see `rramfit.fitting.line_fit`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    from rramfit.array.line import InactiveRows, LineResistance

__all__ = ["RESISTANCES", "LineModel", "Response"]

Floats = NDArray[np.float64]

RESISTANCES = (
    "wordline_resistance",
    "bitline_resistance",
    "driver_resistance",
    "sense_resistance",
)
"""The four resistances, in the order of all arrays here."""

_TOLERANCE = 1e-8  # of the linear solves, relative: far below any current's noise
_SLOPE_TOLERANCE = 1e-6  # of the sensitivities
_VECTORS = 4  # solved together: as many as stay in the cache
_LEAST_MARGIN = 0.05  # of a terminal read's resistance that must be left for the cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """Model at one set of resistances."""

    current: Floats  # [A]      (pattern, col)
    sensitivity: Floats  # [A/ohm] (resistance, pattern, col)
    cell: Floats  # [A]      (pattern, row, col) change of column current per share of a cell

    def moved(self, step: Floats) -> Response:
        """Continue along the sensitivities, over steps of the resistances too short to bend."""
        return replace(self, current=self.current + np.tensordot(step, self.sensitivity, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class LineModel:
    """One array under its input patterns."""

    voltage: Floats  # [V]  (pattern, row)
    conductance: Floats  # [S]  (row, col) as read, no gaps, at least 0
    inactive_rows: InactiveRows
    cell_reads: Literal["intrinsic", "terminal"]

    def response(self, resistance: Floats) -> Response:
        """Currents and sensitivities.

        Parameters
        ----------
        resistance : (4,) array
            In the order of `RESISTANCES` [ohm]; below zero the model is continued linearly.

        Returns
        -------
        Response

        Raises
        ------
        ArrayError
            If the linear solver does not converge.
        """
        import torch

        inside = np.maximum(resistance, 0.0)
        with torch.no_grad():
            parts = [
                self._some(inside, torch.from_numpy(self.voltage[at : at + _VECTORS].copy()))
                for at in range(0, len(self.voltage), _VECTORS)
            ]
        current, sensitivity, cell = (np.concatenate(x, axis=-2) for x in zip(*parts, strict=True))
        cell = cell.reshape(-1, *self.conductance.shape)
        response = Response(current=current, sensitivity=sensitivity, cell=cell)
        return response.moved(resistance - inside)

    def _line(self, r: Floats) -> LineResistance:
        from rramfit.array.line import LineResistance

        return LineResistance(
            r_wl=float(r[0]),
            r_bl=float(r[1]),
            r_driver=float(r[2]),
            r_sense=float(r[3]),
            inactive_rows=self.inactive_rows,
        )

    def _some(self, r: Floats, v: Tensor) -> tuple[Floats, Floats, Floats]:
        """Response to a few patterns; the cells' part as (1, pattern, row * col)."""
        import torch

        from rramfit.array.iterative import Network, solve_cells
        from rramfit.array.wires import Wires

        m, n = self.conductance.shape
        like = torch.from_numpy(self.conductance.copy())
        g, d_log_g = self._cells(r, like)
        active = (v != 0)[None]
        count = len(v)
        network = Network.of(self._line(r), active, like)
        seen = g * active[0, :, :, None] if self.inactive_rows == "gated" else g[None]
        seen = seen.expand(count, m, n)
        first = solve_cells(
            network, seen[None], v[None, :, :, None].expand(1, count, m, n), tolerance=_TOLERANCE
        )
        sources = [torch.ones_like(first.current)]
        for k in range(4):
            unit = Wires.of(self._line(np.eye(4)[k]), like)
            sources.append(-unit.drop(first.current) + d_log_g[k] * first.voltage)
        many = Network.of(self._line(r), active.repeat(1, 5, 1), like)
        rest = solve_cells(
            many, seen.repeat(5, 1, 1)[None], torch.cat(sources, 1), tolerance=_SLOPE_TOLERANCE
        )
        moved = rest.current.reshape(5, count, m, n)
        returned = rest.voltage.reshape(5, count, m, n)[0]
        return (
            first.current[0].sum(-2).numpy(),
            moved[1:].sum(-2).numpy(),
            (first.current[0] * returned).reshape(1, count, m * n)[0].numpy(),
        )

    def _cells(self, r: Floats, like: Tensor) -> tuple[Tensor, Tensor]:
        """Intrinsic conductance, and its relative change with each resistance (4, row, col)."""
        import torch

        from rramfit.array.wires import Wires

        m, n = self.conductance.shape
        if self.cell_reads == "intrinsic":
            return like, torch.zeros(4, m, n, dtype=like.dtype)
        path = Wires.of(self._line(r), like).diagonal(m, n)
        left = (1 - like * path).clamp_min(_LEAST_MARGIN)
        g = like / left
        units = [Wires.of(self._line(np.eye(4)[k]), like).diagonal(m, n) for k in range(4)]
        return g, torch.stack(units) * torch.where(left > _LEAST_MARGIN, g, torch.zeros_like(g))
