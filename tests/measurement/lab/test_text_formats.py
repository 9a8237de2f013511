"""Reading of text tables as labs write them; the expected values are written in the tests."""

import gzip
import lzma
import pickle
import zipfile

import pytest

from rramfit.errors import MeasurementError
from rramfit.measurement.lab.layout_table import TableSource
from rramfit.measurement.lab.tables import TITLE, read_blocks, text_lines

NO_HEADER = ("addr", "r")


ROWS = "0,1.5\n1,2.5\n2,-3e-6\n"
VALUES = [1.5, 2.5, -3e-6]


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("log.csv", bytes),
        ("log.csv.gz", gzip.compress),
        ("log.csv.xz", lzma.compress),
        ("log", gzip.compress),  # by content, not by name
    ],
)
def test_compressed_text(read, name, pack):
    table = read(pack(ROWS.encode()), name)
    assert table.numbers("r") == VALUES
    assert table.lines == [1, 2, 3]


def test_a_zip_file_with_one_or_several_members(tmp_path, read_path):
    path = tmp_path / "logs.zip"
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("a.csv", ROWS)
    assert read_path(path).numbers("r") == VALUES
    with zipfile.ZipFile(path, "a") as z:
        z.writestr("b.csv", "7,8\n")
    with pytest.raises(MeasurementError, match=r"2 files \(a.csv, b.csv\).*`member"):
        read_path(path)
    assert read_path(path, member="b.csv").numbers("r") == [8]
    with pytest.raises(MeasurementError, match=r"no file 'c.csv'"):
        read_path(path, member="c.csv")


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
)
def test_encodings_are_recognized(read, encoding):
    text = "cell,R (k\N{MICRO SIGN}),gerät\r\n" + "".join(
        f"{i},{i}.25,Gerät\r\n" for i in range(40)
    )
    table = read(text.encode(encoding), header=True)
    assert table.names == ["cell", "R (k\N{MICRO SIGN})", "gerät"]
    assert table.numbers("cell") == list(range(40))
    assert set(table.columns["gerät"]) == {"Gerät"}
    assert table.bad == {}


def test_a_stated_encoding_is_used(read):
    table = read("a,Ω\n1,2\n".encode("iso8859_7"), header=True, encoding="iso8859_7")
    assert table.names == ["a", "Ω"]
    with pytest.raises(MeasurementError, match="unknown encoding 'klingon'"):
        read("a,b\n1,2\n", header=True, encoding="klingon")


def test_lines_in_another_encoding_are_bad_rows(read):
    rows = "1,é\n".encode() * 3 + b"2,\xe9\xff\n" + "3,é\n".encode()
    table = read(rows)
    assert table.lines == [1, 2, 3, 5]
    assert table.bad == {"bytes that are not utf-8 (see `encoding` in [source])": [4]}


ANALYSER = """Instrument;Model
Compliance (A);1,00E-04

Sweep 1
V (V);I (A)
0,0;1,5e-6
0,1;2,5E-6

Note;1
Sweep 2
V (V);I (A)
0,0;3,5e-6
0,1;4,5e-6
"""


@pytest.mark.parametrize(
    ("newline", "piece"),
    [("\n", 16), ("\n", 40), ("\r\n", 16), ("\n", 2**23), ("\r\n", 2**23), ("\r", 2**23)],
)
def test_settings_before_and_between_headers(read, monkeypatch, newline, piece):
    monkeypatch.setattr("rramfit.measurement.lab.formats.text._PIECE", piece)
    text = ANALYSER if piece > 100 else ANALYSER.replace("Note;1", "Note;1;2")
    text = text.replace("\n", newline)
    table = read(text, separator=";", decimal=",", header="V (V)")
    assert table.numbers("V (V)") == [0, 0.1, 0, 0.1]
    assert table.numbers("I (A)") == [1.5e-6, 2.5e-6, 3.5e-6, 4.5e-6]
    assert table.block == [0, 0, 1, 1]
    assert table.titles[1] == "Sweep 2"
    assert table.lines == [6, 7, 12, 13]
    if piece > 100:
        assert table.bad == {}


