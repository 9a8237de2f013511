"""CrossSim: the numbers of the files by the documentation, and proofs in CrossSim 3.2."""

import json

import numpy as np
import pytest
import torch

from rramfit.array import DeviceModel, LineResistance, column_currents, draw_chips, solve_nonlinear
from rramfit.card import load_card
from rramfit.card.quantity import Quantity
from rramfit.export.contract import OptionError
from rramfit.export.networks.crosssim import EXPORTER
from rramfit.mapping import FACTORS


@pytest.fixture(scope="module")
def card(repo):
    return load_card(repo / "fits/reference-1.0.0.card.json")


def parameters(card, **options):
    return json.loads(EXPORTER.export(card, EXPORTER.resolve(options)).files["params.json"])


def text_of(limits):
    return " ".join(f"{x.what} {x.size}" for x in limits)


def test_conductances_are_relative_to_the_highest_level(card):
    device = parameters(card)["xbar"]["device"]
    mean = [x.mean.value for x in card.levels]
    assert 1 / device["Rmin"] == pytest.approx(mean[-1], rel=1e-5)
    assert 1 / device["Rmax"] == pytest.approx(mean[0], rel=1e-5)
    assert device["Vread"] == 0.2
    assert device["cell_bits"] == 0


def test_terminals_are_what_is_left_of_the_driver_and_the_sense_resistance(card):
    wires = parameters(card)["xbar"]["array"]["parasitics"]
    line = card.line
    assert wires["enable"]
    assert wires["current_from_input"]
    assert wires["Rp_row"] == line.wordline_resistance.value
    assert wires["Rp_row"] + wires["Rp_row_terminal"] == pytest.approx(line.driver_resistance.value)
    assert wires["Rp_col"] + wires["Rp_col_terminal"] == pytest.approx(line.sense_resistance.value)


def test_a_terminal_is_not_negative(card):
    line = card.line.model_copy(update={"driver_resistance": Quantity.given(0.1, "ohm")})
    short = card.model_copy(update={"line": line})
    assert parameters(short)["xbar"]["array"]["parasitics"]["Rp_row_terminal"] == 0
    export = EXPORTER.export(short, EXPORTER.resolve({}))
    assert "0.502 ohm in place of 0.1 ohm" in text_of(export.approximated)


def test_the_converter_covers_the_currents_of_its_codes(card):
    adc = parameters(card)["xbar"]["adc"]["mvm"]
    low, high = (x * 0.2 * card.levels[-1].mean.value for x in adc["calibrated_range"])
    gain, offset = card.readout.gain.value, card.readout.offset.value
    assert adc["bits"] == card.readout.bits
    assert offset + gain * low == pytest.approx(0, abs=1e-3)
    assert offset + gain * high == pytest.approx(2**card.readout.bits - 1, abs=0.01)


def test_signed_inputs_get_a_sign_bit_on_both_sides(card):
    xbar = parameters(card, inputs="signed")["xbar"]
    low, high = xbar["adc"]["mvm"]["calibrated_range"]
    assert low == -high
    assert xbar["adc"]["mvm"]["bits"] == card.readout.bits + 1
    assert xbar["dac"]["mvm"]["model"] == "SignMagnitudeDAC"
    assert xbar["dac"]["mvm"]["bits"] == 9


def test_what_is_missing_is_switched_off_and_listed(card):
    bare = card.model_copy(update={"line": None, "iv": None, "readout": None, "retention": None})
    content = parameters(bare)
    assert not content["xbar"]["array"]["parasitics"]["enable"]
    assert content["xbar"]["adc"]["mvm"]["model"] == "IdealADC"
    assert not content["xbar"]["device"]["nonlinear_IV"]["enable"]
    off = {"wires": "off", "nonlinearity": "off", "read_noise": "off", "adc": "off"}
    listed = text_of(EXPORTER.export(card, EXPORTER.resolve(off)).missing)
    for what in ("Wires have no resistance", "Cells are ohmic", "Reads have no noise", "8 bits"):
        assert what in listed


@pytest.mark.parametrize("volt", [-0.1, 0.0, None])
def test_a_read_voltage_is_positive(card, volt):
    q = None if volt is None else Quantity.given(volt, "V")
    other = card.model_copy(update={"domain": card.domain.model_copy(update={"read_voltage": q})})
    xbar = parameters(other)["xbar"]
    assert xbar["device"]["Vread"] == (0.1 if volt else 0.2)
    low, high = xbar["adc"]["mvm"]["calibrated_range"]
    assert low < high


def test_floating_rows_are_listed_with_their_size(card):
    line = card.line.model_copy(update={"inactive_rows": "floating"})
    export = EXPORTER.export(card.model_copy(update={"line": line}), EXPORTER.resolve({}))
    assert "the card's are floating" in text_of(export.approximated)
    assert "the card's are" not in text_of(EXPORTER.export(card, EXPORTER.resolve({})).approximated)


def test_an_unknown_option_is_refused(card):
    with pytest.raises(OptionError, match="adc"):
        EXPORTER.resolve({"adc": "maybe"})


PROGRAM_CELLS = """
import sys, numpy as np, rram_device
from digits_network import report
from simulator import AnalogCore, CrossSimParameters

params = CrossSimParameters.from_json("params.json")
rram_device.NUMBERS.field_share = np.zeros(3)  # as in the test of the cells
np.random.seed(1)
params.core.rows_max, params.core.cols_max = 320, 330
params.core.mapping.weights.percentile = None
params.core.mapping.weights.min, params.core.mapping.weights.max = -1.0, 1.0
found = []
for level in range(3):
    mean = rram_device.NUMBERS.mean
    w = (mean[level] - mean[0]) / (mean[-1] - mean[0])
    core = AnalogCore(np.full((330, 320), w), params)
    inner = core.cores[0][0].core_pos
    g = inner.matrix.T / params.xbar.device.Rmin
    kind = "_drift_error_model" if params.xbar.device.time else "_programming_error_model"
    g = g[~getattr(inner.device, kind).off_level]
    found.append([float(g.mean()), float(g.std()), int(g.size)])
report(levels=found)
"""


