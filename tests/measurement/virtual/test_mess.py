"""Mess of virtual chips: every kind does what it says, alone, and its stated truth is true."""

import dataclasses
import math

import numpy as np
import pytest

from rramfit.array.devices.parameters import level_parameters
from rramfit.errors import ArrayError
from rramfit.measurement import (
    Instrument,
    Mess,
    Plan,
    random_card,
    read_measurement,
    synthesize,
    virtual_card,
    write_measurement,
)
from rramfit.measurement.virtual import distribution_truth as dt
from rramfit.measurement.virtual import mess as kinds
from rramfit.measurement.virtual.endurance import endurance_failed
from rramfit.measurement.virtual.group_cards import with_groups

K = 4.5
FIELDS = [f.name for f in dataclasses.fields(Mess)]
SIZE = {
    "moving_stuck": 0.05,
    "middle_stuck": 0.05,
    "clusters": 0.05,
    "corner": 0.05,
    "shared_failures": 0.7,
    "off_level": 0.1,
    "row_offsets": 0.5,
    "col_offsets": 0.5,
    "folded_offsets": 0.5,
    "bimodal": 3.0,
    "telegraph": 0.2,
    "column_gain": 0.4,
    "sweep_drift": 0.1,
}
GROUPS = ("program", "reads", "retention", "iv", "mvm", "endurance")


def card_of(**other):
    given = {
        "mean": [30e-6, 150e-6],
        "spread": 0.1,
        "read": 0.03,
        "hard": 0.05,
        "soft": [0.05, 0.1],
        "stuck": {"low": 0.02, "high": 0.02, "low_conductance": 3e-6, "high_conductance": 300e-6},
        "array": (16, 16),
        **other,
    }
    return virtual_card("mess", **given)


CARD = with_groups(card_of(), 3)


def sweeps_of(measurement):
    return measurement.program.read_all()


def drawn(seed=5, *, card=CARD, sweeps=6, rows=16, cols=16, groups=("program",), **mess):
    return synthesize(
        card, rows=rows, cols=cols, sweeps=sweeps, seed=seed, groups=groups, mess=Mess(**mess)
    )


def test_the_default_is_no_mess(tmp_path):
    files = []
    for i, mess in enumerate((None, Mess())):
        m = synthesize(CARD, sweeps=4, seed=5, groups=GROUPS, mess=mess)
        write_measurement(m, tmp_path / f"{i}.h5")
        files.append((tmp_path / f"{i}.h5").read_bytes())
    assert files[0] == files[1]
    assert "mess" not in m.truth


@pytest.mark.parametrize("kind", FIELDS)
def test_each_kind_states_its_truth_and_is_drawn_again_alike(kind, tmp_path):
    one, two = (drawn(groups=GROUPS, **{kind: SIZE[kind]}) for _ in range(2))
    assert one.truth == two.truth
    assert one.truth["mess"] == {kind: SIZE[kind]}
    np.testing.assert_array_equal(sweeps_of(one).conductance, sweeps_of(two).conductance)
    write_measurement(one, tmp_path / "a.h5")
    back = read_measurement(tmp_path / "a.h5")
    assert back.truth == one.truth
    np.testing.assert_array_equal(back.endurance.conductance, one.endurance.conductance)


@pytest.mark.parametrize("kind", FIELDS)
def test_a_kind_leaves_the_other_readings_as_they_are(kind):
    """Where a reading is not affected, it is the very reading of the calm chip."""
    calm, messy = drawn(groups=GROUPS), drawn(groups=GROUPS, **{kind: SIZE[kind]})
    a, b = sweeps_of(calm), sweeps_of(messy)
    same = a.conductance == b.conductance
    where = messy.truth["realised"]
    shared = np.ones(same.shape, dtype=bool)
    if kind == "moving_stuck":
        shared[:, *np.array(where["moving_low"] + where["moving_high"]).T] = False
    elif kind == "middle_stuck":
        shared[:, *np.array(where["stuck_middle"]).T] = False
    elif kind in ("clusters", "corner"):
        shared[:, *np.array(where["stuck_low"]).T] = False
    elif kind == "telegraph":
        shared[:, *np.array(where["telegraph"]).T] = False
    elif kind == "column_gain":
        shared[:, :, np.array(where["column_gain"]) != 1] = False
    elif kind == "bimodal":
        shared = (b.level != 1) | ~b.accepted
    elif kind == "shared_failures":
        shared = a.accepted & b.accepted
    elif kind.endswith("_offsets"):
        shared = ~b.accepted
    elif kind == "sweep_drift":
        shared[:] = False
    assert same[shared].all()
    assert kind in ("sweep_drift", "off_level") or (~same[~shared]).any()
    assert same.all() == (kind == "off_level")
    # a group that the kind does not act on is untouched, and so is the order of levels
    np.testing.assert_array_equal(a.level, b.level)
    reached = kind in ("off_level", "moving_stuck", "middle_stuck", "clusters", "corner")
    if not reached and kind != "column_gain":
        np.testing.assert_array_equal(
            calm.endurance.conductance[:, :, calm_cells(calm)],
            messy.endurance.conductance[:, :, calm_cells(calm)],
        )


