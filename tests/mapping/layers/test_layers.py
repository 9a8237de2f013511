"""Analog layers replace digital layers: names, shapes, gradients, copies, saved chips."""

import copy

import pytest
import torch
from cases import full_card
from torch import nn

from rramfit.errors import CheckpointError, MappingError
from rramfit.mapping import (
    AnalogConv2d,
    AnalogLinear,
    AnalogMultiheadAttention,
    analog_matrices,
    analog_setup,
    convert_to_analog,
    load_chip,
    program,
    save_chip,
    to_digital,
)

CONVOLUTIONS = [
    {"stride": 2, "padding": 1},
    {"padding": "same", "dilation": 2},
    {"padding": (2, 1), "padding_mode": "circular"},
    {"groups": 2, "stride": (1, 2)},
    {"groups": 4, "bias": False},
]


def setup(factors=(), **options):
    return analog_setup(full_card(), tile=(16, 16), factors=factors, **options)


def rounding(wanted):
    return 40 * torch.finfo(torch.float32).eps * float(wanted.abs().max())


@pytest.mark.parametrize("options", CONVOLUTIONS)
@pytest.mark.parametrize("factors", [(), ("readout",)])
def test_a_convolution_equals_the_digital_convolution(options, factors):
    """With `readout` of a card without errors, the product is not folded."""
    torch.manual_seed(0)
    digital = nn.Conv2d(4, 8, 3, **options)
    x = torch.randn(2, 4, 9, 10)
    card = full_card(readout={"gain_spread": 0, "offset_spread": 0, "third_order": 0, "offset": 0})
    analog = AnalogConv2d.from_digital(
        digital, analog_setup(card, tile=(16, 16), factors=factors)
    ).eval()
    analog.calibrate(x)
    with torch.no_grad():
        wanted, found = digital(x), analog(x)
    assert (analog.analog.matrix.programmed.folded is None) == bool(factors)
    assert found.shape == wanted.shape
    assert float((found - wanted).abs().max()) < rounding(wanted)


@pytest.mark.parametrize("options", [{}, {"kdim": 6, "vdim": 10}, {"batch_first": True}])
def test_attention_equals_the_digital_attention(options):
    torch.manual_seed(1)
    digital = nn.MultiheadAttention(8, 2, **options).eval()
    analog = AnalogMultiheadAttention.from_digital(digital, setup()).eval()
    q = torch.randn(5, 5, 8)
    k, v = torch.randn(5, 5, options.get("kdim", 8)), torch.randn(5, 5, options.get("vdim", 8))
    causal = nn.Transformer.generate_square_subsequent_mask(5)
    padding = torch.zeros(5, 5, dtype=torch.bool)
    padding[1, 3:] = True
    for arguments in ({}, {"attn_mask": causal}, {"key_padding_mask": padding}):
        with torch.no_grad():
            wanted, weights = digital(q, k, v, **arguments)
            found, shown = analog(q, k, v, **arguments)
        assert float((found - wanted).abs().max()) < rounding(wanted)
        assert float((shown - weights).abs().max()) < rounding(weights)


def network():
    torch.manual_seed(2)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 6 * 6, 10),
    ).eval()


IMAGES = torch.rand(7, 1, 6, 6, generator=torch.Generator().manual_seed(5))


def test_a_network_is_converted_and_converted_back():
    digital = network()
    before = copy.deepcopy(digital.state_dict())
    analog = convert_to_analog(digital, full_card(), inputs=IMAGES)
    assert list(analog.state_dict()) == list(before)
    assert isinstance(analog[0], AnalogConv2d)
    assert isinstance(analog[4], AnalogLinear)
    assert [m.plan.vectors for m in analog_matrices(analog)] == [36, 1]
    back = to_digital(analog)
    with torch.no_grad():
        assert torch.equal(back(IMAGES), digital(IMAGES))
        assert not torch.allclose(analog(IMAGES), digital(IMAGES))
    assert all(torch.equal(before[k], v) for k, v in digital.state_dict().items())
    kept = convert_to_analog(digital, full_card(), exclude=["0"])
    assert type(kept[0]) is nn.Conv2d


def test_a_transformer_block_uses_its_analog_layers():
    torch.manual_seed(3)
    block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True).eval()
    x = torch.randn(3, 4, 8)
    with torch.no_grad():
        wanted = block(x)
        ideal = convert_to_analog(block, setup(), inputs=x)(x)
        real = convert_to_analog(block, setup(("quantisation", "d2d")), inputs=x)(x)
    assert float((ideal - wanted).abs().max()) < rounding(wanted)
    assert float((real - wanted).abs().max()) > 1e-3


