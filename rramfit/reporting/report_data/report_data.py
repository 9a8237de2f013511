"""What a report of one array is drawn from, and the per-cell numbers behind its figures.

The card gives every estimate; the measurement and the one-pass statistics give the data that stand
beside them. Nothing is estimated here that the card does not already hold: these are counts, means
and sums over rows, columns and cells. Faulty cells are left out wherever a figure shows healthy
ones. Large groups are read in blocks, never whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.cells import CellMaps, Fault
from rramfit.card.schema import LevelCard, ModelCard
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.measurement.file.record import Measurement, Reads

__all__ = [
    "FailureLines",
    "LevelTrack",
    "Profile",
    "ReportData",
    "first_and_last",
    "level_tracks",
    "read_spread",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_CHANCE = 3.0  # standard deviations of a normal distribution: 1 line in 741 is above them by chance


@dataclass(frozen=True, slots=True)
class Profile:
    """A mean along one side of the array, with its standard error; NaN where nothing was read."""

    mean: Floats
    stderr: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureLines:
    """Failures along one side of the array: shares in each line, and the span that chance makes."""

    share: Floats  # (line,) NaN where nothing was attempted
    mean: float
    low: Floats  # (line,)
    high: Floats  # (line,)


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """One array's card and the data beside it."""

    card: ModelCard
    measurement: Measurement
    statistics: ProgramStatistics | None = None
    cells: CellMaps | None = None
    mild: frozenset[str] = frozenset()  # findings of a bad fit that are not what makes it bad

    @cached_property
    def healthy(self) -> Bools:
        """Cells without a fault, (row, col)."""
        if self.cells is None:
            return np.ones((self.card.array.rows, self.card.array.cols), dtype=bool)
        return np.asarray(self.cells.fault == Fault.OK)

    @cached_property
    def level_cards(self) -> dict[int, LevelCard]:
        """Levels of the card that have readings, by index."""
        return {x.index: x for x in self.card.levels if x.mean is not None}

    def level_name(self, k: int) -> str:
        """Name of a level, as the file has it."""
        return next((x.name for x in self.card.levels if x.index == k), f"L{k}")

    @cached_property
    def readings(self) -> dict[int, Floats]:
        """Accepted readings of healthy cells [S], sorted, by level; without empty levels."""
        if self.statistics is None:
            return {}
        sample = self.statistics.sample
        use = sample.accepted & np.isfinite(sample.conductance) & self.healthy & (sample.level >= 0)
        level, value = sample.level[use], sample.conductance[use]
        order = np.lexsort((value, level))
        level, value = level[order], value[order]
        found, first = np.unique(level, return_index=True)
        return dict(zip(found.tolist(), np.split(value, first[1:]), strict=True))

    @cached_property
    def refused_medians(self) -> dict[int, float]:
        """Median over cells of the readings not accepted [S], of levels where most were refused."""
        statistics = self.statistics
        if statistics is None:
            return {}
        failed, attempts = statistics.failures.sum((1, 2)), statistics.attempts.sum((1, 2))
        return {
            k: float(np.median(seen))
            for k in np.flatnonzero(2 * failed > attempts).tolist()
            if (seen := statistics.failed_mean[k][np.isfinite(statistics.failed_mean[k])]).size
        }

    @cached_property
    def offsets(self) -> Floats:
        """Each healthy cell's mean less its level's mean [S], (level, row, col); NaN where none."""
        statistics = self.statistics
        if statistics is None:
            return np.empty((0, *self.healthy.shape))
        mean = np.where(self.healthy & (statistics.count > 0), statistics.mean, np.nan)
        return mean - _nanmean(mean, (1, 2))[:, None, None]

    @cached_property
    def standard_offsets(self) -> Floats:
        """Offsets in standard deviations over the cells of their level, (level, row, col)."""
        spread = np.sqrt(_nanmean(self.offsets**2, (1, 2)))[:, None, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(spread > 0, self.offsets / spread, np.nan)

    @cached_property
    def overall_offset(self) -> Floats:
        """Cell's standard offset, mean over levels, (row, col)."""
        return _nanmean(self.standard_offsets, 0)

    def profile(self, k: int | None, axis: int) -> Profile:
        """Mean standard offset in each row (axis 0) or column (axis 1).

        Of level `k`, or of all levels together where it is None. The standard error takes the
        cells of a row or column as independent.
        """
        offsets = self.overall_offset if k is None else self.standard_offsets[k]
        return _profile(offsets, 1 - axis)

    def scatter(self, k: int) -> tuple[Floats, Floats]:
        """Mean and standard deviation over cycles of each healthy cell at level `k` [S]."""
        statistics = self.statistics
        if statistics is None:
            return np.empty(0), np.empty(0)
        n = statistics.count[k]
        use = self.healthy & (n >= 2)
        return statistics.mean[k][use], np.sqrt(statistics.m2[k][use] / (n[use] - 1))

    def failure_lines(self, axis: int) -> FailureLines:
        """Share of failed attempts in each row (axis 0) or column (axis 1), and what chance makes.

        Cells fail again and again, so chance is counted in cells: a line of n cells is worth
        n·m(1 − m)/s² independent attempts, with m and s² mean and variance over cells of a cell's
        share of failures. Dead lines count neither to m and s² nor to the lines that cross them.
        """
        fault = np.zeros(self.healthy.shape) if self.cells is None else self.cells.fault
        crossing = Fault.DEAD_COL if axis == 0 else Fault.DEAD_ROW
        shares = self.failure_map
        kept = np.where(fault == crossing, np.nan, shares)
        alive = shares[np.isfinite(shares) & (fault != Fault.DEAD_ROW) & (fault != Fault.DEAD_COL)]
        mean, variance = (float(alive.mean()), float(alive.var())) if alive.size else (0.0, 0.0)
        cells = np.isfinite(kept).sum(1 - axis)
        worth = cells * (mean * (1 - mean) / variance if variance > 0 else 1.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            low, high = (
                np.nan_to_num(special.bdtrik(special.ndtr(z), worth, mean)) / worth
                for z in (-_CHANCE, _CHANCE)
            )
        return FailureLines(share=_nanmean(kept, 1 - axis), mean=mean, low=low, high=high)

    @cached_property
    def failure_map(self) -> Floats:
        """Share of failed attempts in each cell, (row, col); NaN where none was made."""
        statistics = self.statistics
        if statistics is None:
            return np.full(self.healthy.shape, np.nan)
        attempts = statistics.attempts.sum(0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(attempts > 0, statistics.failures.sum(0) / attempts, np.nan)


def _nanmean(x: Floats, axis: int | tuple[int, ...]) -> Floats:
    seen = np.isfinite(x)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(seen, x, 0.0).sum(axis) / seen.sum(axis))


def _profile(x: Floats, over: int) -> Profile:
    n = np.isfinite(x).sum(over)
    mean = _nanmean(x, over)
    square = _nanmean((x - np.expand_dims(mean, over)) ** 2, over)
    with np.errstate(invalid="ignore", divide="ignore"):
        stderr = np.where(n > 1, np.sqrt(square / (n - 1)), np.nan)
    return Profile(mean=mean, stderr=stderr)


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelTrack:
    """One level over the reads of a group: mean and spread over its healthy cells."""

    level: int
    mean: Floats  # [S] (read,)
    low: Floats  # [S] (read,) 10th percentile
    high: Floats  # [S] (read,) 90th percentile
    n_cells: int


def level_tracks(reads: Reads, healthy: Bools) -> list[LevelTrack]:
    """Follow each level over repeated reads; levels with fewer than two cells are left out."""
    use = healthy & (reads.level >= 0)
    level = reads.level[use]
    if not level.size:
        return []
    order = np.argsort(level, kind="stable")
    found, first = np.unique(level[order], return_index=True)
    parts: list[list[tuple[float, float, float]]] = [[] for _ in found]
    for image in _images(reads):
        for track, values in zip(parts, np.split(image[use][order], first[1:]), strict=True):
            seen = values[np.isfinite(values)]
            low, high = np.quantile(seen, (0.1, 0.9)) if seen.size else (np.nan, np.nan)
            track.append((float(seen.mean()) if seen.size else np.nan, float(low), float(high)))
    sizes = np.diff([*first, level.size])
    tracks = []
    for k, n, part in zip(found.tolist(), sizes.tolist(), parts, strict=True):
        if n >= 2:
            mean, low, high = np.array(part).T
            tracks.append(LevelTrack(level=k, mean=mean, low=low, high=high, n_cells=n))
    return tracks


def first_and_last(reads: Reads) -> tuple[Floats, Floats]:
    """First and last image of repeated reads [S], (row, col) each."""
    first: Floats | None = None
    last = np.empty(0)
    for image in _images(reads):
        first = image if first is None else first
        last = image
    return (last if first is None else first), last


def read_spread(reads: Reads, healthy: Bools) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each healthy cell's reads [S], one pass, (cell,) each.

    Cells with fewer than three reads are left out.
    """
    n = np.zeros(healthy.shape)
    mean, m2 = np.zeros(healthy.shape), np.zeros(healthy.shape)
    for image in _images(reads):
        seen = np.isfinite(image)
        n += seen
        delta = np.where(seen, image - mean, 0.0)
        mean += delta / np.maximum(n, 1)
        m2 += delta * np.where(seen, image - mean, 0.0)
    use = healthy & (n >= 3)
    return mean[use], np.sqrt(m2[use] / (n[use] - 1))


def _images(reads: Reads) -> Iterator[Floats]:
    for block in reads.blocks():
        yield from block
