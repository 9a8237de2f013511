"""Netlists run in ngspice and give the column currents of the solvers of rramfit."""

import csv
import shutil
import subprocess
import sys

import numpy as np
import pytest

from rramfit.card import Quantity, load_card, save_card, seal
from rramfit.card.schema import IVCard, LineCard
from rramfit.errors import InputError
from rramfit.export import ExportError
from rramfit.export.circuits.ngspice import Nodes, wires_text
from rramfit.export.drawn import card_line, draw
from rramfit.measurement.virtual.cards import random_card

pytestmark = pytest.mark.skipif(shutil.which("ngspice") is None, reason="ngspice is not installed")

TOLERANCE = 1e-6


def card_with(rows_are, *, ohms=(1.5, 0.7, 40.0, 12.0), b=None, distribution="lognormal"):
    given = Quantity.given
    names = ("wordline_resistance", "bitline_resistance", "driver_resistance", "sense_resistance")
    line = LineCard(
        **{name: given(ohm, "ohm") for name, ohm in zip(names, ohms, strict=True)},
        inactive_rows=rows_are,
    )
    iv = None
    if b is not None:
        iv = IVCard(nonlinearity=given(b, "1/V"), spread=given(0.2, "1/V"))
    card = random_card(11, distribution=distribution, array=(24, 16))
    return seal(card.model_copy(update={"line": line, "iv": iv}))


def run(folder):
    """Run the two commands of the README, and return the currents by (chip, tile, vector, col)."""
    for netlist in sorted(folder.glob("run_*.cir")):
        subprocess.run(["ngspice", "-b", netlist.name], cwd=folder, capture_output=True, check=True)
    done = subprocess.run(
        [sys.executable, "collect.py"], cwd=folder, capture_output=True, text=True, check=True
    )
    with (folder / "currents.csv").open() as f:
        rows = list(csv.DictReader(f))
    key = ("chip", "tile", "vector", "col")
    shape = [1 + max(int(r[k]) for r in rows) for k in key]
    out = np.full(shape, np.nan)
    for r in rows:
        out[tuple(int(r[k]) for k in key)] = float(r["current"])
    return out, done.stdout


def dense(g, v, ohms, rows_are):
    """Column currents by dense nodal equations, apart from all code of rramfit."""
    r_wl, r_bl, r_drv, r_sns = ohms
    m, n = g.shape
    a, c = np.zeros((2 * m * n, 2 * m * n)), np.zeros(2 * m * n)

    def resistor(x, y, s):
        for p, q in ((x, y), (y, x)):
            if p is not None:
                a[p, p] += s
                if q is not None:
                    a[p, q] -= s

    w, b = np.arange(2 * m * n).reshape(2, m, n)
    for i in range(m):
        if not (rows_are == "floating" and v[i] == 0):
            resistor(w[i, 0], None, 1 / r_drv)
            c[w[i, 0]] += v[i] / r_drv
        for j in range(n):
            if not (rows_are == "gated" and v[i] == 0):
                resistor(w[i, j], b[i, j], g[i, j])
            if j:
                resistor(w[i, j - 1], w[i, j], 1 / r_wl)
            resistor(
                b[i, j], b[i + 1, j] if i < m - 1 else None, 1 / (r_bl if i < m - 1 else r_sns)
            )
    return np.linalg.solve(a, c)[b[-1]] / r_sns


@pytest.mark.parametrize("rows_are", ["grounded", "floating", "gated"])
def test_ohmic_tiles_agree_with_dense_nodal_equations(rows_are, exported, tmp_path):
    ohms = (1.5, 0.7, 40.0, 12.0)
    card = card_with(rows_are, ohms=ohms)
    v = np.where(np.random.default_rng(1).random((2, 24)) < 0.5, 0.15, 0.0)
    np.savetxt(tmp_path / "v.csv", v, delimiter=",")
    folder = exported(card, "ngspice", inputs=tmp_path / "v.csv", chips=2)
    currents, said = run(folder)
    options = {o.name: o.default for o in _options()} | {"chips": 2}
    read = np.maximum(draw(card, options).read, 0)
    wanted = np.array([[dense(read[c, 0], x, ohms, rows_are) for x in v] for c in range(2)])
    assert np.abs(currents[:, 0] - wanted).max() < TOLERANCE * np.abs(wanted).max()
    assert "0 are missing" in said


def _options():
    from rramfit.export.drawn import CHIP_OPTIONS

    return CHIP_OPTIONS


