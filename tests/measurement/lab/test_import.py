"""`rramfit measurement import` and `guess-layout`: what they print, write and refuse."""

import json

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from rramfit.measurement import read_measurement
from rramfit_cli.main import cli


def run(*arguments, given=None):
    return CliRunner().invoke(cli, ["measurement", *map(str, arguments)], input=given)


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.csv"
    rows = [f"{i // 6},{i % 6},{10 + i / 7:.4f}" for i in range(36)]
    path.write_text("\n".join(["row,col,R (kohm)", *rows, "9,9,oops"]) + "\n")
    return path


def test_the_preview_shows_rows_assumptions_and_a_map(log, tmp_path):
    out = tmp_path / "chip.h5"
    result = run("import", log, "-o", out, given="n\n")
    assert result.exit_code == 1
    assert not out.exists()
    for text in (
        "first 10 rows",
        "10.1429",
        "read_voltage = 0.2  # CHECK",
        "█",
        "66.7 uS to 100 uS",
    ):
        assert text in result.stdout


def test_an_import_writes_a_valid_file_with_its_layout(log, tmp_path):
    out = tmp_path / "chip.h5"
    result = run("import", log, "-o", out, given="y\n")
    assert result.exit_code == 0, result.output
    assert "conforms to layout" in result.stdout
    assert "1 bad row" in result.stdout
    assert "38" in result.stdout  # its line
    m = read_measurement(out)
    g = m.program.read_all().conductance[0]
    assert g[5, 5] == pytest.approx(1e-3 / 15)
    with h5py.File(out) as f:
        stored = f["layout_file"][0].decode()
    (tmp_path / "again.toml").write_text(stored)
    assert (
        run("convert", log, "--layout", tmp_path / "again.toml", "-o", tmp_path / "b.h5").exit_code
        == 0
    )
    np.testing.assert_array_equal(
        read_measurement(tmp_path / "b.h5").program.read_all().conductance[0], g
    )


def test_yes_does_not_ask_and_the_same_import_gives_the_same_bytes(log, tmp_path):
    first, second = tmp_path / "a.h5", tmp_path / "b.h5"
    for out in (first, second):
        result = run("import", log, "-o", out, "--yes")
        assert result.exit_code == 0
        assert "Write" not in result.stdout
    assert first.read_bytes() == second.read_bytes()


def test_a_layout_file_is_used_as_it_is(log, tmp_path):
    lab = tmp_path / "lab.toml"
    lab.write_text(run("guess-layout", log).stdout.replace('id = "log"', 'id = "chip 7"'))
    out = tmp_path / "chip.h5"
    assert run("import", log, "--layout", lab, "-o", out, "--yes").exit_code == 0
    assert read_measurement(out).identity.array_id == "chip 7"
    with h5py.File(out) as f:
        assert f["layout_file"][0].decode() == lab.read_text()


def test_a_file_of_another_program_is_kept(log, tmp_path):
    out = tmp_path / "chip.h5"
    out.write_text("mine")
    assert run("import", log, "-o", out, "--yes").exit_code != 0
    assert out.read_text() == "mine"


def test_the_group_can_be_stated(log, tmp_path):
    assert "[retention]" in run("guess-layout", log, "--as", "retention").stdout
    refused = run("guess-layout", log, "--as", "iv")
    assert refused.exit_code == 3
    assert "expected a voltage and a current" in refused.stderr
    assert "Traceback" not in refused.output


@pytest.mark.parametrize("command", [["guess-layout"], ["import", "-o", "out.h5", "--yes"]])
def test_files_that_are_no_logs_are_refused_in_a_sentence(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    card = tmp_path / "card.json"
    card.write_text(json.dumps({"schema_version": "1.0", "levels": [1.5, 2.5]}))
    result = run(command[0], card, *command[1:])
    assert result.exit_code == 3
    assert "model card" in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "out.h5").exists()
