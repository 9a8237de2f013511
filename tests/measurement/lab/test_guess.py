"""Drafts of layout files: after completion by hand, they convert the file."""

import re
import tomllib

import h5py
import numpy as np
import pytest

from rramfit.errors import MeasurementError
from rramfit.measurement import convert_measurement, guess_layout, read_layout


def completed(text):
    """Fill in the read voltage, as a user would."""
    return re.sub(r'read_voltage = ""', "read_voltage = 0.2", text)


def converted(path, tmp_path, text):
    lab = tmp_path / "lab.toml"
    lab.write_text(text)
    return convert_measurement(path, lab).measurements


def test_an_incomplete_draft_is_rejected(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("".join(f"{a},{12e3 + 100 * a / 7}\n" for a in range(200)))
    (tmp_path / "lab.toml").write_text(guess_layout(path))
    with pytest.raises(MeasurementError, match=r"program\.read_voltage"):
        read_layout(tmp_path / "lab.toml")


def test_a_log_with_a_header_and_units(tmp_path):
    path = tmp_path / "log.csv"
    rows = [
        f"{r},{c},{k},{10 + r + c / 7},pass" for k in (0, 1) for r in range(8) for c in range(8)
    ]
    path.write_text("\n".join(["row,col,level,R [kohm],ok", *rows]))
    text = guess_layout(path)
    assert 'units = "kohm"' in text
    filled = completed(text).replace("target = []", "target = [1.0, 2.0]")
    (m,) = converted(path, tmp_path, filled + 'sweep = "occurrence"\n' * ("sweep" not in text))
    block = m.program.read_all()
    assert block.conductance.shape == (2, 8, 8)
    np.testing.assert_allclose(block.conductance[0, 3, 5], 1e-3 / (13 + 5 / 7))
    assert block.accepted.all()


def test_a_log_of_addresses_without_header(tmp_path):
    path = tmp_path / "log.tsv"
    r = 12e3 + np.arange(65536) / 7
    path.write_text("".join(f"{a}\t{x}\n" for a, x in enumerate(r.tolist())))
    text = guess_layout(path)
    assert tomllib.loads(text)["array"]["tiles"] == [128, 128]
    tiles = converted(path, tmp_path, completed(text))
    np.testing.assert_allclose(
        tiles[1].program.read_all().conductance[0], 1 / r.reshape(256, 256)[:128, 128:]
    )


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("stanford-mlc/C10_dead_test.csv.gz", ['column = "r", units = "ohm"', "verified ="]),
        ("stanford-256x256/C1_read_3.tsv.gz", ['row = "addr >> 8"', 'units = "ohm"']),
        (
            "stanford-mlc/13scheme_test_100_2_0_Nov29.tsv.gz",
            ["c0: values Init, Read, Write", '"addr", "time", "r", "g"]', "up to 30 rows"],
        ),
        ("stanford-mlc/read_voltage_sweep.tsv.gz", ["[iv]", 'units = "V"', 'units = "A"']),
    ],
)
def test_drafts_for_measured_logs(shared, log, expected):
    text = guess_layout(shared / "data/measured" / log)
    tomllib.loads(text)
    for part in expected:
        assert part in text


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


def test_files_without_a_possible_draft_are_rejected(tmp_path, full):
    empty, prose, binary = (tmp_path / n for n in ("empty.csv", "prose.txt", "old.mat"))
    empty.write_text("")
    prose.write_text("a\nb\nc\n")
    binary.write_bytes(b"MATLAB 5.0\x00\x01\x02\n" * 9)
    for path, message in (
        (empty, "empty"),
        (prose, "no separator"),
        (binary, "-v7.3"),
        (full, "needs no layout file"),
        (tmp_path / "none.csv", "no such file"),
    ):
        with pytest.raises(MeasurementError, match=message):
            guess_layout(path)