@pytest.mark.parametrize(
    ("rows_are", "ohms"),
    [
        ("grounded", (2.0, 1.0, 30.0, 5.0)),
        ("gated", (2.0, 1.0, 30.0, 5.0)),
        ("floating", (2.0, 1.0, 0.0, 0.0)),
        ("grounded", (0.0, 1.0, 0.0, 5.0)),
        ("grounded", (2.0, 0.0, 30.0, 0.0)),
        ("gated", (0.0, 0.0, 0.0, 0.0)),
    ],
)
def test_sinh_cells_agree_with_the_solver_of_rramfit(rows_are, ohms, exported, tmp_path):
    v = np.zeros((1, 24))
    v[0, ::2] = 0.6
    np.save(tmp_path / "v.npy", v)
    card = card_with(rows_are, ohms=ohms, b=3.0, distribution="normal")
    folder = exported(card, "ngspice", inputs=tmp_path / "v.npy")
    currents, _ = run(folder)
    with (folder / "expected.csv").open() as f:
        wanted = np.array([float(r["current"]) for r in csv.DictReader(f)])
    assert np.abs(currents.ravel() - wanted).max() < TOLERANCE * np.abs(wanted).max()
    ohmic = exported(card, "ngspice", inputs=tmp_path / "v.npy", cells="ohmic")
    with (ohmic / "expected.csv").open() as f:
        other = np.array([float(r["current"]) for r in csv.DictReader(f)])
    assert np.abs(other - wanted).max() > 1e-3 * np.abs(wanted).max()  # the law matters here


def test_a_mapped_matrix_multiplies(repo, exported, tmp_path):
    """The tiles of a mapped weight matrix, added up, give the product of the matrix."""
    card = load_card(repo / "fits/jetcas-reference-1.0.0.card.json")
    silent = card.model_copy(update={"line": None, "failure": [], "stuck": None, "variation": []})
    quiet = [
        x.model_copy(update={"std": Quantity.given(1e-12, "S"), "distribution": None})
        for x in silent.levels
    ]
    silent = seal(silent.model_copy(update={"levels": quiet}))
    rng = np.random.default_rng(5)
    weights = rng.choice([-1.0, 0.0, 1.0], size=(7, 20))
    np.savetxt(tmp_path / "w.csv", weights, delimiter=",")
    v = np.full((1, 16), 0.1)
    np.save(tmp_path / "v.npy", v)
    folder = exported(
        silent, "ngspice", weights=tmp_path / "w.csv", rows=16, cols=8, inputs=tmp_path / "v.npy"
    )
    currents, _ = run(folder)
    blocks = currents[0, :, 0].reshape(2, 16).sum(axis=0)  # row blocks add; 2 tiles of 8 columns
    product = np.zeros(7)
    with (folder / "mapping.csv").open() as f:
        for r in csv.DictReader(f):
            part = blocks[int(r["column"])] / 0.1 * float(r["weight_per_siemens"])
            product[int(r["output"])] += part if r["part"] == "0" else -part
    assert np.allclose(product, weights.sum(axis=1), atol=1e-3)


def test_a_zero_resistance_is_no_element():
    line = card_line(card_with("grounded", ohms=(0.0, 0.0, 0.0, 0.0)))
    text = wires_text(Nodes(rows=3, cols=2, line=line))
    assert [x.split()[0] for x in text.splitlines()[1:]] == ["Vs_0", "Vs_1"]
    assert Nodes(rows=3, cols=2, line=line).wordline(2, 1) == "in_2"
    assert Nodes(rows=3, cols=2, line=line).bitline(0, 1) == "s_1"


def test_inputs_that_do_not_fit_are_rejected(exported, tmp_path):
    np.save(tmp_path / "v.npy", np.ones((1, 7)))
    with pytest.raises(InputError, match=r"v\.npy: found 7 columns, expected 24"):
        exported(card_with("grounded"), "ngspice", inputs=tmp_path / "v.npy")
    (tmp_path / "v.csv").write_text("row,V\n1,a\n")
    with pytest.raises(InputError, match="row voltages"):
        exported(card_with("grounded"), "ngspice", inputs=tmp_path / "v.csv")
    (tmp_path / "l.csv").write_text("0,9\n")
    with pytest.raises(ExportError, match="indices 0 to 9"):
        exported(card_with("grounded"), "ngspice", levels=str(tmp_path / "l.csv"))
    with pytest.raises(ExportError, match="too many"):
        exported(card_with("grounded"), "ngspice", chips=20_000)


def test_the_same_seed_gives_the_same_bytes(exported, tmp_path):
    card = card_with("grounded", b=1.0)
    save_card(card, tmp_path / "a.card.json")
    one, two = (exported(card, "ngspice", chips=2, seed=4) for _ in range(2))
    for path in sorted(one.iterdir()):
        assert path.read_bytes() == (two / path.name).read_bytes()
    other = exported(card, "ngspice", chips=2, seed=5)
    assert (other / "cells_c0_t0.inc").read_bytes() != (one / "cells_c0_t0.inc").read_bytes()
