"""Layout 1.1: pulses, write attempts, several bakes, repeated and directed I–V curves."""

import h5py
import numpy as np
import pytest

from rramfit.errors import MeasurementError
from rramfit.hdf5.messages import CONTENT, DATA
from rramfit.measurement import (
    ArrayIdentity,
    Attempts,
    IVSweeps,
    Levels,
    Measurement,
    Pulses,
    inspect_measurement,
    read_measurement,
    reads_in_memory,
    validate_layout,
    write_measurement,
)

ROWS, COLS = 4, 6
RNG = np.random.default_rng(16)


def bake(kelvin, scale):
    return reads_in_memory(
        np.full((3, ROWS, COLS), 4e-5) * scale,
        time=np.array([0.0, 60.0, 3600.0]),
        level=np.zeros((ROWS, COLS), np.int64),
        temperature=kelvin,
    )


def measurement(**changes):
    voltage = np.array([[0.0, 0.5, 1.0, 0.5, 0.0], [0.0, 0.3, 0.6, 0.3, np.nan]])
    window = np.array([30e-6, np.nan, 30e-6])
    kept = {
        "path": None,
        "identity": ArrayIdentity(
            array_id="t", cell="1T1R", die_x=-3, die_y=2, tile_row=0, tile_col=7, session="Tue/AB"
        ),
        "rows": ROWS,
        "cols": COLS,
        "levels": Levels(target=np.array([40e-6])),
        "retention": bake(398.0, 1.0),
        "more_bakes": (bake(423.0, 0.9), bake(448.0, 0.8)),
        "iv": IVSweeps(
            voltage=voltage,
            current=1e-5 * voltage,
            row=np.array([1, 1]),
            col=np.array([2, 2]),
            repeat=np.array([0, 1]),
            direction=np.array([1, 1, 1, -1, -1]),
        ),
        "pulses": Pulses(
            conductance=RNG.uniform(1e-6, 1e-4, (2, 3, 4)),
            polarity=np.array([0, 1, 1, -1]),
            row=np.array([0, 3]),
            col=np.array([5, 1]),
            voltage=np.array([np.nan, 1.2, 1.2, -1.4]),
            width=np.array([np.nan, 1e-7, 1e-7, 1e-7]),
            read_voltage=0.2,
        ),
        "attempts": Attempts(
            row=np.array([0, 0, 2]),
            col=np.array([1, 1, 5]),
            lower=window,
            upper=np.array([50e-6, 5e-6, np.nan]),
            set_pulses=np.array([3, 0, 1]),
            reset_pulses=np.array([1, 2, 0]),
            level=np.array([0, -1, 0]),
            success=np.array([True, False, True]),
            initial=np.array([1e-6, 2e-6, np.nan]),
            final=np.array([4e-5, 9e-6, 4e-5]),
            conductance=np.array(
                [[1e-5, 6e-5, 4e-5], [1e-5, 9e-6, np.nan], [4e-5, np.nan, np.nan]]
            ),
            polarity=np.array([[1, -1, 1], [-1, -1, 0], [1, 0, 0]]),
            max_pulses=50,
            read_voltage=0.1,
        ),
    }
    return Measurement(**{**kept, **changes})


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "new.h5"
    write_measurement(measurement(), path)
    return path


def version(path):
    with h5py.File(path) as f:
        return f.attrs["format_version"]


def unseal(f):
    """Take out the digests, as one must who edits a file."""
    del f.attrs[CONTENT]

    def strip(_, node):
        if DATA in node.attrs:
            del node.attrs[DATA]

    f.visititems(strip)


def violations(path):
    return [p for p in validate_layout(path) if not p.note]


def same(a, b):
    for name in a.__dataclass_fields__:
        x, y = getattr(a, name), getattr(b, name)
        if isinstance(x, np.ndarray):
            np.testing.assert_array_equal(x, y, err_msg=name)
            assert x.dtype == y.dtype, name
        else:
            assert x == y, name


