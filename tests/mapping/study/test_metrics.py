"""Metrics of other tasks, committees and mirrored images, against slow computations."""

import json
import math

import numpy as np
import pytest
import torch
from cases import full_card
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from rramfit.errors import MappingError
from rramfit.mapping import analog_setup, convert_to_analog, program
from rramfit.mapping.study.chip_results import ChipResults, join
from rramfit.mapping.study.evaluation import accuracy, evaluate, evaluate_chips
from rramfit.mapping.study.scores.metrics import METRICS, Measure, metric_by_name


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    digital = nn.Sequential(nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 4)).eval()
    x = torch.rand(31, 12)
    setup = analog_setup(full_card(), tile=(8, 8), factors=("quantisation", "d2d"))
    return digital, convert_to_analog(digital, setup, inputs=x), x


def slow(name, out, y):
    """Compute a metric sample by sample, position by position."""
    out, y = out.double().numpy(), y.numpy()
    if name == "accuracy":
        return np.mean([np.argmax(o) == t for o, t in zip(out, y, strict=True)])
    if name in ("rmse", "mae"):
        d = np.concatenate([(o.ravel() - t.ravel()) for o, t in zip(out, y, strict=True)])
        return math.sqrt(np.mean(d**2)) if name == "rmse" else np.mean(np.abs(d))
    means = []
    for o, t in zip(out, y, strict=True):
        found = []
        for scores, token in zip(o, t, strict=True):
            if token < 0:
                continue
            p = np.exp(scores - scores.max())
            p /= p.sum()
            found.append(p.argmax() == token if name == "token-accuracy" else -math.log(p[token]))
        means.append(np.mean(found))
    return np.mean(means) if name == "token-accuracy" else math.exp(np.mean(means))


@pytest.mark.parametrize("name", METRICS)
def test_metrics_are_what_their_names_say(name):
    rng = torch.Generator().manual_seed(1)
    if name == "accuracy":
        out, y = torch.randn(50, 4, generator=rng), torch.randint(4, (50,), generator=rng)
    elif name in ("rmse", "mae"):
        out, y = torch.randn(50, 3, generator=rng), torch.randn(50, 3, generator=rng)
    else:
        out, y = torch.randn(50, 6, 4, generator=rng), torch.randint(4, (50, 6), generator=rng)
        y[:7, 2:] = -100
    metric = METRICS[name]
    found = metric.mean_of(int(metric.counts(out, y).sum()), len(y))
    assert found == pytest.approx(slow(name, out, y), abs=2e-6)


@pytest.mark.parametrize("name", ["rmse", "perplexity"])
def test_chips_are_evaluated_by_a_metric(net, name):
    digital, analog, x = net
    y = torch.randn(31, 4) if name == "rmse" else torch.arange(31) % 4
    if name == "perplexity":

        class Tokens(nn.Module):
            def __init__(self, inner):
                super().__init__()
                self.inner = inner

            def forward(self, x):
                return self.inner(x)[:, None].expand(-1, 2, -1)

        y = torch.stack((y, (y + 1) % 4), 1)
        digital = Tokens(digital)
        analog = convert_to_analog(
            digital,
            analog_setup(full_card(), tile=(8, 8), factors=("quantisation", "d2d")),
            inputs=x,
        )
    e = evaluate(analog, x, y, chips=4, seed=3, metric=name)
    with torch.no_grad():
        assert e.digital == pytest.approx(slow(name, digital(x), y), rel=1e-5)
        for index, value in enumerate(e.accuracies):
            program(analog, seed=3, index=index)
            assert value == pytest.approx(slow(name, analog(x), y), rel=1e-5)
    assert e.threshold == pytest.approx(1.05 * e.digital)
    assert e.chip_yield.value == np.mean(np.array(e.accuracies) <= e.threshold)
    content = e.to_json()
    assert content["metric"]["name"] == name
    assert "accuracies" not in content
    assert json.dumps(content, allow_nan=False)


