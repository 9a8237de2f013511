"""Weights as levels: which conductances stand for a weight, and the weight that they stand for.

A weight lives on cells whose levels have the measured means g_0 < g_1 < …, not evenly spaced. One
slice of it is a difference of two conductances,

    pair      g[k+] − g[k−]     two columns of one tile, or the same place in two tiles
    offset    g[k] − g[r]       one cell, and one reference column in each tile, of level r

so L levels give up to L(L−1)+1 weights of either sign. Of pairs that make the same difference the
one of least current is kept. Finer weights take several slices, w = d_0 + d_1/radix + …; the radix
is the largest difference over half the widest gap, so that each slice just spans what the one
before it leaves. All sums together, sorted, are the codebook; a weight goes to the nearest entry.

Each output has its own scale [weight per siemens], the one of least squared error over its weights.
Where cells lie on tiles is `rramfit.mapping.layout.plan`.
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
"""Differential pairs in two columns, in two arrays, or one cell against an offset column."""

SAME = 1e-3
"""Differences nearer than this share of the finest slice's largest one count as the same."""

MOST_CODES = 2**20

TRIED_SCALES = 40
SCALE_RANGE = (0.05, 1.2)
"""Scales tried, relative to the one at which one slice holds the largest weight."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Codebook:
    """All weights that cells of one card can stand for."""

    scheme: Scheme
    means: Tensor  # [S] (level,) rising
    values: Tensor  # [S] (code,) rising: the sum over slices of differences / radix^slice
    levels: Tensor  #     (code, slice, cell) int64; cells are G+ and G−, or the one of `offset`
    radix: float
    offset_level: int | None  # of the reference column

    @property
    def slices(self) -> int:
        """Slices a weight."""
        return self.levels.shape[1]

    @property
    def cells(self) -> int:
        """Cells a slice: 2 for pairs, 1 against an offset column."""
        return self.levels.shape[2]

    @property
    def slice_reach(self) -> float:
        """Largest weight of either sign that one slice makes [S]."""
        g = self.means
        if self.offset_level is None:
            return float(g[-1] - g[0])
        middle = g[self.offset_level]
        return float(torch.minimum(g[-1] - middle, middle - g[0]))

    @property
    def lowest_pair(self) -> float:
        """Conductance of the cell that a continuous weight does not use [S]."""
        return float(self.means[0 if self.offset_level is None else self.offset_level])

    @property
    def significance(self) -> tuple[float, ...]:
        """What a siemens of each slice counts, (slice,)."""
        return tuple(self.radix**-s for s in range(self.slices))


def codebook(
    means: Tensor,
    *,
    scheme: Scheme = "columns",
    slices: int = 1,
    weight_values: int | None = None,
) -> Codebook:
    """List what can be made of levels.

    Parameters
    ----------
    means : (level,) tensor
        Mean conductance of each level [S], rising.
    scheme : {"columns", "arrays", "offset"}
    slices : int
        Slices a weight.
    weight_values : int, optional
        How many weights one slice may take, an odd number, as evenly spaced as the levels allow: 3
        gives −1, 0 and 1. All that there are where not given.

    Raises
    ------
    MappingError
        If the levels make no weight of both signs, or not so many.

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
        msg = f"{slices} slices a weight; expected at least 1"
        raise MappingError(msg)
    g = means.detach().double().cpu()
    if g.numel() < 2 or not bool((g.diff() > 0).all()):
        msg = (
            f"level means are {[f'{x:.4g}' for x in g.tolist()]} S; expected at least two, rising: "
            "take levels that overlap out of the card"
        )
        raise MappingError(msg)
    offset = None if scheme != "offset" else int((g - (g[0] + g[-1]) / 2).abs().argmin())
    values, levels = _one_slice(g, offset)
    if not (float(values[0]) < 0 < float(values[-1])):
        msg = (
            f"{g.numel()} levels against an offset column of level {offset} make no weight of both "
            "signs; use pairs, or a card of three levels or more"
        )
        raise MappingError(msg)
    if weight_values is not None:
        kept = _evenly(values, weight_values)
        values, levels = values[kept], levels[kept]
    radix = float(torch.minimum(values[-1], -values[0]) / (values.diff().max() / 2))
    if slices > 1 and radix <= 1:
        msg = (
            f"levels are too uneven for {slices} slices: the widest gap between differences is "
            "more than one slice spans; use pairs, or more levels"
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
    """Differences and their levels (code, cell), the cheapest for each."""
    k = torch.arange(g.numel())
    if offset is not None:
        return g - g[offset], k[:, None]
    levels = torch.cartesian_prod(k, k)
    values = g[levels[:, 0]] - g[levels[:, 1]]
    return _distinct(values, levels, g[levels].sum(-1), SAME * float(values.max()))


def _distinct(
    values: Tensor, levels: Tensor, current: Tensor, tolerance: float
) -> tuple[Tensor, Tensor]:
    """Rising values, of those nearer than `tolerance` the one of least current."""
    order = values.argsort(stable=True)
    values, levels, current = values[order], levels[order], current[order]
    group = torch.cat((torch.zeros(1), (values.diff() > tolerance).double())).cumsum(0).long()
    cheapest = torch.argsort(current, stable=True)
    cheapest = cheapest[torch.argsort(group[cheapest], stable=True)]
    first = torch.searchsorted(group[cheapest], torch.arange(int(group[-1]) + 1))
    kept = cheapest[first]
    return values[kept], levels[kept]


def _evenly(values: Tensor, count: int) -> list[int]:
    """List indices of `count` values about zero, as evenly spaced as there are."""
    if count < 3 or count % 2 == 0:
        msg = f"{count} weight values; expected an odd number of at least 3"
        raise MappingError(msg)
    reach, half = float(torch.minimum(values[-1], -values[0])), count // 2
    wanted = torch.arange(-half, half + 1, dtype=torch.float64) / half * reach
    kept: list[int] = (values[:, None] - wanted).abs().argmin(0).tolist()
    if len(set(kept)) < count:
        msg = f"{len(values)} differences make no {count} weight values; ask for fewer"
        raise MappingError(msg)
    return kept


def _sliced(
    values: Tensor, levels: Tensor, g: Tensor, *, slices: int, radix: float
) -> tuple[Tensor, Tensor]:
    """All sums of slices, (code,) and (code, slice, cell)."""
    if len(values) ** slices > MOST_CODES:
        msg = (
            f"{len(values)} differences in {slices} slices make more than {MOST_CODES} codes; "
            "use fewer slices, or fewer weight values"
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
    """Index of the entry nearest to each value [S], of the shape of `value`."""
    edges = (book.values[1:] + book.values[:-1]) / 2
    return torch.bucketize(value.detach(), edges)


def full_scales(weight: Tensor, book: Codebook) -> Tensor:
    """Scale of each output at which one slice holds its largest weight, (output,)."""
    largest = weight.detach().abs().amax(1)
    return torch.where(largest > 0, largest, largest.max().clamp_min(1e-12)) / book.slice_reach


def fit_scales(weight: Tensor, book: Codebook) -> Tensor:
    """Scale of each output for which its quantised weights have the least squared error.

    Parameters
    ----------
    weight : (output, input) tensor
    book : Codebook

    Returns
    -------
    (output,) tensor
        [weight per siemens]; an output without any weight gets that of the largest output.
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
