"""Products of input codes in integers against the same products in floating point."""

import dataclasses

import pytest
import torch
from torch import nn

from rramfit.array.devices.readout import ReadoutChannels
from rramfit.card import load_card
from rramfit.mapping import AnalogConv2d, AnalogLinear, Peripherals, analog_setup
from rramfit.mapping.tiles.integers import code_products
from rramfit.mapping.tiles.integers.code_products import add_in_one_pass, code_matrix, input_codes
from rramfit.streams import torch_stream

VOLTAGE = 0.2  # [V]


@pytest.fixture(autouse=True)
def vnni(monkeypatch):
    """Integer products are exact on every CPU; without VNNI instructions they are only slow."""
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: True)


@pytest.fixture
def card(repo):
    """Wires and converters with offsets and bow; no read noise, ohmic cells."""
    return load_card(repo / "fits/jetcas-reference-1.0.0.card.json")


def block(rows, columns=96, *, noise=0.0):
    """Return a matrix of one row block and its converters."""
    generator = torch_stream(5, "code products")
    matrix = torch.rand(rows, columns, generator=generator) * 2e-4
    spread = torch.randn(2, 1, columns, generator=generator)
    most = float(matrix.sum(0).max()) * VOLTAGE
    channels = ReadoutChannels(
        gain=(250 + 2 * spread[0]) / most,
        offset=4 + spread[1],
        third=torch.full((1, columns), -3.0),
        noise=noise,
        full_scale=most,
        bits=8,
    )
    x = torch.rand(rows, 400, generator=generator) * torch.rand(400, generator=generator)
    return matrix, channels, x


def added(matrix, channels, x, bits=8):
    """Return the codes that the integer product adds to partial sums of zero."""
    made = code_matrix(matrix, channels, read_voltage=VOLTAGE, bits=bits)
    codes = input_codes(x, 1.0, bits)
    total = torch.zeros(matrix.shape[1], x.shape[1])
    counts = torch.ones(matrix.shape[1])
    made.add_codes(codes, counts, total, torch_stream(7, "noise"))
    return total


def exact_codes(matrix, channels, x, bits=8):
    """Return the codes before rounding, computed in float64."""
    steps = 2**bits - 1
    voltage = (x * steps).round().double() / steps * VOLTAGE
    current = matrix.double().T @ voltage
    gain, offset, third = (
        c[0, :, None].double() for c in (channels.gain, channels.offset, channels.third)
    )
    return offset + gain * current + third * (current / channels.full_scale) ** 3


@pytest.mark.parametrize("rows", [128, 44, 3])
@pytest.mark.parametrize("bits", [8, 5, 1])
def test_codes_are_those_of_the_exact_currents(rows, bits):
    matrix, channels, x = block(rows)
    exact = exact_codes(matrix, channels, x, bits)
    error = added(matrix, channels, x, bits) - exact.clamp(0, 255)
    assert error.abs().max() < 0.55  # half a step by rounding, and at most 1/20 more


@pytest.mark.parametrize("third", [0.0, -3.0])
@pytest.mark.parametrize("noise", [0.0, 0.7])
def test_the_compiled_pass_equals_the_plain_passes(monkeypatch, noise, third):
    pytest.importorskip("numba")
    matrix, channels, x = block(128, noise=noise)
    channels = dataclasses.replace(channels, third=torch.full_like(channels.third, third))
    assert add_in_one_pass() is not None
    compiled = added(matrix, channels, x)
    monkeypatch.setattr(code_products, "add_in_one_pass", lambda: None)
    plain = added(matrix, channels, x)
    difference = (compiled - plain).abs()
    assert difference.max() <= 1  # at the edge between two codes
    assert (difference > 0).double().mean() < 1e-3


def test_the_compiled_pass_does_not_depend_on_the_number_of_threads():
    pytest.importorskip("numba")
    matrix, channels, x = block(128)
    threads, found = torch.get_num_threads(), []
    try:
        for n in (1, 3):
            torch.set_num_threads(n)
            found.append(added(matrix, channels, x))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*found)


def test_what_cannot_be_rounded_is_left_in_floating_point():
    matrix, channels, _ = block(8)
    for options in ({"bits": 9}, {"matrix": matrix.double()}, {"matrix": matrix.requires_grad_()}):
        given = {"matrix": matrix.detach(), "bits": 8, **options}
        assert code_matrix(given.pop("matrix"), channels, read_voltage=VOLTAGE, **given) is None


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("kind", ["linear", "convolution"])
def test_a_layer_agrees_with_floating_point(card, kind, signed):
    setup = analog_setup(card, tile=(64, 64), wires_by="estimate")
    generator = torch_stream(6, "layer")
    if kind == "linear":
        layer = AnalogLinear.from_digital(nn.Linear(150, 40), setup).eval()
        x = torch.rand(90, 150, generator=generator)
    else:
        digital = nn.Conv2d(11, 7, 3, padding=1, stride=2)
        layer = AnalogConv2d.from_digital(digital, setup).eval()
        x = torch.rand(9, 11, 7, 6, generator=generator)
    x = x - (0.5 if signed else 0.0)
    layer.calibrate(x)
    chip = layer.program(seed=1)
    assert len(chip.codes) == chip.plan.row_blocks
    with torch.no_grad():
        found = layer(x)
        layer.analog.matrix.programmed = dataclasses.replace(chip, codes=())
        plain = layer(x)
    assert (found - plain).std() < 0.01 * plain.std()
    assert (found - plain).abs().mean() < 0.002 * plain.std()  # most codes are the same


def test_an_input_that_is_not_a_number_stays_visible(card):
    layer = AnalogLinear.from_digital(nn.Linear(20, 4), analog_setup(card)).eval()
    x = torch.rand(6, 20, generator=torch_stream(1, "x"))
    layer.calibrate(x)
    layer.program(seed=0)
    x[2, 3], x[4, 0] = float("nan"), float("inf")
    with torch.no_grad():
        assert layer(x).isnan().any(1).tolist() == [n == 2 for n in range(6)]
        assert layer(x[:0]).shape == (0, 4)


def test_a_layer_keeps_gradients(card):
    layer = AnalogLinear.from_digital(nn.Linear(20, 4), analog_setup(card)).eval()
    x = torch.rand(6, 20, requires_grad=True)
    layer.calibrate(x.detach())
    layer.program(seed=0)
    layer(x).square().sum().backward()
    assert x.grad.abs().sum() > 0


@pytest.mark.parametrize(
    "peripherals",
    [
        {"input_coding": "bit_serial"},
        {"correction": "cubic"},
        {"digital_bits": 12},
        {"adc_bits": 12},
        {"dac_bits": 10},
    ],
)
def test_other_peripherals_use_floating_point(card, peripherals):
    setup = analog_setup(card, peripherals=Peripherals(**peripherals))
    layer = AnalogLinear.from_digital(nn.Linear(20, 4), setup).eval()
    layer.calibrate(torch.rand(6, 20, generator=torch_stream(1, "x")))
    assert not layer.program(seed=0).codes
