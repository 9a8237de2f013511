"""Virtual measurements: balanced patterns, independent random streams and correct truth."""

import json
import math
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

from rramfit.card.canonical import save_card
from rramfit.card.families import FAMILIES, family
from rramfit.card.quantity import Quantity
from rramfit.card.schema import IVCard, LineCard, ReadoutCard
from rramfit.errors import ArrayError
from rramfit.measurement import (
    Instrument,
    Plan,
    random_card,
    read_measurement,
    replay,
    synthesize,
    virtual_card,
    write_measurement,
)
from rramfit.measurement.virtual.cards import family_with_moments
from rramfit.measurement.virtual.distribution_truth import distribution_truth
from rramfit.measurement.virtual.tester import level_pattern
from rramfit_cli.main import cli

CARD = random_card(3, array=(20, 24))
K = 4.5


def all_sweeps(measurement):
    return measurement.program.read_all()


def same(a, b):
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def test_every_cell_is_programmed_to_each_level_equally_often():
    patterns = np.stack([level_pattern(3, t, (20, 24), seed=8) for t in range(12)])
    for k in range(3):
        assert ((patterns == k).sum(axis=0) == 4).all()  # over sweeps, in every cell
        assert ((patterns == k).sum(axis=(1, 2)) == 160).all()  # over cells, in every sweep
    assert not same(patterns[0], patterns[3])  # a new pattern every 3 sweeps


def test_uneven_patterns_differ_by_one_cell():
    counts = np.bincount(level_pattern(7, 5, (10, 10), seed=1).ravel(), minlength=7)
    assert np.ptp(counts) <= 1


def test_the_seed_determines_the_measurement():
    a, b, c = (synthesize(CARD, rows=9, sweeps=4, seed=s, groups=GROUPS) for s in (5, 5, 6))
    assert same(all_sweeps(a).conductance, all_sweeps(b).conductance)
    assert same(a.retention.read_all(), b.retention.read_all())
    assert same(a.mvm.current, b.mvm.current)
    assert a.truth == b.truth
    assert not same(all_sweeps(a).conductance, all_sweeps(c).conductance)


GROUPS = ("program", "reads", "retention", "iv", "mvm")


def test_adding_a_group_or_a_defect_does_not_change_the_others():
    plain = all_sweeps(synthesize(CARD, sweeps=6, seed=5))
    everything = synthesize(
        CARD, sweeps=6, seed=5, groups=GROUPS, instrument=Instrument(missing=0.1, max_pulses=50)
    )
    g = all_sweeps(everything).conductance
    there = np.isfinite(g)
    assert same(g[there], plain.conductance[there])
    assert same(all_sweeps(everything).accepted, plain.accepted)
    longer = all_sweeps(synthesize(CARD, sweeps=9, seed=5))
    assert same(longer.conductance[:6], plain.conductance)
    # failures change which cells are accepted, not the readings of the others
    without_failures = CARD.model_copy(update={"failure": []})
    b = all_sweeps(synthesize(without_failures, sweeps=6, seed=5))
    assert same(b.conductance[plain.accepted], plain.conductance[plain.accepted])


def test_a_large_program_is_drawn_when_it_is_read(monkeypatch):
    in_memory = all_sweeps(synthesize(CARD, sweeps=5, seed=5, instrument=Instrument(max_pulses=9)))
    monkeypatch.setattr(sys.modules["rramfit.measurement.virtual.synthesize"], "IN_MEMORY", 100)
    lazy = synthesize(CARD, sweeps=5, seed=5, instrument=Instrument(max_pulses=9)).program
    for _ in range(2):  # every pass gives the same
        blocks = list(lazy.blocks(2))
        assert [b.first for b in blocks] == [0, 2, 4]
        for name in ("conductance", "level", "accepted", "pulses"):
            assert same(
                np.concatenate([getattr(b, name) for b in blocks]), getattr(in_memory, name)
            )


