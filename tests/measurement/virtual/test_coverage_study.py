"""The coverage study: it runs, goes on where it stopped, and finds what is wrong with intervals."""

import csv
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

ONE_SWEEP = ["--cases", "one sweep"]


@pytest.fixture
def study(repo, tmp_path):
    def run(*arguments):
        done = subprocess.run(
            [
                sys.executable, "tests/studies/coverage", *arguments,
                "--records", str(tmp_path / "records"), "--out", str(tmp_path / "coverage.csv"),
            ],
            cwd=repo, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done

    return run


def test_a_run_goes_on_where_it_stopped(study, tmp_path):
    study(*ONE_SWEEP, "--chips", "1")
    records = tmp_path / "records/one-sweep.csv"
    first = records.read_text()
    # an interruption in the middle of a chip: its rows do not count
    records.write_text(first + "1,levels[0].mean,1e-5,9e-5,1e-9,9e-5,9e-5\n")
    done = study(*ONE_SWEEP, "--chips", "2")
    assert "1 of 1 chips" in done.stderr
    rows = pd.read_csv(records)
    assert (rows.parameter == "done").sum() == 2
    assert records.read_text().startswith(first)
    table = pd.read_csv(tmp_path / "coverage.csv")
    means = table[table.parameter == "levels.mean"].iloc[0]
    assert (means.chips, means.intervals) == (2, 6)
    assert means["far"] == 0  # the row of the interrupted chip was replaced
    assert "## one sweep" in (tmp_path / "coverage.md").read_text()


def test_the_cases_are_listed(study):
    listed = study("--list").stdout.splitlines()
    assert len(listed) > 12
    assert listed[0].startswith("calm: ")


def test_the_table_tells_right_intervals_from_wrong_ones(study, tmp_path):
    """Records of known quality: right, too narrow, too wide, and far off in one chip of twenty."""
    rng = np.random.default_rng(3)
    folder = tmp_path / "records"
    folder.mkdir()
    stated = {"right": 1.0, "narrow": 0.5, "wide": 2.0, "far": 1.0}
    with (folder / "one-sweep.csv").open("w", newline="") as f:
        out = csv.writer(f)
        out.writerow(["chip", "parameter", "truth", "value", "stderr", "low", "high"])
        for chip in range(200):
            common = rng.standard_normal()  # the levels of a chip are not independent
            for name, s in stated.items():
                for k in range(3):
                    z = 0.6 * common + 0.8 * rng.standard_normal()
                    z += 20.0 if name == "far" and chip % 20 == 0 else 0.0
                    out.writerow([chip, f"x[{k}].{name}", 0, z, s, z - 1.96 * s, z + 1.96 * s])
            out.writerow([chip, "failed heldout" if chip < 7 else "failed iv", *[""] * 5])
            out.writerow([chip, "done", "", 0.5, "", "", ""])
    study(*ONE_SWEEP, "--chips", "200")
    table = pd.read_csv(tmp_path / "coverage.csv").set_index("parameter")
    assert table.verdict[["x.right", "x.narrow", "x.wide"]].tolist() == [
        "ok", "OUT, too narrow", "OUT, too wide",
    ]  # fmt: skip
    assert table.verdict["x.far"].startswith(("OUT", "within"))
    assert table.far["x.far"] == pytest.approx(0.05)
    assert table["stated/actual"]["x.wide"] == pytest.approx(2.0, rel=0.15)
    # 600 intervals of 200 chips with correlated levels are worth fewer than 600
    width = table.high["x.right"] - table.low["x.right"]
    assert width > 2 * 1.96 * np.sqrt(0.05 * 0.95 / 600)
    report = (tmp_path / "coverage.md").read_text()
    assert "Fits without result: iv (193 chips), heldout (7 chips)." in report
    assert "2 are out" in report or "3 are out" in report
