"""Every violation of the layout is reported; each case damages one thing in a valid file."""

import shutil

import h5py
import numpy as np
import pytest

from rramfit.errors import MeasurementError
from rramfit.measurement import read_measurement, validate_layout


def violations(path):
    return [p for p in validate_layout(path) if not p.note]


def replace(f, where, values, **attributes):
    kept = dict(f[where].attrs) if where in f else {}
    if where in f:
        del f[where]
    f[where] = values
    f[where].attrs.update({**kept, **attributes})


def without(where):
    def damage(f):
        del f[where]

    return damage


def attribute(owner, name, value=None):
    def damage(f):
        if value is None:
            del f[owner].attrs[name]
        else:
            f[owner].attrs[name] = value

    return damage


def entry(where, index, value):
    def damage(f):
        f[where][index] = value

    return damage


def new(where, values, **attributes):
    return lambda f: replace(f, where, values, **attributes)


CELLS = (4, 6, 5)

CASES = {
    # root
    "other format": (attribute("/", "format", "nexus"), "/@format"),
    "no format": (attribute("/", "format"), "/@format"),
    "format not text": (attribute("/", "format", 3), "/@format"),
    "version 2": (attribute("/", "format_version", "2.0"), "/@format_version"),
    "version a number": (attribute("/", "format_version", 1.0), "/@format_version"),
    "no version": (attribute("/", "format_version"), "/@format_version"),
    "no array_id": (attribute("/", "array_id"), "/@array_id"),
    "empty array_id": (attribute("/", "array_id", " "), "/@array_id"),
    "unknown cell": (attribute("/", "cell", "3T3R"), "/@cell"),
    "time without zone": (attribute("/", "measured_at", "2026-03-01T09:30:00"), "/@measured_at"),
    "time not ISO": (attribute("/", "measured_at", "yesterday"), "/@measured_at"),
    "temperature below zero": (attribute("/", "temperature", -5.0), "/@temperature"),
    "temperature text": (attribute("/", "temperature", "hot"), "/@temperature"),
    "synthetic text": (attribute("/", "synthetic", "maybe"), "/@synthetic"),
    "lot a number": (attribute("/", "lot", 4), "/@lot"),
    # levels
    "levels fall": (entry("levels/target", 1, 1e-6), "/levels/target"),
    "levels equal": (entry("levels/target", 1, 5e-6), "/levels/target"),
    "window upside down": (entry("levels/lower", 2, 120e-6), "/levels/lower"),
    "lower too long": (new("levels/lower", np.full(4, 1e-6)), "/levels/lower"),
    "names short": (new("levels/name", ["a", "b"]), "/levels/name"),
    "names numbers": (new("levels/name", np.arange(3)), "/levels/name"),
    "target missing": (without("levels/target"), "/levels/target"),
    "target NaN": (entry("levels/target", 0, np.nan), "/levels/target"),
    "target in volts": (attribute("levels/target", "units", "V"), "/levels/target"),
    # program
    "no units": (attribute("program/conductance", "units"), "/program/conductance"),
    "unknown units": (attribute("program/conductance", "units", "µS"), "/program/conductance"),
    "infinity": (entry("program/conductance", (2, 3, 4), np.inf), "/program/conductance"),
    "minus infinity": (entry("program/conductance", (2, 3, 4), -np.inf), "/program/conductance"),
    "overflow mark": (entry("program/conductance", (2, 3, 4), 9.9e37), "/program/conductance"),
    "fill value": (entry("reads/time", 2, 9.969e36), "/reads/time"),
    "two axes": (new("program/conductance", np.ones((6, 5), "f4")), "/program/conductance"),
    "half floats": (new("program/conductance", np.ones(CELLS, "f2")), "/program/conductance"),
    "integers": (new("program/conductance", np.ones(CELLS, "i4")), "/program/conductance"),
    "no conductance": (without("program/conductance"), "/program/conductance"),
    "level of floats": (new("program/level", np.zeros(CELLS, "f4")), "/program/level"),
    "level too high": (entry("program/level", (0, 0, 0), 3), "/program/level"),
    "level too low": (entry("program/level", (0, 0, 0), -2), "/program/level"),
    "level too high, by sweep": (new("program/level", np.array([0, 1, 2, 3])), "/program/level"),
    "level of other sweeps": (new("program/level", np.zeros(3, "i1")), "/program/level"),
    "level transposed": (new("program/level", np.zeros((4, 5, 6), "i1")), "/program/level"),
    "verified of floats": (new("program/verified", np.ones(CELLS)), "/program/verified"),
    "verified 2": (new("program/verified", np.full(CELLS, 2, "u1")), "/program/verified"),
    "pulses negative": (new("program/pulses", np.full(CELLS, -1)), "/program/pulses"),
    "no read voltage": (attribute("program", "read_voltage"), "/program@read_voltage"),
    "read voltage NaN": (attribute("program", "read_voltage", np.nan), "/program@read_voltage"),
    "max_pulses a float": (attribute("program", "max_pulses", 2.5), "/program@max_pulses"),
    # reads, retention
    "time falls": (entry("reads/time", 2, 0.5), "/reads/time"),
    "time without units": (attribute("reads/time", "units"), "/reads/time"),
    "time in days": (attribute("retention/time", "units", "d"), "/retention/time"),
    "time negative": (entry("retention/time", 0, -1.0), "/retention/time"),
    "reads of another array": (
        new("reads/conductance", np.ones((3, 7, 5), "f4")),
        "/reads/conductance",
    ),
    "reads without level": (without("reads/level"), "/reads/level"),
    "no temperature": (attribute("retention", "temperature"), "/retention@temperature"),
    "retention level too high": (entry("retention/level", (0, 0), 9), "/retention/level"),
    # the others
    "cycles fall": (entry("endurance/cycle", 1, 0), "/endurance/cycle"),
    "endurance of three axes": (
        new("endurance/conductance", np.ones(CELLS)),
        "/endurance/conductance",
    ),
    "iv row outside": (entry("iv/row", 1, 6), "/iv/row"),
    "iv col negative": (entry("iv/col", 1, -1), "/iv/col"),
    "iv points disagree": (new("iv/voltage", np.arange(4.0)), "/iv/current"),
    "iv voltage NaN": (entry("iv/voltage", 0, np.nan), "/iv/voltage"),
    "mvm of another array": (new("mvm/voltage", np.ones((2, 9))), "/mvm/voltage"),
    "mvm patterns disagree": (new("mvm/current", np.ones((3, 5))), "/mvm/current"),
    "inactive rows unknown": (attribute("mvm", "inactive_rows", "open"), "/mvm@inactive_rows"),
    "cell reads missing": (attribute("mvm", "cell_reads"), "/mvm@cell_reads"),
    "channel outside": (entry("readout/channel_col", 0, 5), "/readout/channel_col"),
    "codes of floats": (new("readout/code", np.ones((2, 3))), "/readout/code"),
    "code too high": (entry("readout/code", (0, 0), 256), "/readout/code"),
    "bits missing": (attribute("readout", "bits"), "/readout@bits"),
    "full scale negative": (attribute("readout", "full_scale", -1.0), "/readout@full_scale"),
    "truth not JSON": (new("truth", "seed: 5"), "/truth"),
    "a dataset for a group": (new("reads", np.ones(3)), "/reads"),
    "a group for a dataset": (
        lambda f: (f.__delitem__("iv/row"), f.create_group("iv/row")),
        "/iv/row",
    ),
    "no points": (new("iv/voltage", np.ones(0)), "/iv/voltage"),
}


