"""Lives of cells against lifelines, closed forms, and simulated failures with censoring."""

import numpy as np
import pytest

from rramfit.fitting.time.endurance import (
    FailureTimes,
    endurance_lives,
    failure_times,
    fit_endurance,
    fit_life,
)
from rramfit.fitting.time.endurance.early_failures import find_early_failures
from rramfit.fitting.time.endurance.life_distribution import (
    Lives,
    fit_life_distribution,
    negative_log_likelihood,
)
from rramfit.fitting.time.endurance.product_limit import product_limit
from rramfit.measurement.file.record import Endurance

POINTS = np.unique(np.logspace(0, 5, 16).astype(np.int64))
LOW, HIGH = 1e-6, 1e-5
MODES = (0.3, 0.5, 0.2)


def cycled(lives, seed, *, points=POINTS, missing=0.0, noise=0.02):
    """Readings (point, state, cell) of cells that fail at given cycle counts, by random modes."""
    rng = np.random.default_rng(seed)
    mode = rng.choice(3, lives.size, p=MODES)
    dead = lives <= points[:, None]
    low = np.where(dead, np.choose(mode, [LOW, HIGH, 4 * LOW]), LOW)
    high = np.where(dead, np.choose(mode, [LOW, HIGH, 7 * LOW]), HIGH)
    y = np.stack([low, high], axis=1) * (1 + noise * rng.standard_normal((len(points), 2, 1)))
    y = y * (1 + noise * rng.standard_normal(y.shape))
    lost = rng.random((len(points), lives.size)) < missing
    lost[0] = False
    return np.where(lost[:, None], np.nan, y), mode


def weibull(n, shape, scale, seed):
    return scale * np.random.default_rng(seed).weibull(shape, n)


def record(y, points=POINTS):
    return Endurance(conductance=y.reshape(*y.shape[:2], 1, -1), cycle=points.copy())


GROUPED = Lives(
    low=np.array([0.0, 10, 100, 1000, 1e4]),
    high=np.array([10, 100, 1000, 1e4, np.inf]),
    count=np.array([1.0, 4, 11, 15, 9]),
    entry=0.0,
)


@pytest.mark.parametrize(
    ("family", "scale", "spread", "nll", "one"),
    [  # lifelines 0.30.3, fit_interval_censoring of the same 40 lives
        ("weibull", 4386.58954, 1 / 0.519547018, 55.5920993, 0.62634966),
        ("lognormal", np.exp(7.42415678), 2.46042411, 55.3478416, 5.47588762),
    ],
)
def test_interval_censored_fits_agree_with_lifelines(family, scale, spread, nll, one):
    d = fit_life_distribution(family, GROUPED)
    assert d.scale.value == pytest.approx(scale, rel=1e-4)
    assert d.sigma == pytest.approx(spread, rel=1e-4)
    assert d.log_likelihood == pytest.approx(-nll, abs=1e-5)
    assert d.one_percent.value == pytest.approx(one, rel=1e-3)
    for q in (d.scale, d.one_percent, d.shape or d.spread):
        assert q.ci95[0] < q.value < q.ci95[1]


@pytest.mark.parametrize("family", ["weibull", "lognormal"])
@pytest.mark.parametrize("entry", [0.0, 1.0])
def test_the_gradient_is_that_of_the_likelihood(family, entry):
    lives = Lives(
        low=np.maximum(GROUPED.low, entry), high=GROUPED.high, count=GROUPED.count, entry=entry
    )
    at, h = np.array([6.3, 0.2]), 1e-6
    _, gradient = negative_log_likelihood(family, *at, lives)
    numeric = [
        (
            negative_log_likelihood(family, *(at + d), lives)[0]
            - negative_log_likelihood(family, *(at - d), lives)[0]
        )
        / (2 * h)
        for d in np.eye(2) * h
    ]
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6)


def times_of(end, mode):
    """Failures (mode 0 to 2) and censored lives (mode -1) at whole cycle counts 1 to 5."""
    end, mode = np.array(end, dtype=float), np.array(mode)
    return FailureTimes(
        low=np.where(mode >= 0, end - 1, end),
        high=np.where(mode >= 0, end, np.inf),
        mode=mode,
        entry=0.0,
        points=np.arange(6.0),
        last_good=end.astype(np.int64),
        cells=np.arange(len(end)),
    )


