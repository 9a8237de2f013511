"""An invalid layout file is rejected, and the message names the key."""

import pytest

from rramfit.errors import MeasurementError
from rramfit.measurement import read_layout

GOOD = """
[array]
id = "x"
cell = "1T1R"
rows = 4
cols = 4
[source]
kind = "table"
columns = ["addr", "r"]
[cells]
row = "addr >> 2"
col = "addr & 3"
[program]
conductance = { column = "r", units = "ohm" }
read_voltage = 0.2
"""
HDF5 = """
[array]
id = "x"
cell = "1T1R"
rows = 4
cols = 4
[source]
kind = "hdf5"
[program]
conductance = { path = "/g", axes = ["row", "col"], units = "S" }
read_voltage = 0.2
"""


@pytest.fixture
def error_of(tmp_path):
    def read(text):
        path = tmp_path / "lab.toml"
        path.write_text(text)
        with pytest.raises(MeasurementError) as caught:
            read_layout(path)
        return caught.value

    return read


def test_valid_layouts_are_read(tmp_path):
    for text in (GOOD, HDF5):
        (tmp_path / "lab.toml").write_text(text)
        assert read_layout(tmp_path / "lab.toml").array.rows == 4


@pytest.mark.parametrize(
    ("old", "new", "where", "found"),
    [
        ("rows = 4", "", "array.rows", "no such key"),
        ("rows = 4", "rows = 0", "array.rows", "a value greater than 0"),
        ('"1T1R"', '"3T"', "array.cell", "3T"),
        ("cols = 4", "cols = 4\ntiles = [3, 2]", "array", "divides evenly"),
        ("cols = 4", "cols = 4\nmask = 1", "array.mask", "an unknown key"),
        ('kind = "table"', 'kind = "excel"', "source.kind", "excel"),
        ('columns = ["addr", "r"]', "", "source", "columns"),
        ('["addr", "r"]', '["r", "r"]', "source", "repeated name"),
        ("addr >> 2", "addr / 4", "cells", "integer arithmetic"),
        ('row = "addr >> 2"', "", "cells", "packed"),
        (', units = "ohm"', "", "program.conductance.units", "no such key"),
        ('"ohm"', '"furlong"', "program.conductance", "the unit 'furlong'"),
        ('"ohm"', '"uA"', "program.conductance", "voltage"),
        ('"ohm"', '"S", voltage = 0.1', "program.conductance", "only for a current"),
        ("read_voltage = 0.2", 'read_voltage = ""', "program.read_voltage", "number"),
        ("[program]", "[programme]", "programme", "an unknown key"),
        ("[cells]", "[levels]\ntarget = [1.0]\n[cells]", "levels", "units"),
        (
            "[cells]",
            '[levels]\ntarget = [1.0]\nlower = [1.0, 2.0]\nunits = "uS"\n[cells]',
            "levels",
            "2 values in `lower`",
        ),
        ("[cells]", '[levels]\nname = ["a"]\n[cells]', "levels", "one of"),
    ],
)
def test_errors_name_the_key(error_of, old, new, where, found):
    assert old in GOOD
    error = error_of(GOOD.replace(old, new))
    assert error.where == where
    assert found in f"{error.found}, expected {error.expected}"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (', units = "S"', "", "program.conductance.units: found no such key"),
        ('"S"', '"furlong"', "program.conductance.units: found the unit 'furlong'"),
        ('"S"', '"A"', "program.conductance.voltage: found no such key"),
        ("read_voltage = 0.2", "", "program.read_voltage: found no such key"),
        ("[program]", "[programs]", "programs: found an unknown group"),
        ("read_voltage", "reed_voltage", "program.reed_voltage: found an unknown key"),
        ("conductance =", "conductances =", "program.conductances: found an unknown key"),
        (
            '{ path = "/g", axes = ["row", "col"], units = "S" }',
            '"/g"',
            "program.conductance: found '/g', expected a dataset",
        ),
    ],
)
def test_errors_of_hdf5_layouts_name_the_key(error_of, old, new, message):
    assert old in HDF5
    assert message in str(error_of(HDF5.replace(old, new)))


def test_further_errors_are_counted(error_of):
    error = error_of(GOOD.replace("rows = 4", "rows = -1").replace('"1T1R"', '"3T"'))
    assert "1 more problem at array.rows" in error.remedy


def test_files_that_are_not_layouts_are_rejected(error_of, tmp_path):
    assert "invalid TOML" in error_of("rows: 4").found
    with pytest.raises(MeasurementError, match="no such file"):
        read_layout(tmp_path / "none.toml")
