"""Readings in temporary files are those in memory, and are sent to other processes with them."""

import errno
import os
import pickle

import numpy as np
import pytest

from rramfit.errors import OutputError
from rramfit.measurement.lab.table.store import GrowingArray, Registry, occurrence

LAYOUT = """[source]
kind = "table"
columns = ["a", "n", "t", "g"]
[cells]
packed = "a"
[program]
conductance = { column = "g", units = "uS" }
sweep = "n"
read_voltage = 0.2
[reads]
conductance = { column = "g", units = "uS" }
read = "occurrence"
time = { column = "t", units = "s" }
read_voltage = 0.2
[endurance]
cycle = "n"
states = [{ column = "g", units = "uS" }]
"""


@pytest.fixture
def in_files(monkeypatch):
    monkeypatch.setattr("rramfit.measurement.lab.table.store._IN_MEMORY", 64)
    monkeypatch.setattr("rramfit.measurement.lab.formats.text._PIECE", 2000)


def test_conversion_through_files(convert, in_files):
    """Rows in random order, in many blocks; sweeps are found in another order than they count."""
    rng = np.random.default_rng(3)
    g = rng.uniform(1, 99, (40, 12)).round(3)
    order = rng.permutation(g.size)
    log = "".join(
        f"{100 - c},{7 * n},{k / 1000},{g[n, c]}\n"
        for k, (n, c) in enumerate(zip(*np.unravel_index(order, g.shape), strict=True))
    )
    m = convert(log, LAYOUT, rows=3, cols=4).measurements[0]
    for measurement in (m, pickle.loads(pickle.dumps(m))):
        block = measurement.program.read_all()
        np.testing.assert_allclose(block.conductance.reshape(g.shape)[:, ::-1] * 1e6, g)
        parts = [b.conductance for b in measurement.program.blocks(7)]
        np.testing.assert_array_equal(np.concatenate(parts), block.conductance)
        reads = measurement.reads.read_all()
        assert reads.shape == (40, 3, 4)
        np.testing.assert_allclose(
            np.sort(reads.reshape(g.shape)[:, ::-1] * 1e6, axis=0), np.sort(g, axis=0)
        )
    np.testing.assert_allclose(m.endurance.conductance[:, 0], block.conductance)


def test_a_repeated_row_in_a_later_piece(convert, in_files, reasons):
    rows = [f"{k},0,{k},{k + 1}\n" for k in range(300)]
    c = convert("".join(rows) + "5,0,0,77\n", LAYOUT.partition("[reads]")[0], rows=20, cols=20)
    assert reasons(c) == {"repeated cell in one sweep or read (the last row is kept)": (6,)}
    assert c.measurements[0].program.read_all().conductance[0, 0, 5] == pytest.approx(77e-6)


def test_a_full_disk_is_an_error_with_advice(monkeypatch, in_files):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(OutputError, match=r"No space left on device .* set TMPDIR"):
        GrowingArray(100, np.float64).grow(10)


def test_keys_are_numbered_as_they_appear():
    known = Registry()
    assert known.numbers(np.array([5, 3, 5]), np.array([0.0, 1, 0])).tolist() == [0, 1, 0]
    assert known.numbers(np.array([3, 3]), np.array([0.0, 1])).tolist() == [2, 1]
    assert known.keys == [(5, 0.0), (3, 1.0), (3, 0.0)]
    assert known.order().tolist() == [2, 1, 0]
    assert occurrence(np.array([4, 2, 4, 4, 2])).tolist() == [0, 0, 1, 2, 1]
    assert known.numbers(np.zeros(0)).tolist() == []
