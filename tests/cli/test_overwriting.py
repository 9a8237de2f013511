"""No command writes over a file that it did not write itself, except with `--force`.

Each command gets, in the place of its output, a measured file, a card, a log and a file of unknown
content; then its own earlier output.
"""

import json
import shutil

import h5py
import numpy as np
import pytest
import torch

from rramfit.card import save_card
from rramfit.measurement import ArrayIdentity, Levels, Measurement, program_in_memory
from rramfit.measurement.file.write import write_measurement
from rramfit.measurement.virtual.cards import random_card

ROWS, COLS = 6, 5


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, small_chip):
    """What the commands read."""
    folder = tmp_path_factory.mktemp("inputs")
    for k in range(2):
        save_card(random_card(k, levels=2, array=(ROWS, COLS)), folder / f"card{k}.json")
    shutil.copy(small_chip, folder / "chip.h5")
    np.save(folder / "g.npy", np.full((4, 3), 1e-5))
    lines = [f"{r},{c},{1e5 + 10 * r + c}" for r in range(4) for c in range(4)]
    (folder / "log.csv").write_text("row,col,R\n" + "\n".join(lines) + "\n")
    (folder / "layout.toml").write_text(
        '[array]\nid = "a"\ncell = "1T1R"\nrows = 4\ncols = 4\n'
        '[source]\nkind = "table"\nheader = true\n'
        '[cells]\nrow = "row"\ncol = "col"\n'
        '[program]\nconductance = { column = "R", units = "ohm" }\nread_voltage = 0.2\n'
    )
    return folder


@pytest.fixture(scope="module")
def precious(tmp_path_factory):
    """Files that none of the commands wrote."""
    folder = tmp_path_factory.mktemp("precious")
    m = Measurement(
        path=None,
        identity=ArrayIdentity(array_id="measured", cell="1T1R"),
        rows=2,
        cols=2,
        levels=Levels(target=np.array([1e-5])),
        program=program_in_memory(
            np.full((2, 2, 2), 1e-5), read_voltage=0.2, level=np.zeros((2, 2, 2), np.int64)
        ),
    )
    write_measurement(m, folder / "converted.h5")
    shutil.copy(folder / "converted.h5", folder / "measured.h5")
    with h5py.File(folder / "measured.h5", "a") as f:
        f.attrs["comment"] = "measured on Tuesday"  # no longer what rramfit wrote
    card = random_card(7)
    save_card(card, folder / "chip.card.json")
    edited = json.loads((folder / "chip.card.json").read_text())
    edited["levels"][0]["name"] = "mine"
    (folder / "edited.card.json").write_text(json.dumps(edited))
    (folder / "log.csv").write_text("addr,R\n0,12500\n1,13000\n")
    (folder / "numbers.csv").write_text("1e-5,2e-5\n3e-5,4e-5\n")
    np.save(folder / "matrix.npy", np.array([[1e-5, 2e-5], [3e-5, 4e-5]]))
    torch.save({"weight": torch.zeros(2)}, folder / "mine.pt")
    (folder / "page.html").write_text("<!DOCTYPE html>\n<title>my page</title>")
    (folder / "notes.txt").write_text("do not lose this\n")
    (folder / "binary").write_bytes(b"\0\1\2 something")
    return folder


WIRES = ("--r-wl", "1", "--r-bl", "1", "--r-driver", "1", "--r-sense", "1")

COMMANDS = {
    "synthesize": ("measurement", "synthesize", "{in}/card0.json", "--sweeps", "1", "-o", "{out}"),
    "convert": (
        "measurement", "convert", "{in}/log.csv", "--layout", "{in}/layout.toml", "-o", "{out}",
    ),
    "guess-layout": ("measurement", "guess-layout", "{in}/log.csv", "-o", "{out}"),
    "card take": ("card", "take", "{in}/card0.json", "--levels", "1", "-o", "{out}"),
    "card export": ("card", "export", "{in}/card0.json", "-o", "{out}.csv"),
    "array solve": ("array", "solve", "{in}/g.npy", "--unit", "S", *WIRES, "-o", "{out}"),
    "card pool": ("card", "pool", "{in}/card0.json", "{in}/card1.json", "-o", "{out}"),
    "plan-lines": (
        "measurement", "plan-lines", "{in}/card0.json", "--want", "driver=1e6", *WIRES,
        "-o", "{out}.csv",
    ),
    "sample": ("measurement", "sample", "-o", "{out}"),
    "map plan": ("map", "mlp", "--card", "{in}/card0.json", "--plan", "{out}"),
    "map report": ("map", "mlp", "--card", "{in}/card0.json", "--report", "{out}"),
}  # fmt: skip

RUN = [name for name in COMMANDS if name != "card pool"]
"""Those that can do their work with these inputs."""

TABLES = {"card export", "plan-lines"}

OWN_KIND = {"converted.h5": {"convert"}}
"""Files that a command could have written itself."""


