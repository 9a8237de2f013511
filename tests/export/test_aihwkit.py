"""aihwkit: the numbers of the module by its documentation, and proofs in its torch tile."""

import json

import numpy as np
import pytest
import torch

from rramfit.array import DeviceModel, LineResistance, column_currents, draw_chips
from rramfit.card import load_card
from rramfit.export.networks.aihwkit import EXPORTER, aihwkit_options
from rramfit.mapping import FACTORS


@pytest.fixture(scope="module")
def card(repo):
    return load_card(repo / "fits/reference-1.0.0.card.json")


def text_of(limits):
    return " ".join(f"{x.what} {x.size}" for x in limits)


def numbers(card, **options):
    export = EXPORTER.export(card, EXPORTER.resolve(options))
    return json.loads(export.files["rram_cells.json"])


def test_the_step_and_the_bound_are_those_of_the_converters(card):
    made = aihwkit_options(card, EXPORTER.resolve({}))
    mean = [x.mean.value for x in card.levels]
    unit = (mean[-1] - mean[0]) * 0.2
    step = 2 * made["out_bound"] * made["out_res"] * unit
    assert step == pytest.approx(1 / card.readout.gain.value, rel=1e-5)
    top = (2**card.readout.bits - 1 - card.readout.offset.value) / card.readout.gain.value
    assert made["out_bound"] * unit == pytest.approx(top, rel=1e-5)
    lsb = made["out_noise"] * unit * card.readout.gain.value
    assert lsb**2 == pytest.approx(1 / 12 + 2 * card.readout.noise.value**2, rel=1e-4)
    assert 2 * made["inp_res"] == pytest.approx(1 / 255)


def test_a_card_without_converters_has_none(card):
    made = aihwkit_options(card.model_copy(update={"readout": None}), EXPORTER.resolve({}))
    assert made["out_res"] == -1
    assert made["out_noise"] == 0


def test_codes_are_all_differences_of_two_levels(card):
    found = numbers(card)["levels"]
    mean = np.array(found["mean"])
    pairs = np.array(found["code_levels"])
    assert len(pairs) == 7
    assert mean[pairs[:, 0]] - mean[pairs[:, 1]] == pytest.approx(found["code_values"], abs=1e-12)


def test_the_noise_of_training_is_that_of_the_levels(card):
    made = aihwkit_options(card, EXPORTER.resolve({}))
    mean, std = ([getattr(x, n).value for x in card.levels] for n in ("mean", "std"))
    expected = np.sqrt(np.mean(np.square(std)) + std[0] ** 2) / (mean[-1] - mean[0])
    assert made["training_std"] == pytest.approx(expected, rel=0.02)  # std includes read noise


def test_gated_rows_and_iv_curves_are_listed(card):
    line = card.line.model_copy(update={"inactive_rows": "gated"})
    export = EXPORTER.export(card.model_copy(update={"line": line}), EXPORTER.resolve({}))
    assert "the card's are gated" in text_of(export.approximated)
    assert "Cells are ohmic" in text_of(export.missing)


PROGRAM_CELLS = """
import numpy as np, torch, rram_aihwkit
from digits_network import report

rram_aihwkit.NUMBERS.field_share = np.zeros(3)  # as in the test of the cells
torch.manual_seed(1)
mean = rram_aihwkit.NUMBERS.mean
model = rram_aihwkit.CardNoiseModel(wires=False)
found = []
for level in range(3):
    w = (mean[level] - mean[0]) / (mean[-1] - mean[0])
    weights = torch.full((330, 320), float(w))
    programmed, states = model.apply_programming_noise(weights)
    drifted = model.apply_drift_noise(programmed, states, 1e4)
    usable = np.logical_and(*(x[2].numpy() == 0 for x in states)).T
    found.append([])
    for x in (programmed, drifted):
        x = x.numpy()[usable]
        found[-1] += [float(x.mean()), float(x.std())]
report(levels=found)
"""


def test_programmed_weights_have_our_statistics(aihwkit, exported, card):
    """10⁵ pairs of every level with the lowest, within 1 % of their scale."""
    found = aihwkit.run(PROGRAM_CELLS, exported(card, "aihwkit"))["levels"]
    healthy = ("field", "stuck", "dead_lines", "failure")
    model = DeviceModel.from_card(card).without(*healthy)
    generator = torch.Generator().manual_seed(3)
    scale = float(model.mean[-1] - model.mean[0])

    def cells(level):
        chips = draw_chips(model, 10, shape=(320, 330), generator=generator)
        state = chips.program(torch.full((320, 330), level), generator=generator)
        aged = state.age(1e4, generator)
        return state.conductance.double().numpy(), aged.conductance.double().numpy()

    for level, (mean, std, aged_mean, aged_std) in enumerate(found):
        pairs = zip(cells(level), cells(0), strict=True)
        new, aged = ((high - low) / scale for high, low in pairs)
        assert mean == pytest.approx(new.mean(), abs=2e-3)
        assert std == pytest.approx(new.std(), rel=0.01)
        assert aged_mean == pytest.approx(aged.mean(), abs=2e-3)
        assert aged_std == pytest.approx(aged.std(), rel=0.01)


