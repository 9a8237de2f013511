"""Differences are tested with the uncertainties of both cards and Holm's correction."""

import math

import pytest
from scipy import stats

from rramfit.card import Quantity
from rramfit.card.comparison import ParameterDifference, compare_cards
from rramfit.card.quality import Provenance, Quality
from rramfit.card.schema import ArrayInfo, Domain, LevelCard, ModelCard


def card(*means: float, unit: str = "S") -> ModelCard:
    return ModelCard(
        name="test",
        digest="sha256:" + "0" * 64,
        array=ArrayInfo(id="a", rows=4, cols=4, cell="1T1R"),
        levels=[
            LevelCard(
                index=k,
                name=f"L{k}",
                n_cells=9,
                n_observations=9,
                mean=Quantity.estimated(mean, 3.0, unit),
            )
            for k, mean in enumerate(means)
        ],
        domain=Domain(rows=4, cols=4),
        quality=Quality(verdict="ok", summary=""),
        provenance=Provenance(inputs=[], rramfit_version="0", seed=0, time="", time_source=""),
    )


def test_z_is_in_units_of_the_joint_error():
    (d,) = compare_cards(card(100.0), card(106.0)).differences
    assert d.path == "levels[0].mean"
    assert d.z == pytest.approx(-6 / math.hypot(3, 3))
    assert d.p_value == pytest.approx(2 * stats.norm.sf(6 / math.hypot(3, 3)))


def test_given_numbers_have_z_of_zero_or_infinity():
    same = ParameterDifference("x", Quantity.given(1, "S"), Quantity.given(1, "S"))
    other = ParameterDifference("x", Quantity.given(1, "S"), Quantity.given(2, "S"))
    assert (same.z, same.p_value) == (0, 1)
    assert (other.z, other.p_value) == (-math.inf, 0)


def test_holm_correction_is_stricter_for_more_parameters():
    shift = 2.2 * math.hypot(3, 3)  # p = 0.028: below 0.05, above 0.05/2
    assert len(compare_cards(card(0.0), card(shift)).significant) == 1
    assert not compare_cards(card(0.0, 0.0), card(shift, 0.0)).significant


def test_parameters_of_only_one_card_are_listed():
    result = compare_cards(card(1.0, 2.0), card(1.0))
    assert result.only_first == ("levels[1].mean",)
    assert result.max_z == 0
    assert not compare_cards(card(1.0), card(1.0, unit="uS")).differences


def test_frame_has_a_row_for_each_parameter():
    frame = compare_cards(card(1.0, 2.0), card(1.0, 2.5)).to_frame()
    assert list(frame.index) == ["levels[0].mean", "levels[1].mean"]
    assert frame.loc["levels[1].mean", "second"] == 2.5
