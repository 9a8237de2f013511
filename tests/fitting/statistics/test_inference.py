"""Clustered errors and the smooth field against exact covariances and simulated arrays."""

import numpy as np
import pytest
from scipy import fft, stats

from rramfit.fitting.statistics.inference import clustered_covariance, normal_scores
from rramfit.fitting.statistics.over_array.kernels import KERNELS, correlation
from rramfit.fitting.statistics.over_array.ordinates import expected_ordinates
from rramfit.fitting.statistics.over_array.smooth_field import fit_smooth_field, plane
from rramfit.streams import stream


def line_correlation(n, length):
    d = np.subtract.outer(np.arange(n), np.arange(n))
    return np.exp(-((d / length) ** 2))


def fields(rng, count, shape, length, share):
    """Draw fields of variance 1 with a smooth share, exactly, by the covariance's matrix root."""
    roots = []
    for n in shape:
        w, u = np.linalg.eigh(line_correlation(n, length))
        roots.append(u * np.sqrt(np.maximum(w, 0)))
    smooth = roots[0] @ rng.standard_normal((count, *shape)) @ roots[1].T
    white = rng.standard_normal((count, *shape))
    return np.sqrt(share) * smooth + np.sqrt(1 - share) * white


def mean_and_variance(x):
    """Return mean and variance, and the influence of each cell on them."""
    n = np.isfinite(x).sum()
    d = x - np.nanmean(x)
    variance = float(np.nansum(d**2) / n)
    return np.nanmean(x), variance, np.stack([d / n, (d**2 - variance) / n])


def test_independent_cells_give_the_clustered_covariance():
    x = stream(1, "white").standard_normal((24, 30))
    _, _, psi = mean_and_variance(x)
    c = clustered_covariance(psi, spatial=False)
    flat = psi.reshape(2, -1)
    np.testing.assert_allclose(c.covariance, flat @ flat.T, rtol=1e-12)
    np.testing.assert_array_equal(c.inflation, 1)
    assert c.df[0] == pytest.approx(720, rel=0.2)  # 2n/(kurtosis − 1), kurtosis 3 ± 0.2
    assert 25 < c.df[1] < 350  # squares have kurtosis 15


