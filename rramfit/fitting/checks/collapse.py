"""Detect cells whose conductance collapses or jumps between two reads.

With y before and y' after, a cell has collapsed if y' < 0.3·y, and jumped if y' > y/0.3; cells
below 5 % of the array's 95 % quantile are ignored. Relaxation changes a cell by a fraction of its
value and loses a few per cent of cells. If more than 20 % of cells change at once, the cause is a
contact, the supply or the addressing; the finding names the rows or columns that changed together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.result import Finding
from rramfit.measurement.file.record import Reads
from rramfit.units import format_quantity

__all__ = ["find_collapse", "format_ranges"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_RATIO = 0.3
_LEAST = 0.05  # of the 95 % quantile; below it, an offset dominates the ratio
_SEVERE, _REPORTED = 0.2, 0.03  # shares of cells
_LINE = 0.5  # share of its cells from which a line counts as collapsed
_FEWEST = 20  # cells needed for the check


def find_collapse(reads: Reads, healthy: Bools, *, group: str) -> list[Finding]:
    """Check for cells that collapse or jump since the previous read, or since the first.

    Parameters
    ----------
    reads : Reads
    healthy : (row, col) bool array
    group : str
        Name of the group in the finding.

    Returns
    -------
    list of Finding
        At most one for collapses and one for jumps, each for the worst pair of reads.
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
    return [_finding(group, word, reads, w) for word, w in worst.items() if w[0] > _REPORTED]


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
        f"({_seconds(reads.time[since])}) and read {at} ({_seconds(reads.time[at])})"
    )
    where = _where(changed, seen, share)
    remedy = (
        "Check contacts, supply and addressing, and measure again: cells do not change like this."
        if severe
        else "Inspect these cells: the fitted mean drift does not describe them."
    )
    return Finding(f"{what}{where}.", remedy, severe=severe, affected=share)


def _seconds(time: float) -> str:
    return format_quantity(float(time), "s", digits=3)


def _where(changed: Bools, seen: Bools, share: float) -> str:
    """Name the rows or columns that changed together, if they hold most of the changed cells."""
    for axis, word in ((1, "rows"), (0, "columns")):
        n = seen.sum(axis=axis)
        with np.errstate(invalid="ignore", divide="ignore"):
            share_of_line = np.where(n > 0, changed.sum(axis=axis) / n, 0.0)
        lines = np.flatnonzero(share_of_line > max(_LINE, 1.5 * share))
        in_lines = changed.take(lines, axis=1 - axis).sum()
        if lines.size and in_lines > 0.5 * changed.sum():
            return f", in {word} {format_ranges(lines)}"
    return ""


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
