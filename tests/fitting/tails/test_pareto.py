"""The generalised Pareto fit against known tails, and how often its intervals hold them."""

import numpy as np
import pytest
from scipy import stats

from rramfit.fitting.tails.pareto import SHAPE_LIMITS, estimate_pareto, fit_pareto
from rramfit.fitting.tails.sample import TailSample, design_effect
from rramfit.fitting.tails.threshold import _goodness, fit_tail

SHAPE = (64, 64)


def sample(x: np.ndarray, *, cell: np.ndarray | None = None) -> tuple[TailSample, np.ndarray]:
    """Wrap values into the sample of an upper tail, one cell each unless given."""
    cells = np.arange(x.size) if cell is None else cell
    order = np.argsort(x)
    side = int(np.ceil(np.sqrt(cells.max() + 1)))
    made = TailSample(
        side="upper",
        log=False,
        x=x[order],
        cell=cells[order],
        position=np.arange(side * side),
        shape=(side, side),
    )
    attempts = np.bincount(cells, minlength=side * side).reshape(side, side).astype(float)
    return made, attempts


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.25, 0.7])
def test_estimates_agree_with_scipy(shape):
    y = stats.genpareto(shape, scale=2e-6).rvs(400, random_state=np.random.default_rng(3))
    expected, _, scale = stats.genpareto.fit(1e6 * y, floc=0)
    found, found_scale = estimate_pareto(y)
    assert found == pytest.approx(expected, abs=2e-3)
    assert 1e6 * found_scale == pytest.approx(scale, rel=2e-3)


def test_grouped_excesses_change_nothing():
    y = stats.genpareto(0.1).rvs(30_000, random_state=np.random.default_rng(4))
    expected, _, scale = stats.genpareto.fit(y, floc=0)
    assert estimate_pareto(y) == pytest.approx((expected, scale), abs=2e-3)


def test_the_interval_of_the_shape_is_the_profile_likelihood_interval():
    y = stats.genpareto(0.2).rvs(500, random_state=np.random.default_rng(5))
    fit = fit_pareto(y, 0.0, 10_000)

    def nll(shape: float) -> float:
        scales = np.geomspace(0.5, 2.0, 2000)
        return min(-stats.genpareto.logpdf(y, shape, scale=s).sum() for s in scales)

    best = nll(fit.shape)
    allowed = 0.5 * stats.t.ppf(0.975, 498) ** 2
    for end in fit.shape_interval:
        assert nll(end) - best == pytest.approx(allowed, abs=0.12)


def test_the_shape_stays_within_its_limits_and_numbers_stay_finite():
    for y in (np.linspace(0.01, 1, 200), np.geomspace(1e-6, 1e6, 200), np.array([1.0, 1.0, 2.0])):
        fit = fit_pareto(y, 1.0, 5000)
        assert SHAPE_LIMITS[0] <= fit.shape <= SHAPE_LIMITS[1]
        value, (low, high) = fit.quantile(1e-9)
        assert low <= value <= high
        assert np.isfinite([low, high]).all()


def test_a_design_effect_widens_the_interval_like_fewer_readings():
    rng = np.random.default_rng(6)
    y = stats.genpareto(0.0).rvs(400, random_state=rng)
    alone = fit_pareto(y, 0.0, 8000)
    clustered = fit_pareto(np.repeat(y, 4), 0.0, 32_000, design_effect=4.0)
    assert clustered.quantile(1e-6) == (
        pytest.approx(alone.quantile(1e-6)[0], rel=1e-3),
        pytest.approx(alone.quantile(1e-6)[1], rel=5e-3),
    )


def test_p_values_are_uniform_on_pareto_tails_and_small_on_others():
    rng = np.random.default_rng(7)
    p = []
    for _ in range(200):
        y = stats.genpareto(0.1).rvs(200, random_state=rng)
        p.append(_goodness(y, np.arange(200), *estimate_pareto(y)))
    assert 0.04 < np.mean(np.array(p) < 0.1) < 0.17
    assert 0.4 < np.mean(np.array(p) < 0.5) < 0.63
    steps = rng.uniform(0.5, 1.0, 800)
    assert _goodness(steps, np.arange(800), *estimate_pareto(steps)) < 1e-6


DISTRIBUTIONS = {
    "normal": stats.norm(),
    "lognormal": stats.lognorm(0.5),
    "pareto": stats.genpareto(0.1),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_intervals_of_extrapolated_quantiles_hold_the_truth(name):
    """The quantile at 1e-6 from 4096 readings, in 200 samples."""
    distribution, rng = DISTRIBUTIONS[name], np.random.default_rng(8)
    hits = {1e-6: 0, 1e-9: 0}
    shares = 0
    at = distribution.isf(1e-6)
    for _ in range(200):
        made, attempts = sample(distribution.rvs(4096, random_state=rng))
        fit = fit_tail(made, attempts, None)
        for p in hits:
            _, (low, high) = fit.conductance(p)
            hits[p] += low <= distribution.isf(p) <= high
        _, (low, high) = fit.log_share_beyond(at)
        shares += low <= np.log(1e-6) <= high
    assert all(0.92 <= n / 200 <= 1.0 for n in hits.values()), hits
    assert 0.92 <= shares / 200 <= 1.0


def test_the_threshold_avoids_what_is_no_tail():
    """A bend at 1 % of the readings: the threshold chosen lies beyond it."""
    rng = np.random.default_rng(9)
    body = rng.uniform(0, 1, 19_800)
    tail = 1 + stats.genpareto(0.1, scale=0.5).rvs(200, random_state=rng)
    made, attempts = sample(rng.permutation(np.concatenate([body, tail])))
    fit = fit_tail(made, attempts, None)
    assert fit.accepted
    assert fit.pareto.threshold > 0.99
    assert [c.exceedances for c in fit.tried] == sorted(
        (c.exceedances for c in fit.tried), reverse=True
    )


def test_too_few_readings_or_coarse_steps_have_no_fit_but_a_reason():
    rng = np.random.default_rng(10)
    made, attempts = sample(rng.standard_normal(200))
    assert "too few" in fit_tail(made, attempts, None)
    made, attempts = sample(np.round(rng.standard_normal(4000)))
    assert "different values" in fit_tail(made, attempts, None)
    made, attempts = sample(np.ones(4000))
    assert isinstance(fit_tail(made, attempts, None), str)


def test_cycles_of_a_cell_and_events_in_a_line_count_as_fewer():
    rng = np.random.default_rng(11)
    n = np.full(SHAPE, 8.0)
    own = rng.random(SHAPE) < 0.05
    assert design_effect(8.0 * own, n, None) == pytest.approx(8, rel=0.3)
    independent = rng.binomial(8, 0.05, SHAPE).astype(float)
    assert design_effect(independent, n, None) == pytest.approx(1.1, abs=0.35)
    lines = np.where(np.arange(64) < 4, 8.0, 0.0) * np.ones(SHAPE)
    assert design_effect(lines, n, None) > 200


def test_cycles_of_cells_do_not_narrow_the_interval():
    """A cell's own value, repeated 16 times, is as uncertain as one reading of it."""
    rng = np.random.default_rng(12)
    values = rng.standard_normal(8192)
    made, attempts = sample(values)
    once = fit_tail(made, attempts, None)
    cell = np.repeat(np.arange(8192), 16)
    made, attempts = sample(
        np.repeat(values, 16) + 1e-9 * rng.standard_normal(cell.size), cell=cell
    )
    again = fit_tail(made, attempts, None)
    widths = [np.diff(f.conductance(1e-6)[1])[0] for f in (once, again)]
    assert widths[1] > 0.6 * widths[0]
