"""Samples along a line, a column a cell, and maps one below the other."""

import gzip

import numpy as np
import pytest

from rramfit.errors import MeasurementError

TABLE = '[source]\nkind = "table"\n'
PROGRAM = """
[program]
conductance = { column = "g", units = "uS" }
sweep = "block"
read_voltage = 0.2
"""
MAP = f"""{TABLE}samples = ["g"]
[cells]
row = "block_line"
col = "sample"
{PROGRAM}"""
NAN = np.nan


def sweeps(conversion):
    return conversion.measurements[0].program.read_all().conductance * 1e6


def test_a_line_a_cell_of_any_length(convert):
    """More samples than a field of Python's csv may have characters, and lines that differ."""
    rng = np.random.default_rng(5)
    g = [rng.normal(50, 1, n) for n in (40_000, 39_998)]
    lines = "".join(
        f"{a}\t1.6e9\t" + "\t".join(f"{x:.7e}" for x in row) + "\n"
        for a, row in zip((7, 3), g, strict=True)
    )
    layout = f"""{TABLE}columns = ["a", "start"]
samples = ["g"]
[cells]
packed = "a"
[reads]
conductance = {{ column = "g", units = "uS" }}
read = "sample"
time = {{ column = "sample * 2.5", units = "ms" }}
read_voltage = 0.1
"""
    c = convert(gzip.compress(lines.encode()), layout, rows=1, name="log.tsv.gz")
    reads = c.measurements[0].reads
    stored = np.concatenate(list(reads.blocks()))
    np.testing.assert_allclose(stored[:, 0, 1] * 1e6, g[0], rtol=1e-7)
    np.testing.assert_allclose(stored[:-2, 0, 0] * 1e6, g[1], rtol=1e-7)
    assert np.isnan(stored[-2:, 0, 0]).all()
    np.testing.assert_allclose(reads.time[[0, 1, -1]], [0, 0.0025, 39_999 * 0.0025])


def test_states_in_turn_along_the_line(convert):
    layout = f"""{TABLE}columns = ["a"]
samples = ["hrs", "lrs"]
[cells]
packed = "a"
[endurance]
cycle = "sample + 1"
states = [ {{ column = "hrs", units = "kohm" }}, {{ column = "lrs", units = "kohm" }} ]
"""
    e = convert("0,100,10,200,20\n1,50,5,x,8\n", layout).measurements[0].endurance
    assert e.cycle.tolist() == [1, 2]
    np.testing.assert_allclose(
        e.conductance[:, :, 0] * 1e6, [[[10, 20], [100, 200]], [[5, NAN], [50, 125]]]
    )


def test_a_column_a_cell(convert, tmp_path):
    """The header names the cells; the first column is the time."""
    layout = f"""{TABLE}header = true
columns = ["t"]
samples = ["r"]
[cells]
packed = "header"
[retention]
conductance = {{ column = "r", units = "kohm" }}
read = "t"
time = {{ column = "t", units = "h" }}
temperature = 400
"""
    log = "time (h),C10,C2,C1\n0,10,20,40\n1,11,,41\n2,12,22,x\n"
    c = convert(log, layout)
    bake = c.measurements[0].retention
    np.testing.assert_allclose(
        1e-3 / bake.read_all().reshape(3, 4),
        [[40, 20, 10, NAN], [41, NAN, 11, NAN], [NAN, 22, 12, NAN]],
    )
    assert bake.time.tolist() == [0, 3600, 7200]
    assert [(b.reason, b.lines) for b in c.bad] == [
        ("1 sample of the line not a number (left out)", (4,))
    ]


@pytest.mark.parametrize(
    "log",
    [
        "1,2\n3,4\n\n5,6\n7,8\n",
        "Map 1,,\n1,2\n3,4\nMap 2,,\n5,6\n7,8\n",
        "first\r\n\r\n1,2,\r\n3,4,\r\n\r\nsecond\r\n5,6,\r\n7,8,\r\n",
        "# a remark\n1,2\n# within\n3,4\n\n\n\n5,6\n7,8\n\n",
    ],
)
def test_maps_below_each_other(convert, log):
    c = convert(log, MAP)
    np.testing.assert_allclose(sweeps(c), [[[1, 2], [3, 4]], [[5, 6], [7, 8]]])
    assert c.bad == ()


def test_a_bad_line_of_a_map_does_not_shift_the_others(convert, reasons):
    c = convert(
        "1,2\nOL,OL\n5,6\n\n7,8\n9,nan\n0,9\n",
        MAP.replace('["g"]', '["g"]\nmissing = ["OL"]'),
        rows=3,
    )
    np.testing.assert_allclose(
        sweeps(c), [[[1, 2], [NAN, NAN], [5, 6]], [[7, 8], [9, NAN], [0, 9]]]
    )
    c = convert("1,2\n3\0,4\n5,6\n", MAP, rows=3)
    np.testing.assert_allclose(sweeps(c)[0, [0, 2]], [[1, 2], [5, 6]])
    assert (2,) in reasons(c).values()


def test_rows_with_names_and_titles_with_numbers(convert):
    layout = f"""{TABLE}columns = ["wl"]
samples = ["g"]
title = "Cycle {{n}} *"
[cells]
row = "block_line"
col = "sample"
{PROGRAM.replace('"block"', '"n"')}"""
    log = "Cycle 20 (SET)\nWL0;1;2\nWL1;3;4\nCycle 3 (SET)\nWL0;5;6\nWL1;7;8\n"
    layout = layout.replace('kind = "table"', 'kind = "table"\nseparator = ";"')
    np.testing.assert_allclose(sweeps(convert(log, layout)), [[[5, 6], [7, 8]], [[1, 2], [3, 4]]])
    with pytest.raises(MeasurementError, match=r"line 5: found a block with the title 'Cool down'"):
        convert(log.replace("Cycle 3 (SET)", "Cool down"), layout)


def test_a_map_that_is_larger_than_the_array(convert, reasons):
    c = convert("1,2,3\n4,5,6\n7,8,9\n", MAP)
    np.testing.assert_allclose(sweeps(c), [[[1, 2], [4, 5]]])
    assert reasons(c) == {"cell outside the 2 × 2 array": (1, 2, 3)}


def test_lines_are_read_in_pieces(convert, monkeypatch):
    monkeypatch.setattr("rramfit.measurement.lab.formats.samples._MOST", 40)
    log = "".join(",".join(f"{100 * r + c}" for c in range(9)) + "\n" for r in range(50))
    g = sweeps(convert(log, MAP, rows=50, cols=9))[0]
    np.testing.assert_allclose(g, 100 * np.arange(50)[:, None] + np.arange(9), atol=1e-9)
