"""Variance components against textbook formulas and direct maximisation."""

import math

import numpy as np
import pytest
from scipy import optimize

from rramfit.fitting.statistics.components import in_siemens, variance_components
from rramfit.streams import stream


def draw(rng, n, mean, between, within):
    """Draw readings of cells; return them with their means and squared deviations."""
    b = mean + math.sqrt(between) * rng.standard_normal(len(n))
    y = [b[i] + math.sqrt(within) * rng.standard_normal(k) for i, k in enumerate(n)]
    m = np.array([x.mean() for x in y])
    return y, m, np.array([((x - a) ** 2).sum() for x, a in zip(y, m, strict=True)])


def reml_given_within(n, m, within):
    """Maximise the restricted likelihood of β with dense matrices by a general search."""

    def minus(between):
        v = np.diag(between + within / n)
        one = np.ones((len(n), 1))
        inverse = np.linalg.inv(v)
        information = one.T @ inverse @ one
        r = m - (one.T @ inverse @ m / information).item()
        determinants = np.linalg.slogdet(v)[1] + np.linalg.slogdet(information)[1]
        return 0.5 * (determinants + r @ inverse @ r)

    found = optimize.minimize_scalar(
        minus, bounds=(-within / n.max() * 0.999, 20), method="bounded", options={"xatol": 1e-10}
    )
    return found.x


def test_balanced_data_match_analysis_of_variance():
    rng = stream(1, "balanced")
    n = np.full(200, 6)
    y, m, q = draw(rng, n, 5.0, 2.0, 3.0)
    c = variance_components(n, m, q)
    within = np.mean([x.var(ddof=1) for x in y])
    assert c.within == pytest.approx(within, rel=1e-12)
    assert c.between == pytest.approx(m.var(ddof=1) - within / 6, rel=1e-9)
    assert c.mean == pytest.approx(m.mean(), rel=1e-12)


def test_unbalanced_data_match_restricted_maximum_likelihood():
    rng = stream(2, "unbalanced")
    n = rng.integers(1, 9, 60)
    _, m, q = draw(rng, n, 5.0, 0.5, 3.0)
    c = variance_components(n, m, q)
    assert c.between == pytest.approx(reml_given_within(n, m, c.within), rel=1e-5)


def test_influence_matches_leaving_a_cell_out():
    """Leaving a cell out changes an estimate by minus its influence, to first order in 1/cells."""
    rng = stream(3, "influence")
    n = rng.integers(1, 7, 400)
    _, m, q = draw(rng, n, 1.0, 1.0, 2.0)
    c = variance_components(n, m, q)
    for name in ("mean", "between", "within", "total"):
        psi = getattr(c, f"influence_{name}")
        left_out = np.array(
            [
                getattr(variance_components(*(np.delete(a, i) for a in (n, m, q))), name)
                for i in range(40)
            ]
        )
        moved = getattr(c, name) - left_out
        assert np.corrcoef(moved, psi[:40])[0, 1] > 0.999
        assert np.std(moved - psi[:40]) < 0.05 * np.std(psi[:40])


def test_zero_variance_between_cells_is_estimated_without_bias():
    rng = stream(4, "none")
    n = np.full(100, 4)
    found = [variance_components(n, *draw(rng, n, 0.0, 0.0, 1.0)[1:]).between for _ in range(200)]
    assert np.mean(found) == pytest.approx(0, abs=4 * np.std(found) / math.sqrt(200))
    assert min(found) < 0


def test_lognormal_components_convert_exactly_to_siemens():
    mu, between, within = math.log(50e-6), 0.3, 0.2
    n = np.full(1000, 2)
    z = stream(5, "moments").standard_normal((1000, 3))
    for i in range(3):  # orthonormal columns of mean 0: sample moments equal those of the model
        z[:, i] -= z[:, i].mean() + z[:, :i] @ (z[:, :i].T @ z[:, i]) / 1000
        z[:, i] /= math.sqrt((z[:, i] ** 2).mean())
    m = mu + math.sqrt((between + within / 2) * 999 / 1000) * z[:, 0]
    c = variance_components(n, m, np.full(1000, within))
    s = in_siemens(c, "log")
    mean2 = math.exp(2 * mu + between + within)
    assert s.between == pytest.approx(mean2 * math.expm1(between), rel=1e-9)
    assert s.within == pytest.approx(mean2 * math.exp(between) * math.expm1(within), rel=1e-9)
    assert s.total == pytest.approx(s.between + s.within, rel=1e-9)


def test_lognormal_influences_match_numerical_derivatives():
    rng = stream(6, "delta")
    n = rng.integers(1, 6, 300)
    _, m, q = draw(rng, n, -10.0, 0.2, 0.1)
    c = variance_components(n, m, q)
    s = in_siemens(c, "log")

    def siemens(mu, between, within):
        square = math.exp(2 * mu + between + within)
        d2d, c2c = square * math.expm1(between), square * math.exp(between) * math.expm1(within)
        return np.array([d2d, c2c, d2d + c2c])

    at = np.array([c.mean, c.between, c.within])
    step = 1e-6 * np.eye(3)
    slopes = np.stack([(siemens(*(at + h)) - siemens(*(at - h))) / 2e-6 for h in step])
    psi = np.stack([c.influence_mean, c.influence_between, c.influence_within])
    expected = slopes.T @ psi
    for name, e in zip(("between", "within", "total"), expected, strict=True):
        got = getattr(s, f"influence_{name}")
        np.testing.assert_allclose(got, e, rtol=1e-5, atol=1e-6 * np.abs(e).max())


def test_one_reading_per_cell_gives_only_the_total():
    rng = stream(7, "single")
    m = rng.standard_normal(50)
    c = variance_components(np.ones(50, np.int64), m, np.zeros(50))
    assert not c.separable
    assert math.isnan(c.between)
    assert c.total == pytest.approx(m.var(ddof=1))
    assert in_siemens(c, "linear").total == c.total


def test_equal_readings_have_zero_variance():
    c = variance_components(np.array([1, 2, 3]), np.full(3, 4.0), np.zeros(3))
    assert (c.mean, c.between, c.within) == (4.0, 0.0, 0.0)
    np.testing.assert_array_equal(c.weight, np.full(3, 1 / 3))
    assert not c.influence_between.any()
