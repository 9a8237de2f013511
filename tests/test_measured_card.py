"""The published card from measured arrays can be reproduced from the measurements."""

import importlib

import pytest

from rramfit import load_card
from rramfit.card import take_levels
from rramfit.card.uncertainty.comparison import compare_cards


@pytest.fixture(scope="module")
def refit(repo, shared):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(repo / "tests" / "studies")
        patch.setenv("RRAMFIT_SHARED", str(shared))
        study = importlib.import_module("measured_card")
        tile = take_levels(study.fitted("C10_tile0"), [0], name="C10-tile0")
        card = study.measured_card(study.fitted("techC_relaxation"), tile)
        yield {"C10-tile0": tile, "measured": card}


@pytest.mark.parametrize("name", ["C10-tile0", "measured"])
def test_the_card_is_reproduced_from_the_data(repo, refit, name):
    """Within 1e-3 standard errors: processors differ in rounding."""
    published = load_card(repo / "fits" / f"{name}-1.0.0.card.json")
    assert published.provenance.inputs == refit[name].provenance.inputs
    assert published.quality == refit[name].quality
    result = compare_cards(published, refit[name])
    assert not result.only_first
    assert not result.only_second
    for d in result.differences:
        allowed = 1e-3 * (d.first.stderr or 0.0) + 1e-9 * abs(d.first.value)
        assert abs(d.first.value - d.second.value) <= allowed, d.path
