"""Shares of failed cells by the lives on a card; the numbers are written out here."""

import math

import numpy as np
import pytest

from rramfit.card.blocks.endurance import (
    EarlyFailureCard,
    EnduranceCard,
    FailureMode,
    HazardStep,
    LifeCard,
    LifeFamily,
)
from rramfit.card.conditions.wear import failed_by_cycles, wear_findings
from rramfit.card.quantity import Quantity
from rramfit.errors import RramfitError


def given(value, unit="cycles"):
    return Quantity.given(value, unit)


RATES = [
    HazardStep(from_cycle=1, to_cycle=10, rate=given(1e-3, "1")),
    HazardStep(from_cycle=10, to_cycle=1000, rate=given(1e-5, "1")),
    HazardStep(from_cycle=1000, to_cycle=10_000, rate=given(2e-5, "1")),
]
MODES = {"stuck low": 0.15, "window closure": 0.05}


def lives(family=None, p_value=None, **more):
    parameters = {"weibull": {"shape": 2.0, "scale": 2e4}, "lognormal": {"median": 3e4, "sigma": 1}}
    families = [
        LifeFamily(
            family=name,
            parameters={k: given(v) for k, v in values.items()},
            cycles_to_1pct=given(1e3),
            log_likelihood=0.0,
            p_value=p_value,
        )
        for name, values in parameters.items()
        if family is not None
    ]
    life = LifeCard(
        cells=1000,
        failures=200,
        family=family,
        families=families,
        surviving=given(0.8, "1"),
        modes=[FailureMode(mode=m, failures=1, incidence=given(x, "1")) for m, x in MODES.items()],
        hazard=RATES,
        **more,
    )
    return EnduranceCard(first_cycle=1, longest_cycle=10_000, life=life)


@pytest.mark.parametrize("cycles", [1, 500, 10_000, 10**7])
def test_a_distribution_gives_the_share_and_the_modes(cycles):
    found = failed_by_cycles(lives("weibull", 0.5), cycles)
    total = -math.expm1(-((cycles / 2e4) ** 2))
    assert found["stuck low"] == pytest.approx(0.75 * total)
    assert found["window closure"] == pytest.approx(0.25 * total)
    z = math.log(cycles / 3e4)
    found = failed_by_cycles(lives("lognormal"), cycles)
    assert sum(found.values()) == pytest.approx(0.5 * math.erfc(-z / math.sqrt(2)))


@pytest.mark.parametrize("family", [None, "weibull"])
def test_without_a_distribution_that_fits_measured_rates_count(family):
    e = lives(family, 1e-4)
    for cycles, exponent in ((5, 4e-3), (10, 9e-3), (1000, 0.0189), (10_000, 0.1989)):
        found = failed_by_cycles(e, cycles)
        assert sum(found.values()) == pytest.approx(-math.expm1(-exponent))
    exponent = 0.1989 + (0.0 if family is None else (3e4 / 2e4) ** 2 - (1e4 / 2e4) ** 2)
    assert sum(failed_by_cycles(e, 30_000).values()) == pytest.approx(-math.expm1(-exponent))


def test_early_failures_are_not_extrapolated():
    early = EarlyFailureCard(
        share=given(0.05, "1"),
        scale=given(20.0),
        wear_out_shape=given(3.0, "1"),
        wear_out_scale=given(5e4),
    )
    e = lives("weibull", 0.5, early=early)
    exponent = 0.1989 + 1.2**3 - 0.2**3
    assert sum(failed_by_cycles(e, 10_000).values()) == pytest.approx(-math.expm1(-0.1989))
    assert sum(failed_by_cycles(e, 60_000).values()) == pytest.approx(-math.expm1(-exponent))


@pytest.mark.parametrize("card", [lives("weibull"), lives("weibull", 1e-4), lives()])
def test_more_cycles_fail_no_fewer_cells(card):
    shares = [sum(failed_by_cycles(card, int(n)).values()) for n in np.logspace(0, 12, 60)]
    assert np.all(np.diff(shares) >= 0)
    assert 0 <= shares[0] <= shares[-1] <= 1


def test_nothing_is_known_without_lives():
    for card in (None, EnduranceCard(first_cycle=1, longest_cycle=100)):
        assert failed_by_cycles(card, 1000) == {}
        (text,) = wear_findings("a", card, 1000)
        assert "Card a has no lives of cells" in text
        assert wear_findings("a", card, 0) == []
    assert failed_by_cycles(lives("weibull"), 0) == {}


def test_what_is_beyond_the_measurement_is_named():
    assert wear_findings("a", lives("weibull"), 10_000) == []
    (text,) = wear_findings("a", lives("weibull"), 50_000)
    assert "5 times the most that were measured (10000)" in text
    (text,) = wear_findings("a", lives(failed_bound=given(0.25, "1")), 50_000)
    assert "200 failed cells of 1000" in text
    assert "at most 25 %" in text


@pytest.mark.parametrize("cycles", [-1, 1.5, math.nan, math.inf])
def test_impossible_numbers_of_cycles_are_refused(cycles):
    with pytest.raises(RramfitError, match="whole number"):
        failed_by_cycles(lives("weibull"), cycles)
