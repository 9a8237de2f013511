"""Conversion of measured logs with the layout files in `data/layouts`."""

import gzip

import h5py
import numpy as np
import pytest

from rramfit.measurement import (
    convert_measurement,
    read_layout,
    read_measurement,
    validate_layout,
    write_conversion,
)

LOGS = {
    "C10_dead_test": ["stanford-mlc/C10_dead_test.csv.gz"],
    "C1_read_fresh": ["stanford-256x256/C1_read_fresh.tsv.gz"],
    "C1_read_formed": ["stanford-256x256/C1_read_formed.tsv.gz"],
    "C1_read_3": ["stanford-256x256/C1_read_3.tsv.gz"],
    "13scheme_test": ["stanford-mlc/13scheme_test_100_10_7_Dec6.tsv.gz"],
    "relaxdata": ["relaxation-techC/relaxdata.min.tsv.gz"],
    "bake110": ["stanford-mlc/prebake110.tsv.gz", "stanford-mlc/postbake110.tsv.gz"],
    "bake85": ["stanford-mlc/prebake85.tsv.gz", "stanford-mlc/postbake85.tsv.gz"],
    "read_voltage_sweep": ["stanford-mlc/read_voltage_sweep.tsv.gz"],
    "read_multivolt": ["stanford-256x256/read_multivolt.tsv.gz"],
    "ret1": ["stanford-256x256/ret1.csv.gz"],
    "tsdata": ["timeseries-techA/tsdata.min.tsv.gz"],
    "set_sweep": ["stanford-mlc/set_sweep.tsv.gz"],
    "reset_sweep": ["stanford-mlc/reset_sweep.tsv.gz"],
}


@pytest.fixture
def convert(shared, repo):
    def run(name, logs=()):
        measured = shared / "data/measured"
        return convert_measurement(
            [measured / log for log in logs or LOGS[name]], repo / f"data/layouts/{name}.toml"
        )

    return run


PRESETS = {
    "keithley_4200": "keithley_4200.csv",
    "keithley_2600": "keithley_2600.csv",
    "keysight_b1500": "keysight_b1500.csv",
    "arc_one": "arc_one.csv",
    "arc_two": "arc_two.csv",
    "array_map": "array_map.csv",
}
"""Layouts of instruments, and their examples in `data/layouts/examples`."""


def test_every_layout_file_has_a_log(repo):
    files = {p.stem for p in (repo / "data/layouts").glob("*.toml")}
    assert files == {*LOGS, *PRESETS, "matlab_table"}
    examples = {p.name for p in (repo / "data/layouts/examples").iterdir()}
    assert examples == set(PRESETS.values())
    listed = (repo / "data/layouts/README.md").read_text(encoding="utf-8")
    for name in files:
        read_layout(repo / f"data/layouts/{name}.toml")
        assert f"`{name}.toml`" in listed


@pytest.fixture
def example(repo, tmp_path):
    """Return a function that converts the example of a preset and checks the file."""

    def run(name, *paths):
        folder = repo / "data/layouts"
        conversion = convert_measurement(
            paths or [folder / "examples" / PRESETS[name]], folder / f"{name}.toml"
        )
        assert {b.reason for b in conversion.bad} <= {"a summary of the rows above"}
        (path,) = write_conversion(conversion, tmp_path / "out.h5")
        assert validate_layout(path) == []
        return conversion.measurements[0]

    return run


@pytest.mark.parametrize(
    ("name", "voltage", "first", "curves"),
    [
        ("keithley_4200", [0, 0.1, 0.2, 0.3, 0.2, 0.1], 1.2e-12, 1),
        ("keithley_2600", [0, 0.1, 0.2, 0.3], 2.1e-12, 1),
        ("keysight_b1500", [0, 0.1, 0.2, 0.3], 1e-12, 2),
        ("arc_two", [0, 0.1, 0.2, 0.3], 1.5e-12, 1),
    ],
)
def test_sweeps_of_instruments(example, name, voltage, first, curves):
    iv = example(name).iv
    np.testing.assert_allclose(iv.voltage, voltage, atol=2e-5)  # as measured
    assert iv.current.shape == (curves, len(voltage))
    assert iv.current[0, 0] == first


