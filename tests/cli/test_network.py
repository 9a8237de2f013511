"""`rramfit map`, `evaluate` and `ablate`, with an mlp on few chips."""

import json
import re

import pytest
import torch

from rramfit.card import load_card, save_card
from rramfit.card.uncertainty.comparison import MISSING_BETWEEN
from rramfit.mapping.study.networks import make_network
from rramfit.mapping.tiles.setup import FACTORS
from rramfit.measurement.virtual.reference_chip import reference_card
from rramfit_cli.options import network

FEW = ("--images", 60, "--tile", "64x32")


def test_map_counts_tiles_and_conversions(run, tmp_path):
    plan, page = tmp_path / "plan.json", tmp_path / "map.html"
    done = run("map", "mlp", "-o", plan, "--report", page, "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result == json.loads(plan.read_text())
    assert result["tiles"] == 2
    assert [m["conversions"] for m in result["matrices"]] == [128, 20]
    assert "mlp on tiles" in page.read_text()
    text = run("map", "resnet8", "--scheme", "offset", "--tile", "32x32").stdout
    assert "tiles of 32 × 32" in text


def test_evaluate_is_reproducible(run, tmp_path):
    page = tmp_path / "evaluation.html"
    arguments = ("evaluate", "--chips", 3, *FEW, "--seed", 4, "--json")
    first, second = run(*arguments, "-o", page), run(*arguments)
    assert first.exit_code == 0, first.output
    result = json.loads(first.stdout)
    assert result == json.loads(second.stdout)
    assert len(result["accuracies"]) == result["chips"] == 3
    assert result["images"] == 60
    assert result["digital_accuracy"] > 0.9
    assert result["mean"]["ci95"][0] <= result["mean"]["value"] <= result["mean"]["ci95"][1]
    text = page.read_text()
    assert "Accuracy of each chip" in text
    assert re.search(r"rramfit evaluate mlp [^<]*--seed 4 --chips 3|--chips 3 [^<]*--seed 4", text)
    assert "card jetcas-reference, sha256 " in text


def test_what_the_card_does_not_know_is_part_of_the_interval(run, small_chip, tmp_path):
    assert run("characterize", small_chip, "-o", tmp_path, "--no-report").exit_code in (0, 4)
    card, page = tmp_path / "small.card.json", tmp_path / "evaluation.html"
    common = ("evaluate", "--card", card, "--chips", 8, *FEW, "--off", "wires")
    plain = json.loads(run(*common, "--json").stdout)
    done = run(*common, "--card-uncertainty", 4, "-o", page, "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    changed = {"mean_total", "assumptions", "record"}
    assert {k: x for k, x in result.items() if k not in changed} == {
        k: x for k, x in plain.items() if k not in changed
    }
    total = result["mean_total"]
    assert total["card_draws"] == 4
    assert total["parts"]["card"] > 0
    assert plain["mean_total"]["parts"]["card"] is None
    squares = sum(x**2 for x in total["parts"].values())
    assert total["stderr"] ** 2 == pytest.approx(squares)
    assert MISSING_BETWEEN in result["assumptions"]
    text = page.read_text()
    assert "Standard error of the mean accuracy" in text
    assert MISSING_BETWEEN in text
    shown = run(*common, "--card-uncertainty", 4).stdout
    assert f"chips {100 * total['parts']['chips']:.2f}" in shown
    assert MISSING_BETWEEN in shown


def test_a_fitted_chip_and_a_replayed_chip(run, small_chip, tmp_path):
    assert run("characterize", small_chip, "-o", tmp_path, "--no-report").exit_code in (0, 4)
    card, cells = tmp_path / "small.card.json", tmp_path / "small.cells.h5"
    common = ("evaluate", "--card", card, "--chips", 2, "--images", 40)
    for chip in (("--cells", cells), ("--cells", cells, "--place"), ("--replay", small_chip)):
        done = run(*common, *chip, "--json")
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["chips"] == 2
    placed = run("map", "--card", card, "--cells", cells, "--place", "--json")
    assert 0 < json.loads(placed.stdout)["placement_gain"] < 1


def test_ablate_lists_every_factor(run, tmp_path):
    page = tmp_path / "ablation.html"
    off = [x for f in ("adc", "dac", "readout", "wires", "c2c") for x in ("--off", f)]
    done = run("ablate", "--chips", 2, *FEW, *off, "-o", page, "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert [f["factor"] for f in result["factors"]] == ["quantisation", "d2d", "failure"]
    text = page.read_text()
    assert "Cost of each factor" in text


def test_batch_norm_is_recalibrated(run, tmp_path):
    torch.save(make_network("resnet8", (1, 8, 8), 10).state_dict(), tmp_path / "net.pt")
    page = tmp_path / "ablation.html"
    off = [x for f in FACTORS if f != "quantisation" for x in ("--off", f)]
    which = ("resnet8", "--checkpoint", tmp_path / "net.pt", "--chips", 1, "--images", 20)
    done = run("ablate", *which, *off, "--bn-recalibration", 64, "-o", page, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["bn_recalibration_images"] == 64
    assert "on each chip, with 64 images" in page.read_text()


def test_gated_rows_take_bits(run):
    gated = ("--inactive-rows", "gated", "--dac-bits", 3, "--chips", 1, *FEW, "--json")
    done = run("evaluate", *gated)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["card"] == "jetcas-reference-gated"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("evaluate", "vgg5"), 2, "--checkpoint"),
        (("evaluate", "--place"), 2, "--cells"),
        (("evaluate", "--chips", "9", "--card-uncertainty", "5"), 2, "--chips 10"),
        (("evaluate", "--card-uncertainty", "1"), 2, "2"),
        (("evaluate", "--tile", "big"), 2, "128x128"),
        (("evaluate", "--off", "rust"), 2, "quantisation"),
        (("evaluate", "--tile", "10000000x2"), 2, "4096"),
        (("evaluate", "--time", "nan"), 2, "finite"),
        (("evaluate", "--seed", str(2**63)), 2, "--seed"),
        (("evaluate", "-o", "."), 2, "Is a directory"),
        (("ablate", "-o", ""), 2, "Is a directory"),
        (("evaluate", "--bn-recalibration", "64"), 2, "mlp has no BatchNorm layers"),
        (("evaluate", "--bn-recalibration", "2000"), 2, "1437 training images"),
        (("map", "nothing"), 3, "expected mlp, vgg5, vgg5-wide, vgg7, resnet8"),
        (("evaluate", "--data", "/nowhere"), 3, "test_batch"),
    ],
)
def test_invalid_arguments_are_refused(run, arguments, code, message):
    done = run(*arguments)
    assert done.exit_code == code, done.output
    assert message in done.output


@pytest.mark.parametrize("gated", [False, True])
def test_the_published_reference_cards_are_current(repo, tmp_path, gated):
    card = reference_card(gated=gated)
    path = repo / "fits" / f"{card.name}-{card.revision}.card.json"
    save_card(card, tmp_path / "new.json")
    assert load_card(path).digest == card.digest
    assert (tmp_path / "new.json").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("command", ["map", "evaluate", "ablate"])
@pytest.mark.parametrize("origin", ["--cells", "--replay"])
def test_a_chip_of_another_card_is_refused(run, small_chip, tmp_path, command, origin):
    assert run("characterize", small_chip, "-o", tmp_path, "--no-report").exit_code in (0, 4)
    path = tmp_path / "small.cells.h5" if origin == "--cells" else small_chip
    done = run(command, origin, path, "--tile", "16x16")  # the card of the reference chip
    assert done.exit_code == 3, done.output
    assert "has 2 levels and card jetcas-reference 3." in done.stderr


def test_evaluate_lists_the_factors_that_the_card_has(run, small_chip, tmp_path):
    assert run("characterize", small_chip, "-o", tmp_path, "--no-report").exit_code in (0, 4)
    common = ("evaluate", "--card", tmp_path / "small.card.json", "--chips", 2, *FEW, "--json")
    page = tmp_path / "page.html"
    done = run(*common, "-o", page)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)["factors"]
    assert {"quantisation", "d2d", "c2c", "dac", "adc"} <= set(found)
    assert not {"wires", "readout", "retention", "nonlinearity", "dead_lines"} & set(found)
    assert ", ".join(found) in page.read_text()
    replayed = json.loads(run(*common, "--replay", small_chip, "--tile", "16x16").stdout)
    assert replayed["factors"] == ["adc", "dac", "quantisation"]


def test_help_lists_all_factors():
    assert network.FACTORS == FACTORS
