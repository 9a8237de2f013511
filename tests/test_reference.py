"""The published card and report can be reproduced from the committed measurement."""

import numpy as np
import pytest

from rramfit import characterize, load_card
from rramfit.card import Fault, load_cells, quantities
from rramfit.card.uncertainty.comparison import compare_cards
from rramfit.provenance import sha256_of


@pytest.fixture(scope="module")
def refit(repo):
    return characterize(repo / "data" / "reference.h5")


@pytest.fixture(scope="module")
def published(repo):
    return load_card(repo / "fits" / "reference-1.0.0.card.json")


def test_the_card_is_reproduced_from_the_data(refit, published):
    """Within 1e-3 standard errors: processors differ in rounding."""
    result = compare_cards(published, refit.card)
    assert not result.only_first
    assert not result.only_second
    for d in result.differences:
        allowed = 1e-3 * (d.first.stderr or 0.0) + 1e-9 * abs(d.first.value)
        assert abs(d.first.value - d.second.value) <= allowed, d.path


def test_verdicts_and_families_are_reproduced(refit, published):
    assert refit.card.quality.verdict == published.quality.verdict
    assert {k: v.verdict for k, v in refit.card.quality.fits.items()} == {
        k: v.verdict for k, v in published.quality.fits.items()
    }
    assert [x.distribution.family for x in refit.card.levels] == [
        x.distribution.family for x in published.levels
    ]


def test_the_sidecar_belongs_to_the_card(repo, refit, published):
    path = repo / "fits" / published.cells.file
    assert sha256_of(path) == published.cells.sha256
    assert (load_cells(path).fault == refit.cells.fault).all()


def test_stuck_cells_have_the_median_conductance_of_the_card(refit):
    cells, stuck = refit.cells, refit.card.stuck
    kinds = {Fault.STUCK_LOW: stuck.low_conductance, Fault.STUCK_HIGH: stuck.high_conductance}
    assert (np.isfinite(cells.stuck_conductance) == np.isin(cells.fault, list(kinds))).all()
    for kind, median in kinds.items():
        found = cells.stuck_conductance[cells.fault == kind]
        assert np.median(found) == pytest.approx(median.value, rel=1e-6)


def test_the_card_refers_to_the_committed_measurement(repo, published):
    (source,) = published.provenance.inputs
    assert source.sha256 == sha256_of(repo / "data" / source.name)
    assert published.array.synthetic


def test_the_report_shows_this_card(repo, published):
    text = (repo / "reports" / "reference.report.html").read_text(encoding="utf-8")
    assert published.digest in text
    assert (repo / "reports" / "reference.report.png").stat().st_size > 10_000


def test_estimates_agree_with_the_truth_within_their_errors(refit):
    """Few of the 95 % intervals miss the true value, and none by more than 4 standard errors."""
    truth = dict(refit.measurement.truth)
    for path in (
        "iv.nonlinearity",
        "read_noise.coefficient",
    ):  # the truth refers to another conductance
        del truth[path]
    checked = {
        path: (q.value - truth[path]) / q.stderr
        for path, q in quantities(refit.card)
        if q.stderr and isinstance(truth.get(path), float)
    }
    assert len(checked) > 40
    far = {path: z for path, z in checked.items() if abs(z) > 4}
    assert not far
    assert sum(abs(z) > 2 for z in checked.values()) <= 0.15 * len(checked)
