"""Virtual pulse trains, write attempts, bakes and I-V loops, with their truth."""

import numpy as np
import pytest

from rramfit.fitting.electrical.iv import fit_iv
from rramfit.measurement import (
    Plan,
    read_measurement,
    synthesize,
    validate_layout,
    write_measurement,
)
from rramfit.measurement.examples import sample_card
from rramfit.measurement.virtual.cards import random_card

CARD = random_card(5, levels=2, array=(24, 20))
PLAN = Plan(iv_loops=3, bake_temperatures=(398.15, 423.15))
GROUPS = ("retention", "iv", "pulses", "attempts")


@pytest.fixture(scope="module")
def m():
    return synthesize(CARD, groups=GROUPS, plan=PLAN, seed=4)


def test_the_file_is_valid_and_reads_back(m, tmp_path):
    path = tmp_path / "v.h5"
    write_measurement(m, path)
    assert validate_layout(path) == []
    back = read_measurement(path)
    for name in ("row", "level", "set_pulses", "success", "conductance"):
        np.testing.assert_array_equal(getattr(back.attempts, name), getattr(m.attempts, name))
    np.testing.assert_array_equal(back.pulses.conductance, m.pulses.conductance)
    np.testing.assert_array_equal(back.iv.direction, m.iv.direction)
    assert [b.temperature for b in back.bakes] == [b.temperature for b in m.bakes]


def test_pulses_go_up_and_down_between_the_levels(m):
    g = m.pulses.conductance
    assert g.shape == (PLAN.pulse_cells, PLAN.pulse_cycles, 2 * PLAN.pulse_count + 1)
    low, high = m.truth["pulses.lowest"], m.truth["pulses.highest"]
    assert np.median(g[..., 0]) == pytest.approx(low, abs=0.02 * (high - low))
    assert np.median(g[..., PLAN.pulse_count]) == pytest.approx(high, rel=0.05)
    assert np.median(g[..., -1]) == pytest.approx(low, abs=0.05 * (high - low))
    half = np.median(g[..., PLAN.pulse_count // 2])
    assert half > low + 0.6 * (high - low)  # steep first, as A/N = 0.35 says


def test_attempts_end_inside_the_window_or_at_the_budget(m):
    a = m.attempts
    pulses = a.set_pulses + a.reset_pulses
    assert np.array_equal(pulses, np.isfinite(a.conductance).sum(axis=1))
    assert (pulses[~a.success] == a.max_pulses).all()
    inside = (a.final >= a.lower) & (a.final <= a.upper)
    assert np.array_equal(inside, a.success)
    assert a.success.mean() > 0.5
    assert pulses.max() <= a.max_pulses


def test_a_hotter_bake_drifts_more():
    """As if its times were longer by exp(E/k·(1/T − 1/T′)); drift grows with their logarithm."""
    card = sample_card()
    drawn = synthesize(card, rows=64, cols=64, groups=("retention",), plan=PLAN, seed=3)
    first, middle, hot = (np.nanmean(b.read_all(), axis=(1, 2)) for b in drawn.bakes)
    moved = [abs(x[-1] / x[0] - 1) for x in (first, middle, hot)]
    assert moved[0] < moved[1] < moved[2]
    assert drawn.truth["retention.activation_energy"] == PLAN.bake_energy


def test_loops_give_their_truth_back(m):
    fit = fit_iv(m.iv)
    for i, transition in enumerate(("SET", "RESET")):
        (s,) = [s for s in fit.switching if s.transition == transition]
        mean, sd = m.truth[f"iv.switching[{i}].voltage"], m.truth[f"iv.switching[{i}].spread"]
        low, high = s.voltage.ci95
        assert low - (high - low) / 2 < mean < high + (high - low) / 2
        assert s.spread.value == pytest.approx(sd, rel=0.3)
    for i, branch in enumerate(fit.branches):
        assert branch.conductance.value == pytest.approx(
            m.truth[f"iv.branches[{i}].conductance"], rel=0.1
        )
        assert branch.nonlinearity.value == pytest.approx(1.4, rel=0.05)


def test_other_groups_do_not_change(m):
    """New groups have random streams of their own."""
    alone = synthesize(CARD, groups=("retention",), seed=4)
    np.testing.assert_array_equal(alone.retention.read_all(), m.retention.read_all())
    assert alone.more_bakes == ()
