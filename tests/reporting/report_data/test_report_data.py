"""Counts and means of the figures, compared with plain loops."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from rramfit.card import CellMaps, Fault
from rramfit.reporting.report_data.report_data import ReportData, level_tracks, read_spread


@pytest.fixture(scope="module")
def data(chip) -> ReportData:
    return ReportData(
        card=chip.card,
        measurement=chip.measurement,
        statistics=chip.statistics,
        cells=chip.cells,
    )


def test_readings_are_accepted_readings_of_healthy_cells(chip, data):
    block = chip.measurement.program.read_all()
    for k, values in data.readings.items():
        expected = np.concatenate(
            [
                block.conductance[s][(chip.cells.fault == Fault.OK) & block.accepted[s]]
                for s in range(len(block.conductance))
                if block.level[s, 0, 0] == k
            ]
        )
        np.testing.assert_array_equal(values, np.sort(expected[np.isfinite(expected)]))


def test_profiles_are_means_over_rows_and_columns(data):
    z = data.standard_offsets[1]
    rows, cols = data.profile(1, 0), data.profile(1, 1)
    for r in (0, 5):
        line = z[r][np.isfinite(z[r])]
        assert rows.mean[r] == pytest.approx(line.mean())
        assert rows.stderr[r] == pytest.approx(line.std(ddof=1) / np.sqrt(line.size))
    line = z[:, 3][np.isfinite(z[:, 3])]
    assert cols.mean[3] == pytest.approx(line.mean())
    dead = z.shape[1] // 3
    assert np.isnan(cols.mean[dead])


def test_scatter_is_computed_per_cell(chip, data):
    mean, std = data.scatter(2)
    block = chip.measurement.program.read_all()
    sweeps = np.flatnonzero(block.level[:, 0, 0] == 2)
    cell = next(zip(*np.nonzero(data.healthy), strict=True))
    readings = [block.conductance[(s, *cell)] for s in sweeps if block.accepted[(s, *cell)]]
    assert mean[0] == pytest.approx(np.mean(readings))
    assert std[0] == pytest.approx(np.std(readings, ddof=1))


def test_one_pass_statistics_of_reads_agree_with_numpy(chip, data):
    reads, healthy = chip.measurement.reads, data.healthy
    images = reads.read_all()
    mean, std = read_spread(reads, healthy)
    np.testing.assert_allclose(mean, images[:, healthy].mean(0))
    np.testing.assert_allclose(std, images[:, healthy].std(0, ddof=1))
    tracks = level_tracks(chip.measurement.retention, healthy)
    assert [t.level for t in tracks] == [0, 1, 2]
    retained = chip.measurement.retention.read_all()
    at = healthy & (chip.measurement.retention.level == 1)
    np.testing.assert_allclose(tracks[1].mean, retained[:, at].mean(1))
    np.testing.assert_allclose(tracks[1].high, np.quantile(retained[:, at], 0.9, axis=1))
    assert tracks[1].n_cells == at.sum()


def failing(chip, share, fault=None) -> ReportData:
    """Return the data of an array whose cells failed `share` of eight attempts each."""
    shape = share.shape
    fault = np.zeros(shape, dtype=np.int8) if fault is None else fault
    attempts = np.full((1, *shape), 8)
    statistics = SimpleNamespace(attempts=attempts, failures=np.rint(8 * share)[None])
    cells = CellMaps(
        fault=fault, offset=np.zeros((1, *shape)), hard_posterior=np.zeros((1, *shape))
    )
    return ReportData(
        card=chip.card, measurement=chip.measurement, statistics=statistics, cells=cells
    )


def test_the_range_by_chance_counts_cells_not_attempts(chip):
    rng = np.random.default_rng(1)
    stuck = (rng.random((200, 128)) < 0.02).astype(float)  # fail all eight times, or never
    lines = failing(chip, stuck).failure_lines(0)
    # 200 rows at 1 in 741 each: more than 4 above has a probability of 2e-5
    assert (lines.share > lines.high).sum() <= 4
    assert lines.mean == pytest.approx(stuck.mean())
    # a binomial count of 128 cells at 2 %, not of 1024 attempts
    assert 100 * lines.high[0] == pytest.approx(6.5, abs=1.0)


def test_a_bad_row_is_above_the_range_and_dead_lines_are_excluded(chip):
    rng = np.random.default_rng(2)
    share = (rng.random((60, 128)) < 0.02).astype(float)
    share[17] = rng.random(128) < 0.2
    fault = np.zeros(share.shape, dtype=np.int8)
    share[:, 40], fault[:, 40] = 1.0, Fault.DEAD_COL
    e = failing(chip, share, fault)
    rows, cols = e.failure_lines(0), e.failure_lines(1)
    assert rows.share[17] > rows.high[17]
    kept = np.delete(share, 40, axis=1)
    np.testing.assert_allclose(rows.share, kept.mean(1))
    assert rows.mean == pytest.approx(kept.mean())
    assert cols.share[40] == 1.0


def test_reads_of_unknown_level_have_no_tracks(chip):
    reads = chip.measurement.retention
    unknown = dataclasses.replace(reads, level=np.full(reads.level.shape, -1))
    assert level_tracks(unknown, chip.cells.fault == Fault.OK) == []
