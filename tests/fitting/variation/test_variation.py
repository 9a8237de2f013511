"""Variance components, fields and correlations against the values chips were drawn with."""

import math

import numpy as np
import pytest

from rramfit.errors import FitError
from rramfit.fitting.screening.accumulate import accumulate
from rramfit.fitting.screening.screening import screen
from rramfit.fitting.statistics.read_spread import read_spread
from rramfit.fitting.variation.correlation import nearest_correlation
from rramfit.fitting.variation.variation import fit_variation
from rramfit.measurement.file.in_memory import program_in_memory, reads_in_memory
from rramfit.measurement.file.read import read_measurement
from rramfit.streams import stream

ROWS, COLS = 48, 40
MEAN = np.array([30e-6, 80e-6])
SIGMA_B, SIGMA_W = np.array([0.08, 0.05]), np.array([0.06, 0.07])
R = 0.6


def smooth(rng, length):
    roots = []
    for n in (ROWS, COLS):
        d = np.subtract.outer(np.arange(n), np.arange(n))
        w, u = np.linalg.eigh(np.exp(-((d / length) ** 2)))
        roots.append(u * np.sqrt(np.maximum(w, 0)))
    return roots[0] @ rng.standard_normal((2, ROWS, COLS)) @ roots[1].T


def chip(seed, *, sweeps=4, share=0.0, length=5.0, log=0.0, trend=0.0, read=0.0, missing=0.0):
    """Draw both levels in turn, `sweeps` times each; relative spreads, offsets correlated by R.

    With `log`, the levels are lognormal with `log` times the spread.
    """
    rng = stream(seed, "chip")
    b = rng.standard_normal((2, ROWS, COLS))
    if share:
        b = math.sqrt(share) * smooth(rng, length) + math.sqrt(1 - share) * b
    b[1] = R * b[0] + math.sqrt(1 - R**2) * b[1]
    rows = trend * (np.arange(ROWS) - (ROWS - 1) / 2)[:, None]
    y, level = [], []
    for k in np.tile([0, 1], sweeps):
        w = rng.standard_normal((ROWS, COLS))
        relative = SIGMA_B[k] * b[k] + SIGMA_W[k] * w
        state = MEAN[k] * (np.exp(log * relative) if log else 1 + relative + rows)
        y.append(state + read * MEAN[k] * rng.standard_normal((ROWS, COLS)))
        level.append(k)
    y = np.array(y)
    y[rng.random(y.shape) < missing] = np.nan
    level = np.broadcast_to(np.array(level)[:, None, None], y.shape)
    return accumulate(program_in_memory(y, read_voltage=0.2, level=level), 2), b


def all_cells():
    return np.ones((ROWS, COLS), bool)


def assert_agrees(quantity, truth, errors=4.0):
    assert quantity.value == pytest.approx(truth, abs=errors * quantity.stderr)


def test_linear_components_are_recovered_from_unbalanced_data():
    statistics, _ = chip(1, sweeps=5, missing=0.3)
    fit = fit_variation(statistics, all_cells(), domains=["linear", "linear"])
    for k in range(2):
        v = fit.levels[k]
        assert_agrees(v.d2d, SIGMA_B[k] * MEAN[k])
        assert_agrees(v.c2c, SIGMA_W[k] * MEAN[k])
        assert v.d2d.stderr < 0.05 * v.d2d.value
        assert v.c2c_includes_read
    assert fit.verdict.ok
    assert fit.correlation.matrix[0, 1] == pytest.approx(R, abs=4 * fit.correlation.stderr[0, 1])
    assert fit.correlation.stderr[0, 1] < 0.05


