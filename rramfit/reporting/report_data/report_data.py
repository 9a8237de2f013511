"""The data of one array's report: card, measurement, and the per-cell numbers of the figures.

The estimates come from the card; counts, means and sums over rows, columns and cells are computed
here from the measurement and the one-pass statistics. No parameter is estimated here. Figures of
healthy cells exclude faulty cells. Large groups are read in blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.cells import CellMaps, Fault
from rramfit.card.schema import LevelCard, ModelCard
from rramfit.fitting.results.result import Finding, Verdict, rank_findings
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.measurement.file.record import Measurement, Reads

__all__ = [
    "FailureLines",
    "LevelTrack",
    "Profile",
    "ReportData",
    "findings_in_card",
    "first_and_last",
    "level_tracks",
    "read_spread",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_CHANCE = 3.0  # standard deviations: by chance, 1 line in 741 of a normal distribution is above


@dataclass(frozen=True, slots=True)
class Profile:
    """Mean of each row or column, with its standard error; NaN if nothing was read."""

    mean: Floats
    stderr: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureLines:
    """Share of failures in each row or column (line), and the range expected by chance."""

    share: Floats  # (line,) NaN if there were no attempts
    mean: float
    low: Floats  # (line,)
    high: Floats  # (line,)


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """Card and measured data of one array."""

    card: ModelCard
    measurement: Measurement
    statistics: ProgramStatistics | None = None
    cells: CellMaps | None = None
    verdicts: Mapping[str, Verdict] | None = None  # of the fits; by default as the card has them

    @cached_property
    def findings(self) -> list[tuple[str, Finding]]:
        """Name of the fit and finding, the most important first."""
        if self.verdicts is None:
            return findings_in_card(self.card)
        return rank_findings(self.verdicts)

    @cached_property
    def healthy(self) -> Bools:
        """Whether a cell has no fault, (row, col)."""
        if self.cells is None:
            return np.ones((self.card.array.rows, self.card.array.cols), dtype=bool)
        return np.asarray(self.cells.fault == Fault.OK)

    @cached_property
    def level_cards(self) -> dict[int, LevelCard]:
        """Levels of the card with an estimated mean, by index."""
        return {x.index: x for x in self.card.levels if x.mean is not None}

    def level_name(self, k: int) -> str:
        """Return the name of a level."""
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
    def rejected_medians(self) -> dict[int, float]:
        """Median of the rejected readings [S], for levels where most attempts were rejected."""
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
        """Mean of each healthy cell minus the level's mean [S], (level, row, col); or NaN."""
        statistics = self.statistics
        if statistics is None:
            return np.empty((0, *self.healthy.shape))
        mean = np.where(self.healthy & (statistics.count > 0), statistics.mean, np.nan)
        return mean - _nanmean(mean, (1, 2))[:, None, None]

    @cached_property
    def standard_offsets(self) -> Floats:
        """Offsets in standard deviations over the cells of a level, (level, row, col)."""
        spread = np.sqrt(_nanmean(self.offsets**2, (1, 2)))[:, None, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(spread > 0, self.offsets / spread, np.nan)

    @cached_property
    def overall_offset(self) -> Floats:
        """Mean over levels of a cell's standard offset, (row, col)."""
        return _nanmean(self.standard_offsets, 0)

    def profile(self, k: int | None, axis: int) -> Profile:
        """Return the mean standard offset of each row (axis 0) or column (axis 1).

        For level `k`, or for all levels together if it is None. The standard error treats the
        cells of a row or column as independent.
        """
        offsets = self.overall_offset if k is None else self.standard_offsets[k]
        return _profile(offsets, 1 - axis)

    def scatter(self, k: int) -> tuple[Floats, Floats]:
        """Return mean and standard deviation over cycles of each healthy cell at level `k` [S]."""
        statistics = self.statistics
        if statistics is None:
            return np.empty(0), np.empty(0)
        n = statistics.count[k]
        use = self.healthy & (n >= 2)
        return statistics.mean[k][use], np.sqrt(statistics.m2[k][use] / (n[use] - 1))

    def failure_lines(self, axis: int) -> FailureLines:
        """Return the share of failed attempts by row (axis 0) or column (axis 1).

        The range expected by chance allows for cells that fail repeatedly: a line of n cells
        counts as n·m(1 − m)/s² independent attempts, with m and s² the mean and variance over
        cells of a cell's share of failures. Dead lines are excluded from m and s² and from the
        lines that cross them.
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
        """Share of failed attempts of each cell, (row, col); NaN without attempts."""
        statistics = self.statistics
        if statistics is None:
            return np.full(self.healthy.shape, np.nan)
        attempts = statistics.attempts.sum(0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(attempts > 0, statistics.failures.sum(0) / attempts, np.nan)


def findings_in_card(card: ModelCard) -> list[tuple[str, Finding]]:
    """Return the findings that a card lists, with the names of their fits.

    A card gives one verdict per fit: all findings of a bad fit count as severe, and come first.
    """
    findings = [
        (name, Finding(what, remedy, severe=fit.verdict == "bad"))
        for name, fit in card.quality.fits.items()
        if fit.verdict in ("bad", "warning")
        for what, remedy in zip_longest(fit.findings, fit.remedies, fillvalue="")
    ]
    return sorted(findings, key=lambda pair: not pair[1].severe)


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
    """One level over repeated reads: mean and percentiles over its healthy cells."""

    level: int
    mean: Floats  # [S] (read,)
    low: Floats  # [S] (read,) 10th percentile
    high: Floats  # [S] (read,) 90th percentile
    n_cells: int


def level_tracks(reads: Reads, healthy: Bools) -> list[LevelTrack]:
    """Return the track of each level with at least two cells over repeated reads."""
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
    """Return the first and last of repeated reads [S], (row, col) each."""
    first: Floats | None = None
    last = np.empty(0)
    for image in _images(reads):
        first = image if first is None else first
        last = image
    return (last if first is None else first), last


def read_spread(reads: Reads, healthy: Bools) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of each healthy cell's reads [S], (cell,) each.

    Computed in one pass; cells with fewer than three reads are skipped.
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
