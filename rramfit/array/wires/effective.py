"""The effective matrix of an array, and exact column currents for every row convention.

The network is linear, so column currents are I = V T(G) with one m x n matrix T per array. The
merged array answers at its ports with a matrix H; with the columns at virtual ground

    driven left    T = -H[B, L]^T                     A = H[L, L]
    driven both    the right ends see the same source: with Z the resistance at the Right ports,
                   second driver included, and 1 - P the part of the source voltage missing there,
                   i_R = Z^-1 (1 - P) V,  T = T_left + (H[B, R] Z^-1 (P - 1))^T,
                   A = H[L, L] + (1 - P)^T Z^-1 (1 - P)

A is the matrix of source currents per source voltage. It decides the rows that float: the rows F
take v_F = -A_FF^-1 A_FA v_A and the columns see them as if they were driven there. Gated rows have
no cells; each set of gated rows is an array of its own, and is merged apart.

All is exact and differentiable in conductances, voltages and resistances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rramfit.array.wires.line import LineResistance, check_conductance, segments
from rramfit.array.wires.merge_plan import MergePlan, Side, merge_plan
from rramfit.array.wires.merging import Cells, node_values, port_matrix
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

CELLS_PER_BATCH = 2**17
"""Cells that are merged together: more falls out of the cache, fewer pays the calls."""

PAIRS_PER_BATCH = 2**24
"""Entries of the floating rows' systems that are solved together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeVoltages:
    """Every node of the network, vector by vector."""

    wordline: Tensor  # [V]  (..., vector, row, col)
    bitline: Tensor  # [V]  (..., vector, row, col)
    source: Tensor  # [V]  (..., vector, row) at the drivers, floating rows included
    column_current: Tensor  # [A]  (..., vector, col)

    @property
    def cell(self) -> Tensor:
        """Voltage across each cell [V], (..., vector, row, col)."""
        return self.wordline - self.bitline


def active_rows(voltage: Tensor, active: Tensor | None = None) -> Tensor:
    """Rows that are driven: those given, else those whose voltage is not zero."""
    return voltage != 0 if active is None else active.expand(voltage.shape)