@pytest.mark.parametrize(("widened", "domain"), [(1.0, "linear"), (5.0, "log")])
def test_lognormal_components_are_reported_in_siemens(widened, domain):
    statistics, _ = chip(2, log=widened)
    fit = fit_variation(statistics, all_cells(), domains=["log", "log"])
    for k in range(2):
        b, w = (widened * SIGMA_B[k]) ** 2, (widened * SIGMA_W[k]) ** 2
        square = MEAN[k] ** 2 * math.exp(b + w)
        v = fit.levels[k]
        assert v.domain == domain
        assert_agrees(v.d2d, math.sqrt(square * math.expm1(b)))
        assert_agrees(v.c2c, math.sqrt(square * math.exp(b) * math.expm1(w)))
    latent = widened**2 * R * SIGMA_B.prod()
    expected = math.expm1(latent) / math.sqrt(np.prod(np.expm1((widened * SIGMA_B) ** 2)))
    error = fit.correlation.stderr[0, 1]
    assert fit.correlation.matrix[0, 1] == pytest.approx(expected, abs=4 * error)


def test_read_noise_is_subtracted_from_c2c():
    read = 0.05
    statistics, _ = chip(3, read=read)
    rng = stream(3, "reads")
    level = rng.integers(0, 2, (ROWS, COLS))
    state = MEAN[level] * (1 + 0.05 * rng.standard_normal((ROWS, COLS)))
    y = state + read * MEAN[level] * rng.standard_normal((20, ROWS, COLS))
    reads = reads_in_memory(y, time=np.arange(20.0), level=level)
    fit = fit_variation(statistics, all_cells(), domains=["linear", "linear"], reads=reads)
    for k, v in enumerate(fit.levels):
        assert_agrees(v.read, read * MEAN[k])
        assert_agrees(v.c2c, SIGMA_W[k] * MEAN[k])
        assert not v.c2c_includes_read
        assert not v.to_card().c2c_includes_read


def test_read_spread_is_the_variance_of_each_cell():
    rng = stream(4, "spread")
    y = 1e-5 + 1e-9 * rng.standard_normal((7, 3, 4))
    y[2:4, 0, 0] = np.nan
    s = read_spread(reads_in_memory(y, time=np.arange(7.0), level=np.zeros((3, 4), int)))
    np.testing.assert_allclose(s.m2, np.nanvar(y, axis=0) * s.count, rtol=1e-6)
    assert s.count[0, 0] == 5


def test_trend_and_smooth_field_are_separated():
    trend, share, length = 0.004, 0.6, 4.0
    statistics, _ = chip(5, share=share, length=length, trend=trend)
    fit = fit_variation(statistics, all_cells(), domains=["linear", "linear"])
    for k, v in enumerate(fit.levels):
        s = v.spatial
        assert_agrees(s.row_trend, trend * MEAN[k])
        assert_agrees(s.col_trend, 0.0)
        assert s.p_value == 1e-3  # none of 999 draws gains as much
        low, high = s.correlation_length.ci95
        assert low * 0.7 < length < high * 1.4
        total_variance = SIGMA_B[k] ** 2 + trend**2 * (ROWS**2 - 1) / 12
        assert_agrees(s.share, share * SIGMA_B[k] ** 2 / total_variance)
        assert_agrees(v.d2d, math.sqrt(total_variance) * MEAN[k])


def test_an_array_with_one_smooth_patch_is_reported():
    at = np.arange(48)
    root = np.linalg.cholesky(np.exp(-(((at[:, None] - at) / 16) ** 2)) + 1e-6 * np.eye(48))
    field = root @ stream(3, "patch").standard_normal((48, 48)) @ root.T
    y = 80e-6 + 4e-6 * (0.99 * field + 0.1 * stream(3, "w").standard_normal((48, 48)))
    statistics = accumulate(
        program_in_memory(y[None], read_voltage=0.2, level=np.zeros((1, 48, 48), int)), 1
    )
    fit = fit_variation(statistics, np.ones((48, 48), bool), domains=["linear"])
    assert fit.levels[0].effective_cells < 3
    assert fit.levels[0].spatial.has_field
    (what,) = [f.what for f in fit.verdict.findings if "smoothly" in f.what]
    assert "effective number of independent cells" in what


