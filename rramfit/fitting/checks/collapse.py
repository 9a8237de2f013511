"""Detect a population of cells whose conductance collapses or jumps between two reads.

With y before and y' after, cells collapse if the ratios y'/y have a second population, apart from
the others (`rramfit.fitting.screening.second_population`), and jump if the ratios y/y' have. Loss
that differs between cells without a gap, as in a bake, is not a collapse, unless nearly all cells
keep less than 5 % of their conductance from one read to the next. Only cells that conduct
before a collapse, or after a jump, are compared: at least half of the array's 95 % quantile; below,
an offset dominates the ratio. If more than 20 % of them change at once, the cause is a contact, the
supply or the addressing. The finding names the rows, columns or region that changed together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.results.result import Finding
from rramfit.fitting.screening.second_population import find_gap, format_ranges, place
from rramfit.measurement.file.record import Reads
from rramfit.units import format_percent, format_quantity

__all__ = ["find_collapse", "format_ranges"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_CONDUCTING = 0.5  # of the 95 % quantile; below it, an offset dominates the ratio
_SUSPECT = 0.8  # ratio below which a cell may belong to a second population
_SEVERE, _REPORTED = 0.2, 0.03  # shares of cells
_ALL, _NOTHING = 0.97, 0.05  # share of cells that keep less than this ratio
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
    """Return the cells of a second population, and the cells that were compared, by its kind."""
    both = healthy & np.isfinite(before) & np.isfinite(after)
    if not both.any():
        return {}
    out = {}
    for word, x, y in (("collapsed", before, after), ("jumped", after, before)):
        with np.errstate(invalid="ignore"):
            limit = _CONDUCTING * float(np.quantile(x[both], 0.95))
            seen = both & (x >= limit) & (x > 0)
        ratio = np.full(x.shape, np.nan)
        np.divide(y, x, out=ratio, where=seen)
        with np.errstate(invalid="ignore"):
            # A gap takes long to find: not for reads at which hardly a cell changes.
            if (ratio < _SUSPECT).sum() <= _REPORTED * seen.sum():
                continue
            if float(np.quantile(ratio[seen], _ALL)) < _NOTHING:
                out[word] = (seen & (ratio < _NOTHING), seen)
                continue
            below = find_gap(ratio[seen])
            out[word] = (ratio < (-np.inf if below is None else below), seen)
    return out


def _finding(
    group: str, word: str, reads: Reads, worst: tuple[float, int, int, Bools, Bools]
) -> Finding:
    share, since, at, changed, seen = worst
    severe = share > _SEVERE
    change = "collapsed to a small part of their conductance"
    if word == "jumped":
        change = "jumped to a multiple of their conductance"
    apart = ", apart from the others," if share < _ALL else ""
    what = (
        f"{group}: {format_percent(share)} of the conducting cells {change}{apart} between read "
        f"{since} ({_seconds(reads.time[since])}) and read {at} ({_seconds(reads.time[at])})"
    )
    remedy = (
        "Check contacts, supply and addressing, and measure again: cells do not change like this."
        if severe
        else "Inspect these cells: the fitted mean drift does not describe them."
    )
    where = f", {place(changed, seen)}" if share < _ALL else ""
    cause = f"collapse in {group}" if word == "collapsed" else ""
    return Finding(
        f"{what}{where}.", remedy, severe=severe, affected=share, cause=cause, code="collapse"
    )


def _seconds(time: float) -> str:
    return format_quantity(float(time), "s", digits=3)
