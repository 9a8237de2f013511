"""Shares of stuck cells by side, how they differ, and how they move, with intervals that cover."""

import dataclasses
import math

import numpy as np
import pytest

from rramfit.fitting.failure.failure import fit_failure
from rramfit.fitting.failure.fault_clustering import find_clustering
from rramfit.fitting.failure.shares import share_of
from rramfit.fitting.screening.accumulate import accumulate
from rramfit.fitting.screening.screening import screen
from rramfit.measurement import synthesize
from rramfit.measurement.file.in_memory import program_in_memory
from rramfit.measurement.virtual.cards import virtual_card

SHAPE = (48, 48)


def chip(seed, *, low, middle, high, moving):
    """Draw a chip of 20, 60 and 120 uS; a share `moving` of its stuck cells moves at each sweep."""
    card = virtual_card(
        "base", mean=[20e-6, 60e-6, 120e-6], spread=0.06, hard=0.01, soft=0.01, array=SHAPE
    )
    m = synthesize(card, sweeps=12, seed=seed)
    block = m.program.read_all()
    rng = np.random.default_rng([seed, 1])
    y, kind = block.conductance.copy(), rng.random(SHAPE)
    moves = rng.random(SHAPE) < moving
    edge = np.cumsum([0.0, low, middle, high])
    sides = {}
    for i, (name, centre, own, width) in enumerate(
        (("low", 3.0, 0.3, 4.0), ("middle", 35.0, 2.0, 12.0), ("high", 200.0, 10.0, 70.0))
    ):
        here = (kind >= edge[i]) & (kind < edge[i + 1])
        at = centre + own * rng.standard_normal(SHAPE)
        moved = at + moves * rng.uniform(-width / 2, width / 2, y.shape)
        noisy = moved + 0.01 * centre * rng.standard_normal(y.shape)
        y = np.where(here, noisy * 1e-6, y)
        sides[name] = here
    stuck = kind < edge[3]
    program = program_in_memory(
        y, read_voltage=0.2, level=block.level, verified=block.accepted & ~stuck, levels=m.levels
    )
    m = dataclasses.replace(m, program=program)
    statistics = accumulate(program, 3)
    return sides, fit_failure(statistics, screen(m, statistics), levels=m.levels)


TRUTH = {
    "low": 0.006,
    "middle": 0.01,
    "high": 0.008,
    "high_conductance": 200e-6,
    "low_std": 0.3e-6,
    "middle_std": 2e-6,
    "high_std": 10e-6,
    "middle_moving": 0.5,
    "high_moving": 0.5,
    "middle_motion": math.hypot(12 / math.sqrt(12), 0.35) * 1e-6,
    "high_motion": math.hypot(70 / math.sqrt(12), 2) * 1e-6,
}


def test_intervals_of_stuck_cells_cover():
    runs, hits, seen, worst = 40, dict.fromkeys(TRUTH, 0), dict.fromkeys(TRUTH, 0), 0.0
    failures = 0
    for seed in range(runs):
        _, fit = chip(seed, low=0.006, middle=0.01, high=0.008, moving=0.5)
        for name, true in TRUTH.items():
            q = getattr(fit.stuck, name)
            if q is not None:
                seen[name] += 1
                hits[name] += q.ci95[0] <= true <= q.ci95[1]
                worst = max(worst, abs(q.value - true) / max(q.stderr, 1e-12))
        for x in fit.levels:
            failures += x.hard.ci95[0] <= 0.01 <= x.hard.ci95[1]
    assert min(seen.values()) > 0.8 * runs
    share = sum(hits.values()) / sum(seen.values())
    assert 0.92 < share < 0.985  # about 400 intervals
    for name in TRUTH:  # P(fewer | 95 %) = 1e-3
        assert hits[name] / seen[name] > 0.95 - 3.1 * math.sqrt(0.95 * 0.05 / seen[name]), name
    assert failures / (3 * runs) > 0.89
    assert worst < 6


def test_sides_and_kinds_are_absent_where_there_are_none():
    _, fit = chip(0, low=0.0, middle=0.0, high=0.01, moving=1.0)
    stuck = fit.stuck
    assert stuck.middle.value == stuck.low.value == 0
    assert stuck.middle.ci95[0] == 0
    for name in ("conductance", "std", "moving", "motion"):
        assert getattr(stuck, f"low_{name}") is None
        assert getattr(stuck, f"middle_{name}") is None
        assert getattr(stuck, f"high_{name}") is not None
    assert stuck.share == stuck.high.value
    assert "stuck high motion" in fit.quantities()


@pytest.mark.parametrize(("count", "factor"), [(1, 3.0), (2, 3.0), (4, 1.5)])
def test_the_median_of_few_cells_has_an_interval(count, factor, make_chip):
    for seed in range(40):
        made = make_chip(seed, stuck_high=count / 48**2)
        if made.stuck_high.sum() == count:
            break
    q = fit_failure(made.statistics, screen(made.measurement, made.statistics)).stuck
    low, high = q.high_conductance.ci95
    assert low < q.high_conductance.value / 1.01
    assert high > q.high_conductance.value * 1.01
    assert low < 145e-6 < high  # cells are drawn evenly from 130 to 160 uS
    assert high / low > factor if count == 1 else high / low > 1.05


def test_a_share_that_may_be_none_or_all_says_so():
    of = np.ones((20, 20), dtype=bool)
    p = np.zeros(of.shape)
    p[0, 0] = 0.3
    q = share_of(p, of, None)
    assert q.value == pytest.approx(0.3 / 400)
    assert q.ci95[0] == 0
    assert share_of(1 - p, of, None).ci95[1] == 1
    p[0, 0] = 0.999999
    assert share_of(p, of, None).ci95[0] > 0
    tiny = share_of(np.full(of.shape, 1e-12), of, find_clustering(p > 0.5, of))
    assert tiny.value == 0
    assert tiny.ci95[0] == 0


def test_an_uncertain_share_widens_the_interval():
    of, p = np.ones((20, 20), dtype=bool), np.zeros((20, 20))
    p[0, :6] = 0.02
    limits = np.stack([np.zeros_like(p), 20 * p])
    narrow, wide = share_of(p, of, None), share_of(p, of, None, limits=limits)
    assert wide.ci95[1] > 1.5 * narrow.ci95[1]
    assert wide.value == narrow.value
