"""An LSTM, a depthwise CNN, a vision transformer and a language model: map, evaluate, train.

The reference reads the conductance of every cell of every weight, one after another, and computes
the digital network with these weights.
"""

import json

import pytest
import torch
from torch import nn

from rramfit.card import load_card
from rramfit.mapping import analog_layers, analog_setup, convert_to_analog, program, to_digital
from rramfit.mapping.layers.matrix_layer import MatrixLayer
from rramfit.mapping.layout.plan import WeightAddress
from rramfit.mapping.study.datasets import load_dataset
from rramfit.mapping.study.examples.language import ALPHABET, LENGTH, LanguageModel, text
from rramfit.mapping.study.examples.vision import VisionTransformer
from rramfit.mapping.study.networks import make_network

RECIPE = """
name = "one"
[plain]
epochs = 8
batch = 32
optimizer = "adamw"
rate = 1e-2
[aware]
epochs = 1
batch = 32
optimizer = "adamw"
rate = 1e-3
bn_recalibration_images = 64
[retrain]
epochs = 1
"""


class Recurrent(nn.Module):
    """Rows of a digit, one after another."""

    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(8, 12, batch_first=True), nn.Linear(12, 10)

    def forward(self, x):
        return self.head(self.lstm(x[:, 0])[0][:, -1])


def depthwise():
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 6, 3, padding=1, groups=6),
        nn.Conv2d(6, 8, 1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


def vision():
    return VisionTransformer(size=8, patch=2, channels=1, classes=10, width=8, blocks=1)


def language():
    return LanguageModel(tokens=len(ALPHABET), length=LENGTH, width=8, blocks=1)


def digits():
    data = load_dataset("digits")
    few = slice(0, 96)
    return data.train_images[few], data.train_labels[few], data.test_images, data.test_labels


def few_texts():
    inputs, labels, test, following = text()
    return inputs[:96], labels[:96], test[:40], following[:40]


NETWORKS = {
    "Recurrent": ("digits", "accuracy", "lstm.weight_ih_l0"),
    "depthwise": ("digits", "accuracy", "3"),
    "vision": ("digits", "accuracy", "blocks.0.inputs"),
    "language": ("few_texts", "perplexity", "blocks.0.inputs"),
}


def options(name):
    """Options of a command, with networks and data of this module."""
    return (f"{__name__}:{name}", "--data", f"{__name__}:{NETWORKS[name][0]}", "--tile", "32x32")


def cell_by_cell(matrix):
    """Return the weights that the cells of a programmed matrix hold, (output, input)."""
    plan, cells = matrix.plan, matrix.programmed.cells.conductance
    found = torch.zeros(plan.outputs, plan.inputs)
    for o in range(plan.outputs):
        for i in range(plan.inputs):
            plus, minus = (
                cells[tuple(plan.cell(WeightAddress(o, i, 0, p), matrix.permutation))]
                for p in (0, 1)
            )
            found[o, i] = float(matrix.scale[o]) * float(plus - minus)
    return found


def reference(analog):
    """Return the digital network with the weights of the cells."""
    digital = to_digital(analog)
    with torch.no_grad():
        for name, layer in analog_layers(analog):
            twin = digital.get_submodule(name)
            if isinstance(layer, MatrixLayer):
                held = layer.digital_weight(cell_by_cell(layer.analog.matrix))
                twin.weight = nn.Parameter(held.reshape(twin.weight.shape))
            else:
                for part, weight in layer.projections.items():
                    setattr(twin, part, nn.Parameter(cell_by_cell(weight.matrix)))
    return digital.eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_network_computes_what_its_cells_hold(name, repo):
    card = load_card(repo / "fits/jetcas-reference-1.0.0.card.json")
    data = load_dataset(f"{__name__}:{NETWORKS[name][0]}")
    net = make_network(f"{__name__}:{name}", data.shape, data.classes, data=data, seed=1)
    cells = ("quantisation", "d2d", "c2c", "failure")
    setup = analog_setup(card, tile=(32, 32), factors=cells)
    analog = convert_to_analog(net.eval(), setup, inputs=data.train_images[:32])
    program(analog, seed=5, index=2)
    x = data.test_images[:20]
    with torch.no_grad():
        found, digital = analog(x), net(x)
        wanted = reference(analog)(x)
    size = float(wanted.std())
    assert float((found - wanted).abs().max()) < 1e-4 * size
    assert float((found - digital).abs().max()) > 1e-2 * size


@pytest.mark.parametrize("name", NETWORKS)
def test_map_train_and_evaluate(name, run, tmp_path):
    _, metric, matrix = NETWORKS[name]
    mapped = json.loads(run("map", *options(name), "--json").stdout)
    names = {m["name"]: m for m in mapped["matrices"]}
    assert matrix in names
    if name == "depthwise":
        assert names["3"]["utilisation"] > 0.05
    if name == "language":
        assert "embedding (Embedding" in mapped["digital"][0]
    recipe, out = tmp_path / "one.toml", tmp_path / "net.pt"
    recipe.write_text(RECIPE)
    few = ("--chips", 2, "--images", 40, "--off", "wires")
    arguments = (*options(name), "--recipe", recipe, "-o", out, *few)
    done = run("train", *arguments, "--report", tmp_path / "train.html", "--json")
    assert done.exit_code == 0, done.output
    trained = json.loads(done.stdout)["trained"]["chips"]
    report = tmp_path / "page.html"
    again = run(
        "evaluate",
        *options(name),
        "--checkpoint",
        out,
        *few,
        "-o",
        report,
        "--json",
    )
    assert again.exit_code == 0, again.output
    found = json.loads(again.stdout)
    assert found["conditions"]["values"]["metric"] == metric
    key = "accuracies" if metric == "accuracy" else "values"
    assert found[key] == trained[key]
    assert found["mean"] == trained["mean"]
    assert ("Perplexity" if metric == "perplexity" else "Accuracy") in report.read_text()
    if metric == "perplexity":
        assert 5 < found["mean"]["value"] < len(ALPHABET)
        assert found["metric"]["better"] == "lower"
        shown = run("evaluate", *options(name), "--checkpoint", out, *few)
        assert "95th percentile" in shown.stdout
