"""The summary says in words what stands in the card."""

from __future__ import annotations

import pytest

from rramfit.card import Quantity
from rramfit.card.quality import Quality, ScreenedCard
from rramfit.card.schema import StuckCard
from rramfit.reporting.page.document import Prose
from rramfit.reporting.sections.summary import summary_blocks


def words(card) -> dict[str, str]:
    text = {b.heading: " ".join(b.paragraphs) for b in summary_blocks(card) if isinstance(b, Prose)}
    return {k: v.replace("\N{NO-BREAK SPACE}", " ") for k, v in text.items()}


def test_it_answers_three_questions_with_the_card_s_numbers(chip):
    said = words(chip.card)
    alike = said["What this chip is like"]
    assert "3 levels, from 5.000 µS (4.980 to 5.020) to 90.00 µS (89.65 to 90.35)" in alike
    assert "a ratio of 18" in alike
    assert "a smooth field makes up to 35.0 % (22.8 to 49.6)" in alike
    wrong = said["What is wrong with it"]
    assert "3.40 % (2.79 to 4.13) of the attempts at L2" in wrong
    assert "dead columns" in wrong
    assert "dead rows" not in wrong
    trust = said["Can it be trusted?"]
    assert chip.card.quality.summary in trust
    assert "50.3 %, 89.7 % and 99 % fall inside the 50, 90 and 99 % intervals" in trust


def test_variance_is_shared_out_among_its_components(chip):
    d2d, c2c, read = 0.75**2, 0.65**2, 0.2**2
    total = d2d + c2c + read
    alike = words(chip.card)["What this chip is like"]
    for part, name in ((d2d, "cells"), (c2c, "cycles")):
        assert f"{100 * part / total:.2g} % is differences between {name}" in alike
    assert f"{100 * read / total:.2g} % is read noise" in alike


def test_levels_without_an_estimate_are_counted_apart(chip):
    bare = chip.card.levels[1].model_copy(update={"mean": None, "std": None})
    levels = [chip.card.levels[0], bare, chip.card.levels[2]]
    card = chip.card.model_copy(update={"levels": levels})
    assert words(card)["What this chip is like"].startswith("2 of 3 levels, from 5.000 µS")


def test_a_sound_chip_has_nothing_wrong(chip):
    sound = chip.card.model_copy(
        update={
            "failure": [],
            "stuck": StuckCard(low=Quantity.given(0, "1"), high=Quantity.given(0, "1")),
            "quality": Quality(
                verdict="ok",
                summary="All fits can be believed.",
                screened=ScreenedCard(cells_used=480),
            ),
        }
    )
    assert words(sound)["What is wrong with it"] == "Nothing was found."


def test_a_severe_finding_comes_first(chip):
    fits = {"retention": {"verdict": "bad", "findings": ["half the cells collapsed"]}}
    quality = Quality.model_validate({"verdict": "bad", "summary": "Do not use it.", "fits": fits})
    card = chip.card.model_copy(update={"quality": quality})
    assert words(card)["What is wrong with it"].startswith("Retention: half the cells collapsed.")
    assert summary_blocks(card)[-1].tone == "bad"


@pytest.mark.parametrize("groups", [(), ("retention",)])
def test_a_card_with_little_in_it_still_makes_sentences(chip_maker, groups):
    card = chip_maker(groups=groups).card
    bare = card.model_copy(
        update={"levels": [], "variation": [], "failure": [], "stuck": None, "bits_per_cell": None}
    )
    assert words(bare)["What this chip is like"]
