"""Conversion of logs; the expected values were derived by hand, row by row."""

import gzip

import numpy as np
import pytest

from rramfit.errors import MeasurementError
from rramfit.measurement import (
    convert_measurement,
    read_measurement,
    validate_layout,
    write_conversion,
)
from rramfit.measurement.lab.expressions import column_names, evaluate

HEAD = """
[array]
id = "chip"
cell = "1T1R"
rows = {rows}
cols = {cols}
{more}
[source]
kind = "table"
{source}
[cells]
row = "addr >> 1"
col = "addr & 1"
"""

PROGRAM = """
[program]
conductance = { column = "r", units = "kohm" }
read_voltage = 0.2
"""


@pytest.fixture
def convert(tmp_path):
    """Return a function that converts a log with a layout file, both given as text."""

    def run(log, layout=PROGRAM, *, name="log.csv", rows=2, cols=2, more="", source=None):
        path = tmp_path / name
        path.write_bytes(log if isinstance(log, bytes) else log.encode())
        lab = tmp_path / "lab.toml"
        head = HEAD if "[cells]" not in layout else HEAD.split("[cells]")[0]
        source = 'columns = ["addr", "r"]' if source is None else source
        lab.write_text(head.format(rows=rows, cols=cols, more=more, source=source) + layout)
        return convert_measurement(path, lab)

    return run


def sweeps(conversion, tile=0):
    return conversion.measurements[tile].program.read_all()


def reasons(conversion):
    return {b.reason: b.lines for b in conversion.bad}


def test_rows_are_assigned_to_cells_and_resistances_inverted(convert):
    c = convert("0,100\n1,50\n2,20\n3,10\n")
    np.testing.assert_allclose(sweeps(c).conductance, [[[1e-5, 2e-5], [5e-5, 1e-4]]])
    assert (c.rows, c.bad, c.unused) == (4, (), 0)
    assert c.measurements[0].program.levels_known is False


def test_cells_without_a_row_are_not_measured(convert):
    g = sweeps(convert("0,100\n3,10\n")).conductance[0]
    np.testing.assert_array_equal(np.isnan(g), [[False, True], [True, False]])


BAD = (
    "0,100\n"  # 1
    "1,50,7\n"  # 2: three fields
    "2\n"  # 3: one field
    "x,20\n"  # 4: address is not a number
    "9,20\n"  # 5: outside the array
    "1,OL\n"  # 6: not a number
    "2,0\n"  # 7: resistance of 0
    "3,inf\n"  # 8: infinite
    "\n"  # 9: blank, not a row
    "# a remark\n"  # 10: comment, not a row
    "3,10\n"  # 11: repeated in line 13
    "1.5,3\n"  # 12: address is not an integer
    "3,20\n"  # 13
    "2,nan\n"  # 14: marked as not measured, not a bad row
    "-1,3\n"  # 15: outside the array
)


def test_every_bad_row_is_listed_with_its_line(convert):
    c = convert(BAD)
    assert reasons(c) == {
        "3 fields instead of 2": (2,),
        "1 field instead of 2": (3,),
        "addr is not an integer": (4, 12),
        "cell outside the 2 × 2 array": (5, 15),
        "r is not a number": (6,),
        "r is infinite": (8,),
        "r is 0 kohm": (7,),
        "repeated cell in one sweep or read (the last row is kept)": (11,),
    }
    assert (c.rows, c.bad_rows) == (13, 10)
    g = sweeps(c).conductance[0]
    np.testing.assert_allclose(g, [[1e-5, np.nan], [np.nan, 5e-5]])
    assert "skipped 10 of 13 rows" in c.measurements[0].identity.comment
    assert "'OL'" in next(str(b) for b in c.bad if b.reason == "r is not a number")


def test_bad_rows_are_merged_across_pieces_of_a_large_log(convert, monkeypatch):
    monkeypatch.setattr("rramfit.measurement.lab.formats.text._PIECE", 40)
    c = convert(BAD)
    assert reasons(c)["addr is not an integer"] == (4, 12)
    assert reasons(c)["cell outside the 2 × 2 array"] == (5, 15)
    assert (c.rows, c.bad_rows) == (13, 10)


def test_rows_of_many_pieces_are_assigned_to_the_right_cells(convert, monkeypatch):
    monkeypatch.setattr("rramfit.measurement.lab.formats.text._PIECE", 1000)
    r = 1 + np.arange(4096) % 977
    order = np.random.default_rng(3).permutation(4096)
    layout = '[cells]\nrow = "addr >> 6"\ncol = "addr & 63"\n' + PROGRAM
    c = convert("".join(f"{a},{r[a]}\n" for a in order), layout, rows=64, cols=64)
    np.testing.assert_allclose(sweeps(c).conductance[0].ravel(), 1e-3 / r)


