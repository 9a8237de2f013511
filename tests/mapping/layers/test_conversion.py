"""A converted network behaves as users of PyTorch expect, and says what it leaves out."""

import warnings

import pytest
import torch
from cases import full_card
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from rramfit.errors import CheckpointError, MappingError, RramfitWarning
from rramfit.mapping import (
    analog_layers,
    analog_matrices,
    analog_setup,
    calibrate,
    convert_to_analog,
    load_chip,
    program,
    save_chip,
)


@pytest.fixture
def x():
    return torch.rand(16, 8, generator=torch.Generator().manual_seed(1))


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 3))


class Shared(nn.Module):
    """One layer under two names."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(8, 8)
        self.b = self.a
        self.c = nn.Linear(8, 3)

    def forward(self, x):
        return self.c(torch.relu(self.b(3 * torch.relu(self.a(x)))))


def test_a_layer_under_two_names_is_one_set_of_cells(x):
    torch.manual_seed(0)
    analog = convert_to_analog(Shared(), full_card(), inputs=x).eval()
    assert analog.a is analog.b
    assert [name for name, _ in analog_layers(analog)] == ["a", "c"]
    first, last = analog_matrices(analog)
    assert (first.plan.vectors, last.plan.vectors) == (2, 1)
    assert first.calibration.largest > float(x.max())  # of the second use


def test_a_block_repeated_in_a_sequential_is_one_set_of_cells(x):
    torch.manual_seed(0)
    block = nn.Linear(8, 8)
    analog = convert_to_analog(nn.Sequential(block, nn.ReLU(), block), full_card(), inputs=x)
    assert analog[0] is analog[2]
    assert len(analog_matrices(analog)) == 1


def test_layers_with_one_weight_share_cells(x):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
    net[2].weight = net[0].weight
    analog = convert_to_analog(net, full_card(), inputs=x)
    assert analog[0].analog is analog[2].analog
    assert len(analog_matrices(analog)) == 1


def test_loading_parameters_equals_converting_them(x):
    trained = network(1)
    with torch.no_grad():
        for p in trained.parameters():
            p.mul_(20)
    wanted = convert_to_analog(trained, full_card(), inputs=x).eval()
    found = convert_to_analog(network(2), full_card(), inputs=x).eval()
    found.load_state_dict(trained.state_dict())
    bare = convert_to_analog(network(2), full_card()).eval()
    bare.load_state_dict(trained.state_dict())
    with torch.no_grad():
        target = wanted(x)
        assert torch.equal(found(x), target)
        with pytest.raises(MappingError, match="not calibrated"):
            bare(x)
        calibrate(bare, x)
        assert torch.equal(bare(x), target)


def test_the_seed_is_that_of_chip_0_and_of_training(x):
    net, card = network(), full_card()
    with torch.no_grad():
        outputs = [convert_to_analog(net, card, inputs=x, seed=s).eval()(x) for s in (0, 1)]
        analog = convert_to_analog(net, card, inputs=x, seed=1).eval()
        program(analog, seed=1)
        assert torch.equal(analog(x), outputs[1])
        drawn = [convert_to_analog(net, card, inputs=x, seed=s).train()(x) for s in (0, 1)]
    assert not torch.equal(*outputs)
    assert not torch.equal(*drawn)


@pytest.mark.parametrize("how", ["data", "in place", "replaced"])
def test_edits_of_weights_are_seen(x, how):
    analog = convert_to_analog(network(), full_card(), inputs=x).eval()
    with torch.no_grad():
        before = analog(x)
        if how == "data":
            analog[0].weight.data.neg_()
        elif how == "in place":
            analog[0].weight.neg_()
        else:
            analog[0].weight.data = -analog[0].weight.data
        assert not torch.equal(analog(x), before)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (torch.zeros(4, 8), "all zero"),
        (torch.full((4, 8), float("nan")), "not finite"),
        (torch.zeros(0, 8), "empty"),
    ],
)
def test_nothing_is_calibrated_by_accident(x, inputs, message):
    with pytest.raises(MappingError, match=message):
        convert_to_analog(network(), full_card(), inputs=inputs)
    analog = convert_to_analog(network(), full_card()).eval()
    with pytest.raises(MappingError, match="not calibrated; pass inputs="):
        analog(x)


def test_hooks_are_kept(x):
    net, seen = network(), []
    net[0].register_forward_hook(lambda *_: seen.append("after"))
    net[0].register_forward_pre_hook(lambda *_: seen.append("before"))
    analog = convert_to_analog(net, full_card(), inputs=x).eval()
    seen.clear()
    analog(x)
    assert seen == ["before", "after"]


class Doubled(nn.Linear):
    """A layer whose forward is its own."""

    def forward(self, x):
        return 2 * super().forward(x)


def test_a_forward_of_its_own_is_refused_or_kept(x):
    net = nn.Sequential(Doubled(8, 4), nn.Linear(4, 2))
    with pytest.raises(MappingError, match="Doubled overrides `forward`"):
        convert_to_analog(net, full_card(), inputs=x)
    kept = convert_to_analog(net, full_card(), inputs=x, exclude=["0"])
    assert type(kept[0]) is Doubled


@pytest.mark.parametrize("norm", [weight_norm, spectral_norm])
def test_parametrized_weights_are_those_of_the_moment(x, norm):
    torch.manual_seed(0)
    net = nn.Sequential(norm(nn.Linear(8, 4)), nn.ReLU(), nn.Linear(4, 2)).eval()
    setup = analog_setup(full_card(), factors=())
    with torch.no_grad():
        analog = convert_to_analog(net, setup, inputs=x).eval()
        assert torch.allclose(analog(x), net(x), atol=1e-5)


def test_layers_without_weights_yet_are_refused(x):
    with pytest.raises(MappingError, match="no weights yet"):
        convert_to_analog(nn.Sequential(nn.LazyLinear(4)), full_card(), inputs=x)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_types(x, dtype):
    net = network().to(dtype)
    analog = convert_to_analog(net, analog_setup(full_card(), factors=()), inputs=x.to(dtype))
    with torch.no_grad():
        out = analog.eval()(x.to(dtype))
        assert out.dtype == dtype
        assert torch.allclose(out.float(), net(x.to(dtype)).float(), rtol=0.05, atol=0.02)


def test_empty_batches_and_single_samples(x):
    analog = convert_to_analog(network(), full_card(), inputs=x).eval()
    with torch.no_grad():
        assert analog(x[:0]).shape == (0, 3)
        assert analog(x[0]).shape == (3,)


class Bilinear(nn.Module):
    """A network with half of its work in a layer that has no analog version."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(8, 8)
        self.mix = nn.Bilinear(8, 8, 4)

    def forward(self, x):
        y = torch.relu(self.first(x))
        return self.mix(y, y)


