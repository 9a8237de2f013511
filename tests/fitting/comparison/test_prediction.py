"""Truth: chips synthesized from one card, and from another."""

import numpy as np
import pytest

from rramfit.card import Quantity
from rramfit.errors import FitError
from rramfit.fitting.characterization import characterize
from rramfit.fitting.checks.heldout import CHANCE
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
    """The same card with all its levels' distributions and means `by` standard deviations higher."""
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
            pytest.skip(f"no shift for {distribution.family}")
        levels.append(
            level.model_copy(
                update={"distribution": distribution.model_copy(update={"parameters": parameters})}
            )
        )
    return card.model_copy(update={"levels": levels})


def test_the_distribution_that_a_chip_was_made_from_predicts_it(truth):
    """Of 16 levels of 8 chips, none misses at the 0.5 % that a finding needs, and p spreads."""
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
    assert min(p) > CHANCE
    assert min(p) < 0.6  # 0.4¹⁶ = 4e-7 by chance


def test_a_distribution_off_by_a_standard_deviation_does_not(truth):
    program = synthesize(truth, sweeps=6, seed=1).program
    healthy = np.ones(ARRAY, dtype=bool)
    found = predict_levels(moved(truth, 1.5), accumulate(program, 2), healthy, seed=0)
    assert all(v.fails for v in found)
    assert all(v.coverage[1] < 0.8 for v in found)


def test_a_card_predicts_a_chip_of_its_kind(chips):
    check = predict_other(chips[0].card, chips[1])
    assert check.predicts, check.summary()
    assert len(check.parameters) > 15
    assert check.to_dict()["predicts"] is True
    assert "predicts" in check.summary()
    assert "by the card" in check.plot().get_xlabel()
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


def test_other_levels_are_not_compared(chips):
    other = random_card(12, levels=3, array=ARRAY)
    check = predict_other(other, chips[0])
    assert not check.predicts
    assert "levels are not the same" in check.verdict.findings[0].what
    assert check.parameters == ()


def test_nothing_in_common_is_refused(truth, chips):
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
