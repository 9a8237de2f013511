"""Trends of means and variances over an array, against planted ones."""

import numpy as np
import pytest

from rramfit.fitting.statistics.array_trend import trend_std
from rramfit.fitting.statistics.inference import Driver

SHAPE = (40, 48)


def influence(x):
    """Influences of the cells on mean and variance, of one reading a cell."""
    n, mean, variance = np.isfinite(x).sum(), np.nanmean(x), np.nanvar(x)
    return np.nan_to_num(np.stack([x - mean, (x - mean) ** 2 - variance]) / n)


def trends(x):
    return trend_std(influence(x), Driver.of(x))


def ramp(axis, shape=SHAPE):
    """Row or column number about 0, with standard deviation 1."""
    at = np.indices(shape)[axis].astype(float)
    return (at - at.mean()) / at.std()


@pytest.mark.parametrize("axis", [0, 1])
def test_a_drift_of_the_mean_is_found(axis):
    x = np.random.default_rng(1).standard_normal(SHAPE) + 0.5 * ramp(axis)
    mean, variance = trends(x)
    assert mean == pytest.approx(0.5, abs=4 / np.sqrt(x.size))
    assert variance < 6 * np.sqrt(2 / x.size)


def test_drifts_along_both_sides_add_as_squares():
    x = np.random.default_rng(2).standard_normal(SHAPE) + 0.4 * ramp(0) - 0.3 * ramp(1)
    assert trends(x)[0] == pytest.approx(0.5, abs=4 / np.sqrt(x.size))


def test_a_drift_of_the_spread_is_found():
    x = np.random.default_rng(3).standard_normal(SHAPE) * np.sqrt(1 + 0.4 * ramp(0))
    mean, variance = trends(x)
    assert variance == pytest.approx(0.4, abs=5 * np.sqrt(2 / x.size))
    assert mean < 4 / np.sqrt(x.size)


def test_cells_that_were_not_measured_do_not_count():
    rng = np.random.default_rng(4)
    x = rng.standard_normal(SHAPE) + 0.5 * ramp(0)
    x[rng.random(SHAPE) < 0.4] = np.nan
    assert trends(x)[0] == pytest.approx(0.5, abs=5 / np.sqrt(np.isfinite(x).sum()))


@pytest.mark.parametrize("lines", [0.0, 0.5])
def test_noise_and_line_offsets_are_no_trend(lines):
    """The mean square is that of a variance of which only the positive part is kept."""
    squares, errors = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal(SHAPE) + lines * rng.standard_normal(SHAPE[1])
        squares.append(trends(x)[0] ** 2)
        errors.append(1 / x.size + lines**2 / SHAPE[1])
    # E[max(e²·(z² − 1), 0)] = 0.48 e² for each of two directions, z standard normal
    assert np.mean(squares) < 1.6 * np.mean(errors)
    assert np.median(squares) < np.mean(errors)


def test_few_cells_show_no_trend():
    x = np.full(SHAPE, np.nan)
    x[0, :10] = np.arange(10.0)
    assert trend_std(influence(x), Driver.of(x)).tolist() == [0.0, 0.0]
