"""Mistyped commands and the wrong kind of file: the message names what was probably meant."""

import json

import numpy as np
import pytest
import torch

from rramfit.card import save_card
from rramfit.measurement.virtual.cards import random_card


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        (["charaterize", "a.h5"], "No such command 'charaterize'. Did you mean 'characterize'?"),
        (["card", "shwo"], "No such command 'shwo'. Did you mean 'show'?"),
        (["measurement", "guess"], "Did you mean 'guess-layout'?"),
        (["array", "Solve"], "No such command 'Solve'. Did you mean 'solve'?"),
        (["card", "show", "--jsn"], "Did you mean '--json'?"),
    ],
)
def test_a_mistyped_name_gets_a_suggestion(run, arguments, suggestion):
    result = run(*arguments)
    assert result.exit_code == 2
    assert suggestion in result.stderr


def test_a_name_like_no_other_gets_no_suggestion(run):
    result = run("xyzzy")
    assert result.exit_code == 2
    assert "No such command 'xyzzy'.\n" in result.stderr


@pytest.fixture(scope="module")
def folder(small_chip, tmp_path_factory):
    """One file of every kind."""
    out = tmp_path_factory.mktemp("kinds")
    save_card(random_card(1), out / "chip.card.json")
    (out / "chip.h5").write_bytes(small_chip.read_bytes())
    (out / "other.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    (out / "report.html").write_text("<!DOCTYPE html>\n<title>a</title>")
    torch.save({"model": {"weight": torch.zeros(2)}}, out / "net.pt")
    np.save(out / "g.npy", np.ones((2, 2)))
    (out / "log.csv").write_text("0,100\n1,200\n")
    (out / "lab.toml").write_text('[source]\nkind = "table"\n')
    (out / "empty.json").write_text("")
    (out / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    return out


@pytest.fixture
def cells(repo):
    return repo / "fits" / "reference.cells.h5"


@pytest.mark.parametrize(
    ("name", "kind", "command"),
    [
        ("chip.h5", "is a measurement file, not a model card", "rramfit measurement inspect"),
        ("other.h5", "is an HDF5 file", "rramfit measurement guess-layout"),
        ("report.html", "is an HTML report", "Open it in a browser"),
        ("net.pt", "is a checkpoint of a network", "rramfit evaluate --checkpoint"),
        ("g.npy", "is a NumPy array", "rramfit array solve"),
        ("log.csv", "is a text file", "rramfit measurement guess-layout"),
        ("lab.toml", "is a layout file", "--layout"),
        ("empty.json", "is an empty file", "again"),
        ("picture.png", "is a binary file of unknown format", "No rramfit command"),
    ],
)
def test_what_is_not_a_card_is_identified(folder, run, name, kind, command):
    for arguments in (("show", folder / name), ("compare", folder / name, folder / name)):
        result = run("card", *arguments)
        assert result.exit_code == 3
        assert f"{folder / name} {kind}" in result.stderr
        assert command in result.stderr
    listed = run("card", "validate", folder / name)
    assert listed.exit_code == 3
    assert kind in listed.stdout


@pytest.mark.parametrize(
    ("name", "kind", "command"),
    [
        ("chip.card.json", "a model card", "rramfit card show"),
        ("report.html", "an HTML report", "browser"),
        ("net.pt", "a checkpoint of a network", "rramfit evaluate --checkpoint"),
        ("g.npy", "a NumPy array", "rramfit array solve"),
    ],
)
def test_what_is_not_a_measurement_is_identified(folder, run, tmp_path, name, kind, command):
    text = f"{folder / name} is {kind}, not a measurement file."
    for arguments in (("measurement", "inspect"), ("characterize", "-o", tmp_path)):
        result = run(*arguments, folder / name)
        assert result.exit_code == 3
        assert text in result.stderr
        assert command in result.stderr
    shown = run("measurement", "validate", folder / name, "--json")
    assert shown.exit_code == 3
    (problem,) = json.loads(shown.stdout)["files"][0]["problems"]
    assert problem["found"] == kind
    assert command in problem["remedy"]


def test_card_and_measurement_exchanged(folder, run):
    result = run("validate", folder / "chip.h5", folder / "chip.card.json")
    assert result.exit_code == 3
    assert f"{folder / 'chip.h5'} is a measurement file, not a model card" in result.stderr


def test_a_sidecar_is_neither_card_nor_measurement(cells, run):
    for arguments in (("card", "show"), ("measurement", "inspect")):
        result = run(*arguments, cells)
        assert result.exit_code == 3
        assert "is a sidecar" in result.stderr
        assert "--cells" in result.stderr


def test_the_path_in_a_suggested_command_is_quoted(folder, run, tmp_path):
    path = tmp_path / "a chip.h5"
    path.write_bytes((folder / "chip.h5").read_bytes())
    assert f"`rramfit measurement inspect '{path}'`" in run("card", "show", path).stderr


def test_a_damaged_file_keeps_its_own_message(run, tmp_path):
    (tmp_path / "cut.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    result = run("measurement", "inspect", tmp_path / "cut.h5")
    assert result.exit_code == 3
    assert "damaged HDF5 file" in result.stderr
