"""What is read is what h5py sees, in SI; what is written comes back, with the same bytes."""

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


def test_all_groups_are_read_in_si(full):
    m = read_measurement(full)
    assert (m.rows, m.cols) == (6, 5)
    assert m.identity.array_id == "chip 7 / tile 2"
    assert m.identity.synthetic is True
    assert m.truth == {"seed": 5}
    assert m.levels.names == ("off", "mid", "on")
    with h5py.File(full) as f:
        block = m.program.whole()
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
def test_blocks_are_the_whole(full, sweeps):
    m = read_measurement(full)
    blocks = list(m.program.blocks(sweeps))
    assert [b.first for b in blocks] == list(range(0, 4, sweeps))
    whole = m.program.whole()
    for name in ("conductance", "level", "accepted", "pulses"):
        joined = np.concatenate([getattr(b, name) for b in blocks])
        np.testing.assert_array_equal(joined, getattr(whole, name))
    np.testing.assert_array_equal(np.concatenate(list(m.reads.blocks(2))), m.reads.whole())


def test_blocks_are_read_only_and_passes_start_anew(full):
    program = read_measurement(full).program
    with pytest.raises(ValueError, match="read-only"):
        program.whole().conductance[0, 0, 0] = 1
    first, second = next(program.blocks(1)), next(program.blocks(1))
    np.testing.assert_array_equal(first.conductance, second.conductance)


@pytest.mark.parametrize("chunks", [(4, 2, 5), (3, 6, 5), None])
def test_chunks_of_any_shape_give_the_same(full, chunks):
    before = read_measurement(full).program.whole()
    with h5py.File(full, "a") as f:
        g = f["program/conductance"][...]
        del f["program/conductance"]
        f.create_dataset("program/conductance", data=g, chunks=chunks).attrs["units"] = "S"
    after = np.concatenate([b.conductance for b in read_measurement(full).program.blocks(1)])
    np.testing.assert_array_equal(after, before.conductance)


@pytest.mark.parametrize(("unit", "scale"), [("ohm", 1.0), ("kohm", 1e3), ("Mohm", 1e6)])
def test_resistances_are_inverted(full, unit, scale):
    before = read_measurement(full).program.whole().conductance
    with h5py.File(full, "a") as f:
        f["program/conductance"][...] = 1 / (f["program/conductance"][...] * scale)
        f["program/conductance"].attrs["units"] = unit
    after = read_measurement(full).program.whole().conductance
    np.testing.assert_allclose(after, before, rtol=3 * np.finfo("f4").eps)


def test_a_level_for_each_sweep_is_spread_over_the_array(full):
    with h5py.File(full, "a") as f:
        del f["program/level"]
        f["program/level"] = np.array([0, 2, -1, 1])
    block = read_measurement(full).program.whole()
    assert block.level.shape == (4, 6, 5)
    assert [set(sweep.ravel()) for sweep in block.level] == [{0}, {2}, {-1}, {1}]


def test_acceptance_from_the_window_where_there_is_no_flag(full):
    with h5py.File(full, "a") as f:
        del f["program/verified"]
        g = f["program/conductance"][...].astype("f8")
        level = f["program/level"][...]
        lower, upper = f["levels/lower"][...], f["levels/upper"][...]
    program = read_measurement(full).program
    assert program.acceptance == "window"
    accepted = program.whole().accepted
    for i in np.ndindex(g.shape):
        k = level[i]
        assert accepted[i] == (k >= 0 and lower[k] <= g[i] <= upper[k])
    assert 0 < accepted.sum() < (level >= 0).sum()


@pytest.mark.parametrize("gone", ["windows", "pattern"])
def test_acceptance_unknown(full, gone):
    with h5py.File(full, "a") as f:
        del f["program/verified"]
        for name in ("levels/lower", "levels/upper") if gone == "windows" else ("program/level",):
            del f[name]
    program = read_measurement(full).program
    assert program.acceptance == "unknown"
    assert program.levels_known is (gone == "windows")
    assert program.whole().accepted.all()


