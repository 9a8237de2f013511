"""Retention fits of simulated Wiener drift in ln t, and of measured bakes with known outcome."""

import math

import h5py
import numpy as np
import pytest

from rramfit.errors import FitError
from rramfit.fitting.time.retention import collapsed_share, fit_retention
from rramfit.measurement.file.record import Levels, Reads

DRIFT, GROWTH, READ = -0.2e-6, 0.5e-6, 0.3e-6
STEP, STEP_SPREAD = -0.4e-6, 0.8e-6
TIMES = np.array([0.0, 0.01, 0.1, 1.0, 10.0, 1e4])


def record(y, time, level, temperature=300.0):
    return Reads(
        shape=y.shape,
        time=np.array(time),
        level=level,
        read_voltage=0.2,
        temperature=temperature,
        open_blocks=lambda n: (y[i : i + n] for i in range(0, len(y), n)),
    )


def drifting(seed, *, times=TIMES, side=24, levels=2, missing=0.1):
    """Simulate levels at 20 and 40 uS in a chequerboard, with readings missing at random."""
    rng = np.random.default_rng(seed)
    level = np.indices((side, side)).sum(axis=0) % levels
    start = 20e-6 * (1 + level)
    x = np.log(times[times > 0] / times[times > 0][0])
    walk = np.zeros((len(x), side, side))
    for j in range(1, len(x)):
        walk[j] = walk[j - 1] + math.sqrt(x[j] - x[j - 1]) * rng.standard_normal((side, side))
    first = STEP + STEP_SPREAD * rng.standard_normal((side, side))
    state = start + first + DRIFT * x[:, None, None] + GROWTH * walk
    if times[0] == 0:
        state = np.concatenate([start[None], state])
    y = state + READ * rng.standard_normal(state.shape)
    y[rng.random(y.shape) < missing] = np.nan
    return record(y, times, level)


def test_recovers_drift_and_its_errors():
    """Mean z is within 4/√n of 0, its rms near 1 (χ² of 80 at 1e-4: 0.72 to 1.31)."""
    truth = {
        "first_step": STEP,
        "first_spread": math.sqrt(STEP_SPREAD**2 + 2 * READ**2),
        "drift": DRIFT,
        "growth": GROWTH,
        "read": READ,
    }
    z = {name: [] for name in truth}
    for seed in range(40):
        fit = fit_retention(drifting(seed))
        for name, true in truth.items():
            for k in (0, 1):
                q = fit.result.estimates[f"L{k} {name}"]
                z[name].append((q.value - true) / q.stderr)
    for name, values in z.items():
        # A standard deviation over some 250 cells is biased by well under 0.2 stderr.
        assert abs(np.mean(values)) < 4 / math.sqrt(80) + 0.2, name
        assert 0.72 < np.std(values) < 1.31, name


def test_readings_at_programming_and_one_later_time_give_a_step_but_no_drift():
    fit = fit_retention(drifting(1, times=np.array([0.0, 3600.0])))
    card = fit.to_card()
    assert card.reference_time.value == 3600.0
    assert card.levels[0].drift is None
    assert card.levels[0].first_step.value == pytest.approx(
        STEP, abs=4 * card.levels[0].first_step.stderr
    )
    assert any("not the drift with ln t" in f.what for f in fit.verdict.findings)


def test_two_later_readings_give_drift_with_read_noise_in_the_growth():
    fit = fit_retention(drifting(2, times=np.array([1.0, 1e4]), missing=0.0))
    x = math.log(1e4)
    expected = math.sqrt(GROWTH**2 + 2 * READ**2 / x)
    q = fit.result.estimates["L1 growth"]
    assert q.value == pytest.approx(expected, abs=4 * q.stderr)
    assert "L1 read" not in fit.result.estimates
    assert "L1 first_step" not in fit.result.estimates


def test_a_spread_that_is_not_determined_has_no_estimate():
    """Cells with read noise only, whose growth is often negative or nearly zero."""
    left = 0
    for seed in range(24):
        noise = np.random.default_rng(seed).normal(0, 1e-9, (5, 4, 6))
        fit = fit_retention(record(50e-6 + noise, [0, 1, 10, 100, 1e4], np.zeros((4, 6), int)))
        for name, q in fit.result.estimates.items():
            if name.endswith(("growth", "read", "spread")):
                assert q.ci95[1] < 1e3 * q.ci95[0]
        said = [f.what for f in fit.result.verdict.findings if f.code == "retention-not-determined"]
        assert not said or "L0 growth" not in fit.result.estimates
        left += len(said)
    assert left > 0


