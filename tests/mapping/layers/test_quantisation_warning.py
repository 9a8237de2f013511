"""Rounding of weights that changes outputs by more than twice their size is a warning."""

import warnings

import pytest
import torch
from torch import nn

from rramfit.errors import RramfitWarning
from rramfit.mapping import analog_matrices, analog_setup, convert_to_analog
from rramfit.mapping.layout.codes import nearest_code
from rramfit.measurement import virtual_card


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(200, 20, bias=False)), torch.rand(64, 200)


def setup(scheme, mean):
    card = virtual_card("levels", mean=mean, spread=0.05, array=(64, 64))
    return analog_setup(card, scheme=scheme, factors=("quantisation",))


def test_offset_columns_with_uneven_levels():
    net, x = network()
    uneven = setup("offset", (10e-6, 60e-6, 300e-6))
    message = r"to 3 values \(scheme offset\) changes the outputs of 0 by [\d.]+ times their size"
    with pytest.warns(RramfitWarning, match=message):
        analog = convert_to_analog(net, uneven, inputs=x)
    (matrix,) = analog_matrices(analog)
    weight, scale = net[0].weight.detach(), matrix.scale
    error = total = 0.0
    for vector in x:
        for o in range(20):
            codes = uneven.book.values[nearest_code(uneven.book, weight[o] / scale[o])] * scale[o]
            error += float(vector @ (codes - weight[o])) ** 2
            total += float(vector @ weight[o]) ** 2
    assert matrix.quantisation_error == pytest.approx((error / total) ** 0.5, rel=1e-3)
    assert matrix.quantisation_error > 2


@pytest.mark.parametrize("scheme", ["columns", "arrays"])
def test_pairs_of_the_same_levels_are_no_warning(scheme):
    net, x = network()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        analog = convert_to_analog(net, setup(scheme, (10e-6, 60e-6, 300e-6)), inputs=x)
    assert 0 < analog_matrices(analog)[0].quantisation_error < 0.5
