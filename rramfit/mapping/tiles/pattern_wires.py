"""Wires whose effective matrix depends on the active rows: gated and floating rows.

Either the active rows of each vector are solved exactly, or currents are estimated as sums over a
few matrices, weighted by the vector's share of active rows (`rramfit.array.wires.estimate`). With
bit-serial inputs a row is at 0 V or at the read voltage, and the estimate uses integer arithmetic
(`rramfit.mapping.tiles.integers.bit_planes`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rramfit.array.wires.effective import column_currents
from rramfit.array.wires.estimate import CrossbarEstimate
from rramfit.array.wires.line import LineResistance
from rramfit.mapping.layout.plan import MatrixPlan, Permutation
from rramfit.mapping.tiles.integers.bit_planes import BitPlaneMatrices, bit_plane_matrices
from rramfit.mapping.tiles.setup import AnalogSetup

__all__ = ["PatternWires", "pattern_wires"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PatternWires:
    """Wires whose effective matrix depends on the active rows."""

    conductance: Tensor  # [S] (tile, row, col) at 0 V, physical
    line: LineResistance
    estimate: CrossbarEstimate | None  # None: solved exactly
    terms: Tensor | None  # [S] (term, row block, row, column) of the estimate, logical
    planes: tuple[BitPlaneMatrices, ...]  # terms of each row block in int8; may be empty
    plan: MatrixPlan
    placed: Permutation

    def block_currents(self, block: int, voltage: Tensor) -> Tensor:
        """Compute column currents [A] of one row block, (column, vector), from voltages.

        Rows at 0 V are inactive.
        """
        if self.estimate is None or self.terms is None:
            return self._solved(block, voltage)
        weights = self.estimate.weights_at((voltage != 0).to(voltage.dtype).mean(0))
        current = torch.zeros((), dtype=voltage.dtype, device=voltage.device)
        for term, weight in zip(self.terms[:, block, : len(voltage)], weights, strict=True):
            current = torch.addcmul(current, term.T @ voltage, weight)
        return current

    def _solved(self, block: int, v: Tensor) -> Tensor:
        """Solve the currents (column, vector) for each vector of voltages (row, vector)."""
        plan = self.plan
        blocks, columns = (x.to(v.device) for x in plan.present.nonzero(as_tuple=True))
        tiles = (blocks == block).nonzero()[:, 0]
        padded = torch.nn.functional.pad(v.T, (0, plan.tile[0] - len(v))).expand(len(tiles), -1, -1)
        order = self.placed.rows.to(v.device)[tiles].argsort(1)
        physical = padded.gather(2, order[:, None].expand(padded.shape))
        current = column_currents(self.conductance[tiles], physical, self.line)
        cols = self.placed.cols.to(v.device)[tiles]
        logical = current.gather(2, cols[:, None].expand(current.shape))
        wide = v.new_zeros(plan.present.shape[1], plan.tile[1], v.shape[1])
        return wide.index_copy(0, columns[tiles], logical.mT).flatten(0, 1)


def pattern_wires(
    plan: MatrixPlan,
    setup: AnalogSetup,
    placed: Permutation,
    conductance: Tensor,
    *,
    estimate: CrossbarEstimate | None,
    by_density: Tensor | None,
) -> PatternWires | None:
    """Connect cells to such wires; None if the active rows do not matter.

    Parameters
    ----------
    plan : MatrixPlan
    setup : AnalogSetup
    placed : Permutation
    conductance : (tile, row, col) tensor
        Conductance at 0 V, in physical positions [S].
    estimate : CrossbarEstimate or None
        None: currents are solved exactly.
    by_density : (density, tile, row, col) tensor or None
        Matrices of the estimate [S].
    """
    if not setup.pattern_matters or setup.line is None:
        return None
    terms: Tensor | None = None
    planes: tuple[BitPlaneMatrices, ...] = ()
    if estimate is not None and by_density is not None:
        found = estimate.terms(by_density)
        terms = torch.stack([plan.join(placed.to_logical(x)) for x in found])
        if setup.sends_bits:
            planes = bit_plane_matrices(
                terms * setup.read_voltage, plan.inputs, estimate.weights_at
            )
    return PatternWires(
        conductance=conductance,
        line=setup.line,
        estimate=estimate,
        terms=terms,
        planes=planes,
        plan=plan,
        placed=placed,
    )
