"""Training forward: against the full forward; its gradient and the distributions of its cells."""

import dataclasses
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from rramfit.array import DeviceModel, draw_chips
from rramfit.card.cells import CellMaps
from rramfit.mapping import (
    FACTORS,
    AnalogLinear,
    Peripherals,
    analog_layers,
    analog_setup,
    convert_to_analog,
)
from rramfit.mapping.study.networks import make_network
from rramfit.measurement import virtual_card
from rramfit.measurement.virtual.reference_chip import reference_card
from rramfit.streams import torch_stream
from rramfit.training import fidelity, prepare_training
from rramfit.training.forward.anchor import at_mean_share
from rramfit.training.forward.cell_tables import cell_distributions
from rramfit.training.forward.preparation import set_step, trained_forwards

sys.path.insert(0, str(Path(__file__).parents[2] / "mapping"))
from cases import full_card

SILENT = {"d2d", "field", "trend", "c2c", "failure", "stuck", "dead_lines", "read"}


def layer_of(
    card, *, outputs=5, inputs=11, dtype=torch.float32, vectors=64, tile=(8, 8), **options
):
    """Return a linear layer with a training forward, and inputs."""
    setup = analog_setup(card, tile=tile, dtype=dtype, **options)
    generator = torch_stream(5, "case")
    digital = nn.Linear(inputs, outputs).to(dtype)
    with torch.no_grad():
        digital.weight.normal_(generator=generator)
        digital.bias.normal_(generator=generator)
    x = torch.rand(vectors, inputs, generator=generator, dtype=dtype)
    layer = AnalogLinear.from_digital(digital, setup)
    prepare_training(layer, x, seed=1)
    return layer, layer.trained, x


@pytest.mark.parametrize("scheme", ["columns", "arrays", "offset"])
@pytest.mark.parametrize("off", [set(), {"wires"}, {"quantisation"}])
def test_it_equals_the_full_forward_if_the_product_is_linear(scheme, off):
    """Cells at their targets, no converters: both forwards are one matrix."""
    factors = [f for f in FACTORS if f not in SILENT | {"adc", "readout", "nonlinearity"} | off]
    layer, forward, x = layer_of(
        full_card(), dtype=torch.float64, factors=factors, scheme=scheme, wires_by="estimate"
    )
    forward.eval()
    trained = forward(layer, x)
    layer.trained = None
    layer.eval().calibrate(x)
    full = layer(x)
    assert torch.allclose(trained, full, rtol=1e-9, atol=1e-9)


def test_the_share_of_active_rows_counts_used_rows():
    """A row block with three used rows of eight, all active, has the share 1."""
    layer, forward, x = layer_of(
        full_card(), inactive_rows="gated", wires_by="estimate", outputs=3, inputs=11
    )
    matrix = layer.analog.matrix
    estimate = matrix.nominal.estimate
    found = at_mean_share(matrix, estimate, forward.anchor.calibration, x + 0.5)
    assert estimate.rows.sum(1).tolist() == [8, 3]
    assert torch.allclose(found.correction[0], estimate.correction[-1])


@pytest.mark.parametrize("slices", [1, 2])
def test_slices_and_groups_are_folded_as_on_chips(slices):
    torch.manual_seed(0)
    conv = nn.Conv2d(6, 4, 3, padding=1, groups=2)
    factors = [f for f in FACTORS if f not in SILENT | {"adc", "readout", "nonlinearity"}]
    setup = analog_setup(
        full_card(), tile=(16, 16), factors=factors, slices=slices, wires_by="estimate"
    )
    x = torch.rand(3, 6, 5, 5)
    net = convert_to_analog(nn.Sequential(conv), setup, inputs=x).eval()
    full = net(x)
    prepare_training(net, x, seed=0)
    assert torch.allclose(net(x), full, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("inactive", "coding", "share"),
    [
        ("grounded", "amplitude", 0.98),
        ("gated", "bit_serial", 0.97),
        ("floating", "amplitude", 0.9),
    ],
)
def test_it_agrees_with_the_full_forward_with_all_factors(inactive, coding, share):
    """On the same cells, unknown to the anchor; the anchor's noise predicts the difference."""
    card = full_card(inactive=inactive, noise=0.5)
    layer, forward, x = layer_of(
        card,
        outputs=12,
        inputs=40,
        vectors=512,
        tile=(16, 16),
        peripherals=Peripherals(input_coding=coding),
        wires_by="estimate",
        time=10.0,
    )
    forward.step = 7
    found, predicted = fidelity(forward, layer, x)
    assert found > share
    # σ² is from 12 outputs of one chip; it differs between chips by a factor of about two
    assert (1 - found) < 3 * (1 - predicted)


