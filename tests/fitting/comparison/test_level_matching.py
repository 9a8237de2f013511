"""Programmed levels are the same by target, levels found blind by order and nearness."""

import pytest

from rramfit.card import Quantity
from rramfit.card.quality import FitQuality
from rramfit.fitting.comparison.level_matching import level_mismatch
from rramfit.measurement.virtual.cards import virtual_card


def card(*means: float, targets: tuple[float, ...] | None = None, blind: bool = False):
    """A card with these means [uS]; blind as of schema 1.0 has medians as targets."""
    made = virtual_card("made", mean=[m * 1e-6 for m in means], spread=0.05)
    levels = [
        level.model_copy(
            update={"target": None if targets is None else Quantity.given(targets[k] * 1e-6, "S")}
        )
        for k, level in enumerate(made.levels)
    ]
    fits = {"blind_levels": FitQuality(verdict="warning")} if blind else {}
    quality = made.quality.model_copy(update={"fits": fits})
    return made.model_copy(update={"levels": levels, "quality": quality})


@pytest.mark.parametrize("targets", [None, (3.4, 80.2)])
def test_blind_levels_of_two_tiles_match_though_their_medians_differ(targets):
    first = card(3.9, 80.7, targets=targets, blind=True)
    second = card(4.4, 76.0, targets=None if targets is None else (4.1, 75.8), blind=True)
    assert level_mismatch(first, second) is None
    assert level_mismatch(first, card(4.0, 79.0, targets=(5.0, 80.0))) is None


def test_another_number_of_states_is_another_pattern():
    found = level_mismatch(card(4.0, 80.0, blind=True), card(4.0, 40.0, 80.0, blind=True))
    assert found is not None
    assert found.severe
    assert "the card has 2 levels (4, 80 uS), the other chip 3 (4, 40, 80 uS)" in found.what


def test_states_that_are_nearer_to_another_do_not_match():
    first, second = card(10, 20, 30, blind=True), card(17, 27, 37, blind=True)
    assert level_mismatch(first, second) is not None
    assert level_mismatch(first, card(14, 24, 34, blind=True)) is None


def test_programmed_levels_match_by_target():
    first = card(19.0, 82.0, targets=(20.0, 80.0))
    assert level_mismatch(first, card(22.0, 78.0, targets=(20.1, 80.0))) is None
    assert level_mismatch(first, card(19.0, 82.0, targets=(21.0, 80.0))) is not None


def test_targets_within_a_spread_are_one_level():
    """Targets that a draft took from medians differ as the chips do."""
    first = card(19.0, 82.0, targets=(20.0, 80.0))  # spreads of 5 %
    assert level_mismatch(first, card(19.0, 82.0, targets=(20.4, 83.0))) is None
    assert level_mismatch(first, card(19.0, 82.0, targets=(20.4, 85.0))) is not None
