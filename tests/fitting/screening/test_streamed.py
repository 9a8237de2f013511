"""A sample of sweeps agrees with all of them: equal sums, distributions within their errors."""

from dataclasses import replace

import numpy as np
import pytest

from rramfit.fitting.levels.levels import fit_levels
from rramfit.fitting.screening.accumulate import accumulate
from rramfit.measurement import Levels, SweepBlock, program_in_memory

TARGET = np.array([10e-6, 50e-6])
SWEEPS = 192


@pytest.fixture(scope="module")
def both():
    """Return statistics that keep 64 sweeps, and all sweeps."""
    rng = np.random.default_rng(11)
    level = np.arange(SWEEPS) % 2
    cell = rng.standard_normal((24, 24))
    cycle = rng.standard_normal((SWEEPS, 24, 24))
    y = TARGET[level][:, None, None] * (1 + 0.08 * cell + 0.04 * cycle)
    pattern = np.repeat(level, 24 * 24).reshape(y.shape)
    program = program_in_memory(y, level=pattern, levels=Levels(target=TARGET), read_voltage=0.2)
    return [accumulate(program, 2, keep_sweeps=keep) for keep in (64, SWEEPS)]


def test_sums_do_not_depend_on_the_sample(both):
    some, every = both
    assert len(some.sample.conductance) == 64
    assert len(every.sample.conductance) == SWEEPS
    for name in ("count", "failures", "mean", "m2", "log_mean", "log_m2", "sweep_mean", "lowest"):
        np.testing.assert_array_equal(getattr(some, name), getattr(every, name), err_msg=name)


def test_distributions_of_a_sample_agree_with_those_of_all_sweeps(both):
    healthy = np.ones((24, 24), dtype=bool)
    some, every = (fit_levels(s, healthy, Levels(target=TARGET), seed=0) for s in both)
    for k in range(2):
        assert some[k].mean == every[k].mean
        assert some[k].std == every[k].std
        if some[k].family != every[k].family:
            continue
        for name, q in every[k].result.estimates.items():
            # A sample of m = 32 of 96 cycles shifts a cell's mean by 0.04·sqrt(1/32 − 1/96) of the
            # level, 0.07 of the spread 0.08 between cells, and the distribution's location by 0.07
            # of its error.
            assert some[k].result[name] == pytest.approx(q.value, abs=0.5 * q.stderr), name
    assert any(a.family == b.family for a, b in zip(some.levels, every.levels, strict=True))


def test_sweeps_of_one_level_add_up_like_cells_with_individual_levels():
    rng = np.random.default_rng(12)
    level = np.array([0, 1, -1, 1, 0, 0, 1])
    y = np.where(rng.random((7, 6, 5)) < 0.1, np.nan, rng.uniform(1e-6, 9e-6, (7, 6, 5)))
    ok = rng.random(y.shape) < 0.8
    blocks = SweepBlock(
        first=0,
        conductance=y,
        level=np.broadcast_to(level[:, None, None], y.shape),
        accepted=ok,
    )
    full = program_in_memory(y, level=level, verified=ok, read_voltage=0.2)
    own = replace(full, open_blocks=lambda _: iter([replace(blocks, level=blocks.level.copy())]))
    one = replace(full, open_blocks=lambda _: iter([blocks]))
    a, b = accumulate(one, 2), accumulate(own, 2)
    for name in ("count", "failures", "attempts", "measured"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    for name in ("mean", "m2", "log_mean", "log_m2", "failed_mean", "sweep_mean"):
        np.testing.assert_allclose(
            getattr(a, name), getattr(b, name), rtol=1e-9, atol=1e-20, err_msg=name
        )