def command(name, inputs, out):
    return [str(a).format_map({"in": inputs, "out": out}) for a in COMMANDS[name]]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_that_it_did_not_write_is_kept(run, inputs, precious, tmp_path, name):
    kept = sorted(precious.iterdir())
    assert len(kept) == 11
    for file in kept:
        if name in OWN_KIND.get(file.name, ()):
            continue
        out = tmp_path / file.name
        target = out.with_name(f"{out.name}.csv") if name in TABLES else out
        shutil.copy(file, target)
        result = run(*command(name, inputs, out))
        assert result.exit_code == 3, (file.name, result.output)
        assert f"{target} exists and is a" in result.stderr, file.name
        assert "--force" in result.stderr
        assert target.read_bytes() == file.read_bytes()
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("name", RUN)
def test_its_own_earlier_output_is_replaced(run, inputs, tmp_path, name):
    out = tmp_path / "out"
    for _ in range(2):
        result = run(*command(name, inputs, out))
        assert result.exit_code == 0, result.output
    if name not in ("guess-layout", "map plan", "map report", "array solve"):
        changed = [a.replace("card0", "card1") for a in command(name, inputs, out)]
        assert run(*changed).exit_code == 0


@pytest.mark.parametrize("name", RUN)
def test_force_replaces_anything(run, inputs, precious, tmp_path, name):
    out = tmp_path / "out"
    target = tmp_path / "out.csv" if name in TABLES else out
    shutil.copy(precious / "measured.h5", target)
    result = run(*command(name, inputs, out), "--force")
    assert result.exit_code == 0, result.output
    assert target.read_bytes() != (precious / "measured.h5").read_bytes()


def test_a_draft_that_was_edited_is_kept(run, inputs, tmp_path):
    out = tmp_path / "draft.toml"
    assert run(*command("guess-layout", inputs, out)).exit_code == 0
    out.write_text(out.read_text().replace("CHECK", "checked"))
    assert run(*command("guess-layout", inputs, out)).exit_code == 3
    assert "checked" in out.read_text()


def test_a_card_of_another_command_is_kept(run, inputs, tmp_path):
    """A card that `characterize` wrote is not one that `card take` writes."""
    out = tmp_path / "chip.card.json"
    shutil.copy(inputs / "card1.json", out)
    result = run(*command("card take", inputs, out))
    assert result.exit_code == 3
    assert "is a model card" in result.stderr
    assert out.read_bytes() == (inputs / "card1.json").read_bytes()


@pytest.mark.parametrize("ending", ["card.json", "cells.h5", "report.html"])
def test_characterize_keeps_files_in_its_folder(run, inputs, precious, tmp_path, ending):
    path = tmp_path / f"chip.{ending}"
    shutil.copy(precious / "measured.h5", path)
    result = run("characterize", inputs / "chip.h5", "-o", tmp_path)
    assert result.exit_code == 3
    assert f"{path} exists and is a measurement file" in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_characterize_keeps_a_table_called_lot(run, inputs, precious, tmp_path):
    shutil.copy(inputs / "chip.h5", tmp_path / "chip2.h5")
    shutil.copy(precious / "log.csv", tmp_path / "lot.csv")
    result = run("characterize", inputs / "chip.h5", tmp_path / "chip2.h5", "-o", tmp_path)
    assert result.exit_code == 3
    assert "lot.csv exists" in result.stderr
    assert (tmp_path / "lot.csv").read_bytes() == (precious / "log.csv").read_bytes()


@pytest.mark.parametrize("name", ["net.pt", "net.csv", "net.state", "net.plain.pt"])
@pytest.mark.parametrize("file", ["measured.h5", "log.csv", "mine.pt"])
def test_training_keeps_other_files_before_any_work(run, precious, tmp_path, name, file):
    path = tmp_path / name
    shutil.copy(precious / file, path)
    result = run("train", "mlp", "-o", tmp_path / "net.pt")
    assert result.exit_code == 3
    assert f"{path} exists" in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert path.read_bytes() == (precious / file).read_bytes()


def test_training_over_a_measurement_by_its_own_name(run, precious, tmp_path):
    path = tmp_path / "precious.h5"
    shutil.copy(precious / "converted.h5", path)
    result = run("train", "-o", path)
    assert result.exit_code == 3
    assert "is a measurement file that this command did not write" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("evaluate", "mlp", "-o"),
        ("ablate", "mlp", "-o"),
        ("train", "mlp", "--report"),
    ],
    ids=lambda a: a[0],
)
def test_a_report_keeps_other_files_before_any_work(run, precious, tmp_path, arguments):
    path = tmp_path / "out.html"
    for file in ("measured.h5", "chip.card.json", "page.html"):
        shutil.copy(precious / file, path)
        result = run(*arguments, path)
        assert result.exit_code == 3
        assert f"{path} exists" in result.stderr
        assert path.read_bytes() == (precious / file).read_bytes()


def test_every_command_that_writes_has_the_option():
    """So that a new command does not forget it."""
    import click

    from rramfit_cli.main import cli

    def commands(group, path=()):
        context = click.Context(group)
        for name in group.list_commands(context):
            found = group.get_command(context, name)
            if isinstance(found, click.Group):
                yield from commands(found, (*path, name))
            else:
                yield (*path, name), found

    writing = {"-o", "--output", "--out", "--report", "--plan", "--tables"}
    missing = [
        " ".join(path)
        for path, command in commands(cli)
        if writing & {o for p in command.params for o in p.opts}
        and not any("--force" in p.opts for p in command.params)
    ]
    assert not missing
