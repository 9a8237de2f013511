"""Messages name the file, line and column of what cannot be used; their advice works."""

import json

import numpy as np
import pytest

from rramfit.errors import LayoutFileError, MeasurementError
from rramfit.measurement import convert_measurement, validate_layout, write_conversion

TABLE = '[source]\nkind = "table"\n'
CELLS = '[cells]\npacked = "a"\n'
PROGRAM = """
[program]
conductance = { column = "r", units = "ohm" }
sweep = "occurrence"
read_voltage = 0.2
"""
WINDOWS = f"""{TABLE}columns = ["a", "r", "lo", "hi"]
{CELLS}
[levels]
windows = {{ lower = "lo", upper = "hi", units = "ohm" }}
{PROGRAM}"""
LAYOUT = f'{TABLE}columns = ["a", "r"]\n{CELLS}{PROGRAM}'


@pytest.mark.parametrize("none", ["nan", "inf", "", "1e10", "9999"])
def test_windows_that_are_open_above(convert, tmp_path, none):
    layout = WINDOWS.replace('units = "ohm" }', 'units = "ohm", open = [9999] }', 1)
    log = f"0,9000,8510,9310\n1,300000,80000,{none}\n1,70000,80000,{none}\n0,4400,0,5000\n"
    c = convert(log, layout, rows=1)
    levels = c.measurements[0].levels
    np.testing.assert_allclose(levels.target, [1.25e-5, 1 / 8910, 2e-4])
    np.testing.assert_allclose(levels.lower, [np.nan, 1 / 9310, 2e-4])
    np.testing.assert_allclose(levels.upper, [1.25e-5, 1 / 8510, np.nan])
    block = c.measurements[0].program.read_all()
    assert block.level[:, 0].tolist() == [[1, 0], [2, 0]]
    assert block.accepted[:, 0].tolist() == [[True, True], [True, False]]
    (file,) = write_conversion(c, tmp_path / "out.h5")
    assert validate_layout(file) == []
    assert c.bad == ()


def test_windows_that_are_open_on_both_sides_or_touch(convert, reasons):
    c = convert("0,1,nan,nan\n1,2e4,1e4,inf\n0,5e3,0,1e4\n0,3,7,7\n", WINDOWS, rows=1)
    assert reasons(c) == {"lo and hi are both open": (1,), "lo equals hi": (4,)}
    assert (np.diff(c.measurements[0].levels.target) > 0).all()


def test_the_reason_is_named_if_no_row_can_be_used(convert):
    for log, line, why in (
        ("5\n6\n", 1, "1 field instead of 2"),
        ("0,OL\n1,OL\n", 1, "r is not a number, as in 'OL'"),
        ("# c\n0,0\n1,0\n", 2, "r is 0 ohm"),
        ("0,9.9e37\n", 1, "r is an overflow marker"),
    ):
        with pytest.raises(MeasurementError, match=why) as caught:
            convert(log, LAYOUT)
        assert caught.value.where == f"line {line}"
        assert caught.value.path.name == "log.csv"


def test_times_that_fall_are_named_in_the_terms_of_the_log(convert):
    layout = f"""{TABLE}columns = ["a", "t", "r"]
{CELLS}
[retention]
conductance = {{ column = "r", units = "ohm" }}
read = "occurrence"
time = {{ column = "t", units = "s" }}
temperature = 400
"""
    with pytest.raises(MeasurementError, match=r"retention\.time: found 9 s at read 0, then 5 s"):
        convert("0,9,100\n0,5,100\n", layout)
    with pytest.raises(MeasurementError, match="found a time of -5 s"):
        convert("0,-5,100\n0,5,100\n", layout)


def test_lines_after_a_change_of_the_columns_are_listed(convert, reasons):
    c = convert("0,1\n1,2\n0,3,9\n1,4,9\n", LAYOUT)
    assert reasons(c) == {"3 fields instead of 2": (3, 4)}
    assert (c.rows, c.bad_rows) == (4, 2)