def effective_matrix(conductance: Tensor, line: LineResistance) -> Tensor:
    """Effective matrix T of each array, all rows driven or grounded: I = V T.

    Parameters
    ----------
    conductance : (..., m, n) tensor
        [S], float32 or float64.
    line : LineResistance
        Its `inactive_rows` plays no part here: gated rows are to be zero in `conductance`.

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
    return _reduced(conductance, line)[0]


def source_matrix(conductance: Tensor, line: LineResistance) -> tuple[Tensor, Tensor]:
    """Effective matrix T, and the matrix A of source currents per source voltage.

    Parameters
    ----------
    conductance, line
        As for `effective_matrix`.

    Returns
    -------
    T : (..., m, n) tensor [S]
    A : (..., m, m) tensor [S]
        Symmetric.
    """
    return _reduced(conductance, line)


def _reduced(conductance: Tensor, line: LineResistance) -> tuple[Tensor, Tensor]:
    check_conductance(conductance)
    m, n = conductance.shape[-2:]
    w, b = (r.expand(conductance.shape) for r in segments(line, conductance))
    lead = conductance.shape[:-2]
    cells = (conductance.reshape(-1, m, n), w.reshape(-1, m, n), b.reshape(-1, m, n))
    plan, cells = _with_second_driver(cells, line)
    chunk = max(1, CELLS_PER_BATCH // max(1, plan.rows * plan.cols))
    parts = []
    for at in range(0, cells[0].shape[0], chunk):
        some = cells[0][at : at + chunk], cells[1][at : at + chunk], cells[2][at : at + chunk]
        parts.append(_terminate(port_matrix(some, plan), plan, line, m, n))
    t, a = (torch.cat(x) if len(x) > 1 else x[0] for x in zip(*parts, strict=True))
    return t.reshape(*lead, m, n), a.reshape(*lead, m, m)


def _two_ended(line: LineResistance) -> bool:
    """Whether a second driver changes anything: not where rows have no resistance at all."""
    if line.drive == "left":
        return False
    wires = [float(torch.as_tensor(r).detach()) for r in (line.r_wl, line.r_driver)]
    return max(wires) > 0 or bool(line.broken_wl)


def _with_second_driver(cells: Cells, line: LineResistance) -> tuple[MergePlan, Cells]:
    """Plan, and the cells with the second driver as one more, empty column."""
    g, w, b = cells
    tiles, m, n = g.shape
    if not _two_ended(line):
        return merge_plan(m, n, keep_right=False), cells
    driver = torch.as_tensor(line.r_driver).to(g).reshape(-1, 1, 1).expand(tiles, m, 1)
    none = torch.zeros_like(driver)
    wider = torch.cat((g, none), -1), torch.cat((w, driver), -1), torch.cat((b, none), -1)
    return merge_plan(m, n + 1, keep_right=True), wider


def _part(h: Tensor, plan: MergePlan, rows: Side, cols: Side, size: tuple[int, int]) -> Tensor:
    """Block of the port matrix between two sides, padding cut off."""
    return h[:, plan.sides[rows], plan.sides[cols]][:, : size[0], : size[1]]


def _terminate(
    h: Tensor, plan: MergePlan, line: LineResistance, m: int, n: int
) -> tuple[Tensor, Tensor]:
    """T and A from the ports of the whole array."""
    t = -_part(h, plan, "L", "B", (m, n))
    a = _part(h, plan, "L", "L", (m, m))
    if not _two_ended(line):
        return t, a
    missing, factor, scale = _right_end(h, plan, m)
    flow = _cholesky_solve(factor, scale, missing)  # i_R per source voltage
    return t - (_part(h, plan, "B", "R", (n, m)) @ flow).mT, a + missing.mT @ flow


def _right_end(h: Tensor, plan: MergePlan, m: int) -> tuple[Tensor, Tensor, Tensor]:
    """Source voltage missing at the right end, and the factor of the resistance seen there."""
    missing = torch.eye(m, dtype=h.dtype, device=h.device) + _part(h, plan, "R", "L", (m, m))
    return missing, *_cholesky(-_part(h, plan, "R", "R", (m, m)))


def _cholesky(a: Tensor) -> tuple[Tensor, Tensor]:
    """Cholesky factor of a symmetric matrix scaled to a unit diagonal; empty rows stand alone."""
    diagonal = a.diagonal(dim1=-2, dim2=-1)
    empty = diagonal <= 0
    scale = torch.where(empty, torch.ones_like(diagonal), diagonal).rsqrt()
    scaled = scale[..., :, None] * a * scale[..., None, :]
    return torch.linalg.cholesky(scaled + torch.diag_embed(empty.to(a.dtype))), scale


def _cholesky_solve(factor: Tensor, scale: Tensor, rhs: Tensor) -> Tensor:
    return scale[..., None] * torch.cholesky_solve(scale[..., None] * rhs, factor)


def _float_rows(a: Tensor, voltage: Tensor, active: Tensor) -> Tensor:
    """Source voltages with the inactive rows where they float.

    Parameters
    ----------
    a : (tile, m, m) tensor [S]
    voltage, active : (tile, vector, m) tensors
    """
    vectors, m = voltage.shape[-2:]
    driven = torch.where(active, voltage, torch.zeros_like(voltage))
    out = []
    chunk = max(1, PAIRS_PER_BATCH // max(1, a.shape[0] * m * m))
    for at in range(0, vectors, chunk):
        free = ~active[:, at : at + chunk]
        both = free[..., :, None] & free[..., None, :]
        eye = torch.diag_embed((~free).to(a.dtype))
        system = torch.where(both, a[:, None], torch.zeros_like(a[:, None])) + eye
        v = driven[:, at : at + chunk]
        pulled = torch.where(free, -(v @ a), torch.zeros_like(v))
        floats = _cholesky_solve(*_cholesky(system), pulled[..., None])[..., 0]
        out.append(torch.where(free, floats, v))
    return torch.cat(out, 1)


def floating_matrix(t: Tensor, a: Tensor, active: Tensor) -> Tensor:
    """Effective matrix seen by the active rows while the others float.

    Parameters
    ----------
    t, a : (..., m, n) and (..., m, m) tensors
        From `source_matrix` [S].
    active : (m,) or (..., m) bool tensor

    Returns
    -------
    (..., m, n) tensor
        [S]; zero in the rows that float.
    """
    free = (~active).to(t.dtype)
    down, across = free[..., :, None], free[..., None, :]
    system = down * a * across + torch.diag_embed(1 - free)
    floats = _cholesky_solve(*_cholesky(system), down * t)
    seen: Tensor = t - (a * across) @ floats
    return (1 - down) * seen


def flat_problem(
    conductance: Tensor, voltage: Tensor, active: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, torch.Size]:
    """Tiles in one axis: conductance (tile, m, n), voltage and activity (tile, vector, m)."""
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
        msg = f"tiles {tuple(a)} of conductance and {tuple(b)} of voltage do not fit together"
        raise ArrayError(msg) from None


def _per_pattern(g: Tensor, v: Tensor, on: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gated rows cut off: one array, and one vector, for every distinct set of rows.

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
    """Exact column currents of arrays with wires.

    Parameters
    ----------
    conductance : (..., m, n) tensor
        [S].
    voltage : (..., vector, m) tensor
        Row voltages [V].
    line : LineResistance
        Its `inactive_rows` says what happens at the rows that are not active.
    active : (..., vector, m) bool tensor, optional
        The rows that are driven; by default those whose voltage is not zero.

    Returns
    -------
    (..., vector, n) tensor
        [A]. Gated rows cost one merging for every distinct set of active rows.

    Raises
    ------
    ArrayError
        If shapes do not fit, or a conductance is not finite.
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
        t, a = source_matrix(g, line)
        if line.inactive_rows == "floating":
            v = _float_rows(a, v, on)
        else:
            v = torch.where(on, v, torch.zeros_like(v))
        out = v @ t
    return out.reshape(*lead, conductance.shape[-1])


def node_voltages(
    conductance: Tensor,
    voltage: Tensor,
    line: LineResistance,
    *,
    active: Tensor | None = None,
) -> NodeVoltages:
    """Exact voltage of every node, by carrying the port values back down through the merges.

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
        elif line.inactive_rows == "floating":
            v = _float_rows(source_matrix(g, line)[1], v, on)
        w, b = (r.expand(g.shape) for r in segments(line, g))
        plan, cells = _with_second_driver((g, w, b), line)
        outer = g.new_zeros(g.shape[0], plan.ports, v.shape[1])
        outer[:, plan.sides["L"]][:, :m] = v.mT
        h = port_matrix(cells, plan)
        if _two_ended(line):
            missing, factor, scale = _right_end(h, plan, m)
            outer[:, plan.sides["R"]][:, :m] = _cholesky_solve(factor, scale, missing @ v.mT)
        current = -(h[:, plan.sides["B"]][:, :n] @ outer).mT
        nodes = [x[:, :, :n].permute(0, 3, 1, 2) for x in node_values(cells, plan, outer)]
        return NodeVoltages(
            wordline=nodes[0].reshape(*lead, m, n),
            bitline=nodes[1].reshape(*lead, m, n),
            source=v.reshape(*lead, m),
            column_current=current.reshape(*lead, n),
        )
