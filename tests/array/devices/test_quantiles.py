"""Quantile tables against scipy's distributions."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from rramfit.array.devices.quantiles import KNOTS, REACH, interpolate, latent_knots, quantile_table
from rramfit.errors import ArrayError

CASES = {
    "normal": ({"loc": 80e-6, "scale": 8e-6}, stats.norm(80e-6, 8e-6)),
    "lognormal": ({"mu": -9.4, "sigma": 0.3}, stats.lognorm(0.3, scale=math.exp(-9.4))),
    "gamma": ({"shape": 20.0, "scale": 4e-6}, stats.gamma(20.0, scale=4e-6)),
    "weibull": ({"shape": 6.0, "scale": 80e-6}, stats.weibull_min(6.0, scale=80e-6)),
    "student_t": ({"loc": 80e-6, "scale": 8e-6, "df": 6.0}, stats.t(6.0, 80e-6, 8e-6)),
    "skew_normal": ({"loc": 80e-6, "scale": 8e-6, "shape": 3.0}, stats.skewnorm(3.0, 80e-6, 8e-6)),
    "johnson_su": (
        {"gamma": -0.5, "delta": 1.8, "xi": 70e-6, "lambda": 9e-6},
        stats.johnsonsu(-0.5, 1.8, 70e-6, 9e-6),
    ),
}


def drawn(name: str, parameters: dict[str, float], n: int) -> np.ndarray:
    z = torch.randn(n, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    table = torch.from_numpy(quantile_table(name, parameters))[None]
    return interpolate(table, torch.zeros(n, dtype=torch.int64), z).numpy()


@pytest.mark.parametrize("name", CASES)
def test_draws_follow_the_family(name):
    parameters, distribution = CASES[name]
    found = stats.kstest(drawn(name, parameters, 200_000), distribution.cdf)
    assert found.pvalue > 1e-3


def test_a_mixture_is_drawn_from_all_components():
    parameters = {
        "weight_1": 0.7, "mean_1": 40e-6, "std_1": 3e-6,
        "weight_2": 0.3, "mean_2": 90e-6, "std_2": 5e-6,
    }  # fmt: skip
    n = 200_000

    def cdf(g):
        return 0.7 * stats.norm.cdf(g, 40e-6, 3e-6) + 0.3 * stats.norm.cdf(g, 90e-6, 5e-6)

    assert stats.kstest(drawn("mixture", parameters, n), cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", CASES)
def test_error_between_knots_is_limited_by_the_curvature(name):
    parameters, distribution = CASES[name]
    table = quantile_table(name, parameters)
    z = latent_knots()[:-1] + REACH / (KNOTS - 1)  # halfway
    z = z[np.abs(z) < 5]
    found = interpolate(
        torch.from_numpy(table)[None],
        torch.zeros(len(z), dtype=torch.int64),
        torch.from_numpy(z),
    ).numpy()
    exact = distribution.ppf(stats.norm.cdf(z))
    step = 2 * REACH / (KNOTS - 1)
    curvature = np.abs(np.gradient(np.gradient(exact, step), step)).max()
    assert (
        np.abs(found - exact).max() <= 1.05 * curvature * step**2 / 8 + 1e-9 * distribution.mean()
    )


def test_cells_use_the_table_of_their_level_and_the_ends_are_straight():
    knots = torch.from_numpy(latent_knots())
    tables = torch.stack([knots, 10 + 2 * knots])
    z = torch.tensor([-8.0, 0.3, 8.0], dtype=torch.float64)
    for level, want in ((0, z), (1, 10 + 2 * z)):
        found = interpolate(tables, torch.full((3,), level), z)
        torch.testing.assert_close(found, want)


def test_conductance_is_differentiable_in_the_latent_value():
    parameters, _ = CASES["lognormal"]
    table = torch.from_numpy(quantile_table("lognormal", parameters))[None]
    z = torch.tensor([-1.0, 0.2, 2.0], dtype=torch.float64, requires_grad=True)
    g = interpolate(table, torch.zeros(3, dtype=torch.int64), z)
    g.sum().backward()
    step = 2 * REACH / (KNOTS - 1)  # within a step the slope varies by sigma·step/2
    torch.testing.assert_close(z.grad, 0.3 * g.detach(), rtol=0.3 * step, atol=0.0)


def test_invalid_distributions_are_refused():
    with pytest.raises(ArrayError, match="cauchy"):
        quantile_table("cauchy", {})
    with pytest.raises(ArrayError, match="normal with"):
        quantile_table("normal", {"loc": 1e-6, "scale": -1e-6})
