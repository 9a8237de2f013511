"""A chip whose groups hold failed and stuck cells, against its truth: the shared case."""

import json

import numpy as np
import pytest

from rramfit.fitting.characterization import characterize


@pytest.fixture(scope="module")
def chip(shared):
    folder = shared / "cases/chips"
    truth = json.loads((folder / "off-level-reads.truth.json").read_text())
    return characterize(folder / "off-level-reads.h5"), truth


def test_read_noise_of_every_level_holds_the_truth(chip):
    found, truth = chip
    for k, v in enumerate(found.card.variation):
        low, high = v.read.ci95
        assert low <= truth["read"][k] <= high, k
        assert v.read.value == pytest.approx(truth["read"][k], rel=0.06)
        q = found.read_noise.result.estimates[f"L{k} read"]
        assert q.value == pytest.approx(v.read.value, rel=1e-9)


def test_the_cells_off_their_level_are_counted(chip):
    found, truth = chip
    noise = found.card.read_noise
    findings = found.card.quality.fits["read_noise"].findings
    assert any("cells are not at their programmed level" in f for f in findings)
    # Failed cells of all levels, stuck ones included, less those that read like their level.
    expected = np.mean(truth["fail"]) * 64 * 64
    assert 0.7 * expected < noise.off_level.n_cells < 1.1 * expected
    assert noise.off_level.coefficient.ci95[0] > 0


def test_nonlinearity_holds_the_truth(chip):
    found, truth = chip
    low, high = found.card.iv.nonlinearity.ci95
    assert low <= truth["iv_b"] <= high


def test_drift_is_that_of_the_power_law(chip):
    """Conductance falls as t^-nu: over 5 decades, by nu·ln(t) of it to first order."""
    found, truth = chip
    fit, last = found.retention, np.log(found.retention.longest_time)
    for k, nu in enumerate(truth["nu"]):
        mean = np.expm1(-nu * last) * truth["mean"][k]
        assert fit.change_mean[k, -1] == pytest.approx(mean, rel=0.12)