def test_chips_are_drawn_by_seed_and_index():
    analog = convert_to_analog(network(), full_card(), inputs=IMAGES)
    outputs = {}
    for key in ((1, 0), (1, 1), (2, 0), (1, 0)):
        program(analog, seed=key[0], index=key[1])
        with torch.no_grad():
            out = analog(IMAGES)
        assert key not in outputs or torch.equal(outputs[key], out)
        outputs[key] = out
    assert not torch.equal(outputs[1, 0], outputs[1, 1])
    assert not torch.equal(outputs[1, 0], outputs[2, 0])
    twin = copy.deepcopy(analog)
    program(twin, seed=9)
    program(analog, seed=1)
    with torch.no_grad():
        assert torch.equal(analog(IMAGES), outputs[1, 0])


def test_a_chip_is_saved_and_loaded_into_another_network(tmp_path):
    analog = convert_to_analog(network(), full_card(), inputs=IMAGES)
    program(analog, seed=4, index=2)
    save_chip(analog, tmp_path / "chip.pt")
    with torch.no_grad():
        wanted = analog(IMAGES)
    other = convert_to_analog(network(), full_card())
    load_chip(other, tmp_path / "chip.pt")
    with torch.no_grad():
        assert torch.equal(other(IMAGES), wanted)
    with pytest.raises(CheckpointError, match="matrices"):
        load_chip(convert_to_analog(nn.Linear(3, 2), full_card()), tmp_path / "chip.pt")


def test_a_mapping_of_other_tiles_is_refused():
    mapping = {"": {"scale": torch.ones(4), "rows": torch.zeros(1, 64), "cols": torch.zeros(1, 64)}}
    with pytest.raises(MappingError, match=r"rows \(1, 64\); expected \(1, 128\)"):
        convert_to_analog(nn.Linear(6, 4), full_card(), mapping=mapping)


def test_changed_weights_are_programmed_again():
    x = torch.rand(3, 6)
    analog = convert_to_analog(nn.Linear(6, 4, bias=False), full_card(), inputs=x).eval()
    with torch.no_grad():
        first = analog(x)
        assert torch.equal(analog.analog.matrix.programmed.cells.conductance, program_of(analog))
        analog.weight.neg_()
        second = analog(x)
    assert not torch.equal(first, second)


def program_of(layer):
    return layer.analog.matrix.programmed.cells.conductance


def test_a_programmed_network_can_be_exported():
    analog = convert_to_analog(network(), full_card(read=0.0), inputs=IMAGES).eval()
    program(analog, seed=1)
    with torch.no_grad():
        exported = torch.export.export(analog, (IMAGES,)).module()
        assert torch.allclose(exported(IMAGES), analog(IMAGES))


@pytest.mark.parametrize("wires_by", ["exact", "estimate"])
def test_training_draws_a_chip_per_step_and_passes_gradients(wires_by):
    analog = convert_to_analog(
        network(), analog_setup(full_card(), tile=(16, 16), wires_by=wires_by), inputs=IMAGES
    ).train()
    first, second = analog(IMAGES), analog(IMAGES)
    assert not torch.equal(first, second)
    first.square().sum().backward()
    for layer in (analog[0], analog[4]):
        assert bool(torch.isfinite(layer.weight.grad).all())
        assert bool((layer.weight.grad != 0).any())


def test_the_gradient_equals_numerical_differences():
    """Checked for the smooth factors: wires and nonlinear cells."""
    factors = ("wires", "nonlinearity")
    layer = convert_to_analog(
        nn.Linear(6, 2).double(),
        analog_setup(full_card(), tile=(16, 16), factors=factors, dtype=torch.float64),
    ).train()
    x = torch.rand(2, 6, dtype=torch.float64)
    layer.calibrate(x)
    matrix = layer.analog.matrix

    def run(weight):
        return matrix.multiply(matrix.draw(weight, seed=0, index=0), x)

    weight = layer.weight.detach().requires_grad_()
    assert torch.autograd.gradcheck(run, (weight,), atol=1e-7, rtol=1e-4)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (nn.ReLU(), {}, "no linear layer"),
        (nn.Linear(2, 2), {"exclude": ["fc"]}, "to exclude"),
        (nn.MultiheadAttention(4, 2, add_zero_attn=True), {}, "add_zero_attn"),
    ],
)
def test_models_that_cannot_be_converted_are_refused(model, options, message):
    with pytest.raises(MappingError, match=message):
        convert_to_analog(model, full_card(), **options)


def test_unknown_factors_are_refused():
    with pytest.raises(MappingError, match="rust"):
        setup(("rust",))
