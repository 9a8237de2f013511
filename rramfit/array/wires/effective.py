"""The effective matrix of an array, and exact column currents for every state of inactive rows.

The network is linear, so column currents are I = V T(G) with one m x n matrix T per array. The
array is merged and solved at the ends of its wires (`rramfit.array.wires.wire_ports`):

    grounded   inactive rows are sources at 0 V: I = V T
    floating   all drivers of an inactive row are off, at both ends of a two-ended row: its
               voltage follows from the driven rows, and no current passes through its drivers
    gated      inactive rows have no cells: each set of gated rows is merged as a separate array

All is exact and differentiable in conductances, voltages and resistances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rramfit.array.wires.line import LineResistance, check_conductance
from rramfit.array.wires.merging import node_values
from rramfit.array.wires.wire_ports import WirePorts, solve_ends, wire_ports
from rramfit.errors import ArrayError

__all__ = [
    "NodeVoltages",
    "active_rows",
    "column_currents",
    "effective_matrix",
    "flat_problem",
    "floating_matrix",
    "node_voltages",
    "source_matrix",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeVoltages:
    """Voltage of every node of the network, for each vector."""

    wordline: Tensor  # [V]  (..., vector, row, col)
    bitline: Tensor  # [V]  (..., vector, row, col)
    source: Tensor  # [V]  (..., vector, row) at the left source; in a floating row, of its left end
    column_current: Tensor  # [A]  (..., vector, col)

    @property
    def cell(self) -> Tensor:
        """Return the voltage across each cell [V], (..., vector, row, col)."""
        return self.wordline - self.bitline


def active_rows(voltage: Tensor, active: Tensor | None = None) -> Tensor:
    """Return `active`, or by default the rows whose voltage is not zero."""
    return voltage != 0 if active is None else active.expand(voltage.shape)


def effective_matrix(conductance: Tensor, line: LineResistance) -> Tensor:
    """Compute the effective matrix T of each array, all rows driven or grounded: I = V T.

    Parameters
    ----------
    conductance : (..., m, n) tensor
        [S], float32 or float64.
    line : LineResistance
        Its `inactive_rows` is not used: gated rows must be zero in `conductance`.

    Returns
    -------
    (..., m, n) tensor
        [S]; differentiable in the conductances and the four resistances.

    Raises
    ------
    ArrayError
        If a conductance is not finite.

    Examples
    --------
    >>> g = torch.full((2, 2), 1e-4, dtype=torch.float64)
    >>> effective_matrix(g, LineResistance(r_wl=100.0)) * 1e6
    tensor([[100.0000,  99.0099],
            [100.0000,  99.0099]], dtype=torch.float64)
    """
    return source_matrix(conductance, line)[0]


def source_matrix(conductance: Tensor, line: LineResistance) -> tuple[Tensor, Tensor]:
    """Compute the effective matrix T, and the matrix A of source currents per source voltage.

    Parameters
    ----------
    conductance, line
        As for `effective_matrix`.

    Returns
    -------
    T : (..., m, n) tensor [S]
    A : (..., m, m) tensor [S]
        Of both sources of a two-ended row together; symmetric.
    """
    check_conductance(conductance)
    lead, (m, n) = conductance.shape[:-2], conductance.shape[-2:]
    found = [ports.tied() for ports in wire_ports(conductance.reshape(-1, m, n), line)]
    t, a = (torch.cat(x) if len(x) > 1 else x[0] for x in zip(*found, strict=True))
    return t.reshape(*lead, m, n), a.reshape(*lead, m, m)


def floating_matrix(ports: Sequence[WirePorts], active: Tensor) -> Tensor:
    """Compute the effective matrix of the active rows while the others float.

    Parameters
    ----------
    ports : sequence of WirePorts
        From `rramfit.array.wires.wire_ports`.
    active : (m,) or (tile, m) bool tensor
        The rows whose drivers are on. All drivers of the others are off.

    Returns
    -------
    (tile, m, n) tensor
        [S]; zero in the rows that float.
    """
    tiles = sum(len(some.h) for some in ports)
    on = active.expand(tiles, active.shape[-1])[:, None]
    each_row = torch.diag_embed(on.to(ports[0].h.dtype))
    return _floating_currents(ports, each_row, on)[:, 0]


def _floating_currents(ports: Sequence[WirePorts], voltage: Tensor, on: Tensor) -> Tensor:
    """Column currents (tile, pattern, drive, n) [A]; arguments as of `solve_ends`."""
    out, at = [], 0
    for some in ports:
        tiles = slice(at, at + len(some.h))
        out.append(some.column_currents(*solve_ends(some, voltage[tiles], on[tiles])))
        at = tiles.stop
    return torch.cat(out)


def flat_problem(
    conductance: Tensor, voltage: Tensor, active: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, torch.Size]:
    """Flatten the tiles: conductance (tile, m, n), voltage and activity (tile, vector, m)."""
    check_conductance(conductance)
    m, n = conductance.shape[-2:]
    if voltage.ndim < 2 or voltage.shape[-1] != m:
        msg = f"voltage has shape {tuple(voltage.shape)}; expected (..., vector, {m})"
        raise ArrayError(msg)
    lead = _broadcast(conductance.shape[:-2], voltage.shape[:-2])
    vectors = voltage.shape[-2]
    on = active_rows(voltage, active).expand(*lead, vectors, m).reshape(-1, vectors, m)
    g = conductance.expand(*lead, m, n).reshape(-1, m, n)
    v = voltage.to(conductance.dtype).expand(*lead, vectors, m).reshape(-1, vectors, m)
    return g, v, on, torch.Size((*lead, vectors))


def _broadcast(a: torch.Size, b: torch.Size) -> torch.Size:
    try:
        return torch.Size(np.broadcast_shapes(a, b))
    except ValueError:
        msg = (
            f"conductance has tiles of shape {tuple(a)} and voltage {tuple(b)}; "
            "expected shapes that broadcast"
        )
        raise ArrayError(msg) from None


def _per_pattern(g: Tensor, v: Tensor, on: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Make one array for every distinct set of gated rows, with their cells cut off.

    Returns the cells (pattern, m, n), and for every (tile, vector) its pattern and its voltages.
    """
    tiles, vectors, m = v.shape
    tile = torch.arange(tiles, device=g.device)[:, None, None].expand(tiles, vectors, 1)
    keys = torch.cat((tile, on.long()), -1).reshape(-1, m + 1)
    found, which = torch.unique(keys, dim=0, return_inverse=True)
    cells = g[found[:, 0]] * found[:, 1:, None].to(g.dtype)
    return cells, which, torch.where(on, v, torch.zeros_like(v)).reshape(-1, m)


