"""Exact reduction of an array to its ports, by recursive merging of multiport blocks.

A block of cells is described at its Left, Bottom, Right and Top ports. Voltages v are given at
Left and Bottom, injected currents i at Right and Top, and the response is a symmetric matrix:

    H = [[Y, -P^T], [-P, -Z]]        I = Y v - P^T i        v' = P v + Z i

One cell of conductance G with the wires r_w on its left and r_b below, y = G/(1 + G(r_w + r_b)):

    Y = y [[1, -1], [-1, 1]]    P = [[1 - r_w y, r_w y], [r_b y, 1 - r_b y]]
    Z = [[r_w (1 - r_w y), r_w r_b y], [r_w r_b y, r_b (1 - r_b y)]]

Joining block 1's Right ports to block 2's Left ports, with e1, e2 the outer ports that remain,
U = -H1[R, e1], W = H2[L, e2], Z = -H1[R, R], Y = H2[L, L]:

    S = (I + Z Y)^-1 [U, -Z W]     V = Y S + [0, W]
    H[e1, :] = H1[e1, e1] + U^T V   H[e2, :] = H2[e2, e2] + W^T S

For outer values x, S x is the voltage on the joint and V x the current through it. The same two
matrices therefore carry values back to every node, and gradients: with X1 = [I; -V] and
X2 = [I; S], the gradients of the two blocks are the congruences X1 H' X1^T and X2 H' X2^T. Vertical
joins are the same with Left <-> Bottom and Right <-> Top. No term subtracts two large numbers, so
open and shorted cells and zero resistances need no special case.

Small joints run with the batch as the last, contiguous axis and unrolled sums, large ones with
batched matrix products. Batched LU of torch 2.13 on the CPU returns wrong results, sometimes
without an error, for matrices of 160 rows and more. Above `LU_BATCH_LIMIT` matrices are therefore
factored one by one.

The order of joins is in `rramfit.array.wires.merge_plan`; drivers, sense amplifiers, broken
segments and floating rows are in `rramfit.array.wires.wire_ports`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rramfit.array.wires.merge_plan import Group, MergePlan, Side, Step

__all__ = ["LU_BATCH_LIMIT", "Cells", "node_values", "port_matrix"]

LU_BATCH_LIMIT = 128
"""Largest matrix that is factored in a batch."""

UNROLLED_JOINT = 8
"""Largest joint with unrolled sums over a batch-last layout."""


Cells = tuple[Tensor, Tensor, Tensor]
"""Conductance [S], and resistance to the left and to the lower neighbour [ohm]."""


def _cells(cells: Cells, order: tuple[Side, ...]) -> Tensor:
    """Return the matrices of single cells, (4, 4, cell), ports in the given order."""
    g, w, b = cells
    d = 1 / (1 + g * (w + b))
    y, wy, by = g * d, g * w * d, g * b * d
    p_rl, p_tb = (1 + g * b) * d, (1 + g * w) * d
    entries = {
        "LL": y, "BB": y, "LB": -y, "LR": -p_rl, "LT": -by, "BR": -wy, "BT": -p_tb,
        "RR": -w * p_rl, "TT": -b * p_tb, "RT": -w * by,
    }  # fmt: skip
    rows = [entries[i + j] if i + j in entries else entries[j + i] for i in order for j in order]
    return torch.stack(rows).reshape(4, 4, -1)


# Two layouts: with `last` a batch of matrices is (row, col, block) and sums are unrolled; otherwise
# it is (block, row, col), and products are batched BLAS.


def _at(x: Tensor, rows: slice, cols: slice, *, last: bool) -> Tensor:
    return x[rows, cols] if last else x[:, rows, cols]


def _t(x: Tensor, *, last: bool) -> Tensor:
    return x.transpose(0, 1) if last else x.mT


def _empty(like: Tensor, rows: int, cols: int, *, last: bool) -> Tensor:
    return like.new_empty((rows, cols, like.shape[2]) if last else (like.shape[0], rows, cols))


def _product(a: Tensor, b: Tensor, *, last: bool) -> Tensor:
    if not last:
        return a @ b
    out = a[:, 0, None] * b[0]
    for k in range(1, a.shape[1]):
        out.addcmul_(a[:, k, None], b[k])
    return out


def _solve_t(a: Tensor, rhs: Tensor, *, last: bool) -> Tensor:
    """Return the transpose of a^-1 rhs from that of rhs; a is I + (product of two responses)."""
    if last:
        a, rhs = a.clone(), rhs.clone()
        for k in range(a.shape[0]):
            pivot = 1 / a[k, k]
            rhs[:, k] *= pivot
            a[k, k + 1 :] *= pivot
            for i in range(a.shape[0]):
                if i != k:
                    rhs[:, i].addcmul_(a[i, k], rhs[:, k], value=-1)
                    a[i, k + 1 :].addcmul_(a[i, k], a[k, k + 1 :], value=-1)
        return rhs
    if a.shape[-1] > LU_BATCH_LIMIT and a.shape[0] > 1:
        inverse = torch.stack([torch.linalg.inv(x) for x in a])
    else:
        inverse = torch.linalg.inv(a)
    return rhs @ inverse.mT  # 6 right-hand sides per row: 2 to 4 times as fast as a solve


def _merge(h1: Tensor, h2: Tensor, step: Step, *, last: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Join two blocks: return the new block's matrix and the transposes of S and V."""
    lo, (end, start) = {"last": last}, (slice(step.ports[0] - step.joint, None), slice(step.joint))
    z, y = _at(h1, end, end, **lo), _at(h2, start, start, **lo)  # z is -Z
    a = _product(z, y, **lo).neg_()
    a.diagonal(dim1=0, dim2=1).add_(1) if last else a.diagonal(dim1=1, dim2=2).add_(1)
    ones, twos = step.groups
    stay_1, stay_2 = _span(ones), _span(twos)
    u, w = _at(h1, stay_1, end, **lo), _at(h2, stay_2, start, **lo)  # u is -U^T, w is W^T
    rhs = _empty(a, step.outer, step.joint, **lo)
    _scatter(torch.neg(u), ones, rhs, **lo)
    _scatter(_product(w, z, **lo), twos, rhs, **lo)
    s_t = _solve_t(a, rhs, **lo)
    v_t = _product(s_t, y, **lo)
    for p in twos:
        _at(v_t, p.outer, slice(None), **lo).add_(_at(h2, p.inner, start, **lo))
    h = _empty(a, step.outer, step.outer, **lo)
    for groups, block, row, sign in (
        (ones, h1, _product(u, _t(v_t, **lo), **lo), -1),
        (twos, h2, _product(w, _t(s_t, **lo), **lo), 1),
    ):
        _scatter_rows(h, row, block, groups, step.groups[sign < 0], sign=sign, **lo)
    return h, s_t, v_t


