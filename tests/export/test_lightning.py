"""aihwkit-lightning: its configuration, and training with the noise of the card."""

import json

import pytest

from rramfit.card import load_card
from rramfit.export.networks.aihwkit import aihwkit_options
from rramfit.export.networks.aihwkit.lightning import EXPORTER


@pytest.fixture(scope="module")
def card(repo):
    return load_card(repo / "fits/reference-1.0.0.card.json")


def test_the_numbers_are_those_for_aihwkit(card):
    options = EXPORTER.resolve({"rows": 64})
    made = json.loads(EXPORTER.export(card, options).files["rram_lightning.json"])
    assert made == aihwkit_options(card, options)
    assert made["rows"] == 64


def test_a_card_without_converters_has_no_bound(card):
    bare = card.model_copy(update={"readout": None})
    made = json.loads(EXPORTER.export(bare, EXPORTER.resolve({})).files["rram_lightning.json"])
    assert made["out_bound"] == 0
    assert made["out_res"] == -1


def test_the_weights_have_the_noise_of_the_card_in_training(lightning, exported, card):
    script = """
import torch, rram_lightning
from aihwkit_lightning.nn import AnalogLinear
from digits_network import report

torch.manual_seed(0)
config = rram_lightning.rpu_config()
config.forward.out_noise = 0.0
config.forward.out_res = config.forward.inp_res = -1
config.forward.out_bound = 0.0
config.pre_post.input_range.enable = False
layer = AnalogLinear(30, 5, bias=False, rpu_config=config)
with torch.no_grad():
    layer.weight[:] = torch.linspace(0.1, 0.5, 5)[:, None] * torch.linspace(-1, 1, 30)
x = torch.eye(30)
layer.train()
with torch.no_grad():
    noise = torch.stack([layer(x) for _ in range(400)]).std(0).mean(0)
    layer.eval()
    quiet = float((layer(x) - layer.weight.T).abs().max())
largest = layer.weight.abs().amax(1)
report(relative=(noise / largest).tolist(), quiet=quiet)
"""
    found = lightning.run(script, exported(card, "aihwkit-lightning"))
    expected = aihwkit_options(card, EXPORTER.resolve({}))["training_std"]
    assert found["relative"] == pytest.approx([expected] * 5, rel=0.03)
    assert found["quiet"] < 1e-6


def test_the_example_trains(lightning, exported, card):
    folder = exported(card, "aihwkit-lightning")
    text = lightning.run(folder / "example.py", folder)
    assert float(text.rpartition(": ")[2].split()[0]) > 0.9
