"""Programming effort: pulse counts of known distributions, budgets, windows, energy, refusals."""

import numpy as np
import pytest
from scipy import stats

from rramfit.card.blocks.pulse_counts import (
    mean_within,
    measured_survival,
    pulses_for,
    survival,
    tighter_survival,
)
from rramfit.errors import CardError, FitError
from rramfit.fitting.failure.effort import fit_programming
from rramfit.fitting.failure.effort.pulse_fit import fit_pulses
from rramfit.measurement.file.record import Attempts, Levels
from rramfit.measurement.virtual.switching import draw_attempts, switching_truth
from rramfit.measurement.virtual.tester import Plan

LOWER, UPPER = 4e-5, 6e-5


def attempts(needed, *, budget=30, seed=0, **changed):
    """One attempt of each cell, which needs a number of pulses; accepted cells are uniform."""
    rng = np.random.default_rng(seed)
    n = len(needed)
    ok = needed <= budget
    fields = {
        "row": np.arange(n),
        "col": np.zeros(n, np.int64),
        "lower": np.full(n, LOWER),
        "upper": np.full(n, UPPER),
        "set_pulses": np.minimum(needed, budget),
        "reset_pulses": np.zeros(n, np.int64),
        "success": ok,
        "final": np.where(ok, rng.uniform(LOWER, UPPER, n), 1e-6),
        "max_pulses": budget,
    }
    return Attempts(**(fields | changed))


@pytest.mark.parametrize(
    ("family", "parameters", "scipy_sf"),
    [
        ("geometric", {"p": 0.2}, lambda n: stats.geom.sf(n, 0.2)),
        ("negative binomial", {"p": 0.3, "r": 2.5}, lambda n: stats.nbinom.sf(n - 1, 2.5, 0.3)),
    ],
)
def test_survival_is_scipys(family, parameters, scipy_sf):
    n = np.arange(0.0, 40.0)
    np.testing.assert_allclose(survival(family, parameters, n, 1), scipy_sf(n), rtol=1e-9)


def test_beta_geometric_survival_is_the_mean_over_p():
    p = stats.beta(0.2 / 0.05, 0.8 / 0.05)
    at = survival("beta-geometric", {"p": 0.2, "spread": 0.05}, np.array([3.0, 17.0]), 1)
    expected = [p.expect(lambda x, k=k: (1 - x) ** k) for k in (3, 17)]
    np.testing.assert_allclose(at, expected, rtol=1e-6)


def test_a_tighter_window_of_a_geometric_family_has_a_smaller_p():
    tight = tighter_survival("geometric", {"p": 0.3}, 50, 1, 0.4)
    np.testing.assert_allclose(tight, survival("geometric", {"p": 0.12}, np.arange(51.0), 1))
    same = tighter_survival("beta-geometric", {"p": 0.3, "spread": 0.1}, 50, 1, 1.0)
    exact = survival("beta-geometric", {"p": 0.3, "spread": 0.1}, np.arange(51.0), 1)
    np.testing.assert_allclose(same, exact, rtol=1e-9)


def test_the_budget_of_a_quantile_is_its_inverse():
    n = pulses_for(0.01, "negative binomial", {"p": 0.2, "r": 2.0}, 2)
    at = survival("negative binomial", {"p": 0.2, "r": 2.0}, np.array([n]), 2)
    assert at[0] == pytest.approx(0.01)
    assert pulses_for(1e-9, "beta-geometric", {"p": 0.1, "spread": 0.5}, 1) is None


def test_the_family_is_chosen_by_the_counts():
    rng = np.random.default_rng(1)
    cell = np.arange(3000)
    drawn = {
        "geometric": rng.geometric(0.2, 3000),
        "negative binomial": rng.geometric(0.2, (3, 3000)).sum(axis=0),
        "beta-geometric": rng.geometric(rng.beta(2, 8, 3000)),
    }
    for family, n in drawn.items():
        fits = fit_pulses(np.minimum(n, 40), n <= 40, cell)
        best = fits[0]
        assert (
            best.family == family or best.aic + 4 > next(f for f in fits if f.family == family).aic
        )
        assert best.p_value > 1e-3
        if family != "geometric":
            assert next(f for f in fits if f.family == "geometric").p_value < 1e-6


