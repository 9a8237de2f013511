"""Reading agrees with h5py, in SI units; writing and reading again changes nothing."""

import pickle

import h5py
import numpy as np
import pytest

from rramfit.errors import MeasurementError
from rramfit.measurement import (
    ArrayIdentity,
    Levels,
    Measurement,
    program_in_memory,
    read_measurement,
    validate_layout,
    write_measurement,
)
from rramfit.measurement.file import validate


def test_all_groups_are_read_in_si_units(full):
    m = read_measurement(full)
    assert (m.rows, m.cols) == (6, 5)
    assert m.identity.array_id == "chip 7 / tile 2"
    assert m.identity.synthetic is True
    assert m.truth == {"seed": 5}
    assert m.levels.names == ("off", "mid", "on")
    with h5py.File(full) as f:
        block = m.program.read_all()
        np.testing.assert_array_equal(block.conductance, f["program/conductance"][...])
        np.testing.assert_array_equal(block.level, f["program/level"][...])
        np.testing.assert_array_equal(block.accepted, f["program/verified"][...])
        np.testing.assert_array_equal(block.pulses, f["program/pulses"][...])
    assert block.conductance.dtype == np.float64
    assert (m.program.acceptance, m.program.max_pulses) == ("verified", 50)
    np.testing.assert_allclose(m.retention.time, [0, 3600, 24 * 3600])
    assert (m.reads.read_voltage, m.retention.temperature) == (0.1, 398.0)
    np.testing.assert_allclose(m.iv.voltage, [0, 0.1, 0.2])
    np.testing.assert_allclose(m.iv.current, [[0, 1e-6, 2e-6], [0, 2e-6, 4e-6]])
    assert m.readout.code.shape == (1, 2, 3)
    assert m.mvm.inactive_rows == "grounded"
    assert m.endurance.cycle.tolist() == [1, 1000]


@pytest.mark.parametrize("sweeps", [1, 3, 4, 100])
def test_blocks_joined_equal_all_sweeps(full, sweeps):
    m = read_measurement(full)
    blocks = list(m.program.blocks(sweeps))
    assert [b.first for b in blocks] == list(range(0, 4, sweeps))
    all_sweeps = m.program.read_all()
    for name in ("conductance", "level", "accepted", "pulses"):
        joined = np.concatenate([getattr(b, name) for b in blocks])
        np.testing.assert_array_equal(joined, getattr(all_sweeps, name))
    np.testing.assert_array_equal(np.concatenate(list(m.reads.blocks(2))), m.reads.read_all())


def test_blocks_are_read_only_and_each_pass_starts_at_the_first_sweep(full):
    program = read_measurement(full).program
    with pytest.raises(ValueError, match="read-only"):
        program.read_all().conductance[0, 0, 0] = 1
    first, second = next(program.blocks(1)), next(program.blocks(1))
    np.testing.assert_array_equal(first.conductance, second.conductance)


@pytest.mark.parametrize("chunks", [(4, 2, 5), (3, 6, 5), None])
def test_the_chunk_shape_does_not_change_the_data(full, chunks):
    before = read_measurement(full).program.read_all()
    with h5py.File(full, "a") as f:
        g = f["program/conductance"][...]
        del f["program/conductance"]
        f.create_dataset("program/conductance", data=g, chunks=chunks).attrs["units"] = "S"
    after = np.concatenate([b.conductance for b in read_measurement(full).program.blocks(1)])
    np.testing.assert_array_equal(after, before.conductance)


@pytest.mark.parametrize(("unit", "scale"), [("ohm", 1.0), ("kohm", 1e3), ("Mohm", 1e6)])
def test_resistances_are_inverted(full, unit, scale):
    before = read_measurement(full).program.read_all().conductance
    with h5py.File(full, "a") as f:
        f["program/conductance"][...] = 1 / (f["program/conductance"][...] * scale)
        f["program/conductance"].attrs["units"] = unit
    after = read_measurement(full).program.read_all().conductance
    np.testing.assert_allclose(after, before, rtol=3 * np.finfo("f4").eps)


def test_a_level_per_sweep_applies_to_the_whole_array(full):
    with h5py.File(full, "a") as f:
        del f["program/level"]
        f["program/level"] = np.array([0, 2, -1, 1])
    block = read_measurement(full).program.read_all()
    assert block.level.shape == (4, 6, 5)
    assert [set(sweep.ravel()) for sweep in block.level] == [{0}, {2}, {-1}, {1}]


def test_without_the_flag_acceptance_comes_from_the_window(full):
    with h5py.File(full, "a") as f:
        del f["program/verified"]
        g = f["program/conductance"][...].astype("f8")
        level = f["program/level"][...]
        lower, upper = f["levels/lower"][...], f["levels/upper"][...]
    program = read_measurement(full).program
    assert program.acceptance == "window"
    accepted = program.read_all().accepted
    for i in np.ndindex(g.shape):
        k = level[i]
        assert accepted[i] == (k >= 0 and lower[k] <= g[i] <= upper[k])
    assert 0 < accepted.sum() < (level >= 0).sum()


@pytest.mark.parametrize("removed", ["windows", "pattern"])
def test_acceptance_is_unknown_without_windows_or_pattern(full, removed):
    with h5py.File(full, "a") as f:
        del f["program/verified"]
        for name in (
            ("levels/lower", "levels/upper") if removed == "windows" else ("program/level",)
        ):
            del f[name]
    program = read_measurement(full).program
    assert program.acceptance == "unknown"
    assert program.levels_known is (removed == "windows")
    assert program.read_all().accepted.all()


def test_array_size_follows_from_the_highest_address_if_no_group_spans_the_array(full):
    with h5py.File(full, "a") as f:
        for name in set(f) - {"iv"}:
            del f[name]
    m = read_measurement(full)
    assert (m.rows, m.cols) == (6, 5)  # addresses reach row 5, column 4