def test_survival_agrees_with_lifelines():
    end = [1, 1, 2, 2, 2, 3, 3, 4, 4, 4, 4, *[5] * 9]
    event = [1, 0, 1, 2, 0, 2, 1, 1, 3, 0, 0, *[0] * 9]
    limit = product_limit(times_of(end, np.array(event) - 1))
    np.testing.assert_allclose(
        limit.survival, [1, 0.95, 0.84444444, 0.73185185, 0.61925926, 0.61925926], rtol=1e-7
    )
    np.testing.assert_allclose(
        limit.low[1:], [0.69474319, 0.59114211, 0.46964809, 0.36179673, 0.36179673], rtol=1e-6
    )
    np.testing.assert_allclose(
        limit.high[1:], [0.99280223, 0.94707341, 0.87902043, 0.79780084, 0.79780084], rtol=1e-6
    )
    of_modes = sum(m.value for m in limit.incidence)
    np.testing.assert_allclose(of_modes, 1 - limit.survival, rtol=1e-12)


def test_without_censoring_incidence_is_a_binomial_share():
    mode = np.array([0] * 12 + [1] * 20 + [2] * 8)
    limit = product_limit(times_of(np.tile([1, 2, 3, 4, 5], 8), mode))
    for m, share in zip(limit.incidence, (0.3, 0.5, 0.2), strict=True):
        assert m.value[-1] == pytest.approx(share, abs=1e-12)
        assert m.stderr[-1] == pytest.approx(np.sqrt(share * (1 - share) / 40), rel=1e-6)
    assert limit.survival[-1] == 0
    assert limit.high[-1] == pytest.approx(1 - 0.025 ** (1 / 40))


def test_missing_readings_widen_the_intervals_and_bias_nothing():
    t = weibull(4000, 2.0, 5e4, 1)
    y, _ = cycled(t, 2, missing=0.4)
    times = failure_times(POINTS, y)
    failed = times.failed
    assert np.all((times.low[failed] < t[failed]) & (t[failed] <= times.high[failed] + 1))
    assert (
        np.searchsorted(POINTS, times.high[failed]) - np.searchsorted(POINTS, times.low[failed])
    ).max() > 2
    limit = product_limit(times)
    truth = np.exp(-((POINTS / 5e4) ** 2.0))
    assert np.abs(limit.survival - truth).max() < 0.025


def test_modes_are_recognized():
    t = weibull(300, 3.0, 2e3, 3)
    y, mode = cycled(t, 4)
    times = failure_times(POINTS, y)
    assert times.failed.all()
    np.testing.assert_array_equal(times.mode, mode)


def test_cells_dead_at_the_start_and_cells_that_recover_are_apart():
    y, _ = cycled(np.full(200, 1e9), 5)
    y[:, :, :6] = LOW  # never had a window
    y[7, 1, 6:10] = LOW  # one bad reading
    times = failure_times(POINTS, y)
    assert (len(times), times.failed_at_start, times.recovered) == (194, 6, 4)
    assert not times.failed.any()


def test_two_readings_at_one_cycle_count_are_one_point():
    points = np.array([1, 10, 10, 100])
    y, _ = cycled(np.full(50, 1e9), 6, points=points)
    y[2:, 1, :5] = LOW
    times = failure_times(points, y)
    assert set(times.low[times.failed]) == {1.0}
    assert set(times.high[times.failed]) == {10.0}


def test_no_window_no_lives():
    y, _ = cycled(np.full(30, 1e9), 7)
    assert failure_times(POINTS, y[:, :1]) is None
    assert failure_times(POINTS[:1], y[:1]) is None
    assert failure_times(POINTS, y[:, ::-1]) is None


def test_no_failure_gives_a_bound():
    """Of n cells none fails: p ≤ 1 − 0.05^(1/n)."""
    y, _ = cycled(np.full(100, 1e9), 8)
    fit = fit_endurance(record(y))
    life = fit.to_card().life
    assert life.family is None
    assert life.families == []
    assert life.failed_bound.value == pytest.approx(1 - 0.05 ** (1 / 100))
    ratio = np.log(0.99) / np.log(1 - life.failed_bound.value)
    assert life.cycles_to_1pct_bound.value == pytest.approx(POINTS[-1] * ratio)
    assert "no-failures" in {f.code for f in fit.verdict.findings}
    many, _ = cycled(np.full(400, 1e9), 8)
    fit = fit_endurance(record(many))
    assert fit.life.one_percent_bound == POINTS[-1]
    assert "no-failures" not in {f.code for f in fit.verdict.findings}


def test_failures_in_one_step_give_a_bound():
    t = np.full(60, 1e9)
    t[:20] = 3e4
    y, _ = cycled(t, 9)
    life = fit_life(failure_times(POINTS, y), y)
    assert life.distributions == ()
    assert life.failed_bound > 20 / 60
    before = POINTS[POINTS < 3e4][-1]  # none of 60 has failed there
    ratio = np.log(0.99) / np.log(0.05 ** (1 / 60))
    assert life.one_percent_bound == pytest.approx(before * ratio)
    every, _ = cycled(np.full(60, 3e4), 9)
    life = fit_life(failure_times(POINTS, every), every)
    assert (life.failed_bound, life.distributions) == (1.0, ())
    assert life.one_percent_bound == pytest.approx(before * ratio)


