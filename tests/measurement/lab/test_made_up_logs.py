"""Logs as laboratories write them, made up with known values: each comes in by its layout."""

import gzip
import json
import subprocess
import sys

import numpy as np
import pytest

from rramfit.measurement import (
    convert_measurement,
    read_measurement,
    validate_layout,
    write_conversion,
)

TABLE = '[source]\nkind = "table"\n'
ADDRESS = '[cells]\nrow = "addr >> 8"\ncol = "addr & 255"\n'


@pytest.fixture(scope="module")
def logs(shared, tmp_path_factory):
    """Return the folder of the logs."""
    folder = tmp_path_factory.mktemp("logs")
    subprocess.run([sys.executable, shared / "cases/logs/make.py", folder], check=True)
    return folder


@pytest.fixture
def convert(logs, tmp_path):
    """Return a function that converts logs by a layout's text, and reads the file written."""

    def run(names, layout, rows, cols):
        lab = tmp_path / "lab.toml"
        array = f'[array]\nid = "x"\ncell = "1T1R"\nrows = {rows}\ncols = {cols}\n'
        lab.write_text(array + layout, encoding="utf-8")
        conversion = convert_measurement([logs / name for name in names], lab)
        assert (conversion.bad, conversion.unused) == ((), 0)
        (file,) = write_conversion(conversion, tmp_path / "out.h5")
        assert validate_layout(file) == []
        return read_measurement(file)

    return run


def truth_of(logs, name):
    return json.loads((logs / "truth.json").read_text())[name]


def test_endurance_with_both_states_on_a_line(convert, logs):
    name = "endurance_two_columns.tsv"
    layout = f"""{TABLE}columns = ["addr", "low", "high", "cycles"]
{ADDRESS}
[endurance]
cycle = "cycles"
states = [ {{ column = "high", units = "ohm" }}, {{ column = "low", units = "ohm" }} ]
"""
    e = convert([name], layout, 8, 8).endurance
    log = np.loadtxt(logs / name).reshape(64, -1, 4)
    np.testing.assert_array_equal(e.cycle, log[0, :, 3])
    g = e.conductance.reshape(len(e.cycle), 2, 64)
    np.testing.assert_allclose(g[:, 1].T, 1 / log[:, :, 1], rtol=1e-6)
    np.testing.assert_allclose(g[:, 0].T, 1 / log[:, :, 2], rtol=1e-6)
    failed = (g[-1, 1] / g[-1, 0] < 1.1).sum()
    assert failed == truth_of(logs, name)["failed"]


def test_endurance_in_alternating_lines(convert, logs):
    name = "endurance_alternating.tsv"
    layout = f"""{TABLE}columns = ["addr", "r", "cycle"]
[cells]
packed = "addr"
[endurance]
cycle = "cycle"
conductance = {{ column = "r", units = "Ω" }}
state = "value"
"""
    e = convert([name], layout, 4, 4).endurance
    truth = truth_of(logs, name)
    assert e.conductance.shape == (truth["points"], truth["states"], 4, 4)
    log = np.loadtxt(logs / name).reshape(16, 5, 2, 3)[..., 1]
    np.testing.assert_allclose(
        e.conductance.reshape(5, 2, 16), 1 / log.transpose(1, 2, 0)[:, ::-1], rtol=1e-6
    )


def test_a_cell_a_line(convert, logs):
    name = "series_wide.tsv.gz"
    layout = f"""{TABLE}columns = ["cell", "start"]
samples = ["g"]
[cells]
packed = "cell"
[reads]
conductance = {{ column = "g", units = "S" }}
read = "sample"
time = {{ column = "sample * 0.0025", units = "s" }}
read_voltage = 0.1
"""
    reads = convert([name], layout, 1, 4).reads
    truth = truth_of(logs, name)
    assert reads.shape == (truth["samples"], 1, truth["cells"])
    np.testing.assert_allclose(np.diff(reads.time), truth["interval_s"], rtol=1e-6)
    g = np.concatenate(list(reads.blocks()))[:, 0]
    with gzip.open(logs / name, "rt") as f:
        for cell, line in enumerate(f):
            np.testing.assert_allclose(
                g[:, cell], np.array(line.split("\t")[2:], dtype=float), rtol=1e-6
            )


def test_bakes_at_two_temperatures(convert, logs):
    layout = f"""{TABLE}columns = ["addr", "t", "r", "g", "level"]
file_name = "bake_{{celsius}}C*"
[cells]
row = "addr // 64"
col = "addr % 64"
[levels]
target = [20, 40, 60, 80]
units = "µS"
[retention]
conductance = {{ column = "g", units = "S" }}
read = "t"
time = {{ column = "t", units = "s" }}
level = {{ column = "level" }}
temperature = {{ column = "celsius", units = "°C" }}
"""
    names = ["bake_125C.tsv.gz", "bake_85C.tsv.gz"]
    cool, hot = convert(names, layout, 32, 64).bakes
    assert (cool.temperature, hot.temperature) == (358.15, 398.15)
    for bake, name in ((hot, names[0]), (cool, names[1])):
        log = np.loadtxt(logs / name).reshape(2048, 5, 5)
        np.testing.assert_array_equal(bake.time, log[0, :, 1])
        np.testing.assert_allclose(bake.read_all().reshape(5, 2048), log[..., 3].T, rtol=1e-6)
        np.testing.assert_array_equal(bake.level.ravel(), log[:, 0, 4])
    g = hot.read_all()
    k = -np.log(g[-1] / g[0]).mean() / np.sqrt(hot.time[-1] / 3600)
    assert k == pytest.approx(truth_of(logs, "bake_*.tsv.gz")["k_per_sqrt_hour_at_125C"], rel=0.02)


