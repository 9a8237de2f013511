"""The latent scale against double quadrature and against closed forms."""

import math

import numpy as np
import pytest

from rramfit.array.devices.latent import (
    conditional_means,
    cross_covariance,
    explained,
    solve_rising,
    spectra,
)
from rramfit.array.devices.parameters import estimands, level_parameters
from rramfit.array.devices.quantiles import latent_knots, quantile_table
from rramfit.card.families import FAMILIES
from rramfit.errors import ArrayError
from rramfit.measurement import random_card


def table(name, **parameters):
    return quantile_table(name, parameters)[None]


def test_lognormal_covariance_in_closed_form():
    mu, sigma = -9.4, 0.4
    coefficients, power = spectra(latent_knots(), table("lognormal", mu=mu, sigma=sigma))
    mean2 = math.exp(2 * mu + sigma**2)
    # the table's chords lie above its curve by up to (h·sigma)²/8 = 7e-7 of the value
    assert coefficients[0, 0] == pytest.approx(math.sqrt(mean2), rel=2e-6)
    for x in (0.1, 0.5, 0.9, 1.0):
        found = explained(power, np.array([x]))[0]
        assert found == pytest.approx(mean2 * math.expm1(sigma**2 * x), rel=1e-5)
        cross = cross_covariance(coefficients, np.array([[-x]]))[0, 0]
        assert cross == pytest.approx(mean2 * math.expm1(-(sigma**2) * x), rel=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_shares_of_variance_agree_with_double_quadrature(name):
    card = random_card(2, distribution=name, spatial=False, read_noise=False)
    p = level_parameters(card)
    z = np.linspace(-8, 8, 1201)
    w = np.exp(-0.5 * z**2)
    w /= w.sum()
    for k in range(3):

        def q(x, k=k):
            return np.interp(x, latent_knots(), p.table[k])

        a = p.a[k]
        inner = q(a * z[:, None] + math.sqrt(1 - a**2) * z) @ w  # E[S | D] on a grid of D
        between = w @ (inner - w @ inner) ** 2
        assert math.sqrt(between) == pytest.approx(card.variation[k].d2d.value, rel=2e-4)
        m = conditional_means(latent_knots(), p.table[k : k + 1], p.a[k : k + 1])[0]
        inside = np.abs(z) < 5
        np.testing.assert_allclose(
            np.interp(z[inside], latent_knots(), m), inner[inside], rtol=0, atol=2e-5 * p.mean[k]
        )


@pytest.mark.parametrize("name", FAMILIES)
def test_parameters_give_the_card_back(name):
    card = random_card(7, distribution=name, array=(40, 56))
    e = estimands(level_parameters(card), (40, 56))
    for k, (level, v) in enumerate(zip(card.levels, card.variation, strict=True)):
        # 1e-5: the table approximates the family
        assert e.mean[k] == pytest.approx(level.mean.value, rel=1e-5)
        assert e.std[k] == pytest.approx(level.std.value, rel=1e-4)
        assert e.d2d[k] == pytest.approx(v.d2d.value, rel=1e-9)
        assert e.c2c[k] == pytest.approx(v.c2c.value, rel=3e-4)
        assert e.share[k] == pytest.approx(v.spatial.share.value, rel=1e-9)
        assert e.lengths[k] == pytest.approx(v.spatial.correlation_length.value, rel=1e-9)
    # levels of slightly different latent lengths lose a little correlation
    np.testing.assert_allclose(e.correlation, card.variation_correlation, rtol=1e-4)


def test_a_trend_makes_more_d2d_on_a_larger_array():
    card = random_card(7, array=(32, 32))
    p = level_parameters(card)
    small, large = estimands(p, (32, 32)), estimands(p, (128, 128))
    added = (p.row_trend**2 + p.col_trend**2) * (128**2 - 32**2) / 12
    np.testing.assert_allclose(large.d2d**2 - small.d2d**2, added, rtol=1e-9)


def test_solving_stops_at_the_ends():
    found = solve_rising(lambda x: x**3, np.array([-1.0, 0.0, 0.125, 2.0]))
    np.testing.assert_allclose(found, [0.0, 0.0, 0.5, 1.0], atol=1e-15)


def test_missing_quantities_are_listed_as_assumptions():
    card = random_card(1)
    bare = card.model_copy(
        update={
            "variation": [],
            "variation_correlation": None,
            "levels": [x.model_copy(update={"distribution": None}) for x in card.levels],
        }
    )
    p = level_parameters(bare)
    assert (p.a == 0).all()
    assert (p.shrink == 1).all()
    assert sum("taken as normal" in text for text in p.assumptions) == 3
    assert sum("persists over programmings" in text for text in p.assumptions) == 3


def test_a_card_without_levels_or_conductances_is_refused():
    card = random_card(1)
    with pytest.raises(ArrayError, match="no levels"):
        level_parameters(card.model_copy(update={"levels": []}))
    nothing = {"distribution": None, "mean": None, "target": None}
    empty = [x.model_copy(update=nothing) for x in card.levels]
    with pytest.raises(ArrayError, match="neither distribution, mean nor target"):
        level_parameters(card.model_copy(update={"levels": empty}))
