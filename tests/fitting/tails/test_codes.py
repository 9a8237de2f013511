"""Codes against the binomial distribution, and tolerance factors against ISO 16269-6."""

import math

import numpy as np
import pytest
from scipy import stats

from rramfit.card.quantity import Quantity
from rramfit.fitting.tails import codes_for, required_code
from rramfit.fitting.tails.codes import log_lost
from rramfit.fitting.tails.tolerance import (
    cells_for_free_limits,
    free_limits,
    normal_factor,
    normal_factor_two_sided,
    removed_readings,
)


@pytest.mark.parametrize(
    ("bits", "corrects", "rate"), [(72, 1, 1e-3), (4161, 5, 1e-4), (4161, 300, 0.05), (10, 0, 0.5)]
)
def test_lost_words_are_binomial(bits, corrects, rate):
    expected = stats.binom.sf(corrects, bits, rate)
    assert log_lost(bits, corrects, rate) == pytest.approx(math.log(expected), abs=1e-9)


def test_lost_words_far_below_floating_point():
    # C(72, 40)·p^40 alone, as the following terms are smaller by p.
    expected = math.log(math.comb(72, 40)) + 40 * math.log(1e-12)
    assert log_lost(72, 39, 1e-12) == pytest.approx(expected, abs=1e-6)
    assert log_lost(72, 1, 0.0) == -math.inf
    assert log_lost(72, 1, 1.0) == 0.0


def test_the_code_is_the_shortest_that_is_enough():
    for rate in (1e-12, 1e-7, 1e-5, 1e-4, 1e-3):
        for data in (64, 4096):
            code = required_code(rate, data)
            lost = stats.binom.sf(code.corrects, code.bits, rate) / data
            assert lost <= 1e-15
            if code.kind == "BCH":
                m = code.check_bits // code.corrects
                assert 2**m - 1 >= code.bits > 2 ** (m - 1) - 1 - m
                before = code.bits - m
                assert stats.binom.sf(code.corrects - 1, before, rate) / data > 1e-15


def test_no_code_and_none_needed():
    assert required_code(0.0, 64).kind == "none"
    assert required_code(1e-10, 64).kind == "SEC-DED"
    assert required_code(1e-10, 64).check_bits == 8
    assert required_code(0.3, 64) is None
    for bad in ((-0.1, 64), (1.5, 64), (0.1, 0)):
        with pytest.raises(ValueError, match="correct them"):
            required_code(*bad)
    with pytest.raises(ValueError, match="correct them"):
        required_code(0.1, 64, target=0.0)


def test_codes_at_the_upper_limit_of_the_rate():
    small, large = codes_for(Quantity.within(1e-6, 1e-6, "1", (0.0, 1e-4)))
    assert small.corrects_at_limit > small.corrects
    assert large.corrects_at_limit > large.corrects
    (none,) = codes_for(Quantity.within(1e-6, 1e-1, "1", (0.0, 0.4)), data_bits=(64,))
    assert none.corrects_at_limit is None


@pytest.mark.parametrize(
    ("n", "coverage", "confidence", "one", "two"),
    [
        (10, 0.95, 0.95, 2.911, 3.393),  # Hahn and Meeker, tables A.10 and A.12
        (10, 0.99, 0.95, 3.981, 4.437),
        (30, 0.90, 0.99, 2.030, 2.394),
        (100, 0.95, 0.95, 1.927, 2.234),
    ],
)
def test_normal_factors_are_those_of_the_tables(n, coverage, confidence, one, two):
    shares = {"coverage": coverage, "confidence": confidence}
    assert normal_factor(n, n - 1, **shares) == pytest.approx(one, abs=3e-3)
    assert normal_factor_two_sided(n, n - 1, **shares) == pytest.approx(two, abs=8e-3)


def test_free_limits_need_as_many_cells_as_wilks_says():
    assert cells_for_free_limits(coverage=0.95) == 93
    assert cells_for_free_limits(coverage=0.99, sides=1) == 299
    assert removed_readings(4742) == 2
    assert removed_readings(4741) == 1
    rng = np.random.default_rng(1)
    few = free_limits(rng.standard_normal(3000), 1.0)
    assert few.method is None
    assert few.cells_needed == 4742
    assert free_limits(rng.standard_normal(6000), 2.0).cells_needed == 9484


def test_free_limits_hold_the_share_with_the_confidence():
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(200):
        t = free_limits(rng.standard_normal(8000), 1.0)
        held += stats.norm.cdf(t.upper) - stats.norm.cdf(t.lower) >= 0.999
    assert held >= 184


def test_normal_limits_hold_the_share_with_the_confidence():
    rng = np.random.default_rng(3)
    k, held = normal_factor_two_sided(25, 24), 0
    for _ in range(2000):
        x = rng.standard_normal(25)
        low, high = x.mean() - k * x.std(ddof=1), x.mean() + k * x.std(ddof=1)
        held += stats.norm.cdf(high) - stats.norm.cdf(low) >= 0.999
    assert 0.935 < held / 2000 < 0.965
