"""Nested random effects: exact against dense matrices, and intervals that cover."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from rramfit.fitting.pooling.nested_components import fit_nested
from rramfit.fitting.pooling.nested_tree import nest, posterior, restricted_likelihood


def dense(labels, y, error, variances):
    """Restricted likelihood, mean, and posterior of the arrays, by matrices of all arrays."""
    shared = np.diag(np.full(y.size, variances[0]))
    key = np.zeros(y.size)
    keys = []
    for label in labels:  # coarse to fine; equal labels in different groups are different
        key = key * 1000 + label
        keys.append(key.copy())
    for variance, group in zip(variances[1:], reversed(keys), strict=True):
        shared += variance * (group[:, None] == group)
    weight = np.linalg.inv(shared + np.diag(error**2))
    ones = np.ones(y.size)
    information = ones @ weight @ ones
    mean = ones @ weight @ y / information
    loss = np.linalg.slogdet(weight)[1] - np.log(information) - (y - mean) @ weight @ (y - mean)
    total = 0.5 * (loss - (y.size - 1) * np.log(2 * np.pi))
    gain = shared @ weight
    left = ones - gain @ ones
    covariance = shared - gain @ shared + np.outer(left, left) / information
    return total, mean, mean + gain @ (y - mean), np.diag(covariance)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 25), st.integers(0, 3))
def test_the_tree_is_the_dense_solution(seed, n, levels):
    rng = np.random.default_rng(seed)
    labels = [rng.integers(0, 3, n) for _ in range(levels)]
    y, error = rng.normal(size=n), rng.uniform(0.1, 1, n)
    variances = rng.exponential(size=(2, levels + 1)) * rng.integers(0, 2, (2, levels + 1))
    tree = nest(n, labels)
    total = restricted_likelihood(tree, y, error, variances)
    found = posterior(tree, y, error, variances)
    for d, row in enumerate(variances):
        wanted, mean, arrays, variance = dense(labels, y, error, row)
        assert total[d] == pytest.approx(wanted, rel=1e-9, abs=1e-9)
        assert found.mean[-1][d, 0] == pytest.approx(mean, abs=1e-9)
        assert found.mean[0][d] == pytest.approx(arrays, abs=1e-9)
        assert found.variance[0][d] == pytest.approx(variance, abs=1e-9)


def lot(seed, wafers=5, dies=4, arrays=3, std=(0.5, 0.3, 0.4)):
    """Estimates of a lot whose standard deviations (wafer, die, array) are known."""
    rng = np.random.default_rng(seed)
    wafer, die = np.repeat(np.arange(wafers), dies * arrays), np.arange(wafers * dies)
    die = np.repeat(die, arrays)
    true = 5 + std[0] * rng.normal(size=wafers + 1)[wafer]
    true = true + std[1] * rng.normal(size=wafers * dies)[die] + std[2] * rng.normal(size=die.size)
    error = rng.uniform(0.2, 0.4, die.size)
    new = 5 + np.hypot.reduce(std) * rng.normal()
    return wafer, die, true + error * rng.normal(size=die.size), error, new


def test_intervals_cover_known_lots():
    """40 lots; the counts of a binomial of 0.95 are outside these bounds once in 1,000."""
    inside = {"wafer": 0, "die": 0, "array": 0, "new": 0}
    left_out = []
    for seed in range(40):
        wafer, die, y, error, new = lot(seed)
        fit = fit_nested(nest(y.size, [wafer, die]), ("array", "die", "wafer"), y, error)
        for c, std in zip(fit.components, (0.4, 0.3, 0.5), strict=True):
            inside[c.name] += c.low <= std <= c.high
        low, high = fit.new_array(3).interval()
        inside["new"] += low[0] <= new <= high[0]
        left_out.append(fit.left_out())
    assert min(inside.values()) >= 33
    p = np.concatenate(left_out)
    assert 0.93 < np.mean((p > 0.025) & (p < 0.975)) < 0.97


def test_a_prediction_without_the_array_is_that_of_a_fit_without_it():
    wafer, die, y, error, _ = lot(1)
    y[7] += 3.0
    names = ("array", "die", "wafer")
    p = fit_nested(nest(y.size, [wafer, die]), names, y, error).left_out()[7]
    rest = np.arange(y.size) != 7
    without = fit_nested(nest(y.size - 1, [wafer[rest], die[rest]]), names, y[rest], error[rest])
    new = without.new_array(1)
    column = list(dict.fromkeys(die[rest])).index(die[7])
    std = np.sqrt(new.std[:, column] ** 2 + error[7] ** 2)
    z = (y[7] - new.mean[:, column]) / std
    assert 1 - p == pytest.approx(float(without.weight @ special.ndtr(-z)), rel=0.5)
    assert 1 - p < 1e-5


def test_two_arrays_that_agree_leave_a_wide_interval():
    fit = fit_nested(nest(2, []), ("array",), np.array([1.0, 1.001]), np.array([0.01, 0.01]))
    (c,) = fit.components
    low, high = fit.new_array(1).interval()
    assert c.low == 0
    assert high[0] - low[0] > 2 * 1.96 * 0.01


def test_one_array_is_refused():
    with pytest.raises(ValueError, match="two are needed"):
        fit_nested(nest(1, []), ("array",), np.array([1.0]), np.array([0.1]))