def calm_cells(m):
    out = np.ones((m.rows, m.cols), dtype=bool)
    for row, col in m.truth["realised"]["stuck_low"] + m.truth["realised"]["stuck_high"]:
        out[row, col] = False
    return out


CHIPS = 120


def estimates_of(m):
    """Plain estimates of one chip, from the accepted readings of its sound cells."""
    b, truth = sweeps_of(m), m.truth
    stuck = truth["realised"]
    bad = np.zeros((m.rows, m.cols), dtype=bool)
    for name in ("stuck_low", "stuck_high", "moving_low", "moving_high", "stuck_middle"):
        for row, col in stuck.get(name, []):
            bad[row, col] = True
    n_low = len(stuck["stuck_low"]) + len(stuck.get("moving_low", []))
    n_high = len(stuck["stuck_high"]) + len(stuck.get("moving_high", []))
    out = {"stuck.low": n_low / bad.size, "stuck.high": n_high / bad.size}
    offsets = []
    for k in range(2):
        at = b.level == k
        y = np.where(at & b.accepted & ~bad, b.conductance, np.nan)
        out[f"levels[{k}].mean"] = np.nanmean(y)
        d = y - truth[f"levels[{k}].mean"]
        out[f"levels[{k}].std"] = np.nanmean(d**2)
        out[f"failure[{k}].probability"] = (at & ~b.accepted).sum() / at.sum()
        several = np.isfinite(d).sum(axis=0) > 1
        out[f"variation[{k}].c2c"] = np.nanvar(d[:, several], axis=0, ddof=1).mean()
        n, total = np.isfinite(d).sum(axis=0), np.nansum(d, axis=0)
        pairs = (total**2 - np.nansum(d**2, axis=0))[several] / (n * (n - 1))[several]
        out[f"variation[{k}].d2d"] = pairs.mean()
        offsets.append(np.where(n > 0, total / np.maximum(n, 1), np.nan))
        out[f"failure[{k}].hard"] = (~(at & b.accepted).any(axis=0))[~bad].mean()
    out["covariance"] = np.nanmean(offsets[0] * offsets[1])
    return out


@pytest.mark.parametrize("place", ["faults", "states", "readings", "everything"])
def test_the_truth_agrees_with_many_chips(place):
    of_place = {
        "faults": ("moving_stuck", "middle_stuck", "clusters", "corner", "shared_failures"),
        "states": ("row_offsets", "col_offsets", "folded_offsets", "bimodal"),
        "readings": ("telegraph", "column_gain", "sweep_drift"),
        "everything": FIELDS,
    }
    mess = {kind: SIZE[kind] for kind in of_place[place]}
    card = card_of(soft=0.0)
    found = {}
    for seed in range(CHIPS):
        m = drawn(seed, card=card, sweeps=8, **mess)
        for path, value in estimates_of(m).items():
            found.setdefault(path, []).append(value)
    truth = m.truth
    d2d = [truth[f"variation[{k}].d2d"] for k in range(2)]
    want = {**truth, "covariance": truth["variation_correlation[0][1]"] * d2d[0] * d2d[1]}
    for path, values in found.items():
        squared = path.endswith((".std", ".c2c", ".d2d"))
        target = want[path] ** 2 if squared else want[path]
        error = K * np.std(values) / math.sqrt(CHIPS)
        assert abs(np.mean(values) - target) < error, (path, np.mean(values), target, error)


