"""Line offsets of fitted levels: sizes, correlation between levels, and the offsets of cells."""

import numpy as np
import pytest

from rramfit.fitting.screening import accumulate
from rramfit.fitting.variation import fit_variation
from rramfit.measurement import program_in_memory

SHAPE = (48, 56)
SIZE = 1.5e-6
OWN, CYCLE = 2e-6, 1.5e-6


def chip(seed, *, correlation=0.8, sweeps=6, kind="col", period=4):
    """Two levels; folded lines share offsets that correlate between the levels."""
    rng = np.random.default_rng(seed)
    r, c = np.indices(SHAPE)
    line, other = (c, r) if kind == "col" else (r, c)
    groups = line * period + other % period
    root = np.linalg.cholesky([[1, correlation], [correlation, 1]])
    lines = SIZE * (root @ rng.normal(size=(2, groups.max() + 1)))
    offset = lines[:, groups]
    own = OWN * rng.normal(size=(2, *SHAPE))
    level = rng.integers(0, 2, (sweeps, *SHAPE))
    level[0] = np.where(rng.random(SHAPE) < 0.5, 0, 1)
    mean = np.array([20e-6, 80e-6])
    each = (mean[:, None, None] + offset + own)[level, r, c]
    y = each + CYCLE * rng.normal(size=each.shape)
    statistics = accumulate(program_in_memory(y, read_voltage=0.2, level=level), 2)
    fit = fit_variation(statistics, np.ones(SHAPE, bool), domains=["linear", "linear"])
    return fit, offset, own


@pytest.mark.parametrize(("kind", "period"), [("col", 4), ("row", 1), ("col", 1)])
def test_offsets_have_their_size_and_correlation(kind, period):
    z, r, whole = [], [], []
    of_cells = 0.8 * SIZE**2 / (SIZE**2 + OWN**2)  # what single cells have is independent
    for seed in range(6):
        fit, _, _ = chip(seed, kind=kind, period=period)
        whole.append((fit.correlation.matrix[0, 1] - of_cells) / fit.correlation.stderr[0, 1])
        for v in fit.levels:
            found = [x for x in v.offsets if (x.axis, x.period) == (kind, period)]
            assert len(found) == 1
            z.append((found[0].std.value - SIZE) / found[0].std.stderr)
        r.append(fit.line_correlation[0, 1])
    assert np.mean(np.square(z)) < 1 + 4 * np.sqrt(2 / len(z))
    assert np.mean(np.square(whole)) < 1 + 4 * np.sqrt(2 / len(whole))
    # 48 groups or more a chip: standard error below 0.36/√48 = 0.052
    assert np.mean(r) == pytest.approx(0.8, abs=4 * 0.052 / np.sqrt(6) + 0.02)


def test_each_level_in_a_sweep_of_its_own_cells_still_shows_the_correlation():
    fit, _, _ = chip(3, sweeps=1)
    assert fit.line_correlation[0, 1] == pytest.approx(0.8, abs=0.15)


def test_cell_offsets_include_those_of_their_line():
    fit, offset, own = chip(1)
    error = fit.offsets - (offset + own)
    # the posterior of a cell with three readings, if its line were known; some have fewer
    known = 1 / np.sqrt(1 / OWN**2 + 3 / CYCLE**2)
    assert np.sqrt(np.nanmean(error**2)) < 1.2 * known
    assert np.corrcoef(fit.line_offsets()[1].ravel(), offset[1].ravel())[0, 1] > 0.9


def test_lines_go_to_the_card():
    fit, _, _ = chip(2)
    for v in fit.to_card():
        assert ("col", 4) in {(x.axis, x.period) for x in v.lines}
    matrix = fit.line_correlation_to_card()
    assert matrix[0][0] == 1.0
    assert 0.5 < matrix[0][1] < 1.0
