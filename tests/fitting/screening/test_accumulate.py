import sys

import numpy as np
import pytest

from rramfit.fitting.screening.accumulate import accumulate
from rramfit.measurement.file.in_memory import program_in_memory
from rramfit.measurement.file.record import Program, SweepBlock
from rramfit.streams import stream


def program(g, level, accepted=None):
    """Return sweeps in memory, read in blocks as from a file."""
    accepted = np.ones(g.shape, bool) if accepted is None else accepted

    def blocks(n):
        for i in range(0, len(g), n):
            cut = slice(i, i + n)
            yield SweepBlock(
                first=i, conductance=g[cut].copy(), level=level[cut].copy(), accepted=accepted[cut]
            )

    return Program(
        shape=g.shape,
        levels_known=True,
        acceptance="verified",
        read_voltage=0.2,
        max_pulses=None,
        open_blocks=blocks,
    )


@pytest.fixture(scope="module")
def sweeps():
    rng = stream(3, "sweeps")
    shape = (41, 5, 7)
    level = rng.integers(-1, 4, shape)
    level[level == 2] = 1  # no cell is programmed to level 2
    g = 1e-5 * (1 + np.maximum(level, 0)) + 4e-6 * rng.standard_normal(shape)
    g[rng.random(shape) < 0.1] = np.nan
    g[:, 0, 0] = np.nan
    accepted = rng.random(shape) < 0.8
    accepted[:, 1, 1] = False
    return g, level, accepted


def test_agrees_with_cell_by_cell_sums(sweeps):
    g, level, accepted = sweeps
    s = accumulate(program(*sweeps), 4)
    for k, r, c in np.ndindex(4, 5, 7):
        y, tried = g[:, r, c], (level[:, r, c] == k) & np.isfinite(g[:, r, c])
        good, bad = y[tried & accepted[:, r, c]], y[tried & ~accepted[:, r, c]]
        at = k, r, c
        assert (s.attempts[at], s.failures[at], s.count[at]) == (tried.sum(), bad.size, good.size)
        assert s.mean[at] == pytest.approx(good.mean() if good.size else np.nan, nan_ok=True)
        assert s.m2[at] == pytest.approx(
            good.var() * good.size if good.size else 0, rel=1e-12, abs=1e-25
        )
        failed = bad.mean() if bad.size else np.nan
        assert s.failed_mean[at] == pytest.approx(failed, nan_ok=True)
        if good.size and good.min() > 0:
            assert s.log_mean[at] == pytest.approx(np.log(good).mean(), rel=1e-13)
            assert s.log_m2[at] == pytest.approx(
                np.log(good).var() * good.size, rel=1e-12, abs=1e-13
            )
        else:
            assert np.isnan(s.log_mean[at])
            assert s.log_m2[at] == 0


def test_maps_and_sweep_means(sweeps):
    g, level, accepted = sweeps
    s = accumulate(program(*sweeps), 4)
    np.testing.assert_array_equal(s.measured, np.isfinite(g).sum(axis=0))
    assert np.isnan(s.lowest[0, 0])
    assert np.isnan(s.highest[0, 0])
    np.testing.assert_array_equal(s.lowest.ravel()[1:], np.nanmin(g.reshape(41, -1)[:, 1:], axis=0))
    np.testing.assert_array_equal(
        s.highest.ravel()[1:], np.nanmax(g.reshape(41, -1)[:, 1:], axis=0)
    )
    for t, k in np.ndindex(41, 4):
        y = g[t][(level[t] == k) & accepted[t] & np.isfinite(g[t])]
        assert s.sweep_count[t, k] == y.size
        assert s.sweep_mean[t, k] == pytest.approx(y.mean() if y.size else np.nan, nan_ok=True)


