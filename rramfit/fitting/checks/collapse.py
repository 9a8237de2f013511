"""Cells that collapse or jump between two reads with nothing done to them in between.

With y before and y' after, a cell of at least 5 % of the array's conductance has collapsed where
y' < 0.3·y, and jumped where y' > y/0.3. Relaxation moves cells by parts of their value and loses a
few in a hundred; where every fifth cell or more is lost at once, contact, supply or addressing
failed, not the cells. Whole rows or columns that do so together say which.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.result import Finding
from rramfit.measurement.file.record import Reads

__all__ = ["find_collapse", "lines_in_words"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_RATIO = 0.3
_LEAST = 0.05  # of the 95 % quantile: below, an offset alone makes any ratio
_SEVERE, _NOTED = 0.2, 0.03  # shares of cells
_LINE = 0.5  # share of a line's cells that makes it one that collapsed
_FEWEST = 20  # cells without which nothing is said


def find_collapse(reads: Reads, healthy: Bools, *, group: str) -> list[Finding]:
    """Look for cells that collapse or jump from one read to the next, or from the first.

    Parameters
    ----------
    reads : Reads
    healthy : (row, col) bool array
    group : str
        Name of the group, for people.

    Returns
    -------
    list of Finding
        At most one for collapses and one for jumps: that of the worst read.
    """
    worst: dict[str, tuple[float, int, int, Bools, Bools]] = {}
    first = before = np.full(healthy.shape, np.nan)
    at = 0
    for block in reads.blocks():
        for y in block:
            for since, reference in ((at - 1, before), (0, first)):
                if at == 0 or (since == 0 and at == 1 and reference is first):
                    continue
                for word, (changed, seen) in _changed(reference, y, healthy).items():
                    share = float(changed.sum() / seen.sum()) if seen.sum() >= _FEWEST else 0.0
                    if share > worst.get(word, (0.0,))[0]:
                        worst[word] = (share, since, at, changed, seen)
            first = np.where(np.isnan(first), y, first)
            before = np.where(np.isnan(y), before, y)
            at += 1
    return [_finding(group, word, reads, w) for word, w in worst.items() if w[0] > _NOTED]


def _changed(before: Floats, after: Floats, healthy: Bools) -> dict[str, tuple[Bools, Bools]]:
    both = healthy & np.isfinite(before) & np.isfinite(after)
    if not both.any():
        return {}
    out = {}
    for word, x, y in (("collapsed", before, after), ("jumped", after, before)):
        with np.errstate(invalid="ignore"):
            seen = both & (x > _LEAST * np.quantile(x[both], 0.95))
            out[word] = (seen & (y < _RATIO * x), seen)
    return out


def _finding(
    group: str, word: str, reads: Reads, worst: tuple[float, int, int, Bools, Bools]
) -> Finding:
    share, since, at, changed, seen = worst
    severe = share > _SEVERE
    change = (
        f"fell below {_RATIO:.0%} of their conductance"
        if word == "collapsed"
        else f"rose above {1 / _RATIO:.1f} times their conductance"
    )
    what = (
        f"{group}: {share:.1%} of cells {change} between read {since} "
        f"({reads.time[since]:.3g} s) and read {at} ({reads.time[at]:.3g} s)"
    )
    where = _where(changed, seen, share)
    remedy = (
        "this is no property of cells: check contacts, supply and addressing, and measure again"
        if severe
        else "look at these cells; the mean drift does not describe them"
    )
    return Finding(what + where, remedy, severe=severe)


def _where(changed: Bools, seen: Bools, share: float) -> str:
    """Name the rows or columns that changed as a whole, where those are most of the cells."""
    for axis, word in ((1, "rows"), (0, "columns")):
        n = seen.sum(axis=axis)
        with np.errstate(invalid="ignore", divide="ignore"):
            of_line = np.where(n > 0, changed.sum(axis=axis) / n, 0.0)
        lines = np.flatnonzero(of_line > max(_LINE, 1.5 * share))
        in_lines = changed.take(lines, axis=1 - axis).sum()
        if lines.size and in_lines > 0.5 * changed.sum():
            return f", in {word} {lines_in_words(lines)}"
    return ""


def lines_in_words(lines: NDArray[np.integer]) -> str:
    """Write line numbers as runs.

    Examples
    --------
    >>> import numpy as np
    >>> lines_in_words(np.array([0, 2, 3, 4, 9]))
    '0, 2–4, 9'
    """
    runs = np.split(lines, np.flatnonzero(np.diff(lines) > 1) + 1)
    words = [str(r[0]) if len(r) == 1 else f"{r[0]}–{r[-1]}" for r in runs]
    more = f" and {len(words) - 8} more runs" if len(words) > 8 else ""
    return ", ".join(words[:8]) + more