def column_currents(
    conductance: Tensor,
    voltage: Tensor,
    line: LineResistance,
    *,
    active: Tensor | None = None,
) -> Tensor:
    """Compute the exact column currents of arrays with wires.

    Parameters
    ----------
    conductance : (..., m, n) tensor
        [S].
    voltage : (..., vector, m) tensor
        Row voltages [V].
    line : LineResistance
        Its `inactive_rows` sets the state of the rows that are not active. All drivers of a
        floating row are off.
    active : (..., vector, m) bool tensor, optional
        The driven rows; by default those whose voltage is not zero.

    Returns
    -------
    (..., vector, n) tensor
        [A]. Gated rows cost one merge for every distinct set of active rows.

    Raises
    ------
    ArrayError
        If shapes do not match, or a conductance is not finite.
    """
    g, v, on, lead = flat_problem(conductance, voltage, active)
    if line.inactive_rows == "gated":
        cells, which, driven = _per_pattern(g, v, on)
        t = effective_matrix(cells, line)
        order = which.argsort(stable=True)
        counts = which.bincount(minlength=t.shape[0]).tolist()
        parts = torch.split(driven[order], counts)
        sorted_out = torch.cat([part @ matrix for part, matrix in zip(parts, t, strict=True)])
        out = sorted_out[order.argsort()]
    else:
        v = torch.where(on, v, torch.zeros_like(v))
        if line.inactive_rows == "floating":
            out = _floating_currents(wire_ports(g, line), v[:, :, None], on)
        else:
            out = v @ effective_matrix(g, line)
    return out.reshape(*lead, conductance.shape[-1])


def node_voltages(
    conductance: Tensor,
    voltage: Tensor,
    line: LineResistance,
    *,
    active: Tensor | None = None,
) -> NodeVoltages:
    """Compute the exact voltage of every node, by carrying port values back through the merges.

    Parameters
    ----------
    conductance, voltage, line, active
        As for `column_currents`.

    Returns
    -------
    NodeVoltages
        Not differentiable.
    """
    with torch.no_grad():
        g, v, on, lead = flat_problem(conductance, voltage, active)
        m, n = g.shape[-2:]
        v = torch.where(on, v, torch.zeros_like(v))
        if line.inactive_rows == "gated":
            g, v = (g[:, None] * on[..., None]).reshape(-1, m, n), v.reshape(-1, 1, m)
        floating = line.inactive_rows == "floating"
        parts, at = [], 0
        for ports in wire_ports(g, line):
            tiles = slice(at, at + len(ports.h))
            parts.append(_nodes(ports, v[tiles], on[tiles] if floating else None))
            at = tiles.stop
        wordline, bitline, left, current = (torch.cat(x) for x in zip(*parts, strict=True))
        source = torch.where(on.reshape(v.shape), v, left) if floating else v
        return NodeVoltages(
            wordline=wordline.reshape(*lead, m, n),
            bitline=bitline.reshape(*lead, m, n),
            source=source.reshape(*lead, m),
            column_current=current.reshape(*lead, n),
        )


def _nodes(
    ports: WirePorts, v: Tensor, active: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Voltages of nodes (tile, vector, m, n), of left row ends, and column currents."""
    ends, into_right = solve_ends(ports, v[:, :, None], active)
    current = ports.column_currents(ends, into_right)[:, :, 0]
    rows, cols = ports.shape
    outer = v.new_zeros(len(v), ports.plan.ports, v.shape[1])
    outer[:, ports.ports("L")] = ends[:, :, 0, :rows].mT
    if ports.conducts is not None:
        outer[:, ports.ports("B")] = ends[:, :, 0, rows:].mT
    if into_right is not None:
        outer[:, ports.ports("R")] = into_right[:, :, 0].mT
    m, n = v.shape[-1], current.shape[-1]
    places = ports.pieces.places(v.device)
    wordline, bitline = (
        x[:, :, :cols].flatten(1, 2)[:, places].reshape(len(v), m, n, -1).permute(0, 3, 1, 2)
        for x in node_values(ports.cells, ports.plan, outer)
    )
    first = [k for k, x in enumerate(ports.pieces.rows) if x.start == 0]
    return wordline, bitline, ends[:, :, 0, first], current