def test_levels_assigned_from_the_first_reading_are_reported():
    rng = np.random.default_rng(3)
    true = rng.uniform(0, 40e-6, (32, 32))
    first = true + 1e-6 * rng.standard_normal(true.shape)
    edges = np.arange(0, 41, 4) * 1e-6
    level = np.digitize(first, edges[1:-1])
    levels = Levels(target=(edges[:-1] + edges[1:]) / 2, lower=edges[:-1], upper=edges[1:])
    second = true + 1e-6 * rng.standard_normal(true.shape)
    inside = (first >= edges[0]) & (first < edges[-1])
    y = np.stack([first, second])
    reads = record(y, [0.0, 10.0], np.where(inside, level, -1))
    findings = [f.what for f in fit_retention(reads, levels).verdict.findings]
    assert any("Levels were assigned from the first reading (100.0 %" in t for t in findings)
    targeted = record(y, [0.0, 10.0], np.digitize(true, edges[1:-1]))
    assert not any("assigned" in f.what for f in fit_retention(targeted, levels).verdict.findings)


def test_few_noisy_cells_are_not_reported_as_assigned_from_the_first_reading():
    level = np.arange(24).reshape(4, 6) % 3
    rng = np.random.default_rng(4)
    for _ in range(20):
        y = 20e-6 * (1 + level) * (1 + 0.01 * rng.standard_normal((2, 4, 6)))
        fit = fit_retention(record(y, [0.0, 10.0], level))
        assert not any("assigned" in f.what for f in fit.verdict.findings)


def test_collapse_is_counted_and_severe():
    rng = np.random.default_rng(4)
    before = rng.uniform(0, 100e-6, 4000)
    after = before * rng.normal(0.95, 0.05, 4000)
    after[:1000] = 0.01e-6
    found = collapsed_share(before, after)
    limit = 0.5 * np.quantile(before, 0.95)
    assert found.n_cells == int((before >= limit).sum())
    assert found.n_collapsed == int((before[:1000] >= limit).sum())
    assert found.finding.severe
    assert collapsed_share(before[1000:], after[1000:]).finding is None
    assert collapsed_share(before[:19], after[:19]) is None


def test_too_few_data_raise_an_error_with_numbers():
    reads = drifting(1)
    with pytest.raises(FitError, match="has length 1; expected at least 2 readings"):
        fit_retention(record(reads.read_all()[:1], [1.0], reads.level))
    with pytest.raises(FitError, match="negative"):
        fit_retention(record(reads.read_all()[:2], [-1.0, 1.0], reads.level))
    with pytest.raises(FitError, match="largest level has 0 cells"):
        fit_retention(record(reads.read_all(), TIMES, np.full_like(reads.level, -1)))


def measured(shared, name):
    with h5py.File(shared / f"data/measured/h5/{name}.h5") as f:
        levels = Levels(**{n: f["levels"][n][...] for n in ("target", "lower", "upper")})
        group = f["retention"]
        y = group["conductance"][...].astype(float)
        return record(y, group["time"][...], group["level"][...].astype(np.int64), 358.15), levels


def test_collapsed_bake_is_bad_and_the_other_is_not(shared):
    bad = fit_retention(*measured(shared, "bake85"))
    assert bad.verdict.word == "bad"
    assert bad.collapsed.share.value == pytest.approx(0.5, abs=0.03)
    good = fit_retention(*measured(shared, "bake110"))
    assert good.verdict.word == "warning"
    assert good.collapsed.n_collapsed == 0


def test_relaxation_over_seven_decades(shared):
    reads, levels = measured(shared, "techC_relaxation")
    fit = fit_retention(reads, levels)
    y = reads.read_all()
    of = (reads.level == 23) & np.isfinite(y[0]) & np.isfinite(y[1])
    assert fit.result["L23 first_step"] == pytest.approx((y[1] - y[0])[of].mean(), rel=1e-6)
    assert fit.result["L1 drift"] > 0 > fit.result["L23 drift"]
    assert any(
        "8 of 52 levels have fewer than 5 cells with two readings" in f.what
        for f in fit.verdict.findings
    )
    assert fit.to_card().reference_time.value == 0.01
    assert fit.plot().get_xscale() == "log"
