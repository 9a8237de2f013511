"""Tails and error rates of whole chips: against the truth, and on degenerate and real files."""

import math

import numpy as np
import pytest
from scipy import stats

from rramfit.card import Quantity, take_levels
from rramfit.card.quantity import quantities
from rramfit.errors import FitError, RramfitError
from rramfit.fitting.characterization import characterize
from rramfit.fitting.failure.shares import jeffreys
from rramfit.fitting.levels.levels import fit_levels
from rramfit.fitting.tails import TailsFit, error_rates_at, fit_tails
from rramfit.fitting.tails.error_rates import bit_error_rate, extreme_rate, mean_of_shares
from rramfit.fitting.tails.sample import TailSample, design_effect
from rramfit.fitting.tails.threshold import fit_tail
from rramfit.measurement.file.record import Levels
from rramfit.measurement.virtual import random_card, synthesize

SHAPE = (64, 64)
TARGETS = (20.0, 60.0)


def chip(make_measured, rng, *, std=6.0, cycles=2, cells=0.8, outliers=0, shape=SHAPE):
    """Return a two-level chip; `outliers` cells of L1 are at 25 uS."""
    own = rng.standard_normal(shape)
    level = np.repeat(np.array([0, 1] * cycles)[:, None, None], shape[0], 1)
    level = np.broadcast_to(level, (2 * cycles, *shape)).copy()
    own = cells * own + math.sqrt(1 - cells**2) * rng.standard_normal(level.shape)
    y = np.array(TARGETS)[level] + std * own
    y[level == 1] = np.where(
        np.arange((level == 1).sum()) % (shape[0] * shape[1]) < outliers, 25.0, y[level == 1]
    )
    levels = Levels(target=1e-6 * np.array(TARGETS))
    _, statistics = make_measured(
        1e-6 * y, level=level, verified=np.ones(level.shape, bool), levels=levels
    )
    return statistics, levels


def tails_of(statistics, levels, **options) -> TailsFit:
    healthy = np.ones(statistics.measured.shape, bool)
    return fit_tails(
        statistics, healthy, fit_levels(statistics, healthy, levels, seed=1), **options
    )


def test_rates_are_those_of_the_distributions(make_measured):
    statistics, levels = chip(make_measured, np.random.default_rng(1))
    fit = tails_of(statistics, levels)
    (rate,) = fit.error_rates
    truth = stats.norm.sf(20 / 6)
    assert rate.threshold == pytest.approx(40e-6, rel=0.02)
    for q in (rate.counted, rate.fitted, rate.extreme):
        assert q.ci95[0] <= truth <= q.ci95[1]
    assert fit.by == "extreme"
    assert fit.bit_error_rate.value == pytest.approx(rate.extreme.value)
    assert fit.verdict.ok


def test_intervals_of_error_rates_hold_the_truth():
    """Two levels of 4096 cells, misread beyond 3.5 standard deviations, 200 times."""
    rng, shape, runs, errors = np.random.default_rng(2), (64, 64), 200, 3.5
    truth = stats.norm.sf(errors)
    hits = {"counted": 0, "extreme": 0}
    attempts = np.ones(shape)
    for _ in range(runs):
        shares, tails = [], []
        for side in ("upper", "lower"):
            x = rng.standard_normal(4096)
            beyond = (x > errors if side == "upper" else x <= -errors).reshape(shape).astype(float)
            effect = design_effect(beyond, attempts, None)
            shares.append(jeffreys(beyond.sum() / effect, 4096 / effect))
            g = x - errors if side == "upper" else x + errors
            order = np.argsort(g if side == "upper" else -g)
            made = TailSample(
                side=side,
                log=False,
                x=(g if side == "upper" else -g)[order],
                cell=np.arange(4096)[order],
                position=np.arange(4096),
                shape=shape,
            )
            tails.append(fit_tail(made, attempts, None))
        counted = mean_of_shares(shares)
        extreme = extreme_rate(shares, tuple(tails), 0.0)
        hits["counted"] += counted.ci95[0] <= truth <= counted.ci95[1]
        hits["extreme"] += extreme.ci95[0] <= truth <= extreme.ci95[1]
        assert extreme.ci95[1] < 3 * counted.ci95[1]
    assert all(n / runs >= 0.92 for n in hits.values()), hits


def test_a_second_population_is_a_heavier_tail(make_measured):
    statistics, levels = chip(make_measured, np.random.default_rng(3), std=2.0, outliers=1)
    fit = tails_of(statistics, levels)
    by_side = {(t.level, t.side): t for t in fit.tails}
    assert by_side[1, "lower"].agreement == "heavier"
    assert by_side[0, "upper"].agreement == "agree"
    (finding,) = fit.verdict.findings
    assert finding.code == "tail-heavier-than-family"
    (rate,) = fit.error_rates
    assert rate.errors > 0
    assert rate.extreme.value > 10 * rate.fitted.value


