"""Whether cells change by one amount or by one factor, and what that does to a predicted spread."""

import math

import numpy as np
import pytest

from rramfit.card import Quantity
from rramfit.fitting.time.bakes import Bake, fit_bakes, join_bakes
from rramfit.fitting.time.bakes.spread_evidence import factor_gain, proportionality
from rramfit.measurement.file.in_memory import reads_in_memory
from rramfit.measurement.virtual.cards import virtual_card

COOL, HOT = 358.15, 393.15
TIMES = np.array([0.0, 1.0, 60.0, 3600.0, 86400.0])
MEANS = np.array([30e-6, 80e-6])
SPREAD, GROWTH, NOISE = 0.07, 0.002, 0.01
ENERGY = 0.6
DECADE = 3.156e8
K = 4.5


def factor(kelvin):
    return math.exp(ENERGY / 8.617333e-5 * (1 / COOL - 1 / kelvin))


def readings(start, mean, kelvin, rng, *, domain, drift=-0.0015, exponent=0.0):
    """Cells whose mean changes by drift·f·x(t), alike in siemens or by one factor."""
    f, grown, before, y = factor(kelvin), np.zeros(start.shape), 0.0, []
    for t in TIMES:
        x = 0.0
        if t > 0:
            x = math.log(t) if exponent == 0 else (t**exponent - 1) / exponent
        step = GROWTH * mean * math.sqrt(f * (x - before))
        grown, before = grown + step * rng.standard_normal(start.shape), x
        state = start * math.exp(drift * f * x) if domain == "log" else start + drift * f * x * mean
        y.append((state + grown) * (1 + NOISE * rng.standard_normal(start.shape)))
    return np.stack(y)


def bake(kelvin, seed, **law):
    rng = np.random.default_rng(seed)
    shape = (40, 40)
    level = np.arange(1600).reshape(shape) % 2
    start = MEANS[level] * (1 + SPREAD * rng.standard_normal(shape))
    y = np.empty((len(TIMES), *shape))
    for k, mean in enumerate(MEANS):
        y[:, level == k] = readings(start[level == k], mean, kelvin, rng, **law)
    return Bake(
        reads=reads_in_memory(y, time=TIMES, level=level, read_voltage=0.2, temperature=kelvin)
    )


def card_with(fit):
    """A card whose levels and read noise are those of the cells."""
    card = virtual_card("two", mean=MEANS.tolist(), spread=SPREAD, distribution="normal")
    total = math.hypot(SPREAD, NOISE)
    levels = [
        x.model_copy(update={"mean": Quantity.given(m, "S"), "std": Quantity.given(total * m, "S")})
        for x, m in zip(card.levels, MEANS, strict=True)
    ]
    variation = [
        v.model_copy(update={"read": Quantity.given(NOISE * m, "S")})
        for v, m in zip(card.variation, MEANS, strict=True)
    ]
    return card.model_copy(
        update={"levels": levels, "variation": variation, "temperature": fit.block}
    )


def spread_at(x, change):
    """Return the relative std of readings whose states were multiplied by e^change."""
    return math.sqrt((SPREAD * math.exp(change)) ** 2 + GROWTH**2 * x + NOISE**2)


@pytest.mark.parametrize(("domain", "wanted"), [("log", 1.0), ("linear", 0.0)])
def test_cells_say_whether_they_change_by_one_factor(domain, wanted):
    rng = np.random.default_rng(4)
    found = []
    for _ in range(40):
        start = 50e-6 * (1 + SPREAD * rng.standard_normal(400))
        y = readings(start, 50e-6, HOT, rng, domain=domain)
        found.append(proportionality(y.T))
    s, variance = np.array(found).T
    assert abs(s.mean() - wanted) < K * s.std() / math.sqrt(40)
    z = (s - wanted) / np.sqrt(variance)
    assert 1 - K / math.sqrt(80) < z.std() < 1 + K / math.sqrt(80)


def test_readings_that_do_not_say_it():
    rng = np.random.default_rng(5)
    y = readings(50e-6 * (1 + SPREAD * rng.standard_normal(300)), 50e-6, HOT, rng, domain="log")
    flat = np.full((40, 4), 50e-6)
    for few in (y[:, :10].T, y[:2].T, -y.T, flat, np.full((40, 4), np.nan)):
        assert np.isnan(proportionality(few)).all()
    assert factor_gain([]) is None
    assert factor_gain([np.full((2, 2), np.nan)]) is None


def test_cells_between_the_two_do_not_decide():
    """A proportionality of ½ with tiny errors is a misfit of both, not a proof of one."""
    assert abs(factor_gain([np.array([[0.51, 1e-6], [0.49, 1e-6]])])) < 1


@pytest.mark.parametrize("domain", ["linear", "log"])
def test_small_changes_predict_the_spread_that_they_make(domain):
    """Means alone cannot separate the two: 6 to 11 % of the level change."""
    fit = fit_bakes([bake(COOL, 1, domain=domain), bake(HOT, 2, domain=domain)])
    law = fit.block.drift
    assert (law.by_factor > 0.99) if domain == "log" else (law.by_factor < 0.01)
    at = card_with(fit).levels_at(time=DECADE, temperature=COOL)
    x = math.log(DECADE)
    c = -0.0015 * x
    for level, mean in zip(at.levels, MEANS, strict=True):
        wanted = mean * spread_at(x, c if domain == "log" else 0.0)
        assert level.std.ci95[0] < wanted < level.std.ci95[1]
        assert level.std.value == pytest.approx(wanted, rel=0.03)


def test_most_of_the_conductance_lost_leaves_the_growth_alone():
    """What a factor does to the spread is no growth, and ends with the conductance."""
    law = {"domain": "log", "drift": -0.008, "exponent": 0.2}
    fit = fit_bakes([bake(COOL, 3, **law), bake(HOT, 4, **law)])
    growth = fit.block.growth
    energy = growth.activation_energy
    assert energy.ci95[0] < ENERGY < energy.ci95[1]
    x = (DECADE**0.2 - 1) / 0.2
    at = card_with(fit).levels_at(time=DECADE, temperature=COOL)
    for level, mean in zip(at.levels, MEANS, strict=True):
        wanted = mean * spread_at(x, -0.008 * x)
        assert level.std.ci95[0] < wanted < level.std.ci95[1]


def test_without_cells_both_are_possible():
    """Cards state changes of means only: the interval of the spread covers both."""
    cards = [
        card_with(fit_bakes([bake(t, 5 + k, domain="linear"), bake(t, 7 + k, domain="linear")]))
        for k, t in enumerate((COOL, HOT))
    ]
    fit = join_bakes(cards)
    assert 0.1 < fit.block.drift.by_factor < 0.9
    at = card_with(fit).levels_at(time=DECADE, temperature=COOL)
    x = math.log(DECADE)
    for level, mean in zip(at.levels, MEANS, strict=True):
        for change in (0.0, -0.0015 * x):
            wanted = mean * spread_at(x, change)
            assert level.std.ci95[0] < wanted < level.std.ci95[1]
