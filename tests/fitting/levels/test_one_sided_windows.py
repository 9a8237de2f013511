"""Verify windows with a limit on one side: what lies inside, and which levels are off target."""

import numpy as np
import pytest

from rramfit.fitting.levels.targets import find_mismatch, level_medians, window_limits
from rramfit.measurement.file.acceptance import inside_window
from rramfit.measurement.file.record import Levels

LEVELS = Levels(
    target=np.array([12.5e-6, 100e-6, 200e-6]),
    lower=np.array([np.nan, 90e-6, 200e-6]),
    upper=np.array([12.5e-6, 110e-6, np.nan]),
)


def readings(*medians):
    """Return 100 readings around each median, and their levels."""
    spread = np.random.default_rng(2).normal(1, 0.01, (3, 100))
    return spread * np.array(medians)[:, None], np.repeat(np.arange(3), 100).reshape(3, 100)


def test_open_sides_have_no_limit():
    low, high = window_limits(LEVELS)
    assert low.tolist() == [-np.inf, 90e-6, 200e-6]
    assert high.tolist() == [12.5e-6, 110e-6, np.inf]
    g = np.array([[-1e-6, 12.4e-6, 13e-6], [89e-6, 100e-6, 111e-6], [199e-6, 201e-6, 5e-3]])
    level = np.repeat(np.arange(3), 3).reshape(3, 3)
    expected = [[True, True, False], [False, True, False], [False, True, True]]
    assert inside_window(g, level, LEVELS).tolist() == expected


@pytest.mark.parametrize(
    ("medians", "off"),
    [((1e-6, 100e-6, 900e-6), 0), ((40e-6, 100e-6, 900e-6), 1), ((1e-6, 100e-6, 60e-6), 1)],
)
def test_a_level_is_off_target_beyond_its_only_limit(medians, off):
    g, level = readings(*medians)
    found = level_medians(g, level, LEVELS)
    assert found.inside[1] == pytest.approx(1)
    assert found.inside[0] == (medians[0] < 12e-6)
    assert found.inside[2] == (medians[2] > 210e-6)
    said = [f for f in find_mismatch(found, LEVELS) if "off target" in f.what]
    assert len(said) == off