def test_streamed_blocks_agree_with_one(sweeps, monkeypatch):
    module = sys.modules[accumulate.__module__]
    monkeypatch.setattr(module, "_BLOCK_READINGS", 1)
    narrow = accumulate(program(*sweeps), 4)
    monkeypatch.setattr(module, "_BLOCK_READINGS", 1 << 30)
    wide = accumulate(program(*sweeps), 4)
    for name in ("count", "failures", "mean", "m2", "log_mean", "log_m2", "sweep_mean", "clipped"):
        np.testing.assert_allclose(
            getattr(narrow, name), getattr(wide, name), rtol=1e-12, atol=1e-28, err_msg=name
        )


def test_a_small_spread_keeps_its_digits():
    """The spread is 1e-9 of the mean: naive sums of squares would lose all its digits."""
    rng = stream(4, "digits")
    g = 1e-4 * (1 + 1e-9 * rng.standard_normal((500, 2, 2)))
    s = accumulate(program(g, np.zeros(g.shape, np.int64)), 1)
    exact = (g - g.mean(axis=0)).var(axis=0) * 500
    np.testing.assert_allclose(
        s.m2[0], exact, rtol=1e-5
    )  # float64 resolves 1e-16/1e-9 of a deviation


def test_rails_are_found_at_repeated_extremes():
    rng = stream(5, "rails")
    g = 1e-5 + 5e-6 * rng.standard_normal((30, 8, 8))
    free = accumulate(program(g, np.zeros(g.shape, np.int64)), 1)
    assert free.floor is None
    assert free.ceiling is None
    assert free.clipped.sum() == 0
    clipped = np.clip(g, 2e-6, 2e-5)
    s = accumulate(program(clipped, np.zeros(g.shape, np.int64)), 1)
    assert (s.floor, s.ceiling) == (2e-6, 2e-5)
    np.testing.assert_array_equal(s.clipped[0], (g <= 2e-6).sum(axis=0))
    np.testing.assert_array_equal(s.clipped[1], (g >= 2e-5).sum(axis=0))


def test_the_last_code_of_a_coarse_converter_is_not_a_rail():
    rng = stream(6, "codes")
    for _ in range(20):
        g = np.round(10 + 3 * rng.standard_normal((50, 16, 16))) * 1e-6
        s = accumulate(program(g, np.zeros(g.shape, np.int64)), 1)
        assert s.floor is None
        assert s.ceiling is None


def test_sample_keeps_all_of_few_sweeps_and_every_level_of_many():
    rng = stream(7, "sample")
    g = rng.random((300, 2, 3))
    level = np.broadcast_to((np.arange(300) % 4)[:, None, None], g.shape)
    few = accumulate(program(g[:20], level[:20]), 4)
    np.testing.assert_array_equal(few.sample.conductance, g[:20])
    many = accumulate(program(g, level), 4, keep_sweeps=30)
    assert len(np.unique(many.sample_sweeps)) == 30
    np.testing.assert_array_equal(many.sample.conductance, g[many.sample_sweeps])
    per_level = np.bincount(many.sample.level[:, 0, 0], minlength=4)
    assert (
        per_level.min() >= 4
    )  # 30 sweeps of 4 alternating levels; a fixed stride of 10 has only 2 levels


def test_no_programmed_cell_is_not_an_error():
    g = np.full((2, 3, 3), 1e-5)
    s = accumulate(program(g, np.full(g.shape, -1)), 0)
    assert s.count.shape == (0, 3, 3)
    assert s.measured.min() == 2


def test_a_level_out_of_range_is_rejected():
    g = np.full((2, 3, 3), 1e-5)
    with pytest.raises(ValueError, match="found level 5, expected -1 to 2"):
        accumulate(program(g, np.full(g.shape, 5)), 3)


def test_a_single_value_is_not_a_rail():
    y = np.full((4, 3, 3), 1e-5)
    found = accumulate(program_in_memory(y, read_voltage=0.2, level=np.zeros(4, np.int64)), 1)
    assert found.floor is None
    assert found.ceiling is None
    assert not found.clipped.any()
