"""Estimates of cells at their level, on groups that also hold failed, stuck and lost cells."""

import math

import numpy as np
import pytest

from rramfit.fitting.screening.at_level import find_at_level
from rramfit.fitting.statistics.read_spread import read_spread
from rramfit.fitting.time.endurance import fit_endurance
from rramfit.fitting.time.read_noise import fit_read_noise
from rramfit.fitting.time.retention import fit_retention
from rramfit.measurement.file.in_memory import reads_in_memory
from rramfit.measurement.file.record import Endurance

SIDE = 36
CENTRES = np.array([8e-6, 45e-6, 100e-6])
SPREAD = np.array([0.15, 0.08, 0.05])
NOISE = 0.01  # of conductance
TIMES = np.array([0.0, 1.0, 10.0, 100.0, 1e3, 1e4])


def states(rng, failed):
    """Levels, states and failed cells; these are anywhere below or between their levels."""
    level = rng.permutation(np.arange(SIDE * SIDE) % 3).reshape(SIDE, SIDE)
    g = CENTRES[level] * (1 + SPREAD[level] * rng.standard_normal(level.shape))
    off = rng.random(level.shape) < failed
    elsewhere = np.where(level == 0, 30e-6, 0.5 * CENTRES[level]) * rng.uniform(0.6, 1.1, off.shape)
    return level, np.where(off, elsewhere, g), off


def reads(seed, *, failed=0.0, left=0.0, telegraph=0.0, n=24):
    """Repeated reads; failed cells are three times as noisy, others leave or switch."""
    rng = np.random.default_rng(seed)
    level, g, off = states(rng, failed)
    std = NOISE * g * np.where(off, 3.0, 1.0)
    y = g + std * rng.standard_normal((n, SIDE, SIDE))
    switching = rng.random(g.shape) < telegraph
    state = (np.cumsum(rng.random(y.shape) < 0.2, axis=0) + rng.integers(0, 2, g.shape)) % 2
    y += np.where(switching, 3 * std, 0.0) * (state - 0.5)
    gone = (rng.random(g.shape) < left) & ~off
    when = rng.integers(2, n - 3, g.shape)
    y = np.where(gone & (np.arange(n)[:, None, None] >= when), 0.1 * y, y)
    return reads_in_memory(y, time=np.arange(float(n)), level=level), off, gone, switching


@pytest.mark.parametrize("left", [0.0, 0.01])
@pytest.mark.parametrize("failed", [0.0, 0.01, 0.04, 0.15])
def test_read_noise_is_that_of_cells_at_their_level(failed, left):
    """Mean z is within 4/√n + 0.3 of 0 and its rms near 1 (χ² of 30 at 1e-4: 0.55 to 1.53)."""
    z = {"coefficient": [], "L0 read": [], "L1 read": [], "L2 read": []}
    for seed in range(30):
        record, _, _, _ = reads(seed, failed=failed, left=left)
        estimates = fit_read_noise(record).result.estimates
        truth = {f"L{k} read": NOISE * CENTRES[k] * math.hypot(1, SPREAD[k]) for k in range(3)}
        for name, true in {**truth, "coefficient": NOISE}.items():
            q = estimates[name]
            z[name].append((q.value - true) / q.stderr)
    for name, values in z.items():
        assert abs(np.mean(values)) < 4 / math.sqrt(30) + 0.3, name
        assert 0.55 < math.sqrt(np.mean(np.square(values))) < 1.6, name


def test_failed_cells_and_cells_that_left_are_counted_and_fitted_apart():
    record, off, gone, _ = reads(1, failed=0.08, left=0.01)
    fit = fit_read_noise(record)
    (finding,) = [f for f in fit.verdict.findings if "not at their programmed level" in f.what]
    total, found = off.size, fit.n_off_level
    assert f"{found} of {total} cells are not at their programmed level" in finding.what
    assert f"{int(gone.sum())} other cells left it later" in finding.what
    assert abs(found - off.sum()) <= 0.03 * off.sum() + 2
    card = fit.to_card().off_level
    assert card.n_cells == found
    assert card.coefficient.ci95[0] <= 3 * NOISE <= card.coefficient.ci95[1]
    assert fit.to_card().coefficient.value == pytest.approx(NOISE, rel=0.02)


def test_stuck_cells_are_fitted_with_the_failed_ones():
    record, off, _, _ = reads(2, failed=0.03)
    stuck = np.zeros(off.shape, dtype=bool)
    stuck[0, :20] = True
    fit = fit_read_noise(record, healthy=~stuck, stuck=stuck)
    assert fit.n_off_level >= (off & ~stuck).sum() - 3 + 20
    few = fit_read_noise(reads(3, failed=0.001)[0])
    assert few.to_card().off_level is None


