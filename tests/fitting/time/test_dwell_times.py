"""Dwell times of random telegraph noise, against hmmlearn and known rates; amplitudes."""

import numpy as np
import pytest

from rramfit.fitting.time.dwell_times import decode, dwell_distribution, fit_two_states
from rramfit.fitting.time.read_noise import complete_series, fit_read_noise
from rramfit.fitting.time.telegraph_behaviour import describe_telegraph
from rramfit.measurement import convert_measurement
from rramfit.measurement.file.in_memory import reads_in_memory
from rramfit.measurement.virtual.cards import virtual_card
from rramfit.measurement.virtual.group_cards import with_groups
from rramfit.measurement.virtual.mess import Mess
from rramfit.measurement.virtual.synthesize import synthesize
from rramfit.measurement.virtual.tester import Plan


def chains(low, high, reads, rng):
    """States of chains with the mean dwell times `low` and `high` [read], (cell, read)."""
    a, b = 1 / np.asarray(low), 1 / np.asarray(high)
    moved = 1 - np.exp(-(a + b))
    p, q = a / (a + b) * moved, b / (a + b) * moved
    state = np.zeros((len(a), reads), dtype=bool)
    state[:, 0] = rng.random(len(a)) < a / (a + b)
    for t in range(1, reads):
        u = rng.random(len(a))
        state[:, t] = np.where(state[:, t - 1], u >= q, u < p)
    return state


def series(low, high, reads=1500, *, seed=0, noise=0.3, g=5e-5, amplitude=0.1):
    rng = np.random.default_rng(seed)
    state = chains(low, high, reads, rng)
    step = np.broadcast_to(np.asarray(g) * amplitude, len(state))[:, None]
    base = np.broadcast_to(g, len(state))[:, None]
    return base + step * (state + noise * rng.standard_normal(state.shape)), state


def within(q, true):
    low, high = q.ci95
    return low <= true <= high


def test_likelihood_and_rates_are_those_of_hmmlearn():
    from hmmlearn.hmm import GaussianHMM

    x, _ = series([15.0, 40.0, 4.0], [6.0, 30.0, 9.0], noise=0.5)
    own = fit_two_states(x)
    for i, y in enumerate(x * 1e6):
        y = y[:, None]
        other = GaussianHMM(
            2, covariance_type="tied", n_iter=200, tol=1e-6, init_params="", min_covar=0
        )
        other.startprob_ = np.array([0.5, 0.5])
        other.transmat_ = np.array([[0.9, 0.1], [0.2, 0.8]])
        other.means_ = np.quantile(y, [0.2, 0.8])[:, None]
        other.covars_ = np.array([[y.var() / 4]])
        other.fit(y)
        assert own.log_likelihood[i] == pytest.approx(
            other.score(y) + len(y) * np.log(1e6), abs=0.05
        )
        assert own.up[i] == pytest.approx(other.transmat_[0, 1], rel=0.02)
        assert own.down[i] == pytest.approx(other.transmat_[1, 0], rel=0.02)
        assert own.high[i] * 1e6 == pytest.approx(other.means_[1, 0], rel=1e-3)


def test_states_are_decoded_and_double_switches_counted():
    x, state = series([3.0] * 20, [2.0] * 20, 3000, noise=0.2)
    m = fit_two_states(x)
    assert (decode(x[0], m, 0) == state[0]).mean() > 0.98
    up, down = m.rates()
    assert 1 / up.mean() == pytest.approx(3.0, rel=0.05)
    assert 1 / down.mean() == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize("reads", [7, 100, 101, 1000])
def test_blocks_do_not_change_the_chain(reads):
    """The likelihood is that of the forward recursion, read by read."""
    x, _ = series([4.0], [3.0], reads, seed=reads)
    m = fit_two_states(x)
    p = np.array([[1 - m.up[0], m.up[0]], [m.down[0], 1 - m.down[0]]])
    level = np.array([m.low[0], m.high[0]])
    e = np.exp(-0.5 * ((x[0][:, None] - level) / m.noise[0]) ** 2) / m.noise[0] / 2.5066282746
    best = -np.inf
    for first in np.linspace(0, 1, 5):
        v, total = np.array([1 - first, first]) * e[0], 0.0
        for row in e[1:]:
            total += np.log(v.sum())
            v = (v / v.sum()) @ p * row
        best = max(best, total + np.log(v.sum()))
    assert m.log_likelihood[0] == pytest.approx(best, abs=0.3)


def test_coverage_of_dwell_times():
    """Lognormal dwell times over cells."""
    hits = np.zeros(4)
    for seed in range(25):
        rng = np.random.default_rng(seed)
        low = 30 * np.exp(0.6 * rng.standard_normal(20))
        high = 15 * np.exp(0.4 * rng.standard_normal(20))
        x, _ = series(low, high, 800, seed=seed + 1000)
        m = fit_two_states(x)
        a, b = m.rates()
        one = dwell_distribution(a, m.time_low, m.resolved, 0.01)
        two = dwell_distribution(b, 800 - m.time_low, m.resolved, 0.01)
        hits += [
            within(one.median, 0.3),
            within(one.spread, 0.6),
            within(two.median, 0.15),
            within(two.spread, 0.4),
        ]
    assert (hits >= 21).all(), hits


