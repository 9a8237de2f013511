"""`rramfit card bakes` and `rramfit card at`, and the section of the report."""

import json

import pytest
from click.testing import CliRunner

from rramfit.card import load_card, save_card, seal
from rramfit.fitting.characterization import characterize
from rramfit.measurement.file.write import write_measurement
from rramfit.measurement.virtual.cards import random_card
from rramfit.measurement.virtual.group_cards import with_bakes, with_groups
from rramfit.measurement.virtual.synthesize import synthesize
from rramfit.measurement.virtual.tester import Plan
from rramfit.reporting.characterization import report_characterization
from rramfit_cli.main import cli

ENERGY = 0.6
TIMES = (0.0, 1.0, 60.0, 3600.0, 86400.0)


@pytest.fixture(scope="module")
def chip(tmp_path_factory):
    """A chip with three bakes, one file of it for each bake, and the card it was drawn from."""
    folder = tmp_path_factory.mktemp("bakes")
    card = with_groups(random_card(4, distribution="normal", array=(24, 24), failures=False), 4)
    card = with_bakes(card, energy=ENERGY)
    plan = Plan(bake_temperatures=(373.15, 393.15), retention_times=TIMES)
    m = synthesize(card, groups=("program", "retention"), seed=4, plan=plan)
    whole = folder / "chip.h5"
    write_measurement(m, whole)
    cool = folder / "cool.h5"
    one = Plan(retention_times=TIMES)
    write_measurement(synthesize(card, groups=("retention",), seed=4, plan=one), cool)
    return folder, whole, cool


@pytest.fixture(scope="module")
def characterized(chip):
    return characterize(chip[1])


def run(*arguments):
    return CliRunner().invoke(cli, [str(a) for a in arguments])


def test_bakes_are_joined_into_a_card(chip):
    folder, whole, cool = chip
    out = folder / "joined.card.json"
    done = run("card", "bakes", whole, cool, "-o", out)
    assert done.exit_code == 0, done.output
    assert "activation energy" in done.output
    assert done.output.count("bake at") == 4
    card = load_card(out)
    assert len(card.temperature.bakes) == 4
    low, high = card.temperature.drift.activation_energy.ci95
    assert low < ENERGY < high
    at = run("card", "at", out, "--time", "3.156e8", "--temperature", "358.15", "--json")
    assert at.exit_code == 0, at.output
    found = json.loads(at.output)
    assert found["extrapolated"]
    assert found["findings"]
    assert [x["name"] for x in found["levels"]] == [x.name for x in card.levels]
    text = run("card", "at", out, "--time", "3600")
    assert "extrapolated" not in text.output


def test_one_bake_is_refused(chip):
    _, _, cool = chip
    done = run("card", "bakes", cool)
    assert done.exit_code == 3
    assert "expected two or more" in done.output
    done = run("card", "bakes", cool, "--json")
    assert done.exit_code == 3


def test_a_card_of_one_bake_says_nothing_at_another_temperature(chip, characterized):
    folder, _, cool = chip
    card = characterize(cool).card
    path = folder / "cool.card.json"
    save_card(card, path)
    assert "temperature" not in card.model_dump(exclude_none=True)
    assert card.quality.fits["temperature"].verdict == "not run"
    asked = ("--time", "3600", "--temperature", "420")
    for command in (("card", "at", path), ("evaluate", "mlp", "--card", path)):
        done = run(*command, *asked)
        assert done.exit_code == 3
    levels = characterized.card.model_copy(update={"temperature": None})
    save_card(seal(levels), path)
    for command in (("card", "at", path), ("evaluate", "mlp", "--card", path)):
        done = run(*command, *asked)
        assert done.exit_code == 3
        assert "one temperature gives no activation energy" in done.output


def test_the_report_has_a_section_on_temperature(characterized):
    page = report_characterization(characterized)
    assert 'id="temperature"' in page
    assert "activation energy, common" in page
    assert "Levels after ten years" in page
    assert "JESD22-A117" in page
