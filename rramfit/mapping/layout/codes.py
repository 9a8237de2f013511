"""Codebook: the weights that conductance levels can represent.

A weight is stored in cells whose levels have the measured means g_0 < g_1 < …, which are not evenly
spaced. One slice of the weight is a difference of two conductances,

    pair      g[k+] − g[k−]     two columns of one tile, or the same position in two tiles
    offset    g[k] − g[r]       one cell, and one reference column of level r in each tile

so L levels give up to L(L−1)+1 signed weights. If several pairs have the same difference, the pair
with the lowest current is used. Finer weights take several slices, w = d_0 + d_1/radix + …; the
radix is the largest difference divided by half the widest gap, so that each slice covers the gaps
of the previous one. The sorted sums over slices form the codebook; a weight is rounded to the
nearest entry.

Each output has a scale [weight per siemens] that minimizes the squared error over its weights. The
positions of cells on tiles are in `rramfit.mapping.layout.plan`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from rramfit.errors import MappingError

__all__ = ["SCHEMES", "Codebook", "Scheme", "codebook", "fit_scales", "full_scales", "nearest_code"]

Scheme = Literal["columns", "arrays", "offset"]
SCHEMES: tuple[str, ...] = get_args(Scheme)
"""Differential pairs in two columns or two arrays, or one cell minus an offset column."""

SAME = 1e-3
"""Tolerance for equal differences, relative to the largest difference of the finest slice."""

EQUAL = 1e-6
"""Tolerance for equal distances, relative to the largest difference: of float32 means."""

MOST_CODES = 2**20

TRIED_SCALES = 40
SCALE_RANGE = (0.05, 1.2)
"""Range of tried scales, relative to the scale at which one slice holds the largest weight."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Codebook:
    """All weights that cells of one card can represent."""

    scheme: Scheme
    means: Tensor  # [S] (level,) ascending
    values: Tensor  # [S] (code,) ascending: the sum over slices of differences / radix^slice
    levels: Tensor  #     (code, slice, cell) int64; cells are G+ and G−, or one for `offset`
    radix: float
    offset_level: int | None  # of the reference column

    @property
    def slices(self) -> int:
        """Number of slices per weight."""
        return self.levels.shape[1]

    @property
    def cells(self) -> int:
        """Number of cells per slice: 2 for pairs, 1 with an offset column."""
        return self.levels.shape[2]

    @property
    def slice_reach(self) -> float:
        """Largest magnitude that one slice can represent with both signs [S]."""
        g = self.means
        if self.offset_level is None:
            return float(g[-1] - g[0])
        middle = g[self.offset_level]
        return float(torch.minimum(g[-1] - middle, middle - g[0]))

    @property
    def lowest_pair(self) -> float:
        """Conductance of the unused cell of a continuous weight [S]."""
        return float(self.means[0 if self.offset_level is None else self.offset_level])

    @property
    def significance(self) -> tuple[float, ...]:
        """Weight of each slice relative to the first, (slice,)."""
        return tuple(self.radix**-s for s in range(self.slices))


def codebook(
    means: Tensor,
    *,
    scheme: Scheme = "columns",
    slices: int = 1,
    weight_values: int | None = None,
) -> Codebook:
    """List the weights that levels can represent.

    Parameters
    ----------
    means : (level,) tensor
        Mean conductance of each level [S], ascending.
    scheme : {"columns", "arrays", "offset"}
    slices : int
        Slices per weight.
    weight_values : int, optional
        Number of weight values per slice, odd, as evenly spaced as the levels allow: 3 gives −1, 0
        and 1. Default: all values that the levels give.

    Raises
    ------
    MappingError
        If the levels do not give weights of both signs, or fewer than `weight_values`.

    Examples
    --------
    >>> book = codebook(torch.tensor([1 / 30e3, 1 / 12e3, 1 / 5e3]))
    >>> [round(float(v) * 1e6, 1) for v in book.values]
    [-166.7, -116.7, -50.0, 0.0, 50.0, 116.7, 166.7]
    >>> codebook(book.means, weight_values=3).levels[:, 0].tolist()
    [[0, 2], [0, 0], [2, 0]]
    """
    if scheme not in SCHEMES:
        msg = f"scheme is {scheme!r}; expected one of {', '.join(SCHEMES)}"
        raise MappingError(msg)
    if slices < 1:
        msg = f"slices is {slices}; expected at least 1 slice per weight"
        raise MappingError(msg)
    g = means.detach().double().cpu()
    if g.numel() < 2 or not bool((g.diff() > 0).all()):
        found = ", ".join(f"{1e6 * x:.4g}" for x in g.tolist())
        msg = (
            f"the level means are {found} uS; expected at least two in ascending order. Use a card "
            "with two or more levels that do not overlap"
        )
        raise MappingError(msg)
    offset = None if scheme != "offset" else int((g - (g[0] + g[-1]) / 2).abs().argmin())
    values, levels = _one_slice(g, offset)
    if not (float(values[0]) < 0 < float(values[-1])):
        msg = (
            f"{g.numel()} levels with an offset column of level {offset} do not give weights of "
            "both signs. Use pairs, or a card with at least three levels"
        )
        raise MappingError(msg)
    if weight_values is not None:
        kept = _evenly(values, weight_values)
        values, levels = values[kept], levels[kept]
    radix = float(torch.minimum(values[-1], -values[0]) / (values.diff().max() / 2))
    if slices > 1 and radix <= 1:
        msg = (
            f"the levels are too unevenly spaced for {slices} slices: the widest gap between "
            "differences exceeds the range of one slice. Use pairs, or more levels"
        )
        raise MappingError(msg)
    values, levels = _sliced(values, levels, g, slices=slices, radix=radix)
    return Codebook(
        scheme=scheme,
        means=means.detach(),
        values=values.to(means),
        levels=levels.to(means.device),
        radix=radix,
        offset_level=offset,
    )