def test_dwell_times_below_a_read_are_a_limit():
    x, _ = series([0.2] * 12, [0.2] * 12, 400)
    found = describe_telegraph(x, np.ones(12, dtype=bool), np.arange(400) * 1e-3)
    assert found.card.n_fast == 12
    assert found.card.dwell_low is None
    assert [f.code for f in found.findings()] == ["telegraph-fast"]


def test_dwell_times_beyond_the_record_are_said():
    rng = np.random.default_rng(0)
    state = np.arange(400) > rng.integers(50, 350, 12)[:, None]  # one switch each
    x = 5e-5 * (1 + 0.1 * state + 0.02 * rng.standard_normal(state.shape))
    found = describe_telegraph(x, np.ones(12, dtype=bool), np.arange(400) * 1e-3)
    assert found.card.n_slow == 12
    assert [f.code for f in found.findings()] == ["telegraph-slow"]


def test_amplitude_against_conductance():
    rng = np.random.default_rng(4)
    g = np.geomspace(1e-6, 1e-4, 60)
    relative = 0.1 * (g / 1e-5) ** -0.5 * np.exp(0.2 * rng.standard_normal(60))
    state = chains([20.0] * 60, [20.0] * 60, 400, rng)
    x = g[:, None] * (
        1 + relative[:, None] * (state - 0.5 + 0.15 * rng.standard_normal(state.shape))
    )
    card = describe_telegraph(x, np.ones(60, dtype=bool), np.arange(400) * 1e-3).card
    assert within(card.exponent, -0.5)
    assert card.reference_conductance.value == pytest.approx(1e-5, rel=0.02)
    assert within(card.amplitude, 0.1)
    assert within(card.dwell_low, 0.02)


def test_read_noise_describes_its_two_state_cells():
    x, _ = series([20.0] * 30, [10.0] * 30, 256, noise=0.15)
    rng = np.random.default_rng(1)
    quiet = 5e-5 * (1 + 0.015 * rng.standard_normal((70, 256)))
    y = np.concatenate([x, quiet]).T.reshape(256, 10, 10)
    reads = reads_in_memory(
        y,
        time=np.arange(256) * 0.1,
        level=np.zeros((10, 10), dtype=int),
        read_voltage=0.2,
        temperature=300.0,
    )
    card = fit_read_noise(reads).to_card()
    assert card.telegraph.n_cells == pytest.approx(30, abs=3)
    assert within(card.telegraph.dwell_low, 2.0)
    assert within(card.telegraph.dwell_high, 1.0)


def test_measured_series(shared, repo):
    """Four of five cells of a real chip have two states; they last longer than a read of 2.5 ms."""
    log = shared / "data/measured/timeseries-techA/tsdata.min.tsv.gz"
    layout = repo / "data/layouts/tsdata.toml"
    reads = convert_measurement([log], layout).measurements[0].reads
    series, _ = complete_series(reads, np.ones((1, 5), dtype=bool))
    found = describe_telegraph(series, np.arange(5) < 4, reads.time)
    rates = np.stack(found.states.rates()) / 0.0025
    assert found.card.n_fast == 0
    assert ((1 / rates > 0.02) & (1 / rates < 60)).all()
    assert ((found.states.high - found.states.low) / found.states.noise > 2.5).all()


def test_noise_that_hides_switches_does_not_widen_the_spread():
    """States 2.5 standard deviations apart: without the shares the spread is 0.55, not 0.5."""
    found = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        low, high = 8 * np.exp(0.5 * rng.standard_normal((2, 100)))
        x, _ = series(low, high, 400, seed=seed, noise=0.4)
        m = fit_two_states(x)
        rate, _ = m.rates()
        d = dwell_distribution(rate, m.time_low, m.resolved, 1.0, m.clear_low)
        found.append((d.spread.value, d.spread.stderr))
    value, error = np.mean(found, axis=0)
    assert value == pytest.approx(0.5, abs=2.5 * error / np.sqrt(8))


def test_a_virtual_chip_has_the_dwell_times_of_its_plan():
    card = with_groups(virtual_card("two", mean=[2e-5, 8e-5], spread=0.05), 3)
    plan = Plan(reads=400, read_interval=0.01, telegraph_dwell=0.08)
    m = synthesize(
        card, rows=40, cols=40, sweeps=2, seed=2, groups=("program", "reads"), plan=plan,
        mess=Mess(telegraph=0.1),
    )  # fmt: skip
    behaviour = fit_read_noise(m.reads).behaviour
    for name in ("dwell_low", "dwell_high", "dwell_low_spread", "dwell_high_spread"):
        q = getattr(behaviour.card, name)
        truth = m.truth[f"read_noise.telegraph.{name}"]
        assert q.value == pytest.approx(truth, abs=4 * q.stderr), name
    assert not any(path.endswith((".read", ".std")) for path in m.truth)


def test_cells_without_time_in_a_state_have_no_dwell_time():
    rate, time = np.full(12, 0.05), np.r_[0.0, np.full(11, 400.0)]
    all_cells = np.ones(12, dtype=bool)
    some = dwell_distribution(rate, time, all_cells, 0.01)
    others = dwell_distribution(rate[1:], time[1:], all_cells[1:], 0.01)
    assert some.median.value == pytest.approx(others.median.value)
    assert some.spread.value == pytest.approx(others.spread.value)
    assert dwell_distribution(rate, np.zeros(12), all_cells, 0.01) is None
