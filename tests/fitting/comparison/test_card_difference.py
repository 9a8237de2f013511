"""Reference: t tests by hand and by scipy.stats; Holm's test on known p-values."""

import math

import numpy as np
import pytest
from scipy import stats

from rramfit.card import Quantity
from rramfit.fitting.comparison.card_difference import (
    ParameterTest,
    compare_parameters,
    difference,
    holm,
)
from rramfit.measurement.virtual.cards import random_card


def test_difference_agrees_with_the_welch_test():
    rng = np.random.default_rng(1)
    x, y = rng.normal(10, 1, 8), rng.normal(11, 3, 15)
    a, b = (
        Quantity.estimated(v.mean(), v.std(ddof=1) / math.sqrt(v.size), "S", df=v.size - 1)
        for v in (x, y)
    )
    expected = stats.ttest_ind(x, y, equal_var=False)
    t, df, p = difference(a, b)
    assert (t, df, p) == pytest.approx((expected.statistic, expected.df, expected.pvalue), rel=1e-6)


@pytest.mark.parametrize("scale", ["linear", "log", "logit", "fisher"])
def test_the_scale_follows_from_the_interval(scale):
    forward = {
        "linear": lambda x: x,
        "log": math.log,
        "logit": lambda x: math.log(x / (1 - x)),
        "fisher": math.atanh,
    }[scale]
    slope = {
        "linear": lambda _: 1.0,
        "log": lambda x: 1 / x,
        "logit": lambda x: 1 / (x * (1 - x)),
        "fisher": lambda x: 1 / (1 - x**2),
    }[scale]
    a = Quantity.estimated(0.30, 0.05, "1", scale=scale, df=12)
    b = Quantity.estimated(0.45, 0.03, "1", scale=scale)
    sa, sb = 0.05 * slope(0.30), 0.03 * slope(0.45)
    t, df, p = difference(a, b)
    expected = (forward(0.30) - forward(0.45)) / math.hypot(sa, sb)
    assert t == pytest.approx(expected, rel=1e-6)
    assert df == pytest.approx((sa**2 + sb**2) ** 2 / (sa**4 / 12), rel=1e-3)
    assert p == pytest.approx(2 * stats.t.sf(abs(expected), df), rel=1e-6)


def test_stated_numbers_are_exact():
    a = Quantity.estimated(2.0, 0.5, "S")
    t, _, p = difference(a, Quantity.given(1.0, "S"))
    assert t == pytest.approx(2.0, rel=1e-6)
    assert p == pytest.approx(2 * stats.norm.sf(2.0), rel=1e-5)
    assert difference(Quantity.given(1.0, "S"), Quantity.given(2.0, "S")) is None


def test_asymmetric_intervals_enter_by_their_facing_halves():
    a = Quantity.within(0.0, 0.001, "1", (0.0, 0.002))
    b = Quantity.within(0.010, 0.002, "1", (0.007, 0.015))
    t, _, p = difference(a, b)
    assert t == pytest.approx(-0.010 / (math.hypot(0.002, 0.003) / stats.norm.ppf(0.975)), rel=1e-6)
    assert p == pytest.approx(2 * stats.norm.sf(abs(t)), rel=1e-6)


def test_holm_step_down_procedure():
    q = Quantity.given(0.0, "1")

    def failing(p_values):
        tests = [
            ParameterTest(path=str(i), first=q, second=q, t=0.0, df=1.0, p_value=p)
            for i, p in enumerate(p_values)
        ]
        return [v.path for v in holm(tests, 0.05) if v.differs]

    # Limits in ascending order: 0.05/4, 0.05/3, 0.05/2, 0.05.
    assert failing([0.03, 0.012, 0.9, 0.016]) == ["1", "3"]
    assert failing([0.013, 0.014, 0.015, 0.016]) == []
    assert failing([0.001, 0.016, 0.024, 0.049]) == ["0", "1", "2", "3"]


def test_only_parameters_with_the_same_meaning_are_compared():
    a, b = random_card(1, levels=2), random_card(2, levels=2)
    assert compare_parameters(a, b) == []  # all stated
    mean = Quantity.estimated(50e-6, 1e-6, "S")
    level = a.levels[0].model_copy(update={"mean": mean})
    with_mean = a.model_copy(update={"levels": [level, a.levels[1]]})
    found = compare_parameters(with_mean, a)
    assert [v.path for v in found] == ["levels[0].mean"]
