"""Tests of the contents report of a file, and of the fits that it allows."""

import h5py
import pytest

from rramfit.errors import MeasurementError
from rramfit.measurement import Plan, inspect_measurement, synthesize, write_measurement
from rramfit.measurement.file.contract.groups import groups_of
from rramfit.measurement.virtual.cards import virtual_card
from rramfit.measurement.virtual.group_cards import with_groups


def fits(path):
    return {f.fit: f for f in inspect_measurement(path).fits}


def test_a_full_file_allows_every_fit(full):
    seen = inspect_measurement(full)
    assert [g.name for g in seen.groups] == list(groups_of("1.0"))
    assert all(g.summary for g in seen.groups)
    beyond = {"read disturb", "random telegraph noise", "gauge study", "activation energy"}
    beyond |= {"pulse response", "programming effort"}  # groups of layout 1.1, or more reads
    assert {f.fit for f in seen.fits if not f.allowed} == beyond
    assert seen.groups[2].feeds == ("read noise", "cycle-to-cycle (C2C) variation")
    program = seen.groups[1]
    assert program.summary == "4 sweeps, pattern known, acceptance from the tester's flag"
    assert program.attributes == {"read_voltage": 0.2, "max_pulses": 50}
    assert next((d.name, d.shape) for d in program.datasets) == ("conductance", (4, 6, 5))


@pytest.mark.parametrize(
    ("removed", "fit", "missing"),
    [
        (["program"], "level distributions", "/program"),
        (["reads"], "read noise", "/reads"),
        (["retention"], "retention", "/retention"),
        (["iv"], "I–V nonlinearity", "/iv"),
        (["mvm"], "line resistance", "/mvm"),
        (["readout"], "column readout", "/readout"),
        (["endurance"], "endurance", "/endurance"),
        (["program/level"], "programming failure", "/program/level"),
        (
            ["program/verified", "levels/lower", "levels/upper"],
            "programming failure",
            "/program/verified, or /levels/lower and /levels/upper",
        ),
    ],
)
def test_a_fit_names_the_missing_group_or_dataset(full, removed, fit, missing):
    with h5py.File(full, "a") as f:
        for name in removed:
            del f[name]
    found = fits(full)[fit]
    assert (found.allowed, found.missing) == (False, (missing,))


def test_a_fit_without_optional_data_has_a_remark(full):
    with h5py.File(full, "a") as f:
        del f["reads"]
        del f["program/level"]
    found = fits(full)
    assert "includes read noise" in found["cycle-to-cycle (C2C) variation"].remark
    assert "by clustering" in found["level distributions"].remark


def test_one_sweep_does_not_allow_a_c2c_fit(shared):
    found = fits(shared / "data/measured/h5/C10_tile0.h5")
    assert found["cycle-to-cycle (C2C) variation"].missing == ("a second sweep in /program",)
    assert "cannot separate" in found["programming failure"].remark


def test_new_groups_name_the_fits_that_they_feed(tmp_path):
    card = with_groups(virtual_card("two", mean=[2e-5, 8e-5], spread=0.05), 1)
    groups = ("program", "reads", "retention", "pulses", "attempts")
    plan = Plan(reads=32, sessions=4, bake_temperatures=(400.0,), pulse_cells=2, attempt_cells=4)
    made = synthesize(card, rows=6, cols=6, sweeps=2, seed=1, groups=groups, plan=plan)
    write_measurement(made, tmp_path / "all.h5")
    seen = inspect_measurement(tmp_path / "all.h5")
    feeds = {g.name: g.feeds for g in seen.groups}
    assert feeds["pulses"] == ("pulse response",)
    assert feeds["attempts"] == ("programming effort",)
    assert "activation energy" in feeds["retention/bake1"]
    assert {"read disturb", "random telegraph noise", "gauge study"} <= set(feeds["reads"])
    reads = next(g for g in seen.groups if g.name == "reads")
    assert reads.summary.endswith("4 sessions")


def test_an_invalid_file_is_rejected(full):
    with h5py.File(full, "a") as f:
        del f["program/conductance"].attrs["units"]
    with pytest.raises(MeasurementError, match="units"):
        inspect_measurement(full)
