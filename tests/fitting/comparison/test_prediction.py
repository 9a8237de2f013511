"""Reference: chips synthesized from the same card, and from another card."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from rramfit.card import Quantity
from rramfit.card.schema import LineOffsets
from rramfit.card.uncertainty.comparison import MISSING_BETWEEN
from rramfit.errors import FitError
from rramfit.fitting.characterization import characterize
from rramfit.fitting.checks.heldout import P_LIMIT
from rramfit.fitting.comparison.level_prediction import predict_levels
from rramfit.fitting.comparison.prediction import predict_other
from rramfit.fitting.screening.accumulate import accumulate
from rramfit.measurement import synthesize
from rramfit.measurement.virtual.cards import random_card, virtual_card

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


def scaled_mean(card, factor, *, between=None):
    """Return the card with another mean of its first level, and its deviation between arrays."""
    mean = card.levels[0].mean
    moved = Quantity.estimated(mean.value * factor, mean.stderr, "S")
    moved = moved.model_copy(update={"between": between})
    level = card.levels[0].model_copy(update={"mean": moved})
    return card.model_copy(update={"levels": [level, *card.levels[1:]]})


def test_one_array_cannot_tell_whether_a_small_difference_is_usual(chips):
    mean = chips[1].card.levels[0].mean
    tight = mean.model_copy(update={"stderr": mean.stderr / 20})  # as of many cells
    level = chips[1].card.levels[0].model_copy(update={"mean": tight})
    many = dataclasses.replace(
        chips[1],
        card=chips[1].card.model_copy(update={"levels": [level, chips[1].card.levels[1]]}),
    )
    card = scaled_mean(many.card, 1.05)
    check = predict_other(card, many)
    (found,) = (p for p in check.different if p.path == "levels[0].mean")
    assert found.undecided
    assert "one array cannot tell whether arrays of this kind differ as much" in check.summary()
    assert check.to_dict()["note"] == MISSING_BETWEEN
    (finding,) = (f for f in check.verdict.findings if "levels[0].mean" in f.what)
    assert not finding.severe
    far = predict_other(scaled_mean(many.card, 1.3), many)
    assert not far.predicts
    usual = predict_other(scaled_mean(many.card, 1.3, between=0.4 * mean.value), many)
    assert "levels[0].mean" not in {p.path for p in usual.different}
    unusual = predict_other(scaled_mean(many.card, 1.05, between=mean.stderr / 20), many)
    assert not unusual.predicts


def test_a_distribution_is_compared_with_what_arrays_differ_by(truth):
    program = synthesize(truth, sweeps=6, seed=1).program
    statistics, healthy = accumulate(program, 2), np.ones(ARRAY, dtype=bool)
    far = moved(truth, 1.5)
    assert all(v.fails for v in predict_levels(far, statistics, healthy, seed=0))
    levels = [
        x.model_copy(update={"mean": x.mean.model_copy(update={"between": 1.5 * x.std.value})})
        for x in far.levels
    ]
    usual = far.model_copy(update={"levels": levels})
    assert not any(v.fails for v in predict_levels(usual, statistics, healthy, seed=0))


def test_one_array_cannot_tell_whether_readings_are_usually_shifted_a_little():
    """A distance up to 10 % is reported, but is no failure if it is not known how arrays differ."""
    card = virtual_card("plain", mean=[2e-5, 6e-5], spread=0.05, array=(64, 64))
    other = characterize(synthesize(card, sweeps=2, seed=1))
    little, far = (predict_other(moved(card, by), other) for by in (0.2, 0.6))
    assert little.predicts
    assert any(v.undecided for v in little.levels)
    assert all(v.distance <= 0.1 for v in little.levels if v.undecided)
    (finding,) = (f for f in little.verdict.findings if "the card does not predict" in f.what)
    assert "one array cannot tell" in finding.what
    assert not finding.severe
    assert not far.predicts
    assert not any(v.undecided for v in far.levels)
    levels = [
        x.model_copy(update={"mean": x.mean.model_copy(update={"between": 1e-3 * x.std.value})})
        for x in moved(card, 0.2).levels
    ]
    pooled = predict_other(moved(card, 0.2).model_copy(update={"levels": levels}), other)
    assert not any(v.undecided for v in pooled.levels)
    assert not pooled.predicts


def test_trends_of_both_arrays_widen_what_a_distribution_allows(truth):
    program = synthesize(truth, sweeps=6, seed=1).program
    statistics, healthy = accumulate(program, 2), np.ones(ARRAY, dtype=bool)

    def drifting(card, trend):
        levels = [
            x.model_copy(update={"mean": x.mean.model_copy(update={"trend": trend * x.std.value})})
            for x in card.levels
        ]
        return card.model_copy(update={"levels": levels})

    far = moved(truth, 1.5)
    assert all(v.fails for v in predict_levels(far, statistics, healthy, seed=0, other=truth))
    for pair in ((drifting(far, 1.5), truth), (far, drifting(truth, 1.5))):
        found = predict_levels(pair[0], statistics, healthy, seed=0, other=pair[1])
        assert not any(v.fails for v in found)


def test_lines_of_an_array_are_not_taken_for_another_distribution():
    """Columns and rows with offsets shift many readings together, but not those of every array."""
    card = virtual_card(
        "lines", mean=[2e-5, 6e-5], spread=0.08, between_cells=0.8, correlation=0.5, array=ARRAY
    )
    variation = [
        v.model_copy(
            update={
                "lines": [
                    LineOffsets(axis=axis, std=Quantity.given(share * v.d2d.value, "S"))
                    for axis, share in (("col", 0.5), ("row", 0.4))
                ]
            }
        )
        for v in card.variation
    ]
    card = card.model_copy(update={"variation": variation})
    p = []
    for seed in range(12):
        statistics = accumulate(synthesize(card, sweeps=4, seed=seed).program, 2)
        found = predict_levels(card, statistics, np.ones(ARRAY, dtype=bool), seed=0)
        p += [v.p_value for v in found]
    assert min(p) > P_LIMIT  # a third of them are below without lines
    assert stats.binom.sf(sum(x < 0.05 for x in p) - 1, len(p), 0.05) > 1e-3


def test_two_tiles_of_a_chip_with_blind_levels_are_compared(shared):
    found = [characterize(shared / "data/measured/h5" / f"C1_slc_tile{i}.h5") for i in range(2)]
    assert all(level.target is None for level in found[0].card.levels)
    check = predict_other(found[0].card, found[1])
    assert len(check.levels) == 2
    assert {"levels[0].mean", "levels[1].std"} <= {p.path for p in check.parameters}
    assert not any("levels differ" in f.what for f in check.verdict.findings)
    assert MISSING_BETWEEN in check.summary()


@pytest.mark.parametrize("chip", ["C10_tile", "C1_slc_tile"])
def test_tiles_of_one_chip_are_not_called_different(shared, chip):
    """They differ by less than one array can tell."""
    found = [characterize(shared / "data/measured/h5" / f"{chip}{i}.h5") for i in range(2)]
    for card, other in (found, reversed(found)):
        check = predict_other(card.card, other)
        assert check.predicts, check.summary()


def test_cards_of_two_temperatures_say_that_this_is_the_difference(shared):
    found = [characterize(shared / "data/measured/h5" / f"bake{t}.h5") for t in (110, 85)]
    check = predict_other(found[0].card, found[1])
    assert not check.predicts
    first = check.verdict.findings[0].what
    assert "kept at 383.1 K" in first
    assert "358.1 K" in first
    assert "This is the difference" in first


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
