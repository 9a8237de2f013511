"""Pulse response: forms, spread, what simulators are given, and devices that misbehave."""

import subprocess
import sys

import numpy as np
import pytest

from rramfit.card.blocks.pulses import course, nonlinearity_label
from rramfit.errors import CardError, FitError
from rramfit.fitting.characterization import characterize
from rramfit.fitting.electrical.pulses import fit_pulse_response
from rramfit.fitting.electrical.pulses.spread import spread_of
from rramfit.measurement import convert_measurement, read_measurement, write_conversion
from rramfit.measurement.file.record import Pulses
from rramfit.measurement.virtual import synthesize
from rramfit.measurement.virtual.cards import random_card
from rramfit.reporting.characterization import report_characterization

LOW, SPAN = 5e-6, 50e-6


def train(
    up=3.0, down=2.0, *, devices=8, cycles=4, steps=40, noise=0.01, spread=0.0, wander=0.0, seed=0
):
    """Trains of SET, then of RESET pulses; a varies by `spread` (devices) and `wander` (cycles)."""
    rng = np.random.default_rng(seed)
    x = np.arange(steps + 1) / steps
    size = (devices, cycles)
    own = spread * rng.standard_normal((devices, 1)) + wander * rng.standard_normal(size)
    g = np.empty((*size, 2 * (steps + 1)))
    for i, j in np.ndindex(size):
        g[i, j, : steps + 1] = course(x, up + own[i, j])
        g[i, j, steps + 1 :] = 1 - course(x, down + own[i, j])
    g = LOW + SPAN * (g + noise * rng.standard_normal(g.shape))
    return g, np.repeat([1, -1], steps + 1)


def pulses(g, polarity, **more):
    n = len(g)
    return Pulses(
        conductance=np.array(g, dtype=float),
        polarity=np.array(polarity),
        row=np.arange(n),
        col=np.zeros(n, dtype=int),
        **more,
    )


def codes(fit):
    return {f.code for f in fit.verdict.findings}


def within(q, true):
    low, high = q.ci95
    return low <= true <= high


@pytest.mark.parametrize(
    ("label", "a"), [(0.01, 126.268958), (0.6, 2.097877), (1.21, 1.030168), (9.0, 0.022810)]
)
def test_label_is_that_of_neurosims_table(label, a):
    assert nonlinearity_label(1 / a) == pytest.approx(label, rel=1e-3)
    assert nonlinearity_label(-1 / a) == pytest.approx(-label, rel=1e-3)


def test_parameters_and_form():
    card = fit_pulse_response(pulses(*train())).card
    up, down = card.branches
    assert (up.n_devices, up.n_branches, up.pulses) == (8, 32, 40)
    assert up.form in ("exponential", "soft bounds")  # the same course where starts are equal
    assert {f.form for f in up.forms} == {"linear", "exponential", "soft bounds", "piecewise"}
    assert within(up.nonlinearity, 3.0)
    assert up.nonlinearity.stderr < 0.05
    assert within(down.nonlinearity, 2.0)
    assert within(up.step, SPAN / 40)
    assert within(up.scatter, 0.01 * SPAN)
    assert up.step_noise.ci95[0] == 0
    assert card.levels.value == pytest.approx(1 + 1 / 0.06, rel=0.1)
    assert within(card.dynamic_range, (LOW + SPAN) / LOW)
    bound = LOW + SPAN / (1 - np.exp(-3.0))
    assert within(up.bound, bound)


def test_linear_and_accelerating():
    up, down = fit_pulse_response(pulses(*train(0.0, -1.5))).card.branches
    assert up.form == "linear"
    assert abs(up.nonlinearity.value) < 0.1
    assert within(down.nonlinearity, -1.5)
    assert up.bound is None
    assert down.bound is None


def test_soft_bounds_win_where_runs_start_anywhere():
    """All runs of a device move to one bound from different starts."""
    rng = np.random.default_rng(1)
    bound = LOW + SPAN
    start = LOW + SPAN * rng.uniform(0, 0.6, (8, 6, 1))
    n = np.arange(31)
    g = bound - (bound - start) * np.exp(-0.06 * n) + 0.005 * SPAN * rng.standard_normal((8, 6, 31))
    (up,) = fit_pulse_response(pulses(g, np.ones(31, int))).card.branches
    assert up.form == "soft bounds"
    assert within(up.bound, bound)
    assert within(up.rate, -np.expm1(-0.06))
    assert up.start_c2c.ci95[0] > 0


