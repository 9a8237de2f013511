"""Line offsets of the sampler: the shares of rows, columns and folded lines in a cell's deviation.

A card has the standard deviation of the offsets of each kind of line at each level. On the latent
scale (`rramfit.array.devices.latent`) they are parts of the cell's deviation D,

    D = √s·field + Σ_i √λ_i·line_i + √(1 − s − Σ_i λ_i)·remainder,

with every part standard normal. The part of a line is correlated between levels as in the card.
The lines of an array are fitted in `rramfit.fitting.statistics.over_array.lines`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.card.line_groups import Axis, line_groups
from rramfit.card.schema import ModelCard, VariationCard

__all__ = [
    "LineShares",
    "known_line_correlation",
    "line_coupling",
    "line_shares",
    "line_variances",
    "stack_shares",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineShares:
    """One kind of line offsets and its share of a cell's latent deviation at every level.

    The cells of one group have the same offset: the cells of a line, or with a `period` p above 1
    the cells of a line whose other address is equal modulo p.
    """

    axis: Axis
    period: int
    share: Floats  # (level,)

    def groups(self, shape: tuple[int, int]) -> NDArray[np.int64]:
        """Return the group of every cell, (row, col)."""
        return line_groups(shape, self.axis, self.period)


def line_variances(
    variation: list[VariationCard | None],
) -> tuple[list[tuple[Axis, int]], Floats]:
    """Return the kinds of line offsets and their variances, (kind, level) [S²]."""
    found = [(v.lines or []) if v is not None else [] for v in variation]
    kinds: list[tuple[Axis, int]] = sorted({(x.axis, x.period) for lines in found for x in lines})
    out = np.zeros((len(kinds), len(variation)))
    for k, lines in enumerate(found):
        for x in lines:
            out[kinds.index((x.axis, x.period)), k] += x.std.value**2
    return kinds, out


def line_shares(
    kinds: list[tuple[Axis, int]], latent: list[Floats], *, a2: Floats, most: Floats
) -> tuple[LineShares, ...]:
    """Return each kind's share of a cell's latent deviation.

    Parameters
    ----------
    kinds : list of (axis, period)
    latent : list of (level,) arrays
        Latent variance of each kind.
    a2 : (level,) array
        Latent variance of a cell.
    most : (level,) array
        Upper limit of the sum over all kinds.
    """
    if not kinds:
        return ()
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(a2 > 0, np.stack(latent) / a2, 0.0)
        total = share.sum(axis=0)
        share = share * np.where(total > most, most / total, 1.0)
    return tuple(
        LineShares(axis=axis, period=period, share=x)
        for (axis, period), x in zip(kinds, share, strict=True)
    )


def known_line_correlation(card: ModelCard, count: int, assumptions: list[str]) -> Floats:
    """Return the correlation of line offsets between levels; 1 if the card has none."""
    if card.line_correlation is not None and np.shape(card.line_correlation) == (count, count):
        return np.asarray(card.line_correlation, dtype=np.float64)
    if count > 1:
        assumptions.append("line_correlation is missing; a line has the same offset at all levels")
    return np.ones((count, count))


def stack_shares(lines: tuple[LineShares, ...], count: int) -> Floats:
    """Return the shares of all kinds, (kind, level)."""
    return np.stack([x.share for x in lines]) if lines else np.zeros((0, count))


def line_coupling(shares: Floats) -> Floats:
    """Return the part of the correlation of D between two levels that comes from equal lines."""
    roots = np.sqrt(shares)
    return np.asarray(roots.T @ roots)
