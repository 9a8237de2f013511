"""BatchNorm statistics on chips are compared and advised; devices are chosen by name."""

import copy

import pytest
import torch
from torch import nn

from rramfit.errors import MappingError, TrainingError
from rramfit.mapping import analog_setup, convert_to_analog, program
from rramfit.mapping.study.datasets import Dataset
from rramfit.mapping.study.evaluation import evaluate
from rramfit.measurement.virtual.reference_chip import reference_card
from rramfit.training import Run, finish_training, prepare_training, train_aware
from rramfit.training.aware import untrained_for_chips
from rramfit.training.loop.bn_recalibration import batch_norm_finding, recalibrate_batch_norm
from rramfit.training.loop.rank import device_by_name
from rramfit.training.loop.recipe import AwareStage

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


def network():
    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(96, 3)
    )
    images = torch.rand(128, 1, 4, 4)
    recalibrate_batch_norm(net, images)
    return net.eval(), images


def test_statistics_that_differ_are_a_finding():
    net, images = network()
    assert batch_norm_finding(net, images) == ""
    moved = copy.deepcopy(net)
    state = copy.deepcopy(moved.state_dict())
    with torch.no_grad():
        moved[1].running_mean += 3 * moved[1].running_var.sqrt()
        moved[1].running_var *= 4
    state = copy.deepcopy(moved.state_dict())
    finding = batch_norm_finding(moved, images)
    assert "those of layer 1 by 1.5 standard deviations, and by a factor of 0.5" in finding
    assert "Add --bn-recalibration 1024" in finding
    assert all(torch.equal(x, state[k]) for k, x in moved.state_dict().items())
    assert not moved.training
    assert batch_norm_finding(nn.Sequential(nn.Linear(3, 2)), images) == ""


def test_a_chip_is_compared_with_the_network():
    net, images = network()
    setup = analog_setup(reference_card(), weight_values=3)
    analog = convert_to_analog(net, setup, inputs=images[:32])
    program(analog, seed=0)
    found = batch_norm_finding(analog.eval(), images)
    fresh = copy.deepcopy(analog)
    recalibrate_batch_norm(fresh, images)
    assert batch_norm_finding(fresh.eval(), images) == ""
    assert (found == "") == (
        float(
            ((analog[1].running_mean - fresh[1].running_mean) / analog[1].running_var.sqrt())
            .square()
            .mean()
            .sqrt()
        )
        < 0.25
        and float((fresh[1].running_var / analog[1].running_var).log().square().mean().sqrt()) < 0.5
    )


def test_the_network_to_compare_with_is_a_training_without_steps():
    net, images = network()
    labels = torch.arange(128) % 3
    setup = analog_setup(reference_card(), tile=(32, 32), wires_by="estimate")
    compared, mapping = untrained_for_chips(net, setup, images, seed=3)
    model = convert_to_analog(net, setup, inputs=images, seed=3)
    prepare_training(model, images, seed=3)
    same, same_mapping = finish_training(model, images, inputs=images)
    assert all(
        torch.allclose(x.float(), same.state_dict()[k].float(), atol=1e-6)
        for k, x in compared.state_dict().items()
    )
    assert mapping.keys() == same_mapping.keys()
    analog = convert_to_analog(compared, setup, inputs=images[:64], mapping=mapping)
    assert 0 <= evaluate(analog, images, labels, chips=1).mean.value <= 1


def test_the_test_of_an_epoch_uses_statistics_of_chips_and_leaves_the_network_alone():
    """The moving averages of a network that has made one step are those of its first batch."""
    net, images = network()
    with torch.no_grad():
        net[1].running_mean += 50
    data = Dataset(
        name="few",
        train_images=images,
        train_labels=torch.arange(128) % 3,
        test_images=images,
        test_labels=torch.arange(128) % 3,
        classes=3,
    )
    setup = analog_setup(reference_card(), tile=(32, 32), wires_by="estimate")
    stage = AwareStage(epochs=1, batch=128, rate=1e-6, bn_recalibration_images=128, ramp=0.0)
    trained = train_aware(net, setup, data, stage, Run())
    one = trained.history[-1].test_accuracy
    analog = convert_to_analog(trained.network, setup, inputs=images[:64], mapping=trained.mapping)
    on_chips = evaluate(analog, images, data.test_labels, chips=4)
    assert one == pytest.approx(on_chips.mean.value, abs=0.12)


def test_devices_by_name(monkeypatch):
    assert device_by_name("cpu").type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_by_name("auto").type == "cpu"
    with pytest.raises(TrainingError, match="no CUDA device was found"):
        device_by_name("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert device_by_name("auto") == torch.device("cuda", 1)
    assert device_by_name("cpu").type == "cpu"
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(TrainingError, match="process 2 of this machine has no GPU; 2 were found"):
        device_by_name("cuda")


def test_a_network_and_a_setup_on_two_devices_are_refused():
    setup = analog_setup(reference_card())
    with pytest.raises(MappingError, match="the network is on meta and the setup on cpu"):
        convert_to_analog(nn.Linear(3, 2, device="meta"), setup)


@needs_cuda
def test_training_and_evaluation_on_a_gpu():
    net, images = network()
    labels = torch.arange(128) % 3
    data = Dataset(
        name="few",
        train_images=images,
        train_labels=labels,
        test_images=images,
        test_labels=labels,
        classes=3,
    )
    setup = analog_setup(
        reference_card(), tile=(32, 32), wires_by="estimate", device=device_by_name("cuda")
    )
    stage = AwareStage(epochs=1, batch=64, rate=1e-3, bn_recalibration_images=128)
    trained = train_aware(net.cuda(), setup, data, stage, Run())
    analog = convert_to_analog(
        trained.network, setup, inputs=images[:64].cuda(), mapping=trained.mapping
    )
    found = evaluate(analog, images, labels, chips=2)
    assert all(p.is_cuda for p in analog.parameters())
    assert 0 <= found.mean.value <= 1
