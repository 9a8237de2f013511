"""Effective conductances of newly drawn cells from weights, fast enough for every training step.

This is a compact, differentiable version of the steps that `rramfit.mapping` does for one chip:

    levels    the nearest codes, in the positions of cells
    cells     drawn (`rramfit.training.forward.cell_tables`), or programmed on the fitted chip
    wires     the estimate from the last anchor, T = C·α(G)·G·β(G) + rest
    weight    W = scale·Σ_part ± radix^−slice·gain·T, one matrix of the layer's shape

The gradient is straight-through for levels and cells: d(G+ − G−)/dw = 1/scale within the range of
codes, and 0 for a cell that failed programming. It is exact for wires, gain and scale, so the
gradient of a scale is that of a learned step size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rramfit.mapping.layout.codes import nearest_code
from rramfit.mapping.layout.plan import MatrixPlan, Permutation
from rramfit.mapping.tiles.setup import AnalogSetup
from rramfit.mapping.tiles.targets import targets_of

__all__ = ["fold_columns", "follow", "target_differences", "target_levels"]


def target_differences(setup: AnalogSetup, weight: Tensor, scale: Tensor) -> Tensor:
    """Compute target differences of weights, clipped to the range of codes, (output, input) [S]."""
    wanted = weight / scale[:, None]
    book = setup.book
    return wanted.clamp(float(book.values[0]), float(book.values[-1]))


def target_levels(plan: MatrixPlan, setup: AnalogSetup, wanted: Tensor) -> Tensor:
    """Return the target level of each logical cell, (tile, row, col) int32; −1 for unused cells."""
    book = setup.book
    code = nearest_code(book, wanted.detach().t().contiguous()).flatten()
    shape = (plan.row_blocks * plan.tile[0], plan.width)
    wide = torch.full(shape, -1, dtype=torch.int32, device=wanted.device)
    if book.offset_level is not None:
        wide[: plan.inputs, plan.reference_columns.to(wanted.device)] = book.offset_level
    levels = book.levels.int()
    for s in range(book.slices):
        for p in range(book.cells):
            part = levels[:, s, p].index_select(0, code).view(plan.inputs, plan.outputs)
            wide[: plan.inputs].index_copy_(1, plan.columns[:, s, p].to(wanted.device), part)
    return plan.cut(wide)


class _Follow(torch.autograd.Function):
    """Return the drawn cells, with the gradient of their targets."""

    @staticmethod
    def forward(
        ctx: Any,
        wanted: Tensor,  # noqa: ARG004  # gets the gradient
        found: Tensor,
        follows: Tensor | None,
        plan: MatrixPlan,
        permutation: Permutation | None,
        cells: int,
    ) -> Tensor:
        ctx.save_for_backward(*(() if follows is None else (follows,)))
        ctx.plan, ctx.permutation, ctx.cells = plan, permutation, cells
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gradient, plan = gradients[0], ctx.plan
        if ctx.saved_tensors:
            gradient = gradient * ctx.saved_tensors[0]
        if ctx.permutation is not None:
            gradient = ctx.permutation.to_logical(gradient)
        wide = plan.join(gradient).flatten(0, 1)[: plan.inputs]
        columns = plan.columns[:, 0].to(wide.device)
        total = wide.index_select(1, columns[:, 0])
        if ctx.cells == 2:
            total = (total - wide.index_select(1, columns[:, 1])) / 2
        return total.t(), None, None, None, None, None


def follow(
    wanted: Tensor,
    found: Tensor,
    follows: Tensor | None,
    *,
    plan: MatrixPlan,
    setup: AnalogSetup,
    permutation: Permutation | None,
) -> Tensor:
    """Attach the gradient of the target differences to drawn cells (tile, row, col).

    Parameters
    ----------
    wanted : (output, input) tensor
        [S]
    found : (tile, row, col) tensor
        [S] in physical positions.
    follows : bool tensor like `found`, or None
        Cells that pass the gradient; None: all.
    plan, setup, permutation
        `permutation` is None if no row or column was moved.
    """
    out: Tensor = _Follow.apply(  # type: ignore[no-untyped-call]
        wanted, found, follows, plan, permutation, setup.book.cells
    )
    return out


def continuous_targets(
    plan: MatrixPlan, setup: AnalogSetup, weight: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor]:
    """Return logical targets of weights that are not quantised, and the nearest levels."""
    targets = targets_of(plan, setup, weight, scale)
    return targets.conductance, targets.level


class _Columns(torch.autograd.Function):
    """Select columns of a matrix, each at most once."""

    @staticmethod
    def forward(ctx: Any, wide: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.width = wide.shape[1]
        return wide.index_select(1, index)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (index,) = ctx.saved_tensors
        wide = gradients[0].new_zeros(len(gradients[0]), ctx.width)
        return wide.index_copy_(1, index, gradients[0]), None


def fold_columns(
    plan: MatrixPlan, setup: AnalogSetup, matrix: Tensor, gain: Tensor | None
) -> Tensor:
    """Fold effective matrices into differences, (output, input) [S].

    Parameters
    ----------
    plan : MatrixPlan
    setup : AnalogSetup
    matrix : (row block, row, column) tensor
        [S], logical.
    gain : (row block, column) tensor or None
    """
    if gain is not None:
        matrix = matrix * gain[:, None]
    wide = matrix.flatten(0, 1)[: plan.inputs]
    columns, book = plan.columns.to(wide.device), setup.book
    out: Tensor | None = None
    for s, counts in enumerate(book.significance):
        for p in range(book.cells):
            part: Tensor = _Columns.apply(wide, columns[:, s, p])  # type: ignore[no-untyped-call]
            if counts != 1:
                part = part * counts
            out = part if out is None else (out + part if p == 0 else out - part)
    if out is None:
        msg = "the codebook has no slices; expected at least 1"
        raise ValueError(msg)
    if plan.scheme == "offset":
        reference = plan.reference_columns.to(wide.device)
        out = out - sum(book.significance) * wide[:, reference]
    return out.t()
