"""Blind level detection: the number of levels, the level of each cell, and its certainty."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from rramfit.errors import FitError
from rramfit.fitting.levels.blind import find_levels
from rramfit.fitting.screening.accumulate import accumulate
from rramfit.fitting.statistics.state_mixture import find_states, fit_mixtures, group_readings
from rramfit.measurement.file.read import read_measurement

SHAPE = (1, 96, 96)


def test_two_components_maximise_the_likelihood():
    rng = np.random.default_rng(1)
    x = np.where(rng.random(3000) < 0.3, rng.normal(0, 1, 3000), rng.normal(5, 2, 3000))
    _, m, *_ = fit_mixtures(group_readings(x), 3)

    def log_likelihood(w, a, s, b, t):
        f = w * stats.norm.pdf(x, a, s) + (1 - w) * stats.norm.pdf(x, b, t)
        return np.log(f).sum()

    at = (m.weight[0], m.mean[0], m.std[0], m.mean[1], m.std[1])
    assert m.log_likelihood == pytest.approx(log_likelihood(*at), abs=0.5)  # readings are grouped
    for i in range(5):
        for step in (-0.03, 0.03):
            moved = [v + step * (j == i) for j, v in enumerate(at)]
            assert log_likelihood(*moved) < log_likelihood(*at) + 0.05


def test_skew_and_heavy_tails_are_one_state():
    rng = np.random.default_rng(2)
    for y in (
        rng.lognormal(0, 0.8, 9000), rng.gamma(2, 1, 9000), rng.standard_t(3, 9000),
        rng.uniform(0, 1, 9000),
    ):  # fmt: skip
        data = group_readings(y)
        mixtures = fit_mixtures(data, 12)
        best = min(mixtures, key=lambda m: m.bic(len(y)))
        assert len(find_states(best, data).peaks) == 1
    assert len(best) > 1  # though several components are needed


def test_readings_that_are_all_zero_are_one_state(make_measured):
    found = find_levels(make_measured(np.zeros((2, 12, 12)))[0])
    np.testing.assert_array_equal(found.levels.target, [0.0])


@pytest.mark.parametrize(
    ("levels", "gap", "sd"), [(2, 70, 4), (4, 25, 3), (8, 12, 2), (8, 12, 3), (16, 6, 1)]
)
def test_number_of_states_and_their_cells(make_measured, levels, gap, sd):
    rng = np.random.default_rng(3)
    k = rng.integers(levels, size=SHAPE)
    y = 15 + gap * k + sd * rng.standard_normal(SHAPE)
    found = find_levels(make_measured(y * 1e-6)[0])
    assert len(found.levels) == levels
    assert found.levels.target * 1e6 == pytest.approx(15 + gap * np.arange(levels), abs=0.1 * gap)
    wrong = (found.program.read_all().level != k).sum()
    assert found.expected_errors == pytest.approx(wrong, abs=5 * np.sqrt(wrong + 4))
    assert found.program.levels_known
    assert found.program.acceptance == "unknown"


def test_a_wide_high_resistance_state_is_one_state_and_gains_no_cells(make_measured):
    rng = np.random.default_rng(4)
    k = rng.random(SHAPE) < 0.5
    y = np.where(
        k, 80 * (1 + 0.05 * rng.standard_t(4, SHAPE)), 4 * np.exp(0.6 * rng.standard_t(5, SHAPE))
    )
    y[k & (rng.random(SHAPE) < 0.001)] = 170.0
    found = find_levels(make_measured(np.abs(y) * 1e-6)[0])
    assert len(found.levels) == 2
    level = found.program.read_all().level
    assert np.all(level[y > 100] == 1)
    assert (level != k).mean() < 0.005


def test_uncertain_cells_are_reported(make_measured):
    rng = np.random.default_rng(5)
    k = rng.integers(2, size=SHAPE)
    found = find_levels(make_measured((40 + 20 * k + 5 * rng.standard_normal(SHAPE)) * 1e-6)[0])
    y = found.program.read_all().conductance[0] * 1e6
    posterior = 1 / (1 + np.exp(-np.abs(20 * (y - 50) / 25)))  # of two equal normals
    assert np.abs(found.certainty - posterior).max() < 0.06
    assert any("certainty below 99 %" in f.what for f in found.verdict.findings)


def test_each_sweep_is_labelled_and_results_repeat(make_measured):
    rng = np.random.default_rng(6)
    k = rng.integers(3, size=(6, 48, 48))
    y = np.array([5.0, 40.0, 90.0])[k] * rng.lognormal(0, 0.05, k.shape)
    y[2, 3, 4] = np.nan
    measurement = make_measured(y * 1e-6)[0]
    found = find_levels(measurement)
    k[2, 3, 4] = -1
    assert np.array_equal(np.concatenate([b.level for b in found.program.blocks(2)]), k)
    statistics = accumulate(found.program, len(found.levels))
    assert statistics.attempts.sum() == (k >= 0).sum()
    again = find_levels(measurement)
    assert again.choices == found.choices
    assert "3 states" in found.summary()
    assert len(found.to_frame()) == 3
    assert "Blind level detection" in found._repr_html_()
    assert found.plot().get_xscale() == found.domain


def test_dead_lines_are_not_a_state(make_measured):
    rng = np.random.default_rng(7)
    k = rng.integers(2, size=SHAPE)
    y = np.array([30.0, 80.0])[k] * rng.lognormal(0, 0.05, SHAPE)
    y[:, :6] = 0.05 * rng.standard_normal(y[:, :6].shape)
    assert len(find_levels(make_measured(y * 1e-6)[0]).levels) == 2


def test_too_few_readings_or_known_levels_raise(make_measured, make_chip):
    with pytest.raises(FitError, match="81 readings"):
        find_levels(make_measured(np.full((1, 9, 9), 5e-5))[0])
    known = make_chip(8, shape=(16, 16)).measurement
    with pytest.raises(FitError, match="without /program/level"):
        find_levels(known)
    with pytest.raises(FitError, match="without /program/level"):
        find_levels(dataclasses.replace(known, program=None))


@pytest.mark.parametrize("name", ["C1_slc_tile0", "C1_slc_tile1"])
def test_two_states_are_found_on_measured_tiles(shared, name):
    measurement = read_measurement(shared / "data/measured/h5" / f"{name}.h5")
    found = find_levels(measurement)
    assert len(found.levels) == 2
    assert {c.states for c in found.choices if c.components > 1} == {2}
    assert found.share == pytest.approx([0.5, 0.5], abs=0.005)
    assert 30e-6 < found.thresholds[0] < 60e-6  # the gap without readings
    assert found.uncertain_share < 0.001
    (finding,) = found.verdict.findings
    assert "2 states" in finding.what
    assert "truncated" not in finding.what
