"""Programming failure: shares, hard and soft parts, and clustering of faults."""

import math

import numpy as np
import pytest
from scipy import optimize, special, stats

from rramfit.errors import FitError
from rramfit.fitting.failure.failure import fit_failure
from rramfit.fitting.failure.fault_clustering import find_clustering, strata_by_levels
from rramfit.fitting.failure.hard_soft import attempts_of, fit_hard_soft, hard_soft_likelihood
from rramfit.fitting.failure.shares import clustered_share, inflation, jeffreys
from rramfit.fitting.screening.accumulate import accumulate
from rramfit.fitting.screening.screening import screen
from rramfit.fitting.statistics.medians import median_of_cells, median_of_readings
from rramfit.measurement.file.read import read_measurement
from rramfit.measurement.file.record import Levels


def mixture(rng, n, hard, soft):
    x = rng.binomial(n, soft)
    return np.where(rng.random(n.shape) < hard, n, x)


def slow_log_likelihood(h, s, n, x):
    soft = np.array([stats.binom.pmf(b, a, s) for a, b in zip(n, x, strict=True)])
    return np.log(h * (x == n) + (1 - h) * soft).sum()


def test_likelihood_agrees_with_the_mixture():
    rng = np.random.default_rng(1)
    n = rng.integers(1, 6, 200)
    x = mixture(rng, n, 0.1, 0.2)
    constant = (special.gammaln(n + 1) - special.gammaln(x + 1) - special.gammaln(n - x + 1)).sum()
    for h, s in ((0.05, 0.1), (0.2, 0.5)):
        theta = np.arcsin(np.sqrt([h, s]))
        value, gradient = hard_soft_likelihood(theta, attempts_of(n, x))
        assert value + constant == pytest.approx(slow_log_likelihood(h, s, n, x), rel=1e-12)
        numeric = optimize.approx_fprime(
            theta, lambda t: hard_soft_likelihood(t, attempts_of(n, x))[0], 1e-7
        )
        assert gradient == pytest.approx(numeric, rel=1e-5)


def test_estimate_maximises_the_likelihood():
    rng = np.random.default_rng(2)
    n = rng.integers(2, 9, 500)
    x = mixture(rng, n, 0.05, 0.2)
    fit = fit_hard_soft(n, x)
    best = optimize.minimize(
        lambda p: -slow_log_likelihood(p[0], p[1], n, x),
        [0.05, 0.2], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9},
    )  # fmt: skip
    assert (fit.hard.value, fit.soft.value) == pytest.approx(tuple(best.x), rel=1e-4)


def test_without_soft_failures_the_hard_interval_is_jeffreys():
    n = np.full(1000, 4)
    x = np.where(np.arange(1000) < 7, 4, 0)
    fit = fit_hard_soft(n, x)
    exact = stats.beta.ppf([0.025, 0.975], 7.5, 993.5)
    assert fit.hard.value == pytest.approx(0.007, rel=1e-6)
    assert fit.hard.ci95 == pytest.approx(tuple(exact), rel=0.01)
    assert fit.soft.value == 0
    assert fit.soft.ci95[0] == 0


@pytest.mark.parametrize(("hard", "soft"), [(0.003, 0.01), (0.02, 0.2)])
@pytest.mark.parametrize("attempts", [2, 8])
def test_hard_and_soft_intervals_cover(hard, soft, attempts):
    rng = np.random.default_rng(3)
    runs = 60
    n = np.full(2000, attempts)
    hits = np.zeros(2)
    for _ in range(runs):
        fit = fit_hard_soft(n, mixture(rng, n, hard, soft))
        for i, (q, truth) in enumerate(((fit.hard, hard), (fit.soft, soft))):
            hits[i] += q.ci95[0] <= truth <= q.ci95[1]
    assert np.all(hits / runs > 0.95 - 4 * math.sqrt(0.95 * 0.05 / runs))


def test_one_attempt_per_cell_is_rejected():
    with pytest.raises(FitError, match="each of 50 cells was tried once"):
        fit_hard_soft(np.ones(50, dtype=int), np.zeros(50, dtype=int))


def test_cells_with_unequal_soft_failure_are_detected():
    rng = np.random.default_rng(4)
    n = np.full(3000, 8)
    uneven = rng.binomial(n, rng.beta(0.5, 9.5, n.shape))
    assert fit_hard_soft(n, uneven).scatter_p < 1e-6
    assert fit_hard_soft(n, rng.binomial(n, 0.05)).scatter_p > 1e-3


def test_jeffreys_is_the_beta_distribution():
    q = jeffreys(3, 200)
    assert q.ci95 == pytest.approx(tuple(stats.beta.ppf([0.025, 0.975], 3.5, 197.5)))
    assert jeffreys(0, 50).ci95[0] == 0
    assert jeffreys(50, 50).ci95[1] == 1


def test_cells_that_always_fail_count_once():
    n = np.full((40, 40), 8.0)
    x = np.zeros((40, 40))
    x[::4, ::5] = 8
    share = clustered_share(x, n, None)
    assert share.value == pytest.approx(0.05)
    assert share.effective == pytest.approx(1600)


