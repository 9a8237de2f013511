"""Cells at their level, outliers and second populations, on readings with known membership."""

import math

import numpy as np
import pytest

from rramfit.card.families import family
from rramfit.fitting.screening.at_level import at_any_level, find_at_level
from rramfit.fitting.screening.population_form import outlier_limits
from rramfit.fitting.screening.second_population import find_gap, place

SIDE = 40


class Distribution:
    """A level's distribution, as a fit gives it."""

    def __init__(self, name, **parameters):
        self.family, self.parameters = family(name), parameters

    def logpdf(self, g):
        return self.family.logpdf(g, self.parameters)

    def ppf(self, p):
        return self.family.ppf(p, self.parameters)


HRS = Distribution("lognormal", mu=math.log(4e-6), sigma=0.3)
LRS = Distribution("normal", loc=100e-6, scale=5e-6)
LEVELS = [HRS, LRS]


def chip(seed, *, failed, moved=0.0, wider=1.0, expected=LEVELS):
    """Checkerboard of two levels, of which some cells failed: first readings, level, failed."""
    rng = np.random.default_rng(seed)
    level = np.indices((SIDE, SIDE)).sum(axis=0) % 2
    y = np.stack([f.ppf(rng.random((SIDE, SIDE))) for f in expected])
    y[1] = 100e-6 + wider * (y[1] - 100e-6) + moved
    off = rng.random((SIDE, SIDE)) < failed
    elsewhere = np.where(
        level == 0, rng.uniform(20e-6, 80e-6, off.shape), 60e-6 * rng.random(off.shape)
    )
    return np.where(off, elsewhere, np.choose(level, y)), level, off


@pytest.mark.parametrize("known", [True, False], ids=["fitted levels", "no programming sweeps"])
@pytest.mark.parametrize("failed", [0.0, 0.01, 0.04, 0.2])
def test_failed_cells_are_told_from_cells_at_their_level(failed, known):
    wrong = missed = cells = bad = 0
    for seed in range(20):
        y, level, off = chip(seed, failed=failed)
        found = find_at_level(
            y,
            level,
            np.ones(y.shape, dtype=bool),
            expected=LEVELS if known else (),
            expected_cells=[1000, 1000] if known else (),
        )
        assert not (found.at & found.off).any()
        wrong, cells = wrong + (found.off & ~off).sum(), cells + (~off).sum()
        missed, bad = missed + (found.at & off).sum(), bad + off.sum()
    assert wrong < (2e-3 if failed < 0.1 else 6e-3) * cells
    # No failed cell is within 4 standard deviations of its level but by the tail of a lognormal.
    assert missed <= 0.03 * bad


@pytest.mark.parametrize(("moved", "wider"), [(-6e-6, 1.0), (0.0, 2.0), (-15e-6, 1.5)])
def test_a_level_that_moved_or_spread_keeps_its_cells(moved, wider):
    y, level, off = chip(3, failed=0.03, moved=moved, wider=wider)
    found = find_at_level(
        y, level, np.ones(y.shape, dtype=bool), expected=LEVELS, expected_cells=[1000, 1000]
    )
    assert (found.off & ~off).sum() <= 0.005 * off.size
    assert (found.off & off).sum() >= 0.95 * off.sum()
    assert not found.moved.any()


def test_a_level_most_of_whose_cells_failed_has_not_moved():
    y, level, off = chip(4, failed=0.0)
    rng = np.random.default_rng(5)
    lost = (level == 1) & (rng.random(y.shape) < 0.7)
    y[lost] = HRS.ppf(rng.random(int(lost.sum())))
    found = find_at_level(
        y, level, np.ones(y.shape, dtype=bool), expected=LEVELS, expected_cells=[1000, 1000]
    )
    np.testing.assert_array_equal(found.off[level == 1], lost[level == 1])
    (finding,) = found.findings("/reads")
    said = f"{int(found.off.sum())} of {off.size} cells are not at their programmed level"
    assert said in finding.what
    assert f"L1: {int(lost.sum())}" in finding.what


def test_a_level_that_is_all_elsewhere_is_said_to_have_moved():
    y, level, _ = chip(6, failed=0.0, moved=-70e-6)
    found = find_at_level(
        y, level, np.ones(y.shape, dtype=bool), expected=LEVELS, expected_cells=[1000, 1000]
    )
    assert found.at.mean() > 0.99
    assert found.moved[1] == pytest.approx(-70e-6, abs=2e-6)
    assert any("nearly all cells of L1 are far from" in f.what for f in found.findings("/reads"))


def test_the_odd_cell_is_no_finding_and_few_cells_are_all_at_their_level():
    y, level, _ = chip(7, failed=0.0)
    y[0, 0] = 300e-6
    found = find_at_level(y, level, np.ones(y.shape, dtype=bool), expected=LEVELS)
    assert found.off[0, 0]
    assert found.findings("/reads") == []
    few = find_at_level(y[:1, :6], level[:1, :6], np.ones((1, 6), dtype=bool))
    assert few.at.all()


def test_conductances_at_some_level():
    rng = np.random.default_rng(8)
    y = np.concatenate([HRS.ppf(rng.random(300)), LRS.ppf(rng.random(300)), [30e-6, 55e-6, np.nan]])
    at = at_any_level(y, [HRS, None, LRS])
    assert at[:600].mean() > 0.99
    assert not at[600:].any()
    assert at_any_level(y, [None]).sum() == 602


def test_outliers_are_apart_and_a_tail_is_not():
    rng = np.random.default_rng(9)
    cut = 0
    for _ in range(50):
        normal, heavy = rng.standard_normal(800), rng.standard_t(3, 800)
        low, high = outlier_limits(normal)
        cut += ((normal < low) | (normal > high)).sum()
        low, high = outlier_limits(heavy)
        assert ((heavy < low) | (heavy > high)).sum() <= 4
        low, high = outlier_limits(np.r_[normal, -12 + 0.5 * rng.standard_normal(8)])
        assert low > -12
        assert (normal < low).sum() <= 2
        assert (normal > high).sum() <= 1
    assert cut <= 10  # of 40,000


def test_a_second_population_needs_a_gap():
    """Continuous losses of all widths: none of 200 is called a second population."""
    rng = np.random.default_rng(10)
    for _ in range(200):
        n = int(rng.integers(50, 8000))
        rate = np.exp(rng.uniform(-3, 3) + rng.uniform(0.3, 3.0) * rng.standard_normal(n))
        q = np.exp(-rate) + 0.02 * rng.standard_normal(n)
        assert find_gap(q) is None
    for share in (0.03, 0.1, 0.49, 0.8):
        kept = rng.random(4000) >= share
        q = np.where(kept, 0.9 + 0.1 * rng.standard_normal(4000), 0.1 * rng.random(4000))
        below = find_gap(q)
        np.testing.assert_array_equal(q >= below, kept)


def test_the_place_of_changed_cells():
    seen = np.ones((64, 64), dtype=bool)
    lines, corner, all_over = np.zeros((3, 64, 64), dtype=bool)
    lines[[3, 4, 5, 20]] = True
    corner[40:60, :25] = True
    all_over[::3, ::3] = True
    assert place(lines, seen) == "in rows 3–5, 20"
    assert place(corner, seen).startswith("in rows 40–59 and columns 0–2")
    assert place(all_over, seen) == "spread over the array"
