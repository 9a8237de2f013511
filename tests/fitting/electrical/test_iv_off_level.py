"""Nonlinearity of cells at a level, among cells that failed; and curves that leave the law."""

import math

import numpy as np
import pytest

from rramfit.card.families import family
from rramfit.fitting.electrical.iv import fit_iv
from rramfit.measurement.file.read import read_measurement
from rramfit.measurement.file.record import IVSweeps

B, SPREAD, DEPENDENCE = 2.5, 0.05, 0.1
CENTRES = np.array([10e-6, 50e-6, 100e-6])
REFERENCE = 40e-6


class Normal:
    def __init__(self, loc, scale):
        self.parameters = {"loc": loc, "scale": scale}

    def logpdf(self, g):
        return family("normal").logpdf(g, self.parameters)

    def ppf(self, p):
        return family("normal").ppf(p, self.parameters)


LEVELS = [Normal(c, 0.06 * c) for c in CENTRES]


def sweeps(seed, *, failed, n=360, shape=None):
    """Curves of cells at three levels; failed ones lie between the levels and bend by more."""
    rng = np.random.default_rng(seed)
    level = rng.integers(0, 3, n)
    off = rng.random(n) < failed
    g = CENTRES[level] * (1 + 0.06 * rng.standard_normal(n))
    g = np.where(off, rng.uniform(15e-6, 85e-6, n), g)
    b = B + DEPENDENCE * np.log(g / REFERENCE) + SPREAD * rng.standard_normal(n)
    b = np.where(off, b + 0.5, b)
    v = np.linspace(-0.4, 0.4, 41)
    current = g[:, None] * np.sinh(b[:, None] * v) / b[:, None]
    if shape is not None:
        current *= shape(v, g[:, None])
    current += 2e-8 * rng.standard_normal(current.shape)
    cell = np.arange(n)
    return IVSweeps(voltage=v, current=current, row=cell // 20, col=cell % 20), off


@pytest.mark.parametrize("failed", [0.0, 0.02, 0.1])
def test_nonlinearity_is_that_of_cells_at_a_level(failed):
    """Mean z is within 4/√n + 0.3 of 0 and its rms near 1 (χ² of 30 at 1e-4: 0.55 to 1.53)."""
    z = {"nonlinearity": [], "spread": [], "dependence": []}
    for seed in range(30):
        fit = fit_iv(sweeps(seed, failed=failed)[0], expected=LEVELS)
        assert fit.form == "log"
        at = B + DEPENDENCE * math.log(fit.reference_conductance / REFERENCE)
        truth = {"nonlinearity": at, "spread": SPREAD, "dependence": DEPENDENCE}
        for name, true in truth.items():
            q = fit.result.estimates[name]
            z[name].append((q.value - true) / q.stderr)
    for name, values in z.items():
        assert abs(np.mean(values)) < 4 / math.sqrt(30) + 0.3, name
        assert 0.5 < math.sqrt(np.mean(np.square(values))) < 1.6, name


def test_cells_at_no_level_are_counted_with_their_own_nonlinearity():
    iv, off = sweeps(1, failed=0.1)
    fit = fit_iv(iv, expected=LEVELS)
    (finding,) = [f for f in fit.verdict.findings if "none of the levels" in f.what]
    left_out = int((~fit.used).sum())
    assert f"{left_out} of {len(off)} cells" in finding.what
    # Levels 6 % wide fill much of the range: some of their tails are as likely to have failed.
    assert left_out == pytest.approx(off.sum(), abs=8)
    b = float(finding.what.split("their b is ")[1].split(" ")[0])
    assert b == pytest.approx(B + 0.5, abs=0.15)


def test_stuck_cells_are_left_out_and_sweeps_of_other_states_are_not():
    iv, off = sweeps(2, failed=0.0)
    stuck = np.zeros((18, 20), dtype=bool)
    stuck[3] = True
    assert not fit_iv(iv, expected=LEVELS, stuck=stuck).used[iv.row == 3].any()
    elsewhere = [Normal(300e-6, 5e-6), Normal(400e-6, 5e-6)]
    assert fit_iv(iv, expected=elsewhere).used.sum() >= len(off) - 1


@pytest.mark.parametrize("of", ["all cells", "small cells"])
def test_a_deviation_from_the_law_is_found_where_it_is(of):
    def dip(v, g):
        small = np.ones_like(g) if of == "all cells" else g < 30e-6
        return 1 - 0.09 * small * (np.abs(v - 0.1) < 0.011)

    fit = fit_iv(sweeps(3, failed=0.0, shape=dip)[0], expected=LEVELS)
    (finding,) = [f for f in fit.verdict.findings if "than the law" in f.what]
    assert "less current than the law" in finding.what
    assert "at 0.1 V" in finding.what
    size = float(finding.what.split(" carry ")[1].split("%")[0].rstrip())
    assert size == pytest.approx(9, abs=2)
    if of == "small cells":
        assert float(finding.what.split(" to ")[1].split(" uS")[0]) < 60


def test_curves_that_follow_the_law_have_no_such_finding():
    for seed in range(30):
        fit = fit_iv(sweeps(seed, failed=0.0)[0], expected=LEVELS)
        assert not any("than the law" in f.what for f in fit.verdict.findings)


def test_the_measured_sweep_leaves_the_law_at_low_voltage(shared):
    m = read_measurement(shared / "data/measured/h5/stanford_read_voltage_sweep.h5")
    (finding,) = [f for f in fit_iv(m.iv).verdict.findings if "than the law" in f.what]
    assert "less current than the law" in finding.what
    voltage = float(finding.what.split(" at ")[1].split(" V")[0])
    assert 0.03 < voltage < 0.1