def test_failure_by_columns_widens_the_interval():
    rng = np.random.default_rng(5)
    fault = np.zeros((64, 64), dtype=bool)
    fault[:, rng.choice(64, 6, replace=False)] = rng.random((64, 6)) < 0.5
    possible = np.ones_like(fault)
    found = find_clustering(fault, possible)
    share = clustered_share(fault.astype(float), possible.astype(float), found)
    assert found.dominant.kind == "columns"
    # 32 faults in each of 6 bad columns: about 6 independent events, not 192
    assert share.value * share.effective == pytest.approx(6, rel=0.25)


@pytest.mark.parametrize(
    ("place", "kind", "size"),
    [
        (np.s_[:, 9], "columns", 1),
        (np.s_[30], "rows", 1),
        (np.s_[1::4, 9], "folded columns", 4),
        (np.s_[16:24, 40:48], "patches", 8),
    ],
)
def test_clusters_are_named(place, kind, size):
    rng = np.random.default_rng(6)
    fault = rng.random((64, 64)) < 0.004
    fault[place] |= rng.random(fault[place].shape) < 0.8
    found = find_clustering(fault, np.ones_like(fault))
    assert (found.dominant.kind, found.dominant.size) == (kind, size)
    assert kind in found.verdict.findings[0].what


@pytest.mark.parametrize("share", [0.003, 0.05, 0.4])
def test_scattered_faults_are_not_clustered(share):
    rng = np.random.default_rng(7)
    possible = rng.random((40, 48)) < 0.9
    stratum = rng.integers(3, size=possible.shape)
    runs = 20
    false = 0
    for _ in range(runs):
        fault = rng.random(possible.shape) < share * (stratum + 1) / 2
        false += find_clustering(fault, possible, stratum=stratum).dominant is not None
    assert false <= 2  # P(more | 1 %) = 1e-3


def test_faults_that_depend_on_the_target_level_are_not_clustered():
    rng = np.random.default_rng(8)
    stratum = np.repeat(np.arange(2), 32)[:, None] * np.ones(64, dtype=int)
    fault = rng.random(stratum.shape) < np.where(stratum == 1, 0.1, 0.01)
    possible = np.ones_like(fault)
    assert find_clustering(fault, possible).dominant is not None
    assert find_clustering(fault, possible, stratum=stratum).dominant is None


def test_medians_agree_with_exact_ones():
    rng = np.random.default_rng(9)
    y = rng.normal(10, 1, 401)
    exact = stats.quantile_test(y).confidence_interval()
    assert median_of_cells(y).ci95 == pytest.approx((exact.low, exact.high), abs=0.02)
    readings = np.broadcast_to(y, (5, 1, 401))  # each cell read five times: no more information
    q = median_of_readings(readings, np.ones(readings.shape, dtype=bool))
    assert q.ci95 == pytest.approx((exact.low, exact.high), abs=0.02)


def test_the_median_of_stuck_columns_counts_columns():
    """Each shorted column has one value: 20 columns, not 320 cells, determine the median."""
    covered = {"columns": 0, "cells": 0}
    possible = np.ones((16, 80), dtype=bool)
    stuck = np.broadcast_to(np.arange(80) % 4 == 0, possible.shape)
    clustering = find_clustering(stuck, possible)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        value = rng.normal(0, 1, 80) + rng.normal(0, 0.1, possible.shape)
        y = value[stuck]
        below = np.where(stuck, (value <= np.median(y)) - 0.5, 0.0)
        by = {"columns": inflation(below, clustering), "cells": 1.0}
        for name, factor in by.items():
            low, high = median_of_cells(y, inflation=factor).ci95
            covered[name] += low <= 0 <= high
    assert covered["columns"] >= 51  # P(fewer | 95 %) = 1e-3
    assert covered["cells"] <= 30


def test_a_simulated_chip_returns_its_parameters(make_chip):
    truth = {"hard": 0.01, "soft": 0.03}
    chip = make_chip(
        10, shape=(64, 64), sweeps_per_level=6, stuck_low=0.01, stuck_high=0.005, **truth
    )
    fit = fit_failure(
        chip.statistics, screen(chip.measurement, chip.statistics), levels=chip.measurement.levels
    )
    p = 1 - 0.985 * (1 - truth["hard"]) * (1 - truth["soft"])
    for x in fit.levels:
        for q, t in ((x.probability, p), (x.hard, truth["hard"]), (x.soft, truth["soft"])):
            assert q.value == pytest.approx(t, abs=4 * q.stderr)
        assert x.conductance.value == pytest.approx(5e-6, rel=0.02)
    assert fit.stuck.low.value == pytest.approx(0.01, abs=4 * fit.stuck.low.stderr)
    assert fit.stuck.high.value == pytest.approx(0.005, abs=4 * fit.stuck.high.stderr)
    responding = ~(chip.stuck_low | chip.stuck_high)
    sure = fit.hard_posterior[:, responding] > 0.5
    assert np.array_equal(sure, chip.hard[:, responding])
    assert fit.verdict.ok
    cards, stuck = fit.to_card()
    assert [c.level for c in cards] == [0, 1, 2]
    assert stuck == fit.stuck
    assert len(fit.to_frame()) == len(fit.quantities())
    assert "hard" in fit.summary()
    assert fit.plot().get_xlabel() == "level"


