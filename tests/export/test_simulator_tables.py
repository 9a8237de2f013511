"""Tables of simulators that are not on the package index, by their formats and look-ups."""

import contextlib
import importlib.util
import json
import sys
import types

import numpy as np
import pytest
import torch

from rramfit.array import DeviceModel
from rramfit.card import Quantity, load_card, seal
from rramfit.export import ExportError
from rramfit.export.level_statistics import level_statistics
from rramfit.export.networks.analog_cim_sim import _split
from rramfit.export.networks.xbtorch import jump_tables
from rramfit.measurement.virtual.cards import random_card


@pytest.fixture
def reference(repo):
    return load_card(repo / "fits/reference-1.0.0.card.json")


def module_of(path):
    spec = importlib.util.spec_from_file_location("exported_module", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def packages(**modules):
    """Put stand-ins for packages where imports find them."""
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in modules:
            del sys.modules[name]


class FourCells:
    """A crossbar of MemTorch whose cells reach from 1 to 4 S, but for one, from 2 to 8 S."""

    def __init__(self):
        ranges = [[(1, 4), (1, 4)], [(1, 4), (2, 8)]]
        cell = types.SimpleNamespace
        self.devices = np.array(
            [[cell(r_off=1 / low, r_on=1 / high) for low, high in row] for row in ranges]
        )
        self.conductance_matrix = torch.tensor([[1.2, 2.0], [3.2, 7.0]])

    def update(self, *, from_devices):
        assert not from_devices


class Recorder:
    """What MemTorch 1.1.6 is called with, by the names of its parameters."""

    def __init__(self):
        self.calls = {}

    def patch_model(
        self,
        model,
        memristor_model,
        memristor_model_params,
        module_parameters_to_patch=None,
        mapping_routine=None,
        transistor=True,
        programming_routine=None,
        programming_routine_params=None,
        p_l=None,
        scheme=None,
        tile_shape=None,
        max_input_voltage=None,
        scaling_routine=None,
        scaling_routine_params=None,
        source_resistance=None,
        line_resistance=None,
        ADC_resolution=None,
        ADC_overflow_rate=0.0,
        quant_method=None,
        use_bindings=True,
        random_crossbar_init=False,
        verbose=True,
    ):
        self.calls["patch"] = {k: v for k, v in locals().items() if k not in ("self", "model")}
        model.tune_ = lambda: None
        self.layer = model[0]
        self.layer.crossbars = [FourCells()]
        return model

    def faults(self, layer, lrs_proportion, hrs_proportion, electroform_proportion):
        assert layer is self.layer
        self.calls["faults"] = {k: v for k, v in locals().items() if k not in ("self", "layer")}
        return layer

    def parameter(self, distribution, **parameters):
        assert parameters.keys() == {"min", "loc", "scale"}
        assert distribution is torch.distributions.normal.Normal
        return parameters["min"], parameters["loc"], parameters["scale"]


def memtorch_calls(folder):
    seen = Recorder()
    space = types.SimpleNamespace
    root = types.ModuleType("memtorch")
    root.bh = space(
        StochasticParameter=seen.parameter,
        memristor=space(VTEAM="VTEAM"),
    )
    root.mn = space(Module=space(patch_model=seen.patch_model))
    names = {
        "memtorch.bh": {},
        "memtorch.bh.nonideality": {},
        "memtorch.bh.nonideality.DeviceFaults": {"apply_device_faults": seen.faults},
        "memtorch.map": {},
        "memtorch.map.Input": {"naive_scale": "scale"},
        "memtorch.map.Parameter": {"naive_map": "map"},
    }
    modules = {"memtorch": root}
    for name, content in names.items():
        modules[name] = types.ModuleType(name)
        modules[name].__dict__.update(content)
    with packages(**modules):
        module = module_of(folder / "memtorch_card.py")
        module.patched(torch.nn.Sequential(torch.nn.Linear(4, 2)))
    return seen.calls | {"layer": seen.layer}


def test_memtorch_gets_the_range_of_the_card(reference, exported):
    calls = memtorch_calls(exported(reference, "memtorch"))
    parameters = calls["patch"]["memristor_model_params"]
    model = DeviceModel.from_card(reference, dtype=torch.float64)
    for name, k in (("r_on", -1), ("r_off", 0)):
        r = 1 / model.levels.table[k]
        w = np.exp(-0.5 * np.linspace(-6, 6, len(r)) ** 2)
        mean = (r * w).sum() / w.sum()
        std = np.sqrt(((r - mean) ** 2 * w).sum() / w.sum())
        assert parameters[name][1] == pytest.approx(mean, rel=1e-3)
        assert parameters[name][2] == pytest.approx(std, rel=0.01)
        assert 0 < parameters[name][0] < mean
    assert calls["patch"]["ADC_resolution"] == reference.readout.bits
    assert calls["patch"]["transistor"] is True
    assert calls["layer"].transistor
    assert calls["layer"].crossbars[0].conductance_matrix.tolist() == [[1, 2.5], [2.5, 8]]
    assert calls["faults"]["hrs_proportion"] == reference.stuck.low.value
    passive = seal(
        reference.model_copy(update={"array": reference.array.model_copy(update={"cell": "1R"})})
    )
    calls = memtorch_calls(exported(passive, "memtorch"))
    assert not calls["layer"].transistor
    assert calls["patch"]["source_resistance"] == reference.line.driver_resistance.value


def test_memtorch_refuses_levels_without_resistance(exported):
    card = random_card(1, distribution="normal")
    low = card.levels[0].model_copy(update={"distribution": None, "std": Quantity.given(1e-4, "S")})
    wide = seal(card.model_copy(update={"levels": [low, *card.levels[1:]]}))
    with pytest.raises(ExportError, match="no resistance"):
        exported(wide, "memtorch")


def look_up(g_axis, dg_axis, cdf, g, u):
    """One pulse as XBTorch's TabularDevice applies it."""
    near = np.abs(g_axis[None] - g[:, None]).argmin(axis=1)
    return g + dg_axis[np.abs(cdf[near] - u[:, None]).argmin(axis=1)]


@pytest.mark.parametrize("family", ["lognormal", "normal", "mixture"])
def test_pulses_of_xbtorch_lead_from_level_to_level(family, exported):
    card = random_card(3, distribution=family, levels=4, spatial=False)
    folder = exported(card, "xbtorch")
    tables = {
        kind: [np.loadtxt(folder / f"{kind}_{name}.txt") for name in ("g", "dg", "cdf")]
        for kind in ("set", "reset")
    }
    for g_axis, dg_axis, cdf in tables.values():
        assert cdf.shape == (len(g_axis), len(dg_axis))
        assert (np.diff(g_axis) > 0).all()
        assert (np.diff(dg_axis) > 0).all()
        assert (np.diff(cdf, axis=1) >= -1e-12).all()
        assert ((cdf >= 0) & (cdf <= 1)).all()
    s, rng = level_statistics(card), np.random.default_rng(1)
    g = np.full(10_000, s.mean[0])
    for k in (1, 2, 3):
        g = look_up(*tables["set"], g, rng.random(len(g)))
        assert g.mean() == pytest.approx(s.mean[k], rel=0.01)
        assert g.std() == pytest.approx(s.state_std[k], rel=0.03)
        g = np.full(10_000, s.mean[k])
    g = look_up(*tables["reset"], np.full(10_000, s.mean[2]), rng.random(10_000))
    assert g.mean() == pytest.approx(s.mean[1], rel=0.02)


IN_XBTORCH = """
import json, torch, xbtorch_card
torch.manual_seed(0)
device, accelerator = xbtorch_card.device(), xbtorch_card.accelerator()
start = json.loads(open("accelerator.json").read())
print("RESULT", json.dumps([
    [x.mean().item(), x.std().item()]
    for g, pulse in ((start["g_min"], 1.0), (start["g_max"], -1.0))
    for x in [device.write(torch.full((20_000,), g), torch.full((20_000,), pulse))]
]))
"""


def test_a_pulse_in_xbtorch_leads_to_the_next_level(reference, exported, xbtorch):
    s = level_statistics(reference)
    for mean, std in xbtorch.run(IN_XBTORCH, exported(reference, "xbtorch")):
        assert mean == pytest.approx(s.mean[1], rel=0.01)
        assert std == pytest.approx(s.state_std[1], rel=0.03)


def test_the_module_of_xbtorch_passes_known_arguments(reference, exported):
    folder = exported(reference, "xbtorch")
    seen = {}

    names = {"reset_g", "reset_dg", "reset_cdf", "set_g", "set_dg", "set_cdf", "max_level"}
    known = {
        *("g_min", "g_max", "v_read", "read_noise", "write_noise", "stateful", "xb_size"),
        *("stuck_percentage", "stuck_mode", "retention_time", "drift_coefficient", "drift_t0"),
    }

    def tabular_device(**arguments):
        assert arguments.keys() == names
        seen["device"] = arguments

    def accelerator(**arguments):
        assert arguments.keys() <= known
        seen["accelerator"] = arguments

    packaged = ("xbtorch", "xbtorch.deployment", "xbtorch.deployment.base", "xbtorch.devices")
    modules = {name: types.ModuleType(name) for name in (*packaged, "xbtorch.devices.base")}
    modules["xbtorch.deployment"].base = modules["xbtorch.deployment.base"]
    modules["xbtorch.deployment.base"].ACCELERATOR_REGISTRY = {"SimpleFixedPoint": accelerator}
    modules["xbtorch.devices.base"].TabularDevice = tabular_device
    with packages(**modules):
        module = module_of(folder / "xbtorch_card.py")
        module.device()
        module.accelerator()
    s = level_statistics(reference)
    assert seen["device"]["max_level"] == 2
    given = seen["accelerator"]
    assert (given["g_min"], given["g_max"]) == (s.mean[0], s.mean[-1])
    assert (given["xb_size"], given["stuck_mode"]) == ((128, 128), "ideal")


def test_a_level_without_spread_has_a_step():
    card = random_card(3, levels=2)
    levels = [
        x.model_copy(update={"distribution": None, "std": Quantity.given(0.0, "S")})
        for x in card.levels
    ]
    card = seal(card.model_copy(update={"levels": levels, "variation": []}))
    state, change, cdf = jump_tables(DeviceModel.from_card(card, dtype=torch.float64), up=True)
    assert set(np.unique(cdf.round(6))) <= {0.0, 0.5, 1.0}
    assert len(state) < len(change)


RULES = {
    "BNN_I": "SYM_RANGE_ADC",
    "TNN_I": "SYM_RANGE_ADC",
    "I_DIFF_W_DIFF_1XB": "SYM_RANGE_ADC",
}


@pytest.mark.parametrize("name", ["binary", "ternary", "integer"])
def test_configurations_pass_the_rules_of_analog_cim_sim(name, reference, exported):
    """The checks of `Config::apply` of analog-cim-sim, one by one."""
    c = json.loads(
        (exported(reference, "analog-cim-sim", weight_bits=4) / f"{name}.json").read_text()
    )
    assert c["M"] > 0
    assert c["N"] > 0
    assert RULES[c["m_mode"]] == c["adc_type"]
    assert 0 < c["HRS"] < c["LRS"]
    assert c["resolution"] > 0
    assert c["V_read"] < 0  # where wires are simulated
    assert c["w_res"] > 0
    integer = c["m_mode"].startswith("I_")
    assert not (integer and c["d2d_var"] and c["c2c_var"])
    assert c["HRS_NOISE"] == (0 if integer else pytest.approx(c["HRS"] * 0.15, rel=0.02))
    assert not integer or sum(c["SPLIT"]) == c["W_BIT"] == 4
    mean = level_statistics(reference).mean
    assert c["LRS"] == pytest.approx(mean[-1] * 0.2 * 1e6)
    assert {"digital_only", "verbose"} <= c.keys()


@pytest.mark.parametrize(
    ("bits", "cell", "split"), [(8, 1, [1] * 8), (8, 3, [2, 3, 3]), (4, 2, [2, 2]), (2, 4, [2])]
)
def test_weights_are_split_over_cells(bits, cell, split):
    assert _split(bits, cell) == split
