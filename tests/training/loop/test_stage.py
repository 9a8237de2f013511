"""Training loop: bitwise resuming, atomic files, averages, histories."""

import dataclasses

import pytest
import torch
from torch import nn

from rramfit.errors import CheckpointError, TrainingError
from rramfit.mapping import Peripherals, analog_setup
from rramfit.mapping.study.networks import make_network
from rramfit.measurement.virtual.reference_chip import reference_card
from rramfit.training import Rank, Run, load_recipe, read_history, train_aware, train_stage
from rramfit.training.loop import checkpoint as checkpoints
from rramfit.training.loop.average import WeightAverage
from rramfit.training.loop.history import write_history
from rramfit.training.loop.recipe import AwareStage, PlainStage

PLAIN = PlainStage(
    epochs=3, batch=32, rate=0.05, ema=0.9, crop=1, flip=True, cutout=2, precision="bf16",
    channels_last=True, clip=1.0,
)  # fmt: skip
AWARE = AwareStage(
    epochs=3,
    batch=64,
    optimizer="adamw",
    rate=1e-3,
    ema=0.9,
    anchors_every=2,
    bn_recalibration_images=64,
)


class KilledError(Exception):
    pass


def killer(after):
    steps = 0

    def on_step(_):
        nonlocal steps
        steps += 1
        if steps == after:
            raise KilledError

    return on_step


def droppy(data):
    net = make_network("resnet8", data.shape, 10)
    return nn.Sequential(net, nn.Dropout(0.1))


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.values(), b.values(), strict=True))


def timeless(history):
    return [dataclasses.replace(x, seconds=0.0) for x in history]


def test_alternating_flips_show_each_side_of_an_image_in_every_second_epoch(few):
    """One batch an epoch, of images that show in which order they come and whether mirrored."""
    images = torch.zeros(16, 1, 8, 8)
    images[:, 0, 0, 0] = torch.arange(1.0, 17.0)
    data = dataclasses.replace(few, train_images=images, train_labels=few.train_labels[:16])
    sides = []

    def loss(out, x, _):
        left, right = x[:, 0, 0, 0], x[:, 0, 0, -1]
        order = torch.argsort(left + right)
        sides.append((right > 0)[order])
        return out.sum() * 0

    stage = PlainStage(epochs=4, batch=16, flip="alternating", rate=1e-9)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    train_stage(net, data, stage, Run(seed=1), loss=loss)
    assert 0 < int(sides[0].sum()) < 16
    assert torch.equal(sides[0], ~sides[1])
    assert torch.equal(sides[0], sides[2])
    assert torch.equal(sides[1], sides[3])


@pytest.mark.parametrize("after", [3, 10])
def test_resumed_plain_training_equals_the_uninterrupted_one(few, tmp_path, after):
    """Killed in the first epoch, and in the second."""
    uninterrupted = droppy(few)
    history = train_stage(uninterrupted, few, PLAIN, Run(seed=2))
    state = tmp_path / "a.state"
    with pytest.raises(KilledError):
        train_stage(droppy(few), few, PLAIN, Run(seed=2, checkpoint=state, on_step=killer(after)))
    assert state.exists() == (after > 7)  # an epoch has seven steps
    resumed_net = droppy(few)
    torch.rand(3)  # other draws make no difference
    resumed = train_stage(resumed_net, few, PLAIN, Run(seed=2, checkpoint=state, resume=True))
    assert same(uninterrupted.state_dict(), resumed_net.state_dict())
    assert timeless(resumed) == timeless(history)


@pytest.mark.parametrize("gated", [False, True])
def test_resumed_aware_training_equals_the_uninterrupted_one(few, tmp_path, gated):
    """Killed between two anchors, during the ramp; some rows of a tile are unused."""
    setup = analog_setup(
        reference_card(gated=gated),
        tile=(48, 32),
        wires_by="estimate",
        peripherals=Peripherals(input_coding="bit_serial" if gated else "amplitude"),
    )
    net = make_network("mlp", few.shape, 10)
    uninterrupted = train_aware(net, setup, few, AWARE, Run(seed=3))
    state = tmp_path / "a.state"
    with pytest.raises(KilledError):
        train_aware(net, setup, few, AWARE, Run(seed=3, checkpoint=state, on_step=killer(6)))
    resumed_net = train_aware(net, setup, few, AWARE, Run(seed=3, checkpoint=state, resume=True))
    assert same(uninterrupted.network.state_dict(), resumed_net.network.state_dict())
    assert timeless(uninterrupted.history) == timeless(resumed_net.history)
    other = train_aware(net, setup, few, AWARE, Run(seed=4))
    assert not same(uninterrupted.network.state_dict(), other.network.state_dict())


