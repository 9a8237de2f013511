"""Exported tiles, solved by badcrossbar."""

import os
import subprocess
import sys

import numpy as np
import pytest

from rramfit.card import Quantity, seal
from rramfit.card.schema import LineCard
from rramfit.export import ExportError
from rramfit.export.circuits.badcrossbar import padding
from rramfit.measurement.virtual.cards import random_card


@pytest.fixture(scope="module", autouse=True)
def badcrossbar():
    import warnings

    with warnings.catch_warnings(record=True):  # of plotting, which needs pycairo
        pytest.importorskip("badcrossbar")


def card_with(ohms, rows_are="grounded"):
    names = ("wordline_resistance", "bitline_resistance", "driver_resistance", "sense_resistance")
    line = LineCard(
        **{name: Quantity.given(ohm, "ohm") for name, ohm in zip(names, ohms, strict=True)},
        inactive_rows=rows_are,
    )
    return seal(random_card(11, array=(12, 10)).model_copy(update={"line": line}))


def run(folder):
    done = subprocess.run(
        [sys.executable, "run.py"],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not done.stderr
    return np.load(folder / "currents.npy"), np.load(folder / "tiles.npz")["expected"], done.stdout


@pytest.mark.parametrize("rows_are", ["grounded", "gated"])
@pytest.mark.parametrize(
    "ohms",
    [(2.0, 1.0, 2.0, 1.0), (2.0, 1.0, 50.0, 8.0), (1.5, 0.0, 4.5, 0.0), (0.0, 1.0, 0.0, 3.0)],
)
def test_currents_agree_where_ends_are_whole_segments(ohms, rows_are, exported, tmp_path):
    v = np.where(np.random.default_rng(2).random((3, 12)) < 0.6, 0.2, 0.0)
    np.save(tmp_path / "v.npy", v)
    folder = exported(card_with(ohms, rows_are), "badcrossbar", chips=2, inputs=tmp_path / "v.npy")
    found, wanted, said = run(folder)
    assert found.shape == (2, 1, 3, 10)
    assert np.abs(found - wanted).max() < 1e-9 * np.abs(wanted).max()
    assert "largest difference" in said
    assert "is a whole number of" not in (folder / "README.md").read_text()


def test_what_is_left_of_an_end_is_stated(exported):
    folder = exported(card_with((2.0, 1.0, 51.0, 8.0)), "badcrossbar")
    assert "1 Ω too much of 51 Ω" in (folder / "README.md").read_text()
    found, wanted, _ = run(folder)
    assert 1e-6 < np.abs(found / wanted - 1).max() < 0.02


@pytest.mark.parametrize(
    ("end", "segment", "number", "rest"),
    [(50, 2, 24, 0), (0, 2, 0, -2), (5, 0, 0, 5), (1e6, 1, 0, 1e6 - 1), (3.2, 1, 2, 0.2)],
)
def test_padding(end, segment, number, rest):
    found = padding(end, segment)
    assert found[0] == number
    assert found[1] == pytest.approx(rest, abs=1e-9)


def test_floating_rows_are_refused(exported, tmp_path):
    card = card_with((2.0, 1.0, 2.0, 1.0), "floating")
    v = np.full((1, 12), 0.2)
    v[0, 3] = 0
    np.save(tmp_path / "v.npy", v)
    with pytest.raises(ExportError, match="rows float"):
        exported(card, "badcrossbar", inputs=tmp_path / "v.npy")
    exported(card, "badcrossbar")  # all rows are driven
