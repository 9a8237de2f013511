"""Chip-aware training: gains, codes, placements, hardware in the loop, a custom loop."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from rramfit.card.cells import CellMaps, Fault
from rramfit.errors import TrainingError
from rramfit.mapping import analog_setup, convert_to_analog, load_chip, program, save_chip
from rramfit.mapping.study.evaluation import accuracy, evaluate
from rramfit.mapping.study.networks import load_weights, make_network
from rramfit.measurement import virtual_card
from rramfit.measurement.virtual.reference_chip import reference_card
from rramfit.training import Run, load_recipe, recalibrate_batch_norm, train_aware, train_stage
from rramfit.training.loop.checkpoint import save_weights
from rramfit.training.loop.recipe import AwareStage

SHORT = AwareStage(
    epochs=12, batch=64, optimizer="adamw", rate=3e-3, decay=1e-3, ema=0.97, anchors_every=6,
    bn_recalibration_images=512,
)  # fmt: skip
RETRAIN = SHORT.model_copy(update={"epochs": 8, "ramp": 0.0})


@pytest.fixture(scope="module")
def plain(digits):
    net = make_network("mlp", digits.shape, 10)
    train_stage(net, digits, load_recipe("digits").plain, Run())
    return net


def strong_card(**options):
    """Make a card of three levels with 35 % spread; naive mapping loses several points on it."""
    mean = [33e-6, 83e-6, 200e-6]
    return virtual_card("strong", mean=mean, spread=0.35, between_cells=0.5, **options)


def on_chips(net, setup, data, *, mapping=None, chips=8):
    analog = convert_to_analog(net, setup, inputs=data.train_images[:256], mapping=mapping)
    return evaluate(
        analog, data.test_images, data.test_labels, digital=1.0, chips=chips, seed=99
    ).accuracies


def test_training_improves_on_naive_mapping_with_strong_variation(plain, digits, tmp_path):
    setup = analog_setup(strong_card(), tile=(64, 64))
    trained = train_aware(plain, setup, digits, SHORT, Run(stage="aware", seed=1))
    naive = on_chips(plain, setup, digits, chips=40)
    aware = on_chips(trained.network, setup, digits, mapping=trained.mapping, chips=40)
    gain = np.subtract(aware, naive)
    assert gain.mean() > 3 * gain.std(ddof=1) / len(gain) ** 0.5
    assert gain.mean() > 0.02

    # saved, loaded into another network and evaluated: the same accuracies
    path = tmp_path / "net.pt"
    save_weights(path, trained.network.state_dict(), mapping=trained.mapping)
    elsewhere = make_network("mlp", digits.shape, 10, seed=5)
    mapping = load_weights(elsewhere, path)
    assert on_chips(elsewhere, setup, digits, mapping=mapping) == aware[:8]

    # the same holds for a saved chip
    x = digits.train_images[:256]
    one, other = (convert_to_analog(elsewhere, setup, inputs=x, mapping=mapping) for _ in range(2))
    program(one, seed=3, index=2)
    save_chip(one, tmp_path / "chip.pt")
    load_chip(other, tmp_path / "chip.pt")
    images, labels = digits.test_images, digits.test_labels
    assert accuracy(other, images, labels) == accuracy(one, images, labels)


def test_trained_weights_are_codes(plain, few):
    setup = analog_setup(reference_card(), tile=(64, 64), wires_by="estimate")
    stage = SHORT.model_copy(update={"epochs": 1})
    before = {k: v.clone() for k, v in plain.state_dict().items()}
    trained = train_aware(plain, setup, few, stage, Run())
    assert all(torch.equal(v, before[k]) for k, v in plain.state_dict().items())
    for name in ("1", "3"):
        weight = trained.network.get_submodule(name).weight
        scaled = (weight / trained.mapping[name]["scale"][:, None]).detach()
        distance = (scaled[..., None] - setup.book.values).abs().amin(-1)
        assert float(distance.max()) < 1e-6 * float(setup.book.values[-1])
    scales = [convert_to_analog(plain, setup).get_submodule("1").analog.matrix.scale]
    fixed = stage.model_copy(update={"learn_scales": False})
    scales += [
        train_aware(plain, setup, few, s, Run()).mapping["1"]["scale"] for s in (stage, fixed)
    ]
    assert not torch.allclose(scales[1], scales[0], rtol=1e-4)
    assert torch.allclose(scales[2], scales[0], rtol=1e-6)


def chip_with_faults(share, *, shape=(64, 64), levels=3):
    rng = np.random.default_rng(8)
    fault = np.zeros(shape, np.int8)
    fault[rng.random(shape) < share / 2] = Fault.STUCK_LOW
    fault[rng.random(shape) < share / 2] = Fault.STUCK_HIGH
    return CellMaps(
        fault=fault,
        offset=np.zeros((levels, *shape)),
        hard_posterior=np.zeros((levels, *shape)),
    )


def test_retraining_for_one_chip_recovers_the_loss_from_its_faults(plain, digits):
    card = virtual_card(
        "few", mean=[33e-6, 83e-6, 200e-6], spread=0.05, between_cells=0.5,
        stuck={"low": 0.05, "high": 0.05, "low_conductance": 5e-6, "high_conductance": 250e-6},
    )  # fmt: skip
    cells = chip_with_faults(0.1)
    setup = analog_setup(card, tile=(64, 64), origin=cells)
    sound = dataclasses.replace(setup, factors=setup.factors - {"stuck"})
    trained = train_aware(plain, setup, digits, RETRAIN, Run(stage="retrain"))
    without = np.mean(on_chips(plain, sound, digits, chips=4))
    before = np.mean(on_chips(plain, setup, digits, chips=4))
    after = np.mean(on_chips(trained.network, setup, digits, mapping=trained.mapping, chips=4))
    assert without - before > 0.04  # otherwise there is no loss to recover
    assert after - before > 0.8 * (without - before)


def test_a_placement_is_kept(plain, few):
    cells = chip_with_faults(0.05)
    setup = analog_setup(
        reference_card(), tile=(64, 64), origin=cells, place_around_faults=True, wires_by="estimate"
    )
    trained = train_aware(
        plain, setup, few, RETRAIN.model_copy(update={"epochs": 1}), Run(stage="retrain")
    )
    again = convert_to_analog(trained.network, setup, mapping=trained.mapping)
    mine = trained.analog.get_submodule("1").analog.matrix.permutation
    kept = again.get_submodule("1").analog.matrix.permutation
    assert torch.equal(mine.rows, kept.rows)
    assert torch.equal(mine.cols, kept.cols)
    assert not torch.equal(mine.rows[0], torch.arange(64))


def test_chip_in_the_loop(plain, digits):
    """Measured outputs forward, digital backward; training does not know the chip's cells."""
    setup = analog_setup(strong_card(), tile=(64, 64))
    x = digits.train_images[:256]
    twin = convert_to_analog(plain, setup, inputs=x)
    measured_layers, programmed = [], {}

    def hardware(name, weight, vectors):
        matrix = twin.get_submodule(name).analog.matrix
        if name not in programmed or not torch.equal(programmed[name], weight):
            measured_layers.append(name)
            matrix.program(weight, seed=42, index=0)
            programmed[name] = weight.clone()
        return matrix.multiply(matrix.programmed, vectors)

    def measured(net):
        chip = convert_to_analog(net, setup, inputs=x)
        for name in ("1", "3"):
            chip.get_submodule(name).analog.matrix.scale = twin.get_submodule(
                name
            ).analog.matrix.scale
        program(chip, seed=42, index=0)
        return accuracy(chip, digits.test_images, digits.test_labels)

    stage = RETRAIN.model_copy(update={"epochs": 4, "learn_scales": False, "distillation": 0.0})
    before = measured(plain)
    trained = train_aware(plain, setup, digits, stage, Run(stage="retrain"), hardware=hardware)
    assert set(measured_layers) == {"1", "3"}
    after = measured(trained.network)
    assert after > before + 0.01
    # other chips of the card gain less than the chip used in training
    others = np.mean(on_chips(trained.network, setup, digits, mapping=trained.mapping))
    assert after > others


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda v: v.new_zeros(len(v), 3), "found shape"),
        (lambda v: v.numpy(), "found a ndarray"),
        (lambda v: v.new_full((len(v), 64), torch.nan), "not finite"),
    ],
)
def test_invalid_results_of_hardware_are_refused(plain, few, answer, message):
    setup = analog_setup(strong_card(), tile=(64, 64))
    stage = RETRAIN.model_copy(update={"epochs": 1})
    with pytest.raises(TrainingError, match=rf"layer 1: .*{message}"):
        train_aware(plain, setup, few, stage, Run(), hardware=lambda _, __, v: answer(v))