@pytest.mark.parametrize("distribution", ["normal", "lognormal", "gamma", "student_t"])
@pytest.mark.parametrize("kind", ["row_offsets", "telegraph", "column_gain", "sweep_drift"])
def test_nodes_of_the_readings_have_the_true_moments(kind, distribution):
    """Two ways to one number: quadrature over readings, and sums of variance components."""
    card = card_of(distribution=distribution, row_trend=1e-3)
    mess = Mess(**{kind: SIZE[kind]})
    m = synthesize(card, sweeps=1, mess=mess)
    p = level_parameters(card)
    for k in range(2):
        y, w = dt._readings(p, k, (16, 16), 0.0, mess=mess, positive=False)
        assert w @ y == pytest.approx(m.truth[f"levels[{k}].mean"], rel=1e-4)
        std = math.sqrt(w @ (y - w @ y) ** 2)
        assert std == pytest.approx(m.truth[f"levels[{k}].std"], rel=3e-3)


@pytest.mark.parametrize("distribution", ["normal", "lognormal"])
@pytest.mark.parametrize("offset", [0.0, 2e-6])
def test_parameters_follow_from_the_moments_of_readings_and_factors(distribution, offset):
    card, mess = card_of(distribution=distribution), Mess(telegraph=0.2, column_gain=0.4)
    p = level_parameters(card)
    found = dt.direct_parameters(card, p, 1, (16, 16), offset, mess=mess)
    y, w = dt._readings(p, 1, (16, 16), offset, mess=mess, positive=True)
    x = np.log(y) if distribution == "lognormal" else y
    wanted = [w @ x, math.sqrt(w @ (x - w @ x) ** 2)]
    assert list(found.values()) == pytest.approx(wanted, rel=1e-9)
    calm = dt.direct_parameters(card, p, 1, (16, 16), offset)
    assert found != pytest.approx(calm, rel=1e-4)


def test_line_offsets_have_their_size_and_correlation():
    """Over many chips the realised offsets have the stated deviation and correlation."""
    rows = np.stack(
        [drawn(s, row_offsets=0.5).truth["realised"]["line_offsets[row,1]"] for s in range(60)]
    )
    z = rows[..., 0]  # (chip, level, row)
    m = drawn(0, row_offsets=0.5)
    for k in range(2):
        want = m.truth[f"variation[{k}].lines[row,1].std"]
        assert z[:, k].std() == pytest.approx(want, rel=K / math.sqrt(2 * z[:, k].size))
        calm = drawn(0).truth[f"levels[{k}].std"]
        assert want == pytest.approx(0.5 * calm)
        assert m.truth[f"levels[{k}].std"] == pytest.approx(calm * math.sqrt(1.25))
    r = np.corrcoef(z[:, 0].ravel(), z[:, 1].ravel())[0, 1]
    assert r == pytest.approx(kinds.LINE_CORRELATION, abs=K / math.sqrt(z[:, 0].size))


def test_folded_offsets_are_shared_by_rows_equal_modulo_four():
    quiet = card_of(read=0.0)
    calm, messy = drawn(card=quiet), drawn(card=quiet, folded_offsets=0.5)
    a, b = sweeps_of(calm), sweeps_of(messy)
    shift = np.where(b.accepted & (b.level == 0), b.conductance - a.conductance, np.nan)
    shift[:, ~calm_cells(calm)] = np.nan
    offsets = np.array(messy.truth["realised"]["line_offsets[col,4]"])[0]  # (col, part)
    for row in range(16):
        for col in range(16):
            seen = shift[:, row, col][np.isfinite(shift[:, row, col])]
            np.testing.assert_allclose(seen, offsets[col, row % 4], atol=3e-11)


def test_moving_and_middle_cells_read_where_they_should():
    card = card_of(read=0.0)
    m = drawn(card=card, moving_stuck=0.1, middle_stuck=0.1, rows=40, cols=40)
    b, where = sweeps_of(m), m.truth["realised"]
    low, high, middle = (
        b.conductance[:, *np.array(where[name]).T]
        for name in ("moving_low", "moving_high", "stuck_middle")
    )
    assert (low < 0.4 * 30e-6).all()
    assert (high > 1.6 * 150e-6).all()
    assert ((middle > 30e-6 * 1.29) & (middle < 150e-6 * 0.71)).all()
    assert np.median(np.ptp(high, axis=0) / high.mean(axis=0)) > 0.1  # they move
    assert (np.ptp(middle, axis=0) == 0).all()
    for name in ("moving_low", "moving_high", "stuck_middle"):
        assert not b.accepted[:, *np.array(where[name]).T].any()