CURRENTS = """
import numpy as np, torch, rram_aihwkit
from aihwkit.nn import AnalogLinear
from aihwkit.simulator.parameters.enums import NoiseManagementType, WeightModifierType
from digits_network import report

torch.manual_seed(2)
config = rram_aihwkit.rpu_config(read_noise=False, converters=False)
config.mapping.weight_scaling_omega = 0.0
config.forward.noise_management = NoiseManagementType.NONE
config.forward.inp_res = -1
config.modifier.type = WeightModifierType.NONE
layer = AnalogLinear(40, 24, bias=False, rpu_config=config)
layer.set_weights(torch.rand(24, 40) * 2 - 1, None)
layer.eval()
layer.program_analog_weights()
x = torch.rand(6, 40) * (torch.rand(6, 40) < 0.6)
with torch.no_grad():
    first = layer(x).numpy()
    layer.train()
    training = layer(x).numpy()
states = layer.analog_module.drift_noise_parameters
report(
    outputs=first.tolist(), training=training.tolist(), inputs=x.tolist(),
    conductance=[s[0].numpy().tolist() for s in states], scale=rram_aihwkit._range(),
)
"""


def test_products_are_the_currents_of_our_wires(aihwkit, exported, card):
    """Also in training, where aihwkit's own IR drop is off. Float32 of the tile: 1e-5."""
    found = aihwkit.run(CURRENTS, exported(card, "aihwkit"))
    voltage = torch.tensor(found["inputs"], dtype=torch.float64)
    names = ("wordline", "bitline", "driver", "sense")
    ohms = [getattr(card.line, f"{name}_resistance").value for name in names]
    wires = dict(zip(("r_wl", "r_bl", "r_driver", "r_sense"), ohms, strict=True))
    line = LineResistance(inactive_rows="grounded", **wires)
    pair = [torch.tensor(g, dtype=torch.float64) for g in found["conductance"]]
    plus, minus = (column_currents(g, voltage, line) for g in pair)
    expected = ((plus - minus) / found["scale"]).numpy()
    assert found["outputs"] == pytest.approx(expected, rel=1e-5, abs=1e-5)
    assert found["training"] == pytest.approx(expected, rel=1e-5, abs=1e-5)
    ideal = (voltage @ (pair[0] - pair[1]) / found["scale"]).numpy()
    assert np.abs(ideal - expected).max() > 0.01


READS = """
import numpy as np, torch, rram_aihwkit
from digits_network import report

torch.manual_seed(3)
mean = rram_aihwkit.NUMBERS.mean
w = torch.tensor((mean - mean[0]) / (mean[-1] - mean[0]))[:, None].expand(3, 50)
x = torch.ones(20000, 50, dtype=w.dtype)
out = rram_aihwkit._CardMVM._matmul(w, x)
report(std=out.std(0).tolist(), scale=rram_aihwkit._range())
"""


def test_reads_have_the_noise_of_both_cells(aihwkit, exported, card):
    found = aihwkit.run(READS, exported(card, "aihwkit"))
    model = DeviceModel.from_card(card, dtype=torch.float64)
    std = model.read_noise.std(model.mean, torch.arange(3)).numpy()
    expected = np.sqrt(50 * (std**2 + std[0] ** 2)) / found["scale"]
    assert found["std"] == pytest.approx(expected, rel=0.03)


def test_a_network_has_our_accuracy_on_the_same_chips(
    aihwkit, exported, card, network, study, repo, tmp_path
):
    """Wires and inputs together, on the cells that the noise model drew: 0.5 points."""
    script = repo / "tests/studies/export_targets/run_aihwkit.py"
    chips, cells_file = 3, tmp_path / "cells.npz"
    found = aihwkit.run(
        script,
        exported(card, "aihwkit"),
        network[0],
        chips,
        "read_noise",
        "converters",
        f"save={cells_file}",
    )["accuracies"]
    left_out = ("adc", "readout", "read", "nonlinearity")
    factors = [f for f in FACTORS if f not in left_out]
    with np.load(cells_file) as cells:
        for chip, accuracy in enumerate(found):
            pairs = [(cells[f"pos{k}_{chip}"], cells[f"neg{k}_{chip}"]) for k in (1, 2)]
            expected = study[1].on_given_cells(card, network[1], pairs, factors=factors)
            assert accuracy == pytest.approx(expected, abs=0.005)


def test_the_example_runs(aihwkit, exported, card):
    folder = exported(card, "aihwkit")
    assert "after  86400 s" in aihwkit.run(folder / "example.py", folder)