def test_recalibrated_batch_norm_has_the_statistics_of_the_chip(few):
    net = make_network("resnet8", few.shape, 10)
    analog = convert_to_analog(
        net, analog_setup(strong_card(), tile=(64, 64)), inputs=few.train_images
    )
    program(analog, seed=1)
    analog.eval()
    recalibrate_batch_norm(analog, few.train_images, batch=50)
    inputs = []
    analog[1].register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    with torch.no_grad():
        for some in torch.split(few.train_images, 50):
            analog(some)
    means = torch.stack([x.mean((0, 2, 3)) for x in inputs]).mean(0)
    assert torch.allclose(analog[1].running_mean, means, rtol=1e-4, atol=1e-6)
    assert analog[1].momentum == nn.BatchNorm2d(1).momentum
    assert not any(m.training for m in analog.modules())


def test_a_custom_training_loop(plain, digits):
    card = strong_card()
    images, labels = digits.train_images, digits.train_labels

    from rramfit.training import finish_training, prepare_training

    network = convert_to_analog(plain, card, inputs=images[:256]).train()
    prepare_training(network, images[:256], seed=0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    for _ in range(6):
        for at in torch.randperm(len(images)).split(64):
            loss = nn.functional.cross_entropy(network(images[at]), labels[at])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    network, mapping = finish_training(network, images[:1024])

    setup = analog_setup(card)
    naive = np.mean(on_chips(plain, setup, digits, chips=4))
    assert np.mean(on_chips(network, setup, digits, mapping=mapping, chips=4)) > naive + 0.01


def test_a_custom_loop_ends_with_batch_statistics_of_chips(digits):
    """Moving averages that lag behind the weights do not stay in the result."""
    from rramfit.training import finish_training, prepare_training

    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(512, 10),
    )
    images, labels = digits.train_images, digits.train_labels
    setup = analog_setup(strong_card())
    network = convert_to_analog(net, setup, inputs=images[:256]).train()
    prepare_training(network, images[:256], seed=0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for at in torch.randperm(len(images)).split(64):
        loss = nn.functional.cross_entropy(network(images[at]), labels[at])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        network[1].running_mean.add_(2)  # as after a step that was too large
    network, mapping = finish_training(network, images[:1024])
    assert np.mean(on_chips(network, setup, digits, mapping=mapping, chips=2)) > 0.7