def test_dead_lines_are_events_among_lines(make_chip):
    chip = make_chip(11, shape=(64, 64), dead_rows=(5,), soft=0.01)
    fit = fit_failure(chip.statistics, screen(chip.measurement, chip.statistics))
    q = fit.levels[1].probability
    assert q.value == pytest.approx(1 / 64 + 63 / 64 * 0.01, abs=0.003)
    one_in_64 = jeffreys(1, 64)
    assert q.ci95[1] == pytest.approx(0.01 + one_in_64.ci95[1], rel=0.2)
    assert fit.stuck.dead_rows == one_in_64


def test_one_sweep_cannot_separate_hard_from_soft_failure(make_chip):
    chip = make_chip(12, one_sweep=True, stuck_low=0.01, stuck_high=0.01, hard=0.02, soft=0.05)
    fit = fit_failure(chip.statistics, screen(chip.measurement, chip.statistics))
    assert all(x.hard is None and x.soft is None for x in fit.levels)
    assert any("cannot distinguish hard from soft" in f.what for f in fit.verdict.findings)
    for q in (fit.stuck.low, fit.stuck.high):
        assert q.ci95[0] == 0 < 0.01 < q.ci95[1]
    failed = chip.statistics.failures > 0
    assert np.isnan(fit.hard_posterior[failed & ~chip.stuck_high & ~chip.stuck_low]).all()


def test_unknown_acceptance_gives_no_failure_probability(make_measured):
    rng = np.random.default_rng(13)
    level = np.repeat(np.arange(2), 2)
    y = np.array([10e-6, 80e-6])[level][:, None, None] * rng.lognormal(0, 0.05, (4, 16, 16))
    measurement, statistics = make_measured(
        y, level=level, levels=Levels(target=np.array([10e-6, 80e-6]))
    )
    fit = fit_failure(statistics, screen(measurement, statistics))
    assert fit.levels == ()
    assert "Acceptance is not known" in fit.verdict.findings[0].what
    assert fit.stuck.low.value == 0  # the response shows that no cell is stuck
    once, statistics = make_measured(
        y[:1], level=level[:1], levels=Levels(target=np.array([10e-6, 80e-6]))
    )
    assert fit_failure(statistics, screen(once, statistics)).stuck is None
    unprogrammed = make_measured(y)[1]
    with pytest.raises(FitError, match="no cell was programmed"):
        fit_failure(unprogrammed, screen(measurement, statistics))


def test_real_failures_cluster_in_folded_columns(shared):
    measurement = read_measurement(shared / "data/measured/h5/C10_tile0.h5")
    statistics = accumulate(measurement.program, 1)
    fit = fit_failure(statistics, screen(measurement, statistics), levels=measurement.levels)
    assert fit.levels[0].failures == 649
    dominant = fit.clustering.dominant
    assert (dominant.kind, dominant.size) == ("folded columns", 4)
    # 20 columns of 32 failed cells: the standard error of about 20 events
    q = fit.levels[0].probability
    assert q.stderr / q.value == pytest.approx(1 / math.sqrt(20), rel=0.15)


def test_strata_follow_what_was_asked():
    rng = np.random.default_rng(31)
    level = np.broadcast_to(np.arange(64) % 2, (64, 64))
    possible = np.ones((64, 64), dtype=bool)
    attempts = np.stack([level == k for k in range(2)]) * 3
    fault = rng.random((64, 64)) < np.where(level == 1, 0.1, 0.01)
    strata = strata_by_levels(attempts, fault, possible)
    np.testing.assert_array_equal(strata, level)
    assert find_clustering(fault, possible).dominant is not None
    assert find_clustering(fault, possible, stratum=strata).dominant is None
    fault[:, 9] |= rng.random(64) < 0.6
    found = find_clustering(fault, possible, stratum=strata_by_levels(attempts, fault, possible))
    assert (found.dominant.kind, found.worst[0][0]) == ("columns", 9)


def test_cells_that_were_asked_for_all_levels_are_one_stratum():
    attempts = np.random.default_rng(32).integers(1, 4, size=(3, 16, 16))
    fault = attempts[0] == 2
    assert not strata_by_levels(attempts, fault, np.ones((16, 16), dtype=bool)).any()


def test_many_combinations_of_levels_make_few_strata():
    rng = np.random.default_rng(33)
    attempts = (rng.random((8, 64, 64)) < 0.5).astype(int) * 2
    expected = 0.002 * (1 + np.arange(8)) @ (attempts > 0).reshape(8, -1)
    fault = rng.random((64, 64)) < 2 * expected.reshape(64, 64)
    strata = strata_by_levels(attempts, fault, np.ones((64, 64), dtype=bool))
    assert 4 < len(np.unique(strata)) <= 16
    share = [fault[strata == k].mean() for k in np.unique(strata)]
    assert np.corrcoef(share, np.arange(len(share)))[0, 1] > 0.8