def test_a_first_point_of_zero_cycles():
    points = np.concatenate([[0], POINTS])
    y, _ = cycled(weibull(200, 1.5, 3e4, 20), 21, points=points)
    fit = fit_endurance(record(y, points))
    shape = fit.to_card().life.families[0].parameters["shape"]
    assert shape.ci95[0] < 1.5 < shape.ci95[1]


def test_cells_that_died_before_the_first_point_do_not_bias_the_others():
    """The first point is at a third of the scale: lives are conditional on reaching it."""
    points = np.array([10_000, 15_000, 22_000, 33_000, 50_000, 75_000, 110_000])
    y, _ = cycled(weibull(3000, 2.0, 3e4, 22), 23, points=points)
    times = failure_times(points, y)
    assert times.failed_at_start > 200
    d = fit_life(times, y).distributions[0]
    assert d.family == "weibull"
    assert d.shape.ci95[0] < 2.0 < d.shape.ci95[1]
    assert d.scale.ci95[0] < 3e4 < d.scale.ci95[1]


def test_early_failures_are_found_and_wear_out_alone_is_not():
    t = weibull(600, 4.0, 4e4, 10)
    t[:50] = weibull(50, 0.8, 40.0, 11)
    y, _ = cycled(t, 12)
    fit = fit_endurance(record(y))
    early = fit.life.early
    assert early.share.ci95[0] < 50 / 600 < early.share.ci95[1]
    assert early.late_shape == pytest.approx(4.0, rel=0.2)
    (finding,) = [f for f in fit.verdict.findings if f.code == "early-failures"]
    assert "fail early" in finding.what
    assert fit.to_card().life.cycles_to_1pct.ci95[1] < 100
    alone, _ = cycled(t[50:], 12)
    times = failure_times(POINTS, alone)
    lives = Lives.of(times.low, times.high, times.entry)
    assert find_early_failures(lives, fit_life_distribution("weibull", lives), longest=1e5) is None


def test_states_drift_before_the_failure():
    """Cells that fail lose 3 % of the high state per point over their last points."""
    t = weibull(400, 2.0, 2e4, 13)
    y, _ = cycled(t, 14, noise=0.005)
    last = (t[None] > POINTS[:, None]).sum(axis=0) - 1
    failing = last < len(POINTS) - 1
    y[last[failing], 1, np.flatnonzero(failing)] *= 0.9
    shifts = dict(fit_life(failure_times(POINTS, y), y).shifts)
    assert shifts[1].ci95[1] < -0.05 * HIGH
    assert shifts[1].value == pytest.approx(-0.1 * HIGH, rel=0.2)
    assert shifts[0].ci95[0] < 0 < shifts[0].ci95[1]


def test_hazard_by_decade_is_failures_over_exposure():
    t = np.random.default_rng(15).exponential(3e4, 2000)
    y, _ = cycled(t, 16)
    hazard = fit_life(failure_times(POINTS, y), y).hazard
    for start, _, rate in hazard:
        if start >= 100:
            assert rate.ci95[0] * 0.98 < 1 / 3e4 < rate.ci95[1] * 1.02


@pytest.mark.parametrize(("n", "shape", "scale"), [(64, 1.5, 3e4), (400, 1.5, 5e5)])
def test_intervals_contain_the_truth(n, shape, scale):
    """25 arrays, mostly failed and mostly censored; 95 % ± 3.5 standard errors."""
    hits = []
    for seed in range(25):
        y, _ = cycled(weibull(n, shape, scale, seed), seed + 100)
        fit = fit_life(failure_times(POINTS, y), y)
        d = next(d for d in fit.distributions if d.family == "weibull")
        one = scale * (-np.log(0.99)) ** (1 / shape)
        pairs = [(d.shape, shape), (d.scale, scale), (fit.one_percent, one)]
        hits.append([q.ci95[0] <= v <= q.ci95[1] for q, v in pairs])
    assert np.mean(hits, axis=0).min() > 0.95 - 3.5 * np.sqrt(0.05 * 0.95 / 25)


def test_lives_alone_are_those_of_the_fit():
    y, _ = cycled(weibull(100, 2.0, 2e4, 17), 18)
    fit, life = fit_endurance(record(y)), endurance_lives(record(y))
    assert life.to_card() == fit.to_card().life
    shuffled = Endurance(conductance=record(y).conductance[::-1].copy(), cycle=POINTS[::-1].copy())
    assert fit_endurance(shuffled).to_card() == fit.to_card()
