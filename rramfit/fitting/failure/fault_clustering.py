"""Test whether faults cluster in rows, columns or patches, or are scattered at random.

Cells are grouped, and T = Σ_g n_g·(n_g − 1)/2 counts the pairs of faults in the same group. Five
kinds of groups are tested:

    rows, columns
    folded rows, folded columns   every p-th cell of a line, p = 2, 4, 8, 16: one physical line, if
                                  the memory folds several address rows onto it
    patches                       squares with a side of 2, 4, 8, 16, 32 cells

The null distribution is a permutation: faults are redistributed over all cells that could have had
one, within strata of equal fault probability. This depends on what was asked of a cell: a level
that fails more often and is on every second column does not make faults cluster in columns. The
fault probability of a cell is taken as the sum of shares of the levels that it was programmed to,
by least squares (`strata_by_levels`). If the permutations are too few to resolve a small p-value, a
Pearson type III distribution with their first three moments is used. The p-value of a kind is
corrected for the number of groupings tried. The dominant grouping is the one with the largest
excess in standard deviations, because a bad column also fills patches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.fitting.results.result import Finding, Verdict
from rramfit.streams import stream

__all__ = ["ClusterTest", "FaultClustering", "find_clustering", "groups_of", "strata_by_levels"]

Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

Crowded = tuple[int, int, int, int]  # line or patch, offset in a folded line, faults, cells

KINDS = ("rows", "columns", "folded rows", "folded columns", "patches")
FEWEST_FAULTS = 5
SIGNIFICANT = 0.01  # over all kinds together
_FOLDS = (2, 4, 8, 16)
_PATCHES = (2, 4, 8, 16, 32)
_SMALLEST_P = 1e-9  # below which the tail of the Pearson III distribution is not reliable
_DRAWS, _MOST_POSITIONS = 999, 400_000
_MOST_STRATA = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterTest:
    """Test of one kind of grouping."""

    kind: str
    size: int  # folding factor or side of a patch; 1 for rows and columns
    pairs: int  # pairs of faults in the same group
    expected: float  # pairs expected by chance
    excess: float  # (pairs − expected), in standard deviations
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultClustering:
    """Clustering of the faults of one array."""

    faults: int
    tests: tuple[ClusterTest, ...]  # best grouping of each kind; empty with too few faults
    worst: tuple[Crowded, ...]  # groups of the dominant kind with the most faults
    verdict: Verdict

    @property
    def dominant(self) -> ClusterTest | None:
        """The significant grouping with the largest excess, or None."""
        found = [t for t in self.tests if t.p_value < SIGNIFICANT / len(KINDS)]
        return max(found, key=lambda t: t.excess, default=None)

    def by(self, word: str) -> bool:
        """Return whether faults cluster by "row", "column" or "patch"."""
        limit = SIGNIFICANT / len(KINDS)
        return any(word in t.kind and t.p_value < limit for t in self.tests)


def groups_of(kind: str, size: int, shape: tuple[int, int]) -> Integers:
    """Return the group number of each cell, (row, col), from 0."""
    r, c = np.indices(shape)
    match kind:
        case "rows":
            return r
        case "columns":
            return c
        case "folded rows":
            return r * size + c % size
        case "folded columns":
            return c * size + r % size
        case _:
            return (r // size) * math.ceil(shape[1] / size) + c // size


def find_clustering(
    fault: Bools, possible: Bools, *, stratum: Integers | None = None, seed: int = 0
) -> FaultClustering:
    """Test whether faults cluster in rows, columns or patches.

    Parameters
    ----------
    fault : (row, col) bool array
    possible : (row, col) bool array
        Cells that could have had a fault: measured, and not in a dead line.
    stratum : (row, col) int array, optional
        Stratum of each cell; faults are permuted within strata.
    seed : int

    Returns
    -------
    FaultClustering
        Without tests if there are fewer than five faults.

    Examples
    --------
    >>> import numpy as np
    >>> fault = np.zeros((32, 32), dtype=bool)
    >>> fault[::2, 5] = True
    >>> found = find_clustering(fault, np.ones((32, 32), dtype=bool))
    >>> found.dominant.kind, found.dominant.size, found.worst[0]
    ('folded columns', 2, (5, 0, 16, 16))
    """
    fault = fault & possible
    n = int(fault.sum())
    if n < FEWEST_FAULTS or n > possible.sum() - FEWEST_FAULTS:
        return FaultClustering(faults=n, tests=(), worst=(), verdict=Verdict())
    strata = np.zeros(fault.shape, dtype=np.int64) if stratum is None else stratum
    drawn = _permuted(fault, possible, strata, seed)
    here = np.flatnonzero(fault)
    tests = tuple(
        _best([_test(k, s, here, drawn, possible) for s in _sizes(k, fault.shape)]) for k in KINDS
    )
    out = FaultClustering(faults=n, tests=tests, worst=(), verdict=Verdict())
    top = out.dominant
    if top is None:
        return out
    worst = _worst(top, fault, possible)
    finding = _finding(n, top, worst, affected=n / possible.size)
    return FaultClustering(faults=n, tests=tests, worst=worst, verdict=Verdict((finding,)))


def strata_by_levels(attempts: Integers, fault: Bools, possible: Bools) -> Integers:
    """Group cells with the same fault probability, given the levels that they were asked for.

    Parameters
    ----------
    attempts : (level, row, col) int array
    fault, possible : (row, col) bool arrays

    Returns
    -------
    (row, col) int array
        Number of the stratum, ordered by fault probability; at most 16.
    """
    asked = (attempts > 0).reshape(len(attempts), -1)
    once = attempts.sum(axis=0).ravel() == 1
    columns = np.concatenate([asked & once, asked & ~once])[:, possible.ravel()].astype(np.float64)
    share = np.linalg.lstsq(columns @ columns.T, columns @ fault[possible])[0]
    expected, back = np.unique(np.round(share @ columns, 6), return_inverse=True)
    if len(expected) > _MOST_STRATA:
        cells = np.cumsum(np.bincount(back)) - 1
        back = (_MOST_STRATA * cells // cells[-1].clip(1)).clip(0, _MOST_STRATA - 1)[back]
    out = np.zeros(fault.shape, dtype=np.int64)
    out[possible] = back
    return out


def _sizes(kind: str, shape: tuple[int, int]) -> tuple[int, ...]:
    if kind in ("rows", "columns"):
        return (1,)
    sizes = _PATCHES if kind == "patches" else _FOLDS
    most = min(shape) // 2 if kind == "patches" else shape["columns" not in kind] // 2
    return tuple(s for s in sizes if s <= most) or (2,)


def _permuted(fault: Bools, possible: Bools, strata: Integers, seed: int) -> Integers:
    """Permute the faults within their strata, (draw, fault): distinct flat indices per draw."""
    rng = stream(seed, "fault clustering")
    flat, k = np.flatnonzero(possible), strata[possible]
    n = int(fault.sum())
    draws = int(np.clip(_MOST_POSITIONS // n, 99, _DRAWS))
    out = []
    for s in np.unique(k):
        places = flat[k == s]
        m = int(fault.ravel()[places].sum())
        if m and 4 * m > len(places):
            keys = rng.random((draws, len(places)))
            out.append(places[np.argpartition(keys, m - 1, axis=1)[:, :m]])
        elif m:
            drawn = rng.integers(len(places), size=(draws, m))
            while (again := _repeated(drawn)).any():
                drawn[again] = rng.integers(len(places), size=int(again.sum()))
            out.append(places[drawn])
    return np.concatenate(out, axis=1)


def _repeated(drawn: Integers) -> Bools:
    """Return which indices repeat an earlier one of the same row."""
    order = np.argsort(drawn, axis=1, kind="stable")
    ordered = np.take_along_axis(drawn, order, axis=1)
    again = np.zeros(drawn.shape, dtype=np.bool_)
    np.put_along_axis(again, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
    return again


def _test(kind: str, size: int, here: Integers, drawn: Integers, possible: Bools) -> ClusterTest:
    group = groups_of(kind, size, possible.shape).ravel()
    groups = int(group.max()) + 1
    pairs = int(_pairs(group[here][None], groups)[0])
    chance = _pairs(group[drawn], groups).astype(float)
    mean, sd = float(chance.mean()), float(chance.std())
    excess = (pairs - mean) / sd if sd > 0 else 0.0
    above = int((chance >= pairs).sum())
    p = (above + 1) / (len(chance) + 1)
    if above < 5 and sd > 0:
        skew = float(np.mean(((chance - mean) / sd) ** 3))
        p = min(p, max(_pearson3_tail(excess, skew), _SMALLEST_P))
    return ClusterTest(kind=kind, size=size, pairs=pairs, expected=mean, excess=excess, p_value=p)


def _pairs(group: Integers, groups: int) -> Integers:
    """Count the pairs of faults in the same group, for each row of (draw, fault)."""
    draws = len(group)
    places = group + np.arange(draws)[:, None] * groups
    n = np.bincount(places.ravel(), minlength=draws * groups).reshape(draws, groups)
    return np.asarray((n * (n - 1)).sum(axis=1) // 2, dtype=np.int64)


def _pearson3_tail(z: float, skew: float) -> float:
    """Return P(Z > z) of a standardised Pearson III variable (a shifted gamma) of this skewness."""
    if skew < 1e-3:
        return float(special.ndtr(-z))
    shape = 4 / skew**2
    return float(special.gammaincc(shape, max(shape + z * math.sqrt(shape), 0.0)))


def _best(tests: list[ClusterTest]) -> ClusterTest:
    """Return the most significant grouping of a kind, with its Bonferroni-corrected p-value."""
    t = min(tests, key=lambda t: (t.p_value, -t.excess))
    return ClusterTest(
        kind=t.kind,
        size=t.size,
        pairs=t.pairs,
        expected=t.expected,
        excess=t.excess,
        p_value=min(1.0, t.p_value * len(tests)),
    )


def _worst(test: ClusterTest, fault: Bools, possible: Bools) -> tuple[Crowded, ...]:
    """Return the groups with the most faults, at most eight."""
    group = groups_of(test.kind, test.size, fault.shape)
    groups = int(group.max()) + 1
    n = np.bincount(group[fault], minlength=groups)
    cells = np.bincount(group[possible], minlength=groups)
    top = np.argsort(-n, kind="stable")[:8]
    parts = test.size if "folded" in test.kind else 1
    return tuple(
        (int(g) // parts, int(g) % parts, int(n[g]), int(cells[g])) for g in top if n[g] > 1
    )


def _finding(n: int, test: ClusterTest, worst: tuple[Crowded, ...], *, affected: float) -> Finding:
    line, part, faults, cells = worst[0]
    where = {
        "rows": f"row {line}",
        "columns": f"column {line}",
        "folded rows": f"row {line}, columns {part} + {test.size}·i,",
        "folded columns": f"column {line}, rows {part} + {test.size}·i,",
        "patches": f"one patch of {test.size} × {test.size} cells",
    }[test.kind]
    among = {
        "folded rows": f"folded rows (columns equal modulo {test.size})",
        "folded columns": f"folded columns (rows equal modulo {test.size})",
    }.get(test.kind, test.kind)
    p = test.p_value
    chance = f"p = {p:.1g}" if p > 10 * _SMALLEST_P else f"p < {10 * _SMALLEST_P:.0e}"
    ratio = test.pairs / max(test.expected, 1e-9)
    return Finding(
        f"{n} faulty cells cluster in {among}: pairs of them share one {ratio:.3g} times as often "
        f"as expected by chance ({chance}). In {where.rstrip(',')}, {faults} of {cells} cells are "
        "faulty.",
        "Check what these cells share: driver, contact or decoder. The intervals include the "
        "clustering.",
        affected=affected,
        code="faults-cluster",
    )
