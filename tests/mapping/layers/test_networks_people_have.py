"""Networks as people write them: converted, or refused or named where they cannot be."""

import types

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from cases import full_card
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from rramfit.errors import MappingError, RramfitWarning
from rramfit.mapping import analog_layers, analog_setup, convert_to_analog, program
from rramfit.training import finish_training, prepare_training


@pytest.fixture
def x():
    return torch.rand(16, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def setup():
    return analog_setup(full_card(), tile=(32, 32))


class TiedAutoencoder(nn.Module):
    """The decoder is the transposed weight of the encoder."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(8, 4)

    def forward(self, x):
        return F.linear(torch.relu(self.encoder(x)), self.encoder.weight.t())


class ReadsAWeight(nn.Module):
    """The head is applied by a function, and never called."""

    def __init__(self, product):
        super().__init__()
        self.body, self.head, self.product = nn.Linear(8, 6), nn.Linear(6, 3), product

    def forward(self, x):
        return self.product(torch.relu(self.body(x)), self.head.weight)


class Experts(nn.Module):
    """Samples with a large first feature go to one layer, the others to another one."""

    def __init__(self):
        super().__init__()
        self.low, self.high = nn.Linear(8, 3), nn.Linear(8, 3)

    def forward(self, x):
        out = x.new_zeros(len(x), 3)
        for expert, chosen in ((self.low, x[:, 0] < 0.5), (self.high, x[:, 0] >= 0.5)):
            if chosen.any():
                out[chosen] = expert(x[chosen])
        return out


class Centred(nn.Conv2d):
    """Kernels without mean."""

    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(x, weight - weight.mean((1, 2, 3), keepdim=True), bias)


class Recurrent(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer, self.head = layer, nn.Linear(12, 3)

    def forward(self, x):
        return self.head(self.layer(x)[0][-1])


def test_a_product_with_a_weight_outside_of_its_layer_is_named(x, setup):
    with pytest.warns(
        RramfitWarning, match=r"50 % of the operations stay digital.*encoder\.weight"
    ):
        analog = convert_to_analog(TiedAutoencoder(), setup, inputs=x)
    (part,) = analog.digital_parts
    assert part.operation_share == 0.5
    with pytest.raises(MappingError, match="multiplied outside of its layer"):
        convert_to_analog(TiedAutoencoder(), setup, inputs=x, strict=True)


@pytest.mark.parametrize(
    "product",
    [
        F.linear,
        lambda x, w: x @ w.T,
        lambda x, w: torch.matmul(w, x.T).T,
        lambda x, w: torch.einsum("bi,oi->bo", x, w),
    ],
    ids=["linear", "operator", "matmul from the left", "einsum"],
)
def test_a_layer_that_is_never_called_stays_digital(x, setup, product):
    net = ReadsAWeight(product)
    with pytest.warns(
        RramfitWarning, match=r"27.3 % of the operations stay digital.*head \(Linear"
    ):
        analog = convert_to_analog(net, setup, inputs=x).eval()
    assert [name for name, _ in analog_layers(analog)] == ["body"]
    program(analog, seed=0)
    assert analog(x).shape == (16, 3)


def test_layers_that_some_samples_use_are_converted(x, setup):
    analog = convert_to_analog(Experts(), setup, inputs=x)
    assert [name for name, _ in analog_layers(analog)] == ["low", "high"]
    assert analog.digital_parts == ()


def test_other_replaced_methods_are_refused():
    net = nn.Sequential(Centred(3, 4, 3), nn.Flatten(), nn.Linear(64, 3))
    with pytest.raises(MappingError, match=r"0: Centred overrides `_conv_forward`.*use Conv2d"):
        convert_to_analog(net, full_card())
    net = nn.Sequential(nn.Linear(8, 3))
    net[0].forward = types.MethodType(lambda self, x: F.linear(2 * x, self.weight), net[0])
    with pytest.raises(MappingError, match="0: Linear overrides `forward`"):
        convert_to_analog(net, full_card())


def test_a_subclass_with_the_forward_of_pytorch_is_converted(setup):
    class Named(nn.LSTM):
        def __init__(self, name):
            super().__init__(8, 12)
            self.name = name

        def extra_repr(self):
            return self.name

    x = torch.rand(5, 4, 8, generator=torch.Generator().manual_seed(2))
    net = Recurrent(Named("text")).eval()
    analog = convert_to_analog(net, analog_setup(full_card(), factors=()), inputs=x).eval()
    with torch.no_grad():
        assert (analog(x) - net(x)).abs().max() < 1e-5


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_scripted_layer_is_refused():
    net = nn.Sequential(nn.Linear(8, 8), torch.jit.script(nn.Linear(8, 3)))
    with pytest.raises(MappingError, match=r"1 was compiled by torch\.jit"):
        convert_to_analog(net, full_card())


def test_a_recurrent_layer_with_weight_norm_is_converted_after_its_use(setup):
    x = torch.rand(5, 4, 8, generator=torch.Generator().manual_seed(2))
    net = Recurrent(weight_norm(nn.GRU(8, 12), "weight_hh_l0"))
    net(x).sum().backward()
    analog = convert_to_analog(net, analog_setup(full_card(), factors=()), inputs=x).eval()
    with torch.no_grad():
        assert (analog(x) - net.eval()(x)).abs().max() < 1e-5


def test_attention_takes_an_empty_batch(setup):
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    x = torch.rand(4, 5, 8, generator=torch.Generator().manual_seed(2))
    analog = convert_to_analog(layer, setup, inputs=x).eval()
    with torch.no_grad():
        assert analog(x[:0]).shape == (0, 5, 8)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_networks_of_other_floating_types_are_trained(x, setup, dtype):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)).to(dtype)
    x = x.to(dtype)
    analog = convert_to_analog(net, setup, inputs=x)
    prepare_training(analog, x, seed=0)
    out = analog.train()(x)
    assert out.dtype == dtype
    out.float().square().mean().backward()
    grad = analog[0].weight.grad
    assert grad.dtype == dtype
    assert grad.abs().sum() > 0
    digital, _ = finish_training(analog, x)
    assert digital(x).dtype == dtype
