"""`rramfit train` and `retrain`, with digits and recipes of a few epochs."""

import json
import sys

import numpy as np
import pytest
import torch

from rramfit.card.cells import CellMaps, Fault, save_cells
from rramfit_cli.options.training import TrainingLog

RECIPE = """
name = "short"
[plain]
epochs = 8
batch = 64
optimizer = "adamw"
rate = 5e-3
[aware]
epochs = 3
batch = 64
optimizer = "adamw"
rate = 2e-3
[retrain]
epochs = 2
batch = 64
optimizer = "adamw"
rate = 1e-3
"""
COMMON = ("--tile", "64x64", "--chips", 2, "--json")


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "short.toml"
    path.write_text(RECIPE)
    return path


def test_train_then_evaluate_then_retrain(run, recipe, tmp_path):
    out = tmp_path / "net.pt"
    page = tmp_path / "page.html"
    done = run("train", "--recipe", recipe, "-o", out, "--seed", 3, "--report", page, *COMMON)
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["epochs"] == 11
    assert result["float32"]["digital"] > 0.9
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "net.csv", "net.plain.pt", "net.pt", "page.html", "short.toml",
    ]  # fmt: skip
    text = page.read_text()
    assert "Accuracy by epoch" in text
    assert f"{100 * result['trained']['chips']['mean']['value']:.2f}" in text
    lines = (tmp_path / "net.csv").read_text().splitlines()
    assert len(lines) == 12
    assert lines[0].startswith("stage,epoch,loss,train_accuracy,test_accuracy,rate,seconds")
    assert lines[-1].startswith("aware,3,")
    assert "plain epoch 8: loss" in done.stderr
    assert "left" in done.stderr

    again = run("evaluate", "mlp", "--checkpoint", out, "--seed", 3, *COMMON)
    assert json.loads(again.stdout)["accuracies"] == result["trained"]["chips"]["accuracies"]

    rng = np.random.default_rng(0)
    fault = np.where(rng.random((64, 64)) < 0.05, Fault.STUCK_LOW, Fault.OK).astype(np.int8)
    maps = CellMaps(fault=fault, offset=np.zeros((3, 64, 64)), hard_posterior=np.zeros((3, 64, 64)))
    save_cells(maps, tmp_path / "chip.cells.h5")
    chip = ("--cells", tmp_path / "chip.cells.h5", "--place")
    one = tmp_path / "one.pt"
    options = ("mlp", "--checkpoint", out, *chip, *COMMON)
    done = run("retrain", *options, "--recipe", recipe, "-o", one)
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["epochs"] == 2
    assert set(torch.load(one)["laid"]["1"]) == {"scale", "rows", "cols"}
    again = run("evaluate", "mlp", "--checkpoint", one, *chip, *COMMON)
    assert json.loads(again.stdout)["accuracies"] == result["retrained"]["chips"]["accuracies"]


def test_plain_training_alone_and_resumed(run, recipe, tmp_path):
    out = tmp_path / "net.pt"
    options = ("train", "--plain", "--recipe", recipe, "-o", out)
    first = run(*options, "--json", "--tensorboard", tmp_path / "board")
    assert first.exit_code == 0, first.output
    assert json.loads(first.stdout)["float32"]["chips"] is None
    assert list((tmp_path / "board").glob("events*"))
    bytes_of_first = out.read_bytes()
    again = run(*options, "--json", "--resume")
    assert json.loads(again.stdout)["epochs"] == 8  # already finished
    assert out.read_bytes() == bytes_of_first
    text = run(
        "train", "--recipe", recipe, "--checkpoint", out, "-o", tmp_path / "b.pt", "--chips", 1
    ).stdout
    assert "trained, 1 chip " in text


def test_a_finished_training_is_not_repeated(run, recipe, tmp_path):
    out = tmp_path / "net.pt"
    options = ("train", "--recipe", recipe, "-o", out, *COMMON)
    first = run(*options, "--resume")
    assert "no checkpoint to resume from" in first.stderr
    files = {p: p.read_bytes() for p in tmp_path.iterdir()}
    again = run(*options, "--resume")
    assert "no checkpoint to resume from" not in again.stderr
    assert json.loads(again.stdout) == json.loads(first.stdout)
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == files
    # another training does not resume from these files, and does not change them
    recipe.write_text(RECIPE.replace("rate = 2e-3", "rate = 3e-3"))
    files[recipe] = recipe.read_bytes()
    for more, message in (
        ((), "found aware.rate 0.002, expected aware.rate 0.003"),
        (("--seed", 1), "found seed 0"),
        (("--off", "wires"), "expected off ['wires']"),
    ):
        done = run(*options, "--resume", *more)
        assert done.exit_code == 3
        assert message in done.stderr
        assert {p: p.read_bytes() for p in tmp_path.iterdir()} == files


def test_a_new_training_that_overwrites_a_finished_one_is_resumed(
    run, recipe, tmp_path, monkeypatch
):
    out = tmp_path / "net.pt"
    options = ("train", "--recipe", recipe, *COMMON)
    assert run(*options, "-o", out).exit_code == 0
    uninterrupted = run(*options, "--seed", 1, "-o", tmp_path / "whole.pt")
    epochs = 0

    def kill(*_):
        nonlocal epochs
        epochs += 1
        if epochs == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(TrainingLog, "on_epoch", kill)
        killed = run(*options, "--seed", 1, "-o", out)
    assert killed.exit_code == 1
    assert "use --resume to continue" in killed.stderr
    done = run(*options, "--seed", 1, "-o", out, "--resume")
    assert done.exit_code == 0, done.output
    assert out.read_bytes() == (tmp_path / "whole.pt").read_bytes()
    assert json.loads(done.stdout)["trained"] == json.loads(uninterrupted.stdout)["trained"]