def test_few_independent_cells_by_line_offsets_are_not_called_smooth():
    rng = stream(4, "lines")
    y = 80e-6 + 8e-6 * rng.standard_normal((1, 8)) + 0.4e-6 * rng.standard_normal((64, 8))
    statistics = accumulate(
        program_in_memory(y[None], read_voltage=0.2, level=np.zeros((1, 64, 8), int)), 1
    )
    fit = fit_variation(statistics, np.ones((64, 8), bool), domains=["linear"])
    assert fit.levels[0].effective_cells < 10
    (what,) = [f.what for f in fit.verdict.findings if "independent cells" in f.what]
    assert what.startswith("the cells of one line have so much in common at level 0 that")


def test_verified_tiles_with_line_offsets_have_many_effective_cells(shared):
    """Four tiles of this chip have means within 0.06 uS of each other."""
    m = read_measurement(shared / "data/measured/h5/C10_tile1.h5")
    statistics = accumulate(m.program, 1)
    fit = fit_variation(statistics, screen(m, statistics).healthy, domains=["linear"])
    assert 200 < fit.levels[0].effective_cells < 1000
    kinds = {(e.axis, e.period) for e in fit.levels[0].driver.lines.effects}
    assert ("col", 4) in kinds


def test_white_noise_gives_no_significant_field():
    p = []
    for seed in range(20):
        statistics, _ = chip(100 + seed, sweeps=2)
        fit = fit_variation(statistics, all_cells(), domains=["linear", "linear"])
        p.append(fit.levels[0].spatial.p_value)
        assert fit.levels[0].spatial.share.ci95[0] == 0
    assert sum(x < 0.05 for x in p) <= 4  # binomial(20, 0.05): more with probability 0.003


def test_one_sweep_reports_that_components_cannot_be_separated():
    statistics, _ = chip(6, sweeps=1)
    fit = fit_variation(statistics, all_cells(), domains=["linear", "linear"])
    assert fit.levels[0].d2d is None
    assert fit.levels[0].c2c is None
    assert fit.levels[0].spatial.share is None
    assert_agrees(fit.levels[0].total, math.hypot(SIGMA_B[0], SIGMA_W[0]) * MEAN[0])
    assert "cannot be separated" in fit.verdict.findings[0].what
    assert fit.verdict.word == "warning"
    assert fit.correlation is None
    seen = statistics.mean[0] - statistics.mean[0].mean()
    np.testing.assert_allclose(fit.offsets[0], seen, atol=1e-12)


def test_offsets_are_more_accurate_than_cell_means():
    statistics, b = chip(7, sweeps=2)
    healthy = all_cells()
    healthy[3, 4] = False
    fit = fit_variation(statistics, healthy, domains=["linear", "linear"])
    assert np.isnan(fit.offsets[:, 3, 4]).all()
    for k in range(2):
        true = SIGMA_B[k] * MEAN[k] * b[k]
        raw = statistics.mean[k] - statistics.mean[k].mean()
        error = np.nanmean((fit.offsets[k] - true) ** 2)
        # posterior variance of two correlated levels is below that of one, βω/(nβ + ω)
        single = SIGMA_B[k] ** 2 * SIGMA_W[k] ** 2 / (2 * SIGMA_B[k] ** 2 + SIGMA_W[k] ** 2)
        assert error < single * MEAN[k] ** 2 * 1.05
        assert error < np.mean((raw - true) ** 2)


@pytest.mark.parametrize("missing", [0.0, 0.5])
def test_offsets_are_within_their_errors(missing):
    """Over cells, error over standard error has a mean square of 1, and 2/n as its variance."""
    statistics, b = chip(7, sweeps=6, missing=missing)
    fit = fit_variation(statistics, all_cells(), domains=["linear", "linear"])
    for k in range(2):
        error = fit.offsets[k] - SIGMA_B[k] * MEAN[k] * b[k]
        z = error - np.nanmean(error)  # the mean of the level has an error too
        square = np.nanmean((z / fit.offset_stderr[k]) ** 2)
        assert square == pytest.approx(1, abs=4 * math.sqrt(2 / np.isfinite(z).sum()) + 0.03)
    seen = statistics.count[0]
    if missing:  # fewer readings leave more unknown
        few, many = (np.nanmean(fit.offset_stderr[0][at]) for at in (seen <= 1, seen >= 3))
        assert few > 1.2 * many


