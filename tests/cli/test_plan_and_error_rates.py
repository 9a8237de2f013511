"""`measurement plan` and `card error-rates` as a user calls them."""

import json

import pytest
from click.testing import CliRunner

from rramfit.card import save_card
from rramfit.fitting.characterization import characterize
from rramfit.measurement.virtual import random_card, synthesize
from rramfit_cli.main import cli


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    made = random_card(2, spatial=False, levels=2, array=(24, 24))
    path = tmp_path_factory.mktemp("cards") / "chip.card.json"
    save_card(characterize(synthesize(made, sweeps=6, seed=2), name="chip").card, path)
    return str(path)


def run(*arguments: str):
    return CliRunner().invoke(cli, list(arguments))


def test_a_plan_says_cells_and_sweeps(card):
    done = run(
        "measurement", "plan", "--card", card, "--want", "levels[*].mean=0.2%", "--want",
        "failure[1].probability=20%",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "sweeps if a sweep programs every cell once" in done.output
    as_json = json.loads(
        run("measurement", "plan", "--card", card, "--want", "levels[0].mean=0.2%", "--json").stdout
    )
    assert as_json["met"]
    assert as_json["parameters"][0]["path"] == "levels[0].mean"
    assert as_json["sweeps"] == 2 * as_json["attempts_per_cell_and_level"]


def test_a_plan_that_is_not_reached_is_exit_code_4(card):
    done = run(
        "measurement", "plan", "--card", card, "--want", "levels[0].mean=0.001%", "--cells", "576"
    )
    assert done.exit_code == 4
    assert "Measure more cells" in done.output


@pytest.mark.parametrize(
    ("want", "code", "says"),
    [
        ("levels[0].mean", 2, "PATH=AMOUNT"),
        ("levels[0].mean=5V", 3, "found the unit"),
        ("levels[9].mean=5%", 3, "found no such parameter"),
        ("levels[0].target=5%", 3, "without an error"),
    ],
)
def test_wants_that_cannot_be_planned(card, want, code, says):
    done = run("measurement", "plan", "--card", card, "--want", want)
    assert done.exit_code == code, done.output
    assert says in " ".join(done.output.split())
    assert "Traceback" not in done.output


def test_error_rates_of_a_card(card):
    done = run("card", "error-rates", card)
    assert done.exit_code == 0, done.output
    assert "bit error rate in Gray code" in done.output
    assert "4096 data bits" in done.output
    given = json.loads(run("card", "error-rates", card, "--threshold", "0=3e-5", "--json").stdout)
    assert given["error_rates"][0]["threshold"] == 3e-5
    rate = given["error_rates"][0]["rate"]
    assert rate["ci95"][0] <= rate["value"] <= rate["ci95"][1]


@pytest.mark.parametrize(("threshold", "code"), [("0", 2), ("x=1", 2), ("4=1e-5", 3), ("0=nan", 3)])
def test_thresholds_that_are_none(card, threshold, code):
    done = run("card", "error-rates", card, "--threshold", threshold)
    assert done.exit_code == code, done.output