def _span(groups: tuple[Group, ...]) -> slice:
    """Return the ports of a block that stay; they are contiguous."""
    inner = [p.inner for p in groups]
    return slice(min(p.start for p in inner), max(p.stop for p in inner))


def _scatter(x: Tensor, groups: tuple[Group, ...], out: Tensor, *, last: bool) -> None:
    """Copy the rows of the ports that stay to their places in the joined block."""
    base = _span(groups).start
    for p in groups:
        part = slice(p.inner.start - base, p.inner.stop - base)
        _at(out, p.outer, slice(None), last=last).copy_(_at(x, part, slice(None), last=last))


def _scatter_rows(
    h: Tensor,
    x: Tensor,
    block: Tensor,
    own: tuple[Group, ...],
    others: tuple[Group, ...],
    *,
    sign: int,
    last: bool,
) -> None:
    """Write the rows of one block's ports: block + sign x at its own columns, sign x elsewhere."""
    base = _span(own).start
    for p in own:
        part = slice(p.inner.start - base, p.inner.stop - base)
        for q in own:
            torch.add(
                _at(block, p.inner, q.inner, last=last),
                _at(x, part, q.outer, last=last),
                alpha=sign,
                out=_at(h, p.outer, q.outer, last=last),
            )
        for q in others:
            torch.mul(
                _at(x, part, q.outer, last=last), sign, out=_at(h, p.outer, q.outer, last=last)
            )


