"""Anchor of the training forward: wires, ranges, and a linear fit to the full forward.

With gated or floating rows the effective matrix depends on the number of active rows. The anchor
keeps the estimate at each tile's mean share of active rows over input vectors and passes, weighted
by coefficient and sum of voltages.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rramfit.array.wires.estimate import CrossbarEstimate
from rramfit.mapping.tiles.calibration import Calibration
from rramfit.mapping.tiles.matrix import AnalogMatrix
from rramfit.mapping.tiles.peripherals import drive
from rramfit.mapping.tiles.programmed import rows_of

__all__ = ["Anchor", "at_mean_share", "fitted_line"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Anchor:
    """State that is updated on a schedule: wires, ranges, and the fit to the full forward."""

    gain: Tensor  # (row block, column) digital correction of the loss in wires
    estimate: CrossbarEstimate | None
    calibration: Calibration
    slope: Tensor  # (output,) k
    shift: Tensor  # (output,)
    noise: Tensor  # (output,) σ


def fitted_line(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Fit y linearly to x per column; return slope, shift and residual standard deviation."""
    mean_x, mean_y = x.mean(0), y.mean(0)
    dx, dy = x - mean_x, y - mean_y
    spread = dx.square().sum(0)
    tiny = spread <= 1e-12 * y.square().sum(0).clamp_min(1e-30)
    slope = (dx * dy).sum(0) / torch.where(tiny, torch.ones_like(spread), spread)
    slope = torch.where(tiny, torch.ones_like(slope), slope)
    residual = dy - slope * dx
    return slope, mean_y - slope * mean_x, residual.square().mean(0).sqrt()


def at_mean_share(
    matrix: AnalogMatrix,
    estimate: CrossbarEstimate | None,
    calibration: Calibration,
    vectors: Tensor,
) -> CrossbarEstimate | None:
    """Evaluate an estimate at each tile's mean share of active rows, if it depends on them.

    Parameters
    ----------
    matrix : AnalogMatrix
    estimate : CrossbarEstimate or None
    calibration : Calibration
    vectors : (vector, input) tensor
        Vectors for the mean; passes are weighted by their contribution.
    """
    if estimate is None or len(estimate.densities) == 1:
        return estimate
    plan, setup = matrix.plan, matrix.setup
    size, active = torch.zeros(()), torch.zeros(())
    quantised = "dac" in setup.factors
    for one in drive(
        vectors,
        calibration.largest,
        setup.peripherals,
        signed=calibration.signed,
        quantised=quantised,
    ):
        rows = rows_of(plan, one.fraction)  # (row block, vector, row)
        counts = abs(one.coefficient) * rows.sum(-1)
        size = size + counts.sum(1)
        active = active + (counts * (rows != 0).to(rows).mean(-1)).sum(1)
    share = active / torch.where(size > 0, size, torch.ones_like(size))
    tile_share = share[plan.present.nonzero()[:, 0].to(share.device)]
    if estimate.rows is not None:
        tile_share = tile_share / estimate.rows.to(tile_share).mean(-1)
    tile_share = tile_share.clamp(estimate.densities[0], estimate.densities[-1])
    at, upper = estimate.between(tile_share)
    upper = upper[:, None, None]
    tiles = torch.arange(len(at), device=share.device)

    def between(x: Tensor) -> Tensor:
        return torch.lerp(x[at - 1, tiles], x[at, tiles], upper)[None]

    per_tile: Any = tile_share[:, None, None]  # instead of one number for all tiles
    return dataclasses.replace(
        estimate,
        densities=(per_tile,),
        correction=between(estimate.correction),
        rest=None if estimate.rest is None else between(estimate.rest),
        weights=None,
    )
