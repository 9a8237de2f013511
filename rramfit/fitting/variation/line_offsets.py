"""Line offsets of all levels: their size in siemens, and their correlation between levels.

The line effects of a level are found in the normal scores of its cell means
(`rramfit.fitting.statistics.over_array.lines`); multiplied by the standard deviation of the cell
means about their plane they are in siemens.

A line is offset at every level that its cells are programmed to. With m_gk the mean score of the
cells of group g (a line, or a folded part of one) at level k, the correlation between levels is

    r_kl = C_kl/√(C_kk·C_ll),   C_kl = cov_g(m_gk, m_gl) − what single cells contribute,

where a cell contributes to both means only if it was programmed to both levels. All kinds of lines
that two levels have in common count together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rramfit.card.quantity import Quantity
from rramfit.card.schema import LineOffsets
from rramfit.fitting.statistics.inference import Driver
from rramfit.fitting.statistics.over_array.lines import LineEffect

__all__ = ["line_correlation", "line_offsets"]

Floats = NDArray[np.float64]

_FEWEST_GROUPS = 8


def line_offsets(driver: Driver, scale: float) -> list[LineOffsets]:
    """Return the line offsets of one level for a card.

    Parameters
    ----------
    driver : Driver
        Of the level.
    scale : float
        Standard deviation of the cell means about their plane [S].
    """
    if driver.lines is None:
        return []
    return [
        LineOffsets(
            axis=e.axis,
            period=e.period,
            std=Quantity.estimated(
                scale * e.variance**0.5,
                scale * e.stderr / (2 * e.variance**0.5),
                "S",
                scale="log",
                df=e.spread_df,
            ),
            p_value=e.p_value,
        )
        for e in driver.lines.effects
    ]


def line_correlation(drivers: Sequence[Driver | None]) -> Floats | None:
    """Return the correlation of line offsets between levels, (level, level).

    Parameters
    ----------
    drivers : sequence of Driver or None
        Of each level; None for a level that was not fitted.

    Returns
    -------
    (level, level) array or None
        NaN for pairs of levels without lines of the same kind; None if no level has lines.
    """
    kinds = [_finest(d) for d in drivers]
    if not any(kinds):
        return None
    count = len(drivers)
    out = np.full((count, count), np.nan)
    np.fill_diagonal(out, 1.0)
    for k in range(count):
        for j in range(k):
            a, b = drivers[k], drivers[j]
            shared = kinds[k].keys() & kinds[j].keys()
            if a is None or b is None or not shared:
                continue
            sums = np.sum([_covariances(a, b, kinds[k][x]) for x in sorted(shared)], axis=0)
            if sums[1] > 0 and sums[2] > 0:
                r = float(np.clip(sums[0] / np.sqrt(sums[1] * sums[2]), -1.0, 1.0))
                out[k, j] = out[j, k] = r
    return out


def _finest(driver: Driver | None) -> dict[tuple[str, int], LineEffect]:
    """Return the line effects of a level that no finer one of the same lines is contained in."""
    if driver is None or driver.lines is None:
        return {}
    effects = driver.lines.effects
    finest: dict[str, int] = {}
    for e in effects:
        finest[e.axis] = max(e.period, finest.get(e.axis, 1))
    return {(e.axis, e.period): e for e in effects if e.period == finest[e.axis]}


def _covariances(a: Driver, b: Driver, effect: LineEffect) -> Floats:
    """Return the covariance of two levels and both variances, of groups of one kind, (3,)."""
    shape = (a.scores.shape[0], a.scores.shape[1])
    group = effect.groups(shape)
    return np.array([_covariance(x, y, group) for x, y in ((a, b), (a, a), (b, b))])


def _covariance(a: Driver, b: Driver, group: NDArray[np.int64]) -> float:
    """Return the covariance of group means at two levels, without that of single cells."""
    size = int(group.max()) + 1
    counts, means = [], []
    for d in (a, b):
        seen = np.isfinite(d.scores)
        n = np.bincount(group[seen], minlength=size)
        counts.append(n)
        means.append(np.bincount(group[seen], d.scores[seen], size) / np.maximum(n, 1))
    used = (counts[0] > 0) & (counts[1] > 0)
    if used.sum() < _FEWEST_GROUPS:
        return 0.0
    x, y = (m[used] - m[used].mean() for m in means)
    between = float(x @ y) / float(x.size - 1)
    both = np.isfinite(a.scores) & np.isfinite(b.scores)
    common = np.bincount(group[both], minlength=size)[used]
    degrees = float(np.maximum(common - 1, 0).sum())
    if degrees == 0:
        return between
    g = group[both]
    within = float((a.scores[both] - means[0][g]) @ (b.scores[both] - means[1][g])) / degrees
    of_cells = float(np.mean(common / (counts[0][used] * counts[1][used])))
    return between - within * of_cells