def _unmerge(
    grad: Tensor,
    x_t: Tensor,
    out: Tensor,
    groups: tuple[Group, ...],
    port: slice,
    *,
    last: bool,
    sign: int,
) -> None:
    """Write the gradient of one block of a join, X grad X^T, where X = [I; sign * x]."""
    lo = {"last": last}
    side = _product(grad, x_t, **lo)  # (outer, joint)
    if (
        sum(p.inner.stop - p.inner.start for p in groups) + x_t.shape[1 if last else 2]
        < (out.shape[0 if last else 1])
    ):
        out.zero_()  # ports dropped on the way
    for p in groups:
        for q in groups:
            _at(out, p.inner, q.inner, **lo).copy_(_at(grad, p.outer, q.outer, **lo))
        part = _at(side, p.outer, slice(None), **lo)
        torch.mul(part, sign, out=_at(out, p.inner, port, **lo))
        torch.mul(_t(part, **lo), sign, out=_at(out, port, p.inner, **lo))
    _at(out, port, port, **lo).copy_(_product(_t(x_t, **lo), side, **lo))


def _layouts(plan: MergePlan) -> list[bool]:
    """Return whether each step runs batch-last: only the first, small joints do."""
    small = [step.joint <= UNROLLED_JOINT for step in plan.steps]
    return [all(small[: k + 1]) for k in range(len(small))]


def _split(h: Tensor, pieces: int, *, last: bool) -> tuple[Tensor, ...]:
    if last:
        return h.view(*h.shape[:2], pieces, -1).unbind(2)
    return h.view(pieces, -1, *h.shape[1:]).unbind(0)


def _block_first(h: Tensor) -> Tensor:
    """Change (row, col, block) to (block, row, col), as one fast two-axis transposition."""
    p, q, blocks = h.shape
    return h.reshape(p * q, blocks).t().contiguous().view(blocks, p, q)


def _block_last(h: Tensor) -> Tensor:
    """Invert `_block_first`."""
    blocks, p, q = h.shape
    return h.reshape(blocks, p * q).t().contiguous().view(p, q, blocks)


def _reduce(h: Tensor, plan: MergePlan, kept: list[Tensor] | None) -> Tensor:
    """Return the matrix of the whole array, (tile, port, port), from its cells (4, 4, cell)."""
    last = True
    parts: tuple[Tensor, ...] = ()
    for step, small in zip(plan.steps, _layouts(plan), strict=True):
        if last and not small:
            h, last = _block_first(h), False
        if step.opens:
            parts = _split(h, step.pieces, last=last)
            h = parts[step.first]
        h, s_t, v_t = _merge(h, parts[step.other], step, last=last)
        if kept is not None:
            kept += [s_t, v_t]
    return h.permute(2, 0, 1) if last else h


def _reduce_backward(grad: Tensor, plan: MergePlan, kept: list[Tensor]) -> Tensor:
    """Return the gradient of the cells' matrices, (4, 4, cell), from that of the whole array."""
    last = False
    whole: Tensor | None = None
    for step, small in zip(reversed(plan.steps), reversed(_layouts(plan)), strict=True):
        v_t, s_t = kept.pop(), kept.pop()
        if small and not last:
            grad, last = _block_last(grad), True
        one, two = step.ports
        if whole is None:
            blocks = grad.shape[2 if last else 0]
            whole = grad.new_empty(
                (two, two, step.pieces * blocks) if last else (step.pieces * blocks, two, two)
            )
        parts = _split(whole, step.pieces, last=last)
        first = parts[step.first] if step.opens else _empty(grad, one, one, last=last)
        end, start = slice(one - step.joint, one), slice(step.joint)
        _unmerge(grad, v_t, first, step.groups[0], end, last=last, sign=-1)
        _unmerge(grad, s_t, parts[step.other], step.groups[1], start, last=last, sign=1)
        grad = first
        if step.opens:
            grad, whole = whole, None
    return grad if last else grad.permute(1, 2, 0)


