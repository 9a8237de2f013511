"""Nominal tiles: tiles at their target conductances, with each column's digital gain.

They are the anchor of the wire estimate. The gain corrects a column's nominal loss in the wires,

    gain = Σ G / Σ T     over the rows that have an input

with the effective matrix T solved exactly at the target conductances. If T depends on which rows
are active, half of the rows are active here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rramfit.array.wires.effective import effective_matrix
from rramfit.array.wires.estimate import CrossbarEstimate, anchored_estimate
from rramfit.mapping.layout.plan import MatrixPlan, Permutation
from rramfit.mapping.tiles.setup import AnalogSetup

__all__ = ["Nominal", "nominal_tiles"]

PATTERN_DENSITY = 0.5
"""Share of active rows for the nominal loss, if the loss depends on the active rows."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Nominal:
    """Tiles at their target conductances."""

    matrix: Tensor  # [S] (row block, row, column) effective, logical
    gain: Tensor  #     (row block, column) digital correction of the loss in wires
    estimate: CrossbarEstimate | None  # anchored at these tiles, physical


def nominal_tiles(
    plan: MatrixPlan, setup: AnalogSetup, target: Tensor, permutation: Permutation
) -> Nominal:
    """Solve the tiles at their target conductances.

    Parameters
    ----------
    plan : MatrixPlan
    setup : AnalogSetup
    target : (tile, row, col) tensor
        Target conductance, logical [S].
    permutation : Permutation
    """
    exists = plan.join(torch.ones_like(target))[:, 0]
    ideal = plan.join(target)
    if not setup.has_wires or setup.line is None:
        return Nominal(matrix=ideal, gain=exists, estimate=None)
    physical = permutation.to_physical(target)
    estimate = None
    if setup.wires_by == "estimate" or setup.pattern_matters:
        estimate = anchored_estimate(physical, setup.line, rows=_used_rows(plan, permutation))
        off = [abs(d - PATTERN_DENSITY) for d in estimate.densities]
        solved = estimate.matrices(physical)[off.index(min(off))]
    else:
        solved = effective_matrix(physical, setup.line)
    matrix = plan.join(permutation.to_logical(solved))
    gain = exists
    if setup.peripherals.wire_correction:
        left = _column_sums(plan, matrix)
        ratio = _column_sums(plan, ideal) / torch.where(left > 0, left, torch.ones_like(left))
        gain = ratio * exists
    kept = estimate if setup.wires_by == "estimate" else None
    return Nominal(matrix=matrix, gain=gain, estimate=kept)


def _used_rows(plan: MatrixPlan, permutation: Permutation) -> Tensor:
    """Return which physical rows of each tile have an input, (tile, row)."""
    blocks = plan.present.nonzero()[:, 0]
    row = blocks[:, None] * plan.tile[0] + permutation.rows.argsort(1)
    return row < plan.inputs


def _column_sums(plan: MatrixPlan, matrix: Tensor) -> Tensor:
    """Compute sums over the rows that have an input, (row block, column)."""
    blocks, rows, _ = matrix.shape
    used = torch.arange(blocks * rows, device=matrix.device) < plan.inputs
    return (matrix * used.reshape(blocks, rows, 1)).sum(1)