def test_digital_layers_are_named(x):
    with pytest.warns(RramfitWarning, match=r"^80 % of the operations.*mix \(Bilinear"):
        analog = convert_to_analog(Bilinear(), full_card(), inputs=x)
    (part,) = analog.digital_parts
    assert part.name == "mix"
    assert part.weight_share == pytest.approx(256 / 320)
    assert part.operation_share == pytest.approx(256 / 320)
    with pytest.raises(MappingError, match="mix"):
        convert_to_analog(Bilinear(), full_card(), inputs=x, strict=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept = convert_to_analog(Bilinear(), full_card(), inputs=x, exclude=["mix"], strict=True)
    assert kept.digital_parts[0].on_purpose


def test_an_embedding_is_stated_and_has_no_operations():
    torch.manual_seed(0)
    embedding = nn.Embedding(20, 8)
    net = nn.Sequential(embedding, nn.Linear(8, 20, bias=False))
    net[1].weight = embedding.weight  # tied: the output layer is on tiles
    analog = convert_to_analog(net, full_card(), inputs=torch.randint(0, 20, (4, 6)))
    (part,) = analog.digital_parts
    assert (part.name, part.kind, part.operation_share) == ("0", "Embedding", 0.0)


def test_a_chip_of_other_weights_or_another_card_is_refused(x, tmp_path):
    analog = convert_to_analog(network(), full_card(), inputs=x)
    program(analog, seed=0)
    save_chip(analog, tmp_path / "chip.pt")
    with pytest.raises(CheckpointError, match="programmed with other weights"):
        load_chip(convert_to_analog(network(1), full_card()), tmp_path / "chip.pt")
    other = full_card().model_copy(update={"name": "other"})
    with pytest.raises(CheckpointError, match="cells of card"):
        load_chip(convert_to_analog(network(), other), tmp_path / "chip.pt")


def test_a_compiled_network_computes_the_same(x):
    analog = convert_to_analog(network(), full_card(read=0.0), inputs=x).eval()
    compiled = torch.compile(analog, backend="eager")
    with torch.no_grad():
        wanted = analog(x)
        program(analog, seed=0)
        assert torch.equal(compiled(x), wanted)