def test_everything_new_comes_back(file):
    m, back = measurement(), read_measurement(file)
    assert version(file) == "1.1"
    assert validate_layout(file) == []
    assert back.identity == m.identity
    same(back.iv, m.iv)
    same(back.attempts, m.attempts)
    for name in ("polarity", "row", "col", "voltage", "width", "read_voltage"):
        np.testing.assert_array_equal(getattr(back.pulses, name), getattr(m.pulses, name))
    assert [b.temperature for b in back.bakes] == [398.0, 423.0, 448.0]
    for bake_, scale in zip(back.bakes, (1.0, 0.9, 0.8), strict=True):
        np.testing.assert_allclose(bake_.read_all(), 4e-5 * scale, rtol=1e-7)
    assert back.retention is back.bakes[0]


def test_more_than_ten_bakes_keep_their_order(tmp_path):
    path = tmp_path / "bakes.h5"
    hot = tuple(bake(300.0 + k, 1.0) for k in range(12))
    write_measurement(measurement(retention=hot[0], more_bakes=hot[1:]), path)
    assert [b.temperature for b in read_measurement(path).bakes] == [300.0 + k for k in range(12)]


@pytest.mark.parametrize("absent", ["repeat", "direction"])
def test_a_file_without_anything_new_is_1_0(tmp_path, absent):
    path = tmp_path / "old.h5"
    plain = {"identity": ArrayIdentity(array_id="t", cell="1T1R"), "more_bakes": ()}
    iv = IVSweeps(
        voltage=np.array([0.0, 0.1]),
        current=np.array([[0.0, 1e-6], [0.0, 2e-6]]),
        row=np.array([0, 1]),
        col=np.array([0, 0]),
    )
    write_measurement(measurement(**plain, pulses=None, attempts=None, iv=iv), path)
    assert version(path) == "1.0"
    with h5py.File(path) as f:
        assert set(f["retention"]) == {"conductance", "time", "level"}


@pytest.mark.parametrize(
    "new",
    [
        {"pulses": measurement().pulses},
        {"attempts": measurement().attempts},
        {"iv": measurement().iv},
        {"more_bakes": (bake(423.0, 1.0),)},
        {"identity": ArrayIdentity(array_id="t", cell="1T1R", session="Monday")},
    ],
    ids=lambda new: next(iter(new)),
)
def test_each_new_thing_alone_makes_it_1_1(tmp_path, new):
    path = tmp_path / "new.h5"
    plain = {
        "identity": ArrayIdentity(array_id="t", cell="1T1R"),
        "more_bakes": (),
        "pulses": None,
        "attempts": None,
        "iv": None,
    }
    write_measurement(measurement(**{**plain, **new}), path)
    assert version(path) == "1.1"


def test_names_of_1_1_in_a_file_of_1_0_are_noted_and_not_read(file):
    """An older file may hold such names for other purposes, and stays valid."""
    with h5py.File(file, "a") as f:
        f.attrs["format_version"] = "1.0"
        f.attrs["die_x"] = "A3"
        unseal(f)
        del f["pulses"]
        f["pulses"] = "a table of our own"
    problems = validate_layout(file)
    assert not [p for p in problems if not p.note]
    noted = {p.where: p for p in problems}
    assert {"/pulses", "/attempts", "/@die_x", "/iv/repeat", "/iv/direction"} <= set(noted)
    assert "format_version = '1.1'" in noted["/attempts"].expected
    m = read_measurement(file)
    assert m.pulses is None
    assert m.attempts is None
    assert m.identity.die_x is None
    assert m.iv.direction is None


def test_a_later_minor_is_read_with_a_note_and_a_newer_major_is_named(file):
    with h5py.File(file, "a") as f:
        unseal(f)
        f.attrs["format_version"] = "1.7"
    (note,) = validate_layout(file)
    assert note.note
    assert read_measurement(file).pulses is not None
    with h5py.File(file, "a") as f:
        f.attrs["format_version"] = "2.0"
    with pytest.raises(MeasurementError, match=r"layout 2\.0.*newer rramfit"):
        read_measurement(file)


