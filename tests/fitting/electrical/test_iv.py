"""I-V fits of curves computed with math.sinh from known b, and of a file with a known offset."""

import math

import h5py
import numpy as np
import pytest

from rramfit.errors import FitError
from rramfit.fitting.electrical.iv import fit_iv
from rramfit.fitting.electrical.iv.curves import current_shape
from rramfit.measurement.file.record import IVSweeps

OFFSET, NOISE = 6e-7, 1e-7


def sweeps(seed, *, b, g, points=25, noise=NOISE, offset=OFFSET, first=0.0):
    """Compute currents of cells with given b and G0, one number at a time."""
    rng = np.random.default_rng(seed)
    voltage = np.linspace(first, 0.35, points)
    current = np.array(
        [
            [offset + gi * (math.sinh(bi * v) / bi if bi > 1e-9 else v) for v in voltage.tolist()]
            for bi, gi in zip(b.tolist(), g.tolist(), strict=True)
        ]
    )
    cell = np.arange(len(b))
    return IVSweeps(
        voltage=voltage,
        current=current + noise * rng.standard_normal(current.shape),
        row=cell // 32,
        col=cell % 32,
    )


def population(seed, *, n=300, b0=2.0, tau=0.4, dependence=-0.5):
    rng = np.random.default_rng(seed)
    g = np.exp(rng.normal(math.log(4e-5), 0.8, n))
    x = np.log(g / np.exp(np.log(g).mean()))
    return np.maximum(b0 + dependence * x + tau * rng.standard_normal(n), 0.0), g


def test_current_shape_agrees_with_sinh_and_sin():
    for u in (1e-9, 0.3, 0.4999, 0.5001, 3.0, 40.0):
        f, _ = current_shape(np.array([u, -u]))
        root = math.sqrt(u)
        assert f == pytest.approx([math.sinh(root) / root, math.sin(root) / root], rel=1e-12)
    at = np.array([-2.0, -0.5, -0.1, 0.0, 0.1, 0.5, 4.0])
    step = 1e-5
    slope = (current_shape(at + step)[0] - current_shape(at - step)[0]) / (2 * step)
    assert current_shape(at)[1] == pytest.approx(slope, rel=1e-8)


@pytest.mark.parametrize("first", [0.0, 0.02])
def test_recovers_population_and_its_errors(first):
    """Mean z over chips is within 4/√chips of 0, and its rms is near 1."""
    truth = {"nonlinearity": 2.0, "spread": 0.4, "dependence": -0.5, "offset": OFFSET}
    z = {name: [] for name in truth}
    chips = 40
    for seed in range(chips):
        b, g = population(seed)
        fit = fit_iv(sweeps(seed + 1000, b=b, g=g, first=first))
        assert fit.form == "log"
        for name, true in truth.items():
            q = fit.result.estimates[name]
            z[name].append((q.value - true) / q.stderr)
    for name, values in z.items():
        assert abs(np.mean(values)) < 4 / math.sqrt(chips), name
        # χ² of 40: outside 0.6 to 1.45 with probability 1e-4.
        assert 0.6 < np.sqrt(np.mean(np.square(values))) < 1.45, name


def test_an_error_of_the_offset_is_not_noise():
    """The offset of 20 points at 0 V is uncertain by 0.22 of the noise, in all currents alike."""
    z = []
    for seed in range(20):
        b, g = population(seed, n=20)
        fit = fit_iv(sweeps(seed, b=b, g=g, points=101, first=-0.35))
        q = fit.result.estimates["noise"]
        z.append((q.value - NOISE) / q.stderr)
    assert abs(np.mean(z)) < 4 / np.sqrt(20) - 0.1
    assert np.sqrt(np.mean(np.square(z))) < 1.6


def test_resistors_have_no_curvature():
    n = 200
    fit = fit_iv(sweeps(1, b=np.zeros(n), g=np.full(n, 5e-5)))
    q = fit.curvature / fit.curvature_stderr
    assert abs(q.mean()) < 5 / math.sqrt(n) + 3 * OFFSET / NOISE * 0.02
    low, high = fit.to_card().nonlinearity.ci95
    assert low >= 0
    assert high < 1.0


def test_outlier_and_silent_cells_are_reported_and_left_out():
    b, g = population(5)
    g[:30] = 1e-9
    iv = sweeps(6, b=b, g=g)
    current = iv.current.copy()
    current[30:38] += 40 * NOISE * np.random.default_rng(7).standard_normal((8, 25))
    current[100, ::2] = np.nan
    fit = fit_iv(IVSweeps(voltage=iv.voltage, current=current, row=iv.row, col=iv.col))
    assert not fit.used[:38].any()
    assert fit.used[38:].all()
    findings = " ".join(f.what for f in fit.verdict.findings)
    assert "In 30 of 300 cells no current is above the noise" in findings
    assert "8 of 300 cells scatter" in findings
    assert fit.result["nonlinearity"] == pytest.approx(
        2.0, abs=5 * fit.result.estimates["nonlinearity"].stderr + 0.1
    )


def test_too_few_data_raise_an_error_with_numbers():
    b, g = population(1, n=5)
    with pytest.raises(FitError, match="3 different magnitudes of voltage"):
        fit_iv(sweeps(1, b=b, g=g, points=3))
    with pytest.raises(FitError, match="no measured current"):
        fit_iv(sweeps(1, b=b, g=g * np.nan))
    with pytest.raises(FitError, match="0 of 5 cells"):
        fit_iv(sweeps(1, b=b, g=g * 1e-6))


def test_measured_sweep_shows_its_offset(shared):
    with h5py.File(shared / "data/measured/h5/stanford_read_voltage_sweep.h5") as f:
        iv = IVSweeps(
            voltage=f["iv/voltage"][...],
            current=f["iv/current"][...].astype(float),
            row=f["iv/row"][...].astype(np.int64),
            col=f["iv/col"][...].astype(np.int64),
        )
    fit = fit_iv(iv)
    at_zero = iv.current[:, iv.voltage == 0].ravel()
    error = at_zero.std() / math.sqrt(at_zero.size)
    assert fit.result["offset"] == pytest.approx(at_zero.mean(), abs=3 * error)
    assert "606 nA" in fit.verdict.findings[0].what
    assert fit.form == "linear"
    assert fit.result["slope"] < 0
    assert "uS" in fit.plot().get_xlabel()
    assert "nonlinearity" in fit.summary()
    assert "nonlinearity" in fit._repr_html_()