def test_instrument_offset_rails_losses_and_pulse_budget():
    plain = all_sweeps(synthesize(CARD, sweeps=3, seed=5)).conductance
    floor, ceiling, offset = 10e-6, 200e-6, -2e-6
    instrument = Instrument(offset=offset, floor=floor, ceiling=ceiling, missing=0.2, max_pulses=20)
    block = all_sweeps(synthesize(CARD, sweeps=3, seed=5, instrument=instrument))
    lost = np.isnan(block.conductance)
    assert abs(lost.mean() - 0.2) < K * math.sqrt(0.16 / lost.size)
    want = np.clip(plain + offset, floor, ceiling)
    np.testing.assert_allclose(block.conductance[~lost], want[~lost], rtol=3e-7)  # float32 twice
    assert block.pulses.min() >= 1
    assert block.pulses.max() == 20
    assert (block.pulses[~block.accepted] == 20).all()


def test_a_written_measurement_reads_back_equal(tmp_path):
    drawn = synthesize(CARD, sweeps=3, seed=5, groups=GROUPS, instrument=Instrument(missing=0.01))
    write_measurement(drawn, tmp_path / "a.h5")
    back = read_measurement(tmp_path / "a.h5")
    assert back.identity.synthetic
    assert back.truth == drawn.truth
    for name in ("conductance", "level", "accepted"):
        assert same(getattr(all_sweeps(back), name), getattr(all_sweeps(drawn), name))
    assert same(back.reads.read_all(), drawn.reads.read_all())
    assert same(back.retention.read_all(), drawn.retention.read_all())
    np.testing.assert_allclose(back.iv.current, drawn.iv.current)
    np.testing.assert_allclose(back.mvm.current, drawn.mvm.current)


def test_the_truth_agrees_with_many_chips():
    card = virtual_card(
        "truth",
        mean=[30e-6, 150e-6],
        spread=0.12,
        distribution="gamma",
        read=0.03,
        hard=0.02,
        soft=[0.05, 0.1],
        row_trend=2e-3,
        stuck={"high": 0.1, "high_conductance": 150e-6, "dead_rows": 0.05},
        window=0.1,
        array=(16, 16),
    )
    found = {}
    for seed in range(80):
        m = synthesize(card, rows=24, cols=16, sweeps=4, seed=seed)
        b = all_sweeps(m)
        good = b.accepted & ~stuck_cells(m)
        for k in range(2):
            at = b.level == k
            y = np.where(at & good, b.conductance, np.nan)
            found.setdefault(f"levels[{k}].mean", []).append(np.nanmean(y))
            square = np.nanmean((y - m.truth[f"levels[{k}].mean"]) ** 2)
            found.setdefault(f"levels[{k}].std", []).append(square)
            found.setdefault(f"failure[{k}].probability", []).append(
                (at & ~b.accepted).sum() / at.sum()
            )
            within = np.nanvar(y[:, (at & good).sum(axis=0) == 2], axis=0, ddof=1)
            found.setdefault(f"variation[{k}].c2c", []).append(within.mean())
    for path, values in found.items():
        want = m.truth[path] ** (2 if path.endswith((".std", ".c2c")) else 1)
        error = K * np.std(values) / math.sqrt(len(values))
        assert abs(np.mean(values) - want) < error, path


def stuck_cells(m):
    out = np.zeros((m.rows, m.cols), dtype=bool)
    for row, col in m.truth["realised"]["stuck_low"] + m.truth["realised"]["stuck_high"]:
        out[row, col] = True
    return out


def test_with_reads_c2c_excludes_read_noise():
    with_reads = synthesize(CARD, sweeps=1, groups=("program", "reads")).truth
    without = synthesize(CARD, sweeps=1).truth
    for k in range(3):
        c2c, read = with_reads[f"variation[{k}].c2c"], with_reads[f"variation[{k}].read"]
        assert without[f"variation[{k}].c2c"] == pytest.approx(math.hypot(c2c, read))
        assert c2c == pytest.approx(CARD.variation[k].c2c.value, rel=1e-3)


