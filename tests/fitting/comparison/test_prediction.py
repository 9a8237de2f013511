"""Reference: chips synthesized from the same card, and from another card."""

import numpy as np
import pytest

from rramfit.card import Quantity
from rramfit.errors import FitError
from rramfit.fitting.characterization import characterize
from rramfit.fitting.checks.heldout import P_LIMIT
from rramfit.fitting.comparison.level_prediction import predict_levels
from rramfit.fitting.comparison.prediction import predict_other
from rramfit.fitting.screening.accumulate import accumulate
from rramfit.measurement import synthesize
from rramfit.measurement.virtual.cards import random_card

ARRAY = (32, 32)


@pytest.fixture(scope="module")
def truth():
    return random_card(11, levels=2, array=ARRAY)


@pytest.fixture(scope="module")
def chips(truth):
    return [characterize(synthesize(truth, sweeps=6, seed=seed)) for seed in (1, 2)]


def moved(card, by):
    """Return the card with all distributions shifted up by `by` standard deviations."""
    levels = []
    for level in card.levels:
        shift = by * level.std.value
        distribution = level.distribution
        parameters = dict(distribution.parameters)
        name = {"normal": "loc", "student_t": "loc", "skew_normal": "loc", "johnson_su": "xi"}
        if distribution.family in name:
            key = name[distribution.family]
            parameters[key] = Quantity.given(parameters[key].value + shift, "S")
        elif distribution.family == "lognormal":
            factor = np.log1p(shift / level.mean.value)
            parameters["mu"] = Quantity.given(parameters["mu"].value + factor, "ln S")
        else:
            pytest.fail(f"no shift is defined for {distribution.family}")
        levels.append(
            level.model_copy(
                update={"distribution": distribution.model_copy(update={"parameters": parameters})}
            )
        )
    return card.model_copy(update={"levels": levels})


def test_the_true_distribution_predicts_its_chip(truth):
    """No level of 8 chips with 2 levels each is rejected at 0.5 %, and p-values vary."""
    p = []
    for seed in range(8):
        program = synthesize(truth, sweeps=6, seed=seed).program
        statistics = accumulate(program, 2)
        healthy = np.ones(ARRAY, dtype=bool)
        found = predict_levels(truth, statistics, healthy, seed=0)
        assert [v.index for v in found] == [0, 1]
        assert not any(v.fails for v in found)
        p += [v.p_value for v in found]
        assert all(v.coverage[0] < v.coverage[1] < v.coverage[2] for v in found)
    assert min(p) > P_LIMIT
    assert min(p) < 0.6  # 0.4¹⁶ = 4e-7 by chance


def test_a_shifted_distribution_does_not_predict(truth):
    program = synthesize(truth, sweeps=6, seed=1).program
    healthy = np.ones(ARRAY, dtype=bool)
    found = predict_levels(moved(truth, 1.5), accumulate(program, 2), healthy, seed=0)
    assert all(v.fails for v in found)
    assert all(v.coverage[1] < 0.8 for v in found)


def test_a_card_predicts_a_chip_of_the_same_population(chips):
    check = predict_other(chips[0].card, chips[1])
    assert check.predicts, check.summary()
    assert len(check.parameters) > 15
    assert check.to_dict()["predicts"] is True
    assert "predicts" in check.summary()
    assert "predicted by the card" in check.plot().get_xlabel()
    again = predict_other(chips[0].card, chips[1])
    assert again.to_dict() == check.to_dict()


def test_a_card_does_not_predict_a_shifted_chip(truth, chips):
    card = chips[0].card
    mean = card.levels[0].mean
    far = Quantity.estimated(mean.value + 40 * mean.stderr, mean.stderr, "S")
    level = card.levels[0].model_copy(update={"mean": far})
    wrong = card.model_copy(update={"levels": [level, card.levels[1]]})
    check = predict_other(wrong, chips[1])
    assert not check.predicts
    assert check.different[0].path == "levels[0].mean"
    assert "levels[0].mean" in check.verdict.findings[-1].what


def test_different_levels_are_not_compared(chips):
    other = random_card(12, levels=3, array=ARRAY)
    check = predict_other(other, chips[0])
    assert not check.predicts
    assert "The levels differ" in check.verdict.findings[0].what
    assert check.parameters == ()


def test_a_chip_with_nothing_in_common_is_rejected(truth, chips):
    nothing = truth.model_copy(
        update={
            "levels": [],
            "variation": [],
            "variation_correlation": None,
            "failure": [],
            "stuck": None,
            "bits_per_cell": None,
            "read_noise": None,
            "line": None,
            "iv": None,
            "retention": None,
            "readout": None,
        }
    )
    with pytest.raises(FitError, match="no estimated parameter"):
        predict_other(nothing, chips[0])
