"""Results in Jupyter: each shows itself as a table in engineering units, without numbers in SI."""

import ast
import re

import pytest
import torch

from rramfit import characterize, compare_cards
from rramfit.card.cells import load_cells
from rramfit.fitting.comparison import predict_other
from rramfit.fitting.pooling import pool_cards
from rramfit.fitting.pooling.trend import trend_of
from rramfit.fitting.tails.rates_at import error_rates_at
from rramfit.mapping import analog_matrices, analog_setup, convert_to_analog
from rramfit.mapping.study import ablate, evaluate, mapping_plan
from rramfit.measurement import synthesize, write_measurement
from rramfit.measurement.examples import sample_card
from rramfit.measurement.file.inspection import inspect_measurement

_SHOWS = {"ShowsResult"}  # bases that have it


def _chip(seed):
    return synthesize(sample_card(), rows=24, cols=24, sweeps=6, seed=seed)


@pytest.fixture(scope="module")
def fits():
    return [characterize(_chip(seed), name=f"chip{seed}") for seed in range(6)]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(16, 4))
    inputs = torch.rand(40, 16)
    return layers, inputs, layers(inputs).argmax(1)


def _check(result, *expected):
    page = result._repr_html_()
    texts = re.findall(r"<t[dh]>([^<]*)", page)
    assert page.startswith("<p><b>")
    assert [t for t in texts if re.search(r"\de-\d+ (S|A|V|ohm|s|J)\b|nan|None|NaN", t)] == []
    assert [e for e in expected if e not in page] == []


def test_every_result_with_a_table_shows_itself(repo):
    silent = []
    for path in (repo / "rramfit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                methods = {n.name for n in node.body if isinstance(n, ast.FunctionDef)}
                bases = {b.id for b in node.bases if isinstance(b, ast.Name)}
                if "to_frame" in methods and "_repr_html_" not in methods and not bases & _SHOWS:
                    silent.append(f"{path.name}: {node.name}")
    assert silent == []


def test_fits_and_cards(fits):
    for fit in fits[0].results().values():
        assert "<p><b>" in fit._repr_html_()
    _check(fits[0].card, "levels[0].mean", " uS")
    _check(fits[0].card.levels[1], "LevelCard", "mean", " uS<")
    assert "not run" in fits[0].card.quality.fits["iv"]._repr_html_()
    _check(fits[0].cells, "24 × 24 cells, 3 levels", ">ok<")
    _check(fits[0].card.levels_at(time=1.0), "1 s after programming", " uS (")
    _check(error_rates_at(fits[0].card, time=0.0), "Bit error rate", " uS<")


def test_comparisons(fits):
    _check(compare_cards(fits[0].card, fits[1].card), "common parameters differ", " uS (")
    _check(pool_cards([f.card for f in fits]), "6 cards pooled", "new array (95 %)")
    _check(trend_of([f.card for f in fits]), "parameters of 6 arrays", " uS to ")
    page = predict_other(fits[0].card, _chip(1))._repr_html_()
    assert " uS (" in page
    assert "chip" in page


def test_a_measurement_file_and_a_sidecar(fits, tmp_path):
    write_measurement(_chip(0), tmp_path / "chip.h5")
    _check(inspect_measurement(tmp_path / "chip.h5"), "missing: /iv", "/program: 6 sweeps")
    _, cells = fits[0].save(tmp_path)
    _check(load_cells(cells), "24 × 24 cells")


def test_networks_on_chips(fits, network):
    layers, inputs, labels = network
    analog = convert_to_analog(layers, fits[0].card, inputs=inputs)
    _check(evaluate(analog, inputs, labels, chips=3), "Accuracy of 3 chips on 40 samples", " % (")
    setup = analog_setup(fits[0].card)
    found = ablate(layers, setup, inputs, labels, inputs=inputs, digital=1.0, chips=2)
    _check(found, "All factors: ", "all others", "stuck")
    _check(mapping_plan(analog_matrices(analog)), "1 tile of 128 × 128", " pJ", "4 × 16")