def test_a_valid_file_has_no_problem(full):
    assert validate_layout(full) == []


@pytest.mark.parametrize("case", CASES)
def test_each_violation_is_reported_with_its_place(full, case):
    damage, where = CASES[case]
    with h5py.File(full, "a") as f:
        damage(f)
    found = violations(full)
    assert where in {p.where for p in found}
    assert all(p.path == full and p.found and p.expected for p in found)
    with pytest.raises(MeasurementError) as caught:
        read_measurement(full)
    assert caught.value.where == found[0].where


def test_all_violations_are_listed_at_once(full):
    chosen = {
        CASES[name][1]: CASES[name][0]
        for name in (
            "other format",
            "time without zone",
            "levels fall",
            "no units",
            "level too high",
            "no read voltage",
            "time falls",
            "cycles fall",
            "iv row outside",
            "cell reads missing",
            "codes of floats",
        )
    }
    with h5py.File(full, "a") as f:
        for damage in chosen.values():
            damage(f)
    assert {p.where for p in violations(full)} == set(chosen)
    with pytest.raises(MeasurementError, match=rf"the {len(violations(full)) - 1} other problems"):
        read_measurement(full)


def test_a_resistance_of_zero_is_a_violation(full):
    with h5py.File(full, "a") as f:
        r = np.full(CELLS, 10.0, "f4")
        r[1, 2, 3] = 0
        replace(f, "program/conductance", r, units="kohm")
    (problem,) = violations(full)
    assert "0.0 at [1, 2, 3]" in problem.found