def test_without_separate_components_offsets_have_no_error():
    statistics, _ = chip(6, sweeps=1)
    fit = fit_variation(statistics, all_cells(), domains=["linear", "linear"])
    assert np.isnan(fit.offset_stderr).all()


def test_a_level_never_programmed_is_predicted_from_the_others():
    statistics, b = chip(8, sweeps=8, missing=0.65)
    unseen = (statistics.count[1] == 0) & (statistics.count[0] > 1)
    assert unseen.sum() > 40
    fit = fit_variation(statistics, all_cells(), domains=["linear", "linear"])
    # R times the root of level 0's reliability, 0.5; its standard error over 40 cells is 0.12
    assert np.corrcoef(fit.offsets[1][unseen], b[1][unseen])[0, 1] > 0.1


def test_too_few_cells_are_a_finding_and_no_level_is_an_error():
    statistics, _ = chip(9)
    few = np.zeros((ROWS, COLS), bool)
    few[0, :5] = True
    with pytest.raises(FitError, match="no level has more than 5 accepted healthy cells"):
        fit_variation(statistics, few, domains=["linear", "linear"])
    few[1, :10] = True
    fit = fit_variation(statistics, few, domains=["linear", "linear"])
    assert fit.levels[0].n_cells == 15
    with pytest.raises(ValueError, match="1 domain for 2 levels"):
        fit_variation(statistics, few, domains=["linear"])


def test_readings_of_zero_are_fitted_in_the_linear_domain():
    rng = stream(10, "offset")
    y = 1e-7 * rng.standard_normal((4, 20, 20))
    statistics = accumulate(
        program_in_memory(y, read_voltage=0.2, level=np.zeros(y.shape, np.int64)), 1
    )
    fit = fit_variation(statistics, np.ones((20, 20), bool), domains=["log"])
    assert fit.levels[0].domain == "linear"


def test_interval_of_a_negligible_component_includes_zero():
    rng = stream(11, "nothing")
    y = 1e-5 + 1e-7 * rng.standard_normal((2, 20, 20))
    statistics = accumulate(
        program_in_memory(y, read_voltage=0.2, level=np.zeros(y.shape, np.int64)), 1
    )
    d2d = fit_variation(statistics, np.ones((20, 20), bool), domains=["linear"]).levels[0].d2d
    assert d2d.ci95[0] == 0
    assert 0 <= d2d.value <= d2d.ci95[1] < 1e-7


def test_result_renders_as_text_table_and_card():
    statistics, _ = chip(12)
    fit = fit_variation(statistics, all_cells(), domains=["linear", "linear"])
    cards = fit.to_card()
    assert [c.level for c in cards] == [0, 1]
    assert fit.correlation_to_card() == fit.correlation.matrix.tolist()
    frame = fit.to_frame()
    assert frame.loc["level 1 d2d", "value"] == cards[1].d2d.value
    assert frame.loc["correlation 0 1", "unit"] == "1"
    assert "level 0: d2d" in fit.summary()
    assert "<table" in fit._repr_html_()
    assert fit.plot().get_ylabel() == "standard deviation [uS]"
    again = fit_variation(statistics, all_cells(), domains=["linear", "linear"])
    assert again.summary() == fit.summary()


def test_correlations_are_made_positive_semidefinite():
    impossible = np.array([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1.0]])
    possible = nearest_correlation(impossible)
    assert np.linalg.eigvalsh(possible).min() > -1e-12
    np.testing.assert_array_equal(np.diagonal(possible), 1)
    fine = np.array([[1, 0.5], [0.5, 1.0]])
    np.testing.assert_array_equal(nearest_correlation(fine), fine)
