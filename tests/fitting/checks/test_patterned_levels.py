"""Checks for bad data on chips whose levels were programmed in patterns."""

import numpy as np
import pytest

from rramfit.fitting.checks.diagnostics import diagnose
from rramfit.fitting.checks.hidden_lines import find_confounded, level_counts
from rramfit.fitting.checks.sweep_sequence import find_drift
from rramfit.fitting.levels.targets import set_aside_windows
from rramfit.fitting.screening.screening import screen
from rramfit.fitting.screening.stuck import level_spread
from rramfit.fitting.statistics.over_array.periodic import (
    FALSE_ALARM,
    periodic_pattern,
    visible_power,
)
from rramfit.measurement.file.in_memory import reads_in_memory
from rramfit.measurement.file.record import ArrayIdentity, Levels, Measurement

N = 48
ROW, COL = np.indices((N, N))
CENTRES = np.array([5.0, 50.0, 100.0])


def diagnosed(make_measured, y, level, centres=CENTRES):
    measurement, statistics = make_measured(
        y * 1e-6, level=level, levels=Levels(target=np.asarray(centres) * 1e-6)
    )
    return diagnose(measurement, statistics, screen(measurement, statistics)).found


def retention(y, level):
    reads = reads_in_memory(y * 1e-6, time=np.arange(len(y)) * 100.0, level=level)
    return Measurement(
        path=None, identity=ArrayIdentity(array_id="A", cell="1T1R"), rows=N, cols=N,
        levels=Levels(target=CENTRES * 1e-6), retention=reads,
    )  # fmt: skip