def test_cells_that_switch_have_not_left_their_level():
    record, _, _, switching = reads(4, telegraph=0.2, n=64)
    fit = fit_read_noise(record)
    assert not any("left it later" in f.what for f in fit.verdict.findings)
    assert len(fit.conductance) >= 0.998 * record.level.size
    assert (fit.std / fit.conductance > 1.5 * NOISE).mean() == pytest.approx(
        switching.mean(), abs=0.08
    )


def test_a_glitch_at_the_end_is_not_a_cell_that_left():
    record, _, _, _ = reads(5)
    y = record.read_all().copy()
    y[-1, 0, 0] = 0.0
    y[-3:, 0, 1] = 0.0
    y[5:9, 0, 2] = 0.0
    record = reads_in_memory(y, time=np.arange(float(len(y))), level=record.level)
    at = find_at_level(y[0], record.level, np.ones(record.level.shape, dtype=bool))
    left = read_spread(record, within=at.within).left
    assert left.sum() == 1
    assert left[0, 1]


def retention(seed, *, failed=0.0, lost=0.0):
    """States that drift in ln t; failed ones by more, and lost ones fall to a tenth."""
    rng = np.random.default_rng(seed)
    level, g, off = states(rng, failed)
    x = np.log(TIMES[1:])
    change = np.zeros((len(TIMES), SIDE, SIDE))
    for j in range(1, len(TIMES)):
        width = x[j - 1] - (x[j - 2] if j > 1 else 0.0)
        step = -0.004 * CENTRES[level] * width
        step = step + 0.006 * CENTRES[level] * math.sqrt(width) * rng.standard_normal(g.shape)
        first = CENTRES[level] * (-0.01 + 0.01 * rng.standard_normal(g.shape))
        change[j] = change[j - 1] + np.where(off, 8.0, 1.0) * (first if j == 1 else step)
    y = g + change
    gone = (rng.random(g.shape) < lost) & ~off
    when = rng.integers(1, len(TIMES), g.shape)
    y = np.where(gone & (np.arange(len(TIMES))[:, None, None] >= when), 0.1 * g, y)
    y = y + NOISE * 0.3 * g * rng.standard_normal(y.shape)
    return reads_in_memory(y, time=TIMES, level=level, temperature=300.0), off, gone


@pytest.mark.parametrize(("failed", "lost"), [(0.0, 0.0), (0.04, 0.0), (0.0, 0.02), (0.15, 0.02)])
def test_drift_is_that_of_cells_that_keep_their_state(failed, lost):
    """Mean z is within 4/√n + 0.3 of 0 and its rms near 1 (χ² of 90 at 1e-4: 0.72 to 1.29)."""
    z = {"first_step": [], "drift": [], "growth": []}
    for seed in range(30):
        record, _, _ = retention(seed, failed=failed, lost=lost)
        fit = fit_retention(record)
        for k in range(3):
            truth = {"first_step": -0.01, "drift": -0.004, "growth": 0.006}
            for name, true in truth.items():
                q = fit.result.estimates[f"L{k} {name}"]
                z[name].append((q.value - true * CENTRES[k]) / q.stderr)
    for name, values in z.items():
        assert abs(np.mean(values)) < 4 / math.sqrt(90) + 0.3, name
        assert 0.7 < math.sqrt(np.mean(np.square(values))) < 1.35, name


def test_lost_cells_are_counted():
    record, off, gone = retention(1, failed=0.04, lost=0.03)
    fit = fit_retention(record)
    (finding,) = [f for f in fit.verdict.findings if "not at their programmed level" in f.what]
    assert f"{int(gone.sum())} other cells left it later" in finding.what
    assert fit.verdict.word != "bad"
    conducting = ~off & (record.read_all()[0] > 50e-6)
    # One that fell at the first later reading may be at its level when it is compared.
    assert fit.collapsed.n_collapsed == pytest.approx((gone & conducting).sum(), abs=1)


