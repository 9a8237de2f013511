"""Variation between cycles if sweeps drift: it rests on the number of sweeps, not of cells."""

import numpy as np
import pytest

from rramfit.fitting.screening.accumulate import accumulate
from rramfit.fitting.variation.variation import fit_variation
from rramfit.measurement.file.in_memory import program_in_memory

SHAPE, SWEEPS = (32, 32), 12


def c2c(seed, drift):
    rng = np.random.default_rng([seed, 7])
    address = np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE) / (SHAPE[0] * SHAPE[1] - 1) - 0.5
    y = 100 + 3 * rng.standard_normal(SHAPE) + rng.standard_normal((SWEEPS, *SHAPE))
    y *= 1 + drift * rng.standard_normal((SWEEPS, 1, 1)) * address
    program = program_in_memory(
        y * 1e-6, read_voltage=0.2, level=np.zeros(y.shape, dtype=int), verified=y > 0
    )
    healthy = np.ones(SHAPE, dtype=bool)
    return fit_variation(accumulate(program, 1), healthy, domains=["linear"]).levels[0].c2c


@pytest.mark.parametrize("drift", [0.0, 0.05])
def test_c2c_covers_with_and_without_drift(drift):
    """With drift, cells of one sweep are not independent, and the interval is far wider."""
    truth = np.sqrt(1 + drift**2 / 12 * (100**2 + 9 + 1)) * 1e-6
    ends = [c2c(seed, drift).ci95 for seed in range(60)]
    hits = np.mean([low <= truth <= high for low, high in ends])
    assert 0.87 <= hits <= 1.0
    width = np.median([(high - low) / truth for low, high in ends])
    assert width < 0.05 if drift == 0 else width > 0.2
