"""Cards of the devices of CrossSim and aihwkit: their own numbers, stated and not estimated."""

import importlib.util
import json
import math

import numpy as np
import pytest

from rramfit.card import load_card, save_card
from rramfit.card.quantity import quantities
from rramfit.errors import InputError
from rramfit.export import ExportError, StatedArray, export_card, find_importer

ARRAY = StatedArray(rows=64, cols=32)

WAN = (
    "ReRamWan2022NoiseModel(g_converter=SinglePairConductanceConverter(g_max=40.00, g_min=0.00), "
    "g_max=40.0, coeff_g_max_reference=40.0, prog_coeff_g_max_reference=40.0, coeff_dic={1.0: "
    "[0.348, 16.03, -43.853, 45.393, -16.815], 86400.0: [0.701, 22.086, -50.773, 47.095, -16.458], "
    "172800.0: [0.782, 20.274, -43.507, 37.062, -11.934]}, noise_scale=1.0)"
)
CMO = (
    "ReRamCMONoiseModel(g_converter=SingleDeviceConductanceConverter(g_max=88.20, g_min=9.00), "
    "g_max=88.199997, g_min=9.0, coeff_g_max_reference=88.199997, coeff_dict={0.2: [0.00081107, "
    "0.00106879], 2: [0.0112185391, 0.01129027418]}, prog_noise_scale=1.0, read_noise_scale=1.0, "
    "drift_scale=1.0, decay_dict={'mean': [-0.08900206], 'std': [0.04201137, 0.41183342]}, "
    "read_dict={'K': 0.0277316483, 't_read': 1e-06}, acceptance_range=2)"
)
PCM = (
    "PCMLikeNoiseModel(g_converter=SinglePairConductanceConverter(g_max=25.00, g_min=0.00), "
    "g_max=25.0, prog_coeff_g_max_reference=25.0, prog_coeff=[0.26348, 1.965, -1.1731], t_0=20.0, "
    "t_read=2.5e-07, prog_noise_scale=2.0, read_noise_scale=1.0, drift_scale=1.0)"
)


def crosssim_file(tmp_path, **device):
    base = {"cell_bits": 2, "Rmin": 5000.0, "Rmax": 50000.0, "Vread": 0.2}
    wires = {
        "enable": True,
        "Rp_row": 0.5,
        "Rp_col": 0.7,
        "Rp_row_terminal": 8,
        "Rp_col_terminal": 4,
    }
    content = {
        "xbar": {
            "device": base | device,
            "array": {"parasitics": wires},
            "adc": {"mvm": {"bits": 8, "calibrated_range": [-30, 37.5]}},
        }
    }
    path = tmp_path / "device.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def read(kind, path):
    return find_importer(kind).read(path, ARRAY)


def module_at(path):
    spec = importlib.util.spec_from_file_location("rram_cells_of_stated_card", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def generic(model, magnitude):
    return {"enable": True, "model": model, "magnitude": magnitude}


def test_crosssim_levels_are_evenly_spaced(tmp_path):
    card = read("crosssim", crosssim_file(tmp_path))
    assert [x.mean.value for x in card.levels] == pytest.approx([2e-5, 8e-5, 14e-5, 20e-5])
    assert (card.array.rows, card.array.cols) == (64, 32)
    assert all(q.stderr is None for _, q in quantities(card))
    assert card.quality.verdict == "warning"


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("NormalIndependentDevice", [8e-6] * 4),
        ("NormalProportionalDevice", [0.8e-6, 3.2e-6, 5.6e-6, 8e-6]),
        ("NormalInverseProportionalDevice", [8e-5, 2e-5, 8e-6 / 0.7, 8e-6]),
        ("UniformIndependentDevice", [8e-6 / math.sqrt(12)] * 4),
    ],
)
def test_crosssim_errors_are_standard_deviations(tmp_path, model, expected):
    path = crosssim_file(tmp_path, programming_error=generic(model, 0.04))
    assert [x.std.value for x in read("crosssim", path).levels] == pytest.approx(expected)