def _one_slice(g: Tensor, offset: int | None) -> tuple[Tensor, Tensor]:
    """Return differences and their levels (code, cell), with the lowest current for each."""
    k = torch.arange(g.numel())
    if offset is not None:
        return g - g[offset], k[:, None]
    levels = torch.cartesian_prod(k, k)
    values = g[levels[:, 0]] - g[levels[:, 1]]
    return _distinct(values, levels, g[levels].sum(-1), SAME * float(values.max()))


def _distinct(
    values: Tensor, levels: Tensor, current: Tensor, tolerance: float
) -> tuple[Tensor, Tensor]:
    """Return values in ascending order; of equal values, the one with the lowest current."""
    order = values.argsort(stable=True)
    values, levels, current = values[order], levels[order], current[order]
    group = torch.cat((torch.zeros(1), (values.diff() > tolerance).double())).cumsum(0).long()
    cheapest = torch.argsort(current, stable=True)
    cheapest = cheapest[torch.argsort(group[cheapest], stable=True)]
    first = torch.searchsorted(group[cheapest], torch.arange(int(group[-1]) + 1))
    kept = cheapest[first]
    return values[kept], levels[kept]


def _evenly(values: Tensor, count: int) -> list[int]:
    """Return indices of `count` values around zero, as evenly spaced as possible.

    Of two values at one distance, the one nearer to zero: weights stay symmetric.
    """
    if count < 3 or count % 2 == 0:
        msg = f"weight_values is {count}; expected an odd number, at least 3"
        raise MappingError(msg)
    reach, half = float(torch.minimum(values[-1], -values[0])), count // 2
    wanted = torch.arange(-half, half + 1, dtype=torch.float64) / half * reach
    distance = (values[:, None] - wanted).abs()
    nearest = distance <= distance.amin(0) + EQUAL * reach
    kept: list[int] = torch.where(nearest, values.abs()[:, None], torch.inf).argmin(0).tolist()
    if len(set(kept)) < count:
        msg = (
            f"the levels give {len(values)} differences, which cannot represent {count} evenly "
            "spaced weight values; use fewer weight values"
        )
        raise MappingError(msg)
    return kept


def _sliced(
    values: Tensor, levels: Tensor, g: Tensor, *, slices: int, radix: float
) -> tuple[Tensor, Tensor]:
    """Return all sums of slices, (code,), and their levels, (code, slice, cell)."""
    if len(values) ** slices > MOST_CODES:
        msg = (
            f"{len(values)} differences in {slices} slices give more than {MOST_CODES} codes; "
            "use fewer slices or fewer weight values"
        )
        raise MappingError(msg)
    total, chosen = values, levels[:, None]
    for s in range(1, slices):
        total = (total[:, None] + values * radix**-s).flatten()
        left = chosen.repeat_interleave(len(values), 0)
        right = levels.repeat(len(chosen), 1)[:, None]
        chosen = torch.cat((left, right), 1)
    if slices == 1:
        return total, chosen
    tolerance = SAME * float(values.abs().max()) * radix ** (1 - slices)
    return _distinct(total, chosen, g[chosen].sum((-2, -1)), tolerance)


def nearest_code(book: Codebook, value: Tensor) -> Tensor:
    """Return the index of the entry nearest to each value [S], in the shape of `value`."""
    edges = (book.values[1:] + book.values[:-1]) / 2
    return torch.bucketize(value.detach().contiguous(), edges)


def full_scales(weight: Tensor, book: Codebook) -> Tensor:
    """Return the scale of each output at which one slice holds its largest weight, (output,)."""
    largest = weight.detach().abs().amax(1)
    return torch.where(largest > 0, largest, largest.max().clamp_min(1e-12)) / book.slice_reach


def fit_scales(weight: Tensor, book: Codebook) -> Tensor:
    """Fit the scale of each output that minimizes the squared error of its quantised weights.

    Parameters
    ----------
    weight : (output, input) tensor
    book : Codebook

    Returns
    -------
    (output,) tensor
        [weight per siemens]; an output with only zero weights gets the scale of the largest weight.
    """
    w = weight.detach()
    full = full_scales(w, book)
    best, scale = torch.full_like(full, torch.inf), full
    low, high = SCALE_RANGE
    for k in range(TRIED_SCALES):
        factor = low * (high / low) ** (k / (TRIED_SCALES - 1))
        tried = full * factor
        made = book.values[nearest_code(book, w / tried[:, None])]
        size = made.square().sum(1)
        fitted = (w * made).sum(1) / torch.where(size > 0, size, torch.ones_like(size))
        error = (w - fitted[:, None] * made).square().sum(1)
        better = (error < best) & (size > 0) & (fitted > 0)
        best, scale = torch.where(better, error, best), torch.where(better, fitted, scale)
    return scale