def test_a_step_in_the_course_is_piecewise():
    g, polarity = train(steps=60, noise=0.004)
    x = np.linspace(0, 1, 61)
    g[..., :61] = LOW + SPAN * (np.clip(x, 0.4, 0.8) - 0.4) / 0.4 + 1e-7 * np.cos(np.arange(61))
    assert fit_pulse_response(pulses(g, polarity)).card.branches[0].form == "piecewise"


def test_spread_of_devices_and_cycles():
    up = fit_pulse_response(
        pulses(*train(devices=40, cycles=8, spread=0.4, wander=0.2))
    ).card.branches[0]
    assert within(up.nonlinearity_d2d, 0.4)
    assert within(up.nonlinearity_c2c, 0.2)


def test_spread_takes_errors_off():
    """Estimates that scatter by their errors alone have no spread; its interval covers."""
    rng = np.random.default_rng(0)
    device = np.repeat(np.arange(20), 10)
    cover = np.zeros(4)
    for _ in range(100):
        v = rng.uniform(0.2, 2.0, 200)
        y = 3 + np.sqrt(v) * rng.standard_normal(200)
        none = spread_of(y, v, device, "1")
        y = y + 0.7 * rng.standard_normal(20)[device] + 0.5 * rng.standard_normal(200)
        s = spread_of(y, v, device, "1")
        cover += [none.c2c.ci95[0] == 0, within(s.mean, 3), within(s.d2d, 0.7), within(s.c2c, 0.5)]
    assert (cover >= 89).all()


def test_random_steps_are_told_from_the_noise_of_reads():
    g, polarity = train(devices=30, noise=0.01)
    rng = np.random.default_rng(3)
    steps = np.where(np.arange(g.shape[2]) % 41 > 0, rng.standard_normal(g.shape), 0) * 0.02 * SPAN
    walk = np.cumsum(steps.reshape(30, 4, 2, 41), axis=3).reshape(g.shape)
    up = fit_pulse_response(pulses(g + walk, polarity)).card.branches[0]
    assert up.step_noise.value == pytest.approx(0.02 * SPAN, rel=0.1)


def test_what_simulators_are_given():
    card = fit_pulse_response(pulses(*train(devices=12))).card
    sim = card.neurosim()
    assert sim["NL_LTP"] == pytest.approx(nonlinearity_label(3.0), rel=0.03)
    assert sim["NL_LTD"] == pytest.approx(-nonlinearity_label(2.0), rel=0.03)
    assert sim["paramALTP"] == pytest.approx(40 / 3, rel=0.03)
    soft = card.soft_bounds()
    w = -1.0
    for _ in range(40):  # as SoftBoundsDevice updates
        w += soft["dw_min"] * (1 + min(soft["up_down"], 0)) * (1 - w / soft["w_max"])
    assert w == pytest.approx(1.0, abs=0.03)
    for _ in range(40):
        w -= soft["dw_min"] * (1 - max(soft["up_down"], 0)) * (1 - w / soft["w_min"])
    assert w == pytest.approx(-1.0, abs=0.05)
    table = card.piecewise_steps(12)
    nodes = np.linspace(-1, 1, 12)
    w = -1.0
    for _ in range(40):
        scale = table["dw_min"] * (1 + min(table["up_down"], 0))
        w += scale * float(np.interp(w, nodes, table["piecewise_up"]))
    assert w == pytest.approx(1.0, abs=0.06)


def test_one_polarity_gives_simulators_nothing():
    g, polarity = train()
    fit = fit_pulse_response(pulses(g[..., :41], polarity[:41]))
    assert "pulses-one-polarity" in codes(fit)
    assert fit.card.asymmetry is None
    with pytest.raises(CardError, match="no depression"):
        fit.card.neurosim()


def test_one_device_one_cycle():
    fit = fit_pulse_response(pulses(*train(devices=1, cycles=1, seed=1)))
    assert {"pulses-one-device", "pulses-one-cycle"} <= codes(fit)
    up = fit.card.branches[0]
    assert within(up.nonlinearity, 3.0)
    assert up.nonlinearity_d2d is None
    assert up.nonlinearity_c2c is None
    assert up.forms  # by every second reading