def test_failures_and_stuck_cells_are_counted_apart(make_chip):
    made = make_chip(4, hard=0.02, stuck_low=0.02, centres=(5.0, 50.0))
    healthy = ~(made.stuck_low | made.stuck_high)
    levels = made.measurement.levels
    fit = fit_tails(made.statistics, healthy, fit_levels(made.statistics, healthy, levels, seed=1))
    (rate,) = fit.error_rates
    assert rate.errors == 0
    assert rate.counted.value == 0
    assert 0 < rate.counted.ci95[1] < 3e-3
    assert rate.with_failures.value == pytest.approx(0.02, abs=0.008)
    assert rate.with_failures.ci95[0] > rate.counted.ci95[1]


def test_thresholds_that_are_given_are_used_and_checked(make_measured):
    statistics, levels = chip(make_measured, np.random.default_rng(5))
    fit = tails_of(statistics, levels, thresholds={0: 45e-6})
    (rate,) = fit.error_rates
    assert rate.given
    assert rate.threshold == 45e-6
    truth = 0.5 * (stats.norm.sf(25 / 6) + stats.norm.cdf(-15 / 6))
    assert rate.fitted.ci95[0] <= truth <= rate.fitted.ci95[1]
    for bad in ({1: 45e-6}, {-1: 1e-6}, {0: math.nan}):
        with pytest.raises(FitError, match="correct it"):
            tails_of(statistics, levels, thresholds=bad)


def test_capability_of_a_normal_level_in_its_window(make_measured):
    rng = np.random.default_rng(6)
    y = 1e-6 * (50 + 2 * rng.standard_normal((4, *SHAPE)))
    for lower, upper, ppk in (
        (40.0, 58.0, 8 / 6),
        (math.nan, 58.0, 8 / 6),
        (40.0, math.nan, 10 / 6),
    ):
        levels = Levels(
            target=np.array([50e-6]), lower=1e-6 * np.array([lower]), upper=1e-6 * np.array([upper])
        )
        _, statistics = make_measured(
            y, level=np.zeros(y.shape, int), verified=np.ones(y.shape, bool), levels=levels
        )
        found = tails_of(statistics, levels).capability[0]
        assert found.ppk.ci95[0] <= ppk <= found.ppk.ci95[1]
        assert (found.pp is None) == math.isnan(lower + upper)
        assert found.beyond < 1e-3


def test_a_skewed_level_has_the_capability_of_its_quantiles(make_measured):
    rng = np.random.default_rng(7)
    y = 50e-6 * np.exp(0.3 * rng.standard_normal((4, *SHAPE)))
    levels = Levels(target=np.array([50e-6]), lower=np.array([20e-6]), upper=np.array([150e-6]))
    _, statistics = make_measured(
        y, level=np.zeros(y.shape, int), verified=np.ones(y.shape, bool), levels=levels
    )
    fit = tails_of(statistics, levels)
    low, high = 50 * math.exp(-0.9), 50 * math.exp(0.9)
    truth = min((150 - 50) / (high - 50), (50 - 20) / (50 - low))
    assert fit.capability[0].ppk.ci95[0] <= truth <= fit.capability[0].ppk.ci95[1]
    assert fit.tolerance[0].method in ("lognormal", "distribution-free")


def test_an_extrapolation_ends_at_the_verify_limit(make_measured):
    rng = np.random.default_rng(8)
    y = 50 + 2 * np.clip(rng.standard_normal((2, *SHAPE)), -1.5, 1.5) * rng.uniform(0.97, 1)
    levels = Levels(target=np.array([50e-6]), lower=np.array([46e-6]), upper=np.array([54e-6]))
    _, statistics = make_measured(
        1e-6 * y, level=np.zeros(y.shape, int), verified=np.ones(y.shape, bool), levels=levels
    )
    for tail in tails_of(statistics, levels).tails:
        for _, q in tail.quantiles:
            assert 46e-6 <= q.ci95[0] <= q.value <= q.ci95[1] <= 54e-6


@pytest.mark.parametrize(
    "case", ["one cell", "equal readings", "three readings", "clipped", "one level", "empty level"]
)
def test_degenerate_chips_have_no_tails_but_reasons(case, make_measured):
    rng = np.random.default_rng(9)
    shape = (1, 1) if case == "one cell" else (24, 24)
    y = np.array(TARGETS)[:, None, None] + 3 * rng.standard_normal((2, *shape))
    level = np.broadcast_to(np.arange(2)[:, None, None], y.shape).copy()
    targets = 1e-6 * np.array(TARGETS)
    if case == "equal readings":
        y = np.array(TARGETS)[:, None, None] * np.ones((2, *shape))
    if case == "three readings":
        level[1] = -1
        level[1, 0, :3] = 1
    if case == "clipped":
        y = np.clip(y, 17.0, None)
    if case == "one level":
        level[1], targets = 0, targets[:1]
    if case == "empty level":
        level[1] = -1
    levels = Levels(target=targets)
    _, statistics = make_measured(
        1e-6 * y, level=level, verified=np.ones(y.shape, bool), levels=levels
    )
    fit = tails_of(statistics, levels)
    assert all(t.reason for t in fit.tails if t.fit is None)
    card = fit.to_card()
    for path, q in quantities(card):
        assert math.isfinite(q.value), path
        assert q.ci95 is None or q.ci95[0] <= q.value <= q.ci95[1], path
    assert fit.summary()
    fit.to_frame()
    if case in ("one cell", "three readings", "empty level", "equal readings"):
        assert not card.levels or case in ("three readings", "empty level")
    if case == "clipped":
        assert "clipped" in next(t for t in fit.tails if (t.level, t.side) == (0, "lower")).reason


