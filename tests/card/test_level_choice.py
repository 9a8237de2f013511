"""Selection of levels of a card."""

import pytest

from rramfit.array import DeviceModel
from rramfit.card import ModelCard, Quantity, card_problems, save_card, seal, take_levels
from rramfit.card.schema import DriftCard, RetentionCard
from rramfit.errors import RramfitError
from rramfit.measurement.virtual.cards import virtual_card

MEAN = (1e-5, 2e-5, 4e-5, 7e-5, 1e-4)


def five() -> ModelCard:
    card = virtual_card(
        "five", mean=MEAN, spread=[0.05, 0.06, 0.07, 0.08, 0.09], hard=[0, 0.01, 0.02, 0.03, 0.04]
    )
    n = len(MEAN)
    drift = [DriftCard(level=k, drift=Quantity.given(-1e-8 * k, "S")) for k in range(n)]
    time = Quantity.given(1.0, "s")
    return seal(
        card.model_copy(
            update={
                "variation_correlation": [
                    [1.0 if j == k else 0.1 + 0.01 * abs(j - k) for k in range(n)] for j in range(n)
                ],
                "retention": RetentionCard(reference_time=time, longest_time=time, levels=drift),
                "bits_per_cell": Quantity.given(2.0, "bit"),
                "levels": [
                    level.model_copy(update={"overlap": Quantity.given(0.01, "1")})
                    for level in card.levels
                ],
            }
        )
    )


def test_selected_levels_keep_their_parameters(tmp_path):
    card = five()
    few = take_levels(card, (1, 4), name="two")
    save_card(few, tmp_path / "two.card.json")
    assert card_problems(tmp_path / "two.card.json") == []
    for k, old in enumerate((1, 4)):
        assert few.levels[k].index == k
        assert few.levels[k].name == card.levels[old].name
        assert few.levels[k].distribution == card.levels[old].distribution
        assert few.levels[k].overlap is None
        for part in ("variation", "failure"):
            selected, original = getattr(few, part)[k], getattr(card, part)[old]
            assert selected == original.model_copy(update={"level": k})
        assert few.retention.levels[k].level == k
        assert few.retention.levels[k].drift == card.retention.levels[old].drift
    assert few.variation_correlation == [[1.0, 0.13], [0.13, 1.0]]
    assert few.bits_per_cell is None
    assert [q.value for q in few.domain.conductance] == [MEAN[1], MEAN[4]]
    assert few.provenance.arguments["taken_from"] == card.digest
    assert len(card.levels) == 5  # the original card is unchanged


def test_the_device_model_has_the_selected_levels():
    card = five()
    full, few = (DeviceModel.from_card(c) for c in (card, take_levels(card, (0, 2, 4))))
    assert few.mean.tolist() == full.mean[[0, 2, 4]].tolist()
    assert few.between.tolist() == pytest.approx(full.between[[0, 2, 4]].tolist())
    assert few.faults.hard.tolist() == full.faults.hard[[0, 2, 4]].tolist()
    assert few.ageing.drift.tolist() == full.ageing.drift[[0, 2, 4]].tolist()


def test_correlations_of_lines_are_those_of_the_selected_levels():
    matrix = [[1.0 if j == k else 0.1 * j + 0.1 * k for k in range(5)] for j in range(5)]
    card = seal(five().model_copy(update={"line_correlation": matrix}))
    expected = [[1.0, pytest.approx(0.5)], [pytest.approx(0.5), 1.0]]
    assert take_levels(card, (1, 4)).line_correlation == expected


@pytest.mark.parametrize("levels", [(), (2, 1), (1, 1), (0, 5)])
def test_unordered_or_missing_levels_raise_an_error(levels):
    with pytest.raises(RramfitError, match=r"expected increasing indices|no level 5"):
        take_levels(five(), levels)
