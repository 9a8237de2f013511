"""Conversion of measured logs with the layout files in `data/layouts`."""

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
}


@pytest.fixture
def convert(shared, repo):
    def run(name, logs=()):
        measured = shared / "data/measured"
        return convert_measurement(
            [measured / log for log in logs or LOGS[name]], repo / f"data/layouts/{name}.toml"
        )

    return run


def test_every_layout_file_has_a_log(repo):
    files = {p.stem for p in (repo / "data/layouts").glob("*.toml")}
    assert files == set(LOGS)
    for name in files:
        read_layout(repo / f"data/layouts/{name}.toml")


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
