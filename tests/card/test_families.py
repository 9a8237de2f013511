"""Every family agrees with scipy's implementation of the same distribution."""

import numpy as np
import pytest
from scipy import stats

from rramfit.card import FAMILIES, family

CASES = {
    "normal": ({"loc": 3, "scale": 2}, stats.norm(3, 2)),
    "lognormal": ({"mu": 1, "sigma": 0.5}, stats.lognorm(0.5, scale=np.e)),
    "gamma": ({"shape": 3, "scale": 2}, stats.gamma(3, scale=2)),
    "weibull": ({"shape": 3, "scale": 2}, stats.weibull_min(3, scale=2)),
    "student_t": ({"loc": 1, "scale": 2, "df": 5}, stats.t(5, 1, 2)),
    "skew_normal": ({"loc": 1, "scale": 2, "shape": 3}, stats.skewnorm(3, 1, 2)),
    "johnson_su": (
        {"gamma": 1, "delta": 2, "xi": 1, "lambda": 2},
        stats.johnsonsu(1, 2, 1, 2),
    ),
    "mixture": (
        {"weight_1": 0.3, "mean_1": 1, "std_1": 0.5, "weight_2": 0.7, "mean_2": 2, "std_2": 1},
        stats.Mixture(
            [stats.Normal(mu=1, sigma=0.5), stats.Normal(mu=2, sigma=1)], weights=[0.3, 0.7]
        ),
    ),
}
PROBABILITY = np.array([1e-9, 1e-3, 0.2, 0.5, 0.9, 1 - 1e-6])


def test_every_family_is_tested():
    assert set(CASES) == set(FAMILIES)


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_scipy(name):
    parameters, distribution = CASES[name]
    f = family(name)
    g = f.ppf(PROBABILITY, parameters)
    ccdf = distribution.ccdf(g) if name == "mixture" else distribution.sf(g)
    log_density = distribution.logpdf(g)
    mean, std = (
        distribution.mean(),
        distribution.standard_deviation() if name == "mixture" else distribution.std(),
    )
    np.testing.assert_allclose(distribution.cdf(g), PROBABILITY, rtol=1e-6)
    np.testing.assert_allclose(f.cdf(g, parameters), PROBABILITY, rtol=1e-6)
    np.testing.assert_allclose(f.sf(g, parameters), ccdf, rtol=1e-6)
    np.testing.assert_allclose(f.logpdf(g, parameters), log_density, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(f.moments(parameters), (mean, std), rtol=1e-9)


@pytest.mark.parametrize("name", [n for n, f in FAMILIES.items() if f.positive])
def test_positive_families_have_zero_density_below_zero(name):
    f, parameters = family(name), CASES[name][0]
    assert f.logpdf(-1.0, parameters) == -np.inf
    assert f.cdf(-1.0, parameters) == 0
    assert f.sf(-1.0, parameters) == 1


def test_error_for_an_unknown_family_lists_all_families():
    with pytest.raises(
        KeyError, match=r"unknown distribution family 'cauchy'; expected one of normal, lognormal"
    ):
        family("cauchy")
