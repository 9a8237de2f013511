"""Column currents as a function of the four resistances, with their exact sensitivities.

With u the cell voltages, i = G u and u = e - R(r) i, a change of one resistance obeys the same
linear network,

    w + R G w = -(dR/dr) i + (d ln G/dr) u        dI/dr = column sums of G w

so currents and sensitivities are five solves of one system (`rramfit.array.wires.iterative`), for
any convention of inactive rows. Cell reads that were taken at the terminals have the wires of their
own path in series, 1/G = 1/G_read - rho(r), and G then moves with the resistances: the second term.

A cell read that is off by a share d changes its column's current by d times G u a, where a is the
voltage that the cell would show if all columns were driven by 1 V instead of the rows: this is what
weights cell errors in `rramfit.fitting.electrical.line_noise`.

Resistances below zero do not exist, but an estimate may come out there; the model goes on linearly
from zero, so that errors stay symmetric. Fitting is not here: see
`rramfit.fitting.electrical.line_fit`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    from rramfit.array.wires.iterative import CellSolution, Network
    from rramfit.array.wires.line import InactiveRows, LineResistance

__all__ = ["RESISTANCES", "LineModel", "Response"]

Floats = NDArray[np.float64]
T = TypeVar("T")

RESISTANCES = (
    "wordline_resistance",
    "bitline_resistance",
    "driver_resistance",
    "sense_resistance",
)
"""The four resistances, in the order of all arrays here."""

_TOLERANCE = 1e-8  # of the linear solves, relative: far below any current's noise
_SLOPE_TOLERANCE = 1e-5  # of the sensitivities
_STRAIGHT = 0.02  # share of a step's effect that sensitivities may miss
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

    def straight(self, step: Floats, current: Floats) -> bool:
        """Whether the sensitivities still hold after a step that led to these currents [A]."""
        led = np.tensordot(step, self.sensitivity, 1)
        bent = current - self.current - led
        return bool(np.linalg.norm(bent) <= _STRAIGHT * np.linalg.norm(led))


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
        inside = np.maximum(resistance, 0.0)
        parts = self._each(partial(self._some, inside))
        current, sensitivity, cell = (np.concatenate(x, axis=-2) for x in zip(*parts, strict=True))
        cell = cell.reshape(-1, *self.conductance.shape)
        response = Response(current=current, sensitivity=sensitivity, cell=cell)
        return response.moved(resistance - inside)

    def currents(self, resistance: Floats) -> Floats:
        """Currents alone, (pattern, col) [A], at a fifth of the price; else as `response`."""
        if (resistance < 0).any():
            return self.response(resistance).current
        parts = self._each(partial(self._solved, resistance))
        return np.concatenate([part.current[0].sum(-2).numpy() for part in parts])

    def _each(self, work: Callable[[Tensor], T]) -> list[T]:
        """Work on a few patterns at a time, one thread for each of torch's.

        The solves are too small to be shared among threads one by one; and so the result does not
        depend on how many there are.
        """
        import torch

        starts = range(0, len(self.voltage), _VECTORS)
        some = [torch.from_numpy(self.voltage[at : at + _VECTORS].copy()) for at in starts]
        threads = torch.get_num_threads()
        try:
            with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as x:
                return list(x.map(work, some))
        finally:
            torch.set_num_threads(threads)

    def _line(self, r: Floats) -> LineResistance:
        from rramfit.array.wires.line import LineResistance

        return LineResistance(
            r_wl=float(r[0]),
            r_bl=float(r[1]),
            r_driver=float(r[2]),
            r_sense=float(r[3]),
            inactive_rows=self.inactive_rows,
        )

    def _solved(self, r: Floats, v: Tensor) -> CellSolution:
        """Cells under a few patterns, (1, pattern, row, col)."""
        from rramfit.array.wires.iterative import solve_cells

        m, n = self.conductance.shape
        source = v[None, :, :, None].expand(1, len(v), m, n)
        return solve_cells(self._network(r, v), self._seen(r, v), source, tolerance=_TOLERANCE)

    def _network(self, r: Floats, v: Tensor) -> Network:
        from rramfit.array.wires.iterative import Network

        return Network.of(self._line(r), (v != 0)[None], v)

    def _seen(self, r: Floats, v: Tensor) -> Tensor:
        """Conductance that takes part under each pattern, (1, pattern, row, col)."""
        g = self._cells(r)[0].expand(len(v), -1, -1)
        return (g * (v != 0)[:, :, None] if self.inactive_rows == "gated" else g)[None]

    def _some(self, r: Floats, v: Tensor) -> tuple[Floats, Floats, Floats]:
        """Response to a few patterns; the cells' part as (pattern, row * col)."""
        import torch

        from rramfit.array.wires.iterative import solve_cells
        from rramfit.array.wires.wire_operator import Wires

        first = self._solved(r, v)
        alone = 1 if self.inactive_rows == "grounded" else len(v)  # columns driven: all rows alike
        sources = [torch.ones_like(first.current[:, :alone])]
        for k, d_log_g in enumerate(self._cells(r)[1]):
            unit = Wires.of(self._line(np.eye(4)[k]), v)
            sources.append(-unit.drop(first.current) + d_log_g * first.voltage)
        patterns = torch.cat((v[:alone], v.repeat(4, 1)))
        rest = solve_cells(
            self._network(r, patterns),
            self._seen(r, patterns),
            torch.cat(sources, 1),
            tolerance=_SLOPE_TOLERANCE,
        )
        moved = rest.current[0, alone:].reshape(4, *first.current.shape[1:])
        returned = rest.voltage[:, :alone]
        return (
            first.current[0].sum(-2).numpy(),
            moved.sum(-2).numpy(),
            (first.current * returned)[0].flatten(1).numpy(),
        )

    def _cells(self, r: Floats) -> tuple[Tensor, Tensor]:
        """Intrinsic conductance, and its relative change with each resistance (4, row, col)."""
        import torch

        from rramfit.array.wires.wire_operator import Wires

        m, n = self.conductance.shape
        like = torch.from_numpy(self.conductance.copy())
        if self.cell_reads == "intrinsic":
            return like, torch.zeros(4, m, n, dtype=like.dtype)
        path = Wires.of(self._line(r), like).diagonal(m, n)
        left = (1 - like * path).clamp_min(_LEAST_MARGIN)
        g = like / left
        units = [Wires.of(self._line(np.eye(4)[k]), like).diagonal(m, n) for k in range(4)]
        return g, torch.stack(units) * torch.where(left > _LEAST_MARGIN, g, torch.zeros_like(g))
