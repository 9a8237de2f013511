"""A wrong layout is found out, with its evidence, and a bad but real array is not."""

import h5py
import numpy as np
import pytest

from rramfit.errors import MeasurementError
from rramfit.measurement import (
    ArrayIdentity,
    Levels,
    Measurement,
    Pulses,
    program_in_memory,
    read_measurement,
    reads_in_memory,
    validate_layout,
    write_measurement,
)
from rramfit.measurement.file.plausibility import implausible

TARGET = np.array([2e-6, 20e-6, 60e-6, 100e-6])
SHAPE = (8, 16, 10)


def levels_of(target):
    return np.random.default_rng(4).integers(0, len(target), SHAPE)


def chip(target=TARGET, *, reading=None, given=None, **more):
    """An array that was programmed to `target`; `reading` maps true conductance to file numbers."""
    level = levels_of(target)
    g = target[level] * np.exp(np.random.default_rng(5).normal(0, 0.15, SHAPE))
    if reading is not None:
        g = reading(g)
    return Measurement(
        path=None,
        identity=ArrayIdentity(array_id="t", cell="1T1R"),
        rows=SHAPE[1],
        cols=SHAPE[2],
        levels=Levels(target=target if given is None else given),
        program=program_in_memory(g, read_voltage=0.2, level=level),
        **more,
    )


def found(m, tmp_path):
    return [(p.where, f"{p.found}; {p.remedy}") for p in implausible(m, tmp_path / "chip.h5")]


def test_a_right_file_has_no_problem(tmp_path):
    assert found(chip(), tmp_path) == []


@pytest.mark.parametrize(
    "target", [TARGET, TARGET[2:], TARGET[:1], TARGET[3:]], ids=lambda t: f"{len(t)} from {t[0]:g}"
)
@pytest.mark.parametrize("power", [6, 3, -3, 9])
def test_a_unit_off_by_a_power_of_1000(tmp_path, target, power):
    ((where, text),) = found(chip(target, reading=lambda g: g * 10.0**power), tmp_path)
    assert where == "/program/conductance"
    assert f"10^{abs(power)} is a wrong prefix" in text
    assert "level 0: target" in text


def test_10_siemens_for_10_microsiemens_ends_before_any_fit(tmp_path):
    """The file of the issue."""
    path = tmp_path / "chip.h5"
    m = chip(np.array([10e-6]), reading=lambda g: g * 1e6)
    with pytest.raises(MeasurementError, match=r"10\^6 times above.*reading 9\.9\d* S.*prefix"):
        write_measurement(m, path)
    write_measurement(chip(np.array([10e-6])), path)
    with h5py.File(path, "a") as f:
        g = f["program/conductance"][...] * 1e6
        del f["program/conductance"], f.attrs["content_sha256"]
        f["program/conductance"] = g
        f["program/conductance"].attrs["units"] = "S"
    with pytest.raises(MeasurementError, match=r"chip\.h5: /program/conductance.*target 10 uS"):
        read_measurement(path)
    assert [p.where for p in validate_layout(path) if not p.note] == ["/program/conductance"]


def test_three_readings_show_a_wrong_unit(tmp_path):
    target = np.array([10e-6])
    g = np.full((1, 1, 3), 10.0)
    m = Measurement(
        path=None,
        identity=ArrayIdentity(array_id="t", cell="1T1R"),
        rows=1,
        cols=3,
        levels=Levels(target=target),
        program=program_in_memory(g, read_voltage=0.2, level=np.zeros(g.shape, np.int64)),
    )
    ((where, _),) = found(m, tmp_path)
    assert where == "/program/conductance"


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-9])
def test_resistances_as_conductances(tmp_path, scale):
    ((where, text),) = found(chip(reading=lambda g: scale / g), tmp_path)
    assert where == "/program/conductance"
    assert "these are resistances" in text


def test_levels_counted_from_the_highest(tmp_path):
    target = np.array([10e-6, 60e-6, 100e-6])
    m = chip(target, reading=lambda g: 120e-6 - g)
    ((_, text),) = found(m, tmp_path)
    assert "fall while targets rise" in text
    assert "rising order" in text