def test_real_loss_is_fitted_and_a_lost_contact_is_not():
    """A bake at 533 K: every cell loses a different share, with time constants over decades."""
    rng = np.random.default_rng(1)
    side, time = 64, np.array([0.0, 10.0, 100.0, 1000.0, 5000.0])
    level = rng.integers(0, 8, (side, side))
    start = np.linspace(20e-6, 220e-6, 8)[level] + 2e-6 * rng.standard_normal(level.shape)
    tau = np.exp(math.log(4000) + 1.2 * rng.standard_normal(level.shape))
    y = start * np.exp(-time[:, None, None] / tau) + 1e-6 * rng.standard_normal((5, side, side))
    fit = fit_retention(reads_in_memory(y, time=time, level=level, temperature=533.0))
    assert fit.verdict.word == "warning"
    assert fit.collapsed.n_collapsed == 0
    assert fit.collapsed.below is None
    assert (fit.n_cells == np.bincount(level.ravel())).all()
    for k in range(8):
        mean = (y[-1] - y[0])[level == k].mean()
        assert fit.change_mean[k, -1] == pytest.approx(mean, rel=1e-9)

    y[2:, 16:32] *= 0.02
    fit = fit_retention(reads_in_memory(y, time=time, level=level, temperature=533.0))
    assert fit.verdict.word == "bad"
    # A quarter of the rows; the cells that lost their contact have lost nothing else of their own.
    assert fit.collapsed.share.value == pytest.approx(0.25, abs=0.05)
    assert "in rows 16–31" in fit.collapsed.finding.what


def test_times_before_programming_are_asked_about_and_left_out():
    record, _, _ = retention(3)
    y, level = record.read_all(), record.level
    shifted = np.r_[-3600.0, TIMES]
    fit = fit_retention(reads_in_memory(np.r_[y[:1], y], time=shifted, level=level))
    finding = next(f for f in fit.verdict.findings if "negative" in f.what)
    assert "1 of 7 times of /retention are negative" in finding.what
    assert "-3.6 ks" in finding.what
    assert finding.remedy.startswith("Is the clock's zero")
    alone = fit_retention(record)
    assert fit.result.estimates["L1 drift"] == alone.result.estimates["L1 drift"]


CYCLES = np.array([1, 10, 100, 1000, 10_000])


def cycled(seed, *, stuck=0.0, failing=0.0):
    """Two states whose window closes slowly; some cells are stuck, some lose their window."""
    rng = np.random.default_rng(seed)
    x = np.log10(CYCLES)[:, None, None]
    shape = (len(CYCLES), SIDE, SIDE)
    own = rng.standard_normal(shape[1:])
    high = 80e-6 - 2e-6 * x + 6e-6 * (own + rng.standard_normal(shape)) / math.sqrt(2)
    low = 5e-6 + 0.5e-6 * x + 1e-6 * rng.standard_normal(shape)
    kind = rng.random(shape[1:])
    high = np.where(kind < stuck / 2, low * rng.uniform(0.8, 1.2, shape), high)
    low = np.where((kind >= stuck / 2) & (kind < stuck), high, low)
    when = rng.integers(1, len(CYCLES), shape[1:])
    gone = (kind > 1 - failing) & (np.arange(len(CYCLES))[:, None, None] >= when)
    high = np.where(gone, low + 25e-6 * rng.random(shape[1:]), high)
    return Endurance(conductance=np.stack([high, low], axis=1), cycle=CYCLES.copy())


@pytest.mark.parametrize(("stuck", "failing"), [(0.02, 0.0), (0.0, 0.03), (0.03, 0.1)])
def test_endurance_describes_the_cells_that_switch(stuck, failing):
    """Mean z is within 4/√n + 0.3 of 0 and its rms near 1 (χ² of 40 at 1e-4: 0.6 to 1.45)."""
    truth = {
        "S0 mean": 5e-6,
        "S0 std": 1e-6,
        "S0 drift": 0.5e-6,
        "S1 mean": 80e-6,
        "S1 std": 6e-6,
        "S1 drift": -2e-6,
        "S1 growth": 0.0,
        "window": 75e-6,
    }
    z = {name: [] for name in truth}
    for seed in range(40):
        fit = fit_endurance(cycled(seed, stuck=stuck, failing=failing))
        for name, true in truth.items():
            q = fit.result.estimates[name]
            z[name].append((q.value - true) / q.stderr)
    for name, values in z.items():
        assert abs(np.mean(values)) < 4 / math.sqrt(40) + 0.3, name
        assert 0.6 < math.sqrt(np.mean(np.square(values))) < 1.5, name


def test_endurance_says_which_cells_it_leaves_out():
    fit = fit_endurance(cycled(1, stuck=0.03, failing=0.05))
    finding = next(f for f in fit.verdict.findings if f.what.startswith("/endurance"))
    assert "are not in their states at the first point" in finding.what
    assert fit.failed_share.value == pytest.approx(0.05, abs=0.02)