@pytest.mark.parametrize(
    ("log", "name", "source"),
    [
        ("0\t100\n1\t50\n", "log.tsv", 'columns = ["addr", "r"]'),
        ("0;100,0\n1;50,0\n", "l.csv", 'separator = ";"\ndecimal = ","\ncolumns = ["addr", "r"]'),
        ("0   100\n1 50\n", "log.txt", 'separator = "whitespace"\ncolumns = ["addr", "r"]'),
        ("junk\nmore\naddr,r\n0,100\n1,50\n", "log.csv", "skip = 2\nheader = true"),
        ("\ufeffaddr,r\r\n0,100\r\n1,50\r\n", "log.csv", "header = true"),
        ('"0","100"\n"1","50"\n', "log.csv", 'columns = ["addr", "r"]'),
        ("0,100,\n1,50,\n", "log.csv", 'columns = ["addr", "r", "none"]'),
        ("0x0,100\n0x1,50\n", "log.csv", 'hex = ["addr"]\ncolumns = ["addr", "r"]'),
        (gzip.compress(b"0,100\n1,50\n", mtime=0), "log.csv.gz", 'columns = ["addr", "r"]'),
        (gzip.compress(b"0,100\n1,50\n", mtime=0), "log.csv", 'columns = ["addr", "r"]'),
    ],
)
def test_log_formats(convert, log, name, source):
    c = convert(log, name=name, source=source)
    np.testing.assert_allclose(sweeps(c).conductance[0, 0], [1e-5, 2e-5])
    assert c.bad == ()


def test_missing_values_are_not_bad_rows(convert):
    source = 'columns = ["addr", "r"]\nmissing = ["OL", "9999"]'
    for log in ("0,100\n1,OL\n2,9999\n", "0,100\n1,9999\n2,9999.0\n"):
        c = convert(log, source=source)
        assert c.bad == ()
        assert np.isnan(sweeps(c).conductance).sum() == 3


def test_currents_are_divided_by_the_read_voltage(convert):
    fixed = '[program]\nconductance = { column = "r", units = "uA", voltage = 0.2 }\n'
    c = convert("0,2\n1,-0.1\n", fixed + "read_voltage = 0.2")
    np.testing.assert_allclose(sweeps(c).conductance[0, 0], [1e-5, -5e-7])
    column = '[program]\nconductance = { column = "r", units = "uA", voltage = "v" }\n'
    source = 'columns = ["addr", "r", "v"]'
    c = convert("0,2,0.1\n1,3,0\n", column + "read_voltage = 0.1", source=source)
    np.testing.assert_allclose(sweeps(c).conductance[0, 0], [2e-5, np.nan])
    assert reasons(c) == {"v is not a nonzero voltage": (2,)}


def test_sweeps_levels_flags_and_pulses(convert):
    layout = """
[levels]
target = [100, 20]
lower = [90, 15]
upper = [120, 25]
units = "kohm"
[program]
conductance = { column = "r", units = "kohm" }
sweep = "cycle"
level = { column = "level", first = 1 }
verified = { column = "ok" }
pulses = ["set", "reset"]
read_voltage = 0.2
max_pulses = 9
"""
    source = 'columns = ["addr", "cycle", "level", "r", "ok", "set", "reset"]'
    log = "0,10,1,100,pass,1,2\n0,20,2,20,FAIL,3,4\n1,20,1,95,pass,0,0\n1,10,3,95,pass,0,0\n"
    c = convert(log, layout.replace("[100, 20]", "[100.0, 20.0]"), source=source)
    block = sweeps(c)
    np.testing.assert_allclose(
        block.conductance[:, 0], [[1e-5, np.nan], [5e-5, 1 / 95e3]], rtol=1e-12
    )
    np.testing.assert_array_equal(block.level[:, 0], [[0, -1], [1, 0]])
    np.testing.assert_array_equal(block.accepted[:, 0], [[True, False], [False, True]])
    np.testing.assert_array_equal(block.pulses[:, 0], [[3, 0], [7, 0]])
    levels = c.measurements[0].levels
    np.testing.assert_allclose(levels.lower, [1 / 120e3, 1 / 25e3])
    np.testing.assert_allclose(levels.upper, [1 / 90e3, 1 / 15e3])
    assert reasons(c) == {"level is not one of the 2 levels": (4,)}


