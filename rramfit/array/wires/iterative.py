"""Cell voltages by conjugate gradients, with the wire chains applied exactly.

With i = G u and u = e - R i, the symmetric form

    (I + sqrt(G) R sqrt(G)) z = sqrt(G) e        z = i / sqrt(G)

is well conditioned wherever the wires take less than the cells: 5 to 20 iterations, each O(mn).
Scaled by its diagonal it keeps that for shorted cells, and a cell of zero conductance is no
exception. Rows that float and segments that are broken are constraints on i (see
`rramfit.array.wires.wire_operator`) and are projected out, floating rows one by one, broken
segments together.

This is the path for single vectors and for large arrays; many vectors on one array are cheaper by
its effective matrix. The residual is reported, and a solve that does not reach its tolerance is an
error.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rramfit.array.wires.line import LineResistance
from rramfit.array.wires.wire_operator import Wires, broken_shares
from rramfit.errors import ArrayError

__all__ = ["CellSolution", "Network", "default_tolerance", "solve_cells"]


def default_tolerance(dtype: torch.dtype) -> float:
    """Relative residual asked for where none is stated: about 1e4 units in the last place."""
    return 1e-5 if dtype == torch.float32 else 1e-11


@dataclass(frozen=True, slots=True, kw_only=True)
class CellSolution:
    """Cells of every vector, and how the solve went."""

    voltage: Tensor  # [V]  (tile, vector, m, n) across each cell
    current: Tensor  # [A]  (tile, vector, m, n) through each cell
    iterations: int
    residual: Tensor  #     (tile, vector) relative to the right-hand side


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Wires and constraints that a batch of vectors sees."""

    wires: Wires
    floats: Tensor | None  # (tile, vector, m) rows whose source carries no current
    broken: Tensor  # (segment, m, n) shares of current

    @classmethod
    def of(cls, line: LineResistance, active: Tensor, like: Tensor) -> Network:
        """Network of `line` for rows `active`, (tile, vector, m), over cells like (..., m, n)."""
        wires = Wires.of(line, like)
        return cls(
            wires=wires,
            floats=~active if line.inactive_rows == "floating" else None,
            broken=broken_shares(line, wires, *like.shape[-2:]),
        )

    def detached(self) -> Network:
        """Cut the resistances off from the gradient."""
        w = self.wires
        wires = Wires(
            r_wl=w.r_wl.detach(),
            r_bl=w.r_bl.detach(),
            r_driver=w.r_driver.detach(),
            r_sense=w.r_sense.detach(),
            both=w.both,
        )
        return Network(wires=wires, floats=self.floats, broken=self.broken)


@dataclass(frozen=True, slots=True)
class _Constraints:
    """An orthonormal basis of what the constraints forbid, scaled like the unknowns and not.

    Floating rows have disjoint supports and are kept as one field; broken segments may overlap them
    and one another, and are made orthogonal.
    """

    rows: tuple[Tensor, Tensor] | None  # (tile, vector, m, n): scaled, and in volts
    rest: tuple[Tensor, Tensor] | None  # (tile, vector, constraint, m * n): the same

    @classmethod
    def of(cls, network: Network, scale: Tensor) -> _Constraints:
        rows = rest = None
        if network.floats is not None:
            plain = network.floats[..., None].to(scale).expand(scale.shape)
            length = (scale * plain).norm(dim=-1, keepdim=True)
            plain = plain / torch.where(length > 0, length, torch.ones_like(length))
            rows = scale * plain, plain
        if len(network.broken):
            a = network.broken.expand(*scale.shape[:-2], *network.broken.shape)
            scaled = scale[..., None, :, :] * a
            length = scaled.flatten(-2).norm(dim=-1)[..., None, None]
            length = torch.where(length > 0, length, torch.ones_like(length))
            a, scaled = a / length, scaled / length
            if rows is not None:
                share = (scaled * rows[0][..., None, :, :]).sum(-1, keepdim=True)
                scaled = scaled - share * rows[0][..., None, :, :]
                a = a - share * rows[1][..., None, :, :]
            flat = scaled.flatten(-2)
            values, vectors = torch.linalg.eigh(flat @ flat.mT)
            kept = values > 1e3 * torch.finfo(a.dtype).eps
            factor = torch.where(kept, values, torch.ones_like(values)).rsqrt() * kept
            mix = (vectors * factor[..., None, :]).mT
            rest = mix @ flat, mix @ a.flatten(-2)
        return cls(rows, rest)

    def remove(self, x: Tensor) -> Tensor:
        """Take from scaled currents what is forbidden."""
        if self.rows is not None:
            x = x - self.rows[0] * (x * self.rows[0]).sum(-1, keepdim=True)
        if self.rest is not None:
            q = self.rest[0]
            x = x - (q.mT @ (q @ x.flatten(-2)[..., None])).reshape(x.shape)
        return x

    def voltage(self, x: Tensor) -> Tensor:
        """Voltages whose scaled counterpart is the forbidden part of `x`."""
        out = torch.zeros_like(x)
        if self.rows is not None:
            out = out + self.rows[1] * (x * self.rows[0]).sum(-1, keepdim=True)
        if self.rest is not None:
            q, plain = self.rest
            out = out + (plain.mT @ (q @ x.flatten(-2)[..., None])).reshape(x.shape)
        return out


