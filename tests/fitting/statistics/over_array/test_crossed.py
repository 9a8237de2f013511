"""Crossed variance components against the dense restricted likelihood, and their stated errors."""

import numpy as np
import pytest
from scipy import optimize

from rramfit.fitting.statistics.over_array.crossed import fit_crossed, predict_effects

ROWS, COLS = 12, 9


def design(seed, missing=0.15):
    rng = np.random.default_rng(seed)
    r, c = np.indices((ROWS, COLS)).reshape(2, -1)
    kept = rng.random(r.size) > missing
    r, c = r[kept], c[kept]
    groups = [r, c, c * 3 + r % 3]
    return rng, groups, np.column_stack([np.ones(r.size), r - r.mean()])


def draw(rng, groups, fixed, variance, residual):
    y = fixed @ np.array([3.0, 0.1]) + rng.normal(0, residual**0.5, len(fixed))
    for g, v in zip(groups, variance, strict=True):
        y += rng.normal(0, v**0.5, g.max() + 1)[g]
    return y


def dense_nll(log_variance, y, groups, fixed, weight):
    """−ℓ of the restricted likelihood from the n × n covariance matrix."""
    variance = np.exp(log_variance)
    v = np.diag(variance[0] / weight)
    for g, s in zip(groups, variance[1:], strict=True):
        v += s * (g[:, None] == g)
    inverse = np.linalg.inv(v)
    inside = fixed.T @ inverse @ fixed
    p = inverse - inverse @ fixed @ np.linalg.inv(inside) @ fixed.T @ inverse
    return 0.5 * (np.linalg.slogdet(v)[1] + np.linalg.slogdet(inside)[1] + y @ p @ y)


@pytest.mark.parametrize("weighted", [False, True])
def test_agrees_with_the_dense_likelihood(weighted):
    rng, groups, fixed = design(1)
    y = draw(rng, groups, fixed, (0.8, 0.5, 0.9), 1.0)
    weight = rng.uniform(0.5, 2.0, len(y)) if weighted else np.ones(len(y))
    found = fit_crossed(y, groups, fixed, weight=weight)
    best = optimize.minimize(dense_nll, np.zeros(4), args=(y, groups, fixed, weight), method="BFGS")
    expected = np.exp(best.x)
    np.testing.assert_allclose(found.residual, expected[0], rtol=2e-3)
    np.testing.assert_allclose(found.variance, expected[1:], rtol=5e-3, atol=2e-3)


def test_effects_are_the_best_linear_unbiased_predictions():
    rng, groups, fixed = design(2)
    y = draw(rng, groups, fixed, (0.8, 0.5, 0.9), 1.0)
    found = fit_crossed(y, groups, fixed)
    v = np.diag(np.full(len(y), found.residual))
    for g, s in zip(groups, found.variance, strict=True):
        v += s * (g[:, None] == g)
    inverse = np.linalg.inv(v)
    beta = np.linalg.solve(fixed.T @ inverse @ fixed, fixed.T @ inverse @ y)
    rest = inverse @ (y - fixed @ beta)
    effects = predict_effects(y, groups, fixed, found)
    for g, s, effect in zip(groups, found.variance, effects, strict=True):
        expected = s * np.bincount(g, rest, len(effect))
        np.testing.assert_allclose(effect, expected, atol=1e-6)


def test_errors_are_those_of_repeated_draws():
    truth = np.array([0.6, 1.0, 0.7])
    values, errors = [], []
    for seed in range(150):
        rng, groups, fixed = design(seed)
        found = fit_crossed(draw(rng, groups, fixed, truth, 1.0), groups, fixed)
        values.append(found.variance)
        errors.append(np.sqrt(np.diagonal(found.covariance)))
    spread = np.std(values, axis=0)
    assert np.all(np.abs(np.mean(values, axis=0) - truth) < 4 * spread / 150**0.5)
    np.testing.assert_allclose(np.mean(errors, axis=0), spread, rtol=0.25)


def test_a_component_that_is_not_there_is_zero():
    rng, groups, fixed = design(3)
    y = draw(rng, groups[:1], fixed, (1.0,), 1.0)
    found = fit_crossed(y - y.mean(), groups, fixed)
    assert found.variance[0] > 0.3
    assert found.variance[2] < 0.2
