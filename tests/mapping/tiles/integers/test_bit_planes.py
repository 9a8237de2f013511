"""Bit-plane products in integers against the same products in floating point."""

import dataclasses

import pytest
import torch
from cases import full_card
from torch import nn

from rramfit.mapping import FACTORS, AnalogLinear, Peripherals, analog_setup
from rramfit.mapping.tiles.integers.bit_planes import bit_plane_matrices
from rramfit.streams import torch_stream

STEP = 1 / 255  # step of an 8-bit converter, relative to its range


def terms_and_planes(inputs, *, rows=128, columns=96, vectors=400):
    """Return a large matrix, a small signed one, and vectors with few and with many ones."""
    generator = torch_stream(2, "bit planes")
    blocks = -(-inputs // rows)
    t = torch.rand(2, blocks, rows, columns, generator=generator) * 2e-4
    t[1] = 0.1 * (t[1] - 1e-4)
    share = torch.rand(vectors, generator=generator)
    on = torch.rand(inputs, vectors, generator=generator) < share
    return t, on


def weights_at(share):
    return torch.stack((1 - 0.1 * share, 2 * share - 1))


@pytest.mark.parametrize("inputs", [128, 300, 3])
def test_rounding_is_small_compared_with_a_converter_step(inputs):
    t, on = terms_and_planes(inputs)
    made = bit_plane_matrices(t, inputs, weights_at)
    assert len(made) == t.shape[1]
    for block, one in enumerate(made):
        bits = on[block * 128 : (block + 1) * 128]
        used = t[:, block, : len(bits)].double()
        weights = weights_at(bits.double().mean(0))
        exact = sum(w * (m.T @ bits.double()) for m, w in zip(used, weights, strict=True))
        error = (one.currents(bits) - exact).abs().max()
        assert error < 0.05 * STEP * used[0].sum(0).max()


@pytest.mark.parametrize("inactive", ["gated", "floating"])
@pytest.mark.parametrize("signed", [False, True])
def test_a_layer_agrees_with_floating_point(inactive, signed):
    factors = [f for f in FACTORS if f not in ("adc", "readout", "read")]
    setup = analog_setup(
        full_card(inactive=inactive),
        tile=(64, 64),
        factors=factors,
        peripherals=Peripherals(input_coding="bit_serial"),
        wires_by="estimate",
    )
    generator = torch_stream(6, "layer")
    layer = AnalogLinear.from_digital(nn.Linear(150, 40), setup).eval()
    x = torch.rand(90, 150, generator=generator) - (0.5 if signed else 0.0)
    layer.calibrate(x)
    chip = layer.program(seed=1)
    assert chip.wires.planes
    with torch.no_grad():
        found = layer(x)
        chip = dataclasses.replace(chip, wires=dataclasses.replace(chip.wires, planes=()))
        layer.analog.matrix.programmed = chip
        plain = layer(x)
    assert not torch.equal(found, plain)
    assert (found - plain).abs().max() < 0.02 * plain.std()


def test_inputs_keep_their_gradient():
    setup = analog_setup(
        full_card(inactive="gated"),
        tile=(32, 32),
        peripherals=Peripherals(input_coding="bit_serial"),
        wires_by="estimate",
    )
    layer = AnalogLinear.from_digital(nn.Linear(20, 4), setup).eval()
    x = torch.rand(6, 20, requires_grad=True)
    layer.calibrate(x.detach())
    layer.program(seed=0)
    layer(x).square().sum().backward()
    assert x.grad.abs().sum() > 0
