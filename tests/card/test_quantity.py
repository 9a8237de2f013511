"""Intervals of estimates on linear, log, logit and Fisher scales."""

import math

import pytest
from pydantic import ValidationError
from scipy import stats

from rramfit.card import Quantity
from rramfit.card.quantity import interval

Z, T5 = stats.norm.ppf(0.975), stats.t(5).ppf(0.975)


def test_linear_and_students_t():
    assert interval(2.0, 0.1) == pytest.approx((2 - 0.1 * Z, 2 + 0.1 * Z))
    assert interval(2.0, 0.1, df=5) == pytest.approx((2 - 0.1 * T5, 2 + 0.1 * T5))


def test_log_keeps_a_standard_deviation_positive():
    low, high = interval(2.0, 1.5, scale="log")
    assert low > 0
    assert low * high == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("scale", "value", "inside"), [("logit", 0.02, (0, 1)), ("fisher", -0.97, (-1, 1))]
)
def test_bounded_scales_stay_inside(scale, value, inside):
    low, high = interval(value, 0.05, scale=scale)
    assert inside[0] < low < value < high < inside[1]


@pytest.mark.parametrize("scale", ["log", "logit"])
def test_interval_of_a_value_at_the_limit_starts_there(scale):
    low, high = interval(0.0, 0.1, scale=scale)
    assert low == 0
    assert high == pytest.approx(0.1 * Z)


def test_error_and_interval_come_together():
    with pytest.raises(ValidationError, match="together"):
        Quantity(value=1.0, stderr=0.1, unit="S")
    with pytest.raises(ValidationError):
        Quantity.given(math.nan, "S")
