"""Lots: variation of parameters over chips, outliers, and the report."""

import re

import numpy as np
import pytest

from rramfit.card import Quantity, seal
from rramfit.card.schema import Distribution
from rramfit.errors import InputError
from rramfit.measurement.virtual.cards import random_card
from rramfit.reporting.lot import characterize_files, write_lot
from rramfit.reporting.lot_outcomes import Outcome, lot_frame, shared_quantities, spread_frame
from rramfit.reporting.lot_report import lot_report

CARD = random_card(3, levels=2, array=(16, 16))
PLACE = "levels[0].mean"


def outcome(tmp_path, name, mean, stderr=0.1e-6, distribution=None):
    """Return a chip whose card has this mean and this distribution of level 0."""
    level = CARD.levels[0].model_copy(
        update={
            "mean": Quantity.estimated(mean, stderr, "S"),
            "distribution": distribution,
        }
    )
    card = seal(CARD.model_copy(update={"name": name, "levels": [level, *CARD.levels[1:]]}))
    return Outcome(tmp_path / f"{name}.h5", name, card, None, None)


@pytest.fixture
def lot(tmp_path):
    """Return eight chips near 40 uS, the sixth at 46 uS, and a rejected file."""
    means = 40e-6 + 1e-6 * np.array([-0.8, 0.3, 0.9, -0.2, 0.5, 6.0, -0.6, 0.1])
    found = [outcome(tmp_path, f"die{i}", mean) for i, mean in enumerate(means)]
    refused = Outcome(tmp_path / "broken.h5", "broken", None, None, "broken.h5: no HDF5")
    return means, [*found[:3], refused, *found[3:]]


def test_spread_between_chips_excludes_the_standard_errors(lot):
    means, outcomes = lot
    row = spread_frame(outcomes).loc[PLACE]
    assert row["chips"] == 8
    assert row["median"] == pytest.approx(np.median(means), rel=1e-12)
    assert row["std"] == pytest.approx(np.std(means, ddof=1), rel=1e-12)
    assert row["within"] == pytest.approx(0.1e-6, rel=1e-12)
    assert row["between"] == pytest.approx(np.sqrt(np.var(means, ddof=1) - 1e-14), rel=1e-12)


def test_only_the_outlier_is_named(lot):
    _, outcomes = lot
    assert spread_frame(outcomes).loc[PLACE, "outliers"] == "die5"
    page = lot_report(outcomes).to_html()
    assert re.search(r"Outliers in \d+ parameters: die5 in 1\.", page)
    assert "no HDF5" in page


def test_a_difference_within_the_standard_errors_is_not_an_outlier(tmp_path):
    means = [40e-6] * 5 + [42e-6]
    outcomes = [outcome(tmp_path, f"die{i}", m, stderr=1e-6) for i, m in enumerate(means)]
    row = spread_frame(outcomes).loc[PLACE]
    assert row["outliers"] == ""
    assert row["between"] == 0.0


def test_distributions_are_compared_within_their_family(tmp_path):
    def distribution(family, **parameters):
        return Distribution(
            family=family,
            parameters={k: Quantity.estimated(v, 0.01 * v, "S") for k, v in parameters.items()},
            alternatives=[],
        )

    distributions = [
        distribution("gamma", shape=50.0, scale=1e-6),
        distribution("gamma", shape=51.0, scale=1e-6),
        distribution("weibull", shape=2.0, scale=4e-5),
    ]
    outcomes = [
        outcome(tmp_path, f"die{i}", 40e-6, distribution=x) for i, x in enumerate(distributions)
    ]
    shared = shared_quantities(outcomes)
    place = "levels[0].distribution.parameters.shape"
    assert [name for name, _ in shared[f"{place} (gamma)"]] == ["die0", "die1"]
    assert f"{place} (weibull)" not in shared
    families = lot_frame(outcomes)["levels[0].distribution.family"]
    assert list(families) == ["gamma", "gamma", "weibull"]


def test_a_rejected_file_keeps_its_place_in_the_table(lot):
    _, outcomes = lot
    table = lot_frame(outcomes)
    assert list(table["name"]) == [o.name for o in outcomes]
    row = table.iloc[3]
    assert (row["verdict"], row["problem"]) == ("refused", "broken.h5: no HDF5")
    assert np.isnan(row[PLACE])


def test_the_report_is_complete_and_deterministic(lot, tmp_path):
    _, outcomes = lot
    for folder in ("a", "b"):
        write_lot(outcomes, tmp_path / folder)
    for name in ("lot.csv", "lot.html"):
        first, second = ((tmp_path / folder / name).read_bytes() for folder in ("a", "b"))
        assert first == second
    page = (tmp_path / "a/lot.html").read_text()
    assert page.count("<svg") >= 1
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_the_report_states_that_there_is_nothing_to_compare(lot):
    _, outcomes = lot
    assert "nothing to compare" in lot_report(outcomes[2:4]).to_html()


def test_one_name_for_two_files_is_an_error(tmp_path):
    with pytest.raises(InputError, match="mit the name"):
        characterize_files([tmp_path / "a.h5", tmp_path / "b.h5"], output=tmp_path, name="x")