@pytest.mark.parametrize("distribution", FAMILIES)
def test_the_likelihood_gradient_is_zero_at_the_true_parameters(distribution):
    card = virtual_card(
        "distribution",
        mean=[80e-6],
        spread=0.15,
        distribution=distribution,
        read=0.06,
        array=(8, 8),
    )
    truth = distribution_truth(card, (8, 8))
    m = synthesize(card, rows=300, cols=300, sweeps=2, seed=4)
    y = all_sweeps(m).conductance.ravel()
    stated = {n: q.value for n, q in card.levels[0].distribution.parameters.items()}
    found = {n: truth[f"levels[0].distribution.parameters.{n}"] for n in stated}

    def score(at, name):
        step = 1e-4 * abs(at[name])
        up, down = ({**at, name: at[name] + sign * step} for sign in (1, -1))
        if name == "weight_1":  # weights sum to 1
            up["weight_2"], down["weight_2"] = 1 - up["weight_1"], 1 - down["weight_1"]
        x = (family(distribution).logpdf(y, up) - family(distribution).logpdf(y, down)) / (2 * step)
        return x.mean() / (x.std() / math.sqrt(x.size))

    free = [name for name in stated if name != "weight_2"]
    assert max(abs(score(found, name)) for name in free) < K
    # Noise of this size hardly changes a normal, lognormal or gamma distribution.
    if distribution not in ("normal", "lognormal", "gamma"):
        assert max(abs(score(stated, name)) for name in free) > K


def test_column_currents_include_the_line_resistance_of_the_card():
    line = LineCard(
        wordline_resistance=Quantity.given(2.0, "ohm"),
        bitline_resistance=Quantity.given(3.0, "ohm"),
        driver_resistance=Quantity.given(40.0, "ohm"),
        sense_resistance=Quantity.given(10.0, "ohm"),
        inactive_rows="grounded",
    )
    card = CARD.model_copy(update={"line": line})
    quiet = Instrument(current_noise=0.0, cell_read_noise=0.0)
    plan = Plan(mvm_patterns=3)
    size = {"rows": 8, "cols": 9, "seed": 2}
    mvm = synthesize(card, groups=("mvm",), instrument=quiet, plan=plan, **size).mvm
    want = [dense_currents(mvm.conductance, v, 2.0, 3.0, 40.0, 10.0) for v in mvm.voltage]
    np.testing.assert_allclose(mvm.current, want, rtol=1e-9)
    assert ((mvm.voltage > 0).sum(axis=1) == 4).all()
    ideal = synthesize(CARD, groups=("mvm",), instrument=quiet, plan=plan, **size).mvm
    np.testing.assert_allclose(ideal.current, ideal.voltage @ ideal.conductance, rtol=1e-12)


def dense_currents(g, v, r_wl, r_bl, r_drv, r_sense):
    """Nodal analysis, one conductance at a time."""
    m, n = g.shape
    A, rhs = np.zeros((2 * m * n, 2 * m * n)), np.zeros(2 * m * n)

    def wire(i, j, conductance):
        A[i, i] += conductance
        A[j, j] += conductance
        A[i, j] -= conductance
        A[j, i] -= conductance

    for i in range(m):
        for j in range(n):
            word, bit = i * n + j, m * n + i * n + j
            wire(word, bit, g[i, j])
            if j + 1 < n:
                wire(word, word + 1, 1 / r_wl)
            if i + 1 < m:
                wire(bit, bit + n, 1 / r_bl)
        A[i * n, i * n] += 1 / r_drv
        rhs[i * n] += v[i] / r_drv
    last = np.arange(2 * m * n - n, 2 * m * n)
    A[last, last] += 1 / r_sense
    return np.linalg.solve(A, rhs)[last] / r_sense


def test_iv_curves_follow_the_card():
    iv = IVCard(
        nonlinearity=Quantity.given(2.0, "1/V"),
        offset=Quantity.given(3e-8, "A"),
        noise=Quantity.given(1e-8, "A"),
    )
    m = synthesize(CARD.model_copy(update={"iv": iv}), groups=("iv",), seed=2).iv
    shape = np.sinh(2.0 * m.voltage) / 2.0
    current = m.current - 3e-8
    g0 = (current @ shape) / (shape @ shape)
    noise = current - g0[:, None] * shape
    points = noise.size - len(g0)  # one fitted conductance per cell
    assert (noise**2).sum() / points == pytest.approx(1e-16, rel=K * math.sqrt(2 / points))
    assert len({(r, c) for r, c in zip(m.row, m.col, strict=True)}) == 64