def test_cells_cannot_be_stuck_between_levels_that_overlap():
    with pytest.raises(ArrayError, match="no cell can be stuck between them"):
        drawn(card=card_of(mean=[100e-6, 130e-6]), middle_stuck=0.1)


def test_clusters_are_clustered_and_the_corner_is_a_corner():
    neighbours = []
    for seed in range(20):
        m = drawn(seed, card=card_of(stuck={}), rows=40, cols=40, sweeps=1, clusters=0.05)
        low = np.zeros((40, 40))
        low[*np.array(m.truth["realised"]["stuck_low"]).T] = 1
        neighbours.append([low.mean(), (low[:, 1:] * low[:, :-1]).mean()])
    share, pair = np.mean(neighbours, axis=0)
    assert pair > 5 * share**2
    m = drawn(3, card=card_of(stuck={}), rows=40, cols=40, sweeps=1, corner=0.05)
    cells = np.array(m.truth["realised"]["stuck_low"])
    distance = np.hypot(39 - cells[:, 0], 39 - cells[:, 1])
    radius = math.sqrt(0.05 / kinds.CORNER_DENSITY * 1600 * 4 / math.pi)
    assert distance.max() < 1.1 * radius
    assert len(cells) / 1600 == pytest.approx(m.truth["stuck.low"], abs=K * math.sqrt(0.01 / 1600))


def test_shared_failures_meet_in_the_same_cells():
    card = card_of(hard=0.1, soft=0.0, stuck={})
    both = {True: 0, False: 0}
    for shared in both:
        for seed in range(10):
            mess = {"shared_failures": 0.7} if shared else {}
            b = sweeps_of(drawn(seed, card=card, rows=40, cols=40, sweeps=2, **mess))
            never = [~((b.level == k) & b.accepted).any(axis=0) for k in range(2)]
            both[shared] += (never[0] & never[1]).sum()
    assert both[True] > 3 * both[False]


def test_failed_cells_of_a_group_are_stated_at_the_level_asked_for():
    calm, m = (drawn(groups=GROUPS, rows=40, cols=40, off_level=x) for x in (0.0, 0.1))
    for name in ("reads", "retention"):
        a, b = getattr(calm, name), getattr(m, name)
        assert (b.level >= 0).all()
        assert (a.level < 0).any()
        first, same = b.read_all()[0], a.read_all()[0] == b.read_all()[0]
        off = ~same
        assert off.mean() == pytest.approx(0.1, abs=K * math.sqrt(0.09 / 1600) + 0.01)
        mean = np.array([30e-6, 150e-6])[b.level]
        assert (np.abs(first - mean)[off] > 4 * 0.1 * mean[off]).all()
        accepted = a.level >= 0
        assert (a.level == b.level)[accepted].all()
    # failed cells are noisier than those at their level
    reads, at = m.reads.read_all(), (calm.reads.level == 1) & (calm.reads.read_all()[0] > 80e-6)
    off = (calm.reads.read_all()[0] != reads[0]) & (reads[0] > 80e-6)
    relative = reads.std(axis=0, ddof=1) / reads.mean(axis=0)
    assert np.median(relative[off]) > 1.8 * np.median(relative[at & ~off])
    changed = (calm.iv.current != m.iv.current).any(axis=1)
    assert 0 < changed.sum() < 20


