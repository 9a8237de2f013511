"""A second, separate population among ratios of two readings, and its place on the array.

A loss of conductance that differs between cells, even by orders of magnitude, gives ratios q after
to before with one broad distribution. Lost contacts, a failing supply or wrong addresses give a
second population with hardly a cell between it and the others. With N(c) cells in a window of width
`WINDOW` about c, and N_low and N_high those in the fullest windows clear of it on either side,

    q has a second population if N(c) ≤ GAP·min(N_low, N_high) at some c,

and if that is not chance: N(c) + 3·√(N(c) + 1) < min(N_low, N_high)/10. For comparison, if
ln τ of exponential losses q = exp(−t/τ) has a standard deviation of 3 (a factor of 20), the
emptiest window holds 12 % as many cells as the lower of the two peaks.

A few cells that lost their state one by one make no such peak: they are outliers, and are found by
`rramfit.fitting.screening.at_level`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["find_gap", "format_ranges", "place"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

WINDOW = 0.1
GAP = 0.05
FEWEST = 20  # ratios needed
_BIN = 0.01
_LOWEST, _HIGHEST = 0.1, 0.7  # of the highest ratios of the upper population: where a gap may lie
_LINE = 0.5  # share of its cells from which a line counts as a place
_MIDDLE = 0.9  # share of the cells inside the region that is named
_REGION = 0.6  # largest share of the array that is a place


def find_gap(ratio: Floats) -> float | None:
    """Return the middle of the gap between two populations of ratios; None if there is only one.

    Parameters
    ----------
    ratio : (cell,) array
        Conductance after over before, about 1 for a cell that keeps its state.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> kept = 0.9 + 0.1 * rng.standard_normal(900)
    >>> lost = 0.05 + 0.02 * rng.standard_normal(100)
    >>> f"{find_gap(np.concatenate([kept, lost])):.1f}", find_gap(kept)
    ('0.3', None)
    """
    q = ratio[np.isfinite(ratio)]
    if q.size < FEWEST:
        return None
    width = round(WINDOW / _BIN)
    edges = np.arange(-0.5, 2.0 + _BIN, _BIN)
    counts = np.histogram(np.clip(q, edges[0], edges[-1]), edges)[0]
    n = np.convolve(counts, np.ones(width), mode="valid")
    centre = 0.5 * (edges[: len(n)] + edges[width : width + len(n)])
    below = np.concatenate([np.zeros(width), np.maximum.accumulate(n)[:-width]])
    above = np.concatenate([np.maximum.accumulate(n[::-1])[::-1][width:], np.zeros(width)])
    lower = np.minimum(below, above)
    upper = float(np.quantile(q, 0.95))  # of the upper population, or of the only one
    allowed = (centre > _LOWEST * upper) & (centre < _HIGHEST * upper)
    gap = allowed & (n <= GAP * lower) & (n + 3 * np.sqrt(n + 1) < 0.1 * lower)
    if not gap.any():
        return None
    emptiest = gap & (n == n[gap].min())
    return float(np.median(centre[emptiest]))


def place(changed: Bools, seen: Bools) -> str:
    """Name the rows, columns or region that hold most of the changed cells.

    Parameters
    ----------
    changed, seen : (row, col) bool array
        Cells that changed, of those that were seen.
    """
    if not changed.any():
        return ""
    share = float(changed.sum() / seen.sum())
    for axis, word in ((1, "rows"), (0, "columns")):
        n = seen.sum(axis=axis)
        with np.errstate(invalid="ignore", divide="ignore"):
            of_line = np.where(n > 0, changed.sum(axis=axis) / n, 0.0)
        lines = np.flatnonzero(of_line > max(_LINE, 1.5 * share))
        in_lines = changed.take(lines, axis=1 - axis).sum()
        if lines.size and in_lines > 0.5 * changed.sum():
            return f"in {word} {format_ranges(lines)}"
    tail = (1 - _MIDDLE) / 4
    ends = [np.quantile(x, [tail, 1 - tail]).round().astype(int) for x in np.nonzero(changed)]
    (top, bottom), (left, right) = ends
    inside = np.zeros(changed.shape, dtype=np.bool_)
    inside[top : bottom + 1, left : right + 1] = True
    if changed.sum() >= FEWEST and (inside & seen).sum() < _REGION * seen.sum():
        return f"in rows {top}–{bottom} and columns {left}–{right}"
    return "spread over the array"


def format_ranges(lines: NDArray[np.integer]) -> str:
    """Format line numbers as ranges.

    Examples
    --------
    >>> import numpy as np
    >>> format_ranges(np.array([0, 2, 3, 4, 9]))
    '0, 2–4, 9'
    """
    runs = np.split(lines, np.flatnonzero(np.diff(lines) > 1) + 1)
    words = [str(r[0]) if len(r) == 1 else f"{r[0]}–{r[-1]}" for r in runs]
    more = f" and {len(words) - 8} more ranges" if len(words) > 8 else ""
    return ", ".join(words[:8]) + more