def test_gradient_through_cells_wires_and_gains():
    """Numerical differences in float64. Codes are discrete, so quantisation is off here."""
    factors = [f for f in FACTORS if f not in ("quantisation", "dac")]
    layer, forward, x = layer_of(
        full_card(), outputs=3, inputs=10, dtype=torch.float64, vectors=6, factors=factors,
        wires_by="estimate", time=10.0,
    )  # fmt: skip
    forward.eval()
    weight = layer.weight.detach().clone().requires_grad_()
    log_scale = forward.log_scale.detach().clone().requires_grad_()
    bias = layer.bias.detach().clone().requires_grad_()
    inputs = x.clone().requires_grad_()

    def product(x, weight, bias, log_scale):
        with torch.nn.utils.stateless._reparametrize_module(
            layer, {"weight": weight, "bias": bias, "trained.log_scale": log_scale}
        ):
            return layer(x)

    assert torch.autograd.gradcheck(product, (inputs, weight, bias, log_scale), atol=1e-6)


def test_gradient_of_codes_is_that_of_learned_step_sizes():
    """dy/dw = x within the range of codes, 0 outside; dy/ds = (code − w/s)·x, or edge·x."""
    factors = ["quantisation"]
    layer, forward, x = layer_of(full_card(), dtype=torch.float64, factors=factors)
    forward.eval()
    book = layer.analog.matrix.setup.book
    scale = forward.scale.detach()
    with torch.no_grad():
        layer.weight[0, 0] = 3 * book.values[-1] * scale[0]
    layer(x).sum().backward()
    total, wanted = x.sum(0), layer.weight.detach() / scale[:, None]
    inside = (wanted > book.values[0]) & (wanted < book.values[-1])
    assert torch.allclose(layer.weight.grad, inside * total, rtol=1e-9)
    near = book.values[(wanted[..., None] - book.values).abs().argmin(-1)]
    per_scale = ((near - inside * wanted) * total).sum(1)
    assert torch.allclose(forward.log_scale.grad, per_scale * scale, rtol=1e-9)


def test_a_failed_cell_passes_no_gradient():
    card = full_card(soft=1.0, hard=0.0)
    layer, _, x = layer_of(card, dtype=torch.float64, factors=["quantisation", "failure"])
    layer(x).sum().backward()
    assert torch.count_nonzero(layer.weight.grad) == 0


@pytest.mark.parametrize(
    "factors", [("d2d", "c2c"), ("d2d",), ("c2c",), ("d2d", "c2c", "retention")]
)
def test_cells_have_the_distribution_of_the_sampler(factors):
    model = DeviceModel.from_card(full_card()).only(*factors)
    time = 100.0
    level = torch.arange(3).repeat_interleave(40_000).reshape(3, 200, 200).int()
    found, follows = cell_distributions(model, time=time).draw(level, torch_stream(0, "mine"))
    assert follows is None
    generator = torch_stream(0, "theirs")
    chips = draw_chips(model, 3, shape=(200, 200), generator=generator)
    theirs = chips.program(level, generator=generator).age(time, generator).conductance
    for k in range(3):
        a, b = found[k].flatten(), theirs[k].flatten()
        stderr = float(b.std()) * (2 / 40_000) ** 0.5
        assert abs(float(a.mean() - b.mean())) < 5 * stderr
        assert abs(float(a.std() - b.std())) < 5 * stderr
        grid = torch.sort(torch.cat((a, b))).values
        cdf = [torch.searchsorted(x.sort().values, grid).double() / 40_000 for x in (a, b)]
        assert float((cdf[0] - cdf[1]).abs().max()) < 2.2 * (2 / 40_000) ** 0.5  # KS, p < 1e-4


def test_fault_rates_are_those_of_the_card():
    model = DeviceModel.from_card(full_card()).only("failure", "stuck", "dead_lines")
    shape = (40, 100, 100)
    level = torch.full(shape, 2, dtype=torch.int32)
    found, follows = cell_distributions(model).draw(level, torch_stream(0, "faults"))
    generator = torch_stream(1, "faults")
    chips = draw_chips(model, 40, shape=(100, 100), generator=generator)
    theirs = chips.program(level, generator=generator)
    lines = 0.1 * 0.9 / (40 * 100) / 2  # variance mostly from 10 % dead lines of 40·100
    assert float(follows.float().mean()) == pytest.approx(
        float((theirs.conductance == model.mean[2]).float().mean()), abs=5 * (2 * lines) ** 0.5
    )
    assert float((found == 0).float().mean()) == pytest.approx(0.19, abs=5 * (2 * lines) ** 0.5)


