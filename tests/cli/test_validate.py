"""`rramfit validate`: exit codes and the one JSON object."""

import json

import pytest

from rramfit.card import save_card
from rramfit.measurement.virtual.cards import random_card


@pytest.fixture
def own_card(small_chip, run, tmp_path):
    """The card fitted to the small chip."""
    run("characterize", small_chip, "-o", tmp_path, "--no-report")
    return tmp_path / "small.card.json"


def test_the_card_of_a_chip_predicts_it(own_card, small_chip, run):
    result = run("validate", own_card, small_chip, "--json")
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert printed["predicts"] is True
    assert not any(p["differs"] for p in printed["parameters"])
    assert "predicts" in run("validate", own_card, small_chip).stdout


def test_exit_code_4_for_the_card_of_another_chip(small_chip, run, tmp_path):
    path = tmp_path / "other.card.json"
    save_card(random_card(99, levels=2, array=(24, 20)), path)
    result = run("validate", path, small_chip, "--json")
    assert result.exit_code == 4
    assert json.loads(result.stdout)["predicts"] is False


def test_a_measurement_in_place_of_the_card_is_rejected(small_chip, run):
    result = run("validate", small_chip, small_chip)
    assert result.exit_code == 3
    assert "is a measurement file, not a model card" in result.stderr
