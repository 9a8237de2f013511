"""`rramfit characterize`: files written, messages and exit codes."""

import json

import h5py
import numpy as np
import pytest

from rramfit.card import load_card, load_cells
from rramfit.provenance import sha256_of


@pytest.fixture(scope="module")
def done(small_chip, tmp_path_factory):
    """One run, shared by the tests that only inspect it."""
    from click.testing import CliRunner

    from rramfit_cli.main import cli

    out = tmp_path_factory.mktemp("out")
    result = CliRunner().invoke(cli, ["characterize", str(small_chip), "-o", str(out)])
    return result, out


def test_card_cells_and_report_are_written(done, small_chip):
    result, out = done
    assert result.exit_code == 0, result.output
    assert {p.name for p in out.iterdir()} == {
        "small.card.json",
        "small.cells.h5",
        "small.report.html",
    }
    card = load_card(out / "small.card.json")
    assert card.cells is not None
    assert card.cells.sha256 == sha256_of(out / card.cells.file)
    assert card.provenance.inputs[0].sha256 == sha256_of(small_chip)
    assert load_cells(out / card.cells.file).fault.shape == (24, 20)


def test_same_input_and_seed_same_bytes(done, small_chip, run, tmp_path):
    result = run("characterize", small_chip, "-o", tmp_path)
    assert result.exit_code == 0
    for path in done[1].iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_the_input_is_not_changed(small_chip, run, tmp_path):
    before = sha256_of(small_chip)
    run("characterize", small_chip, "-o", tmp_path, "--no-report")
    assert sha256_of(small_chip) == before


def test_json_is_one_object_on_standard_output(small_chip, run, tmp_path):
    result = run("characterize", small_chip, "-o", tmp_path, "--json", "--no-report", "--name", "x")
    (entry,) = json.loads(result.stdout)["files"]
    assert entry["verdict"] in ("ok", "warning")
    assert load_card(entry["card"]).name == "x"
    assert entry["report"] is None
    assert not list(tmp_path.glob("*.html"))


def test_a_file_that_is_not_hdf5_is_rejected_without_a_traceback(run, tmp_path):
    path = tmp_path / "bad.h5"
    path.write_text("not HDF5")
    result = run("characterize", path, "-o", tmp_path / "out")
    assert result.exit_code == 3
    assert str(path) in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_usage_errors_are_2(run, small_chip):
    assert run("characterize", small_chip, small_chip, "--name", "x").exit_code == 2
    assert run("characterise", small_chip).exit_code == 2
    assert run("characterize", small_chip, "--name", "a/b").exit_code == 2
    assert run("characterize", small_chip, "--seed", -1).exit_code == 2


def test_an_unwritable_folder_is_an_error_before_the_work(run, small_chip, tmp_path):
    (tmp_path / "file").write_text("")
    result = run("characterize", small_chip, "-o", tmp_path / "file" / "deep")
    assert result.exit_code == 2
    assert f"cannot write {tmp_path / 'file' / 'deep'}" in result.stderr


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_unwritable_result_is_a_usage_error(run, small_chip, tmp_path, jobs):
    other = tmp_path / "other.h5"
    other.write_bytes(small_chip.read_bytes())
    (tmp_path / "out" / "small.card.json").mkdir(parents=True)
    result = run(
        "characterize", small_chip, other, "-o", tmp_path / "out", "--no-report", "--jobs", jobs
    )
    assert result.exit_code == 2
    assert "small.card.json: Is a directory" in result.stderr
    assert not list(tmp_path.rglob("*.part"))


def test_exit_code_4_for_a_bad_verdict_and_the_card_is_written(small_chip, run, tmp_path):
    path = tmp_path / "repeated.h5"
    path.write_bytes(small_chip.read_bytes())
    with h5py.File(path, "r+") as f:
        g = f["program/conductance"]
        g[-1] = np.asarray(g[-2])  # a sweep that was written twice
        del f.attrs["content_sha256"]  # edited on purpose
    result = run("characterize", path, "-o", tmp_path, "--no-report")
    assert result.exit_code == 4, result.output
    assert load_card(tmp_path / "repeated.card.json").quality.verdict == "bad"


def test_a_lot_has_one_card_per_file_and_a_row_for_a_bad_file(small_chip, run, tmp_path):
    second, bad = tmp_path / "second.h5", tmp_path / "bad.h5"
    second.write_bytes(small_chip.read_bytes())
    bad.write_text("not HDF5")
    results = {}
    for jobs in (1, 2):
        out = tmp_path / str(jobs)
        result = run(
            "characterize", small_chip, bad, second, "-o", out, "--jobs", jobs, "--no-report"
        )
        assert result.exit_code == 3
        results[jobs] = {p.name: p.read_bytes() for p in out.iterdir()}
    assert results[1] == results[2]
    assert set(results[1]) == {
        "lot.csv",
        *(f"{name}.{kind}" for name in ("small", "second") for kind in ("card.json", "cells.h5")),
    }
    rows = results[1]["lot.csv"].decode().splitlines()
    verdicts = [row.split(",")[2] for row in rows[1:]]
    assert verdicts[1] == "refused"
    assert "bad.h5" in rows[2]
    assert verdicts[0] == verdicts[2] != "refused"


def test_two_files_with_the_same_card_name_are_rejected(small_chip, run, tmp_path):
    twin = tmp_path / small_chip.name
    twin.write_bytes(small_chip.read_bytes())
    result = run("characterize", small_chip, twin, "-o", tmp_path / "out")
    assert result.exit_code == 3
    assert "Rename the files" in result.stderr
