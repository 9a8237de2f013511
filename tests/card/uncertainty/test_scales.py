"""The scale of an estimate follows from its interval."""

import math

import pytest
from scipy import stats

from rramfit.card import Quantity
from rramfit.card.uncertainty.scales import SCALES, halves, on_scale, own_scale


@pytest.mark.parametrize(("at", "name"), [(0, "linear"), (1, "log"), (2, "logit"), (3, "fisher")])
@pytest.mark.parametrize("df", [3, 12, math.inf])
def test_scale_error_and_degrees_of_freedom(at, name, df):
    q = Quantity.estimated(0.3, 0.05, "1", scale=name, df=df)
    scale, found = own_scale(q)
    assert scale is SCALES[at]
    assert scale.back(found.value) == pytest.approx(0.3)
    assert found.stderr == pytest.approx(0.05 * scale.slope(0.3))
    assert found.df == pytest.approx(df, rel=1e-3) if df < math.inf else found.df > 1e6


def test_a_given_number_is_on_every_scale_without_error():
    assert [on_scale(Quantity.given(0.3, "1"), s).stderr for s in SCALES] == [0.0] * 4


def test_an_exact_interval_has_two_halves_and_no_scale():
    q = Quantity.within(0.01, 0.002, "1", (0.007, 0.015))
    assert own_scale(q) is None
    low, high = halves(q)
    assert (low, high) == pytest.approx((0.003 / stats.norm.ppf(0.975), 0.005 / 1.959964))


def test_the_error_between_arrays_is_on_the_scale_too():
    q = Quantity.estimated(2.0, 0.1, "S", scale="log").model_copy(update={"between": 0.5})
    assert own_scale(q)[1].between == pytest.approx(0.25)
