"""Levels at other times and temperatures: what is predicted, what is marked, what is refused."""

import math

import numpy as np
import pytest
import torch

from rramfit.array import DeviceModel
from rramfit.array.devices.chips import draw_chips
from rramfit.card import Quantity, levels_at, take_levels
from rramfit.card.blocks.disturb import DisturbCard, DisturbLevel
from rramfit.card.blocks.temperature import BakeCard, LevelLaw
from rramfit.card.uncertainty.draw import draw_card
from rramfit.errors import RramfitError
from rramfit.mapping import analog_setup
from rramfit.measurement.virtual.cards import virtual_card
from rramfit.measurement.virtual.group_cards import with_bakes, with_groups
from rramfit.streams import torch_stream

MEANS = (2e-5, 5e-5, 9e-5)
COOL, HOT = 358.15, 398.15
DAY, TEN_YEARS = 86_400.0, 10 * 365.25 * 86_400


def card_of(family="normal", **law):
    """A card with retention at 85 °C, and with a law of several bakes if it is asked for."""
    card = with_groups(virtual_card("three", mean=list(MEANS), spread=0.03, distribution=family), 3)
    if not law:
        return card
    card = with_bakes(card, **law)
    bakes = [
        BakeCard(
            temperature=Quantity.given(t, "K"),
            reference_time=Quantity.given(1.0, "s"),
            longest_time=Quantity.given(DAY, "s"),
            cells=1000,
            lost=0,
            lost_bound=Quantity.given(0.0, "1"),
        )
        for t in (COOL, HOT)
    ]
    return card.model_copy(
        update={"temperature": card.temperature.model_copy(update={"bakes": bakes})}
    )


def test_nothing_has_changed_at_time_0():
    card = card_of()
    now = card.levels_at()
    assert not now.extrapolated
    assert now.findings == ()
    for level, own in zip(now.levels, card.levels, strict=True):
        assert (level.mean, level.std) == (own.mean, own.std)
        assert level.parameters == {n: q.value for n, q in own.distribution.parameters.items()}


def test_one_bake_predicts_at_its_own_temperature_only():
    card = card_of()
    row = card.retention.levels[1]
    at = card.levels_at(time=DAY, temperature=COOL + 0.5)
    change = row.first_step.value + row.drift.value * math.log(DAY)
    assert at.levels[1].mean.value == pytest.approx(MEANS[1] + change)
    assert not at.extrapolated
    with pytest.raises(RramfitError, match="one temperature gives no activation energy"):
        card.levels_at(time=DAY, temperature=HOT)


def test_past_the_longest_time_is_marked():
    card = card_of()
    at = card.levels_at(time=TEN_YEARS)
    assert at.extrapolated
    assert all(level.extrapolated for level in at.levels)
    assert "times the longest time" in at.findings[0]


@pytest.mark.parametrize("domain", ["linear", "log"])
def test_a_law_accelerates_by_arrhenius(domain):
    card = card_of(energy=0.5, domain=domain)
    f = math.exp(0.5 / 8.617333e-5 * (1 / COOL - 1 / HOT))
    cool, hot = (card.levels_at(time=DAY, temperature=t) for t in (COOL, HOT))
    for k, row in enumerate(card.retention.levels):
        step, drift = row.first_step.value, row.drift.value * math.log(DAY)
        for at, rate in ((cool, 1.0), (hot, f)):
            change = step + rate * drift
            wanted = MEANS[k] + change
            if domain == "log":
                wanted = MEANS[k] * math.exp(change / MEANS[k])
            assert at.levels[k].mean.value == pytest.approx(wanted, rel=1e-6)
    assert not hot.extrapolated
    assert hot.temperature == HOT
    below = card.levels_at(time=DAY, temperature=300.0)
    assert below.extrapolated
    assert "below the lowest temperature" in below.findings[0]
    assert "above the highest" in card.levels_at(time=DAY, temperature=450.0).findings[0]


@pytest.mark.parametrize("family", ["normal", "lognormal", "gamma", "weibull", "johnson_su"])
def test_distributions_have_the_mean_and_std_that_are_stated(family):
    card = card_of(family, energy=0.6, domain="log")
    at = card.levels_at(time=DAY, temperature=HOT)
    for level in at.levels:
        g = level.ppf(np.linspace(0.0005, 0.9995, 1000))
        assert g.mean() == pytest.approx(level.mean.value, rel=2e-3)
        assert g.std() == pytest.approx(level.std.value, rel=0.05)
        assert level.cdf(g[300]) == pytest.approx(0.0005 + 300 * 0.999 / 999)
        assert level.cdf(g) + level.sf(g) == pytest.approx(np.ones(1000))