def test_a_header_behind_a_comment_mark(read):
    table = read("# settings\n# addr,R (ohm)\n0,5\n1,6\n", header=True)
    assert table.names == ["addr", "R (ohm)"]
    assert table.numbers("R (ohm)") == [5, 6]


def test_repeated_column_names_are_made_distinct(read):
    table = read("V,I,V,\n1,2,3,4\n", header=True)
    assert table.names == ["V", "I", "V_2", "c3"]


def test_a_first_column_without_a_name(read):
    table = read("\tcell\tR\n7\t1\t2.5\n8\t2\t3.5\n", "log.tsv", header=True)
    assert table.names == ["c0", "cell", "R"]
    assert table.numbers("R") == [2.5, 3.5]


def test_a_missing_header_is_a_sentence(read):
    with pytest.raises(MeasurementError, match=r"source.header: found no header"):
        read(ROWS, header="Voltage")


def test_rows_under_another_header_are_bad(read):
    text = "V,I\n1,2\n3,4\nR,G\n5,6\nV,I\n7,8\n" + "1,2\n" * 20
    table = read(text, header=True)
    assert table.numbers("V")[:3] == [1, 3, 7]
    assert table.bad == {"under another header (R,G)": [5]}


def test_blank_and_title_lines_begin_blocks(read):
    table = read("1,2\n3,4\n\n5,6\nCycle 7,\n8,9\n")
    assert table.block == [0, 0, 1, 2]
    assert table.titles == {2: "Cycle 7,"}
    assert table.bad == {TITLE: [5]}


def test_a_cell_with_a_name_and_no_reading_is_a_row(read):
    table = read("A1,5\nA2,\nA3,6\n")
    assert table.columns["addr"].tolist() == ["A1", "A2", "A3"]
    assert table.columns["r"].tolist() == ["5", "", "6"]


def test_a_message_between_rows_is_listed(read):
    """A line of text alone may be an error of the tester: it begins a block, and is listed."""
    table = read("1,2\ncontact lost\n3,4\n")
    assert table.block == [0, 1]
    assert table.bad == {TITLE: [2]}


def test_only_rows_with_the_prefix_are_read(read):
    text = "Setup, x\nDataName, V, I\nDataValue, 0, 1e-9\nDataValue, 1, 2e-9\nEnd, 9, 9\n"
    table = read(text, header="DataName", row_prefix="DataValue")
    assert table.numbers("I") == [1e-9, 2e-9]
    assert table.lines == [3, 4]


def test_thousands_separators(read):
    table = read('0,"12,345.5"\n1,"1,234,567.25"\n2,7\n', thousands=",")
    assert table.numbers("r") == [12345.5, 1234567.25, 7]
    table = read("0;1.234,5\n1;9.876,25\n", separator=";", decimal=",", thousands=".")
    assert table.numbers("r") == [1234.5, 9876.25]


def test_quoted_fields(read):
    text = '"cell","note","R"\n"1","a, ""b""","2.5"\n2,"plain","3.5"\n'
    table = read(text, header=True)
    assert table.numbers("R") == [2.5, 3.5]
    assert table.columns["note"].tolist() == ['a, "b"', "plain"]


def test_an_unclosed_quotation_mark_spoils_one_line(read):
    table = read('0,1\n1,"2\n2,3\n3,"4" x\n4,5\n')
    assert table.numbers("addr") == [0, 2, 4]
    assert table.bad == {"a quotation mark that is not closed": [2, 4]}


def test_zero_bytes_after_a_power_failure(read):
    table = read(b"0,1\n1,2\n" + b"9,9\n" * 100 + b"\0" * 30 + b"\n2,3\n")
    assert table.lines[-1] == 104
    assert table.bad == {"a zero byte": [103]}