@pytest.mark.parametrize("time", [0.0, 1e4])
def test_programmed_cells_have_our_statistics(crosssim, exported, card, time):
    """10⁵ healthy cells of every level, within 1 %."""
    folder = exported(card, "crosssim", time=time)
    found = crosssim.run(PROGRAM_CELLS, folder)["levels"]
    healthy = ("field", "stuck", "dead_lines", "failure")
    model = DeviceModel.from_card(card).without(*healthy)
    generator = torch.Generator().manual_seed(3)
    for level, (mean, std, count) in enumerate(found):
        assert count > 1e5
        chips = draw_chips(model, 10, shape=(320, 330), generator=generator)
        state = chips.program(torch.full((320, 330), level), generator=generator)
        g = state.age(time, generator).conductance.double().numpy()
        assert mean == pytest.approx(g.mean(), rel=0.01)
        assert std == pytest.approx(g.std(), rel=0.01)


CURRENTS = """
import sys, numpy as np, rram_device
from digits_network import report
from simulator import AnalogCore, CrossSimParameters

params = CrossSimParameters.from_json("params.json")
np.random.seed(2)
rng = np.random.default_rng(0)
core = AnalogCore(rng.uniform(-1, 1, (24, 40)), params)
inner = core.cores[0][0].core_pos
x = rng.uniform(0, 1, (40, 6)) * (rng.uniform(0, 1, (40, 6)) < 0.6)
inner.vector_mvm = None
batch = inner.run_xbar_mvm(vector=x)
single = np.stack([inner.run_xbar_mvm(vector=v.copy()) for v in x.T], axis=1)
unit = params.xbar.device.Vread / params.xbar.device.Rmin
report(
    conductance=(inner.matrix.T / params.xbar.device.Rmin).astype(float).tolist(),
    inputs=x.tolist(), batch=(batch * unit).tolist(), single=(single * unit).tolist(),
)
"""


@pytest.mark.parametrize("rows", ["grounded", "gated"])
@pytest.mark.parametrize("curve", ["off", "on"])
def test_column_currents_are_ours(crosssim, exported, card, rows, curve):
    """Within ten times the solver's tolerance of 1e-5 of the read voltage."""
    wires = {"r_wl": 1.5, "r_bl": 2.5, "r_driver": 40.0, "r_sense": 25.0}
    names = ("wordline", "bitline", "driver", "sense")
    given = {
        f"{name}_resistance": Quantity.given(ohm, "ohm")
        for name, ohm in zip(names, wires.values(), strict=True)
    }
    line = card.line.model_copy(update={"inactive_rows": rows, **given})
    folder = exported(
        card.model_copy(update={"line": line}), "crosssim", read_noise="off", nonlinearity=curve
    )
    found = crosssim.run(CURRENTS, folder)
    g = torch.tensor(found["conductance"], dtype=torch.float64)
    voltage = 0.2 * torch.tensor(found["inputs"], dtype=torch.float64).T
    ours = LineResistance(inactive_rows=rows, **wires)
    if curve == "off":
        expected = column_currents(g, voltage, ours)
    else:
        model = DeviceModel.from_card(card, dtype=torch.float64)
        chips = draw_chips(model, 1, shape=g.shape, generator=torch.Generator())
        fields = {n: getattr(chips, n) for n in chips.__slots__} | {"nonlinearity": None}
        g0, b = (x[0] for x in type(chips)(**fields).conduction(g[None]))
        expected = solve_nonlinear(g0, voltage, ours, nonlinearity=b).column_current
    for mode in ("batch", "single"):
        currents = np.array(found[mode]).T
        assert currents == pytest.approx(expected.numpy(), rel=1e-4)


@pytest.mark.parametrize("adc", ["off", "card"])
def test_a_network_has_our_accuracy_on_the_same_chips(
    crosssim, exported, card, network, study, repo, tmp_path, adc
):
    """Wires, I-V curves and converters together, on the cells that CrossSim drew: 0.5 points."""
    errors = ("gain", "offset", "inl", "third_order", "noise", "gain_spread", "offset_spread")
    plain = card.readout.model_copy(update=dict.fromkeys(errors))
    card = card.model_copy(update={"readout": plain})
    folder = exported(card, "crosssim", adc=adc, read_noise="off")
    script = repo / "tests/studies/export_targets/run_crosssim.py"
    chips, cells_file = 3, tmp_path / "cells.npz"
    found = crosssim.run(script, folder, folder, network[0], chips, cells_file)["accuracies"]
    left_out = {"read"} | ({"adc", "readout"} if adc == "off" else set())
    factors = [f for f in FACTORS if f not in left_out]
    with np.load(cells_file) as cells:
        expected = [
            study[1].on_given_cells(
                card,
                network[1],
                [(cells[f"pos{k}_{chip}"], cells[f"neg{k}_{chip}"]) for k in (1, 2)],
                factors=factors,
            )
            for chip in range(chips)
        ]
    assert np.mean(found) == pytest.approx(np.mean(expected), abs=0.005)
    assert found == pytest.approx(expected, abs=0.01)


def test_the_example_runs(crosssim, exported, card):
    folder = exported(card, "crosssim", rows=48, cols=32)
    assert "error of the product" in crosssim.run(folder / "example.py", folder)