def test_pulse_response(convert, logs):
    name = "pulse_response.csv"
    layout = f"""{TABLE}header = true
[cells]
packed = "device"
[pulses]
conductance = {{ column = "G_uS", units = "uS" }}
cycle = "cycle"
polarity = {{ column = "polarity", values = {{ SET = 1, RESET = -1 }} }}
"""
    p = convert([name], layout, 1, 6).pulses
    truth = truth_of(logs, name)
    shape = (truth["devices"], truth["cycles"], 2 * truth["pulses"])
    log = np.loadtxt(logs / name, delimiter=",", skiprows=1, usecols=4)
    np.testing.assert_allclose(p.conductance * 1e6, log.reshape(shape), rtol=1e-6)
    assert p.polarity.tolist() == [1] * 64 + [-1] * 64


def test_write_verify(convert, logs):
    name = "write_verify.csv"
    layout = f"""{TABLE}columns = ["addr", "low", "high", "r", "reads", "sets", "resets", "ok"]
{ADDRESS}
[levels]
windows = {{ lower = "low", upper = "high", units = "ohm" }}
[program]
conductance = {{ column = "r", units = "ohm" }}
verified = {{ column = "ok" }}
pulses = ["sets", "resets"]
max_pulses = 40
read_voltage = 0.2
[attempts]
set_pulses = "sets"
reset_pulses = "resets"
final = {{ column = "r", units = "ohm" }}
success = {{ column = "ok" }}
max_pulses = 40
"""
    m = convert([name], layout, 64, 64)
    log = np.loadtxt(logs / name, delimiter=",")
    a, block = m.attempts, m.program.read_all()
    assert len(m.levels) == truth_of(logs, name)["levels"]
    np.testing.assert_array_equal(256 * a.row + a.col, log[:, 0])
    np.testing.assert_allclose([a.lower, a.upper], 1 / log[:, [2, 1]].T, rtol=1e-12)
    np.testing.assert_allclose(a.final, 1 / log[:, 3], rtol=1e-6)
    np.testing.assert_array_equal([a.set_pulses, a.reset_pulses], log[:, 5:7].T)
    np.testing.assert_array_equal(a.success, log[:, 7] == 1)
    np.testing.assert_allclose(m.levels.lower[a.level], a.lower, rtol=1e-12)
    np.testing.assert_array_equal(block.level.ravel(), a.level)
    np.testing.assert_array_equal(block.accepted.ravel(), a.success)
    np.testing.assert_array_equal(block.pulses.ravel(), a.set_pulses + a.reset_pulses)


def test_sweeps_of_an_analyser(convert, logs):
    name = "analyser_sweep.csv"
    layout = f"""{TABLE}separator = ";"
decimal = ","
header = "Voltage"
[cells]
packed = "file"
[iv]
voltage = {{ column = "Voltage (V)", units = "V" }}
current = {{ column = "Current (A)", units = "A" }}
repeat = "block"
"""
    iv = convert([name], layout, 1, 1).iv
    truth = truth_of(logs, name)
    assert iv.current.shape == (truth["sweeps"], truth["points"])
    assert iv.repeat.tolist() == [0, 1, 2]
    v, b = iv.voltage, truth["b_per_V"]
    expected = truth["g0_S"] * np.sinh(b * v) / b
    np.testing.assert_allclose(
        v, np.r_[np.linspace(0, 0.4, 21), np.linspace(0.4, 0, 21)], atol=1e-9
    )
    np.testing.assert_allclose(
        iv.current, np.broadcast_to(expected, (3, 42)), rtol=0.025, atol=1e-12
    )


@pytest.mark.parametrize(
    ("log", "median"),
    [("latin1", 1e-7), ("micro", 1e-4), ("omega", 1e-7), ("loops32", None), ("ops", None)],
)
def test_layouts_beside_small_logs(shared, log, median):
    small = shared / "cases/logs/small"
    lab = small / ("ops8.toml" if log == "ops" else f"{log}.toml")
    c = convert_measurement(small / f"{log}.csv", lab)
    m = c.measurements[0]
    assert c.bad == ()
    if median is not None:
        assert np.median(m.program.read_all().conductance) == pytest.approx(median, rel=0.05)
    elif log == "ops":
        r = 1 / m.program.read_all().conductance.ravel()
        np.testing.assert_allclose(r[[0, 2]], [2e5, 2e5])
        assert m.program.shape == (12, 1, 1)
    else:
        assert m.iv.current.shape == (32, 128)