@pytest.mark.parametrize("domain", ["linear", "log"])
@pytest.mark.parametrize(("kelvin", "time"), [(COOL, TEN_YEARS), (HOT, DAY)])
def test_drawn_chips_follow_the_prediction(domain, kelvin, time):
    import torch

    card = card_of(energy=0.5, exponent=0.15, domain=domain)
    model = DeviceModel.from_card(card, dtype=torch.float64, temperature=kelvin)
    chips = draw_chips(model, 1, shape=(150, 150), generator=torch_stream(1, "chips"))
    level = (torch.arange(150 * 150) % 3).reshape(1, 150, 150)
    at = card.levels_at(time=time, temperature=kelvin)
    ageing = torch_stream(1, "age")
    state = chips.program(level, generator=torch_stream(1, "program"))
    for moment in (1.0, 0.01 * time, time):  # steps of any length lead to the same chips
        state = state.age(moment, ageing)
    reading = state.read(torch_stream(1, "read"))
    for k, wanted in enumerate(at.levels):
        g = reading[level == k]
        assert float(g.mean()) == pytest.approx(wanted.mean.value, rel=0.004)
        assert float(g.std()) == pytest.approx(wanted.std.value, rel=0.06)


def test_a_mean_stops_above_zero():
    card = card_of(energy=1.1, domain="linear")
    at = card.levels_at(time=TEN_YEARS, temperature=450.0)
    for level, mean in zip(at.levels, MEANS, strict=True):
        assert 0 < level.mean.value <= mean
        assert level.std.value >= 0
    assert any("nearly all conductance" in f for f in at.findings)


def test_errors_widen_with_the_extrapolation():
    card = card_of(energy=0.6)
    law = card.temperature.drift
    q = Quantity.estimated
    levels = [
        LevelLaw(
            level=x.level,
            step=x.step,
            rate=q(x.rate.value, 0.02 * abs(x.rate.value), "S"),
            correlation=[[1.0, 0.0, 0.6], [0.0, 1.0, 0.0], [0.6, 0.0, 1.0]],
        )
        for x in law.levels
    ]
    law = law.model_copy(
        update={
            "activation_energy": q(0.6, 0.03, "eV"),
            "exponent": q(0.0, 0.02, "1"),
            "levels": levels,
        }
    )
    card = card.model_copy(
        update={"temperature": card.temperature.model_copy(update={"drift": law})}
    )
    near, far = (card.levels_at(time=t, temperature=HOT) for t in (DAY, TEN_YEARS))
    for a, b in zip(near.levels, far.levels, strict=True):
        assert a.mean.ci95[0] <= a.mean.value <= a.mean.ci95[1]
        assert b.mean.stderr > 2 * a.mean.stderr
    means, stds = far.draws(500)
    assert means.shape == stds.shape == (500, 3)
    assert np.corrcoef(means.T)[0, 1] > 0.9  # the energy and the exponent are shared
    drawn = [
        draw_card(card, seed=2, draw=i).levels_at(time=TEN_YEARS, temperature=HOT).levels[1]
        for i in range(150)
    ]
    spread = np.std([x.mean.value for x in drawn])
    assert spread == pytest.approx(means[:, 1].std(), rel=0.3)


def test_reads_are_said_to_be_unknown():
    at = card_of().levels_at(reads=1000)
    assert at.extrapolated
    assert "effect of 1000 reads" in at.findings[0]


def disturbed(rates, *, reads=100, stderr=None):
    """A card whose levels change by these rates per read [S]."""
    card = card_of()

    def rate(value):
        return (
            Quantity.given(value, "S") if stderr is None else Quantity.estimated(value, stderr, "S")
        )

    part = DisturbCard(
        reads=reads,
        separated=True,
        levels=[
            DisturbLevel(level=k, n_cells=50, rate=rate(r), left=Quantity.given(0.0, "1"))
            for k, r in enumerate(rates)
        ],
    )
    noise = card.read_noise.model_copy(update={"disturb": part})
    return card.model_copy(update={"read_noise": noise})