def test_stuck_cells_have_the_distribution_of_the_sampler():
    """Low, between and high, fixed and moving: the share of each range of conductance."""
    stuck = {
        "low": 0.05,
        "low_conductance": 2e-6,
        "low_std": 0.5e-6,
        "low_moving": 0.5,
        "low_motion": 2e-6,
        "middle": 0.04,
        "middle_conductance": 55e-6,
        "middle_std": 5e-6,
        "high": 0.06,
        "high_conductance": 320e-6,
        "high_std": 10e-6,
        "high_moving": 1.0,
        "high_motion": 60e-6,
    }
    card = virtual_card("stuck", mean=[30e-6, 90e-6, 200e-6], spread=0.02, stuck=stuck)
    model = DeviceModel.from_card(card).only("stuck")
    level = torch.full((40, 100, 100), 1, dtype=torch.int32)
    found, follows = cell_distributions(model).draw(level, torch_stream(0, "stuck"))
    chips = draw_chips(model, 40, shape=(100, 100), generator=torch_stream(1, "stuck"))
    theirs = chips.program(level, generator=torch_stream(2, "stuck"))
    assert torch.allclose(found[follows], model.mean[1], rtol=1e-6)
    n = level.numel()
    for low, high in ((0, 1e-6), (1e-6, 2e-6), (2e-6, 1e-5), (5e-5, 6e-5), (2e-4, 3e-4), (3e-4, 1)):
        a, b = (
            float(((g > low) & (g <= high)).double().mean()) for g in (found, theirs.conductance)
        )
        assert abs(a - b) < 4.5 * (2 * b * (1 - b) / n) ** 0.5
        assert b > 0.001


def neighbours(g):
    """Return the correlation of ln G between neighbouring rows of each tile, (tile,)."""
    d = g.log() - g.log().mean()
    return (d[:, 1:] * d[:, :-1]).mean((1, 2)) / d.square().mean()


@pytest.mark.parametrize("factors", [("d2d", "c2c", "field"), ("d2d", "c2c")])
def test_a_field_has_the_correlation_of_the_sampler(factors):
    card = full_card(field_share=0.8, field_length=6.0, between_cells=0.8)
    model = DeviceModel.from_card(card).only(*factors)
    level = torch.zeros((80, 32, 32), dtype=torch.int32)
    mine = neighbours(cell_distributions(model).draw(level, torch_stream(0, "field"))[0])
    generator = torch_stream(0, "theirs")
    chips = draw_chips(model, 80, shape=(32, 32), generator=generator)
    theirs = neighbours(chips.program(level, generator=generator).conductance)
    stderr = (mine.var() / 80 + theirs.var() / 80).sqrt()
    assert abs(float(mine.mean() - theirs.mean())) < 4 * float(stderr)
    assert (float(mine.mean()) > 0.5) == ("field" in factors)


def test_steps_and_ranks_draw_different_cells_and_strength_scales_the_spread():
    layer, forward, x = layer_of(reference_card(), factors=["quantisation", "d2d", "c2c"])
    set_step(layer, 4)
    first, second = layer.train()(x), layer(x)
    set_step(layer, 4)
    assert torch.equal(layer(x), first)
    assert not torch.equal(first, second)
    set_step(layer, 4)
    forward.rank = 1
    assert not torch.equal(layer(x), first)
    layer.eval()
    spreads = []
    for strength in (0.0, 0.5, 1.0):
        out = []
        for step in range(30):
            set_step(layer, step, strength=strength)
            out.append(layer(x).detach())
        spreads.append(float(torch.stack(out).std(0).mean()))
    assert spreads[0] < 1e-6
    assert spreads[1] == pytest.approx(spreads[2] / 2, rel=0.02)


def test_one_chip_keeps_its_faults():
    import numpy as np

    card = full_card(stuck={"low": 0.0, "high": 0.0})
    fault = np.zeros((8, 8), np.int8)
    fault[2, 4] = 1  # stuck low
    nothing = np.full((3, 8, 8), np.nan)
    cells = CellMaps(fault=fault, offset=nothing, hard_posterior=nothing)
    layer, forward, _ = layer_of(
        card, inputs=8, outputs=4, factors=["quantisation", "d2d", "c2c", "stuck"], origin=cells
    )
    found = []
    for step in range(4):
        set_step(layer, step)
        found.append(forward.effective(layer.analog.matrix, layer.weight).detach())
    held = torch.stack(found)
    gradient = torch.autograd.grad(
        forward.effective(layer.analog.matrix, layer.weight).sum(), layer.weight
    )[0]
    assert float(held.std(0).min()) > 0  # the rest is drawn
    assert float(gradient[2, 2]) == pytest.approx(0.5)  # column 4 is the plus cell of output 2
    assert int((gradient == 0.5).sum()) == 1
    assert set(gradient.unique().tolist()) <= {0.0, 0.5, 1.0}  # 0 outside the range of codes


def test_networks_keep_their_names_and_can_be_copied():
    net = make_network("resnet8", (1, 8, 8), 10)
    x = torch.rand(8, 1, 8, 8)
    analog = convert_to_analog(net, analog_setup(reference_card(), tile=(64, 64)))
    prepare_training(analog, x, seed=0)
    names = {k for k in analog.state_dict() if "trained" not in k}
    assert names == set(net.state_dict())
    assert len(list(trained_forwards(analog))) == len(list(analog_layers(analog)))
    import copy

    twin = copy.deepcopy(analog)
    set_step(analog, 3)
    set_step(twin, 3)
    assert torch.equal(twin.eval()(x), analog.eval()(x))
    assert dataclasses.is_dataclass(next(trained_forwards(twin))[2].anchor)