def put(where, values):
    def damage(f):
        units = f[where].attrs.get("units")
        del f[where]
        f[where] = values
        if units is not None:
            f[where].attrs["units"] = units

    return damage


def entry(where, index, value):
    def damage(f):
        f[where][index] = value

    return damage


DAMAGES = {
    "polarity 2": (entry("pulses/polarity", 1, 2), "/pulses/polarity", "-1, 0 or 1"),
    "polarity of 2 axes": (
        put("pulses/polarity", np.ones((3, 4), int)),
        "/pulses/polarity",
        "shape",
    ),
    "no polarity": (lambda f: f.pop("pulses/polarity"), "/pulses/polarity", "no such dataset"),
    "device count": (put("pulses/row", np.arange(3)), "/pulses/row", "device = 3"),
    "device outside": (entry("pulses/row", 0, 9), "/pulses/row", "9 at"),
    "negative width": (entry("pulses/width", 1, -1e-7), "/pulses/width", "width"),
    "infinite": (entry("pulses/conductance", (0, 0, 0), np.inf), "/pulses/conductance", "infinite"),
    "window upside down": (entry("attempts/lower", 0, 60e-6), "/attempts/lower", "window"),
    "negative count": (entry("attempts/set_pulses", 2, -1), "/attempts/set_pulses", "negative"),
    "level outside": (entry("attempts/level", 0, 4), "/attempts/level", "outside /levels"),
    "step count": (
        put("attempts/polarity", np.ones((3, 2), int)),
        "/attempts/polarity",
        "step = 2",
    ),
    "success 2": (put("attempts/success", np.array([0, 1, 2])), "/attempts/success", "0 and 1"),
    "no units": (lambda f: f["attempts/lower"].attrs.pop("units"), "/attempts/lower", "units"),
    "direction 2": (entry("iv/direction", 0, 2), "/iv/direction", "-1, 0 or 1"),
    "negative repeat": (entry("iv/repeat", 1, -1), "/iv/repeat", "negative"),
    "voltage missing": (entry("iv/voltage", (0, 2), np.nan), "/iv/voltage", "no voltage"),
    "bake without temperature": (
        lambda f: f["retention/bake1"].attrs.pop("temperature"),
        "/retention/bake1@temperature",
        "no such attribute",
    ),
    "bake of another array": (
        put("retention/bake2/level", np.zeros((ROWS, COLS + 1), int)),
        "/retention/bake2/level",
        "col = 7",
    ),
    "bake out of order": (entry("retention/bake1/time", 2, 1.0), "/retention/bake1/time", "then"),
    "die not a number": (lambda f: f.attrs.create("die_x", "A3"), "/@die_x", "'A3'"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_each_violation_is_reported_with_its_place(file, case):
    damage, where, found = DAMAGES[case]
    with h5py.File(file, "a") as f:
        unseal(f)
        damage(f)
    problems = {p.where: p for p in violations(file)}
    assert where in problems
    assert found in f"{problems[where].found} {problems[where].expected}"


def test_swapped_addresses_are_named(file):
    with h5py.File(file, "a") as f:
        unseal(f)
        f["pulses/row"][...], f["pulses/col"][...] = [5, 1], [0, 3]
    (problem,) = violations(file)
    assert problem.where == "/pulses/row"
    assert "exchange `row` and `col`" in problem.remedy


def test_inspection_shows_the_new_groups(file):
    seen = {g.name: g for g in inspect_measurement(file).groups}
    assert {"retention/bake0", "retention/bake2", "pulses", "attempts"} <= set(seen)
    assert "448 K" in seen["retention/bake2"].summary
    assert seen["pulses"].summary == "2 devices, 3 cycles of 4 pulses, 2 SET and 1 RESET"
    assert seen["attempts"].summary == ("3 attempts on 2 cells, 66.7 % successful, steps recorded")
    assert seen["iv"].summary == "2 curves of 1 cell at 5 voltages, 0 to 1 V"