def test_readout_codes_follow_the_card():
    readout = ReadoutCard(
        bits=8,
        full_scale=Quantity.given(1e-3, "A"),
        gain=Quantity.given(2e5, "LSB/A"),
        offset=Quantity.given(20.0, "LSB"),
        noise=Quantity.given(0.7, "LSB"),
    )
    m = synthesize(CARD.model_copy(update={"readout": readout}), groups=("readout",), seed=2)
    r = m.readout
    error = r.code - (20 + 2e5 * r.input)[None, :, None]
    inside = (error + r.code > 6) & (r.code < 250) & (r.code > 5)
    assert r.zero_code == 20
    assert error[inside].std() == pytest.approx(0.7, rel=0.05)
    with pytest.raises(ArrayError, match="has no readout"):
        synthesize(CARD, groups=("readout",))


def test_each_replayed_chip_is_one_cycle():
    import torch

    m = synthesize(CARD, sweeps=6, seed=5, instrument=Instrument(missing=0.05))
    chips = replay(m)
    b = all_sweeps(m)
    assert len(chips) == 2
    assert chips.shape == (20, 24)
    for row, col in ((0, 0), (7, 3), (19, 23)):
        for k in range(3):
            seen = b.conductance[b.level[:, row, col] == k, row, col]
            seen = seen[np.isfinite(seen)].astype(np.float32)
            replayed = chips.conductance[:, k, row, col].numpy()
            assert replayed[np.isfinite(replayed)].tolist() == seen.tolist()
    state = chips.program(torch.ones(20, 24, dtype=torch.int64), generator=torch.Generator())
    assert bool(torch.isfinite(state.conductance).all())
    with pytest.raises(ArrayError, match="replay needs /program"):
        replay(synthesize(CARD, groups=("reads",)))


def test_invalid_requests_are_rejected():
    with pytest.raises(ArrayError, match="cannot synthesize group 'noise'"):
        synthesize(CARD, groups=("noise",))
    with pytest.raises(ArrayError, match="sweeps = 0"):
        synthesize(CARD, sweeps=0)


def test_the_command_writes_a_file_marked_as_synthetic(tmp_path):
    save_card(CARD, tmp_path / "c.card.json")
    out = tmp_path / "chip.h5"
    arguments = ["measurement", "synthesize", str(tmp_path / "c.card.json"), "-o", str(out)]
    arguments += ["--rows", "10", "--cols", "12", "--sweeps", "6", "--seed", "9", "--json"]
    arguments += ["--group", "program", "--group", "reads", "--missing", "0.1"]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    m = read_measurement(out)
    assert m.identity.synthetic
    assert m.program.shape == (6, 10, 12)
    assert printed["truth"] == m.truth
    again = synthesize(
        CARD, rows=10, cols=12, sweeps=6, seed=9, groups=("program", "reads"),
        instrument=Instrument(missing=0.1),
    )  # fmt: skip
    assert same(all_sweeps(again).conductance, all_sweeps(m).conductance)
    bytes_first = out.read_bytes()
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    assert out.read_bytes() == bytes_first


@pytest.mark.parametrize(
    "distribution", ["gamma", "weibull", "student_t", "skew_normal", "johnson_su"]
)
def test_families_have_the_requested_moments(distribution):
    mean, std = 80e-6, 9e-6
    p = family_with_moments(distribution, mean, std)
    reference = {
        "gamma": lambda: stats.gamma(p["shape"], scale=p["scale"]),
        "weibull": lambda: stats.weibull_min(p["shape"], scale=p["scale"]),
        "student_t": lambda: stats.t(p["df"], p["loc"], p["scale"]),
        "skew_normal": lambda: stats.skewnorm(p["shape"], p["loc"], p["scale"]),
        "johnson_su": lambda: stats.johnsonsu(p["gamma"], p["delta"], p["xi"], p["lambda"]),
    }[distribution]()
    assert reference.mean() == pytest.approx(mean, rel=1e-9)
    assert reference.std() == pytest.approx(std, rel=1e-6)


def test_random_cards_depend_on_the_seed_and_factors_are_independent():
    assert random_card(4) == random_card(4)
    full, plain = random_card(4), random_card(4, spatial=False, failures=False)
    assert [x.mean for x in full.levels] == [x.mean for x in plain.levels]
    assert [x.d2d for x in full.variation] == [x.d2d for x in plain.variation]
    assert full.levels[0].mean != random_card(5).levels[0].mean
    assert plain.failure[0].probability.value == 0
