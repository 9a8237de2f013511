"""`rramfit map`, `evaluate` and `ablate`, on an mlp of few chips."""

import json

import pytest
import torch

from rramfit.card import load_card, save_card
from rramfit.mapping.study.networks import make_network
from rramfit.mapping.tiles.setup import FACTORS
from rramfit.measurement.virtual.reference_chip import reference_card
from rramfit_cli.options import network

FEW = ("--images", 60, "--tile", "64x32")


def test_map_says_what_it_takes(run, tmp_path):
    plan, page = tmp_path / "plan.json", tmp_path / "map.html"
    done = run("map", "mlp", "-o", plan, "--report", page, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told == json.loads(plan.read_text())
    assert told["tiles"] == 2
    assert [m["conversions"] for m in told["matrices"]] == [128, 20]
    assert "mlp on tiles" in page.read_text()
    text = run("map", "resnet8", "--scheme", "offset", "--tile", "32x32").stdout
    assert "tiles of 32 × 32" in text


def test_evaluate_repeats_itself(run, tmp_path):
    page = tmp_path / "evaluation.html"
    arguments = ("evaluate", "--chips", 3, *FEW, "--seed", 4, "--json")
    first, second = run(*arguments, "-o", page), run(*arguments)
    assert first.exit_code == 0, first.output
    told = json.loads(first.stdout)
    assert told == json.loads(second.stdout)
    assert len(told["accuracies"]) == told["chips"] == 3
    assert told["images"] == 60
    assert told["digital_accuracy"] > 0.9
    assert told["mean"]["ci95"][0] <= told["mean"]["value"] <= told["mean"]["ci95"][1]
    assert "Accuracy chip by chip" in page.read_text()


def test_this_chip_and_its_readings(run, small_chip, tmp_path):
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
    told = json.loads(done.stdout)
    assert [f["factor"] for f in told["factors"]] == ["quantisation", "d2d", "failure"]
    text = page.read_text()
    assert "What each factor costs" in text


def test_norms_are_estimated_again(run, tmp_path):
    torch.save(make_network("resnet8", (1, 8, 8), 10).state_dict(), tmp_path / "net.pt")
    page = tmp_path / "ablation.html"
    off = [x for f in FACTORS if f != "quantisation" for x in ("--off", f)]
    which = ("resnet8", "--checkpoint", tmp_path / "net.pt", "--chips", 1, "--images", 20)
    done = run("ablate", *which, *off, "--norms", 64, "-o", page, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["norm_images"] == 64
    assert "on each chip, on 64 images" in page.read_text()


def test_gated_rows_take_bits(run):
    gated = ("--inactive-rows", "gated", "--dac-bits", 3, "--chips", 1, *FEW, "--json")
    done = run("evaluate", *gated)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["card"] == "jetcas-reference-gated"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("evaluate", "vgg5"), 2, "--checkpoint"),
        (("evaluate", "--place"), 2, "--cells"),
        (("evaluate", "--tile", "big"), 2, "128x128"),
        (("evaluate", "--off", "rust"), 2, "quantisation"),
        (("evaluate", "--tile", "10000000x2"), 2, "4096"),
        (("evaluate", "--time", "nan"), 2, "finite"),
        (("evaluate", "--seed", str(2**63)), 2, "--seed"),
        (("evaluate", "-o", "."), 2, "Is a directory"),
        (("ablate", "-o", ""), 2, "Is a directory"),
        (("evaluate", "--norms", "64"), 2, "mlp has no batch norms"),
        (("evaluate", "--norms", "2000"), 2, "1437 training images"),
        (("map", "nothing"), 3, "there are mlp, vgg5, resnet8"),
        (("evaluate", "--data", "/nowhere"), 3, "test_batch"),
    ],
)
def test_what_is_refused(run, arguments, code, said):
    done = run(*arguments)
    assert done.exit_code == code, done.output
    assert said in done.output


@pytest.mark.parametrize("gated", [False, True])
def test_the_published_reference_cards_are_current(repo, tmp_path, gated):
    card = reference_card(gated=gated)
    path = repo / "fits" / f"{card.name}-{card.revision}.card.json"
    save_card(card, tmp_path / "new.json")
    assert load_card(path).digest == card.digest
    assert (tmp_path / "new.json").read_bytes() == path.read_bytes()


def test_help_names_the_factors_there_are():
    assert network.FACTORS == FACTORS
