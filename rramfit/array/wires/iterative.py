"""Cell voltages by conjugate gradients, with the wire chains applied exactly.

With i = G u and u = e - R i, the symmetric form

    (I + sqrt(G) R sqrt(G)) z = sqrt(G) e        z = i / sqrt(G)

is well conditioned wherever the wires drop less voltage than the cells: 5 to 20 iterations, each
O(mn). Scaled by its diagonal it stays so for shorted cells, and accepts cells of zero conductance.
Islands, the pieces of wire that neither a driver nor a sense amplifier holds, are constraints on i
(see `rramfit.array.wires.wire_operator`). They are projected out: floating rows one by one, the
pieces that breaks make together.

Use this solver for single vectors and for large arrays. For many vectors on one array the effective
matrix is cheaper. The residual is reported, and a solve that misses its tolerance is an error.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rramfit.array.wires.line import LineResistance
from rramfit.array.wires.wire_operator import Islands, Wires
from rramfit.errors import ArrayError

__all__ = ["CellSolution", "Network", "default_tolerance", "solve_cells"]


RHS_NOISE = 100.0
"""Projected source, in rounding units of the source, below which it counts as zero."""


def default_tolerance(dtype: torch.dtype) -> float:
    """Return the default relative residual of a solve: about 1e4 units in the last place."""
    return 1e-5 if dtype == torch.float32 else 1e-11


@dataclass(frozen=True, slots=True, kw_only=True)
class CellSolution:
    """Cell voltages and currents of every vector, with the residual of the solve."""

    voltage: Tensor  # [V]  (tile, vector, m, n) across each cell
    current: Tensor  # [A]  (tile, vector, m, n) through each cell
    iterations: int
    residual: Tensor  #     (tile, vector) relative to the right-hand side


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Wires and constraints of a batch of vectors."""

    wires: Wires
    islands: Islands

    @classmethod
    def of(cls, line: LineResistance, active: Tensor, like: Tensor) -> Network:
        """Return the network of `line` for rows `active`, (tile, vector, m).

        `like`, (..., m, n), has the type, device and shape of the cells.
        """
        floats = ~active if line.inactive_rows == "floating" else None
        return cls(
            wires=Wires.of(line, like, floats=floats),
            islands=Islands.of(line, floats, like),
        )

    def detached(self) -> Network:
        """Return the network without gradients in the resistances."""
        return Network(wires=self.wires.detached(), islands=self.islands)


@dataclass(frozen=True, slots=True)
class _Constraints:
    """Orthonormal basis of the constraints, scaled like the unknowns, and the same in volts.

    Floating rows share no cell and are kept as one field. Pieces of wordlines and bitlines may
    share cells, and are made orthogonal.
    """

    rows: tuple[Tensor, Tensor] | None  # (tile, vector, m, n): scaled, and in volts
    rest: tuple[Tensor, Tensor] | None  # (tile, vector, constraint, m * n): the same

    @classmethod
    def of(cls, islands: Islands, scale: Tensor) -> _Constraints:
        """Make the basis for unknowns of this scale, (tile, vector, m, n)."""
        rows = rest = None
        if islands.floats is not None:
            plain = islands.floats[..., None].to(scale).expand(scale.shape)
            length = (scale * plain).norm(dim=-1, keepdim=True)
            plain = plain / torch.where(length > 0, length, torch.ones_like(length))
            rows = scale * plain, plain
        if len(islands.pieces):
            a = islands.pieces.to(scale).expand(*scale.shape[:-2], *islands.pieces.shape)
            if islands.held is not None:
                a = a * ~islands.held[..., None, None]
            scaled = scale[..., None, :, :] * a
            length = scaled.flatten(-2).norm(dim=-1)[..., None, None]
            length = torch.where(length > 0, length, torch.ones_like(length))
            a, scaled = a / length, scaled / length
            for _ in range(2):  # the second pass removes the rounding of nearly dependent pieces
                if rows is not None:
                    share = (scaled * rows[0][..., None, :, :]).sum(-1, keepdim=True)
                    scaled = scaled - share * rows[0][..., None, :, :]
                    a = a - share * rows[1][..., None, :, :]
                flat = scaled.flatten(-2)
                values, vectors = torch.linalg.eigh(flat @ flat.mT)
                kept = values > 1e3 * torch.finfo(a.dtype).eps
                factor = torch.where(kept, values, torch.ones_like(values)).rsqrt() * kept
                mix = (vectors * factor[..., None, :]).mT
                scaled, a = ((mix @ x.flatten(-2)).reshape(x.shape) for x in (scaled, a))
            rest = scaled.flatten(-2), a.flatten(-2)
        return cls(rows, rest)

    def remove(self, x: Tensor) -> Tensor:
        """Project scaled currents onto those that meet the constraints."""
        if self.rows is not None:
            x = x - self.rows[0] * (x * self.rows[0]).sum(-1, keepdim=True)
        if self.rest is not None:
            q = self.rest[0]
            x = x - (q.mT @ (q @ x.flatten(-2)[..., None])).reshape(x.shape)
        return x

    def voltage(self, x: Tensor) -> Tensor:
        """Return the island potentials whose scaled form is the part of `x` that `remove` takes."""
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
    """Solve u + R (slope u) = source under the constraints of the network.

    Parameters
    ----------
    network : Network
        Its resistances carry no gradients.
    slope : (tile, vector or 1, m, n) tensor
        Conductance of every cell, at least 0 [S].
    source : (tile, vector, m, n) tensor
        Voltage that each cell would have without wires [V].
    tolerance : float
        Relative residual that every vector must reach.
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
            "least 0 S (the exact solver accepts slightly negative conductances)"
        )
        raise ArrayError(msg)
    wires = network.wires
    identity = 1 / (1 + slope * wires.diagonal(*slope.shape[-2:]))
    scale = (slope * identity).sqrt()
    scale = scale.expand(source.shape)
    constraints = _Constraints.of(network.islands, scale)

    scaled, dropped, work = (torch.empty_like(source) for _ in range(3))

    def apply(x: Tensor) -> Tensor:
        torch.mul(scale, x, out=scaled)
        wires.drop_into(scaled, dropped, work)
        return constraints.remove(dropped.mul_(scale).addcmul_(identity, x))

    driving = scale * source
    rhs = constraints.remove(driving)
    size = _dot(rhs, rhs).sqrt()
    # constraints can take the whole source, as of a row that is cut off: only rounding remains
    acts = size > RHS_NOISE * torch.finfo(size.dtype).eps * _dot(driving, driving).sqrt()
    rhs = rhs * acts
    size = torch.where(acts, size, torch.ones_like(size))
    y, r = torch.zeros_like(rhs), rhs.clone()
    p, rr = rhs.clone(), _dot(r, r)
    iterations, zero = 0, torch.zeros_like(rr)
    while iterations < max_iterations:
        running = rr.sqrt() > tolerance * size  # more steps in the others only add rounding
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
            f"{iterations} iterations; expected {tolerance:.2g}. Raise the tolerance, or use the "
            "exact solver"
        )
        raise ArrayError(msg)
    direct = source - wires.drop(current)
    return CellSolution(
        voltage=direct - constraints.voltage(scale * direct - identity * y),
        current=current,
        iterations=iterations,
        residual=residual,
    )
