"""Drafts of layout files: `convert` takes them as they are, and they say what they assume."""

import gzip
import re
import tomllib

import h5py
import numpy as np
import pytest

from rramfit.errors import MeasurementError
from rramfit.measurement import (
    convert_measurement,
    guess_layout,
)


def completed(text):
    """Fill in the read voltage of a draft for arrays, as a user would."""
    return re.sub(r'read_voltage = ""', "read_voltage = 0.2", text)


def converted(path, tmp_path, text):
    lab = tmp_path / "lab.toml"
    lab.write_text(text)
    return convert_measurement(path, lab).measurements


def table(header, rows):
    return "\n".join([header, *(",".join(map(str, r)) for r in rows)]) + "\n"


@pytest.mark.parametrize(
    ("title", "unit", "factor"),
    [
        ("R_kohm", "kohm", 1e3),
        ("R [kOhm]", "kohm", 1e3),
        ("Resistance (k\N{GREEK CAPITAL LETTER OMEGA})", "kohm", 1e3),
        ("R (k\N{OHM SIGN})", "kohm", 1e3),
        ("R / Mohm", "Mohm", 1e6),
    ],
)
def test_units_in_the_header_are_believed(imported, title, unit, factor):
    r = np.linspace(5, 20, 36)
    log = table(f"row,col,{title}", [(i // 6, i % 6, x) for i, x in enumerate(r.tolist())])
    m, text, _ = imported(log)
    assert f'units = "{unit}"' in text
    np.testing.assert_allclose(m.program.read_all().conductance.ravel(), 1 / (r * factor))


def test_currents_need_a_voltage(imported):
    rows = [(i, 0.1, 1e-6 * (i + 1)) for i in range(9)]
    m, _, _ = imported(table("cell,V_read,i_read_A", rows))
    np.testing.assert_allclose(m.program.read_all().conductance.ravel(), np.arange(1, 10) * 1e-5)
    m, text, _ = imported(table("cell,i_read_A", [(a, i) for a, _, i in rows]))
    assert "the read voltage is assumed" in text


def test_a_ratio_is_not_a_resistance(imported):
    rows = [(c, 10**c, 9e3 + c, 3e5 + c, 3e5 / 9e3) for c in range(5)]
    _, text, _ = imported(table("device,cycles,R_on,R_off,on_off_ratio", rows))
    assert "not used: on_off_ratio (a ratio is no resistance)" in text
    assert '{ column = "R_off", units = "ohm" }, { column = "R_on", units = "ohm" }' in text


def test_headers_behind_a_comment_mark(imported):
    rows = "".join(f"{i}\t{12 + i / 7}\t{i % 2}\n" for i in range(40))
    m, text, _ = imported(f"# tester 5\n# addr\tR (kohm)\tlevel\n{rows}", name="log.tsv")
    assert '"addr", "R", "level"' in text
    assert m.program.read_all().conductance[0, 0, 0] == pytest.approx(1 / 12e3)


def test_units_in_a_line_of_their_own(imported):
    m, _, _ = imported("V,I\nmV,nA\n" + "".join(f"{10 * i},{40 * i}\n" for i in range(9)))
    assert m.iv.voltage[-1] == pytest.approx(0.08)
    assert m.iv.current[0, -1] == pytest.approx(320e-9)


def test_a_cycle_is_not_an_address(imported):
    """One cell over 300 cycles with two readings each."""
    rng = np.random.default_rng(0)
    lines = [
        f"772\t{rng.lognormal(m, 0.1):.3f}\t{1000 * c + 999}\n"
        for c in range(300)
        for m in (9.0, 10.8)
    ]
    m, text, _ = imported("".join(lines), name="log.tsv")
    assert (m.rows, m.cols) == (1, 1)
    assert m.endurance.conductance.shape == (300, 2, 1, 1)
    assert "one cell, addr = 772" in text


def test_an_address_range_is_not_cut_without_a_word(imported):
    rng = np.random.default_rng(0)
    lines = [f"{a}\t{rng.lognormal(9.5, 0.3):.3f}\n" for a in range(80_000, 80_400)]
    m, text, _ = imported("".join(lines), name="log.tsv")
    assert m.rows * m.cols == 400
    assert "400 addresses from 80000 to 80399 show no rows and columns" in text


def test_a_time_column_in_a_log_without_header(imported):
    lines = [
        f"{c},{t},{r:.2f},{1 / r:.6e},{c % 2}\n"
        for c in range(30)
        for t in (0, 60, 3600)
        for r in [2e4 * (1 + c % 2) * (1 + 1e-6 * t)]
    ]
    m, text, _ = imported("".join(lines))
    assert m.retention.time.tolist() == [0, 60, 3600]
    assert "time: time; likely: rises within a cell" in text
    assert "not used: g (conductance, 1 / r; another column of readings)" in text


def test_states_by_name_are_levels(imported):
    rows = [(i // 6, i % 6, ("LRS", "HRS")[i % 2], 1e4 * (1 + 9 * (i % 2)) + i) for i in range(36)]
    m, text, _ = imported(table("row,col,state,R_ohm", rows))
    assert 'values = { "HRS" = 0, "LRS" = 1 }' in text
    np.testing.assert_allclose(m.levels.target, [1e-5, 1e-4], rtol=0.01)
    assert m.program.read_all().level[0, 0, :2].tolist() == [1, 0]


def test_one_level_a_sweep_keeps_its_numbers(imported):
    rows = [(c, s % 2, s, (10, 60)[s % 2] + c) for s in range(6) for c in range(4)]
    text = "".join(f"0,{c},{level},{s},{g}\n" for c, level, s, g in rows)
    m, draft, _ = imported("row,col,level,sweep,G_uS\n" + text)
    assert m.program.read_all().level[:, 0, 0].tolist() == [0, 1, 0, 1, 0, 1]
    np.testing.assert_allclose(m.levels.target, [11.5e-6, 61.5e-6])
    assert "not used" not in draft


def test_levels_of_currents_become_conductances(imported):
    text = "".join(f"{c},{c % 2},{(2, 12)[c % 2]}\n" for c in range(16))
    m, draft, _ = imported("cell,level,I_uA\n" + text)
    np.testing.assert_allclose(m.levels.target, [10e-6, 60e-6])  # at the assumed 0.2 V
    assert "the read voltage is assumed" in draft


def test_a_number_of_the_read_makes_repeated_reads(imported):
    text = "".join(f"0,{c},{n},{50 + n}\n" for c in range(4) for n in range(3))
    m, draft, _ = imported("row,col,sample,G_uS\n" + text)
    np.testing.assert_allclose(m.reads.read_all()[:, 0, 0], [50e-6, 51e-6, 52e-6])
    assert "1 s a read is assumed" in draft


def test_a_number_of_the_sample_alone_is_the_cell(imported):
    m, _, _ = imported("sample,G_uS\n" + "".join(f"{n},{50 + n}\n" for n in range(16)))
    assert m.program.read_all().conductance.size == 16


def test_times_and_temperatures_with_their_units_in_the_names(imported):
    rows = [(c, t, k, 50 + c - t / 50) for k in (85, 125) for c in range(9) for t in (0, 1, 100)]
    m, _, _ = imported(table("cell,time_h,temp_C,G (uS)", rows))
    assert [b.temperature for b in m.bakes] == pytest.approx([358.15, 398.15])
    assert m.retention.time.tolist() == [0, 3600, 360_000]


def test_hexadecimal_addresses_and_missing_readings(imported):
    rows = [(f"0x{a:04X}", "" if a % 7 == 3 else 9 + a / 10) for a in range(81)]
    m, text, conversion = imported(table("addr,R_kohm", rows))
    assert 'hex = ["addr"]' in text
    assert conversion.bad == ()
    g = m.program.read_all().conductance.ravel()
    assert np.flatnonzero(np.isnan(g)).tolist() == list(range(3, 81, 7))


def test_texts_of_a_log_cannot_break_the_draft(imported):
    rows = [(i, 9 + i, 'x"; [evil]') for i in range(20)]
    log = 'Operator: \x1b[31m """ \\\n' + table('addr,R_kohm,"no\x07te', rows).replace('"', "'")
    _, text, _ = imported(log, name='a "b\n[c] {1}.csv')
    assert tomllib.loads(text)["array"]["id"].startswith('a "b')


def test_a_single_column_is_the_reading(imported):
    m, _, _ = imported("".join(f"{9000 + i}.5\n" for i in range(50)))
    assert m.program.shape == (50, 1, 1)


def test_unused_columns_are_named_with_the_reason(imported):
    rows = [(i, i + 5e4, "A7", "noon") for i in range(20)]
    _, text, _ = imported(table("addr,R_ohm,Chuck,Time", rows))
    assert "not used: Chuck" in text
    assert "not used: Time (named as time, but it is text ('noon'))" in text


def test_a_time_of_day_that_passes_midnight_is_no_time(imported):
    rows = [(i % 4, i + 5e4, f"{(20 + i) % 24}:00:00") for i in range(12)]
    _, text, _ = imported(table("addr,R_ohm,Time", rows))
    assert "not used: Time (named as time, but it is text ('20:00:00'))" in text


def test_a_map_without_header(imported):
    g = np.random.default_rng(0).uniform(1e-5, 9e-5, (2, 10, 12))
    text = "\n\n".join("\n".join(",".join(map(str, r)) for r in block) for block in g.tolist())
    m, _, _ = imported(text + "\n")
    np.testing.assert_allclose(m.program.read_all().conductance, g)


def test_alternating_samples_along_a_line(imported):
    rng = np.random.default_rng(0)
    r = np.where(np.arange(600) % 2, 5e3, 1e5) * rng.lognormal(0, 0.1, (20, 600))
    lines = ["\t".join([str(a), *(f"{x:.1f}" for x in row)]) for a, row in enumerate(r)]
    m, _, _ = imported("\n".join(lines) + "\n", name="log.tsv")
    assert m.endurance.conductance.shape == (300, 2, 4, 5)
    assert np.nanmedian(m.endurance.conductance[:, 1]) == pytest.approx(2e-4, rel=0.05)


def test_a_column_a_cell(imported):
    g = np.random.default_rng(0).uniform(10, 90, (7, 30))
    head = ",".join(["time (s)", *(f"cell{i}" for i in range(30))])
    rows = [",".join(map(str, [10 * t, *row])) for t, row in enumerate(g.tolist())]
    m, _, _ = imported("\n".join([head, *rows]) + "\n", group="reads")
    assert m.reads.time.tolist() == [0, 10, 20, 30, 40, 50, 60]
    assert m.reads.shape == (7, 5, 6)


def test_the_group_can_be_stated(imported):
    rows = [(i % 4, i // 4, 1e4 + i) for i in range(16)]
    log = table("cell,cycle,R_ohm", rows)
    assert imported(log)[0].program is not None
    assert imported(log, group="reads")[0].reads is not None
    assert imported(log, group="retention")[0].retention is not None
    with pytest.raises(MeasurementError, match=r"\[iv\]: found the columns cell \(address\)"):
        imported(log, group="iv")


def test_a_log_of_601_columns(imported):
    """The time must not grow with a power of the number of columns."""
    rng = np.random.default_rng(0)
    head = ",".join(["row", "col", "R (ohm)", *(f"extra_{i}" for i in range(598))])
    rows = [
        ",".join([str(a // 8), str(a % 8), *(f"{x:.3f}" for x in rng.lognormal(9, 1, 599))])
        for a in range(64)
    ]
    m, text, _ = imported("\n".join([head, *rows]) + "\n")
    assert m.program.shape == (1, 8, 8)
    assert "not used: extra_597" in text


def test_a_sheet_and_a_packed_log(imported, tmp_path):
    import pandas as pd

    r = np.linspace(5, 20, 36)
    frame = pd.DataFrame({"row": np.arange(36) // 6, "col": np.arange(36) % 6, "R (kohm)": r})
    path = tmp_path / "log.xlsx"
    with pd.ExcelWriter(path) as book:
        pd.DataFrame({"about": ["no table here"]}).to_excel(book, sheet_name="Info")
        frame.to_excel(book, sheet_name="Data", index=False, startrow=2)
    m, text, _ = imported(path)
    assert "sheet = 1" in text
    np.testing.assert_allclose(m.program.read_all().conductance.ravel(), 1e-3 / r)
    m, _, _ = imported(gzip.compress(frame.to_csv(index=False).encode("utf-16")), name="x.csv.gz")
    np.testing.assert_allclose(m.program.read_all().conductance.ravel(), 1e-3 / r)


def test_vectors_of_a_numpy_or_matlab_file(imported, tmp_path):
    from scipy import io

    columns = {"addr": np.arange(9), "R_ohm": np.linspace(1e4, 2e4, 9)}
    np.savez(tmp_path / "x.npz", **columns)
    io.savemat(tmp_path / "x.mat", {k: v[:, None] for k, v in columns.items()})
    for name in ("x.npz", "x.mat"):
        m, _, _ = imported(tmp_path / name)
        got = m.program.read_all().conductance.ravel()
        np.testing.assert_allclose(got, 1 / columns["R_ohm"])


def test_arrays_of_a_numpy_or_old_matlab_file(tmp_path):
    from scipy import io

    g = np.random.default_rng(1).uniform(1e-5, 9e-5, (3, 4, 6))
    np.savez(tmp_path / "x.npz", G=g)
    io.savemat(tmp_path / "x.mat", {"G": g})
    for name, kind in (("x.npz", "numpy"), ("x.mat", "matlab")):
        text = guess_layout(tmp_path / name)
        assert f'kind = "{kind}"' in text
        text = re.sub(r"axes = \[.*?\]", 'axes = ["sweep", "row", "col"]', text)
        text = re.sub(r"rows = \d+", "rows = 4", re.sub(r"cols = \d+", "cols = 6", text))
        (m,) = converted(tmp_path / name, tmp_path, completed(text))
        np.testing.assert_allclose(m.program.read_all().conductance, g)


@pytest.mark.parametrize("matlab", [False, True])
def test_draft_for_hdf5(tmp_path, matlab):
    path = tmp_path / "lab.mat"
    g = np.random.default_rng(1).uniform(10, 90, (8, 8, 3))  # (row, col, sweep)
    with h5py.File(path, "w", userblock_size=512) as f:
        f["run/G"] = g.transpose() if matlab else g
        f["run/G"].attrs["units"] = "uS"
        f["run/note"] = "by hand"
    if matlab:
        with path.open("r+b") as raw:
            raw.write(b"MATLAB 7.3 MAT-file")
    text = guess_layout(path)
    assert f'kind = "{"matlab" if matlab else "hdf5"}"' in text
    (m,) = converted(path, tmp_path, completed(text))
    np.testing.assert_allclose(m.program.read_all().conductance, g.transpose(2, 0, 1) * 1e-6)


def test_a_draft_for_hdf5_without_units_must_be_completed(tmp_path):
    path = tmp_path / "lab.h5"
    with h5py.File(path, "w") as f:
        f["data"] = np.ones((4, 8, 8))
    text = guess_layout(path)
    assert "FILL IN" in text
    with pytest.raises(MeasurementError, match=r"program\.conductance\.units: found the unit ''"):
        converted(path, tmp_path, completed(text))
    filled = completed(text).replace('units = ""', 'units = "S"')
    assert converted(path, tmp_path, filled)[0].program.shape == (4, 8, 8)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", "", "an empty file"),
        ("prose.txt", "a\nb\nc\n", "no separator"),
        ("blank.csv", "\n\n  \n", "an empty file"),
        ("old.mat", b"MATLAB 5.0\x00\x01\x02\n" * 9, "a damaged file"),
        ("card.json", '{"levels": [1.5, 2.5]}', "a JSON document, such as a model card"),
        ("report.html", "<!doctype html><p>1,2</p>", "an HTML or XML document"),
        ("lab.toml", "[array]\nrows = 4\n", "a .toml file"),
        ("licence.txt", "Copyright 2026 by\nall, of 3 us\nand, more\n" * 9, "found"),
        ("noise.bin", bytes(range(256)) * 40, "found"),
        ("index.csv", "".join(f"{i},{i % 2}\n" for i in range(20)), "no column|the columns"),
    ],
)
def test_files_that_are_no_logs_end_in_a_sentence(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(MeasurementError, match=message):
        guess_layout(path)


def test_a_measurement_file_needs_no_layout(full, tmp_path):
    with pytest.raises(MeasurementError, match="needs no layout file"):
        guess_layout(full)
    with pytest.raises(MeasurementError, match="no such file"):
        guess_layout(tmp_path / "none.csv")
    with pytest.raises(MeasurementError, match="a folder"):
        guess_layout(tmp_path)
