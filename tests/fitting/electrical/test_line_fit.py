"""Line-resistance fits of virtual chips; currents come from the exact solver, not the fit's."""

import dataclasses

import numpy as np
import pytest
import torch

from rramfit.array import LineResistance, column_currents
from rramfit.errors import FitError
from rramfit.fitting.electrical.line_fit import fit_line_resistance
from rramfit.fitting.electrical.line_model import RESISTANCES, LineModel
from rramfit.measurement.file.record import MVM

TRUTH = (2.0, 1.0, 50.0, 30.0)
SHAPE = (48, 40)


def chip(
    seed=0,
    *,
    shape=SHAPE,
    patterns=24,
    resistances=TRUTH,
    rows="grounded",
    reads="intrinsic",
    noise=0.01,
    cell=0.005,
    gain=1.0,
):
    """Simulate `/mvm` with half of the rows active; the wires reduce currents by a third."""
    rng = np.random.default_rng(seed)
    m, n = shape
    g = rng.choice([2e-5, 1e-4, 2e-4], shape) * np.exp(0.1 * rng.standard_normal(shape))
    on = rng.permuted(np.broadcast_to(np.arange(m) < m / 2, (patterns, m)), axis=1)
    voltage = np.where(on, 0.2, 0.0)
    wires = dict(zip(("r_wl", "r_bl", "r_driver", "r_sense"), resistances, strict=True))
    line = LineResistance(**wires, inactive_rows=rows)
    exact = column_currents(torch.tensor(g), torch.tensor(voltage), line).numpy()
    seen = g
    if reads == "terminal":
        i, j = np.mgrid[:m, :n]
        r_wl, r_bl, r_driver, r_sense = resistances
        seen = 1 / (1 / g + r_driver + j * r_wl + (m - 1 - i) * r_bl + r_sense)
    return MVM(
        voltage=voltage,
        current=gain * exact * (1 + noise * rng.standard_normal(exact.shape)),
        conductance=seen * (1 + cell * rng.standard_normal(shape)),
        inactive_rows=rows,
        cell_reads=reads,
    )


def assert_recovers(fit, truth=TRUTH, gain=1.0, widths=4.0):
    for name, value in zip((*RESISTANCES, "gain"), (*truth, gain), strict=True):
        found = fit.result.estimates[name]
        assert abs(found.value - value) <= widths * found.stderr, name


@pytest.mark.parametrize("reads", ["intrinsic", "terminal"])
@pytest.mark.parametrize("rows", ["grounded", "gated"])
def test_recovers_the_wires(rows, reads):
    fit = fit_line_resistance(chip(1, rows=rows, reads=reads, gain=1.01))
    assert fit.verdict.ok, fit.summary()
    assert_recovers(fit, gain=1.01)
    assert fit.noise == pytest.approx(0.01, rel=0.1)  # 960 currents: 4 standard errors


def test_identified_resistances_are_right_with_floating_rows():
    fit = fit_line_resistance(chip(1, rows="floating"))
    for name, value in zip(RESISTANCES, TRUTH, strict=True):
        if name in fit.result.estimates:
            found = fit.result.estimates[name]
            assert abs(found.value - value) <= 4 * found.stderr
    assert {"wordline_resistance", "bitline_resistance"} <= set(fit.result.estimates)


def test_resistances_are_exact_without_noise():
    fit = fit_line_resistance(chip(2, noise=0.0, cell=0.0, shape=(20, 16)))
    found = [fit.result[name] for name in RESISTANCES]
    assert found == pytest.approx(TRUTH, rel=1e-5)
    assert fit.predicted == pytest.approx(chip(2, noise=0.0, cell=0.0, shape=(20, 16)).current)


def test_sensitivities_agree_with_the_exact_solver():
    """Compare with central differences of `column_currents`, which shares no solver code."""
    data = chip(3, shape=(12, 9), patterns=5)
    model = LineModel(
        voltage=data.voltage,
        conductance=data.conductance,
        inactive_rows="grounded",
        cell_reads="intrinsic",
    )
    found = model.response(np.array(TRUTH))

    def exact(r):
        line = LineResistance(r_wl=r[0], r_bl=r[1], r_driver=r[2], r_sense=r[3])
        g, v = torch.tensor(data.conductance), torch.tensor(data.voltage)
        return column_currents(g, v, line).numpy()

    assert found.current == pytest.approx(exact(TRUTH), rel=1e-6)
    for k in range(4):
        h = 1e-3 * np.eye(4)[k]
        slope = (exact(TRUTH + h) - exact(TRUTH - h)) / 2e-3
        assert found.sensitivity[k] == pytest.approx(slope, rel=1e-4)