def test_a_mean_of_shares_has_the_interval_of_both():
    zero = Quantity.within(0.0, 1e-3, "1", (0.0, 2e-3))
    some = Quantity.within(0.01, 1e-3, "1", (0.008, 0.013))
    both = mean_of_shares([zero, some])
    assert both.value == pytest.approx(0.005)
    assert both.ci95[0] == pytest.approx(0.004)
    assert both.ci95[1] == pytest.approx(0.005 + 0.5 * math.hypot(2e-3, 3e-3))
    assert bit_error_rate([some], 2).value == pytest.approx(0.01)
    assert bit_error_rate([some] * 3, 4).value == pytest.approx(2 * 0.03 / 8)


@pytest.fixture(scope="module")
def card():
    measured = synthesize(
        random_card(3, spatial=False, array=(32, 32)),
        sweeps=12,
        seed=3,
        groups=("program", "retention"),
    )
    return characterize(measured, name="made").card


def test_the_card_has_tails_and_rates_at_other_times(card):
    assert list(card.tails.error_rates) == ["0_1", "1_2"]
    now = error_rates_at(card)
    for rate, measured in zip(now.rates, card.tails.error_rates.values(), strict=True):
        assert rate.threshold == measured.threshold.value
        assert rate.rate.value == pytest.approx(measured.fitted.value, rel=0.3)
        assert rate.rate.ci95[1] >= measured.fitted.ci95[1] * 0.9
    few = take_levels(card, [1, 2]).tails
    assert set(few.levels) <= {"0_lower", "0_upper", "1_lower", "1_upper"}
    assert few.tolerance["0"].cells == card.tails.tolerance["1"].cells
    assert not few.error_rates
    later = error_rates_at(card, time=1e6)
    assert later.at.extrapolated
    assert len(later.to_frame()) == 2
    assert later.to_dict()["codes"]
    with pytest.raises(RramfitError, match="Correct it"):
        error_rates_at(card, thresholds={2: 1e-5})
    with pytest.raises(RramfitError, match="two or more"):
        error_rates_at(card.model_copy(update={"levels": card.levels[:1]}))


def test_rates_at_a_threshold_know_a_heavy_tail(make_measured, card):
    statistics, levels = chip(make_measured, np.random.default_rng(3), std=2.0, outliers=1)
    fit = tails_of(statistics, levels)
    two = [
        level.model_copy(update={"index": k, "mean": q, "distribution": None, "std": s})
        for k, (level, q, s) in enumerate(
            zip(
                card.levels[:2],
                (Quantity.given(20e-6, "S"), Quantity.given(60e-6, "S")),
                (Quantity.given(2e-6, "S"),) * 2,
                strict=True,
            )
        )
    ]
    bare = card.model_copy(
        update={"levels": two, "tails": None, "variation": [], "retention": None}
    )
    light = error_rates_at(bare, thresholds={0: 40e-6}).rates[0].rate
    heavy = (
        error_rates_at(bare.model_copy(update={"tails": fit.to_card()}), thresholds={0: 40e-6})
        .rates[0]
        .rate
    )
    counted = fit.error_rates[0].counted.value
    assert light.value < 1e-12
    assert heavy.value > 1e-2 * counted
    assert heavy.ci95[1] >= 0.5 * counted


@pytest.mark.parametrize("name", ["C10_tile0", "C1_slc_tile1"])
def test_measured_tiles(name, shared):
    path = shared / "data" / "measured" / "h5" / f"{name}.h5"
    if not path.exists():
        pytest.skip("the measured tiles are not here")
    result = characterize(path)
    card, tails = result.card, result.tails
    highest = max(level.extremes[1] for level in result.levels.levels)
    for path_, q in quantities(card.tails):
        assert math.isfinite(q.value), path_
        if q.unit == "S":
            assert q.value < 10 * highest, path_
    for rate in tails.error_rates:
        assert rate.counted.ci95[0] <= rate.extreme.ci95[1]
        assert rate.extreme.ci95[0] <= rate.counted.ci95[1]
    assert any(tail.fit for tail in tails.tails)