def test_crosssim_read_noise_wires_and_converters(tmp_path):
    path = crosssim_file(tmp_path, read_noise=generic("NormalProportionalDevice", 0.02))
    card = read("crosssim", path)
    assert card.read_noise.coefficient.value == pytest.approx(0.02)
    assert card.read_noise.exponent.value == 0
    assert [v.read.value for v in card.variation] == pytest.approx(
        [0.02 * x.mean.value for x in card.levels]
    )
    assert card.line.driver_resistance.value == 8.5
    assert card.line.sense_resistance.value == 4.7
    assert card.line.inactive_rows == "grounded"
    assert card.readout.full_scale.value == pytest.approx(37.5 * 0.2 / 5000)


def test_crosssim_wires_come_back_from_an_export(tmp_path, repo):
    card = load_card(repo / "fits/reference-1.0.0.card.json")
    export_card(card, "crosssim", tmp_path / "out")
    back = read("crosssim", tmp_path / "out/params.json")
    for name in ("wordline", "bitline", "driver", "sense"):
        given = getattr(card.line, f"{name}_resistance").value
        assert getattr(back.line, f"{name}_resistance").value == pytest.approx(given)
    assert "RramCard" in " ".join(back.quality.fits["import"].findings)


def test_crosssim_devices_of_code_are_drawn(crosssim, tmp_path):
    """RRAMMilo of CrossSim: std = 4.782 uS − 0.00911·G, from 50 to 225 uS."""
    script = """
import sys
from pathlib import Path
from digits_network import report
from rramfit.export import StatedArray, find_importer
card = find_importer("crosssim").read(Path("device.json"), StatedArray())
report(std=[x.std.value for x in card.levels], mean=[x.mean.value for x in card.levels])
"""
    error = {"enable": True, "model": "RRAMMilo"}
    crosssim_file(tmp_path, programming_error=error, Rmin=1 / 225e-6, Rmax=20000.0)
    found = crosssim.run(script, tmp_path)
    expected = [4.782321e-6 - 0.009107 * g for g in found["mean"]]
    assert found["std"] == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[1, 2]",
        '{"xbar": 3}',
        '{"xbar": {"device": {"Rmin": -5}}}',
        '{"xbar": {"device": {"Rmin": 5000, "Rmax": 10}}}',
        '{"xbar": {"device": {"Rmin": "5k"}}}',
        '{"xbar": {"device": {"cell_bits": 30}}}',
        '{"xbar": {"device": {"Rmin": NaN}}}',
        "[" * 100_000,
    ],
)
def test_crosssim_files_that_cannot_be_read(tmp_path, content):
    path = tmp_path / "bad.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"bad\.json"):
        read("crosssim", path)


def printed(tmp_path, text):
    path = tmp_path / "model.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_aihwkit_wan_is_a_polynomial_of_the_target(tmp_path):
    card = read("aihwkit", printed(tmp_path, WAN))
    x = np.linspace(0, 1, 8)
    expected = np.polyval([-16.815, 45.393, -43.853, 16.03, 0.348], x) * 1e-6
    assert [level.std.value for level in card.levels] == pytest.approx(expected)
    assert card.levels[-1].mean.value == pytest.approx(40e-6)
    assert card.retention.reference_time.value == 86400
    later = np.polyval([-16.458, 47.095, -50.773, 22.086, 0.701], x) * 1e-6
    added = [d.first_spread.value for d in card.retention.levels]
    assert np.array(added) ** 2 == pytest.approx(np.maximum(later**2 - expected**2, 0), abs=1e-20)


def test_aihwkit_configuration_has_one_noise_model(tmp_path):
    text = (
        f"InferenceRPUConfig(\n    runtime=RuntimeParameter(),\n    noise_model={WAN},\n"
        "    clip=WeightClipParameter(type=WeightClipType.NONE)\n)"
    )
    whole = read("aihwkit", printed(tmp_path, text))
    alone = read("aihwkit", printed(tmp_path, WAN))
    assert whole.levels == alone.levels
    two = f"Two(a={WAN}, b={CMO})"
    with pytest.raises(InputError, match="2 noise models"):
        read("aihwkit", printed(tmp_path, two))