def test_a_kill_while_writing_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "a.state"
    checkpoints.save_state(path, {"x": torch.ones(3)})
    before = path.read_bytes()

    def half(content, f):
        f.write(b"half of it")
        raise KilledError

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(KilledError):
        checkpoints.save_state(path, {"x": torch.zeros(3)})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.state"]


def test_every_process_needs_an_image_in_the_last_batch(few):
    stage = PLAIN.model_copy(update={"batch": len(few.train_labels) - 1})
    with pytest.raises(TrainingError, match=r"has 1 of .* images for 2 processes"):
        train_stage(droppy(few), few, stage, Run(rank=Rank(0, 2)))


def test_an_invalid_history_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("stage,epoch\nplain,one\n")
    with pytest.raises(CheckpointError, match="a history of epochs"):
        read_history(tmp_path / "a.csv")


def test_a_checkpoint_belongs_to_one_training(tmp_path):
    path = tmp_path / "a.state"
    mine = {"seed": "1", "plain.rate": "0.1"}
    assert checkpoints.load_checkpoint(path, identity=mine) is None
    checkpoints.save_state(path, {"of": mine})
    assert checkpoints.load_checkpoint(path, identity=mine) == {"of": mine}
    with pytest.raises(
        CheckpointError, match=r"found seed 1, off None, expected seed 2, off wires"
    ):
        checkpoints.load_checkpoint(path, identity={**mine, "seed": "2", "off": "wires"})
    checkpoints.save_state(path, {"epoch": 1})
    with pytest.raises(CheckpointError, match="no description of its training"):
        checkpoints.load_checkpoint(path, identity=mine)
    path.write_bytes(b"broken")
    with pytest.raises(CheckpointError, match="expected a checkpoint"):
        checkpoints.load_checkpoint(path, identity=mine)


def test_saved_weights_are_small_and_equal_weights_give_equal_bytes(tmp_path):
    net = make_network("vgg5", (3, 32, 32), 10).to(memory_format=torch.channels_last)
    for name in ("a.pt", "other.pt"):
        checkpoints.save_weights(tmp_path / name, net.state_dict(), of={"seed": "1"})
    a, b = ((tmp_path / n).read_bytes() for n in ("a.pt", "other.pt"))
    assert a == b
    assert len(a) < 4e6
    kept = checkpoints.load_checkpoint(tmp_path / "a.pt", identity={"seed": "1"})
    assert same(kept["model"], net.state_dict())


def test_the_average_follows_its_formula():
    layer = nn.BatchNorm1d(1)
    average = WeightAverage(layer, 0.5)
    expected = 1.0
    for step, value in enumerate((2.0, 5.0, -1.0)):
        with torch.no_grad():
            layer.weight.fill_(value)
        layer.num_batches_tracked += 1
        average.update(layer, step)
        d = min(0.5, (1 + step) / (10 + step))
        expected = d * expected + (1 - d) * value
    assert float(average.values["weight"]) == pytest.approx(expected)
    assert int(average.values["num_batches_tracked"]) == 3


def test_an_average_over_all_steps_is_their_plain_mean():
    layer = nn.Linear(1, 1)
    average = WeightAverage(layer, 0.9999, span=1.0)
    values = [float(layer.weight.detach()), 2.0, 5.0, -1.0]
    for step, value in enumerate(values[1:]):
        with torch.no_grad():
            layer.weight.fill_(value)
        average.update(layer, step)
    assert float(average.values["weight"]) == pytest.approx(sum(values) / 4)


def test_a_loss_that_is_not_finite_stops_the_training(few):
    net = make_network("mlp", few.shape, 10)
    with torch.no_grad():
        net[1].weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match="lower the recipe's rate"):
        train_stage(net, few, PlainStage(epochs=1), Run())


def test_histories_are_written_and_read(few, tmp_path):
    net = make_network("mlp", few.shape, 10)
    reported = []
    stage = PlainStage(epochs=2, optimizer="adamw", rate=1e-2)
    history = train_stage(net, few, stage, Run(on_epoch=reported.append))
    assert [len(h) for h in reported] == [2, 2]  # the same growing list
    assert history[1].loss < history[0].loss
    write_history(tmp_path / "h.csv", history)
    back = read_history(tmp_path / "h.csv")
    assert [x.epoch for x in back] == [1, 2]
    assert back[1].loss == pytest.approx(history[1].loss, rel=1e-5)


def test_ranks_share_a_batch_without_overlap():
    batch = torch.arange(11)
    parts = [Rank(i, 3).share(batch) for i in range(3)]
    assert [len(p) for p in parts] == [3, 3, 3]
    assert sorted(torch.cat(parts).tolist()) == list(range(9))


def test_the_digits_recipe_learns_digits(digits):
    net = make_network("mlp", digits.shape, 10)
    history = train_stage(net, digits, load_recipe("digits").plain, Run())
    assert history[-1].test_accuracy > 0.95
