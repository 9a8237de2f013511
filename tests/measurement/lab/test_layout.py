"""A layout file that says something not understood is refused, and the key is named."""

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
def said(tmp_path):
    def read(text):
        path = tmp_path / "lab.toml"
        path.write_text(text)
        with pytest.raises(MeasurementError) as caught:
            read_layout(path)
        return caught.value

    return read


def test_good_layouts_are_read(tmp_path):
    for text in (GOOD, HDF5):
        (tmp_path / "lab.toml").write_text(text)
        assert read_layout(tmp_path / "lab.toml").array.rows == 4


@pytest.mark.parametrize(
    ("old", "new", "where", "found"),
    [
        ("rows = 4", "", "array.rows", "required"),
        ("rows = 4", "rows = 0", "array.rows", "greater than 0"),
        ('"1T1R"', '"3T"', "array.cell", "3T"),
        ("cols = 4", "cols = 4\ntiles = [3, 2]", "array", "do not cut"),
        ("cols = 4", "cols = 4\nmask = 1", "array.mask", "not permitted"),
        ('kind = "table"', 'kind = "excel"', "source.kind", "excel"),
        ('columns = ["addr", "r"]', "", "source", "columns"),
        ('["addr", "r"]', '["r", "r"]', "source", "twice"),
        ("addr >> 2", "addr / 4", "cells", "whole numbers"),
        ('row = "addr >> 2"', "", "cells", "packed"),
        (', units = "ohm"', "", "program.conductance.units", "required"),
        ('"ohm"', '"kOhm"', "program.conductance", "kOhm"),
        ('"ohm"', '"uA"', "program.conductance", "voltage"),
        ('"ohm"', '"S", voltage = 0.1', "program.conductance", "for currents"),
        ("read_voltage = 0.2", 'read_voltage = ""', "program.read_voltage", "number"),
        ("[program]", "[programme]", "programme", "not permitted"),
        ("[cells]", "[levels]\ntarget = [1.0]\n[cells]", "levels", "units"),
        (
            "[cells]",
            '[levels]\ntarget = [1.0]\nlower = [1.0, 2.0]\nunits = "uS"\n[cells]',
            "levels",
            "2 levels",
        ),
        ("[cells]", '[levels]\nname = ["a"]\n[cells]', "levels", "one of"),
    ],
)
def test_what_is_wrong_is_named(said, old, new, where, found):
    assert old in GOOD
    error = said(GOOD.replace(old, new))
    assert error.where == where
    assert found in f"{error.found}; {error.expected}"


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (', units = "S"', "", "program.conductance.units is missing"),
        ('"S"', '"furlong"', "furlong"),
        ('"S"', '"A"', "voltage"),
        ("read_voltage = 0.2", "", "program.read_voltage is missing"),
        ("[program]", "[programs]", "[programs] is no group"),
        ("read_voltage", "reed_voltage", "reed_voltage is not known"),
        ("conductance =", "conductances =", "not known"),
        ('{ path = "/g", axes = ["row", "col"], units = "S" }', '"/g"', "is a dataset"),
    ],
)
def test_what_is_wrong_of_hdf5_is_named(said, old, new, found):
    assert old in HDF5
    assert found in said(HDF5.replace(old, new)).found


def test_several_are_counted(said):
    error = said(GOOD.replace("rows = 4", "rows = -1").replace('"1T1R"', '"3T"'))
    assert error.remedy.startswith("1 more")


def test_files_that_are_no_layout(said, tmp_path):
    assert "no TOML" in said("rows: 4").found
    with pytest.raises(MeasurementError, match="no such file"):
        read_layout(tmp_path / "none.toml")