def test_a_bad_field_does_not_spoil_decimal_commas(read):
    table = read("0;1,5\n1;OL\n2;2.345,5\n", separator=";", decimal=",", thousands=".")
    assert table.columns["r"].tolist() == ["1.5", "OL", "2345.5"]


def test_short_rows_stay_and_long_rows_are_bad(tmp_path):
    path = tmp_path / "ops.csv"
    path.write_text("a,1,x\nb,2\nc,3,y,4\nd\n5,6\n")
    source = TableSource(kind="table", columns=("kind", "n", "t"))
    (block,) = [b for b in read_blocks([path], source) if len(b.line)]
    assert block.line.tolist() == [1, 2, 5]
    assert block.fields.tolist() == [3, 2, 2]
    assert block.columns["t"].tolist() == ["x", "", ""]
    assert {b.reason: b.lines for b in block.bad} == {
        "4 fields instead of 3": (3,),
        TITLE: (4,),
    }


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"", "log.csv", "an empty file"),
        (b"\x00\x01\x02\x03" * 300, "log.csv", "a binary file of unknown format"),
        (pickle.dumps({"r": list(range(900))}), "log.pkl", "no such|header|binary"),
        (gzip.compress(ROWS.encode() * 900, mtime=0)[:-20], "log.csv.gz", "a damaged gzip file"),
        (lzma.compress(ROWS.encode() * 900)[:-20], "log.csv.xz", "a damaged xz file"),
        (b"PK\x03\x04 no zip", "log.zip", "a damaged zip file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "old.xls", r"a damaged \.xls file"),
        (b"FEA1" + b"\0" * 100, "old.feather", "Feather file of version 1"),
        (b"PAR1" + b"\0" * 100, "x.parquet", "a damaged file"),
        (b"ARROW1" + b"\0" * 100, "x.feather", "a damaged file"),
        (b"\x93NUMPY\x01\x00\x10\x00{'descr': 'x'}  ", "x.npy", "a damaged file"),
        (b"\x02\x00\x00\x0a\x02\x04\x05\x00\x05\x0a", "x.stdf", "STDF|no test results"),
        (
            b"MATLAB 5.0 MAT-file" + b" " * 105 + b"\x00\x01IM" + b"\x0f\0\0\0\xff\0\0\0",
            "x.mat",
            "a damaged file|no arrays of numbers",
        ),
    ],
)
def test_damaged_files_end_in_a_sentence(read, content, name, message):
    with pytest.raises(MeasurementError, match=message):
        read(content, name, header="R")


def test_a_compression_bomb_is_refused(read, monkeypatch):
    monkeypatch.setattr("rramfit.measurement.lab.formats.containers._FREE", 2**16)
    bomb = gzip.compress(b"0,1\n" * 10**6)
    with pytest.raises(MeasurementError, match="expands more than 200-fold"):
        read(bomb, "bomb.csv.gz")


def test_an_endless_line_is_refused(read, monkeypatch):
    monkeypatch.setattr("rramfit.measurement.lab.formats.text._LONGEST", 10**5)
    monkeypatch.setattr("rramfit.measurement.lab.formats.text._PIECE", 10**4)
    with pytest.raises(MeasurementError, match="a line of more than"):
        read(b"1," * 10**6)


def test_a_million_columns(read):
    line = ",".join(map(str, range(10**6)))
    with pytest.raises(MeasurementError, match=r"1000000 fields.*`samples`"):
        read(f"{line}\n{line}\n", header=True)
    table = read(f"1,2\n{line}\n3,4\n")
    assert table.numbers("r") == [2, 4]
    assert table.bad == {"1000000 fields instead of 2": [2]}


def test_text_lines(tmp_path):
    path = tmp_path / "log.txt.gz"
    path.write_bytes(gzip.compress("é 1\r\n\r\nlast".encode("utf-16")))
    lines = list(text_lines(path, TableSource(kind="table", header=True)))
    assert lines == ["é 1", "", "last"]
