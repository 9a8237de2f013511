"""Profiles, folded means and periodogram of line offsets, on arrays with known offsets."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from rramfit.card import CellMaps, Quantity
from rramfit.card.schema import LineOffsets, SpatialCard, VariationCard
from rramfit.fitting.screening.accumulate import accumulate
from rramfit.measurement import Levels, program_in_memory
from rramfit.reporting.report_data.line_profiles import folded_means, line_profile, periodogram
from rramfit.reporting.report_data.report_data import ReportData


@pytest.fixture
def level(chip):
    """Return a function that makes the report data of one level."""

    def make(x: np.ndarray, *, lines=(), predicted=None, trend=(0.0, 0.0)) -> ReportData:
        given = Levels(target=np.array([50e-6]))
        program = program_in_memory(
            (50e-6 + x)[None], read_voltage=0.2, level=np.zeros(1, dtype=int), levels=given
        )
        blank = np.zeros((1, *x.shape))
        variation = VariationCard(
            level=0,
            domain="linear",
            lines=[
                LineOffsets(axis=a, period=p, std=Quantity.estimated(1e-6, 1e-7, "S"))
                for a, p in lines
            ],
            spatial=SpatialCard(
                row_trend=Quantity.given(trend[0], "S"), col_trend=Quantity.given(trend[1], "S")
            ),
        )
        return ReportData(
            card=chip.card.model_copy(update={"variation": [variation]}),
            measurement=chip.measurement,
            statistics=accumulate(program, 1),
            cells=CellMaps(
                fault=np.zeros(x.shape, dtype=np.int8),
                offset=blank,
                hard_posterior=blank.copy(),
                line_offset=blank.copy() if predicted is None else predicted[None],
            ),
        )

    return make


def test_a_profile_is_the_mean_of_each_line_less_the_level_mean(level):
    rng = np.random.default_rng(3)
    x = 1e-6 * rng.standard_normal((9, 7))
    x[rng.random(x.shape) < 0.2] = np.nan
    x[:, 4] = np.nan
    for axis in (0, 1):
        profile = line_profile(level(x), 0, axis)
        for i, line in enumerate(x if axis == 0 else x.T):
            seen = line[np.isfinite(line)]
            if not seen.size:
                assert np.isnan(profile.mean[i])
                continue
            assert profile.mean[i] == pytest.approx(seen.mean() - np.nanmean(x), abs=1e-12)


def test_the_prediction_is_trend_and_line_offset_of_the_cells_of_a_line(level):
    rng = np.random.default_rng(4)
    predicted = 1e-6 * rng.standard_normal((1, 7)) + np.zeros((9, 1))
    profile = line_profile(
        level(1e-6 * rng.standard_normal((9, 7)), predicted=predicted, trend=(0.0, 2e-7)), 0, 1
    )
    slope = 2e-7 * (np.arange(7) - 3)
    np.testing.assert_allclose(profile.trend, slope, atol=1e-18)
    np.testing.assert_allclose(profile.predicted, slope + predicted[0], atol=1e-18)


def test_intervals_of_a_profile_cover_the_offsets_of_columns(level):
    rng = np.random.default_rng(5)
    hits = []
    for _ in range(120):
        column, row = rng.standard_normal((1, 24)), 0.5 * rng.standard_normal((32, 1))
        scatter = rng.uniform(0.5, 2.0, (1, 24))  # a column can be noisier than others
        x = 1e-6 * (column + row + scatter * rng.standard_normal((32, 24)))
        x[rng.random(x.shape) < 0.1] = np.nan
        profile = line_profile(level(x, predicted=1e-6 * (column + row)), 0, 1)
        truth = 1e-6 * (column - column.mean())[0]
        hits.append(np.abs(profile.mean - truth) < profile.half)
    assert 0.93 < np.mean(hits) < 0.97


@pytest.mark.parametrize("axis", [0, 1])
def test_folded_means_are_those_of_cells_with_equal_remainder(level, axis):
    x = 1e-6 * np.random.default_rng(6).standard_normal((10, 8))
    means = folded_means(level(x), 0, axis, 3)
    lines = x if axis == 0 else x.T
    assert means.shape == (3, len(lines))
    for line in range(len(lines)):
        for part in range(3):
            expected = lines[line][part::3].mean() - x.mean()
            assert means[part, line] == pytest.approx(expected, abs=1e-12)


def pattern(shape: tuple[int, int], period: int, seed: int, noise: float = 1.0) -> np.ndarray:
    """Return cells whose columns have one offset for each remainder of the row, and noise."""
    rng = np.random.default_rng(seed)
    offsets = rng.standard_normal((period, shape[1]))
    return 1e-6 * (offsets[np.arange(shape[0]) % period] + noise * rng.standard_normal(shape))


def test_white_noise_stays_below_the_limit_at_999_of_1000_frequencies(level):
    above = []
    for seed in range(60):
        x = 1e-6 * np.random.default_rng(seed).standard_normal((48, 64))
        for axis in (0, 1):
            p = periodogram(level(x), 0, axis)
            above.append(p.within[2:] > p.limit)
    share = np.concatenate(above).mean()
    assert share < 0.003


@pytest.mark.parametrize("period", [2, 3, 4, 8])
def test_a_period_in_the_rows_of_a_column_is_a_peak_along_the_rows_only(level, period):
    data = level(pattern((64, 48), period, seed=period), lines=[("col", period)])
    along = periodogram(data, 0, 0)
    low = np.flatnonzero(along.frequency < 0.3 / period)[-1]  # the offsets of whole columns
    at = along.within[low:].argmax() + low
    harmonics = np.arange(1, period // 2 + 1) / period
    assert np.abs(along.frequency[at] - harmonics).min() < 0.02
    # The pattern has the variance of the noise, on `period` of 64 ordinates.
    assert along.within[at] > 0.4 * 64 / period
    across = periodogram(data, 0, 1)
    assert np.mean(across.within > across.limit) < 0.05


def test_offsets_of_whole_rows_are_in_the_means_and_not_in_the_patterns(level):
    rng = np.random.default_rng(8)
    stripes = np.where(np.arange(64) % 2, 1.0, -1.0)[:, None]  # every second row
    x = 1e-6 * (stripes + rng.standard_normal((64, 48)))
    p = periodogram(level(x, lines=[("row", 1)]), 0, 0)
    assert np.nanargmax(p.of_means) == 63
    assert p.of_means[63] > 100
    assert np.mean(p.within > p.limit) < 0.05


def test_cells_on_every_second_row_keep_their_period(level):
    x = pattern((64, 48), 8, seed=9, noise=0.2)
    x[1::2] = np.nan
    p = periodogram(level(x), 0, 0)
    assert p.frequency.max() < 0.25
    beyond = p.frequency > 0.09
    at = np.flatnonzero(beyond)[p.within[beyond].argmax()]
    assert min(abs(p.frequency[at] - f) for f in (1 / 8, 2 / 8)) < 0.01


def test_too_few_cells_have_no_periodogram(level):
    assert periodogram(level(np.full((3, 40), 1e-6)), 0, 0) is None
    assert periodogram(level(np.full((30, 40), np.nan)), 0, 0) is None
    assert periodogram(level(np.zeros((30, 40))), 0, 1) is None


def test_without_a_sidecar_the_profile_has_no_prediction(level):
    data = level(1e-6 * np.random.default_rng(1).standard_normal((24, 20)))
    bare = dataclasses.replace(data, cells=None)
    np.testing.assert_array_equal(line_profile(bare, 0, 0).predicted, np.zeros(24))
