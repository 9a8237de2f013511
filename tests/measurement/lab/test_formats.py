"""Reading of sheets, arrays and binary tables; the expected values are written in the tests."""

import gzip
import struct
import zipfile

import numpy as np
import pytest

from rramfit.errors import MeasurementError

NO_HEADER = ("addr", "r")


FRAME = {"cell": [0, 1, 2], "R (kohm)": [1.5, 2.25, 1e-7], "ok": ["yes", "no", "yes"]}


@pytest.mark.parametrize(("suffix", "engine"), [("xlsx", "openpyxl"), ("ods", "odf")])
def test_sheets(tmp_path, suffix, engine, read_path):
    import pandas as pd

    path = tmp_path / f"readings.{suffix}"
    with pd.ExcelWriter(path, engine=engine) as book:
        pd.DataFrame({"about": ["nothing here", ""]}).to_excel(book, sheet_name="Info", index=False)
        pd.DataFrame(FRAME).to_excel(book, sheet_name="Data", index=False, startrow=3)
    for sheet in ("Data", 1):
        table = read_path(path, sheet=sheet, header="cell")
        assert table.names == list(FRAME)
        assert table.numbers("R (kohm)") == FRAME["R (kohm)"]
        assert table.columns["ok"].tolist() == FRAME["ok"]
        assert table.lines == [5, 6, 7]
    with pytest.raises(
        MeasurementError, match=r"no sheet 'Results', expected one of 'Info', 'Data'"
    ):
        read_path(path, sheet="Results", header="cell")


def test_damaged_sheets(tmp_path, read_path):
    path = tmp_path / "x.xlsx"
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("[Content_Types].xml", "<")
        z.writestr("xl/workbook.xml", "<")
    with pytest.raises(MeasurementError, match=r"a damaged \.xlsx file"):
        read_path(path, header=True)
    path = tmp_path / "x.ods"
    repeated = '<table:table-row table:number-rows-repeated="99999999">'
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        z.writestr("content.xml", repeated)
    with pytest.raises(MeasurementError, match="repeated 99999999 times"):
        read_path(path, header=True)


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_parquet_and_feather(tmp_path, kind, read_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import feather, parquet

    table = pa.table(
        {
            "cell": pa.array([0, 1, None]),
            "t": pa.array([0, 10**6, 2 * 10**6], pa.timestamp("us")),
            "ok": pa.array(["yes", "no", "yes"]).dictionary_encode(),
        }
    )
    path = tmp_path / f"x.{kind}"
    (parquet.write_table if kind == "parquet" else feather.write_feather)(table, path)
    read = read_path(path, header=True)
    np.testing.assert_array_equal(read.columns["cell"].astype(float), [0, 1, np.nan])
    assert read.numbers("t") == [0, 1, 2]
    assert read.columns["ok"].tolist() == ["yes", "no", "yes"]
    renamed = read_path(path, columns=("a", "b", "c"))
    assert renamed.names == ["a", "b", "c"]
    with pytest.raises(MeasurementError, match=r"3 columns \(cell, t, ok\), expected 2"):
        read_path(path, columns=("a", "b"))


def test_numpy_files(tmp_path, read_path):
    cell, r = np.arange(5), np.linspace(1, 2, 5)
    np.savez(tmp_path / "x.npz", cell=cell, r=r, other=np.zeros(3))
    table = read_path(tmp_path / "x.npz", header=True)
    assert (table.names, table.numbers("r")) == (["cell", "r"], r.tolist())
    np.save(tmp_path / "x.npy", np.stack([cell, r], axis=1))
    assert read_path(tmp_path / "x.npy", columns=("cell", "r")).numbers("r") == r.tolist()
    rows = np.array(list(zip(cell, r, strict=True)), dtype=[("cell", "i4"), ("r", "f8")])
    np.save(tmp_path / "x.npy", rows)
    assert read_path(tmp_path / "x.npy", header=True).numbers("r") == r.tolist()
    np.save(tmp_path / "x.npy", np.array([{}, []], dtype=object))
    with pytest.raises(MeasurementError, match="Python objects, which are never unpickled"):
        read_path(tmp_path / "x.npy", header=True)


@pytest.mark.parametrize("version", ["4", "5"])
def test_matlab_files(tmp_path, version, read_path):
    from scipy import io

    r = np.linspace(1, 2, 5)[:, None]
    path = tmp_path / "x.mat"
    columns = {"cell": np.arange(5.0)[:, None], "r": r}
    io.savemat(path, columns, format=version)
    assert read_path(path, header=True).numbers("r") == r[:, 0].tolist()
    if version == "5":
        io.savemat(path, {"run": {"log": columns}})
        table = read_path(path, header=True, dataset="run/log")
        assert table.numbers("cell") == [0, 1, 2, 3, 4]
        io.savemat(path, {"m": np.hstack([columns["cell"], r])})
        assert read_path(path, columns=("cell", "r")).numbers("r") == r[:, 0].tolist()
        with pytest.raises(MeasurementError, match=r"no array 'n'.*present: /m"):
            read_path(path, columns=("cell", "r"), dataset="n")


def record(kind, sub, *parts):
    body = b"".join(parts)
    return struct.pack("<HBB", len(body), kind, sub) + body


def text(s):
    return bytes([len(s)]) + s.encode()


def ptr(test, site, value, *, name="", units=None, failed=False):
    head = struct.pack("<IBBBBf", test, 1, site, 0x80 * failed, 0, value)
    tail = b"" if units is None else struct.pack("<Bbbbff", 0, 0, 0, 0, 0.0, 0.0) + text(units)
    return record(15, 10, head, text(name), text(""), tail)


def prr(site, x, y, part):
    head = struct.pack("<BBBHHHhhI", 1, site, 0, 2, 1, 1, x, y, 0)
    return record(5, 20, head, text(part), text(""), b"\0")


def test_stdf(tmp_path, read_path):
    pytest.importorskip("stdf_convert")
    pir = [record(5, 10, struct.pack("<BB", 1, s)) for s in (0, 1)]
    data = [
        record(0, 10, b"\x02\x04"),
        *pir,
        ptr(7, 0, 1e-6, name="I_LRS", units="A"),
        ptr(7, 1, 2e-6, failed=True),
        prr(0, 3, 4, "first"),
        prr(1, 5, 6, "second"),
        pir[0],
        ptr(7, 0, 3e-6),
        prr(0, 7, 8, "third"),
    ]
    for name, pack in (("x.stdf", bytes), ("x.stdf.gz", gzip.compress)):
        path = tmp_path / name
        path.write_bytes(pack(b"".join(data)))
        table = read_path(path, header=True)
        np.testing.assert_allclose(table.numbers("result"), [1e-6, 2e-6, 3e-6], rtol=1e-6)
        assert table.numbers("x") == [3, 5, 7]
        assert table.numbers("y") == [4, 6, 8]
        assert table.columns["part_id"].tolist() == ["first", "second", "third"]
        assert table.columns["units"].tolist() == ["A", "A", "A"]
        assert table.columns["failed"].tolist() == [False, True, False]
