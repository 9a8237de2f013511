"""Tests of `rramfit measurement`: standard output and exit codes."""

import json

import h5py
import pytest
from click.testing import CliRunner

from rramfit_cli.main import cli


def run(*arguments):
    return CliRunner().invoke(cli, ["measurement", *map(str, arguments)])


@pytest.fixture
def damaged(full, tmp_path):
    path = tmp_path / "damaged.h5"
    path.write_bytes(full.read_bytes())
    with h5py.File(path, "a") as f:
        f.attrs["cell"] = "?"
        del f["program/conductance"].attrs["units"]
        f["extra"] = 1
    return path


def test_validate_lists_all_problems_of_all_files(full, damaged):
    good, both = run("validate", full), run("validate", full, damaged)
    assert (good.exit_code, both.exit_code) == (0, 3)
    assert "conforms to layout 1.0" in good.stdout
    for where in ("/@cell", "/program/conductance", "/extra", "2 problems"):
        assert where in both.stdout


def test_validate_json_is_one_object(full, damaged):
    result = run("validate", full, damaged, "--json")
    printed = json.loads(result.stdout)
    assert (result.exit_code, printed["valid"]) == (3, False)
    assert [f["valid"] for f in printed["files"]] == [True, False]
    assert {p["where"] for p in printed["files"][1]["problems"]} == {
        "/@cell",
        "/program/conductance",
    }
    assert [p["where"] for p in printed["files"][1]["notes"]] == ["/extra"]


def test_a_missing_file_is_rejected(tmp_path):
    result = run("validate", tmp_path / "none.h5")
    assert result.exit_code == 3
    assert "no such file" in result.stdout


def test_inspect_shows_contents_and_allowed_fits(full):
    shown = run("inspect", full)
    assert shown.exit_code == 0
    assert "chip 7 / tile 2" in shown.stdout
    assert "line resistance" in shown.stdout
    printed = json.loads(run("inspect", full, "--json").stdout)
    assert {g["name"] for g in printed["groups"]} >= {"program", "mvm"}
    missing = {f["fit"] for f in printed["fits"] if not f["allowed"]}
    assert missing == {
        "read disturb", "random telegraph noise", "gauge study", "activation energy",
        "programming effort", "pulse response",
    }  # fmt: skip


def test_inspect_rejects_an_invalid_file(damaged):
    assert run("inspect", damaged).exit_code == 3


def test_convert_lists_bad_rows_and_writes_the_rest(tmp_path):
    log, lab, out = (tmp_path / n for n in ("log.csv", "lab.toml", "out.h5"))
    log.write_text("0,100\n1,OL\n2,20,9\n3,10\n")
    lab.write_text(
        """
[array]
id = "chip"
cell = "1T1R"
rows = 2
cols = 2
[source]
kind = "table"
columns = ["addr", "r"]
[cells]
row = "addr >> 1"
col = "addr & 1"
[program]
conductance = { column = "r", units = "kohm" }
read_voltage = 0.2
"""
    )
    shown = run("convert", log, "--layout", lab, "-o", out)
    assert shown.exit_code == 0
    assert "2 bad rows ignored" in shown.stdout
    assert "r is not a number: line 2, first: 'OL'" in shown.stdout
    assert "3 fields instead of 2: line 3" in shown.stdout
    assert run("validate", out).exit_code == 0
    printed = json.loads(run("convert", log, "--layout", lab, "-o", out, "--json").stdout)
    assert printed["written"] == [str(out)]
    assert (printed["rows"], printed["bad_rows"]) == (4, 2)
    assert sorted(b["lines"] for b in printed["bad"]) == [[2], [3]]


def test_an_output_that_cannot_be_written_is_a_usage_error(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("".join(f"{a},{12e3 + a / 7}\n" for a in range(100)))
    result = run("guess-layout", log, "-o", log / "lab.toml")
    assert result.exit_code == 2
    assert "cannot write" in result.stderr


def test_guess_layout_to_standard_output_or_a_file(tmp_path):
    log, lab = tmp_path / "log.csv", tmp_path / "lab.toml"
    log.write_text("".join(f"{a},{12e3 + a / 7}\n" for a in range(100)))
    shown = run("guess-layout", log)
    assert 'kind = "table"' in shown.stdout
    written = run("guess-layout", log, "-o", lab)
    assert written.stdout == ""
    assert lab.read_text() == shown.stdout
