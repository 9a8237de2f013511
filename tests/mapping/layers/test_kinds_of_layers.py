"""Every kind of layer computes on tiles what PyTorch computes, and can be trained."""

import copy

import pytest
import torch
from cases import full_card
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rramfit.mapping import FACTORS, analog_matrices, analog_setup, convert_to_analog, to_digital
from rramfit.mapping.layers.convolutions.grouped import GroupPacking
from rramfit.training.forward.preparation import prepare_training, set_step, trained_network

torch.manual_seed(2)  # weights of the layers below

CONVOLUTIONS = [
    (nn.Conv1d(4, 6, 3, padding=1, stride=2), (2, 4, 9)),
    (nn.Conv1d(4, 8, 3, groups=4, padding="same"), (2, 4, 9)),
    (nn.Conv2d(6, 6, 3, groups=6, padding=1, padding_mode="reflect"), (2, 6, 5, 5)),
    (nn.Conv2d(6, 12, 3, groups=3, dilation=2), (2, 6, 7, 6)),
    (nn.Conv2d(40, 4, 3, groups=2, bias=False), (1, 40, 4, 4)),
    (nn.Conv3d(2, 3, 2, stride=(1, 2, 1)), (2, 2, 4, 4, 3)),
    (nn.ConvTranspose1d(3, 2, 4, stride=2, padding=1, output_padding=1), (2, 3, 5)),
    (nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2, dilation=2), (2, 4, 3, 4)),
    (nn.ConvTranspose3d(2, 2, 2, bias=False), (1, 2, 3, 2, 2)),
]
RECURRENT = [
    nn.RNN(4, 6, batch_first=True),
    nn.RNN(4, 6, num_layers=2, nonlinearity="relu"),
    nn.LSTM(4, 6, batch_first=True, bidirectional=True),
    nn.LSTM(4, 6, num_layers=2, proj_size=3, bias=False),
    nn.GRU(4, 6, num_layers=2, bidirectional=True, batch_first=True),
]
IDEAL = ("readout",)
"""With a card whose converters have no errors, the product is ideal, but not folded."""


def setup(factors=(), **options):
    card = full_card(readout={"gain_spread": 0, "offset_spread": 0, "third_order": 0, "offset": 0})
    return analog_setup(card, tile=(16, 16), factors=factors, **options)


def close(found, wanted):
    size = float(wanted.abs().max())
    return size > 0 and float((found - wanted).abs().max()) < 1e-5 * size


@pytest.mark.parametrize(("layer", "shape"), CONVOLUTIONS, ids=repr)
@pytest.mark.parametrize("factors", [(), IDEAL])
def test_convolutions(layer, shape, factors):
    torch.manual_seed(0)
    x = torch.randn(shape)
    analog = convert_to_analog(nn.Sequential(layer), setup(factors), inputs=x).eval()
    with torch.no_grad():
        wanted = layer(x)
        assert close(analog(x), wanted)
        assert close(analog[0](x[0]), layer(x[0]))  # without the batch axis
        assert analog(x[:0]).shape == (0, *wanted.shape[1:])
        assert close(to_digital(analog)(x), wanted)
    assert list(analog.state_dict()) == list(nn.Sequential(layer).state_dict())


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("layer", RECURRENT, ids=repr)
@pytest.mark.parametrize("factors", [(), IDEAL])
def test_recurrent_layers(layer, factors):
    torch.manual_seed(0)
    x = torch.randn(3, 3, 4)
    analog = convert_to_analog(layer, setup(factors), inputs=x).eval()
    with torch.no_grad():
        wanted, state = layer(x)
        found, mine = analog(x)
        assert close(found, wanted)
        again, _ = analog(x, mine)
        assert close(again, layer(x, state)[0])
        assert close(analog(x[0])[0], layer(x[0])[0])
        packed = pack_padded_sequence(
            x, torch.tensor([2, 3, 1]), batch_first=layer.batch_first, enforce_sorted=False
        )
        out, last = analog(packed)
        reference, final = layer(packed)
        assert close(pad_packed_sequence(out)[0], pad_packed_sequence(reference)[0])
        last, final = (x if isinstance(x, tuple) else (x,) for x in (last, final))
        assert all(close(a, b) for a, b in zip(last, final, strict=True))
        assert close(to_digital(analog)(x)[0], wanted)


def test_groups_are_packed_and_read_one_after_another():
    depthwise = nn.Conv2d(32, 32, 3, groups=32, padding=1)
    x = torch.rand(1, 32, 6, 6)
    analog = convert_to_analog(depthwise, analog_setup(full_card()), inputs=x)
    (matrix,) = analog_matrices(analog)
    packing = analog.packing
    assert (packing.slots, packing.columns) == (14, 3)
    assert (matrix.plan.outputs, matrix.plan.inputs) == (3, 126)
    assert matrix.plan.tiles == 1
    assert matrix.plan.vectors == 32 * 36
    assert matrix.plan.cells_used == 2 * depthwise.weight.numel()


def test_packing_and_unpacking():
    packing = GroupPacking(groups=7, outputs=2, inputs=3, slots=3)
    weight = torch.randn(7, 2, 3)
    assert torch.equal(packing.unpack(packing.pack(weight)), weight)
    x = torch.randn(5, 21)
    wanted = torch.einsum("ngi,goi->ngo", x.reshape(5, 7, 3), weight).flatten(1)
    found = packing.apply(x, lambda v: v @ packing.pack(weight).T)
    assert torch.allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "shape"), [c for c in CONVOLUTIONS if c[0].groups > 1 or "Tr" in repr(c[0])], ids=repr
)
def test_training_agrees_with_the_full_forward_on_the_same_cells(layer, shape):
    """Without converters and reads, both forwards are one product with the same drawn cells."""
    torch.manual_seed(0)
    x = torch.rand(shape)
    silent = {"d2d", "c2c", "field", "trend", "failure", "stuck", "dead_lines", "retention"}
    off = silent | {"read", "nonlinearity", "adc", "readout"}
    factors = [f for f in FACTORS if f not in off]
    net = convert_to_analog(
        nn.Sequential(layer), setup(factors, wires_by="estimate"), inputs=x
    ).eval()
    with torch.no_grad():
        full = net(x)
        prepare_training(net, x, seed=0)
        assert torch.allclose(net(x), full, rtol=1e-3, atol=1e-4 * float(full.abs().max()))


@pytest.mark.parametrize(("layer", "shape"), CONVOLUTIONS, ids=repr)
def test_a_trained_layer_is_mapped_again_as_it_was_trained(layer, shape):
    torch.manual_seed(0)
    x = torch.rand(shape)
    s = setup(("quantisation", "d2d", "adc"))
    net = convert_to_analog(nn.Sequential(copy.deepcopy(layer)), s, inputs=x)
    prepare_training(net, x, seed=0)
    set_step(net, 1)
    net.train()(x).square().sum().backward()
    assert bool((net[0].weight.grad != 0).any())
    trained, mapping = trained_network(net)
    ideal = setup(("quantisation",))
    again = convert_to_analog(trained, ideal, inputs=x, mapping=mapping).eval()
    with torch.no_grad():
        assert close(again(x), trained(x))  # the weights are codes of their scales