def test_window_limits_in_ohm_must_be_swapped(full):
    with h5py.File(full, "a") as f:
        for name in ("lower", "upper"):
            replace(f, f"levels/{name}", 1 / f[f"levels/{name}"][...], units="ohm")
    assert violations(full) == []
    with h5py.File(full, "a") as f:
        lower, upper = f["levels/lower"][...], f["levels/upper"][...]
        f["levels/lower"][...], f["levels/upper"][...] = upper, lower
    assert [p.where for p in violations(full)] == ["/levels/lower"]


def test_level_indexes_need_levels(full):
    with h5py.File(full, "a") as f:
        del f["levels"]
    found = {p.where: p for p in violations(full)}
    assert set(found) == {"/program/level", "/reads/level", "/retention/level"}
    assert "without a group /levels" in found["/program/level"].found


def test_unknown_content_is_a_note(full):
    with h5py.File(full, "a") as f:
        f["program/comment"] = "by hand"
        f["raw"] = np.ones(3)
        f.attrs["mask_set"] = "B"
        f.attrs["format_version"] = "1.4"
    notes = validate_layout(full)
    assert all(p.note for p in notes)
    assert {p.where for p in notes} == {
        "/program/comment",
        "/raw",
        "/@mask_set",
        "/@format_version",
    }
    assert read_measurement(full).identity.lot == "L1"


def test_a_file_without_any_group(tmp_path):
    path = tmp_path / "empty.h5"
    h5py.File(path, "w").close()
    assert {p.where for p in violations(path)} >= {"/", "/@format", "/@array_id"}


def test_files_that_hdf5_cannot_open(tmp_path, full):
    text = tmp_path / "log.csv"
    text.write_text("addr,R\n0,12500\n")
    cut = tmp_path / "cut.h5"
    cut.write_bytes(full.read_bytes()[: full.stat().st_size // 2])
    for path, found in (
        (text, "not HDF5"),
        (cut, "damaged"),
        (tmp_path / "none.h5", "no such file"),
        (tmp_path, "a folder"),
    ):
        (problem,) = violations(path)
        assert problem.where == "/"
        assert found in problem.found
        with pytest.raises(MeasurementError, match=found):
            read_measurement(path)


def test_a_damaged_chunk_is_reported_with_the_other_problems(full):
    with h5py.File(full, "a") as f:
        g = f["program/conductance"][...]
        del f["program/conductance"]
        d = f.create_dataset("program/conductance", data=g, chunks=(1, 6, 5), fletcher32=True)
        d.attrs["units"] = "S"
        f.attrs["cell"] = "?"
        offset = d.id.get_chunk_info(2).byte_offset
    with full.open("r+b") as raw:
        raw.seek(offset + 8)
        raw.write(b"\xff\x00\xff")
    found = {p.where: p for p in violations(full)}
    assert set(found) == {"/@cell", "/program/conductance"}
    assert "cannot decode" in found["/program/conductance"].found


def test_the_file_is_never_changed(full, tmp_path):
    before = shutil.copy(full, tmp_path / "before.h5")
    validate_layout(full)
    for _ in read_measurement(full).program.blocks(2):
        pass
    assert full.read_bytes() == before.read_bytes()


def test_files_measured_on_chips_are_valid(shared):
    files = sorted((shared / "data/measured/h5").glob("*.h5"))
    assert files
    assert [p for path in files for p in validate_layout(path)] == []