TEACHER = """
[teacher]
network = "resnet8"
epochs = 2
batch = 64
optimizer = "adamw"
rate = 5e-3
"""


def test_a_recipe_trains_its_teacher_first_and_the_other_stages_learn_from_it(
    run, recipe, tmp_path
):
    taught = RECIPE.replace("[aware]", "distillation = 0.9\n[aware]").replace(
        "epochs = 8", "epochs = 2"
    )
    recipe.write_text(taught + TEACHER)
    out = tmp_path / "net.pt"
    options = ("train", "--recipe", recipe, "--tile", "64x64", "--chips", 0, "--json")
    done = run(*options, "-o", out)
    assert done.exit_code == 0, done.output
    stages = [x.split(",")[0] for x in (tmp_path / "net.csv").read_text().splitlines()[1:]]
    assert stages == ["teacher"] * 2 + ["plain"] * 2 + ["aware"] * 3
    teacher = tmp_path / "net.teacher.pt"
    assert torch.load(teacher)["network"] == "resnet8"
    # the same by hand: the teacher from its file
    recipe.write_text(taught)
    assert run(*options, "-o", tmp_path / "b.pt", "--teacher", teacher).exit_code == 0
    for a, b in (("net.plain.pt", "b.plain.pt"), ("net.pt", "b.pt")):
        one, two = (torch.load(tmp_path / x)["model"] for x in (a, b))
        assert all(torch.equal(one[k], two[k]) for k in one)
    # without a teacher nothing is trained
    lonely = run(*options, "-o", tmp_path / "c.pt")
    assert lonely.exit_code == 2
    assert "no teacher. Add --teacher" in lonely.stderr
    assert not list(tmp_path.glob("c*"))
    # an interrupted or finished training goes on with the same teacher
    recipe.write_text(taught + TEACHER)
    before = {p: p.read_bytes() for p in tmp_path.glob("*.pt")}
    out.unlink()
    assert run(*options, "-o", out, "--resume").exit_code == 0
    assert {p: p.read_bytes() for p in tmp_path.glob("*.pt")} == before


def test_broken_files_are_refused_before_any_epoch(run, recipe, tmp_path):
    empty = tmp_path / "empty.pt"
    empty.touch()
    for more in (("--teacher", empty), ("--checkpoint", empty)):
        done = run("train", "--recipe", recipe, "-o", tmp_path / "net.pt", *more)
        assert done.exit_code == 3
        assert "empty.pt is an empty file" in done.stderr
        assert "epoch" not in done.stderr
        assert not list(tmp_path.glob("net*"))


def test_a_chip_in_the_loop(run, recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    (tmp_path / "lab.py").write_text(
        "layers = set()\n"
        "def measure(name, weight, vectors):\n"
        "    layers.add(name)\n"
        "    return 0.7 * vectors @ weight.t()\n"
        "def wrong(name, weight, vectors):\n"
        "    return None\n"
        "number = 3\n"
    )
    plain = run("train", "--plain", "--recipe", recipe, "-o", "net.pt")
    assert plain.exit_code == 0, plain.output
    options = ("retrain", "--checkpoint", "net.pt", "--recipe", recipe, *COMMON, "--hardware")
    done = run(*options, "lab:measure", "-o", "one.pt")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["epochs"] == 2
    assert sys.modules["lab"].layers == {"1", "3"}
    for name, message in (
        ("lab:wrong", "layer 1: found a NoneType"),
        ("lab:nothing", "no attribute 'nothing'"),
        ("lab:number", "is a int"),
        ("lab", "expected module:callable"),
    ):
        refused = run(*options, name, "-o", "two.pt")
        assert refused.exit_code == 3
        assert message in refused.stderr


def test_refusals(run, recipe, tmp_path):
    recipe.write_text(RECIPE.replace("epochs = 8", "epochs = many", 1))
    done = run("train", "--recipe", recipe, "-o", tmp_path / "x.pt")
    assert done.exit_code == 3
    assert "short.toml" in done.stderr
    done = run("train", "--recipe", "nothing")
    assert done.exit_code == 3
    assert "cifar10-average, cifar10-finish, cifar10-wide, digits" in done.stderr
    kept = tmp_path / "kept.pt"
    kept.touch()
    for arguments, message in (
        (("train", "--plain", "--checkpoint", kept), "not both"),
        (("train", "--checkpoint", kept, "-o", kept), "overwrite an input"),
        (("train", "-o", tmp_path / "net.csv"), "overwrite another output"),
        (
            ("train", "-o", tmp_path / "net.pt", "--report", tmp_path / "net.plain.pt"),
            "overwrite another output",
        ),
    ):
        done = run(*arguments)
        assert done.exit_code == 2
        assert message in done.stderr
    done = run("retrain")
    assert done.exit_code == 2
    assert "--cells" in done.stderr
    recipe.write_text(RECIPE)
    done = run("train", "--recipe", recipe, "-o", recipe / "x.pt")
    assert done.exit_code == 2
