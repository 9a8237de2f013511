"""An input file that is missing or cannot be read is a rejected input: exit code 3, every command.

A wrong value of an option stays a usage error, exit code 2.
"""

import os

import click
import pytest

from rramfit_cli.main import cli
from rramfit_cli.options.types import INPUT, InputStream

COMMANDS = (
    ("characterize", "IN"),
    ("characterize", "--files-from", "IN"),
    ("characterize", "CHIP", "--layout", "IN"),
    ("validate", "IN", "CHIP"),
    ("card", "show", "IN"),
    ("card", "validate", "IN"),
    ("card", "compare", "IN", "IN"),
    ("card", "take", "IN", "--levels", "0", "-o", "OUT"),
    ("card", "export", "IN", "-o", "OUT"),
    ("card", "pool", "IN"),
    ("card", "trend", "IN"),
    ("lot", "merge", "FOLDER", "-o", "OUT"),
    ("measurement", "inspect", "IN"),
    ("measurement", "convert", "IN", "--layout", "IN", "-o", "OUT"),
    ("measurement", "guess-layout", "IN"),
    ("measurement", "plan-lines", "IN"),
    ("measurement", "synthesize", "IN", "-o", "OUT"),
    ("array", "solve", "IN"),
    ("array", "compare", "IN"),
    ("map", "--card", "IN"),
    ("evaluate", "--cells", "IN"),
    ("evaluate", "--replay", "IN"),
    ("train", "--teacher", "IN", "-o", "OUT"),
    ("train", "--recipe", "IN", "-o", "OUT"),
    ("retrain", "--checkpoint", "IN"),
    ("ablate", "--checkpoint", "IN"),
)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_missing_file_is_a_rejected_input(run, small_chip, tmp_path, arguments):
    missing = tmp_path / "missing.toml"
    of = {"IN": missing, "FOLDER": missing, "CHIP": small_chip, "OUT": tmp_path / "out.csv"}
    done = run(*(of.get(x, x) for x in arguments))
    assert done.exit_code == 3, done.output
    said = done.output
    assert f"{missing}: found no such f" in said
    assert ": /:" not in said
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("arguments", [x for x in COMMANDS if "FOLDER" not in x], ids=" ".join)
def test_a_folder_is_not_an_input_file(run, small_chip, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    of = {"IN": ".", "CHIP": small_chip, "OUT": tmp_path / "out.csv"}
    done = run(*(of.get(x, x) for x in arguments))
    assert done.exit_code == 3, done.output
    assert f"{tmp_path}: found a folder, expected" in done.output  # not ".: /: found a folder"


def test_files_to_validate_are_listed_one_by_one(run, small_chip, tmp_path):
    done = run("measurement", "validate", tmp_path / "missing.h5", small_chip)
    assert done.exit_code == 3
    assert "no such file" in done.stdout
    assert f"{small_chip}" in done.stdout


def test_a_file_is_not_an_input_folder(run, small_chip, tmp_path):
    done = run("lot", "merge", small_chip, "-o", tmp_path / "out")
    assert done.exit_code == 3
    assert f"{small_chip}: found a file, expected a readable folder." in done.stderr


def test_a_file_without_permission(run, small_chip, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may read every file
    done = run("card", "show", small_chip)
    assert done.exit_code == 3
    assert "no permission to read it, expected a readable file. Change its" in done.stderr


def test_a_path_that_no_file_can_have(run):
    done = run("card", "show", "x" * 5000)
    assert done.exit_code == 3
    assert "found File name too long, expected a readable file." in done.stderr


def test_a_pipe_is_a_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert INPUT.convert(str(pipe), None, None) == pipe


def test_wrong_use_of_an_option_is_not_a_rejected_input(run, small_chip):
    assert run("map", "--card").exit_code == 2
    assert run("map", "--dac-bits", "99").exit_code == 2
    assert run("card", "show", small_chip, small_chip).exit_code == 2


def input_types(command, path=()):
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from input_types(command.get_command(context, name), (*path, name))
    else:
        for parameter in command.params:
            yield " ".join((*path, parameter.opts[0])), parameter.type


def test_no_command_checks_files_in_its_own_way():
    for name, kind in input_types(cli):
        assert not (isinstance(kind, click.Path) and kind.exists), name
        assert not isinstance(kind, click.File) or isinstance(kind, InputStream), name
