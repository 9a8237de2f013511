"""`rramfit measurement`: results on standard output, exit codes that mean something."""

import json

import h5py
import pytest
from click.testing import CliRunner

from rramfit.errors import MeasurementError
from rramfit_cli.measurement import measurement


def run(*arguments):
    return CliRunner().invoke(measurement, [str(a) for a in arguments])


@pytest.fixture
def spoilt(full, tmp_path):
    path = tmp_path / "spoilt.h5"
    path.write_bytes(full.read_bytes())
    with h5py.File(path, "a") as f:
        f.attrs["cell"] = "?"
        del f["program/conductance"].attrs["units"]
        f["extra"] = 1
    return path


def test_validate_lists_everything_of_all_files(full, spoilt):
    good, both = run("validate", full), run("validate", full, spoilt)
    assert (good.exit_code, both.exit_code) == (0, 3)
    assert "keeps to layout 1.0" in good.stdout
    for where in ("/@cell", "/program/conductance", "/extra", "2 problems"):
        assert where in both.stdout


def test_validate_json_is_one_object(full, spoilt):
    result = run("validate", full, spoilt, "--json")
    said = json.loads(result.stdout)
    assert (result.exit_code, said["valid"]) == (3, False)
    assert [f["valid"] for f in said["files"]] == [True, False]
    assert {p["where"] for p in said["files"][1]["problems"]} == {"/@cell", "/program/conductance"}
    assert [p["where"] for p in said["files"][1]["notes"]] == ["/extra"]


def test_a_file_that_is_not_there_is_refused(tmp_path):
    result = run("validate", tmp_path / "none.h5")
    assert result.exit_code == 3
    assert "no such file" in result.stdout


def test_inspect(full):
    shown = run("inspect", full)
    assert shown.exit_code == 0
    assert "chip 7 / tile 2" in shown.stdout
    assert "line resistance" in shown.stdout
    said = json.loads(run("inspect", full, "--json").stdout)
    assert {g["name"] for g in said["groups"]} >= {"program", "mvm"}
    assert all(f["allowed"] for f in said["fits"])


def test_inspect_leaves_a_bad_file_to_the_command_line(spoilt):
    assert isinstance(run("inspect", spoilt).exception, MeasurementError)
