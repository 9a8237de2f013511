"""Accumulate `ProgramStatistics` in one pass over the programming sweeps.

For each (level, cell) the readings y are summed about a reference r, the first accepted reading:

    n = Σ 1,   s = Σ (y − r),   q = Σ (y − r)²   →   mean = r + s/n,   m2 = q − s²/n.

This is accurate even if the spread is much smaller than the mean, because r lies within the spread
(Chan, Golub and LeVeque, The American Statistician 37 (1983) 242). Logarithms are summed in the
same way, as ln(y/r). Memory holds one block of sweeps, the sums and the sample. If a sweep programs
all cells to one level, it adds to one row of the sums; otherwise readings are binned by level.

A rail is an extreme value that is read at least five times, and three times as often as the next
distinct value. The last code of a coarse converter is not a rail, because counts fall off in the
tail of a distribution; nor is the lowest one if it is positive and on a grid that includes zero,
because the converter has codes below it. Cells are not judged here; see
`rramfit.fitting.screening.screening`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.screening.rounding import grid_step
from rramfit.measurement.file.record import Program, SweepBlock

__all__ = ["accumulate"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

_BLOCK_READINGS = 1 << 18  # arrays of a block, 2 MiB each, fit in the processor's cache
_RAIL_READINGS, _RAIL_RATIO = 5, 3
_KEPT_SWEEPS, _KEPT_READINGS = 64, 8192  # kept in the sample, at least
_GOLDEN = (math.sqrt(5) - 1) / 2


def accumulate(
    program: Program, n_levels: int, *, keep_sweeps: int | None = None
) -> ProgramStatistics:
    """Accumulate the statistics of each cell at each level, in one pass.

    Parameters
    ----------
    program : Program
        The programming sweeps, in a file or in memory.
    n_levels : int
        Number of levels; a reading of level k >= n_levels is an error.
    keep_sweeps : int, optional
        Number of sweeps to keep in `sample`; by default 64, or as many as give 8192 readings of a
        few cells. If there are more, one sweep is taken from each of
        `keep_sweeps` equal spans, at an irregular position, so that the sample does not alias
        with a periodic sequence of levels.

    Returns
    -------
    ProgramStatistics

    Raises
    ------
    ValueError
        If a level is out of range.
    """
    sweeps, rows, cols = program.shape
    if keep_sweeps is None:
        keep_sweeps = max(_KEPT_SWEEPS, _KEPT_READINGS // (rows * cols))
    sums = _CellSums(n_levels, rows, cols)
    sample = _Sample(sweeps, keep_sweeps)
    by_sweep = np.zeros((2, sweeps, n_levels))
    block_sweeps = max(1, _BLOCK_READINGS // (rows * cols), min(n_levels, 64))
    for block in _prefetch(program.blocks(block_sweeps)):
        sample.add(block)
        sums.add(block, by_sweep[:, block.first : block.first + len(block.conductance)])
    return sums.statistics(sweeps, by_sweep, sample)


def _prefetch(blocks: Iterator[SweepBlock]) -> Iterator[SweepBlock]:
    """Yield blocks, and read the next one in a thread while the caller works on the last."""
    with ThreadPoolExecutor(1) as reader:
        pending = reader.submit(next, blocks, None)
        while (block := pending.result()) is not None:
            pending = reader.submit(next, blocks, None)
            yield block


class _CellSums:
    """Running sums of one pass.

    A cell is a flat index, row·cols + col; a slot is level·cells + cell. One extra slot at the end
    takes readings that must not be counted, so that blocks need not be compacted. Buffers are
    reused between blocks: allocating them costs as much in page faults as all the arithmetic.
    """

    def __init__(self, n_levels: int, rows: int, cols: int) -> None:
        self.n_levels, self.shape = n_levels, (rows, cols)
        self.cells = rows * cols
        self.slots = n_levels * self.cells
        self.cell = np.arange(self.cells)
        self.reference = np.full(self.slots + 1, np.nan)
        self.reference[-1] = 1.0
        self.settled = np.zeros(n_levels, dtype=bool)  # levels at which every cell has a reference
        self.count, self.failures = (np.zeros(self.slots, np.int64) for _ in range(2))
        self.s, self.q, self.log_s, self.log_q = (np.zeros(self.slots) for _ in range(4))
        self.failed_sum = np.zeros(self.slots)
        self.measured = np.zeros(self.cells, np.int64)
        self.lowest, self.highest = np.full(self.cells, np.nan), np.full(self.cells, np.nan)
        self.floor, self.ceiling = _Rail(self.cells, sign=1), _Rail(self.cells, sign=-1)
        self.slot, self.place = np.empty((0, 0), np.int64), np.empty((0, 0), np.int64)
        self.d, self.r = np.empty((0, 0)), np.empty((0, 0))

    def add(self, block: SweepBlock, by_sweep: Floats) -> None:
        """Add one block; write its counts and sums per sweep to `by_sweep` (2, sweep, level)."""
        n = len(block.conductance)
        y = block.conductance.reshape(n, self.cells)
        good = block.accepted.reshape(n, self.cells)
        lowest, highest = y.min(axis=0), y.max(axis=0)
        complete = bool(np.isfinite(lowest).all() and np.isfinite(highest).all())
        finite = None if complete else np.isfinite(y)
        if finite is not None:
            seen = np.where(finite, y, np.nan)
            lowest, highest = np.fmin.reduce(seen, axis=0), np.fmax.reduce(seen, axis=0)
        self.measured += n if finite is None else finite.sum(axis=0)
        self.lowest, self.highest = np.fmin(self.lowest, lowest), np.fmax(self.highest, highest)
        self.floor.add(y, lowest)
        self.ceiling.add(y, highest)
        one_level = block.level.strides[1:] == (0, 0)
        level = block.level[:, :1, 0] if one_level else block.level.reshape(n, self.cells)
        if self._programmed(level, block.first):
            tried = finite
            if level.min() < 0:
                tried = level >= 0 if finite is None else finite & (level >= 0)
            good = good if tried is None else good & tried
            if one_level:
                self._accept_sweeps(y, level[:, 0], good, by_sweep)
            else:
                self._accept(y, level, good, by_sweep)
            if not good.all():
                self._fail(y, level, ~good if tried is None else tried & ~good)

    def _programmed(self, level: Integers, first: int) -> bool:
        highest = int(level.max(initial=-1))
        if highest >= self.n_levels:
            levels = f"-1 to {self.n_levels - 1}"
            msg = f"sweeps from {first} on: found level {highest}, expected {levels}"
            raise ValueError(msg)
        return highest >= 0

    def _fail(self, y: Floats, level: Integers, bad: Bools) -> None:
        which = np.flatnonzero(bad)
        sweep, cell = np.divmod(which, self.cells)
        slot = (level[sweep, 0] if level.shape[1] == 1 else level[sweep, cell]) * self.cells + cell
        np.add.at(self.failures, slot, 1)
        np.add.at(self.failed_sum, slot, y.ravel()[which])

    def _accept_sweeps(self, y: Floats, level: Integers, good: Bools, by_sweep: Floats) -> None:
        """Add sweeps that each program all cells to one level, `level` (sweep,)."""
        d, w = np.empty(self.cells), np.empty(self.cells)
        for t in np.argsort(level, kind="stable"):  # keeps the sums of a level in the cache
            k = int(level[t])
            if k < 0:
                continue
            mine = slice(k * self.cells, (k + 1) * self.cells)
            v, r, bad = y[t], self.reference[mine], np.flatnonzero(~good[t])
            if bad.size:
                v = v.copy()
                v[bad] = np.nan
            if not self.settled[k]:
                np.copyto(r, v, where=np.isnan(r))
                self.settled[k] = not np.isnan(r).any()
            np.subtract(v, r, out=d)
            with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
                np.log(np.divide(v, r, out=w), out=w)
            self.count[mine] += 1
            if bad.size:
                d[bad] = w[bad] = v[bad] = 0.0
                self.count[mine][bad] -= 1
            self.s[mine] += d
            self.q[mine] += np.square(d, out=d)
            self.log_s[mine] += w
            self.log_q[mine] += np.square(w, out=w)
            by_sweep[:, t, k] = v.size - bad.size, v.sum()

    def _accept(self, y: Floats, level: Integers, good: Bools, by_sweep: Floats) -> None:
        if self.slot.shape != y.shape:
            self.slot, self.place = np.empty_like(level), np.empty_like(level)
            self.d, self.r = np.empty(y.shape), np.empty(y.shape)
        slot, d, r = self.slot, self.d, self.r
        some_bad = not good.all()
        np.add(np.multiply(level, self.cells, out=slot), self.cell, out=slot)
        if some_bad:
            np.copyto(slot, self.slots, where=~good)
        np.take(self.reference, slot, out=r, mode="clip")
        if (fresh := np.flatnonzero(np.isnan(r))[::-1]).size:
            self.reference[slot.flat[fresh]] = y.flat[
                fresh
            ]  # reversed, so that the first reading wins
            np.take(self.reference, slot, out=r, mode="clip")
        self.count += self._sum(None)
        self.s += self._sum(np.subtract(y, r, out=d))
        self.q += self._sum(np.square(d, out=d))
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            self.log_s += self._sum(np.log(np.divide(y, r, out=d), out=d))
            self.log_q += self._sum(np.square(d, out=d))
        n = len(y)
        size = n * self.n_levels
        place = np.add(level, np.arange(n)[:, None] * self.n_levels, out=self.place)
        if some_bad:
            np.copyto(place, size, where=~good)
        flat = place.ravel()
        by_sweep[0] = np.bincount(flat, minlength=size)[:size].reshape(n, self.n_levels)
        by_sweep[1] = np.bincount(flat, y.ravel(), size)[:size].reshape(n, self.n_levels)

    def _sum(self, weights: Floats | None) -> NDArray[Any]:
        flat = None if weights is None else weights.ravel()
        return np.bincount(self.slot.ravel(), flat, self.slots)[: self.slots]

    def statistics(self, sweeps: int, by_sweep: Floats, sample: _Sample) -> ProgramStatistics:
        shape = (self.n_levels, *self.shape)
        n, reference = self.count, self.reference[: self.slots]
        some = np.maximum(n, 1)
        positive = (reference > 0) & np.isfinite(self.log_s)
        log_reference = np.log(reference, out=np.full(self.slots, np.nan), where=positive)
        log_s, log_q = (np.where(positive, a, 0.0) for a in (self.log_s, self.log_q))
        m2 = np.maximum(self.q - self.s**2 / some, 0.0)
        log_m2 = np.maximum(log_q - log_s**2 / some, 0.0)
        floor, at_floor = self.floor.found()
        ceiling, at_ceiling = self.ceiling.found()
        if floor == ceiling:  # all readings are equal, so this is not a rail
            floor = ceiling = None
            at_floor = at_ceiling = np.zeros_like(at_floor)
        kept = sample.block(self.shape)
        if floor is not None and floor > 0 and grid_step(kept.conductance)[1] is not None:
            floor, at_floor = None, np.zeros_like(at_floor)
        return ProgramStatistics(
            sweeps=sweeps,
            attempts=(n + self.failures).reshape(shape),
            failures=self.failures.reshape(shape),
            count=n.reshape(shape),
            mean=(reference + self.s / some).reshape(shape),
            m2=m2.reshape(shape),
            log_mean=(log_reference + log_s / some).reshape(shape),
            log_m2=log_m2.reshape(shape),
            failed_mean=_ratio(self.failed_sum, self.failures).reshape(shape),
            measured=self.measured.reshape(self.shape),
            lowest=self.lowest.reshape(self.shape),
            highest=self.highest.reshape(self.shape),
            sweep_mean=_ratio(by_sweep[1], by_sweep[0]),
            sweep_count=by_sweep[0].astype(np.int64),
            floor=floor,
            ceiling=ceiling,
            clipped=np.stack([at_floor, at_ceiling]).reshape(2, *self.shape),
            sample=kept,
            sample_sweeps=sample.chosen,
        )


class _Rail:
    """The two most extreme distinct values and their counts; readings of the first by cell."""

    def __init__(self, cells: int, *, sign: int) -> None:
        self.sign = sign  # 1 looks for the floor, -1 for the ceiling
        self.values = np.array([np.inf, np.inf])
        self.counts = np.zeros(2, np.int64)
        self.by_cell = np.zeros(cells, np.int64)

    def add(self, y: Floats, extreme: Floats) -> None:
        """Add readings (sweep, cell), given the extreme reading of each cell (cell,)."""
        bound = self.values[1]
        near = self.sign * extreme <= bound
        if not near.any():
            return
        if math.isinf(bound):
            bound = np.unique(self.sign * extreme[near])[:2][-1]
        x = self.sign * y[:, near]
        found, counts = np.unique(x[x <= bound], return_counts=True)
        merged = np.unique(np.concatenate([self.values, found[:2]]))[:2]
        merged = np.append(merged, np.inf)[:2]
        if merged[0] < self.values[0]:
            self.by_cell[:] = 0
        total = np.zeros(2, np.int64)
        for values, weights in ((self.values, self.counts), (found, counts)):
            for i in range(2):
                total[i] += weights[values == merged[i]].sum()
        self.values, self.counts = merged, total
        self.by_cell[near] += (x == merged[0]).sum(axis=0)

    def found(self) -> tuple[float | None, Integers]:
        """Return the rail, or None, and the number of readings of each cell at it."""
        if self.counts[0] >= max(_RAIL_READINGS, _RAIL_RATIO * self.counts[1]):
            return float(self.sign * self.values[0]), self.by_cell
        return None, np.zeros_like(self.by_cell)


class _Sample:
    """The sweeps that are kept with all their readings."""

    def __init__(self, sweeps: int, keep: int) -> None:
        n = min(sweeps, keep)
        i = np.arange(n)
        place = i if sweeps <= keep else (i + (i + 0.5) * _GOLDEN % 1) * sweeps / n
        self.chosen = np.minimum(place, max(sweeps - 1, 0)).astype(np.int64)
        self.parts: list[tuple[NDArray[Any], ...]] = []

    def add(self, block: SweepBlock) -> None:
        last = block.first + len(block.conductance)
        mine = self.chosen[(self.chosen >= block.first) & (self.chosen < last)] - block.first
        fields = (block.conductance, block.level, block.accepted)
        if mine.size:
            more = () if block.pulses is None else (block.pulses,)
            self.parts.append(tuple(a[mine] for a in (*fields, *more)))

    def block(self, shape: tuple[int, int]) -> SweepBlock:
        if not self.parts:
            empty = np.empty((0, *shape))
            return SweepBlock(
                first=0,
                conductance=empty,
                level=empty.astype(np.int64),
                accepted=empty.astype(bool),
            )
        g, level, accepted, *pulses = (np.concatenate(a) for a in zip(*self.parts, strict=True))
        return SweepBlock(
            first=int(self.chosen[0]),
            conductance=g,
            level=level,
            accepted=accepted,
            pulses=pulses[0] if pulses else None,
        )


def _ratio(total: Floats, n: NDArray[Any]) -> Floats:
    out = np.full(total.shape, np.nan)
    np.divide(total, n, out=out, where=n > 0)
    return out
