"""`rramfit characterize --layout`: logs, tiles, bad rows, and several logs of one array."""

import json

import numpy as np
import pytest

from rramfit.card import load_card
from rramfit.provenance import sha256_of

LAYOUT = """
[array]
id = "lab"
cell = "1T1R"
rows = 16
cols = 32
tiles = [16, 16]
[source]
kind = "table"
columns = ["addr", "sweep", "level", "g"]
[cells]
row = "addr // 32"
col = "addr % 32"
[levels]
target = [10, 40]
lower = [5, 30]
upper = [15, 50]
units = "uS"
[program]
conductance = { column = "g", units = "uS" }
sweep = "sweep"
level = { column = "level" }
read_voltage = 0.2
"""


@pytest.fixture
def lab(tmp_path):
    """Return the path of a layout file."""
    path = tmp_path / "lab.toml"
    path.write_text(LAYOUT)
    return path


def rows(seed, sweeps=6):
    rng = np.random.default_rng(seed)
    for t in range(sweeps):
        for addr, z in enumerate(rng.standard_normal(512)):
            yield f"{addr},{t},{t % 2},{(10, 40)[t % 2] * (1 + 0.05 * z):.5f}"


def log(path, seed, *, bad=()):
    path.write_text("\n".join([*rows(seed), *bad]) + "\n")
    return path


def test_each_tile_gets_a_card_that_names_its_files_and_bad_rows(lab, tmp_path, run):
    path = log(tmp_path / "chip.csv", 1, bad=["7,0,1", "9999,0,1,10.0", "3,0,1,volts"])
    out = tmp_path / "out"
    result = run("characterize", "--layout", lab, path, "-o", out, "--no-report")
    assert result.exit_code == 0, result.output
    cards = [load_card(out / f"chip_tile{k}.card.json") for k in range(2)]
    for k, card in enumerate(cards):
        assert card.array.id == f"lab/tile{k}"
        assert (card.array.rows, card.array.cols) == (16, 16)
        assert [i.sha256 for i in card.provenance.inputs] == [sha256_of(path), sha256_of(lab)]
        recorded = card.provenance.arguments
        expected = {"layout": "lab.toml", "tile": k, "rows": 3075, "bad_rows": 3}
        assert {name: recorded[name] for name in expected} == expected
        conversion = card.quality.fits["conversion"]
        assert conversion.verdict == "warning"
        assert "3 of 3075 rows" in conversion.findings[0]
        for line in (3073, 3074, 3075):
            assert str(line) in conversion.findings[0]
    assert cards[0].levels[0].mean.value == pytest.approx(10e-6, rel=0.02)
    assert (out / "lot.csv").exists()
    assert "3 of 3075" in result.stdout


def test_a_log_with_many_bad_rows_gets_a_bad_verdict(lab, tmp_path, run):
    path = log(tmp_path / "chip.csv", 2, bad=["1,0"] * 400)
    result = run("characterize", "--layout", lab, path, "-o", tmp_path, "--no-report")
    assert result.exit_code == 4
    assert "400 of 3472 rows" in result.stdout


def test_the_number_of_jobs_does_not_change_the_cards(lab, tmp_path, run):
    logs = [log(tmp_path / f"chip{i}.csv", i) for i in range(2)]
    bad = tmp_path / "empty.csv"
    bad.write_text("")
    found = {}
    for jobs in (1, 2):
        out = tmp_path / str(jobs)
        arguments = ("--layout", lab, logs[0], bad, logs[1], "-o", out, "--no-report")
        result = run("characterize", *arguments, "--jobs", jobs, "--json")
        assert result.exit_code == 3
        names = [f["name"] for f in json.loads(result.stdout)["files"]]
        assert names == ["chip0_tile0", "chip0_tile1", "empty", "chip1_tile0", "chip1_tile1"]
        found[jobs] = {p.name: p.read_bytes() for p in out.iterdir()}
    assert found[1] == found[2]


def test_logs_indexed_by_file_are_one_measurement(tmp_path, run):
    lab = tmp_path / "bake.toml"
    lab.write_text(
        LAYOUT.split("[program]")[0]
        .replace("tiles = [16, 16]\n", "")
        .replace('["addr", "sweep", "level", "g"]', '["addr", "g"]')
        + """
[retention]
conductance = { column = "g", units = "uS" }
read = "file"
time = { values = [1, 3600], units = "s" }
level = { reading = 0 }
temperature = 358.15
"""
    )
    rng = np.random.default_rng(3)
    before = np.where(rng.random(512) < 0.5, 40.0, 10.0) + rng.standard_normal(512)
    after = before * 0.9 + 0.2 * rng.standard_normal(512)
    paths = [tmp_path / "pre.csv", tmp_path / "post.csv"]
    for path, g in zip(paths, (before, after), strict=True):
        path.write_text("\n".join(f"{a},{x:.5f}" for a, x in enumerate(g)) + "\n")
    result = run("characterize", "--layout", lab, *paths, "-o", tmp_path, "--no-report", "--json")
    assert result.exit_code == 0, result.output
    (entry,) = json.loads(result.stdout)["files"]
    card = load_card(entry["card"])
    assert card.name == "pre"
    assert [i.name for i in card.provenance.inputs] == ["pre.csv", "post.csv", "bake.toml"]
    assert card.retention is not None


def test_an_invalid_layout_is_rejected(tmp_path, run):
    lab = tmp_path / "lab.toml"
    lab.write_text("[source]\nkind = 'tablet'\n")
    path = log(tmp_path / "chip.csv", 1)
    result = run("characterize", "--layout", lab, path, "-o", tmp_path / "out")
    assert result.exit_code == 3
    assert "tablet" in result.stderr
    assert not (tmp_path / "out").exists()