def test_targets_that_are_resistances(tmp_path):
    problems = found(chip(given=np.array([10e3, 16e3, 50e3, 500e3])), tmp_path)
    assert problems[0][0] == "/levels/target"
    assert "10000 S to 500000 S" in problems[0][1] or "10 kS" in problems[0][1]


def test_a_blind_file_in_the_wrong_unit(tmp_path):
    g = np.full(SHAPE, 12.0)
    m = Measurement(
        path=None,
        identity=ArrayIdentity(array_id="t", cell="1R"),
        rows=SHAPE[1],
        cols=SHAPE[2],
        program=program_in_memory(g, read_voltage=0.1),
    )
    ((where, text),) = found(m, tmp_path)
    assert where == "/program/conductance"
    assert "12 S" in text


NEVER_FORMED = {
    "near zero": lambda g: np.random.default_rng(1).normal(0, 1e-10, g.shape),
    "leaky": lambda g: np.full(g.shape, 3e-9),
    "all at LRS": lambda g: np.full(g.shape, 3e-4),
    "weak programming": lambda g: 20e-6 * (g / 20e-6) ** 0.2,
    "low": lambda g: g / 40,
    "not measured": lambda g: np.full(g.shape, np.nan),
}


@pytest.mark.parametrize("case", NEVER_FORMED)
def test_a_bad_array_is_no_wrong_layout(tmp_path, case):
    assert found(chip(reading=NEVER_FORMED[case]), tmp_path) == []


def retention(seconds):
    time = np.asarray(seconds, dtype=float)
    return reads_in_memory(
        np.broadcast_to(TARGET[1], (len(time), *SHAPE[1:])).copy(),
        time=time,
        level=np.ones(SHAPE[1:], np.int64),
        temperature=398.0,
    )


HOUR, DAY = 3600.0, 86400.0


@pytest.mark.parametrize(
    "seconds",
    [
        [0, 1, 60, HOUR, DAY],
        [0, 1e3, 1e4, 1e5, 1e6, 1e7],
        [0, 24 * HOUR, 168 * HOUR, 500 * HOUR, 1000 * HOUR, 2000 * HOUR],
        [0, 500 * HOUR, 1000 * HOUR],
        [0, 365 * DAY],
        [0.0],
    ],
)
def test_times_of_experiments(tmp_path, seconds):
    assert found(chip(retention=retention(seconds)), tmp_path) == []


@pytest.mark.parametrize(
    "seconds", [[0, 1, 60, HOUR, DAY], [0, 1, 10, 100, HOUR], [0, 10, 100, 1e5], [0, 1e2, 1e6]]
)
def test_milliseconds_as_seconds(tmp_path, seconds):
    wrong = retention(1000 * np.array(seconds))
    ((where, text),) = found(chip(retention=wrong), tmp_path)
    assert where == "/retention/time"
    assert "ms" in text


def test_nanoseconds_as_seconds_in_a_pulse_width(tmp_path):
    pulses = Pulses(
        conductance=np.full((1, 1, 3), 1e-5),
        polarity=np.array([1, 1, 1]),
        row=np.array([0]),
        col=np.array([0]),
        width=np.array([100.0, 100.0, 100.0]),
    )
    ((where, text),) = found(chip(pulses=pulses), tmp_path)
    assert where == "/pulses/width"
    assert "100 s" in text


def test_a_file_with_rows_and_columns_exchanged(tmp_path):
    path = tmp_path / "chip.h5"
    write_measurement(chip(retention=retention([0, 1, 60])), path)
    with h5py.File(path, "a") as f:
        del f.attrs["content_sha256"]
        for name in ("conductance", "level"):
            values = np.swapaxes(f[f"retention/{name}"][...], -1, -2)
            del f[f"retention/{name}"]
            f[f"retention/{name}"] = values
        f["retention/conductance"].attrs["units"] = "S"
    problems = [p for p in validate_layout(path) if not p.note]
    assert {p.where for p in problems} == {"/retention/conductance", "/retention/level"}
    assert all("exchange the axes row and col" in p.remedy for p in problems)
