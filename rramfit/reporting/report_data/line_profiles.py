"""Line offsets as a report shows them: profiles over rows and columns, folded means, periodogram.

A cell's offset is its mean less the mean of the level's cells [S]. The profile of the columns is

    m_c = mean over the cells of column c of the offset,
    m_c ± t·s_c/√n_c,   s_c the standard deviation of the cells about trend and line offsets,

the 95 % interval of the column's own offset as its cells show it. A smooth field remains in both.

The periodogram is that of the DCT-II of the offsets about their plane, zero where nothing was read;
if the cells are on every p-th line, of the lattice of these. Ordinate (j, l) has j/(2·rows) cycles
per row. Along the rows there are two: of the means of whole rows (l = 0), and the mean over all
others (l > 0), which show a pattern that differs from column to column; offsets of rows are taken
out of these before, as they have all frequencies l. Powers are given over the white floor: the
median ordinate of the cells less trend and line offsets, over the median of χ²₁.

Trend and line offsets come from the card and the sidecar. Not here: what lines an array has
(`rramfit.fitting.statistics.over_array.lines`), and drawing
(`rramfit.reporting.figures.line_offsets`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, special

from rramfit.fitting.statistics.over_array.cell_pattern import lattice
from rramfit.fitting.statistics.over_array.smooth_field import plane
from rramfit.reporting.report_data.report_data import ReportData

__all__ = ["LineProfile", "Periodogram", "folded_means", "line_profile", "periodogram"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_MEDIAN_OF_CHI2 = 0.454936  # one degree of freedom, over its mean
_WHITE = 0.999  # of the power of white noise is below `Periodogram.limit`
_FEWEST_ORDINATES = 4  # along either side
_NO_NOISE = 1e-12  # white floor over the mean power


@dataclass(frozen=True, slots=True, kw_only=True)
class LineProfile:
    """Means of rows or columns of one level; NaN where a line has no cells."""

    mean: Floats  # [S] (line,) less that of the level
    half: Floats  # [S] (line,) half of the 95 % interval; NaN for fewer than two cells
    trend: Floats  # [S] (line,) of the card
    predicted: Floats  # [S] (line,) trend and predicted line offsets


@dataclass(frozen=True, slots=True, kw_only=True)
class Periodogram:
    """Power along one side of the array, over the white floor."""

    frequency: Floats  # (ordinate,) cycles per line, from 0 to 1/2
    within: Floats  # (ordinate,) mean over all ordinates of the other side but the first
    of_means: Floats  # (ordinate,) of the means of whole lines; NaN where the plane was
    limit: float  # `within` of white noise is below, at 99.9 of 100 frequencies


def line_profile(e: ReportData, k: int, axis: int) -> LineProfile:
    """Return the profile of the rows (axis 0) or columns (axis 1) at level `k`.

    The data need statistics, and a sidecar with line offsets.
    """
    offset, trend, lines = _parts(e, k)
    over = 1 - axis
    seen = np.isfinite(offset)
    n = seen.sum(over)
    mean, of_trend, of_lines = (
        _mean(np.where(seen, x, np.nan), over) for x in (offset, trend, lines)
    )
    own = offset - trend - lines
    square = _mean((own - np.expand_dims(_mean(own, over), over)) ** 2, over)
    with np.errstate(invalid="ignore", divide="ignore"):
        stderr = np.sqrt(square / (n - 1))
        half = np.where(n > 1, special.stdtrit(np.maximum(n - 1, 1), 0.975) * stderr, np.nan)
    return LineProfile(mean=mean, half=half, trend=of_trend, predicted=of_trend + of_lines)


def folded_means(e: ReportData, k: int, axis: int, period: int) -> Floats:
    """Return the mean offset of the folded parts of lines at level `k`, (period, line) [S].

    Parameters
    ----------
    e : ReportData
    k : int
    axis : {0, 1}
        0 for parts of rows, 1 for parts of columns.
    period : int
        Cells of a line whose other address is equal modulo `period` are averaged.
    """
    offset = e.offsets[k] if axis == 1 else e.offsets[k].T
    return np.stack([_mean(offset[i::period], 0) for i in range(period)])


def periodogram(e: ReportData, k: int, axis: int) -> Periodogram | None:
    """Return the periodogram along the rows (axis 0) or columns (axis 1) at level `k`.

    None for fewer than four rows or columns, or without noise to compare with.
    """
    offset, trend, lines = _parts(e, k)
    x, _, observed = plane(offset)
    if not observed.any():
        return None
    cut = lattice(observed)
    if min(x[cut].shape) < _FEWEST_ORDINATES:
        return None
    own, _, _ = plane(offset - trend - lines)
    floor = float(np.median(_power(own[cut]))) / _MEDIAN_OF_CHI2
    power = _power(x[cut])
    if floor <= _NO_NOISE * float(power.mean()):
        return None
    inside = _power(_without(x, observed, axis, _finest_period(e, k, axis))[cut])
    power, inside = (power, inside) if axis == 0 else (power.T, inside.T)
    ordinates, others = power.shape[0], power.shape[1] - 1
    of_means = power[:, 0] / floor
    of_means[:2] = np.nan
    return Periodogram(
        frequency=np.arange(ordinates) / (2 * ordinates * cut[axis].step),
        within=inside[:, 1:].mean(axis=1) / floor,
        of_means=of_means,
        limit=float(special.chdtri(others, 1 - _WHITE)) / others,
    )


def _power(x: Floats) -> Floats:
    """Return the squared cosine ordinates of a field."""
    return np.asarray(fft.dctn(x, type=2, norm="ortho") ** 2)


def _finest_period(e: ReportData, k: int, axis: int) -> int:
    """Return the longest period of the rows (axis 0) or columns (axis 1); 0 without offsets."""
    name = ("row", "col")[axis]
    found = next((v.lines or [] for v in e.card.variation if v.level == k), [])
    return max((x.period for x in found if x.axis == name), default=0)


def _without(x: Floats, observed: Bools, axis: int, period: int) -> Floats:
    """Subtract the means of the folded parts of rows (axis 0) or columns (axis 1)."""
    out = x.copy()
    for i in range(period):
        part = (slice(None), slice(i, None, period)) if axis == 0 else slice(i, None, period)
        mean = _mean(np.where(observed[part], x[part], np.nan), 1 - axis)
        out[part] -= np.nan_to_num(np.expand_dims(mean, 1 - axis))
    return np.where(observed, out, 0.0)


def _parts(e: ReportData, k: int) -> tuple[Floats, Floats, Floats]:
    """Return offset, trend about its mean over the cells, and line offset, (row, col) [S] each."""
    offset = e.offsets[k]
    trend = np.zeros(offset.shape)
    card = next((v.spatial for v in e.card.variation if v.level == k), None)
    if card is not None:
        for axis, slope in enumerate((card.row_trend, card.col_trend)):
            if slope is not None:
                at = np.arange(offset.shape[axis], dtype=float)
                trend += slope.value * np.expand_dims(at, 1 - axis)
        trend -= trend[np.isfinite(offset)].mean() if np.isfinite(offset).any() else 0.0
    found = None if e.cells is None else e.cells.line_offset
    lines = np.zeros(offset.shape) if found is None else np.nan_to_num(found[k])
    return offset, trend, lines


def _mean(x: Floats, axis: int) -> Floats:
    seen = np.isfinite(x)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(seen, x, 0.0).sum(axis) / seen.sum(axis))