def test_short_lines_of_another_kind_are_used(convert, reasons):
    """As in a log of operations, each with its own number of fields."""
    layout = f"""{TABLE}columns = ["a", "kind", "r", "x"]
{CELLS}{PROGRAM}where = {{ kind = "READ" }}
"""
    c = convert("0,READ,100\n0,SET,1,3\n0,RESET\n1,READ\n0,READ,50,7,8\n", layout)
    assert c.measurements[0].program.read_all().conductance[0, 0, 0] == 0.01
    assert reasons(c) == {"2 fields instead of 4": (4,), "5 fields instead of 4": (5,)}
    assert c.unused == 2


def test_a_layout_that_asks_for_levels_must_list_them(convert):
    layout = LAYOUT + 'level = { column = "a" }\n'
    with pytest.raises(MeasurementError, match=r"expected \[levels\] with the target of each"):
        convert("0,1\n", layout)


def test_a_column_that_is_neither_a_name_nor_arithmetic(convert):
    for column, message in (
        ("R (ohm)", "no column 'R \\(ohm\\)'"),
        ("r +", "neither a column nor arithmetic"),
        ("__import__('os').getcwd() * r", "neither a column nor arithmetic"),
    ):
        with pytest.raises(MeasurementError, match=message):
            convert("0,1\n", LAYOUT.replace('"r", units', f'"{column}", units'))


def test_columns_with_units_in_their_names(convert):
    layout = f"""{TABLE}header = true
[cells]
packed = "Device ID"
[program]
conductance = {{ column = "`R [kOhm]` * 1000", units = "Ω" }}
read_voltage = 0.2
"""
    c = convert("Device ID,R [kOhm]\nA,10\nB,20\n", layout)
    np.testing.assert_allclose(c.measurements[0].program.read_all().conductance[0, 0], [1e-4, 5e-5])


def test_the_name_of_a_file_that_does_not_match_the_pattern(convert):
    layout = LAYOUT.replace("columns", 'file_name = "bake_{celsius}C.csv"\ncolumns')
    with pytest.raises(MeasurementError, match=r"a name like 'bake_\{celsius\}C\.csv'"):
        convert("0,1\n", layout)
    with pytest.raises(LayoutFileError, match="distinct names in braces"):
        convert("0,1\n", LAYOUT.replace("columns", 'title = "{a"\ncolumns'))


def test_times_more_than_the_largest_group(convert, monkeypatch):
    monkeypatch.setattr("rramfit.measurement.lab.table.steps.LARGEST", 10)
    with pytest.raises(MeasurementError, match=r"3 × 2 × 2 readings, expected at most 10"):
        convert("0,1\n0,2\n0,3\n", LAYOUT)


def test_files_of_the_wrong_kind(convert, tmp_path):
    convert("0,1e4\n1,2e4\n", LAYOUT)
    card = tmp_path / "x.card.json"
    card.write_text(json.dumps({"schema": "rramfit-card"}))
    with pytest.raises(LayoutFileError, match="a JSON file, such as a model card"):
        convert_measurement(tmp_path / "log.csv", card)
    with pytest.raises(LayoutFileError, match="no such file"):
        convert_measurement(tmp_path / "log.csv", tmp_path / "none.toml")
    c = convert_measurement(tmp_path / "log.csv", tmp_path / "lab.toml")
    (file,) = write_conversion(c, tmp_path / "out.h5")
    with pytest.raises(MeasurementError, match=r"out\.h5"):
        convert_measurement(file, tmp_path / "lab.toml")
    with pytest.raises(LayoutFileError, match="an HDF5 file"):
        convert_measurement(tmp_path / "log.csv", file)
    lab = tmp_path / "lab.toml"
    lab.write_text(
        lab.read_text().replace('"table"', '"hdf5"').partition("[cells]")[0].partition("columns")[0]
    )
    lab.write_text(
        lab.read_text()
        + '[program]\nconductance = { path = "g", axes = ["row", "col"], units = "S" }\n'
        + "read_voltage = 0.2\n"
    )
    with pytest.raises(MeasurementError, match='the layout has kind = "hdf5"'):
        convert_measurement(tmp_path / "log.csv", lab)