def test_the_array_of_a_file_with_cells_alone(full):
    with h5py.File(full, "a") as f:
        for name in set(f) - {"iv"}:
            del f[name]
    m = read_measurement(full)
    assert (m.rows, m.cols) == (6, 5)  # addresses reach row 5, column 4


def test_what_is_written_is_good_and_comes_back(full, tmp_path):
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
        (m.program.whole().conductance, back.program.whole().conductance),
        (m.program.whole().level, back.program.whole().level),
        (m.program.whole().accepted, back.program.whole().accepted),
        (m.program.whole().pulses, back.program.whole().pulses),
        (m.retention.time, back.retention.time),
        (m.retention.whole(), back.retention.whole()),
        (m.reads.level, back.reads.level),
        (m.endurance.conductance, back.endurance.conductance),
        (m.iv.current, back.iv.current),
        (m.mvm.current, back.mvm.current),
        (m.readout.code, back.readout.code),
        (m.readout.channel_col, back.readout.channel_col),
    ]
    for before, after in pairs:
        np.testing.assert_array_equal(after, before)


def test_same_content_same_bytes(full, tmp_path):
    m = read_measurement(full)
    for name in ("a.h5", "b.h5"):
        write_measurement(m, tmp_path / name)
    write_measurement(read_measurement(tmp_path / "a.h5"), tmp_path / "c.h5")
    a = (tmp_path / "a.h5").read_bytes()
    assert a == (tmp_path / "b.h5").read_bytes() == (tmp_path / "c.h5").read_bytes()


def test_viewers_find_what_to_plot(full, tmp_path):
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


def test_a_bad_record_leaves_no_file(tmp_path):
    g = np.full((1, 2, 2), np.inf)
    m = Measurement(
        path=None,
        identity=ArrayIdentity(array_id="x", cell="1R"),
        rows=2,
        cols=2,
        levels=Levels(target=np.array([1e-5])),
        program=program_in_memory(g, read_voltage=0.2, level=np.zeros((1, 2, 2), int)),
    )
    with pytest.raises(MeasurementError, match="an infinity"):
        write_measurement(m, tmp_path / "out.h5")
    assert list(tmp_path.iterdir()) == []


def test_a_measured_file_is_never_overwritten(full):
    before = full.read_bytes()
    with pytest.raises(MeasurementError, match="never overwritten"):
        write_measurement(read_measurement(full), full)
    assert full.read_bytes() == before


def test_large_files_are_checked_as_they_are_read(full, monkeypatch):
    monkeypatch.setattr(validate, "_SCAN_LIMIT", 10)
    with h5py.File(full, "a") as f:
        f["program/conductance"][3, 1, 1] = np.inf
        f["program/level"][2, 0, 0] = 7
    program = read_measurement(full).program
    blocks = program.blocks(2)
    assert next(blocks).first == 0
    with pytest.raises(MeasurementError, match=r"infinity at \[3, 1, 1\]"):
        next(blocks)
    with pytest.raises(MeasurementError, match="index of no level, 7 in sweep 2"):
        list(program.blocks(3))


def test_a_measurement_travels_to_another_process(full):
    m = pickle.loads(pickle.dumps(read_measurement(full)))
    assert m.program.whole().conductance.shape == (4, 6, 5)


def test_a_reading_on_the_limit_is_inside_though_float32_moves_it(tmp_path):
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
    assert read_measurement(tmp_path / "out.h5").program.whole().accepted.all()


def test_in_memory_and_in_file_agree(full):
    m = read_measurement(full)
    block = m.program.whole()
    held = program_in_memory(
        block.conductance, read_voltage=0.2, level=block.level, levels=m.levels
    )
    with h5py.File(full, "a") as f:
        del f["program/verified"]
    filed = read_measurement(full).program
    assert held.acceptance == filed.acceptance == "window"
    np.testing.assert_array_equal(held.whole().accepted, filed.whole().accepted)
    with pytest.raises(ValueError, match="verified has shape"):
        program_in_memory(block.conductance, read_voltage=0.2, verified=np.ones((2, 2), bool))
