"""Conversion of HDF5 and MATLAB files: equal readings for any order of axes and any unit."""

import h5py
import numpy as np
import pytest

from rramfit.errors import MeasurementError
from rramfit.measurement import (
    convert_measurement,
    read_measurement,
    validate_layout,
    write_conversion,
)

SWEEPS, ROWS, COLS = 5, 4, 6
HEAD = """
[array]
id = "chip"
cell = "1T1R"
rows = 4
cols = 6
{more}
[source]
kind = "{kind}"
"""
LEVELS = (
    '[levels]\ntarget = [10.0, 90.0]\nlower = [5.0, 60.0]\nupper = [20.0, 120.0]\nunits = "uS"\n'
)


@pytest.fixture
def truth():
    rng = np.random.default_rng(2)
    return rng.uniform(1e-6, 1e-4, (SWEEPS, ROWS, COLS))


@pytest.fixture
def convert(tmp_path):
    def run(datasets, layout, *, kind="hdf5", more=""):
        path = tmp_path / "lab.h5"
        with h5py.File(path, "w") as f:
            for name, values in datasets.items():
                f[name] = values
        lab = tmp_path / "lab.toml"
        lab.write_text(HEAD.format(kind=kind, more=more) + layout)
        return convert_measurement(path, lab)

    return run


def program(path, axes, units, extra=""):
    named = ", ".join(f'"{a}"' for a in axes)
    return (
        "[program]\n"
        f'conductance = {{ path = "{path}", axes = [{named}], units = "{units}" {extra}}}\n'
        "read_voltage = 0.2\n"
    )


@pytest.mark.parametrize(
    "axes", [("sweep", "row", "col"), ("col", "row", "sweep"), ("row", "sweep", "col")]
)
@pytest.mark.parametrize(("units", "scale"), [("uS", 1e6), ("kohm", None), ("nA", 0.2e9)])
def test_order_of_axes_and_unit_do_not_change_the_readings(convert, truth, axes, units, scale):
    transposed = truth.transpose([("sweep", "row", "col").index(a) for a in axes])
    stored = 1e-3 / transposed if scale is None else transposed * scale
    extra = ", voltage = 0.2" if units == "nA" else ""
    c = convert({"run/data": stored}, program("/run/data", axes, units, extra))
    p = c.measurements[0].program
    assert p.shape == truth.shape
    np.testing.assert_allclose(p.read_all().conductance, truth, rtol=1e-12)
    blocks = np.concatenate([b.conductance for b in p.blocks(2)])
    np.testing.assert_array_equal(blocks, p.read_all().conductance)


def test_matlab_axes_are_reversed_in_hdf5(convert, truth):
    in_matlab = truth.transpose(1, 2, 0)  # size(G) = [4 6 5]
    stored = in_matlab.transpose()  # as MATLAB v7.3 stores it
    level = 1 + (np.arange(SWEEPS) % 2)
    layout = LEVELS + program("/G", ("row", "col", "sweep"), "S")
    layout += 'level = { path = "/state", axes = ["sweep"], first = 1 }\n'
    for vector in (level[None, :], level[:, None], level):
        c = convert({"G": stored, "state": vector.astype("f8")}, layout, kind="matlab")
        block = c.measurements[0].program.read_all()
        np.testing.assert_array_equal(block.conductance, truth)
        np.testing.assert_array_equal(block.level[:, 0, 0], level - 1)


def test_a_file_with_a_matlab_userblock_is_read(tmp_path, truth):
    path = tmp_path / "lab.mat"
    with h5py.File(path, "w", userblock_size=512) as f:
        f["G"] = truth[0].transpose()
    with path.open("r+b") as f:
        f.write(b"MATLAB 7.3 MAT-file".ljust(128))
    lab = tmp_path / "lab.toml"
    lab.write_text(HEAD.format(kind="matlab", more="") + program("/G", ("row", "col"), "S"))
    c = convert_measurement(path, lab)
    np.testing.assert_array_equal(c.measurements[0].program.read_all().conductance, truth[:1])


def test_one_sweep_with_a_cell_axis_and_take(convert, truth):
    stored = np.stack([truth[0].ravel() * 0, truth[0].ravel()])  # (chip, cell)
    c = convert({"g": stored}, program("/g", ("chip", "cell"), "S", ", take = { chip = 1 }"))
    np.testing.assert_array_equal(c.measurements[0].program.read_all().conductance, truth[:1])


def test_missing_values_become_nan(convert, truth):
    stored = truth[0].copy()
    stored[1, 2] = 9999
    c = convert({"g": stored}, program("/g", ("row", "col"), "S", ", missing = [9999]"))
    g = c.measurements[0].program.read_all().conductance[0]
    assert np.argwhere(np.isnan(g)).tolist() == [[1, 2]]


