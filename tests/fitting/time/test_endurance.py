"""Endurance fits of simulated states with known drift, spread and failures."""

import math

import numpy as np
import pytest

from rramfit.errors import FitError
from rramfit.fitting.time.endurance import fit_endurance
from rramfit.measurement.file.record import Endurance

CYCLES = np.array([1, 10, 100, 1000, 10_000])
LOW, HIGH, LOW_STD, HIGH_STD = 5e-6, 80e-6, 1e-6, 6e-6
RISE, FALL, GROWTH = 0.5e-6, -3e-6, 0.8e-6


def cycled(seed, *, side=24, missing=0.1, failing=0):
    """Simulate two states, the high one first; half of its growing spread is fixed per cell."""
    rng = np.random.default_rng(seed)
    x = np.log10(CYCLES)[:, None, None]
    shape = (len(CYCLES), side, side)
    spread = HIGH_STD + GROWTH * x
    fixed = rng.standard_normal((side, side))
    high = HIGH + FALL * x + spread * (fixed + rng.standard_normal(shape)) / math.sqrt(2)
    low = LOW + RISE * x + LOW_STD * rng.standard_normal(shape)
    y = np.stack([high, low], axis=1)
    y[-1].reshape(2, -1)[0, :failing] = LOW
    y[rng.random(y.shape) < missing] = np.nan
    return Endurance(conductance=y, cycle=CYCLES.copy())


def test_recovers_states_and_their_errors():
    """Mean z is within 4/√n of 0, its rms near 1 (χ² of 60 at 1e-4: 0.67 to 1.36)."""
    truth = {
        "S0 mean": LOW,
        "S0 std": LOW_STD,
        "S0 drift": RISE,
        "S0 growth": 0.0,
        "S1 mean": HIGH,
        "S1 std": HIGH_STD,
        "S1 drift": FALL,
        "S1 growth": GROWTH,
        "window": HIGH - LOW,
        "window_loss": (RISE - FALL) / (HIGH - LOW),
    }
    z = {name: [] for name in truth}
    for seed in range(60):
        fit = fit_endurance(cycled(seed))
        for name, true in truth.items():
            q = fit.result.estimates[name]
            z[name].append((q.value - true) / q.stderr)
    for name, values in z.items():
        assert abs(np.mean(values)) < 4 / math.sqrt(60) + 0.1, name
        assert 0.67 < np.std(values) < 1.36, name


def test_states_are_sorted_by_mean_and_points_by_cycle():
    record = cycled(1)
    reversed_record = Endurance(
        conductance=record.conductance[::-1].copy(), cycle=CYCLES[::-1].copy()
    )
    fit, same = fit_endurance(record), fit_endurance(reversed_record)
    assert fit.order.tolist() == [1, 0]
    assert same.to_card() == fit.to_card()
    assert [s.state for s in fit.to_card().states] == [1, 0]
    assert fit.plot().get_xscale() == "log"


def test_failed_cells_are_counted():
    record = cycled(2, missing=0.0, failing=60)
    fit = fit_endurance(record)
    window = record.conductance[:, 0] - record.conductance[:, 1]
    assert fit.failed_share.value == pytest.approx(np.mean(window[-1] < window[0] / 2), abs=1e-12)
    assert fit.failed_share.value >= 60 / 576
    assert any("of cells have less than half" in f.what for f in fit.verdict.findings)
    assert any(
        "tails of the states is closed at 10000 cycles" in f.what for f in fit.verdict.findings
    )
    assert fit_endurance(cycled(2, missing=0.0, failing=400)).verdict.word == "bad"


def test_one_point_gives_states_but_no_drift():
    record = cycled(3)
    fit = fit_endurance(
        Endurance(conductance=record.conductance[:1].copy(), cycle=CYCLES[:1].copy())
    )
    assert "S0 drift" not in fit.result.estimates
    assert fit.failed_share is None
    assert "no drift" in fit.verdict.findings[0].what


def test_too_few_data_raise_an_error_with_numbers():
    record = cycled(4)
    few = record.conductance.copy()
    few[0, 1].reshape(-1)[4:] = np.nan
    few[0, 1].reshape(-1)[:4] = LOW
    with pytest.raises(FitError, match="state 1 at the first point: found 4 measured cells"):
        fit_endurance(Endurance(conductance=few, cycle=CYCLES.copy()))
    with pytest.raises(FitError, match="found -1"):
        fit_endurance(Endurance(conductance=record.conductance.copy(), cycle=CYCLES - 2))