def _dot(a: Tensor, b: Tensor) -> Tensor:
    product: Tensor = torch.linalg.vecdot(a.flatten(-2), b.flatten(-2))
    return product[..., None, None]


def solve_cells(
    network: Network,
    slope: Tensor,
    source: Tensor,
    *,
    tolerance: float,
    max_iterations: int = 1000,
) -> CellSolution:
    """Solve u + R (slope u) = source, constraints included.

    Parameters
    ----------
    network : Network
        Without gradients.
    slope : (tile, vector or 1, m, n) tensor
        Conductance of every cell, at least 0 [S].
    source : (tile, vector, m, n) tensor
        Voltage that a cell would have without wires [V].
    tolerance : float
        Relative residual to reach, in every vector.
    max_iterations : int

    Returns
    -------
    CellSolution

    Raises
    ------
    ArrayError
        If a vector does not reach the tolerance, or a conductance is negative.
    """
    if bool((slope < 0).any()):
        msg = (
            f"the least conductance is {float(slope.min()):.3g} S; conjugate gradients need at "
            "least 0 S (the exact solver takes slightly negative ones)"
        )
        raise ArrayError(msg)
    wires = network.wires
    identity = 1 / (1 + slope * wires.diagonal(*slope.shape[-2:]))
    scale = (slope * identity).sqrt()
    scale = scale.expand(source.shape)
    constraints = _Constraints.of(network, scale)

    scaled, dropped, work = (torch.empty_like(source) for _ in range(3))

    def apply(x: Tensor) -> Tensor:
        torch.mul(scale, x, out=scaled)
        wires.drop_into(scaled, dropped, work)
        return constraints.remove(dropped.mul_(scale).addcmul_(identity, x))

    rhs = constraints.remove(scale * source)
    size = _dot(rhs, rhs).sqrt()
    size = torch.where(size > 0, size, torch.ones_like(size))
    y, r = torch.zeros_like(rhs), rhs.clone()
    p, rr = rhs.clone(), _dot(r, r)
    iterations, zero = 0, torch.zeros_like(rr)
    while iterations < max_iterations:
        running = rr.sqrt() > tolerance * size  # the others rest: further steps would only round
        if not bool(running.any()):
            break
        iterations += 1
        ap = apply(p)
        curvature = _dot(p, ap)
        step = torch.where(running & (curvature > 0), rr / curvature, zero)
        y.addcmul_(step, p)
        r.addcmul_(step, ap, value=-1)
        new = _dot(r, r)
        p.mul_(torch.where(running, new / rr, zero)).add_(r)
        rr = new
    current = scale * y
    residual = (rhs - apply(y)).flatten(-2).norm(dim=-1) / size[..., 0, 0]
    worst = float(residual.max()) if residual.numel() else 0.0
    if not worst <= 10 * tolerance:
        msg = (
            f"conjugate gradients reached a relative residual of {worst:.2g} after "
            f"{iterations} iterations; expected {tolerance:.2g}: ask for less, or use the exact "
            "solver"
        )
        raise ArrayError(msg)
    direct = source - wires.drop(current)
    return CellSolution(
        voltage=direct - constraints.voltage(scale * direct - identity * y),
        current=current,
        iterations=iterations,
        residual=residual,
    )