def test_levels_pulses_windows_and_attributes_are_read(convert, truth):
    target = (truth > 5e-5).astype("i4")
    datasets = {"g": truth, "target": target, "n": np.full(truth.shape, 7.0), "v": 150.0}
    layout = LEVELS + program("/g", ("sweep", "row", "col"), "S").replace(
        "read_voltage = 0.2", 'read_voltage = { path = "/v", units = "mV" }'
    )
    layout += 'level = { path = "/target", axes = ["sweep", "row", "col"] }\n'
    layout += 'pulses = { path = "/n", axes = ["sweep", "row", "col"] }\n'
    m = convert(datasets, layout).measurements[0]
    block = m.program.read_all()
    assert (m.program.acceptance, m.program.read_voltage) == ("window", pytest.approx(0.15))
    lower, upper = np.array([5e-6, 60e-6])[target], np.array([20e-6, 120e-6])[target]
    np.testing.assert_array_equal(block.accepted, (truth >= lower) & (truth <= upper))
    assert (block.pulses == 7).all()


def test_all_groups_are_converted(full, tmp_path):
    """Converting a file of layout 1.0 group by group gives the same contents."""
    lab = tmp_path / "lab.toml"
    lab.write_text(
        """
[array]
id = "chip 7 / tile 2"
cell = "1T1R"
rows = 6
cols = 5
[source]
kind = "hdf5"
[levels]
target = [5.0, 40.0, 90.0]
units = "uS"
[program]
conductance = { path = "program/conductance", axes = ["sweep", "row", "col"], units = "S" }
level = { path = "program/level", axes = ["sweep", "row", "col"] }
verified = { path = "program/verified", axes = ["sweep", "row", "col"] }
pulses = { path = "program/pulses", axes = ["sweep", "row", "col"] }
read_voltage = 0.2
[reads]
conductance = { path = "reads/conductance", axes = ["read", "row", "col"], units = "S" }
time = { path = "reads/time", axes = ["read"], units = "s" }
read_voltage = 0.1
[retention]
conductance = { path = "retention/conductance", axes = ["read", "row", "col"], units = "S" }
time = { path = "retention/time", axes = ["read"], units = "h" }
level = { path = "retention/level", axes = ["row", "col"] }
temperature = 398
[endurance]
cycle = { path = "endurance/cycle", axes = ["point"] }
[endurance.conductance]
path = "endurance/conductance"
axes = ["point", "state", "row", "col"]
units = "S"
[iv]
voltage = { path = "iv/voltage", axes = ["point"], units = "mV" }
current = { path = "iv/current", axes = ["cell", "point"], units = "uA" }
row = { path = "iv/row", axes = ["cell"] }
col = { path = "iv/col", axes = ["cell"] }
[mvm]
voltage = { path = "mvm/voltage", axes = ["pattern", "row"], units = "V" }
current = { path = "mvm/current", axes = ["pattern", "col"], units = "A" }
conductance = { path = "mvm/conductance", axes = ["row", "col"], units = "S" }
inactive_rows = "grounded"
cell_reads = "intrinsic"
[readout]
input = { path = "readout/input", axes = ["point"], units = "A" }
code = { path = "readout/code", axes = ["point", "channel"] }
channel_col = { path = "readout/channel_col", axes = ["channel"] }
bits = 8
full_scale = 1e-5
zero_code = 128
"""
    )
    before = read_measurement(full)
    (out,) = write_conversion(convert_measurement(full, lab), tmp_path / "out.h5")
    assert validate_layout(out) == []
    after = read_measurement(out)
    pairs = [
        (before.program.read_all().conductance, after.program.read_all().conductance),
        (before.program.read_all().level, after.program.read_all().level),
        (before.program.read_all().accepted, after.program.read_all().accepted),
        (before.retention.time, after.retention.time),
        (before.endurance.conductance, after.endurance.conductance),
        (before.iv.current, after.iv.current),
        (before.mvm.current, after.mvm.current),
        (before.readout.code, after.readout.code),
    ]
    for a, b in pairs:
        np.testing.assert_allclose(b, a, rtol=1e-12)
    assert (after.reads.level == -1).all()


def test_an_array_is_cut_into_tiles(convert, truth):
    c = convert({"g": truth}, program("/g", ("sweep", "row", "col"), "S"), more="tiles = [2, 3]")
    assert c.tiles == (0, 1, 2, 3)
    np.testing.assert_array_equal(
        c.measurements[2].program.read_all().conductance, truth[:, 2:, :3]
    )


@pytest.mark.parametrize(
    ("path", "axes", "message"),
    [
        ("/nothing", ("sweep", "row", "col"), "no such dataset"),
        ("/g", ("row", "col"), "one distinct name per axis"),
        ("/g", ("sweep", "col", "row"), "col = 4"),
        ("/g", ("sweep", "row", "bank"), "with the axis names"),
        ("/g", ("sweep", "row", "row"), "with the axis names"),
    ],
)
def test_axes_that_do_not_match_are_rejected(convert, truth, path, axes, message):
    with pytest.raises(MeasurementError, match=message):
        convert({"g": truth}, program(path, axes, "S"))


def test_tiles_cannot_cut_column_currents(convert):
    layout = """
[mvm]
voltage = { path = "v", axes = ["pattern", "row"], units = "V" }
current = { path = "i", axes = ["pattern", "col"], units = "A" }
conductance = { path = "g", axes = ["row", "col"], units = "S" }
inactive_rows = "gated"
cell_reads = "terminal"
"""
    datasets = {"v": np.ones((2, ROWS)), "i": np.ones((2, COLS)), "g": np.ones((ROWS, COLS))}
    with pytest.raises(MeasurementError, match="cut into tiles"):
        convert(datasets, layout, more="tiles = [2, 3]")