def test_aihwkit_cmo_relaxes(tmp_path):
    card = read("aihwkit", printed(tmp_path, CMO))
    g = np.linspace(9, 88.2, 8)
    assert [x.std.value for x in card.levels] == pytest.approx(
        1e-6 * (0.0112185391 + 0.01129027418 * g)
    )
    first = card.retention.levels[0]
    assert first.drift.value == pytest.approx(-0.08900206e-6)
    spread = math.hypot(first.first_spread.value, first.growth.value * math.sqrt(math.log(86400)))
    assert spread == pytest.approx(1e-6 * (0.04201137 * math.log(86400) + 0.41183342))


def test_aihwkit_pcm_drift_is_a_finding(tmp_path):
    card = read("aihwkit", printed(tmp_path, PCM))
    assert card.levels[-1].std.value == pytest.approx(2e-6 * (0.26348 + 1.965 - 1.1731))
    assert card.retention is None
    assert "power of time" in " ".join(card.quality.fits["import"].findings)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "__import__('os').system('true')",
        "ReRamWan2022NoiseModel",
        "SomeNoiseModel(g_max=1.0)",
        "ReRamWan2022NoiseModel(g_max=40.0)",
        WAN.replace("g_max=40.00", "g_max=-1"),
        WAN.replace("0.348", "open('x')"),
        WAN.replace("coeff_dic={1.0: [", "coeff_dic={1.0: ['"),
        PCM.replace("[0.26348", "[None"),
        "(" * 5000,
    ],
)
def test_aihwkit_texts_that_cannot_be_read(tmp_path, text):
    with pytest.raises(InputError, match=r"model\.txt"):
        read("aihwkit", printed(tmp_path, text))


@pytest.mark.parametrize("kind", ["crosssim", "aihwkit"])
def test_a_stated_card_can_be_saved_and_drawn(tmp_path, kind):
    from rramfit.array import DeviceModel

    path = (
        crosssim_file(tmp_path, programming_error=generic("NormalIndependentDevice", 0.04))
        if kind == "crosssim"
        else printed(tmp_path, CMO)
    )
    card = read(kind, path)
    save_card(card, tmp_path / "x.card.json")
    model = DeviceModel.from_card(load_card(tmp_path / "x.card.json"))
    stated = [x.std.value for x in card.levels]
    assert model.levels.power.sum(axis=1) ** 0.5 == pytest.approx(stated, rel=1e-3)


@pytest.mark.parametrize("kind", ["crosssim", "aihwkit"])
@pytest.mark.parametrize("target", ["crosssim", "aihwkit", "aihwkit-lightning"])
def test_a_stated_card_can_be_exported(tmp_path, kind, target):
    path = (
        crosssim_file(
            tmp_path,
            read_noise=generic("NormalIndependentDevice", 0.01),
            programming_error=generic("NormalProportionalDevice", 0.04),
        )
        if kind == "crosssim"
        else printed(tmp_path, CMO)
    )
    export_card(read(kind, path), target, tmp_path / "out")
    if target == "aihwkit-lightning":
        return
    numbers_file = tmp_path / "out/rram_cells.json"
    assert "NaN" not in numbers_file.read_text(encoding="utf-8")
    module = module_at(tmp_path / "out/rram_cells.py")
    numbers = module.Numbers()
    cells = module.Cells(numbers, 20, 20, np.random.default_rng(0))
    for level in range(len(numbers.mean)):
        state = cells.program(np.full((20, 20), level))
        aged = cells.aged(state[0], state[1], 2e5)
        assert np.isfinite(cells.read(aged, *state[1:])).all()


def test_a_level_that_does_not_conduct_cannot_be_drawn(tmp_path):
    path = crosssim_file(tmp_path, infinite_on_off_ratio=True)
    with pytest.raises(ExportError, match=r"0, 66.67, 133.3, 200 uS; expected at least two, pos"):
        export_card(read("crosssim", path), "crosssim", tmp_path / "out")
    assert not (tmp_path / "out").exists()
