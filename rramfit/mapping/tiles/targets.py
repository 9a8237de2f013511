"""Target conductances of cells: the conductances that represent weights.

Quantised weights take the nearest entry of the codebook. Within the range of codes the gradient is
straight-through: the cells of the first slice share it, so that d(G+ − G−)/dw = 1/scale. The
gradient of a scale is that of a learned step size, code − w/scale. Weights that are not quantised
take any conductance in the first slice, with the unused cell of a pair at the lowest level.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rramfit.mapping.layout.codes import Codebook, nearest_code
from rramfit.mapping.layout.plan import MatrixPlan
from rramfit.mapping.tiles.setup import AnalogSetup

__all__ = ["Targets", "targets_of"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Targets:
    """Targets of cells, in logical positions."""

    conductance: Tensor  # [S] (tile, row, col), differentiable in weights and scales
    level: Tensor  #     (tile, row, col) nearest level; −1 for unused cells


def targets_of(plan: MatrixPlan, setup: AnalogSetup, weight: Tensor, scale: Tensor) -> Targets:
    """Compute target conductances and the nearest levels.

    Parameters
    ----------
    plan : MatrixPlan
    setup : AnalogSetup
    weight : (output, input) tensor
    scale : (output,) tensor
        [weight per siemens]
    """
    book = setup.book
    wanted = weight / scale[:, None]
    if "quantisation" in setup.factors:
        parts, level = _quantised(book, wanted)
    else:
        parts, level = _continuous(book, wanted)
    reference = None if book.offset_level is None else float(book.means[book.offset_level])
    return Targets(
        conductance=plan.scatter(parts, float(book.means[0]), reference=reference),
        level=plan.scatter(level, -1, reference=book.offset_level),
    )


def _quantised(book: Codebook, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Return conductances and levels of the nearest codes, (output, input, slice, cell)."""
    wanted = wanted.clamp(float(book.values[0]), float(book.values[-1]))
    level = book.levels[nearest_code(book, wanted)]
    straight = (wanted - wanted.detach())[..., None] / book.cells
    sign = torch.tensor([1.0, -1.0][: book.cells]).to(wanted)
    first = torch.zeros(book.slices, 1).to(wanted)
    first[0] = 1.0
    return book.means[level] + (straight * sign)[..., None, :] * first, level


def _continuous(book: Codebook, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Return continuous conductances in the first slice, the lowest in others, nearest levels."""
    lowest = book.lowest_pair
    if book.cells == 1:
        first = (wanted + lowest)[..., None]
    else:
        first = torch.stack((wanted.clamp_min(0), (-wanted).clamp_min(0)), -1) + lowest
    rest = torch.full_like(first, lowest)
    parts = torch.stack([first, *([rest] * (book.slices - 1))], -2)
    edges = (book.means[1:] + book.means[:-1]) / 2
    return parts, torch.bucketize(parts.detach(), edges)
