"""Coverage of intervals; evaluation, ablation and costs of small networks."""

import math

import numpy as np
import pytest
import torch
from cases import full_card
from scipy import stats
from torch import nn

from rramfit.errors import MappingError
from rramfit.mapping import analog_matrices, analog_setup, convert_to_analog
from rramfit.mapping.study.ablation import ablate
from rramfit.mapping.study.costs import Constants, mapping_plan
from rramfit.mapping.study.evaluation import accuracy, evaluate, summarise
from rramfit.mapping.tiles.active_factors import active_factors
from rramfit.mapping.tiles.peripherals import Peripherals
from rramfit.mapping.tiles.setup import FACTORS


def test_intervals_have_their_coverage():
    rng = np.random.default_rng(0)
    mean, std, repeats = 0.9, 0.01, 400
    truth = {
        "mean": mean,
        "deviation": std,
        "percentile5": mean + std * stats.norm.ppf(0.05),
        "percentile95": mean + std * stats.norm.ppf(0.95),
        "chip_yield": stats.norm.sf((0.885 - mean) / std),
    }
    hits = dict.fromkeys(truth, 0)
    for _ in range(repeats):
        e = summarise(rng.normal(mean, std, 100), digital=0.95, threshold=0.885, images=1)
        for name, value in truth.items():
            x = getattr(e, name)
            hits[name] += x.low <= value <= x.high
    least = 0.95 - 4 * math.sqrt(0.95 * 0.05 / repeats)
    for name, count in hits.items():
        assert count / repeats >= least, name
    for name in ("mean", "deviation"):  # exact, so they must not be too wide either
        assert hits[name] / repeats <= 0.95 + 4 * math.sqrt(0.95 * 0.05 / repeats), name


def test_few_chips_bound_a_percentile_on_one_side_only():
    e = summarise([0.8, 0.9, 0.85], digital=0.9, threshold=0.9, images=10)
    assert e.percentile5.low == 0.0
    assert e.percentile95.high == 1.0
    one = summarise([0.8], digital=0.9, threshold=0.9, images=10)
    assert (one.mean.low, one.mean.high, one.deviation.value) == (0.0, 1.0, 0.0)


@pytest.fixture(scope="module")
def case():
    """A linear classifier of two clusters, and their points."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(300) % 2
    x = torch.rand(300, 8, generator=generator) + 0.25 * labels[:, None]
    net = nn.Sequential(nn.Linear(8, 2))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[-1.0], [1.0]]).expand(2, 8))
        net[0].bias.copy_(torch.tensor([5.0, -5.0]))
    return net, x, labels


def test_evaluation_is_the_accuracy_of_each_chip(case):
    net, x, labels = case
    digital = accuracy(net, x, labels)
    assert digital == pytest.approx(float((net(x).argmax(-1) == labels).double().mean()))
    analog = convert_to_analog(net, analog_setup(full_card(), tile=(8, 8)), inputs=x)
    reported = []
    e = evaluate(
        analog, x, labels, digital=digital, chips=6, seed=2, on_chip=lambda _, a: reported.append(a)
    )
    assert tuple(reported) == e.accuracies
    assert e.threshold == pytest.approx(digital - 0.02)
    assert e.chip_yield.value == pytest.approx(np.mean(np.array(reported) >= e.threshold))
    analog[0].program(seed=2, index=4)
    assert accuracy(analog, x, labels) == e.accuracies[4]
    with pytest.raises(MappingError, match="convert_to_analog"):
        evaluate(net, x, labels, digital=digital)


def test_ablation_covers_every_active_factor(case):
    net, x, labels = case
    setup = analog_setup(full_card(), tile=(8, 8), time=10.0, chip_spread=0.02)
    assert active_factors(setup) == FACTORS
    quiet = analog_setup(
        full_card(), tile=(8, 8), factors=("quantisation", "d2d", "dac", "retention")
    )
    assert active_factors(quiet) == ("quantisation", "d2d", "dac")  # no ageing at time 0
    cases = []
    found = ablate(
        net, quiet, x, labels, inputs=x, digital=1.0, chips=3, on_case=lambda n, _: cases.append(n)
    )
    assert len(cases) == 7
    assert [f.factor for f in found.factors] == ["quantisation", "d2d", "dac"]
    assert [f.alone.chips for f in found.factors] == [1, 3, 1]
    assert [f.without.chips for f in found.factors] == [3, 1, 3]
    assert "wires" in found.absent


def test_ablation_keeps_the_mapping_and_calls_after_programming(case):
    net, x, labels = case
    setup = analog_setup(full_card(), tile=(8, 8), factors=("quantisation",))
    coarse = {"0": {"scale": torch.full((2,), 1e6)}}  # every weight is the smallest code
    networks = []

    def ablated(mapping):
        options = {"inputs": x, "digital": 1.0, "after_programming": networks.append}
        return ablate(net, setup, x, labels, mapping=mapping, **options).everything.accuracies[0]

    analog = convert_to_analog(net, setup, inputs=x, mapping=coarse)
    found = ablated(coarse)
    assert found == accuracy(analog.eval(), x, labels)
    assert ablated(None) > found + 0.1
    assert len(networks) == 2 * 3  # two ablations: all, the factor alone, all but the factor


def test_costs_agree_with_a_count_by_hand():
    net = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.Flatten(), nn.Linear(54, 5))
    setup = analog_setup(
        full_card(),
        tile=(16, 8),
        peripherals=Peripherals(input_coding="bit_serial", dac_bits=4, adc_bits=6),
    )
    analog = convert_to_analog(net, setup, inputs=torch.rand(2, 3, 8, 8))
    plan = mapping_plan(analog_matrices(analog), constants=Constants(adc_sharing=4))
    conv, line = plan.matrices
    assert (conv.vectors, conv.passes, conv.tiles) == (9, 4, 2 * 2)  # 27 rows, 4 outputs per tile
    assert (line.vectors, line.passes, line.tiles) == (1, 4, 4 * 2)
    assert conv.mvms == 9 * 4 * 4
    assert conv.conversions == 9 * 4 * 2 * 12
    assert line.conversions == 4 * 4 * 10
    assert conv.latency == pytest.approx(9 * 4 * (10e-9 + 4e-9))
    g = sum((30e-6, 80e-6, 200e-6)) / 3
    energy = 9 * 4 * 4 * 128 * g * 0.1**2 * 10e-9 + conv.conversions * 0.5e-12
    assert conv.energy == pytest.approx(energy + 9 * 4 * 4 * 16 * 0.1e-12, rel=1e-6)
    assert plan.utilisation == pytest.approx((27 * 12 + 54 * 10) / (12 * 128))
    assert plan.to_json()["tiles"] == 12
