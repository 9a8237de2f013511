"""Column currents as a function of the four resistances, with their exact sensitivities.

With cell voltages u, cell currents i = G u and u = e - R(r) i, the change of u with one resistance
obeys the same linear network,

    w + R G w = -(dR/dr) i + (d ln G/dr) u        dI/dr = column sums of G w

so currents and sensitivities are five solves of one system (`rramfit.array.wires.iterative`), for
every treatment of inactive rows. Cells that were read at the terminals have the wires of their path
in series, 1/G = 1/G_read - rho(r), so that G depends on the resistances: the second term.

A relative error d of a cell read changes the current of its column by d times G u a, where a is the
voltage of the cell if all columns instead of the rows were driven by 1 V. This weights cell errors
in `rramfit.fitting.electrical.line_noise`.

Negative resistances do not exist, but an estimate may be negative: the model is continued linearly
below zero, so that errors stay symmetric. Fitting is in `rramfit.fitting.electrical.line_fit`.
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

_TOLERANCE = 1e-8  # relative, of the linear solves; far below the noise of any current
_SLOPE_TOLERANCE = 1e-5  # relative, of the sensitivities
_LINEAR = 0.02  # largest relative error of a step predicted from the sensitivities
_BATCH = 4  # patterns solved together; as many as fit in the cache
_MIN_CELL_SHARE = 0.05  # least share of a terminal read's resistance attributed to the cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """Currents and sensitivities of the model at one set of resistances."""

    current: Floats  # [A]      (pattern, col)
    sensitivity: Floats  # [A/ohm] (resistance, pattern, col)
    cell: Floats  # [A]      (pattern, row, col) change of current per relative change of a cell

    def extrapolated(self, step: Floats) -> Response:
        """Return the response after a short step of the resistances, from the sensitivities."""
        return replace(self, current=self.current + np.tensordot(step, self.sensitivity, 1))

    def is_linear(self, step: Floats, current: Floats) -> bool:
        """Return whether the sensitivities still hold after a step to these currents [A]."""
        predicted = np.tensordot(step, self.sensitivity, 1)
        error = current - self.current - predicted
        return bool(np.linalg.norm(error) <= _LINEAR * np.linalg.norm(predicted))


@dataclass(frozen=True, slots=True, kw_only=True)
class LineModel:
    """One array under its input patterns."""

    voltage: Floats  # [V]  (pattern, row)
    conductance: Floats  # [S]  (row, col) as read, no gaps, at least 0
    inactive_rows: InactiveRows
    cell_reads: Literal["intrinsic", "terminal"]

    def response(self, resistance: Floats) -> Response:
        """Compute currents and sensitivities.

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
        parts = self._in_batches(partial(self._batch_response, inside))
        current, sensitivity, cell = (np.concatenate(x, axis=-2) for x in zip(*parts, strict=True))
        cell = cell.reshape(-1, *self.conductance.shape)
        response = Response(current=current, sensitivity=sensitivity, cell=cell)
        return response.extrapolated(resistance - inside)

    def currents(self, resistance: Floats) -> Floats:
        """Compute currents only, (pattern, col) [A], at a fifth of the cost of `response`."""
        if (resistance < 0).any():
            return self.response(resistance).current
        parts = self._in_batches(partial(self._solve, resistance))
        return np.concatenate([part.current[0].sum(-2).numpy() for part in parts])

    def _in_batches(self, work: Callable[[Tensor], T]) -> list[T]:
        """Apply `work` to batches of patterns, with one Python thread per torch thread.

        One solve is too small to be split over threads, and this way the result does not depend on
        the number of threads.
        """
        import torch

        starts = range(0, len(self.voltage), _BATCH)
        batches = [torch.from_numpy(self.voltage[at : at + _BATCH].copy()) for at in starts]
        threads = torch.get_num_threads()
        try:
            with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as x:
                return list(x.map(work, batches))
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

    def _solve(self, r: Floats, v: Tensor) -> CellSolution:
        """Solve the cells under a batch of patterns, (1, pattern, row, col)."""
        from rramfit.array.wires.iterative import solve_cells

        m, n = self.conductance.shape
        source = v[None, :, :, None].expand(1, len(v), m, n)
        return solve_cells(self._network(r, v), self._active(r, v), source, tolerance=_TOLERANCE)

    def _network(self, r: Floats, v: Tensor) -> Network:
        from rramfit.array.wires.iterative import Network

        return Network.of(self._line(r), (v != 0)[None], v)

    def _active(self, r: Floats, v: Tensor) -> Tensor:
        """Return the conductance connected under each pattern, (1, pattern, row, col)."""
        g = self._cells(r)[0].expand(len(v), -1, -1)
        return (g * (v != 0)[:, :, None] if self.inactive_rows == "gated" else g)[None]

    def _batch_response(self, r: Floats, v: Tensor) -> tuple[Floats, Floats, Floats]:
        """Compute the response to a batch of patterns; effect of cells as (pattern, row * col)."""
        import torch

        from rramfit.array.wires.iterative import solve_cells
        from rramfit.array.wires.wire_operator import Wires

        first = self._solve(r, v)
        # With columns driven, grounded rows do not depend on the pattern.
        driven = 1 if self.inactive_rows == "grounded" else len(v)
        sources = [torch.ones_like(first.current[:, :driven])]
        for k, d_log_g in enumerate(self._cells(r)[1]):
            unit = Wires.of(self._line(np.eye(4)[k]), v)
            sources.append(-unit.drop(first.current) + d_log_g * first.voltage)
        patterns = torch.cat((v[:driven], v.repeat(4, 1)))
        rest = solve_cells(
            self._network(r, patterns),
            self._active(r, patterns),
            torch.cat(sources, 1),
            tolerance=_SLOPE_TOLERANCE,
        )
        change = rest.current[0, driven:].reshape(4, *first.current.shape[1:])
        adjoint = rest.voltage[:, :driven]
        return (
            first.current[0].sum(-2).numpy(),
            change.sum(-2).numpy(),
            (first.current * adjoint)[0].flatten(1).numpy(),
        )

    def _cells(self, r: Floats) -> tuple[Tensor, Tensor]:
        """Return intrinsic conductance and its relative change per resistance (4, row, col)."""
        import torch

        from rramfit.array.wires.wire_operator import Wires

        m, n = self.conductance.shape
        like = torch.from_numpy(self.conductance.copy())
        if self.cell_reads == "intrinsic":
            return like, torch.zeros(4, m, n, dtype=like.dtype)
        path = Wires.of(self._line(r), like).diagonal(m, n)
        share = (1 - like * path).clamp_min(_MIN_CELL_SHARE)
        g = like / share
        units = [Wires.of(self._line(np.eye(4)[k]), like).diagonal(m, n) for k in range(4)]
        return g, torch.stack(units) * torch.where(share > _MIN_CELL_SHARE, g, torch.zeros_like(g))
