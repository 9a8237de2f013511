"""I-V sweeps through SET and RESET: switching voltages, branches, and curves that do not switch."""

import numpy as np
import pytest

from rramfit.fitting.electrical.iv import fit_iv
from rramfit.fitting.electrical.iv.switching import find_switching
from rramfit.measurement.file.curves import on_common_voltages
from rramfit.measurement.file.record import IVSweeps

CELLS, COLS = 60, 10
NOISE = 2e-8
LRS, HRS, B = 1e-4, 8e-6, 1.4
SET_MEAN, SET_SD = 0.9, 0.06
RESET_MEAN, RESET_SD = -0.8, 0.05


def triangle(top, step=0.02):
    up = np.arange(0, abs(top) + step / 2, step)
    return np.sign(top) * np.concatenate([up, up[-2::-1]])


def drawn(voltage, *, switch=True, compliance=None, curves_per_cell=1, stuck=(), seed=0, b=B):
    """Cells in HRS at first, SET above a positive voltage, RESET below a negative one."""
    rng = np.random.default_rng(seed)
    n = CELLS * curves_per_cell
    v = np.broadcast_to(np.asarray(voltage, float), (n, np.shape(voltage)[-1]))
    v_set = rng.normal(SET_MEAN, SET_SD, n)
    v_reset = rng.normal(RESET_MEAN, RESET_SD, n)
    cell = np.arange(n) // curves_per_cell
    low = HRS * np.exp(rng.normal(0, 0.2, CELLS))[cell]
    high = LRS * np.exp(rng.normal(0, 0.05, CELLS))[cell]
    current = np.empty(v.shape)
    for i in range(n):
        on = not switch
        for j, x in enumerate(v[i]):
            if switch and cell[i] not in stuck:
                on = (on or x > v_set[i]) and not x < v_reset[i]
            current[i, j] = (high[i] if on else low[i]) * np.sinh(b * x) / b
    current += rng.normal(0, NOISE, v.shape)
    if compliance is not None:
        current = np.minimum(current, compliance)
    iv = IVSweeps(
        voltage=np.array(voltage, float),
        current=current,
        row=cell // COLS,
        col=cell % COLS,
        repeat=np.arange(n) % curves_per_cell if curves_per_cell > 1 else None,
    )
    return iv, v_set, v_reset


LOOP = np.concatenate([triangle(1.3), triangle(-1.2)])


def within(q, truth):
    low, high = q.ci95
    width = high - low
    return low - 0.3 * width < truth < high + 0.3 * width


def of(fit, transition):
    (found,) = [s for s in fit.switching if s.transition == transition]
    return found


def test_a_loop_through_set_and_reset():
    iv, v_set, v_reset = drawn(LOOP)
    fit = fit_iv(iv)
    assert fit.verdict.word == "ok", fit.summary()
    for transition, truth, sd in (("SET", v_set, SET_SD), ("RESET", v_reset, RESET_SD)):
        s = of(fit, transition)
        assert (s.sweeps, s.switched) == (CELLS, CELLS)
        assert s.voltage.value == pytest.approx(truth.mean(), abs=0.004)  # a fifth of the step
        assert within(s.voltage, truth.mean())
        assert within(s.spread, sd)
    state = {branch.state: branch for branch in fit.branches}
    assert state["LRS"].conductance.value == pytest.approx(LRS, rel=0.03)
    assert state["HRS"].conductance.value == pytest.approx(HRS, rel=0.1)
    assert state["HRS"].n_cells == CELLS
    for branch in state.values():
        assert within(branch.nonlinearity, B)
    assert within(fit.result.estimates["nonlinearity"], B)


def test_the_switch_is_found_between_its_two_voltages():
    iv, v_set, _ = drawn(triangle(1.3))
    found = find_switching(iv)
    assert found.happened.all()
    assert found.rises.all()
    v = v_set[found.curve]
    assert np.mean((found.lower <= v) & (v <= found.upper)) > 0.97


def test_currents_at_the_compliance_are_left_out():
    iv, v_set, _ = drawn(triangle(1.3), compliance=6e-5)
    fit = fit_iv(iv)
    assert of(fit, "SET").voltage.value == pytest.approx(v_set.mean(), abs=0.004)
    (lrs,) = [branch for branch in fit.branches if branch.state == "LRS"]
    assert lrs.conductance.value == pytest.approx(LRS, rel=0.03)
    assert within(lrs.nonlinearity, B)


def test_a_sweep_that_ends_among_the_switching_voltages():
    """The cells that did not switch count: their switching voltages are above the last."""
    iv, v_set, _ = drawn(triangle(0.88), seed=3)
    s = of(fit_iv(iv), "SET")
    assert s.switched == np.count_nonzero(v_set < 0.88) < s.sweeps == CELLS
    assert within(s.voltage, SET_MEAN)
    assert v_set[v_set < 0.88].mean() < SET_MEAN - 0.03  # what the mean of the others would say


def test_stuck_cells_do_not_shift_the_voltages():
    stuck = range(0, CELLS, 6)
    iv, v_set, _ = drawn(triangle(1.3), stuck=stuck)
    s = of(fit_iv(iv), "SET")
    others = np.setdiff1d(np.arange(CELLS), stuck)
    assert s.stuck == pytest.approx(1 / 6, abs=0.02)
    assert s.voltage.value == pytest.approx(v_set[others].mean(), abs=0.005)