def test_censoring_at_the_budget_biases_nothing():
    """Half of the attempts are given up."""
    needed = np.random.default_rng(2).geometric(0.07, 2000)
    (card,) = fit_programming(attempts(needed, budget=10)).cards
    p = card.families[0].parameters["p"]
    assert p.ci95[0] < 0.07 < p.ci95[1]
    assert card.failure.value == pytest.approx(np.mean(needed > 10))
    true = np.log(0.01) / np.log(0.93)
    assert card.budget_1pct.ci95[0] < true < card.budget_1pct.ci95[1]
    assert [b.budget for b in card.budgets] == [1, 2, 3, 5, 10]
    for b in card.budgets:
        assert b.failure.ci95[0] < 0.93**b.budget < b.failure.ci95[1]


def test_the_budget_is_found_where_the_file_has_none():
    needed = np.random.default_rng(3).geometric(0.2, 800)
    (card,) = fit_programming(attempts(needed, budget=12, max_pulses=None)).cards
    assert card.budget == 12
    easy = attempts(np.minimum(needed, 12), budget=12, max_pulses=None)
    (card,) = fit_programming(easy).cards
    assert card.budget is None
    assert card.cost(0.5).pulses.value > card.pulses.value


def test_attempts_in_the_window_already_are_apart():
    needed = np.random.default_rng(4).geometric(0.25, 1000)
    needed[:300] = 0
    (card,) = fit_programming(attempts(needed)).cards
    assert card.inside.value == pytest.approx(0.3)
    assert (
        card.families[0].parameters["p"].ci95[0] < 0.25 < card.families[0].parameters["p"].ci95[1]
    )
    tighter = card.cost(0.5)  # half of those inside are outside the narrower window
    expected = (1 - 0.15) * mean_within(survival("geometric", {"p": 0.125}, np.arange(31.0), 1))
    assert tighter.pulses.ci95[0] < expected < tighter.pulses.ci95[1]


@pytest.mark.parametrize("spread", [0.0, 0.03])
def test_the_cost_of_a_narrower_window_is_what_it_costs(spread):
    """Cells uniform in the window: half of the width halves every success."""
    levels = Levels(target=np.array([5e-5]))
    plan = Plan(attempt_cells=600, attempts=4, attempt_success=0.3, attempt_spread=spread)
    data = draw_attempts(levels, (40, 40), plan, read_voltage=0.2, seed=5)
    (card,) = fit_programming(data, levels).cards
    rng = np.random.default_rng(6)
    p = rng.beta(0.3 / spread, 0.7 / spread, 200_000) if spread else np.full(200_000, 0.3)
    needed = rng.geometric(p / 2)
    for budget in (30, 8):
        cost = card.cost(0.5, budget=budget)
        assert cost.accepted.ci95[0] < 0.5 < cost.accepted.ci95[1]
        assert cost.pulses.value == pytest.approx(np.minimum(needed, budget).mean(), rel=0.06)
        assert abs(cost.failure.value - np.mean(needed > budget)) < 3.5 * cost.failure.stderr
    assert card.cost(1.0).pulses.value == pytest.approx(card.pulses.value, rel=0.03)
    listed = next(w for w in card.windows if w.window == 0.5)
    assert listed == card.cost(0.5)


def test_energy_is_volts_squared_times_conductance_times_width():
    levels = Levels(target=np.array([5e-5]))
    plan = Plan(attempt_cells=50, attempt_success=0.3)
    data = draw_attempts(levels, (10, 10), plan, read_voltage=0.2, seed=7)
    (card,) = fit_programming(data, levels).cards
    total = 0.0
    for i in range(len(data.row)):
        g = data.initial[i]
        for k in np.flatnonzero(data.polarity[i]):
            total += data.voltage[i, k] ** 2 * (g + data.conductance[i, k]) / 2 * data.width[i, k]
            g = data.conductance[i, k]
    assert card.energy.value == pytest.approx(total / len(data.row))
    pulses = (data.set_pulses + data.reset_pulses).sum()
    assert card.energy_per_pulse.value == pytest.approx(total / pulses)
    assert card.cost(0.5).energy.value > card.energy.value


def test_repeated_attempts_of_a_cell_widen_the_intervals():
    rng = np.random.default_rng(8)
    p = rng.beta(1.5, 6, 40)
    needed = rng.geometric(np.repeat(p, 25))
    one = attempts(needed)
    (alone,) = fit_programming(one).cards
    same = attempts(needed, row=np.repeat(np.arange(40), 25))
    (clustered,) = fit_programming(same).cards
    for name in ("pulses", "failure"):
        a, b = getattr(alone, name), getattr(clustered, name)
        assert b.value == pytest.approx(a.value)
        assert b.stderr > 2 * a.stderr


