"""Mean and standard deviation of a level; what a verify window that holds all readings allows."""

import math

import numpy as np
import pytest

from rramfit.card import Quantity
from rramfit.fitting.levels.levels import fit_levels
from rramfit.fitting.levels.moments import Moments, reading_moments
from rramfit.fitting.screening.accumulate import accumulate
from rramfit.fitting.statistics.inference import ClusteredCovariance
from rramfit.fitting.statistics.influence import Influence
from rramfit.measurement.file.in_memory import program_in_memory
from rramfit.measurement.file.record import Levels

LOWER, UPPER = 91e-6, 100e-6
WIDTH = UPPER - LOWER


def moments(mean: float, std: float) -> Moments:
    none = Influence(values=np.zeros((2, 1)), position=np.zeros(1, dtype=np.int64), shape=(1, 1))
    return Moments(mean=mean, variance=std**2, influence=none)


def errors(of_mean: float, of_variance: float, df: float = 30.0) -> ClusteredCovariance:
    return ClusteredCovariance(
        covariance=np.diag([of_mean**2, of_variance**2]),
        df=np.full(2, df),
        inflation=np.ones(2),
    )


@pytest.mark.parametrize("shift", [0.33e-6, 7.9e-6, 1.0])
@pytest.mark.parametrize("df", [1.0, 3.0, 1e6])
def test_nothing_leaves_the_window_however_large_the_errors(shift, df):
    found = errors(shift, 2 * 2.24e-6 * shift, df)
    mean, std = moments(95.7e-6, 2.24e-6).quantities(found, window=(LOWER, UPPER))
    assert LOWER <= mean.ci95[0] < mean.value < mean.ci95[1] <= UPPER
    assert mean.stderr <= WIDTH / 2
    assert 2.24e-6 <= std.value <= math.sqrt((UPPER - 95.7e-6) * (95.7e-6 - LOWER))
    assert std.ci95[1] <= WIDTH / 2
    assert std.stderr <= WIDTH / 2
    assert std.ci95[0] <= std.value <= std.ci95[1]


def test_small_errors_are_left_as_they_are():
    found = errors(0.05e-6, 2 * 2.24e-6 * 0.03e-6)
    free = moments(95.7e-6, 2.24e-6).quantities(found)
    assert moments(95.7e-6, 2.24e-6).quantities(found, window=(LOWER, UPPER)) == free
    assert free[1].value == pytest.approx(math.hypot(2.24e-6, 0.05e-6))


def test_a_window_open_on_one_side_limits_the_mean_on_that_side():
    found = errors(7.9e-6, 2 * 2.24e-6 * 7.9e-6)
    mean, std = moments(95.7e-6, 2.24e-6).quantities(found, window=(LOWER, math.inf))
    free = moments(95.7e-6, 2.24e-6).quantities(found)
    assert mean.ci95 == (LOWER, free[0].ci95[1])
    assert std == free[1]


def fitted(y: np.ndarray, levels: Levels, *, verified: np.ndarray | None = None):
    level = np.zeros(y.shape, dtype=np.int64)
    program = program_in_memory(y, read_voltage=0.2, level=level, verified=verified, levels=levels)
    statistics = accumulate(program, 1)
    return fit_levels(statistics, np.ones(y.shape[1:], dtype=bool), levels, seed=1)[0]


WINDOW = Levels(target=np.array([95e-6]), lower=np.array([LOWER]), upper=np.array([UPPER]))


def plane(rng: np.random.Generator) -> np.ndarray:
    """Readings that drift over the whole window from the first row to the last."""
    row = np.linspace(0.02, 0.98, 32)[:, None]
    return (LOWER + WIDTH * np.clip(row + 0.02 * rng.standard_normal((32, 32)), 0, 1))[None]


@pytest.mark.parametrize("chip", ["plane", "halves", "float32"])
def test_measured_arrays_stay_in_their_window(chip):
    rng = np.random.default_rng(5)
    y = plane(rng)
    if chip == "halves":  # each half at one end: the largest variance that the window allows
        y = np.where(np.arange(32)[:, None] < 16, LOWER, UPPER) + np.zeros((1, 32, 32))
        y += 1e-9 * rng.random(y.shape) * np.where(y > 95e-6, -1, 1)
    elif chip == "float32":
        y = y.astype(np.float32).astype(float)
    found = fitted(y, WINDOW)
    mean, std = found.mean, found.std
    assert LOWER * (1 - 1e-6) <= mean.ci95[0] <= mean.ci95[1] <= UPPER * (1 + 1e-6)
    assert std.value == pytest.approx(y.std(), rel=0.02)
    assert std.ci95[1] <= WIDTH / 2 * (1 + 1e-6)


def test_readings_outside_the_window_are_not_forced_into_it():
    rng = np.random.default_rng(6)
    y = 80e-6 + 6e-6 * rng.standard_normal((1, 32, 32))  # the tester accepted other readings
    found = fitted(y, WINDOW, verified=np.ones(y.shape, dtype=bool))
    assert found.mean.value == pytest.approx(80e-6, abs=1e-6)
    assert found.std.value == pytest.approx(6e-6, rel=0.1)


def test_levels_that_were_found_have_no_target():
    y = 95e-6 + 1e-6 * np.random.default_rng(7).standard_normal((1, 32, 32))
    program = program_in_memory(y, read_voltage=0.2, level=np.zeros(y.shape, dtype=np.int64))
    found = fit_levels(
        accumulate(program, 1),
        np.ones((32, 32), dtype=bool),
        Levels(target=np.array([np.median(y)])),
        seed=1,
        targets_known=False,
    )
    assert found[0].to_card().target is None
    assert "nan" not in found.summary()
    known = fitted(y, Levels(target=np.array([95e-6])))
    assert known.to_card().target == Quantity.given(95e-6, "S")


@pytest.mark.parametrize(("cells", "each"), [(4, 3), (12, 9), (40, 1)])
def test_least_error_of_the_variance_of_few_normal_cells(cells, each):
    """The least error is the scatter of the variance over arrays, whatever one array shows."""
    rng = np.random.default_rng(0)
    own = rng.standard_normal((400, cells, 1))
    y = 30e-6 + 1e-6 * (0.8 * own + 0.6 * rng.standard_normal((400, cells, each)))
    found, stated = [], []
    for readings in y:
        statistics = accumulate(
            program_in_memory(
                readings.T[:, None], read_voltage=0.2, level=np.zeros((each, 1, cells), dtype=int)
            ),
            1,
        )
        _, _, moments = reading_moments(statistics, np.ones((1, cells), dtype=bool), 0)
        found.append(moments.variance)
        stated.append(moments.least**2)
    assert np.sqrt(np.mean(stated)) == pytest.approx(np.std(found), rel=0.15)