def test_levels_from_the_windows_of_the_rows(convert):
    layout = """
[levels]
windows = { lower = "low", upper = "high", units = "kohm" }
[program]
conductance = { column = "r", units = "kohm" }
sweep = "occurrence"
read_voltage = 0.2
"""
    source = 'columns = ["addr", "low", "high", "r"]'
    c = convert("0,9,11,10\n1,90,110,99\n0,90,110,120\n", layout, source=source)
    levels, block = c.measurements[0].levels, sweeps(c)
    np.testing.assert_allclose(levels.target, [1e-5, 1e-4])
    np.testing.assert_allclose(levels.lower, [1 / 110e3, 1 / 11e3])
    np.testing.assert_array_equal(block.level[:, 0], [[1, 0], [0, -1]])
    np.testing.assert_array_equal(block.accepted[:, 0], [[True, True], [False, False]])


WRITE_AND_READ = """
[levels]
evenly = { start = 0, stop = 100, count = 2, units = "uS" }
[program]
where = { kind = "W" }
conductance = { column = "g", units = "uS" }
level = { column = "level" }
sweep = "write"
read_voltage = 0.2
[retention]
where = { kind = ["R", "r"] }
latest = "write"
conductance = { column = "g", units = "uS" }
read = "occurrence"
time = { column = "time", units = "ms", since = { kind = "W" } }
level = { program = -1 }
temperature = 300
"""


def test_latest_keeps_the_reads_after_the_last_write(convert):
    source = (
        'columns = ["kind", "addr", "level", "time", "g"]\ncounters = { write = { kind = "W" } }'
    )
    log = (
        "I,0,0,0,1\n"
        "W,0,0,1000,20\nR,0,0,1010,21\nR,0,0,1100,22\n"
        "W,1,1,2000,80\nR,1,0,2012,81\nW,0,1,3000,70\n"
        "r,0,0,3010,71\nR,0,0,3100,72\nW,1,0,4000,30\nR,1,0,4014,31\nR,1,0,4100,32\n"
    )
    c = convert(log, WRITE_AND_READ, source=source)
    m = c.measurements[0]
    np.testing.assert_allclose(
        m.program.read_all().conductance[:, 0] * 1e6, [[20, 80], [70, 30]], rtol=1e-12
    )
    np.testing.assert_array_equal(m.program.read_all().level[:, 0], [[0, 1], [1, 0]])
    np.testing.assert_allclose(m.retention.read_all()[:, 0] * 1e6, [[71, 31], [72, 32]])
    np.testing.assert_allclose(m.retention.time, [0.012, 0.1])
    np.testing.assert_array_equal(m.retention.level, [[1, 0], [-1, -1]])
    assert (
        c.unused == 1
    )  # the first row, "I"; reads after earlier writes are selected, then dropped


def test_several_logs_are_several_reads(tmp_path):
    for name, scale in (("before", 1), ("after", 2)):
        (tmp_path / f"{name}.tsv").write_text(f"0\t{scale * 10}\n1\t{scale * 50}\n")
    lab = tmp_path / "lab.toml"
    lab.write_text(
        HEAD.format(rows=1, cols=2, more="", source='columns = ["addr", "r"]')
        + """
[levels]
evenly = { start = 0, stop = 100, count = 2, units = "uS" }
[retention]
conductance = { column = "r", units = "kohm" }
read = "file"
time = { values = [0, 1], units = "h" }
level = { reading = 0 }
temperature = 400
"""
    )
    c = convert_measurement([tmp_path / "before.tsv", tmp_path / "after.tsv"], lab)
    reads = c.measurements[0].retention
    np.testing.assert_allclose(reads.read_all()[:, 0] * 1e6, [[100, 20], [50, 10]])
    np.testing.assert_array_equal(reads.level, [[1, 0]])
    assert reads.time.tolist() == [0, 3600]


def test_iv_curves(convert):
    layout = """
[iv]
voltage = { column = "v", units = "mV" }
current = { column = "i", units = "nA" }
"""
    source = 'columns = ["addr", "v", "i"]'
    log = "3,0,0\n3,100,5\n0,0,1\n3,200,9\n0,100,2\n0,250,3\n1,0,4\n1,100,8\n1,200,7\n"
    c = convert(log, layout, source=source)
    iv = c.measurements[0].iv
    np.testing.assert_allclose(iv.voltage, [0, 0.1, 0.2])
    assert (iv.row.tolist(), iv.col.tolist()) == ([1, 0, 0], [1, 0, 1])  # in the order of the log
    np.testing.assert_allclose(iv.current * 1e9, [[0, 5, 9], [1, 2, np.nan], [4, 8, 7]])
    assert reasons(c) == {"voltage differs from the same point of other cells": (6,)}


def test_packed_cells_fill_the_array_in_rising_order(convert):
    c = convert("70,10\n12,100\n900,1\n", '[cells]\npacked = "addr"\n' + PROGRAM)
    np.testing.assert_allclose(sweeps(c).conductance[0], [[1e-5, 1e-4], [1e-3, np.nan]])
    with pytest.raises(MeasurementError, match="5 cells"):
        convert("1,1\n2,1\n3,1\n4,1\n5,1\n", '[cells]\npacked = "addr"\n' + PROGRAM)