def half_by_half(drift):
    """The upper half is programmed in six sweeps, then the lower half, on an array with a trend."""
    rng = np.random.default_rng(0)
    t = np.arange(12)[:, None, None]
    level = np.where(t // 6 == ROW // (N // 2), t % 3, -1)
    y = CENTRES[level] * (1 + 0.05 * rng.standard_normal(level.shape) + 0.005 * ROW + drift * t)
    y[level < 0] = np.nan
    return y, level


@pytest.mark.parametrize(("drift", "found"), [(0.0, False), (0.02, True)])
def test_a_trend_over_rows_that_are_programmed_in_turn_is_no_drift(make_measured, drift, found):
    y, level = half_by_half(drift)
    assert bool(diagnosed(make_measured, y, level)["drift"]) == found


def test_drift_of_shifted_patterns_has_its_false_alarm_rate(make_measured):
    false = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        level = np.stack([(COL + t // 2) % 3 for t in range(12)])
        own, shared = 0.2 * rng.standard_normal(N), 0.01 * rng.standard_normal((12, 1, 1))
        y = CENTRES[level] * (1 + own + shared + 0.05 * rng.standard_normal(level.shape))
        _, statistics = make_measured(y * 1e-6, level=level, levels=Levels(target=CENTRES * 1e-6))
        false += bool(
            find_drift(statistics, level_spread(statistics, np.ones((N, N), bool)).spread)
        )
    assert false <= 1  # of 40 at 1e-3: P(more) = 8e-4


def test_one_code_of_a_low_level_makes_no_duplicates(make_measured):
    rng = np.random.default_rng(1)
    level = np.broadcast_to(np.where(COL % 2, 2, 0), (2, N, N))
    y = CENTRES[level] * (1 + 0.005 * rng.standard_normal(level.shape))
    y = np.round(y / 0.8) * 0.8
    assert np.mean(y[0] == y[1]) > 0.5
    assert not diagnosed(make_measured, y, level)["duplicates"]


def test_noise_around_a_low_level_is_no_offset(make_measured):
    rng = np.random.default_rng(2)
    centres = [1.0, 50.0, 100.0]
    level = np.stack([(COL + t) % 3 for t in range(6)])
    y = np.array(centres)[level] + 3 * rng.standard_normal(level.shape)
    assert (y < 0).mean() > 0.1
    assert not diagnosed(make_measured, y, level, centres)["offset"]
    assert diagnosed(make_measured, y - 2, level, centres)["offset"]


def test_failed_cells_that_read_negative_reveal_an_offset(make_measured):
    rng = np.random.default_rng(3)
    level = np.broadcast_to((ROW + COL) % 3, (6, N, N))
    fails = rng.random((N, N)) < 0.03
    y = np.where(fails, 0.0, CENTRES[level] * (1 + 0.05 * rng.standard_normal(level.shape)))
    noise = 0.2 * rng.standard_normal(level.shape)
    verified = np.broadcast_to(~fails, level.shape)
    for offset, found in ((0.0, False), (-0.5, True)):
        measurement, statistics = make_measured(
            (y + noise + offset) * 1e-6,
            level=level,
            verified=verified,
            levels=Levels(target=CENTRES * 1e-6),
        )
        checks = diagnose(measurement, statistics, screen(measurement, statistics)).found
        assert bool(checks["offset"]) == found


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("pattern", [COL % 3, ROW // 4 % 3, (ROW // 8 + COL // 8) % 3])
def test_changes_that_depend_on_the_level_are_no_pattern_of_lines(pattern, known):
    rng = np.random.default_rng(4)
    first = CENTRES[pattern] * (1 + 0.03 * rng.standard_normal((N, N)))
    second = first * (1 + np.array([0.5, 0.0, -0.2])[pattern] + 0.02 * rng.standard_normal((N, N)))
    m = retention(np.stack([first, second]), pattern if known else np.full((N, N), -1))
    assert not diagnose(m, None, screen(m, None)).found["pattern"]


@pytest.mark.parametrize(("period", "axis"), [(8, 0), (4, 1)])
def test_a_pattern_of_lines_is_seen_beside_the_pattern_of_levels(make_measured, period, axis):
    rng = np.random.default_rng(5)
    level = np.broadcast_to(COL % 3, (6, N, N))
    place = (ROW, COL)[axis] % period == 1
    y = CENTRES[level] * (1 + 0.08 * place + 0.05 * rng.standard_normal(level.shape))
    found = diagnosed(make_measured, y, level)
    (finding,) = found["pattern"]
    word = ("row", "column")[axis]
    assert f"every {period} {word}s" in finding.what
    assert f"{word}s 1 + {period}·i deviate most" in finding.what
    assert "Every column holds only one level" in found["hidden"][0].what


@pytest.mark.parametrize("levels", [6, 12, 24])
def test_patterns_of_lines_in_stripes_have_their_false_alarm_rate(levels):
    rng = np.random.default_rng(6)
    counts, stripes, false = level_counts(COL % levels, levels, 1), COL % levels, 0
    for _ in range(150):
        z = rng.standard_normal((N, N))
        for k in range(levels):
            z[stripes == k] -= z[stripes == k].mean()
        found = periodic_pattern(z, 1, counts=counts)
        false += found is not None and found.p_value < FALSE_ALARM
    assert false <= 2  # of 150 at 1e-3: P(more) = 5e-4


def test_offsets_that_differ_between_columns_are_not_a_pattern_of_all():
    rng = np.random.default_rng(7)
    false = 0
    for _ in range(60):
        fold = 1.5 * rng.standard_normal((4, N))
        z = rng.standard_normal((N, N)) + fold[np.arange(N) % 4]
        false += periodic_pattern(z, 0).p_value < FALSE_ALARM
    assert false <= 1  # of 60 at 1e-3: P(more) = 2e-3


def test_the_visible_power_is_that_of_white_noise_about_level_means():
    rng = np.random.default_rng(8)
    levels = 6
    pattern = np.where(rng.random((N, N)) < 0.2, rng.integers(levels, size=(N, N)), COL % levels)
    z = rng.standard_normal((400, N, N))
    for k in range(levels):
        z[:, pattern == k] -= z[:, pattern == k].mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(z.mean(axis=1), axis=1)) ** 2
    found = visible_power(level_counts(pattern, levels, 1))
    assert found[[8, 16]].max() < 0.6  # of the period of the stripes
    np.testing.assert_allclose(power.mean(axis=0), found, atol=0.15)


def confounded(pattern, levels=3):
    counts = tuple(level_counts(pattern, levels, axis) for axis in (0, 1))
    return [f.what for f in find_confounded(counts)]


def test_it_is_said_what_a_pattern_hides():
    assert confounded((ROW + COL) % 3) == []
    assert confounded(np.random.default_rng(9).integers(3, size=(N, N))) == []
    assert confounded(np.zeros((N, N), dtype=int)) == []
    (stripes,) = confounded(COL % 3)
    assert stripes.startswith("Every column holds only one level")
    (thirds,) = confounded(ROW * 3 // N)
    assert "a trend over the rows cannot be distinguished" in thirds
    (alone,) = confounded(COL, levels=N)
    assert "on a single column" in alone
    (few,) = confounded(COL % 16, levels=16)
    assert "with 3 columns at a level" in few
    (gradual,) = confounded((COL + ROW % 2) // 4, levels=13)
    assert "The levels change with the column" in gradual
    stray = np.where(np.random.default_rng(10).random((N, N)) < 0.02, 0, COL % 3)
    assert len(confounded(stray)) == 1


def test_windows_are_judged_by_all_levels_and_not_by_the_first_sweeps(make_measured):
    rng = np.random.default_rng(11)
    level = np.repeat(np.arange(3), 5)  # five sweeps of each level
    y = CENTRES[level][:, None, None] * (1 + 0.02 * rng.standard_normal((15, N, N)))
    lower, upper = CENTRES * 0.9e-6, CENTRES * 1.1e-6
    lower[0], upper[0] = 1e-6, 2e-6  # the lowest level is hardly ever inside its window
    levels = Levels(target=CENTRES * 1e-6, lower=lower, upper=upper)
    measurement, _ = make_measured(
        y * 1e-6, level=np.broadcast_to(level[:, None, None], y.shape), levels=levels
    )
    assert set_aside_windows(measurement) is None


def test_levels_that_read_one_number_each_are_no_readings(make_measured):
    level = np.random.default_rng(12).integers(3, size=(6, N, N))
    (finding,) = diagnosed(make_measured, CENTRES[level], level)["constant"]
    assert finding.severe
    assert "All readings of a level are one number, at 3 levels" in finding.what
    one_code = np.where(level == 0, 5.0, CENTRES[level] + np.arange(N))
    assert not diagnosed(make_measured, one_code, level)["constant"]
