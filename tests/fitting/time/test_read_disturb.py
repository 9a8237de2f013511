"""Read disturb of simulated cells: recovery, coverage, and what it is not confused with."""

import dataclasses

import numpy as np
import pytest

from rramfit.card import Quantity
from rramfit.card.blocks.disturb import DisturbCard, DisturbLevel
from rramfit.card.schema import ReadNoiseCard
from rramfit.fitting.time.read_disturb import describe_disturb
from rramfit.fitting.time.read_noise import fit_read_noise
from rramfit.measurement.file.in_memory import reads_in_memory
from rramfit.measurement.virtual.cards import virtual_card
from rramfit.measurement.virtual.synthesize import synthesize
from rramfit.measurement.virtual.tester import Plan

SIDE, READ, RATE = 10, 2e-7, -2e-9
EVEN = np.arange(32) * 0.1
BURSTS = np.concatenate([1000.0 * i + np.arange(8) * 0.1 for i in range(4)]) + 1.0


def readings(seed, times, *, rate=RATE, drift=0.0, session=None, wander=0.0, lost=0.0):
    """Two levels of 50 cells each, whose rates differ by half of their mean between cells."""
    rng = np.random.default_rng(seed)
    level = rng.permutation(SIDE * SIDE).reshape(SIDE, SIDE) % 2
    g = 20e-6 * (1 + 2 * level) * np.exp(0.05 * rng.standard_normal(level.shape))
    own = rate * (1 + 0.5 * rng.standard_normal(level.shape))
    noise = READ * rng.standard_normal((len(times), *level.shape))
    noise += wander * np.cumsum(rng.standard_normal(noise.shape), axis=0)
    y = g + noise + own * np.arange(len(times))[:, None, None]
    y += drift * np.log(times / times[times > 0][0] if times[0] > 0 else times + 1)[:, None, None]
    if session is not None:
        names = sorted(set(session))
        factor = dict(zip(names, 1 + 0.02 * rng.standard_normal(len(names)), strict=True))
        y *= np.array([factor[s] for s in session])[:, None, None]
    y[rng.random(y.shape) < lost] = np.nan
    return reads_in_memory(
        y, time=times, level=level, read_voltage=0.2, temperature=300.0, session=session
    )


def described(reads):
    everywhere = np.ones(reads.level.shape, dtype=np.bool_)
    return describe_disturb(reads, everywhere, ~everywhere)


@pytest.mark.parametrize(
    "kind",
    [
        {"times": EVEN},
        {"times": EVEN, "rate": 0.0},
        {"times": EVEN, "wander": 5e-8},
        {"times": EVEN, "lost": 0.2},
        {"times": EVEN, "session": ("a",) * 8 + ("b",) * 12 + ("c",) * 12},
        {"times": BURSTS, "drift": -1e-6},
    ],
    ids=["even", "none", "wander", "gaps", "sessions", "drift"],
)
def test_intervals_contain_the_rate_of_95_percent_of_sets(kind):
    """60 sets of two levels: 95 % within 4 standard errors, and z has no mean."""
    hits, z = [], []
    for seed in range(60):
        for x in described(readings(seed, **kind)).card.levels:
            truth = kind.get("rate", RATE)
            hits.append(x.rate.ci95[0] <= truth <= x.rate.ci95[1])
            z.append((x.rate.value - truth) / x.rate.stderr)
    assert abs(np.mean(hits) - 0.95) < 4 * np.sqrt(0.05 * 0.95 / len(hits))
    assert abs(np.mean(z)) < 4 / np.sqrt(len(z))


def test_drift_is_separated_only_where_times_allow_it():
    assert described(readings(1, BURSTS)).card.separated
    assert not described(readings(1, EVEN)).card.separated
    assert not described(readings(1, np.geomspace(1.0, 1e6, 32))).card.separated  # n is ln t


def test_a_strong_disturb_is_a_finding_with_its_size():
    strong = described(readings(2, EVEN, rate=-2e-8))
    (finding,) = strong.findings()
    assert finding.code == "read-disturb"
    assert "32 reads lower the mean of L0 by" in finding.what.replace("L1", "L0")
    assert "do not show whether reads or time" in finding.what
    (separated,) = described(readings(2, BURSTS, rate=-2e-8)).findings()
    assert "time" not in separated.what


def test_no_disturb_is_seldom_a_finding():
    found = [bool(described(readings(seed, EVEN, rate=0.0)).findings()) for seed in range(60)]
    assert sum(found) <= 1


def test_few_reads_or_cells_give_none():
    reads = readings(1, EVEN[:15])
    assert described(reads) is None
    reads = readings(1, EVEN)
    few = np.zeros(reads.level.shape, dtype=np.bool_)
    few[0, :4] = True
    assert describe_disturb(reads, few, ~few & False) is None
    assert described(readings(1, EVEN, session=tuple(map(str, range(32))))) is None


def test_cells_that_left_are_counted_and_not_averaged():
    reads = readings(3, EVEN)
    y = reads.read_all().copy()
    y[16:, 0, 0] *= 3
    level = int(reads.level[0, 0])
    moved = reads_in_memory(y, time=EVEN, level=reads.level, read_voltage=0.2, temperature=300.0)
    row = fit_read_noise(moved).disturb.card.levels[level]
    assert row.n_cells == 49
    assert row.left.value == pytest.approx(1 / 50)
    assert row.rate.ci95[0] <= RATE <= row.rate.ci95[1]


def disturbed_card(rates):
    card = virtual_card("disturbed", mean=[20e-6, 80e-6], spread=0.05)
    levels = [
        DisturbLevel(level=k, n_cells=0, rate=Quantity.given(r, "S"), left=Quantity.given(0.0, "1"))
        for k, r in enumerate(rates)
    ]
    part = DisturbCard(reads=64, separated=True, levels=levels)
    return card.model_copy(
        update={"read_noise": ReadNoiseCard(coefficient=Quantity.given(0.005, "1"), disturb=part)}
    )


def test_a_virtual_chip_gives_the_disturb_of_its_card():
    card = disturbed_card([-4e-9, 2e-8])
    plan = Plan(reads=64, read_burst=8, read_pause=600.0, read_interval=0.1)
    measurement = synthesize(
        card, rows=24, cols=24, sweeps=2, seed=5, groups=("program", "reads"), plan=plan
    )
    fit = fit_read_noise(measurement.reads)
    part = fit.to_card().disturb
    assert part.separated
    for k, row in enumerate(part.levels):
        truth = measurement.truth[f"read_noise.disturb.levels[{k}].rate"]
        assert row.rate.value == pytest.approx(truth, abs=4 * row.rate.stderr)
        assert row.significant
    assert "read-disturb" in [f.code for f in fit.verdict.findings]
    without = dataclasses.replace(plan, read_burst=0)
    even = synthesize(
        card, rows=24, cols=24, sweeps=2, seed=5, groups=("program", "reads"), plan=without
    )
    assert (even.reads.read_all() == measurement.reads.read_all()).all()
