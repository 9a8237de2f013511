"""Line effects: found where they are, not where they are not, and counted in every error."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from rramfit.card.line_groups import line_groups
from rramfit.fitting.statistics.inference import Driver, clustered_covariance
from rramfit.fitting.statistics.over_array.lines import fit_lines

SHAPE = (64, 48)


def field(seed, *, row=0.0, col=0.0, fold=(), missing=0.03):
    """White cells of variance 1 with line effects of given standard deviations."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=SHAPE)
    x += row * rng.normal(size=(SHAPE[0], 1)) + col * rng.normal(size=SHAPE[1])
    for axis, period, size in fold:
        groups = line_groups(SHAPE, axis, period)
        x += size * rng.normal(size=groups.max() + 1)[groups]
    x[rng.random(SHAPE) < missing] = np.nan
    return x


def found(x):
    lines = fit_lines(x - np.nanmean(x))
    return {} if lines is None else {(e.axis, e.period): e for e in lines.effects}


def test_white_cells_have_no_lines():
    assert sum(bool(found(field(seed))) for seed in range(100)) <= 2


def test_heavy_tails_have_no_lines():
    rng = np.random.default_rng(0)
    assert sum(bool(found(rng.standard_t(3, SHAPE))) for _ in range(60)) <= 2


def test_rows_and_columns_are_found_with_their_size():
    e = found(field(1, row=0.5, col=0.8))
    assert set(e) == {("row", 1), ("col", 1)}
    assert e["row", 1].variance == pytest.approx(0.25, abs=4 * e["row", 1].stderr)
    assert e["col", 1].variance == pytest.approx(0.64, abs=4 * e["col", 1].stderr)


@pytest.mark.parametrize("period", [2, 3, 4, 8])
@pytest.mark.parametrize("axis", ["row", "col"])
def test_the_period_of_folded_lines_is_found(axis, period):
    e = found(field(2, fold=[(axis, period, 0.8)]))
    assert (axis, period) in e
    assert not {p for a, p in e if a == axis} - {1, period}
    assert e[axis, period].variance == pytest.approx(0.64, abs=4 * e[axis, period].stderr)


def test_predicted_offsets_are_those_drawn():
    rng = np.random.default_rng(5)
    offsets = rng.normal(size=SHAPE[1])
    x = rng.normal(size=SHAPE) + offsets
    effect = found(x)["col", 1]
    at = np.arange(SHAPE[1])
    beside = offsets - np.polyval(np.polyfit(at, offsets, 1), at)  # the plane is not a line's
    assert np.corrcoef(effect.effects[:, 0], beside)[0, 1] > 0.98


def test_a_checkerboard_is_no_line():
    x = field(6)
    x[np.indices(SHAPE).sum(axis=0) % 2 == 1] = np.nan
    assert not found(x)


def test_a_smooth_field_is_no_line(smooth):
    kept = [
        Driver.of(smooth(seed, shape=(64, 64), length=8.0, share=0.6)).lines for seed in range(20)
    ]
    assert sum(x is not None for x in kept) <= 2


@pytest.mark.parametrize("kind", [{"col": 0.7}, {"row": 0.7}, {"fold": [("col", 4, 1.0)]}])
def test_the_error_of_the_mean_is_that_of_repeated_arrays(kind):
    """64 arrays: the stated error of the mean against the scatter of means."""
    means, errors = [], []
    for seed in range(64):
        x = field(100 + seed, **kind)
        driver = Driver.of(x)
        psi = np.where(np.isfinite(x), x - np.nanmean(x), 0.0) / np.isfinite(x).sum()
        means.append(np.nanmean(x))
        errors.append(clustered_covariance(psi[None], driver=driver).stderr[0])
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(means), rel=0.35)


def test_the_power_of_lines_is_what_the_transform_shows():
    from scipy import fft

    kind = {"fold": [("col", 4, 1.0)], "col": 0.5}
    lines = fit_lines(field(0, missing=0.0, **kind))
    assert lines is not None
    seen = np.mean(
        [fft.dctn(field(s, missing=0.0, **kind), norm="ortho") ** 2 for s in range(200)], axis=0
    )
    expected = lines.residual * (1 + lines.spectrum(np.ones(lines.shape, dtype=bool)))
    # away from the mean and the trend, ordinates summed over columns: 47 of them, 200 draws
    ratio = seen[2:, 1:].sum(axis=1) / expected[2:, 1:].sum(axis=1)
    np.testing.assert_allclose(ratio, 1.0, atol=0.25)


def test_power_sums_are_those_of_the_covariance_of_pairs():
    rng = np.random.default_rng(3)
    shape = (8, 9)
    lines = fit_lines(field(1, col=0.8, row=0.6, fold=[("col", 4, 0.9)]))
    assert lines is not None
    assert {(e.axis, e.period) for e in lines.effects} == {("col", 4), ("col", 1), ("row", 1)}
    small = dataclasses.replace(lines, shape=shape)
    a = rng.random(shape) < 0.8
    covariance = np.zeros((a.size, a.size))
    for e in small.effects:
        group = e.groups(shape).ravel()
        covariance += e.variance * (group[:, None] == group)
    np.fill_diagonal(covariance, 0.0)
    pairs = covariance[np.ix_(a.ravel(), a.ravel())]
    for power in (1, 2, 3):
        exact = float((pairs**power).sum())
        assert small.power_sum(a.astype(float), power) == pytest.approx(exact, rel=1e-9)


def test_the_error_of_the_variance_has_coverage_under_folded_columns():
    """In 120 arrays the interval of the variance contains the truth as often as stated."""
    truth, hits, n = 1 + 0.5**2 + 1.0**2, 0, 120
    for seed in range(n):
        x = field(500 + seed, col=0.5, fold=[("col", 4, 1.0)], missing=0.0)
        d = x - x.mean()
        psi = np.stack([d, d**2 - np.mean(d**2)]) / x.size
        c = clustered_covariance(psi, driver=Driver.of(x))
        estimate = np.mean(d**2) + c.covariance[0, 0]
        bound = stats.t.ppf(0.975, c.df[1]) * c.stderr[1] / estimate
        hits += abs(np.log(estimate / truth)) < bound
    assert hits >= n * 0.95 - 3 * np.sqrt(n * 0.95 * 0.05)