def test_reads_move_the_means_and_nothing_else():
    card = disturbed([1e-9, -2e-9, 0.0])
    at, now = card.levels_at(reads=100), card.levels_at()
    for level, own, change in zip(at.levels, now.levels, (1e-7, -2e-7, 0.0), strict=True):
        assert level.mean.value == pytest.approx(own.mean.value + change)
        assert level.std.value == own.std.value
    assert not at.extrapolated
    assert at.findings == ()
    later = card.levels_at(time=DAY, temperature=COOL, reads=100).levels[1].mean.value
    aged = card.levels_at(time=DAY, temperature=COOL).levels[1].mean.value
    assert later == pytest.approx(aged - 2e-7)


def test_more_reads_than_were_measured_are_marked():
    at = disturbed([1e-9] * 3).levels_at(reads=1000)
    assert at.extrapolated
    assert "10 times the most that were measured (100)" in at.findings[0]
    gone = disturbed([-1e-6] * 3).levels_at(reads=1000)
    assert gone.levels[0].mean.value == pytest.approx(0.01 * MEANS[0])


def test_no_disturb_found_is_a_bound():
    """The interval is 1.96 standard errors times the reads; the mean stays."""
    card = disturbed([0.5e-9] * 3, stderr=1e-9)
    level = card.levels_at(reads=10_000).levels[0]
    assert level.mean.value == MEANS[0]
    assert level.mean.ci95 == pytest.approx((4.9e-6, 44.1e-6), abs=1e-6)
    assert any("may change its mean by up to" in f for f in card.levels_at(reads=10_000).findings)


def test_selected_levels_keep_their_disturb():
    few = take_levels(disturbed([1e-9, 2e-9, 3e-9]), [0, 2])
    assert [(x.level, x.rate.value) for x in few.read_noise.disturb.levels] == [
        (0, 1e-9),
        (1, 3e-9),
    ]


def test_drawn_chips_are_read_as_often():
    """What `levels_at` predicts is the mean of drawn chips, within 4 standard errors."""
    card = disturbed([1e-9, -2e-8, 0.0])
    model = DeviceModel.from_card(card)
    generator = torch_stream(4, "reads")
    chips = draw_chips(model, 1, shape=(60, 60), generator=generator)
    pattern = torch.ones((60, 60), dtype=torch.int64)
    before = chips.program(pattern, generator=generator)
    after = before.after_reads(100)
    change = (after.conductance - before.conductance)[0][after.ages[0]]
    assert change.numpy() == pytest.approx(-2e-6, rel=1e-3)
    assert (before.after_reads(0).conductance == before.conductance).all()
    setup = analog_setup(card, reads=1000)
    assert any("10 times the most" in text for text in setup.model.assumptions)


def test_selected_levels_keep_their_law():
    card = card_of(energy=0.6)
    few = take_levels(card, [0, 2])
    whole = card.levels_at(time=DAY, temperature=HOT)
    part = few.levels_at(time=DAY, temperature=HOT)
    assert [x.mean.value for x in part.levels] == [whole.levels[k].mean.value for k in (0, 2)]


def test_a_card_without_retention_says_so():
    card = virtual_card("two", mean=[2e-5, 8e-5], spread=0.1)
    at = card.levels_at(time=DAY)
    assert at.extrapolated
    assert "has no retention" in at.findings[0]
    with pytest.raises(RramfitError, match="nothing is known at 400 K"):
        card.levels_at(time=DAY, temperature=400.0)


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({"time": -1.0}, "0 s or more"),
        ({"time": math.nan}, "0 s or more"),
        ({"reads": -1}, "whole number"),
        ({"time": 1.0, "temperature": 0.0}, "above 0 K"),
        ({"time": 1.0, "temperature": math.inf}, "above 0 K"),
    ],
)
def test_impossible_conditions_are_refused(condition, words):
    with pytest.raises(RramfitError, match=words):
        levels_at(card_of(energy=0.6), **condition)


def test_a_setup_names_what_is_extrapolated():
    card = card_of(energy=0.6)
    setup = analog_setup(card, tile=(16, 16), time=TEN_YEARS, temperature=330.0)
    assert sum("extrapolated" in x for x in setup.model.assumptions) == 2
    assert "retention" in setup.factors
    near = analog_setup(card, tile=(16, 16), time=DAY, temperature=HOT)
    assert not any("extrapolated" in x for x in near.model.assumptions)
    with pytest.raises(RramfitError, match="no activation energy"):
        analog_setup(card_of(), tile=(16, 16), time=DAY, temperature=HOT)
