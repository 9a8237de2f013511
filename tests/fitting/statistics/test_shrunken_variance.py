"""Shrunken variances, of samples with a common variance and with different ones."""

import numpy as np
import pytest

from rramfit.fitting.statistics.shrunken_variance import shrunken_variance

SAMPLES = 400


def samples(seed, df, spread):
    rng = np.random.default_rng(seed)
    true = np.exp(spread * rng.standard_normal(SAMPLES))
    return true, true * rng.chisquare(df, SAMPLES) / df


def test_a_common_variance_is_recovered():
    _, found = samples(1, 6, 0.0)
    out = shrunken_variance(found, np.full(SAMPLES, 6.0), np.ones(SAMPLES, bool))
    assert out.std() < 0.2 * found.std()
    assert out.mean() == pytest.approx(1.0, abs=4 * np.sqrt(2 / (6 * SAMPLES)) + 0.02)


def test_different_variances_stay_so_and_are_nearer_to_the_truth():
    true, found = samples(2, 6, 0.8)
    out = shrunken_variance(found, np.full(SAMPLES, 6.0), np.ones(SAMPLES, bool))
    error = [np.mean(np.log(x / true) ** 2) for x in (out, found)]
    assert error[0] < 0.8 * error[1]
    assert np.log(out).std() > 0.5


def test_few_samples_and_those_left_out_are_unchanged():
    _, found = samples(3, 6, 0.0)
    df = np.full(SAMPLES, 6.0)
    np.testing.assert_array_equal(shrunken_variance(found, df, np.arange(SAMPLES) < 9), found)
    df[:5], found[5] = 0, 0
    use = np.arange(SAMPLES) != 6
    out = shrunken_variance(found, df, use)
    np.testing.assert_array_equal(out[:7], found[:7])
    assert np.all(out[7:] != found[7:])


def test_one_sample_far_above_the_others_keeps_its_variance():
    _, found = samples(4, 30, 0.0)
    found[7] = 100.0
    out = shrunken_variance(found, np.full(SAMPLES, 30.0), np.ones(SAMPLES, bool))
    assert out[7] == 100.0
    assert np.delete(out, 7).max() < 2.0
