"""Conditions of an evaluation: what it depends on, which helps are on, what is doubtful."""

import json

import pytest
import torch

from rramfit.card import load_card, save_card
from rramfit.card.document import seal
from rramfit.mapping.study.conditions import HELPS
from rramfit.mapping.study.networks import make_network
from rramfit.mapping.tiles.setup import FACTORS

FEW = ("--images", 40, "--chips", 2, "--tile", "64x32")


@pytest.fixture
def checkpoint(tmp_path):
    """An mlp without training: conditions do not depend on it."""
    torch.save(make_network("mlp", (1, 8, 8), 10).state_dict(), tmp_path / "net.pt")
    return tmp_path / "net.pt"


@pytest.fixture
def run(run, checkpoint):
    """Run a command with this network."""
    return lambda command, *arguments: run(command, "mlp", "--checkpoint", checkpoint, *arguments)


def evaluated(run, *arguments):
    done = run("evaluate", *FEW, *arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)["conditions"], done.stderr


OTHER = [
    (("--time", 10), "time since programming [s]", 10.0),
    (("--scheme", "arrays"), "scheme", "pairs of cells in two arrays"),
    (("--weight-values", 3), "weight values", 3),
    (("--input-coding", "bit-serial"), "input coding", "bit-serial"),
    (("--dac-bits", 2), "input bits", 2),
    (("--adc-bits", 6), "converter bits", 6),
    (("--range", "card"), "converter range", "of the card"),
    (("--correction", "cubic"), "correction", "cubic"),
    (("--calibration-reads", 4), "calibration", "4 reads"),
    (("--no-wire-correction",), "wire gain", "none"),
    (("--wires", "estimate"), "wires", "estimate"),
    (("--inactive-rows", "floating"), "inactive rows", "floating"),
    (("--digital-bits", 8), "digital numbers", "significand of 8 bits"),
    (("--chip-spread", 0.02), "tiles of a chip", "share a deviation of 2 % (stated)"),
    (("--off", "d2d"), "switched off", "d2d"),
    (("--tile", "32x64"), "tile", "32 × 64"),
    (("--images", 30), "test samples", 30),
    (("--chips", 1), "chips", 1),
    (("--seed", 7), "seed", 7),
]


def test_two_runs_that_differ_do_not_print_the_same_conditions(run):
    usual, _ = evaluated(run)
    other, _ = evaluated(run, *(x for options, _, _ in OTHER for x in options))
    for _, name, value in OTHER:
        assert usual["values"][name] != value, name
        assert other["values"][name] == value, name


def test_factors_that_the_card_does_not_have_are_not_on(run, tmp_path):
    page = tmp_path / "page.html"
    found, _ = evaluated(run, "-o", page)
    absent = found["values"]["not in the card"].split(", ")
    assert {"read", "retention", "nonlinearity", "between", "field"} <= set(absent)
    assert not set(absent) & set(found["values"]["active factors"].split(", "))
    text = page.read_text()
    for shown in ("Conditions", "converter range", "not in the card", "wire-gain", "float32"):
        assert shown in text
    assert found["values"]["wires"] == "exact"
    assert found["values"]["chips"] == 2


def test_helps_are_listed_with_their_costs(run, repo):
    card = repo / "fits/reference-1.0.0.card.json"
    helps = {
        h["name"]: h for h in evaluated(run, "--card", card, "--calibration-reads", 4)[0]["helps"]
    }
    assert list(helps) == list(HELPS)
    assert {n for n, h in helps.items() if h["on"]} == {
        *("range", "correction", "wire-gain", "float32", "white-noise")
    }
    tiles = 5
    assert helps["range"]["writes"] == tiles
    assert helps["correction"]["writes"] == 2 * 32 * tiles
    assert helps["correction"]["reads"] == 2 * 32 * tiles * 4
    conversions = helps["wire-gain"]["operations"]
    assert helps["correction"]["operations"] == 2 * conversions > 0
    off = ("--range", "card", "--correction", "none", "--no-wire-correction")
    less, _ = evaluated(run, "--card", card, *off, "--digital-bits", 11, "--read-noise", "batch")
    assert not any(h["on"] for h in less["helps"])
    assert not any(h["writes"] or h["reads"] or h["operations"] for h in less["helps"])


def test_ablate_shows_what_each_help_is_worth(run, repo, tmp_path):
    page = tmp_path / "page.html"
    kept = {"read", "readout", "wires"}
    off = [x for f in FACTORS if f not in kept for x in ("--off", f)]
    arguments = (
        "--chips",
        1,
        "--images",
        20,
        "--card",
        repo / "fits/reference-1.0.0.card.json",
        *off,
        "-o",
        page,
    )
    done = run("ablate", *FEW, *arguments, "--helps", "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    names = [h["help"] for h in result["helps"]]
    expected = ["range", "correction", "exact-calibration", "wire-gain", "float32", "white-noise"]
    assert names == expected
    assert result["conditions"]["values"]["chips"] == 1
    assert "without each help" in page.read_text()


def test_a_doubtful_card_is_a_warning(run, repo, tmp_path):
    reference = load_card(repo / "fits/reference-1.0.0.card.json")
    longest = reference.retention.longest_time.value
    within = ("--card", repo / "fits/reference-1.0.0.card.json", "--time", longest)
    conditions, said = evaluated(run, *within)
    assert conditions["warnings"] == []
    assert "warning" not in said
    conditions, said = evaluated(run, *within[:2], "--time", "1e15")
    (warning,) = conditions["warnings"]
    assert "times the longest time that was measured" in warning
    assert f"{longest:g} s" in warning.replace(",", "")
    assert f"warning: {warning}" in said
    (warning,) = evaluated(run, "--time", 5)[0]["warnings"]
    assert "jetcas-reference has no retention" in warning
    quality = reference.quality.model_copy(update={"verdict": "bad", "summary": "Levels overlap"})
    save_card(seal(reference.model_copy(update={"quality": quality})), tmp_path / "bad.json")
    for command in ("evaluate", "ablate", "map"):
        chips = ("--chips", 1, "--images", 10) if command != "map" else ()
        off = [x for f in FACTORS if f != "quantisation" for x in ("--off", f)]
        done = run(command, "--card", tmp_path / "bad.json", *chips, *off, "--tile", "64x32")
        assert done.exit_code == 0, done.output
        assert "verdict of card reference is bad: Levels overlap." in done.stderr


def test_helps_that_cannot_be_are_refused(run, repo):
    done = run("evaluate", "--spare-columns", 2)
    assert done.exit_code == 2
    assert "add --place" in done.output
    done = run("evaluate", "--range", "card", "--card", repo / "fits/measured-1.0.0.card.json")
    assert done.exit_code == 3
    assert "no read-out chain" in done.output
