"""Errors, units, provenance and random streams."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from rramfit.errors import InputError, MeasurementError, OutputError, RramfitError
from rramfit.provenance import atomic_file, check_folder, result_time, sha256_of
from rramfit.streams import stream, torch_stream
from rramfit.units import ACCEPTED_UNITS, format_quantity, to_si, unit_name


def test_an_input_error_reads_as_sentences():
    error = MeasurementError("a.h5", "/levels", found="no units", expected="S", remedy="add units")
    assert str(error) == "a.h5: /levels: found no units, expected S. Add units."
    plain = MeasurementError("a.h5", "/levels", found="no units", expected="S")
    assert str(plain) == "a.h5: /levels: found no units, expected S."
    assert isinstance(error, InputError)
    assert isinstance(error, RramfitError)


@pytest.mark.parametrize("where", ["", "/", "file"])
def test_an_error_of_a_whole_file_names_the_file_alone(where, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def message(path):
        error = MeasurementError(path, where, found="x", expected="y")
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
        assert error.where == where
        return str(error)

    assert message("a.h5") == "a.h5: found x, expected y."
    assert message(Path()) == f"{tmp_path}: found x, expected y."
    assert message("..") == f"{tmp_path.parent}: found x, expected y."
    assert message("") == "found x, expected y."


def test_an_input_error_can_be_pickled():
    error = MeasurementError("a.h5", "/levels", found="x", expected="y", remedy="z")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is MeasurementError
    assert str(back) == str(error)
    assert back.where == "/levels"


@pytest.mark.parametrize(
    ("value", "unit", "kind", "si"),
    [
        (50.0, "uS", "conductance", 50e-6),
        (20.0, "kohm", "conductance", 50e-6),
        (2.0, "Mohm", "conductance", 0.5e-6),
        (200.0, "mV", "voltage", 0.2),
        (3.0, "nA", "current", 3e-9),
        (2.0, "h", "time", 7200.0),
        (300.0, "K", "temperature", 300.0),
    ],
)
def test_units_become_si(value, unit, kind, si):
    assert to_si(value, unit, kind) == pytest.approx(si)


def test_accepted_units_convert_and_others_are_rejected():
    for kind, units in ACCEPTED_UNITS.items():
        for unit in units:
            assert np.isfinite(to_si(1.0, unit, kind))
    with pytest.raises(ValueError, match="'mho' is not one of S, mS"):
        to_si(1.0, "mho", "conductance")


@pytest.mark.parametrize(
    ("written", "name"),
    [
        *[
            (f"{p}{o}", f"{p}ohm")
            for p in ("", "k", "M")
            for o in ("\N{OHM SIGN}", "Ω", "Ohm", "ohms")
        ],
        *[
            (f"{mu}{u}", f"u{u}")
            for mu in ("\N{MICRO SIGN}", "\N{GREEK SMALL LETTER MU}")
            for u in "SAs"
        ],
        ("KOhm", "kohm"),
        ("k\N{REPLACEMENT CHARACTER}", "kohm"),
        (" sec ", "s"),
        ("Hours", "h"),
        ("°C", "degC"),
        ("mohm", "mohm"),
        ("US", "US"),
    ],
)
def test_units_as_laboratories_write_them(written, name):
    assert unit_name(written) == name


def test_degrees_celsius_become_kelvin():
    assert to_si([85.0, -40.0], "°C", "temperature").tolist() == pytest.approx([358.15, 233.15])
    assert to_si(2.0, "kΩ", "conductance") == pytest.approx(5e-4)


def test_zero_resistance_is_infinite_conductance():
    assert np.isinf(to_si(0.0, "ohm", "conductance"))


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0, "S", "0 S"),
        (-2.5e-6, "S", "-2.5 uS"),
        (12.0e3, "ohm", "12 kohm"),
        (0.3, "1/V", "0.3 1/V"),
    ],
)
def test_quantities_have_si_prefixes(value, unit, text):
    assert format_quantity(value, unit) == text


def test_a_stream_depends_only_on_seed_and_name():
    a = stream(3, "d2d").standard_normal(4)
    stream(3, "failure").standard_normal(4)
    np.testing.assert_array_equal(a, stream(3, "d2d").standard_normal(4))
    assert not np.array_equal(a, stream(3, "c2c").standard_normal(4))
    assert not np.array_equal(a, stream(4, "d2d").standard_normal(4))
    assert torch_stream(3, "d2d").initial_seed() == torch_stream(3, "d2d").initial_seed()
    assert torch_stream(3, "d2d").initial_seed() != torch_stream(3, "c2c").initial_seed()


def test_time_comes_from_the_epoch_then_the_measurement_then_the_file(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"")
    os.utime(path, (86400, 86400))
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert result_time([path]) == ("1970-01-02T00:00:00Z", "modification time of the input")
    measured = result_time([path], "2020-02-02T02:02:02+01:00")
    assert measured == ("2020-02-02T01:02:02Z", "measured_at of the input")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    assert result_time([path], "2020-02-02T02:02:02+01:00")[0] == "1970-01-01T00:00:00Z"


def test_a_file_is_written_completely_or_not_at_all(tmp_path):
    target = tmp_path / "deep" / "a.txt"
    with atomic_file(target) as part:
        part.write_text("one")
    with pytest.raises(ZeroDivisionError), atomic_file(target) as part:
        part.write_text(f"tw{1 / 0}")
    assert target.read_text() == "one"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("name", ["file/a.txt", "folder", f"{'x' * 300}.txt"])
def test_an_unwritable_path_is_reported(tmp_path, name):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError) as caught, atomic_file(tmp_path / name) as part:
        part.write_text("one")
    back = pickle.loads(pickle.dumps(caught.value))
    assert str(back).startswith(f"cannot write {tmp_path / name}: ")
    assert not list(tmp_path.rglob("*.part"))


def test_a_link_is_followed_and_a_pipe_is_rejected(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with atomic_file(tmp_path / "link") as part:
        part.write_text("one")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "one"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="a device or a pipe"), atomic_file(tmp_path / "pipe"):
        pass
    assert (tmp_path / "pipe").is_fifo()


def test_check_folder_accepts_a_new_folder_and_rejects_a_file(tmp_path):
    check_folder(tmp_path / "new" / "folder")
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is not a folder"):
        check_folder(tmp_path / "file" / "deep")


def test_digest_of_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a").startswith("ba7816bf")  # FIPS 180-2, example B.1