def test_silent_and_saturating_devices():
    g, polarity = train(devices=12)
    rng = np.random.default_rng(5)
    g[:2] = LOW + 0.01 * SPAN * rng.standard_normal(g[:2].shape)
    g[2:4] = np.where(polarity > 0, LOW + SPAN, LOW) * (
        1 + 0.01 * rng.standard_normal(g[2:4].shape)
    )
    fit = fit_pulse_response(pulses(g, polarity))
    assert (fit.responses.responding, fit.responses.at_once) == (8, 2)
    assert {"pulses-no-response", "pulses-saturate"} <= codes(fit)
    assert within(fit.card.branches[0].nonlinearity, 3.0)


def test_no_device_responds():
    rng = np.random.default_rng(0)
    g = LOW * (1 + 0.01 * rng.standard_normal((4, 3, 40)))
    with pytest.raises(FitError, match="none of 4 devices"):
        fit_pulse_response(pulses(g, np.repeat([1, -1], 20)))
    with pytest.raises(FitError, match="none of 4 devices"):
        fit_pulse_response(pulses(np.full((4, 3, 40), LOW), np.repeat([1, -1], 20)))


def test_alternating_pulses_have_no_course():
    g, _ = train()
    with pytest.raises(FitError, match="readings"):
        fit_pulse_response(pulses(g, np.tile([1, -1], 41)))


def test_gaps_and_unequal_lengths():
    g, polarity = train(devices=10)
    rng = np.random.default_rng(2)
    g[rng.random(g.shape) < 0.2] = np.nan
    g[::2, :, 30:41] = np.nan  # half of the devices got fewer SET pulses
    g[0, 1] = np.nan
    up, down = fit_pulse_response(pulses(g, polarity)).card.branches
    assert within(up.nonlinearity, 3.0 * up.pulses / 40)
    assert within(down.nonlinearity, 2.0 * down.pulses / 40)


def test_polarity_by_sign_of_voltage_and_reversed():
    g, polarity = train()
    fit = fit_pulse_response(pulses(g, np.ones(82, int), voltage=polarity * 1.1))
    assert "pulses-polarity-by-voltage" in codes(fit)
    assert within(fit.card.branches[0].nonlinearity, 3.0)
    fit = fit_pulse_response(pulses(g, -polarity))
    assert "pulses-polarity-reversed" in codes(fit)
    assert within(fit.card.branches[0].nonlinearity, 3.0)


def test_noise_as_large_as_the_step_and_unequal_pulses():
    g, polarity = train(noise=0.05, devices=20)
    voltage = np.where(polarity > 0, np.linspace(0.8, 1.6, 82), -1.0)
    fit = fit_pulse_response(pulses(g, polarity, voltage=voltage))
    assert {"pulses-noise", "pulses-not-equal"} <= codes(fit)
    assert within(fit.card.branches[0].nonlinearity, 3.0)


@pytest.mark.parametrize("size", [1e-12, 1e3])
def test_scale_does_not_matter(size):
    g, polarity = train()
    one, other = (fit_pulse_response(pulses(k * g, polarity)).card for k in (1, size / SPAN))
    a, b = (c.branches[0].nonlinearity.value for c in (one, other))
    assert a == pytest.approx(b, rel=1e-5)


def test_made_up_log(shared, tmp_path):
    """Nonlinearities 2.4 and 3.1 of the log lie in their intervals, and the report shows them."""
    subprocess.run([sys.executable, shared / "cases/logs/make.py", tmp_path], check=True)
    (tmp_path / "lab.toml").write_text(
        """[array]
id = "x"
cell = "1T1R"
rows = 1
cols = 6
[source]
kind = "table"
header = true
[cells]
packed = "device"
[pulses]
conductance = { column = "G_uS", units = "uS" }
cycle = "cycle"
polarity = { column = "polarity", values = { SET = 1, RESET = -1 } }
"""
    )
    conversion = convert_measurement([tmp_path / "pulse_response.csv"], tmp_path / "lab.toml")
    (file,) = write_conversion(conversion, tmp_path / "out.h5")
    c = characterize(read_measurement(file))
    up, down = c.card.pulses.branches
    assert within(up.nonlinearity, 2.4)
    assert within(down.nonlinearity, 3.1)
    assert within(c.card.pulses.lowest, 5e-6)
    assert "Pulse response" in report_characterization(c)


def test_virtual_chip():
    m = synthesize(random_card(1), rows=16, cols=16, groups=("program", "pulses"), seed=4)
    card = fit_pulse_response(m.pulses).card
    for i, branch in enumerate(card.branches):
        for name in ("nonlinearity", "start", "end", "step", "scatter"):
            assert within(getattr(branch, name), m.truth[f"pulses.branches[{i}].{name}"]), name
