"""What is in a file, and which fits it allows."""

import h5py
import pytest

from rramfit.errors import MeasurementError
from rramfit.measurement import inspect_measurement
from rramfit.measurement.file.groups import GROUPS


def fits(path):
    return {f.fit: f for f in inspect_measurement(path).fits}


def test_a_full_file_allows_every_fit(full):
    seen = inspect_measurement(full)
    assert [g.name for g in seen.groups] == list(GROUPS)
    assert all(g.words for g in seen.groups)
    assert all(f.allowed for f in seen.fits)
    program = seen.groups[1]
    assert program.words == "4 sweeps, pattern known, accepted where the tester says so"
    assert program.attributes == {"read_voltage": 0.2, "max_pulses": 50}
    assert next((d.name, d.shape) for d in program.datasets) == ("conductance", (4, 6, 5))


@pytest.mark.parametrize(
    ("gone", "fit", "missing"),
    [
        (["program"], "level distributions", "/program"),
        (["reads"], "read noise", "/reads"),
        (["retention"], "retention", "/retention"),
        (["iv"], "nonlinearity of I(V)", "/iv"),
        (["mvm"], "line resistance", "/mvm"),
        (["readout"], "column read-out", "/readout"),
        (["endurance"], "endurance", "/endurance"),
        (["program/level"], "programming failure", "/program/level"),
        (
            ["program/verified", "levels/lower", "levels/upper"],
            "programming failure",
            "/program/verified, or /levels/lower and /levels/upper",
        ),
    ],
)
def test_the_missing_part_is_named(full, gone, fit, missing):
    with h5py.File(full, "a") as f:
        for name in gone:
            del f[name]
    found = fits(full)[fit]
    assert (found.allowed, found.missing) == (False, (missing,))


def test_what_is_given_up_is_said(full):
    with h5py.File(full, "a") as f:
        del f["reads"]
        del f["program/level"]
    found = fits(full)
    assert "read noise is part" in found["variation between cycles (C2C)"].remark
    assert "blind" in found["level distributions"].remark


def test_one_sweep_has_no_cycles(shared):
    found = fits(shared / "data/measured/h5/C10_tile0.h5")
    assert found["variation between cycles (C2C)"].missing == ("a second sweep in /program",)
    assert "cannot be told apart" in found["programming failure"].remark


def test_a_bad_file_is_refused(full):
    with h5py.File(full, "a") as f:
        del f["program/conductance"].attrs["units"]
    with pytest.raises(MeasurementError, match="units"):
        inspect_measurement(full)
