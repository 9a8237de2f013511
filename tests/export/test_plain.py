"""Plain files: what is read back is what the card and the sampler have."""

import importlib.util
import io
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from rramfit.array import DeviceModel, draw_chips
from rramfit.card import family, load_card, quantities, register_family, seal
from rramfit.card.families import FAMILIES, Family
from rramfit.export import ExportError
from rramfit.export.drawn import CHIP_OPTIONS, draw
from rramfit.export.level_statistics import level_statistics
from rramfit.measurement.virtual.cards import random_card
from rramfit.streams import stream, torch_stream

FAMILY_NAMES = [
    "normal",
    "lognormal",
    "gamma",
    "weibull",
    "student_t",
    "skew_normal",
    "johnson_su",
    "mixture",
]


def module_of(path):
    spec = importlib.util.spec_from_file_location(f"exported_{path.parent.parent.name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tables_have_every_value(repo, exported):
    card = load_card(repo / "fits/reference-1.0.0.card.json")
    folder = exported(card, "csv")
    table = pd.read_csv(folder / "parameters.csv").set_index("parameter")
    for name, q in quantities(card):
        assert table.loc[name, "value"] == q.value
        assert table.loc[name, "unit"] == q.unit if q.unit != "nan" else True
        if q.ci95 is not None:
            assert (table.loc[name, "low"], table.loc[name, "high"]) == q.ci95
    levels = pd.read_csv(folder / "levels.csv")
    s = level_statistics(card)
    assert list(levels["name"]) == list(s.name)
    assert np.array_equal(levels["mean"], s.mean)


def test_drawn_chips_are_those_of_the_sampler(repo, exported):
    card = load_card(repo / "fits/reference-1.0.0.card.json")
    folder = exported(card, "npz", chips=3, seed=7, rows=20, cols=10)
    with np.load(folder / "chips.npz") as found:
        model = DeviceModel.from_card(card, dtype=torch.float64)
        generator = torch_stream(7, "export")
        chips = draw_chips(model, 3, shape=(20, 10), generator=generator)
        level = stream(7, "export levels").integers(3, size=(1, 20, 10))
        programmed = chips.program(torch.as_tensor(level[0]), generator=generator)
        assert np.array_equal(found["conductance"][:, 0], programmed.conductance.numpy())
        assert np.array_equal(found["level"], level)
        assert np.array_equal(found["read"][:, 0], programmed.read(generator).numpy())
        assert np.array_equal(found["fault"][:, 0], chips.fault.numpy())
        x = found["nonlinearity"] * float(found["read_voltage"])
        ratio = np.where(x > 0, np.sinh(x) / np.where(x > 0, x, 1), 1)
        assert np.allclose(found["slope"] * ratio, found["read"], rtol=1e-3)


def test_statistics_of_drawn_chips_are_those_of_the_card(exported):
    card = random_card(5, spatial=False, failures=False, array=(64, 64))
    folder = exported(card, "npz", chips=12, levels="1")
    with np.load(folder / "chips.npz") as found:
        g = found["read"]
    s = level_statistics(card)
    assert g.size > 49_000
    assert g.mean() == pytest.approx(s.mean[1], rel=0.01)
    assert g.std() == pytest.approx(s.std[1], rel=0.015)


def test_the_long_table_has_every_cell(repo, exported):
    card = load_card(repo / "fits/reference-1.0.0.card.json")
    folder = exported(card, "long", chips=2, rows=6, cols=5)
    table = pd.read_csv(folder / "cells.csv")
    options = {o.name: o.default for o in CHIP_OPTIONS} | {"chips": 2, "rows": 6, "cols": 5}
    drawn = draw(card, options)
    at = tuple(table[k].to_numpy() for k in ("chip", "tile", "row", "col"))
    assert np.array_equal(table["read"], drawn.read[at])
    assert np.array_equal(table["accepted"], drawn.accepted[at])
    assert np.array_equal(table["level"], np.broadcast_to(drawn.level, drawn.shape)[at])
    assert set(table["level_name"]) <= {x.name for x in card.levels}
    with pytest.raises(ExportError, match="too many"):
        exported(card, "long", chips=10_000)


def test_the_age_of_the_states_counts(repo, exported):
    card = load_card(repo / "fits/reference-1.0.0.card.json")
    young, old = (
        np.load(exported(card, "npz", rows=16, cols=16, time=t) / "chips.npz")["conductance"]
        for t in (0, 1e7)
    )
    assert not np.array_equal(young, old)
    assert np.allclose(young, old, rtol=0.5, atol=2e-5)


@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_frozen_distributions_are_those_of_the_card(name, exported):
    card = random_card(3, distribution=name)
    module = module_of(exported(card, "scipy") / "levels.py")
    assert list(module.NAMES) == [x.name for x in card.levels]
    q = np.array([1e-4, 0.01, 0.1, 0.5, 0.9, 0.99, 1 - 1e-4])
    for level, frozen in zip(card.levels, module.LEVELS, strict=True):
        parameters = {key: x.value for key, x in level.distribution.parameters.items()}
        form = family(name)
        g = form.ppf(q, parameters)
        assert np.allclose(frozen.cdf(g), form.cdf(g, parameters), atol=1e-9)
        assert np.allclose(frozen.sf(g), form.sf(g, parameters), atol=1e-9)
        assert np.allclose(frozen.pdf(g), np.exp(form.logpdf(g, parameters)), rtol=1e-6)
        assert np.allclose(frozen.ppf(q), g, rtol=1e-7)
        mean, std = form.moments(parameters)
        assert (frozen.mean(), frozen.std()) == pytest.approx((mean, std), rel=1e-6)
        drawn = frozen.rvs(size=4000, random_state=1)
        assert drawn.mean() == pytest.approx(mean, abs=4 * std / 4000**0.5)


def test_a_family_of_a_plugin_is_a_histogram(exported, monkeypatch):
    normal = FAMILIES["normal"]
    other = Family(
        name="my_normal",
        units=normal.units,
        positive=False,
        logpdf=normal.logpdf,
        cdf=normal.cdf,
        sf=normal.sf,
        ppf=normal.ppf,
        moments=normal.moments,
    )
    from rramfit.card import families

    monkeypatch.setattr(families, "_REGISTERED", dict(FAMILIES))
    monkeypatch.setattr(families, "FAMILIES", families._REGISTERED)
    register_family(other)
    card = random_card(3, distribution="normal")
    levels = [
        x.model_copy(
            update={"distribution": x.distribution.model_copy(update={"family": "my_normal"})}
        )
        for x in card.levels
    ]
    folder = exported(seal(card.model_copy(update={"levels": levels})), "scipy")
    frozen = module_of(folder / "levels.py").LEVELS[1]
    p = {k: q.value for k, q in levels[1].distribution.parameters.items()}
    assert frozen.mean() == pytest.approx(p["loc"], rel=1e-3)
    assert frozen.std() == pytest.approx(p["scale"], rel=0.01)
    assert "histograms" in (folder / "README.md").read_text()


def test_the_commands_of_the_readme_run(repo, exported):
    folder = exported(load_card(repo / "fits/reference-1.0.0.card.json"), "scipy")
    done = subprocess.run(
        [sys.executable, "levels.py"], cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stdout.count(" S, std ") == 3
    table = json.loads((folder / "levels.json").read_text())
    assert table["unit"] == "S"
    assert len(io.StringIO(done.stdout).readlines()) == 3