def test_tiles_are_cut_row_by_row(convert, tmp_path):
    log = "".join(f"{a},{a + 1}\n" for a in range(16) if a not in (2, 3, 6, 7))
    layout = '[cells]\nrow = "addr // 4"\ncol = "addr % 4"\n' + PROGRAM
    c = convert(log, layout, rows=4, cols=4, more="tiles = [2, 2]")
    assert (c.tiles, c.empty) == ((0, 2, 3), (1,))
    np.testing.assert_allclose(1e-3 / sweeps(c, 2).conductance[0], [[11, 12], [15, 16]])
    assert [m.identity.array_id for m in c.measurements] == [
        "chip/tile0",
        "chip/tile2",
        "chip/tile3",
    ]
    files = write_conversion(c, tmp_path / "out" / "chip.h5")
    assert [f.name for f in files] == ["chip_tile0.h5", "chip_tile2.h5", "chip_tile3.h5"]
    assert [p for f in files for p in validate_layout(f)] == []
    back = read_measurement(files[1]).program.read_all().conductance
    np.testing.assert_allclose(back, sweeps(c, 1).conductance, rtol=1e-7)


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (PROGRAM.replace('"r"', '"R"'), "no column 'R'"),
        (PROGRAM + "where = { kind = 1 }", "no column 'kind'"),
        (PROGRAM + "where = { r = 77 }", "no matching row in the log"),
        (PROGRAM + 'sweep = "cycle"', "no column 'cycle'"),
        (
            """
[retention]
conductance = { column = "r", units = "S" }
read = "occurrence"
time = { values = [1, 2], units = "s" }
""",
            "2 times",
        ),
    ],
)
def test_a_layout_that_does_not_match_is_rejected(convert, layout, message):
    with pytest.raises(MeasurementError, match=message):
        convert("0,100\n1,50\n", layout)


def test_unreadable_logs_are_rejected(convert, tmp_path):
    with pytest.raises(MeasurementError, match="no row with the right number"):
        convert("0;1\n")
    with pytest.raises(MeasurementError, match="damaged gzip"):
        convert(gzip.compress(BAD.encode() * 99)[:60], name="log.csv.gz")
    with pytest.raises(MeasurementError, match="header of 3 columns"):
        convert("a,b,c\n1,2,3\n", source='header = true\ncolumns = ["addr", "r"]')
    with pytest.raises(MeasurementError, match="no such file"):
        convert_measurement(tmp_path / "none.csv", tmp_path / "lab.toml")


def test_address_arithmetic():
    addr = np.arange(70000)
    columns = {"addr": addr, "bank": addr % 3}
    np.testing.assert_array_equal(
        evaluate("((addr & 255) // 2 ^ 1) + 10 * bank - (addr >> 8) % 7 | 0 << 2", columns),
        (((addr & 255) // 2 ^ 1) + 10 * (addr % 3) - (addr >> 8) % 7) | 0,
    )
    assert column_names("-addr + 3") == {"addr"}
    for bad in (
        "__import__('os')",
        "addr.real",
        "addr / 2",
        "addr ** 9",
        "1.5",
        "addr if 1 else 2",
    ):
        with pytest.raises(ValueError, match="integer arithmetic"):
            column_names(bad)


def test_arithmetic_for_quantities():
    v = np.array([0.0, 1.5, -3.0])
    n = np.array([0, 1, 5])
    columns = {"v": v, "n": n, "R (ohm)": v + 1}
    for text, expected in (
        ("(v - n) / 1000", (v - n) / 1000),
        ("2 * `R (ohm)` - max(v, n, 1)", 2 * (v + 1) - [1, 1.5, 5]),
        ("abs(v) ** 2 + floor(1.9)", v**2 + 1),
        ("n % 4 + (n >> 1)", [0, 1, 3]),
        ("1 / v", [np.nan, 1 / 1.5, -1 / 3]),
        ("7 // n", [np.nan, 7, 1]),
        ("v & 1", [0, np.nan, 1]),
        ("n << 70", [np.nan] * 3),
        ("log10(v)", [np.nan, np.log10(1.5), np.nan]),
        ("9 ** 9 ** 9", np.nan),
    ):
        np.testing.assert_allclose(evaluate(text, columns), expected, err_msg=text)
    for bad in (
        "v.real",
        "open('x')",
        "[v]",
        "v if n else 0",
        "'a'",
        "v ** 1j",
        "min()",
        "(" * 400,
    ):
        with pytest.raises(ValueError, match="expected arithmetic"):
            column_names(bad, integer=False)