def test_a_session_of_arc_one(example):
    pulses = example("arc_one").pulses
    assert pulses.polarity.tolist() == [1, 1, -1]
    np.testing.assert_allclose(pulses.conductance[1, 0], 1 / np.array([17900, 14800, 20400]))
    assert (pulses.row.tolist(), pulses.col.tolist()) == ([0, 1], [0, 2])


def test_a_bare_map(example):
    g = example("array_map").program.read_all().conductance
    assert g.shape == (2, 4, 6)
    assert g[1, 3, 5] == pytest.approx(97e-6)


def test_a_table_of_matlab(example, tmp_path):
    from scipy import io

    cell = np.arange(64)
    columns = {
        "row": np.tile(cell // 8, 2),
        "col": np.tile(cell % 8, 2),
        "sweep": np.repeat([0, 1], 64),
        "R_kohm": np.linspace(10, 20, 128),
    }
    io.savemat(tmp_path / "x.mat", {"s": {k: v[:, None] for k, v in columns.items()}})
    g = example("matlab_table", tmp_path / "x.mat").program.read_all().conductance
    np.testing.assert_allclose(g.ravel(), 1e-3 / columns["R_kohm"])


@pytest.mark.parametrize("name", LOGS)
def test_logs_become_valid_files(convert, tmp_path, name):
    conversion = convert(name)
    assert conversion.bad == ()
    files = write_conversion(conversion, tmp_path / "out.h5")
    assert len(files) == (4 if name.startswith("C1") else 1)
    assert [p for f in files for p in validate_layout(f)] == []


@pytest.mark.parametrize("tile", [0, 1])
def test_c10_equals_the_earlier_conversion(convert, shared, tile):
    converted = convert("C10_dead_test").measurements[tile]
    earlier = read_measurement(shared / f"data/measured/h5/C10_tile{tile}.h5")
    a, b = converted.program.read_all(), earlier.program.read_all()
    np.testing.assert_array_equal(a.conductance.astype(np.float32), b.conductance)
    np.testing.assert_array_equal(a.accepted, b.accepted)
    np.testing.assert_array_equal(a.pulses, b.pulses)
    np.testing.assert_array_equal(a.level, b.level)
    for name in ("target", "lower", "upper"):
        np.testing.assert_allclose(
            getattr(converted.levels, name), getattr(earlier.levels, name), rtol=1e-12
        )
    assert converted.identity.array_id == earlier.identity.array_id
    assert (converted.program.read_voltage, converted.program.max_pulses) == (0.2, 750)


def test_relaxation_equals_the_earlier_conversion(convert, shared):
    """All readings and level indices are equal; levels are 1.25 uS wide, as in the log."""
    converted = convert("relaxdata").measurements[0]
    earlier = read_measurement(shared / "data/measured/h5/techC_relaxation.h5")
    a, b = converted.program.read_all(), earlier.program.read_all()
    np.testing.assert_array_equal(a.conductance.astype(np.float32), b.conductance)
    np.testing.assert_array_equal(a.level, b.level)
    np.testing.assert_array_equal(
        converted.retention.read_all().astype(np.float32), earlier.retention.read_all()
    )
    np.testing.assert_array_equal(converted.retention.level, earlier.retention.level)
    np.testing.assert_array_equal(converted.retention.time, earlier.retention.time)
    programmed = np.isfinite(a.conductance)
    assert a.accepted[programmed].all()


@pytest.mark.parametrize("name", ["bake110", "bake85"])
def test_bakes_equal_the_earlier_conversion(convert, shared, name):
    converted = convert(name).measurements[0]
    earlier = read_measurement(shared / f"data/measured/h5/{name}.h5")
    np.testing.assert_array_equal(
        converted.retention.read_all().astype(np.float32), earlier.retention.read_all()
    )
    np.testing.assert_array_equal(converted.retention.level, earlier.retention.level)
    np.testing.assert_allclose(converted.levels.target, earlier.levels.target)
    assert converted.retention.temperature == earlier.retention.temperature


def test_iv_curves_equal_the_earlier_conversion(convert, shared):
    converted = convert("read_voltage_sweep").measurements[0].iv
    with h5py.File(shared / "data/measured/h5/stanford_read_voltage_sweep.h5") as f:
        np.testing.assert_array_equal(converted.current.astype("f4"), f["iv/current"][...])
        np.testing.assert_array_equal(converted.row, f["iv/row"][...])
        np.testing.assert_array_equal(converted.col, f["iv/col"][...])
        np.testing.assert_allclose(converted.voltage, f["iv/voltage"][...], atol=1e-15)


@pytest.mark.parametrize(
    ("log", "levels", "reads"),
    [
        ("13scheme_test_100_2_0_Nov29", 6, 3),
        ("13scheme_test_100_10_7_Dec6", 7, 8),
        ("13scheme_test_100_20_4_Dec10", 4, 8),
        ("13scheme_test_100_24_8_Dec10", 8, 8),
        ("13scheme_test_100_32_16_Dec10", 16, 8),
    ],
)
def test_cells_written_to_one_level_after_another(convert, log, levels, reads):
    conversion = convert("13scheme_test", [f"stanford-mlc/{log}.tsv.gz"])
    m = conversion.measurements[0]
    assert len(m.levels) == m.program.shape[0] == levels
    block = m.program.read_all()
    assert (np.isfinite(block.conductance).sum(axis=(1, 2)) == 100).all()
    written = [set(np.unique(k)) - {-1} for k in block.level]
    assert written == [{k} for k in reversed(range(levels))]  # from low resistance to high
    assert m.retention.shape[0] == reads
    after = [0.01, 0.1, 0.2, 0.5, 1, 2, 5, 10] if reads == 8 else [0.01, 0.1, 1.1]
    np.testing.assert_allclose(m.retention.time, after, atol=0.11)
    assert conversion.unused == levels * 100  # the read before each write


def test_samples_along_a_line(convert, shared):
    """The first and last samples of each of the five lines, as they stand in the log."""
    reads = convert("tsdata").measurements[0].reads
    assert reads.shape == (100_000, 1, 5)
    np.testing.assert_allclose(reads.time[[0, 1, -1]], [0, 0.0025, 249.9975])
    g = np.concatenate(list(reads.blocks()))[:, 0]
    with gzip.open(shared / "data/measured/timeseries-techA/tsdata.min.tsv.gz", "rt") as f:
        for cell, line in enumerate(f):
            np.testing.assert_array_equal(g[:, cell], np.array(line.split("\t")[2:], dtype=float))


@pytest.mark.parametrize(("name", "polarity"), [("set_sweep", 1), ("reset_sweep", -1)])
def test_one_pulse_for_each_cell(convert, shared, name, polarity):
    p = convert(name).measurements[0].pulses
    log = np.loadtxt(shared / f"data/measured/stanford-mlc/{name}.tsv.gz")
    order = np.argsort(log[:, 0])
    assert p.conductance.shape == (len(log), 1, 2)
    np.testing.assert_allclose(p.conductance[:, 0], 1 / log[order][:, 4:6], rtol=1e-12)
    np.testing.assert_array_equal(256 * p.row + p.col, log[order, 0])
    np.testing.assert_allclose(p.voltage[:, 0, 1], log[order, 3])
    np.testing.assert_allclose(p.width[:, 0, 1], log[order, 1])
    assert p.polarity.tolist() == [0, polarity]