def test_a_written_file_is_valid_and_reads_back_equal(full, tmp_path):
    m = read_measurement(full)
    out = tmp_path / "sub" / "out.h5"
    write_measurement(m, out)
    assert validate_layout(out) == []
    back = read_measurement(out)
    assert back.identity == m.identity
    assert back.truth == m.truth
    assert back.levels.names == m.levels.names
    pairs = [
        (m.levels.target, back.levels.target),
        (m.levels.lower, back.levels.lower),
        (m.program.read_all().conductance, back.program.read_all().conductance),
        (m.program.read_all().level, back.program.read_all().level),
        (m.program.read_all().accepted, back.program.read_all().accepted),
        (m.program.read_all().pulses, back.program.read_all().pulses),
        (m.retention.time, back.retention.time),
        (m.retention.read_all(), back.retention.read_all()),
        (m.reads.level, back.reads.level),
        (m.endurance.conductance, back.endurance.conductance),
        (m.iv.current, back.iv.current),
        (m.mvm.current, back.mvm.current),
        (m.readout.code, back.readout.code),
        (m.readout.channel_col, back.readout.channel_col),
    ]
    for before, after in pairs:
        np.testing.assert_array_equal(after, before)


def test_equal_content_gives_equal_bytes(full, tmp_path):
    m = read_measurement(full)
    for name in ("a.h5", "b.h5"):
        write_measurement(m, tmp_path / name)
    write_measurement(read_measurement(tmp_path / "a.h5"), tmp_path / "c.h5")
    a = (tmp_path / "a.h5").read_bytes()
    assert a == (tmp_path / "b.h5").read_bytes() == (tmp_path / "c.h5").read_bytes()


def test_hdf5_viewers_find_signals_and_axes(full, tmp_path):
    out = tmp_path / "out.h5"
    write_measurement(read_measurement(full), out)
    with h5py.File(out) as f:
        assert f.attrs["default"] == "program"
        for name in set(f) - {"truth"}:
            group = f[name]
            assert group.attrs["NX_class"] == "NXdata"
            signal = group[group.attrs["signal"]]
            axes = list(group.attrs["axes"])
            assert len(axes) == signal.ndim
            for i, axis in enumerate(axes):
                assert axis == "." or group[axis].shape == (signal.shape[i],)
        g = f["program/conductance"]
        assert (g.dtype, g.chunks) == (np.float32, (1, 6, 5))
        assert (g.compression, g.shuffle, g.fletcher32) == ("gzip", True, True)
        assert [d.label for d in g.dims] == ["sweep", "row", "col"]


def test_invalid_content_leaves_no_file(tmp_path):
    g = np.full((1, 2, 2), np.inf)
    m = Measurement(
        path=None,
        identity=ArrayIdentity(array_id="x", cell="1R"),
        rows=2,
        cols=2,
        levels=Levels(target=np.array([1e-5])),
        program=program_in_memory(g, read_voltage=0.2, level=np.zeros((1, 2, 2), int)),
    )
    with pytest.raises(MeasurementError, match="an infinite value"):
        write_measurement(m, tmp_path / "out.h5")
    assert list(tmp_path.iterdir()) == []


def test_a_measured_file_is_never_overwritten(full):
    before = full.read_bytes()
    with pytest.raises(MeasurementError, match="never overwritten"):
        write_measurement(read_measurement(full), full)
    assert full.read_bytes() == before


def test_large_files_are_checked_while_they_are_read(full, monkeypatch):
    monkeypatch.setattr(validate, "_SCAN_LIMIT", 10)
    with h5py.File(full, "a") as f:
        f["program/conductance"][3, 1, 1] = np.inf
        f["program/level"][2, 0, 0] = 7
    program = read_measurement(full).program
    blocks = program.blocks(2)
    assert next(blocks).first == 0
    with pytest.raises(MeasurementError, match=r"infinite value at \[3, 1, 1\]"):
        next(blocks)
    with pytest.raises(MeasurementError, match="level index outside /levels: 7 in sweep 2"):
        list(program.blocks(3))


def test_a_measurement_can_be_pickled(full):
    m = pickle.loads(pickle.dumps(read_measurement(full)))
    assert m.program.read_all().conductance.shape == (4, 6, 5)


def test_a_reading_on_the_window_limit_is_accepted_after_float32_rounding(tmp_path):
    limit = np.float64(1.3e-5)
    below = np.float64(np.float32(limit)) < limit
    levels = Levels(target=np.array([2e-5]), **{"lower" if below else "upper": np.array([limit])})
    m = Measurement(
        path=None,
        identity=ArrayIdentity(array_id="x", cell="1R"),
        rows=1,
        cols=1,
        levels=levels,
        program=program_in_memory(
            np.full((1, 1, 1), limit), read_voltage=0.2, level=np.zeros(1, int), levels=levels
        ),
    )
    write_measurement(m, tmp_path / "out.h5")
    assert read_measurement(tmp_path / "out.h5").program.read_all().accepted.all()


def test_sweeps_in_memory_and_in_a_file_agree(full):
    m = read_measurement(full)
    block = m.program.read_all()
    in_memory = program_in_memory(
        block.conductance, read_voltage=0.2, level=block.level, levels=m.levels
    )
    with h5py.File(full, "a") as f:
        del f["program/verified"]
    in_file = read_measurement(full).program
    assert in_memory.acceptance == in_file.acceptance == "window"
    np.testing.assert_array_equal(in_memory.read_all().accepted, in_file.read_all().accepted)
    with pytest.raises(ValueError, match="verified has shape"):
        program_in_memory(block.conductance, read_voltage=0.2, verified=np.ones((2, 2), bool))
