"""A wrong layout file is found out by every command that takes it, before any fit or file."""

import numpy as np
import pytest

LAYOUT = """
[array]
id = "a"
cell = "1T1R"
rows = 8
cols = 8
[source]
kind = "table"
columns = ["row", "col", "r"]
[levels]
target = [10.0, 50.0]
units = "uS"
[cells]
row = "row"
col = "col"
[program]
conductance = { column = "r", units = "UNITS" }
read_voltage = 0.2
sweep = "occurrence"
level = { column = "row" }
"""


@pytest.fixture
def log(tmp_path):
    rng = np.random.default_rng(1)
    lines = [
        f"{k % 2},{c},{1 / ([10e-6, 50e-6][k % 2] * rng.normal(1, 0.05)):.1f}"
        for k in range(2)
        for c in range(8)
        for _ in range(4)
    ]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("units", "found"),
    [("S", "these are resistances"), ("kohm", "10^3 times below"), ("uS", "these are resistances")],
)
@pytest.mark.parametrize("command", ["convert", "characterize"])
def test_a_wrong_unit(run, log, tmp_path, command, units, found):
    layout = tmp_path / "lab.toml"
    layout.write_text(LAYOUT.replace("UNITS", units))
    out = tmp_path / "out"
    head = ("measurement", "convert") if command == "convert" else (command,)
    result = run(*head, log, "--layout", layout, "-o", out)
    assert result.exit_code == 3, result.output
    text = " ".join((result.stderr + result.stdout).split())
    assert "/program/conductance" in text
    assert found in text
    assert not out.is_file()
    assert not list(out.glob("*.json"))


def test_the_right_unit(run, log, tmp_path):
    layout = tmp_path / "lab.toml"
    layout.write_text(LAYOUT.replace("UNITS", "ohm"))
    result = run("measurement", "convert", log, "--layout", layout, "-o", tmp_path / "out.h5")
    assert result.exit_code == 0, result.output