def test_standard_errors_match_the_scatter_over_chips():
    """Standard scores over 16 chips: mean within 4/√16 of 0, spread within 4/√32 of 1."""
    names = (*RESISTANCES, "gain")
    z = []
    for seed in range(16):
        fit = fit_line_resistance(chip(seed, shape=(20, 16), patterns=12))
        found = [fit.result.estimates.get(name) for name in names]
        z.append(
            [
                np.nan if q is None or q.value == 0 else (q.value - t) / q.stderr
                for q, t in zip(found, (*TRUTH, 1.0), strict=True)
            ]
        )
    z = np.array(z)
    assert np.isfinite(z[:, :2]).all()
    assert np.all(np.abs(np.nanmean(z[:, :2], axis=0)) < 4 / np.sqrt(16))
    assert np.all(np.abs(np.nanstd(z[:, :2], axis=0) - 1) < 4 / np.sqrt(32))


def test_changed_cells_and_outlier_currents_are_excluded():
    data = chip(4)
    conductance, current = data.conductance.copy(), data.current.copy()
    conductance[:, 7] *= 1.5  # a column read with another range
    current[3, 5] *= 2
    current[10, 20] = -current[10, 20]
    fit = fit_line_resistance(dataclasses.replace(data, conductance=conductance, current=current))
    assert_recovers(fit)
    assert not fit.used[:, 7].any()
    assert not fit.used[3, 5]
    assert not fit.used[10, 20]
    assert fit.used.mean() > 0.95


def test_cell_errors_are_separated_from_noise():
    """With poorly read cells, errors shared by all patterns must not look like precision."""
    fit = fit_line_resistance(chip(5, cell=0.05, noise=0.002))
    assert 0.03 < fit.cell_error < 0.08  # includes the neglected effect on other columns
    assert_recovers(fit)


def test_gaps_are_left_out_and_reported():
    data = chip(6)
    conductance, current = data.conductance.copy(), data.current.copy()
    conductance[3, 4] = np.nan
    current[:, 10] = np.nan
    fit = fit_line_resistance(dataclasses.replace(data, conductance=conductance, current=current))
    assert_recovers(fit)
    assert not fit.used[:, [4, 10]].any()
    assert "1 cell of /mvm was not read" in fit.summary()


def test_unidentified_resistances_are_not_reported():
    """With 2 columns, the wordline resistance has little effect on the currents."""
    data = chip(7, shape=(40, 2), patterns=12, noise=0.05)
    fit = fit_line_resistance(data)
    assert "wordline_resistance" not in fit.result.estimates
    assert "do not identify" in fit.summary()
    card = fit.to_card()
    assert card.wordline_resistance is None
    assert card.inactive_rows == "grounded"


def test_a_resistance_is_never_negative():
    """With ideal drivers and sense amplifiers, half of the raw estimates are negative."""
    lows = []
    for seed in range(4):
        fit = fit_line_resistance(chip(seed, resistances=(2.0, 1.0, 0.0, 0.0), patterns=12))
        for name in ("driver_resistance", "sense_resistance"):
            found = fit.result.estimates[name]
            assert found.value >= 0
            assert found.ci95[0] <= found.value <= found.ci95[1]
            lows.append(found.ci95[0])
    assert min(lows) == 0


def test_the_card_carries_the_fit():
    fit = fit_line_resistance(chip(8))
    card = fit.to_card()
    assert card.wordline_resistance == fit.result.estimates["wordline_resistance"]
    assert card.gain == fit.result.estimates["gain"]
    assert np.array(card.correlation) == pytest.approx(fit.result.correlation)


def test_too_few_data_raise_an_error():
    data = chip(9, shape=(4, 2), patterns=1)
    with pytest.raises(FitError, match="2 usable currents"):
        fit_line_resistance(data)
    dark = dataclasses.replace(chip(9), current=np.zeros_like(chip(9).current))
    with pytest.raises(FitError, match="no current"):
        fit_line_resistance(dark)


def test_one_cell_identifies_no_resistance():
    voltage = np.linspace(0.05, 0.2, 8)[:, None]
    noise = 1 + 1e-3 * np.random.default_rng(8).standard_normal((8, 1))
    fit = fit_line_resistance(
        MVM(
            voltage=voltage,
            current=voltage * 5e-5 * noise,
            conductance=np.full((1, 1), 5e-5),
            inactive_rows="grounded",
            cell_reads="intrinsic",
        )
    )
    assert set(fit.result.estimates) == {"gain"}
    assert any("do not identify" in f.what for f in fit.verdict.findings)


def test_currents_of_opposite_sign_are_reported():
    inverted = fit_line_resistance(chip(9, shape=(16, 12), gain=-1.0))
    assert any("sign is inverted" in f.what and f.severe for f in inverted.verdict.findings)


def test_a_column_without_current_is_named_and_left_out():
    data = chip(1)
    current = data.current.copy()
    current[:, [5, 9]] = 0.0
    fit = fit_line_resistance(dataclasses.replace(data, current=current))
    assert_recovers(fit)
    (finding,) = fit.verdict.findings
    assert finding.code == "column-without-current"
    assert finding.what.startswith("2 columns of /mvm carry no current")
    assert ": 5, 9." in finding.what
