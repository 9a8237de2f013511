"""Intervals of failures whose cells are not independent: in clusters, under a field, with doubt."""

from types import SimpleNamespace

import numpy as np

from rramfit.fitting.failure.failure import fit_failure
from rramfit.fitting.failure.fault_clustering import find_clustering
from rramfit.fitting.failure.shares import clustered_share
from rramfit.fitting.failure.stuck_kinds import stuck_kinds
from rramfit.fitting.screening.accumulate import accumulate
from rramfit.fitting.screening.screening import screen
from rramfit.fitting.variation.variation import fit_variation
from rramfit.measurement import synthesize
from rramfit.measurement.file.in_memory import program_in_memory
from rramfit.measurement.virtual.cards import random_card
from rramfit.measurement.virtual.mess import Mess
from rramfit.measurement.virtual.messy_chip import _clusters

SHAPE = (64, 64)


def covered(fault, truth):
    possible = np.ones(fault.shape, dtype=bool)
    found = find_clustering(fault, possible)
    low, high = clustered_share(fault.astype(float), possible.astype(float), found).quantity().ci95
    return low <= truth <= high


def test_a_share_in_round_clusters_counts_clusters_not_cells():
    """Row and column sums see a quarter of a cluster each."""
    hits = [covered(_clusters(Mess(clusters=0.03), SHAPE, s), 0.03) for s in range(120)]
    assert 0.90 <= np.mean(hits) <= 0.99


def test_scattered_faults_are_not_widened():
    rng = np.random.default_rng(5)
    possible = np.ones(SHAPE, dtype=bool)
    widened = 0
    for _ in range(60):
        fault = rng.random(SHAPE) < 0.03
        share = clustered_share(
            fault.astype(float), possible.astype(float), find_clustering(fault, possible)
        )
        widened += share.inflation > 1.2
    assert widened <= 3


def test_the_median_of_failed_readings_has_the_field_in_its_error():
    """Failed cells are left at the lowest level, whose field they share."""
    hits = []
    for seed in range(50):
        card = random_card(seed, distribution="normal", array=(48, 48))
        m = synthesize(card, sweeps=12, seed=seed)
        statistics = accumulate(m.program, 3)
        screening = screen(m, statistics)
        variation = fit_variation(statistics, screening.healthy, domains=["linear"] * 3)
        truth = card.levels[0].distribution.parameters["loc"].value
        for x in fit_failure(statistics, screening, variation=variation).levels:
            if x.conductance is not None:
                low, high = x.conductance.ci95
                hits.append(low <= truth <= high)
    assert 0.90 <= np.mean(hits) <= 0.99


def test_the_deviation_of_few_lognormal_stuck_cells():
    """The squares of six to ten cells do not show the tail of their distribution."""
    rng, hits = np.random.default_rng(3), []
    none = program_in_memory(
        np.full((2, 8, 8), 1e-6), read_voltage=0.2, level=np.zeros((2, 8, 8), dtype=int)
    )
    statistics = accumulate(none, 1)
    for _ in range(300):
        stuck = np.zeros((8, 8), dtype=bool)
        stuck.ravel()[: rng.integers(6, 11)] = True
        value = 20e-6 * np.exp(0.4 * rng.standard_normal((8, 8)))
        screening = SimpleNamespace(
            value=value,
            healthy=~stuck,
            stuck_posterior=stuck.astype(float),
            stuck_moving=np.where(stuck, 0.0, np.nan),
            stuck_motion=np.where(stuck, 1e-8, np.nan),
        )
        low, high = stuck_kinds(statistics, screening, stuck, None, positive=True)["std"].ci95
        hits.append(low <= 20e-6 * np.exp(0.08) * np.sqrt(np.expm1(0.16)) <= high)
    assert 0.92 <= np.mean(hits) <= 0.98


def test_a_doubtful_cell_at_a_level_does_not_set_the_deviation_of_the_stuck_ones():
    mess = Mess(shared_failures=0.7)
    found = []
    for seed in (2, 3, 4):
        card = random_card(seed, distribution="normal", array=(48, 48))
        m = synthesize(card, sweeps=12, seed=seed, mess=mess)
        statistics = accumulate(m.program, 3)
        q = fit_failure(statistics, screen(m, statistics)).stuck.low_std
        if q is not None:
            found.append(q.value / card.levels[0].mean.value)
    assert found
    assert max(found) < 0.1