def test_levels_are_named_by_their_windows():
    data = attempts(np.random.default_rng(9).geometric(0.3, 400))
    levels = Levels(
        target=np.array([1e-5, 5e-5]),
        lower=np.array([5e-6, LOWER]),
        upper=np.array([2e-5, UPPER]),
        names=("off", "on"),
    )
    (card,) = fit_programming(data, levels).cards
    assert (card.level, card.name) == (1, "on")
    (card,) = fit_programming(data).cards
    assert (card.level, card.name) == (0, "window 0")


def test_open_windows_and_missing_flags():
    needed = np.random.default_rng(10).geometric(0.3, 300)
    ends = {"upper": np.full(300, np.nan)}
    (card,) = fit_programming(attempts(needed, success=None, **ends)).cards
    assert card.failure.value == pytest.approx(np.mean(needed > 30))
    assert card.residual is None
    assert card.windows == []
    with pytest.raises(CardError, match=r"programming\[0\].*no residuals"):
        card.cost(0.5)
    with pytest.raises(FitError, match="neither success nor final"):
        fit_programming(attempts(needed, success=None, final=None))
    with pytest.raises(FitError, match="found -1 pulses"):
        fit_programming(attempts(np.where(np.arange(300) == 0, -1, needed)))


def test_widths_and_budgets_out_of_range_are_refused():
    (card,) = fit_programming(attempts(np.random.default_rng(11).geometric(0.3, 300))).cards
    for window in (0.0, 1.2, 0.05, float("nan")):
        with pytest.raises(CardError, match="a window of"):
            card.cost(window)
    with pytest.raises(CardError, match="a budget of 0 pulses"):
        card.cost(0.5, budget=0)


def test_findings():
    never = fit_programming(attempts(np.full(50, 99)))
    assert never.verdict.word == "bad"
    assert [f.code for f in never.verdict.findings] == ["never-accepted"]
    often = fit_programming(attempts(np.random.default_rng(12).geometric(0.05, 500), budget=20))
    assert "attempts-fail" in {f.code for f in often.verdict.findings}
    two = np.where(np.arange(2000) % 2 == 0, 2, 15)
    assert "pulses-misfit" in {f.code for f in fit_programming(attempts(two)).verdict.findings}
    assert fit_programming(attempts(np.array([3, 4]))).verdict.findings[0].code == "few-attempts"


def test_one_pulse_for_all_determines_no_distribution():
    (card,) = fit_programming(attempts(np.ones(50, np.int64))).cards
    assert card.family is None
    assert card.pulses.value == 1


def test_intervals_contain_the_truth():
    """40 arrays of two levels; 95 % ± 3.5 standard errors."""
    levels = Levels(target=np.array([2e-5, 8e-5]))
    plan = Plan(attempt_cells=100, attempts=2, attempt_pulses=20, attempt_success=0.15)
    truth = switching_truth(("attempts",), plan, levels)
    hits = {}
    for seed in range(20):
        fit = fit_programming(
            draw_attempts(levels, (16, 16), plan, read_voltage=0.2, seed=seed), levels
        )
        for k, card in enumerate(fit.cards):
            for name in ("pulses", "failure", "budget_1pct", "residual", "residual_trend"):
                q = getattr(card, name)
                true = truth[f"programming[{k}].{name}"]
                hits.setdefault(name, []).append(q.ci95[0] <= true <= q.ci95[1])
    for name, hit in hits.items():
        assert np.mean(hit) > 0.95 - 3.5 * np.sqrt(0.05 * 0.95 / 40), name


def test_cells_that_never_succeed_do_not_spoil_the_cost():
    """5 % of cells are stuck, which no family has: the cost is that of the measured course."""
    rng = np.random.default_rng(13)
    needed = rng.geometric(0.5, 4000)
    needed[:200] = 10_000
    (card,) = fit_programming(attempts(needed, budget=200)).cards
    assert next(f for f in card.families if f.family == card.family).p_value < 0.01
    tight = rng.geometric(0.25, 3800)
    expected = (np.minimum(tight, 200).sum() + 200 * 200) / 4000
    cost = card.cost(0.5)
    assert cost.pulses.value == pytest.approx(expected, rel=0.1)
    assert cost.failure.ci95[0] < 0.05 < cost.failure.ci95[1]


def test_a_measured_course_of_several_steps_is_thinned_step_by_step():
    """Two successes in a row are no mixture of geometric distributions."""
    n = np.arange(1.0, 41.0)
    left = stats.nbinom.sf(n - 2, 2, 0.3)
    at = measured_survival(n, np.minimum(left, 1.0), 40, 1.0)
    np.testing.assert_allclose(at[1:], left, atol=1e-6)
