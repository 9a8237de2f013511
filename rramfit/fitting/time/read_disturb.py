"""Read disturb: the mean change of conductance per read, level by level.

Read n of cell c at time t, in session s, is

    G = a_cs + b_c·n + d_c·x(t) + noise,

with x(t) the logarithm of time, as in retention. b_c and d_c are found by least squares for every
cell, and the rate of a level is the mean of b_c, weighted by the information on it. Its error comes
from the differences between cells, so that noise may have any spectrum: 1/f and random telegraph
noise widen the interval and do not move the rate.

Reads at even intervals do not distinguish reads from time. d is then left out, and the rate is that
of both. Reads of several sessions are compared within each session, because testers and days differ
by more than a read changes.

Not here: a change of the tester during the reads, which looks the same, and the differences of the
rate between cells, which the low frequencies of noise hide. Cells that leave their level during the
reads are counted, not averaged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.blocks.disturb import DisturbCard, DisturbLevel
from rramfit.card.quantity import Quantity
from rramfit.fitting.failure.shares import jeffreys
from rramfit.fitting.results.result import Finding
from rramfit.fitting.statistics.inference import clustered_covariance
from rramfit.fitting.statistics.spectrum import evenly_sampled
from rramfit.measurement.file.record import Reads
from rramfit.units import format_quantity

__all__ = ["FEWEST_READS", "ReadDisturb", "describe_disturb"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]

FEWEST_READS = 16
"""Reads of a cell below which a trend with them is not looked for."""

_FEWEST_CELLS = 5  # of a level
_DISTINCT = 0.1  # share of the variance of the read numbers that time must leave
_LEAST = 1e-6  # share of the information that time must leave in a cell with gaps
_REPORTED = 1e-3  # p-value of the smallest of all levels below which a disturb is reported


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDisturb:
    """Change of every level with the number of reads.

    Attributes
    ----------
    card : DisturbCard
    mean : (level,) array
        Mean conductance [S].
    p_value : (level,) array
        Of no change, two-sided.
    """

    card: DisturbCard
    mean: Floats
    p_value: Floats

    def __post_init__(self) -> None:
        for a in (self.mean, self.p_value):
            a.flags.writeable = False

    def findings(self) -> list[Finding]:
        """Report the level that reads change most surely, if it is not chance."""
        k = int(np.argmin(self.p_value))
        if min(len(self.p_value) * float(self.p_value[k]), 1.0) >= _REPORTED:
            return []
        level, reads = self.card.levels[k], self.card.reads
        change = level.rate.value * reads
        share = 100 * abs(change / self.mean[k]) if self.mean[k] else np.inf
        what = (
            f"{reads} reads {'raise' if change > 0 else 'lower'} the mean of L{level.level} by "
            f"{format_quantity(abs(change), 'S', digits=3)} ({share:.2g} %)"
        )
        if self.card.separated:
            return [
                Finding(
                    what,
                    "Read at a lower voltage or more shortly, or refresh the cells before the "
                    "change matters",
                    code="read-disturb",
                )
            ]
        return [
            Finding(
                f"{what}; the times of the reads do not show whether reads or time do so",
                "Read in bursts with pauses between them, to separate read disturb from drift",
                code="read-disturb",
            )
        ]


def describe_disturb(reads: Reads, at: Bools, left: Bools) -> ReadDisturb | None:
    """Return the change with reads; None for fewer than 16 reads or no level with 5 cells.

    Parameters
    ----------
    reads : Reads
        Readings [S], (read, row, col), with the time, session and level of each.
    at : (row, col) bool array
        Cells at their level.
    left : (row, col) bool array
        Of these, cells that left it during the reads.
    """
    count = reads.shape[0]
    known = at & (reads.level >= 0)
    if count < FEWEST_READS or not known.any():
        return None
    x = _time_regressor(reads.time)
    slope, weight, mean = _slopes(reads, np.arange(count) / count, x)
    use = known & ~left & np.isfinite(slope) & (weight > 0)
    cells = np.bincount(reads.level[use], minlength=int(reads.level.max()) + 1)
    kept = np.flatnonzero(cells >= _FEWEST_CELLS).tolist()
    if not kept:
        return None
    w = np.stack([np.where(use & (reads.level == k), weight, 0.0) for k in kept])
    w /= w.sum(axis=(1, 2), keepdims=True)
    rate = (w * np.where(use, slope, 0.0)).sum(axis=(1, 2))
    influence = w * (np.where(use, slope, 0.0) - rate[:, None, None])
    stderr, df = _errors(influence, cells[kept])
    levels = []
    for i, k in enumerate(kept):
        of = known & (reads.level == k)
        per_read = Quantity.estimated(rate[i] / count, stderr[i] / count, "S", df=df[i])
        share = jeffreys(float((of & left).sum()), float(of.sum()))
        levels.append(DisturbLevel(level=k, n_cells=int(cells[k]), rate=per_read, left=share))
    return ReadDisturb(
        card=DisturbCard(reads=count, separated=x is not None, levels=levels),
        mean=(w * np.where(use, mean, 0.0)).sum(axis=(1, 2)),
        p_value=np.array([_p_value(*x) for x in zip(rate, stderr, df, strict=True)]),
    )


def _errors(influence: Floats, cells: Integers) -> tuple[Floats, Floats]:
    """Return standard errors and degrees of freedom of every level's rate, each (level,).

    Cells are clusters. The levels are scattered over the array, so the inflation by a smooth field,
    which all cells show best together, applies to a level in proportion to its share of them.

    Parameters
    ----------
    influence : (level, row, col) array
    cells : (level,) array
    """
    size = np.sqrt((influence**2).sum(axis=(1, 2), keepdims=True) / cells[:, None, None])
    together = np.divide(influence, size, out=np.zeros_like(influence), where=size > 0).sum(axis=0)
    inflation = float(clustered_covariance(together[None]).inflation[0]) if together.any() else 1.0
    extra = (1 + (inflation - 1) * cells / cells.sum()) * cells / (cells - 1)
    found = clustered_covariance(influence, spatial=False)
    return found.stderr * np.sqrt(extra), found.df


def _p_value(rate: float, stderr: float, df: float) -> float:
    """Return the p-value of no change, two-sided."""
    if stderr <= 0:
        return 1.0
    z = abs(rate) / stderr
    return 2 * float(special.ndtr(-z) if np.isinf(df) else special.stdtr(df, -z))


def _time_regressor(time: Floats) -> Floats | None:
    """Return ln t where it differs enough from the number of reads, or else None."""
    if evenly_sampled(time) or np.any(np.diff(time) < 0) or time[-1] <= time[0]:
        return None
    later = time[time > time[0]]
    x = np.log1p(time / later[0]) if time[0] <= 0 else np.log(time / time[0])
    n = np.arange(len(time), dtype=np.float64)
    shared = float(np.corrcoef(n, x)[0, 1]) ** 2
    return x if 1 - shared >= _DISTINCT else None


def _slopes(reads: Reads, n: Floats, x: Floats | None) -> tuple[Floats, Floats, Floats]:
    """Return slope on `n`, its information, and the mean, of every cell, each (row, col).

    Sums are taken within each session, so that every session has its own mean.
    """
    z = n[None] if x is None else np.stack([n, x])
    session = reads.session or ("",) * len(n)
    p, shape = len(z), reads.shape[1:]
    count, total = np.zeros(shape), np.zeros(shape)
    square, product = np.zeros((p, p, *shape)), np.zeros((p, *shape))
    part = _Sums.of(p, shape)
    i = 0
    for block in reads.blocks():
        for y in block:
            if i and session[i] != session[i - 1]:
                part.add_to(square, product)
                part = _Sums.of(p, shape)
            seen = np.isfinite(y)
            value = np.where(seen, y, 0.0)
            count += seen
            total += value
            part.take(z[:, i], seen, value)
            i += 1
    part.add_to(square, product)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / count
        if p == 1:
            return product[0] / square[0, 0], square[0, 0], mean
        both = square[1, 1] * square[0, 0]
        own = both - square[0, 1] ** 2
        slope = (square[1, 1] * product[0] - square[0, 1] * product[1]) / own
        weight = np.where(own > _LEAST * both, own / square[1, 1], 0.0)
        return slope, np.nan_to_num(weight), mean


@dataclass(slots=True)
class _Sums:
    """Sums over the reads of one session, by cell."""

    count: Floats  # (row, col)
    y: Floats
    z: Floats  # (regressor, row, col)
    zy: Floats
    zz: Floats  # (regressor, regressor, row, col)

    @classmethod
    def of(cls, p: int, shape: tuple[int, ...]) -> _Sums:
        none = np.zeros(shape)
        several = np.zeros((p, *shape))
        return cls(none, none.copy(), several, several.copy(), np.zeros((p, p, *shape)))

    def take(self, z: Floats, seen: Bools, value: Floats) -> None:
        """Add one read."""
        at = z[:, None, None] * seen
        self.count += seen
        self.y += value
        self.z += at
        self.zy += z[:, None, None] * value
        self.zz += z[:, None, None, None] * at[None]

    def add_to(self, square: Floats, product: Floats) -> None:
        """Add products of deviations from the session's means."""
        n = np.maximum(self.count, 1)
        square += self.zz - self.z[:, None] * self.z[None] / n
        product += self.zy - self.z * self.y / n