def test_parts_of_a_metric_join_exactly(net):
    _, analog, x = net
    y, metric = torch.randn(31, 4), METRICS["mae"]
    whole = evaluate_chips(analog, x, y, range(5), metric=metric)
    parts = [evaluate_chips(analog, x, y, r, metric=metric) for r in (range(3, 5), range(3))]
    again = [ChipResults.from_json(json.loads(json.dumps(p.to_json()))) for p in parts]
    (joined,) = join(again)
    assert joined.hits == whole.hits
    assert np.array_equal(joined.by_image, whole.by_image)
    assert Measure.from_json(metric.measure.to_json()) == metric.measure


def test_a_metric_of_yours(net, tmp_path, monkeypatch):
    (tmp_path / "my_metric.py").write_text(
        "def top2(out, y): return (out.topk(2).indices == y[:, None]).any(1).float()\n"
        "def lower(out, y): return (out.argmax(-1) != y).float()\nlower.better = 'lower'\n"
        "def mean(out, y): return out.mean()\ndef bad(out, y): return out[:, 0] / 0\n"
        "def odd(out, y): return y\nodd.better = 'nicer'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    digital, analog, x = net
    y = torch.arange(31) % 4
    top = accuracy(digital, x, y, metric=metric_by_name("my_metric:top2"))
    assert top > accuracy(digital, x, y)
    wrong = evaluate(analog, x, y, chips=2, metric="my_metric:lower")
    right = evaluate(analog, x, y, chips=2)
    assert wrong.accuracies == pytest.approx([1 - a for a in right.accuracies], abs=1e-6)
    for name, message in (("mean", r"returned \(\)"), ("bad", "not finite"), ("odd", "nicer")):
        with pytest.raises(MappingError, match=message):
            evaluate(analog, x, y, chips=1, metric=f"my_metric:{name}")
    with pytest.raises(MappingError, match="unknown metric 'bleu'; expected accuracy"):
        metric_by_name("bleu")


def test_committees_decide_together(net):
    _, analog, x = net
    y = torch.arange(31) % 4
    e = evaluate(analog, x, y, digital=0.5, chips=2, committee=3, seed=2)
    with torch.no_grad():
        for c, value in enumerate(e.accuracies):
            together = torch.zeros(31, 4)
            for member in range(3):
                program(analog, seed=2, index=3 * c + member)
                together += analog(x).softmax(-1)
            assert value == float((together.argmax(-1) == y).double().mean())
    targets = torch.randn(31, 4)
    found = evaluate(analog, x, targets, digital=0.5, chips=1, committee=2, metric="mae")
    with torch.no_grad():
        outs = []
        for member in range(2):
            program(analog, seed=0, index=member)
            outs.append(analog(x))
        mean = float((torch.stack(outs).mean(0) - targets).abs().mean())
    assert found.accuracies[0] == pytest.approx(mean, rel=1e-5)


def test_mirrored_images_count_half():
    torch.manual_seed(3)
    digital = nn.Sequential(nn.Flatten(), nn.Linear(24, 4)).eval()
    x, y = torch.rand(40, 2, 3, 4), torch.arange(40) % 4
    setup = analog_setup(full_card(), tile=(8, 8), factors=("quantisation", "d2d"))
    analog = convert_to_analog(digital, setup, inputs=x)
    e = evaluate(analog, x, y, chips=1, mirror=True)
    program(analog, seed=0, index=0)
    with torch.no_grad():
        both = analog(x).softmax(-1) + analog(x.flip(-1)).softmax(-1)
    assert e.accuracies[0] == float((both.argmax(-1) == y).double().mean())
    with pytest.raises(MappingError, match="cannot be mirrored"):
        evaluate(analog, x.flatten(1), y, digital=0.5, chips=1, mirror=True)


def test_a_data_loader_is_evaluated(net):
    digital, analog, x = net
    y = torch.arange(31) % 4
    loader = DataLoader(TensorDataset(x, y), batch_size=7)
    e = evaluate(analog, loader, chips=3)
    assert e.digital == accuracy(digital, x, y)
    assert e.accuracies == evaluate(analog, x, y, chips=3).accuracies
    shuffled = DataLoader(TensorDataset(x, y), batch_size=7, shuffle=True)
    with pytest.raises(MappingError, match="shuffle=False"):
        evaluate(analog, shuffled, chips=1)
    with pytest.raises(MappingError, match="used once"):
        evaluate(analog, iter(loader), chips=1)
    with pytest.raises(MappingError, match="labels are missing"):
        evaluate(analog, x, chips=1)