def test_repeats_of_a_cell_count_as_one_cell():
    """Six sweeps of a cell with the same switching voltages tell no more than one."""
    one, *_ = drawn(triangle(1.3))
    six = IVSweeps(
        voltage=one.voltage,
        current=np.repeat(one.current, 6, axis=0),
        row=np.repeat(one.row, 6),
        col=np.repeat(one.col, 6),
        repeat=np.tile(np.arange(6), CELLS),
    )
    a, b = of(fit_iv(one), "SET").voltage, of(fit_iv(six), "SET").voltage
    assert b.value == pytest.approx(a.value, abs=1e-6)
    assert b.stderr == pytest.approx(a.stderr, rel=0.1)


def test_curves_with_voltages_of_their_own():
    """Measured voltages that differ from curve to curve, and ranges of two lengths."""
    rng = np.random.default_rng(9)
    v = np.full((CELLS, len(LOOP)), np.nan)
    for i in range(CELLS):
        loop = LOOP if i % 2 else triangle(1.3)
        v[i, : len(loop)] = loop + rng.normal(0, 1e-4, len(loop))
    iv, v_set, v_reset = drawn(np.nan_to_num(v))
    current = np.where(np.isfinite(v), iv.current, np.nan)
    iv = IVSweeps(voltage=v, current=current, row=iv.row, col=iv.col)
    fit = fit_iv(iv)
    assert of(fit, "SET").voltage.value == pytest.approx(v_set.mean(), abs=0.005)
    assert of(fit, "RESET").sweeps == CELLS // 2
    assert of(fit, "RESET").voltage.value == pytest.approx(v_reset[1::2].mean(), abs=0.005)
    assert within(fit.result.estimates["nonlinearity"], B)


def test_a_sweep_in_one_direction_only():
    iv, v_set, _ = drawn(triangle(1.3)[:66])
    fit = fit_iv(iv)
    assert of(fit, "SET").voltage.value == pytest.approx(v_set.mean(), abs=0.005)


@pytest.mark.parametrize("b", [0.01, 1.4, 5.0])
@pytest.mark.parametrize(
    "voltage", [LOOP, triangle(1.3), triangle(1.3)[:66], np.linspace(-1.2, 1.2, 61)], ids=len
)
def test_cells_that_do_not_switch_have_no_switching_voltage(voltage, b):
    iv, *_ = drawn(voltage, switch=False, b=b)
    assert find_switching(iv) is None
    assert fit_iv(iv).switching == ()


def test_noise_alone_does_not_switch():
    rng = np.random.default_rng(2)
    current = rng.normal(0, NOISE, (200, len(LOOP)))
    iv = IVSweeps(voltage=LOOP, current=current, row=np.arange(200), col=np.zeros(200, int))
    assert find_switching(iv) is None


def test_common_voltages_keep_every_current():
    v = np.array([[0.0, 0.1, 0.2, 0.1, 0.0], [0.0, 0.1, 0.3, np.nan, np.nan]])
    current = np.array([[1.0, 2, 3, 4, 5], [6.0, 7, 8, np.nan, np.nan]])
    iv = IVSweeps(voltage=v, current=current, row=np.array([0, 0]), col=np.array([0, 0]))
    common = on_common_voltages(iv)
    assert common.voltage.ndim == 1
    for i in range(2):
        seen = np.isfinite(common.current[i])
        pairs = sorted(zip(common.voltage[seen].round(4), common.current[i][seen], strict=True))
        kept = np.isfinite(v[i])
        assert pairs == sorted(zip(v[i][kept], current[i][kept], strict=True))
    same = IVSweeps(
        voltage=np.tile(LOOP, (2, 1)),
        current=np.ones((2, len(LOOP))),
        row=np.array([0, 1]),
        col=np.array([0, 0]),
    )
    np.testing.assert_array_equal(on_common_voltages(same).voltage, LOOP)


def test_missing_points_do_not_stop_the_search():
    iv, v_set, _ = drawn(LOOP)
    rng = np.random.default_rng(1)
    current = np.where(rng.random(iv.current.shape) < 0.1, np.nan, iv.current)
    current[0] = np.nan
    current[1, : len(LOOP) // 2] = np.nan
    voltage = np.tile(LOOP, (CELLS, 1))
    voltage[1, : len(LOOP) // 2] = np.nan
    iv = IVSweeps(voltage=voltage, current=current, row=iv.row, col=iv.col)
    assert of(fit_iv(iv), "SET").voltage.value == pytest.approx(v_set[2:].mean(), abs=0.006)


def test_a_few_disturbed_curves_are_outliers_and_no_switching():
    """As in sweeps of 0 to 0.35 V, in which 7 of 1,024 cells jump."""
    iv, *_ = drawn(triangle(1.3), switch=False)
    current = np.array(iv.current)
    current[:3, 40:] *= 0.3
    iv = IVSweeps(voltage=iv.voltage, current=current, row=iv.row, col=iv.col)
    fit = fit_iv(iv)
    assert fit.switching == ()
    assert any("3 of 60 cells scatter" in f.what for f in fit.verdict.findings)