def _quadratic(x: Sequence[Tensor], h: Tensor) -> Tensor:
    """Return x^T h x for each cell."""
    out = torch.zeros_like(h[0, 0])
    for i in range(4):
        row = x[0] * h[i, 0]
        for j in range(1, 4):
            row = row.addcmul(x[j], h[i, j])
        out.addcmul_(x[i], row)
    return out


class _PortMatrix(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, g: Tensor, w: Tensor, b: Tensor, plan: MergePlan) -> Tensor:
        cells = plan.to_cells(g), plan.to_cells(w), plan.to_cells(b)
        kept: list[Tensor] | None = [] if any(ctx.needs_input_grad) else None
        h = _reduce(_cells(cells, plan.cell_order), plan, kept)
        if kept is not None:
            ctx.plan, ctx.shape = plan, g.shape
            ctx.save_for_backward(*cells, *kept)
        return h

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        g, w, b, *kept = ctx.saved_tensors
        h = _reduce_backward((grad + grad.mT) / 2, ctx.plan, kept)
        d = 1 / (1 + g * (w + b))
        y = g * d
        # response of the cell's voltage, and of the currents in its two wires, to each port
        responses: tuple[dict[Side, Tensor], ...] = (
            {"L": d, "B": -d, "R": w * d, "T": -b * d},
            {"L": y, "B": -y, "R": -(1 + g * b) * d, "T": -b * y},
            {"L": -y, "B": y, "R": -w * y, "T": -(1 + g * w) * d},
        )
        out: list[Tensor | None] = [None, None, None, None]
        for k, (response, sign) in enumerate(zip(responses, (1, -1, -1), strict=True)):
            if ctx.needs_input_grad[k]:
                x = sign * _quadratic([response[s] for s in ctx.plan.cell_order], h)
                out[k] = ctx.plan.from_cells(x, *ctx.shape[1:])
        return tuple(out)


def port_matrix(cells: Cells, plan: MergePlan) -> Tensor:
    """Compute the matrix of a whole array at its ports; differentiable once.

    Parameters
    ----------
    cells : three (tile, m, n) tensors
        Conductance [S], and resistance to the left and to the lower neighbour [ohm].
    plan : MergePlan
        Of the same m and n.

    Returns
    -------
    (tile, port, port) tensor
        Symmetric; ports in the order of ``plan.sides``.
    """
    out: Tensor = _PortMatrix.apply(*cells, plan)  # type: ignore[no-untyped-call]
    return out


def node_values(cells: Cells, plan: MergePlan, outer: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the voltages of all nodes from values at the outer ports.

    Parameters
    ----------
    cells : three (tile, m, n) tensors
    plan : MergePlan
    outer : (tile, port, vector) tensor
        Voltage at Left and Bottom ports [V], injected current at Right and Top ports [A].

    Returns
    -------
    wordline, bitline : (tile, m, n, vector) tensors [V]
    """
    g, w, b = (plan.to_cells(x) for x in cells)
    h = _cells((g, w, b), plan.cell_order)
    kept: list[Tensor] = []
    _reduce(h, plan, kept)
    x = outer
    whole: Tensor | None = None
    for step, small in zip(reversed(plan.steps), reversed(_layouts(plan)), strict=True):
        v, s = (y.permute(2, 1, 0) if small else y.mT for y in (kept.pop(), kept.pop()))
        if whole is None:
            whole = x.new_zeros(step.pieces * x.shape[0], step.ports[1], x.shape[2])
        parts = _split(whole, step.pieces, last=False)
        one, two = x.new_zeros(x.shape[0], step.ports[0], x.shape[2]), parts[step.other]
        one[:, step.ports[0] - step.joint :] = -(v @ x)
        two[:, : step.joint] = s @ x
        for groups, inner in zip(step.groups, (one, two), strict=True):
            for p in groups:
                inner[:, p.inner] = x[:, p.outer]
        x = one
        if step.opens:
            parts[step.first].copy_(one)
            x, whole = whole, None
    far = [plan.cell_order.index(side) for side in ("R", "T")]
    nodes = -(h[far].permute(2, 0, 1) @ x)
    wordline, bitline = (plan.from_cells(nodes[:, k], *cells[0].shape[1:]) for k in range(2))
    return wordline, bitline