@pytest.mark.parametrize("kernel", KERNELS)
def test_expected_ordinates_are_exact(kernel):
    shape, length = (9, 7), 3.7
    at = np.argwhere(np.ones(shape))
    distance = np.hypot(*(at[:, None] - at[None]).transpose(2, 0, 1))
    k = correlation(kernel, distance / length)
    d = np.kron(*(fft.dct(np.eye(n), type=2, norm="ortho", axis=0) for n in shape))
    exact = np.diag(d @ k @ d.T).reshape(shape)
    np.testing.assert_allclose(
        expected_ordinates(shape, kernel, length), exact, rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_falls_to_1_over_e_at_its_length(kernel):
    found = correlation(kernel, np.array([0.0, 1.0]))
    np.testing.assert_allclose(found, [1.0, np.exp(-1)], rtol=1e-12)


def test_pair_sums_are_the_double_sum():
    rng = stream(2, "pairs")
    x = rng.standard_normal((9, 12))
    x[rng.random(x.shape) < 0.3] = np.nan
    field = fit_smooth_field(x)
    at = np.argwhere(np.isfinite(x))
    distance = np.sqrt(((at[:, None] - at[None]) ** 2).sum(axis=2))
    for power, i in ((1, 5), (3, 200)):
        kernel = KERNELS[field.kernel[i]]
        exact = (correlation(kernel, distance / field.length[i]) ** power).sum() - len(at)
        weights = np.isfinite(x).astype(float)
        assert field.pair_sums(power, weights=weights)[i] == pytest.approx(exact, rel=1e-9)
        assert field.pair_sums(power)[i] == pytest.approx(min(field.limit[i], exact), rel=1e-9)


def test_quantiles_of_a_very_significant_field():
    """The log-likelihood exceeds that of no field by thousands, and is raised to a power."""
    x = fields(stream(4, "sure"), 1, (128, 128), 8.0, 0.9)[0]
    field = fit_smooth_field(x)
    assert field.gain > 4000
    low, middle, high = field.quantiles(field.share, (0.025, 0.5, 0.975), caution=0.8)
    wide = high - low
    assert low < middle < high
    low, plain, high = field.quantiles(field.share, (0.025, 0.5, 0.975))
    assert 1.0 < wide / (high - low) < 1.25  # 1/sqrt(0.8) = 1.118 for a normal posterior
    assert middle == pytest.approx(plain, abs=high - low)


def test_plane_is_removed_with_missing_cells():
    r, c = np.mgrid[:10, :14]
    x = 3.0 + 0.2 * (r - 4.5) - 0.1 * (c - 6.5)
    x[2:5, 3:9] = np.nan
    residual, coefficients, observed = plane(x)
    np.testing.assert_allclose(coefficients, [3.0, 0.2, -0.1], atol=1e-12)
    assert np.abs(residual).max() < 1e-12
    assert observed.sum() == 140 - 18


def test_normal_scores_do_not_depend_on_the_scale_of_values():
    x = stream(3, "scores").standard_normal((20, 20))
    x[0, 0] = np.nan
    z = normal_scores(x)
    np.testing.assert_allclose(z, normal_scores(1e-6 * x), atol=1e-12)
    assert np.isnan(z[0, 0])
    assert np.nanvar(z) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(("length", "share"), [(1.0, 0.0), (3.0, 0.5), (6.0, 0.2)])
@pytest.mark.parametrize("driven", [True, False])
def test_standard_errors_match_simulation(length, share, driven):
    """Over 120 arrays of 40 × 40 cells, z of the mean has variance 1 within 4 standard errors."""
    n = 120
    z = []
    for x in fields(stream(4, "arrays"), n, (40, 40), length, share):
        m, _, psi = mean_and_variance(x)
        c = clustered_covariance(psi[:1], driver=x if driven else None)
        z.append(stats.norm.ppf(np.clip(stats.t.cdf(m / c.stderr[0], c.df[0]), 1e-6, 1 - 1e-6)))
    assert np.mean(np.square(z)) == pytest.approx(1, abs=4 * np.sqrt(2 / n))


def test_variance_intervals_have_coverage_under_a_smooth_field():
    n, hits = 120, 0
    for x in fields(stream(5, "arrays"), n, (40, 40), 4.0, 0.5):
        _, v, psi = mean_and_variance(x)
        c = clustered_covariance(psi, driver=x)
        estimate = v + c.covariance[0, 0]
        hits += abs(np.log(estimate)) < stats.t.ppf(0.975, c.df[1]) * c.stderr[1] / estimate
    assert hits >= n * 0.95 - 4 * np.sqrt(n * 0.95 * 0.05)


def test_scattered_cells_show_the_same_field():
    """512 of 4,096 cells, as for one of eight levels, still show a strong field."""
    rng = stream(6, "thin")
    inflation = []
    for x in fields(rng, 30, (64, 64), 8.0, 0.7):
        x[rng.random(x.shape) > 1 / 8] = np.nan
        _, _, psi = mean_and_variance(x)
        inflation.append(clustered_covariance(psi, driver=x).inflation[0])
    k = line_correlation(64, 8.0).sum() ** 2
    expected = 1 + 0.7 * (k / 64**2 - 1) / 8
    assert np.median(inflation) == pytest.approx(expected, rel=0.25)


def test_few_clustered_events_have_few_degrees_of_freedom():
    x = np.zeros((64, 64))
    x.flat[stream(7, "events").choice(4096, 6, replace=False)] = 1
    p = x.mean()
    c = clustered_covariance((x - p)[None] / x.size)
    assert c.df[0] < 20
    assert c.stderr[0] == pytest.approx(np.sqrt(p * (1 - p) / x.size), rel=0.3)


def test_small_or_constant_arrays_are_treated_as_independent():
    tiny = stream(8, "tiny").standard_normal((4, 5))
    _, _, psi = mean_and_variance(tiny)
    np.testing.assert_array_equal(clustered_covariance(psi).inflation, 1)
    assert fit_smooth_field(np.ones((20, 20))) is None
    assert clustered_covariance(np.zeros((1, 20, 20))).covariance[0, 0] == 0