def test_endurance_follows_the_card():
    card = with_groups(card_of(stuck={}), 3)
    part = card.endurance
    m = synthesize(card, rows=200, cols=200, sweeps=1, groups=("endurance",)).endurance
    assert m.cycle.tolist() == [1, 10, 100, 1000, 10000]
    y = m.conductance.reshape(5, 2, -1)
    for s, state in enumerate(part.states):
        mean = state.mean.value + state.drift.value * np.arange(5)
        std = state.std.value + state.growth.value * np.arange(5)
        np.testing.assert_allclose(y[:, s].mean(axis=1), mean, atol=K * std.max() / 200)
        np.testing.assert_allclose(y[:, s].std(axis=1), std, rtol=K / 200 / math.sqrt(2))
        r = np.corrcoef(y[:, s])
        np.testing.assert_allclose(r[np.triu_indices(5, 1)], 0.5, atol=K / 200)
    wide = [
        s.model_copy(update={"std": s.std.given(0.25 * s.mean.value, "S")}) for s in part.states
    ]
    spread = card.model_copy(update={"endurance": part.model_copy(update={"states": wide})})
    m = synthesize(spread, rows=200, cols=200, sweeps=1, groups=("endurance",))
    window = m.endurance.conductance[:, 1] - m.endurance.conductance[:, 0]
    want = endurance_failed(spread.endurance)
    assert m.truth["endurance.failed"] == want > 0.02
    lost = (window[-1] < window[0] / 2).mean()
    assert lost == pytest.approx(want, abs=K * math.sqrt(want / 4e4) + 1e-3)
    failing = card.model_copy(
        update={"endurance": part.model_copy(update={"failed": part.window.given(0.2, "1")})}
    )
    drawn_again = synthesize(failing, rows=200, cols=200, sweeps=1, groups=("endurance",))
    y = drawn_again.endurance.conductance
    lost = y[:, 1] == y[:, 0]
    assert not lost[0].any()
    assert lost[-1].mean() == pytest.approx(0.2, abs=K * 0.4 / 200)
    assert (lost[1:] >= lost[:-1]).all()  # a failed cell stays failed
    assert "endurance.states[0].drift" not in drawn_again.truth
    with pytest.raises(ArrayError, match="has no endurance"):
        synthesize(card_of(), groups=("endurance",))


def test_read_noise_of_a_whole_card_is_its_power_law():
    card = with_groups(random_card(4, array=(64, 64), failures=False), 4)
    m = synthesize(card, sweeps=1, seed=1, groups=("program", "reads"), plan=Plan(reads=40))
    variance = m.reads.read_all().var(axis=0, ddof=1)
    for k in range(3):
        at = m.reads.level == k
        want = m.truth[f"variation[{k}].read"]
        error = want**2 * K * 1.1 * math.sqrt(2 / (39 * at.sum()))
        assert variance[at].mean() == pytest.approx(want**2, abs=error)


@pytest.mark.parametrize(
    ("name", "size"), [("corner", 1.0), ("telegraph", -0.1), ("bimodal", math.inf)]
)
def test_invalid_sizes_are_rejected(name, size):
    with pytest.raises(ArrayError, match=f"mess {name} has size"):
        Mess(**{name: size})
    with pytest.raises(ArrayError, match="mess clusters has size nan"):
        Mess(clusters=math.nan)


def test_the_instrument_measures_a_messy_chip_too():
    m = synthesize(
        CARD, sweeps=4, mess=Mess(telegraph=0.3), instrument=Instrument(offset=-2e-6, missing=0.1)
    )
    calm = synthesize(CARD, sweeps=4, instrument=Instrument(offset=-2e-6, missing=0.1))
    a, b = sweeps_of(m).conductance, sweeps_of(calm).conductance
    np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
    assert m.truth["levels[0].mean"] == calm.truth["levels[0].mean"]


def test_mess_comes_on_top_of_the_stuck_cells_of_a_card():
    """Shares add up where the card has moving cells and cells stuck between levels itself."""
    stuck = card_of().stuck
    own = {
        "middle": stuck.low.given(0.05, "1"),
        "middle_conductance": stuck.low.given(80e-6, "S"),
        "middle_std": stuck.low.given(5e-6, "S"),
        "low_moving": stuck.low.given(0.5, "1"),
        "low_motion": stuck.low.given(2e-6, "S"),
    }
    card = card_of(hard=0.0, soft=0.0).model_copy(update={"stuck": stuck.model_copy(update=own)})
    found = []
    for seed in range(30):
        m = drawn(seed, card=card, rows=30, cols=30, middle_stuck=0.05, clusters=0.05)
        where = m.truth["realised"]
        found.append([len(where[name]) / 900 for name in ("stuck_low", "stuck_middle")])
        b = sweeps_of(m)
        unaccepted = (~b.accepted).all(axis=0).mean()
        all_stuck = sum(len(where[n]) for n in ("stuck_low", "stuck_high", "stuck_middle"))
        assert unaccepted == pytest.approx(all_stuck / 900)
    for value, name in zip(np.transpose(found), ("low", "middle"), strict=True):
        error = K * value.std() / math.sqrt(30)
        assert value.mean() == pytest.approx(m.truth[f"stuck.{name}"], abs=error)
    assert "stuck.middle_conductance" not in m.truth
