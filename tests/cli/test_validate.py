"""`rramfit validate`: exit codes and the one JSON object."""

import json

import pytest

from rramfit.card import save_card
from rramfit.measurement.virtual.cards import random_card


@pytest.fixture
def own_card(small_chip, run, tmp_path):
    """The card of the small chip itself."""
    run("characterize", small_chip, "-o", tmp_path, "--no-report")
    return tmp_path / "small.card.json"


def test_a_chip_s_own_card_predicts_it(own_card, small_chip, run):
    result = run("validate", own_card, small_chip, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["predicts"] is True
    assert not any(p["differs"] for p in told["parameters"])
    assert "predicts" in run("validate", own_card, small_chip).stdout


def test_another_card_does_not_and_exits_4(small_chip, run, tmp_path):
    path = tmp_path / "other.card.json"
    save_card(random_card(99, levels=2, array=(24, 20)), path)
    result = run("validate", path, small_chip, "--json")
    assert result.exit_code == 4
    assert json.loads(result.stdout)["predicts"] is False


def test_what_is_no_card_is_refused(small_chip, run):
    assert run("validate", small_chip, small_chip).exit_code == 3
