"""Helps of a chip, each against an independent computation or its own formula."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from cases import TILE, Case, full_card
from torch import nn

from rramfit.array.devices.readout import ReadoutChannels
from rramfit.card.cells import CellMaps, Fault
from rramfit.errors import MappingError
from rramfit.mapping import (
    AnalogLinear,
    Peripherals,
    analog_matrices,
    analog_setup,
    convert_to_analog,
    program,
)
from rramfit.mapping.tiles.channel_calibration import REFERENCES, calibrated_channels
from rramfit.mapping.tiles.precision import round_significand
from rramfit.measurement import virtual_card


def plain(shape=TILE):
    return virtual_card("plain", mean=(30e-6, 80e-6, 200e-6), spread=0.1, array=shape)


def channels(count=4000, *, noise=1.5, third=0.0):
    rng = np.random.default_rng(1)
    gain = torch.tensor(180 * (1 + 0.05 * rng.normal(size=(1, count))))
    offset = torch.tensor(20 + 3 * rng.normal(size=(1, count)))
    third = torch.full_like(gain, third)
    return ReadoutChannels(
        gain=gain, offset=offset, third=third, noise=noise, full_scale=1.0, bits=8
    )


@pytest.mark.parametrize("reads", [1, 16])
def test_reads_find_the_line_with_the_error_of_their_noise(reads):
    true = channels()
    found = calibrated_channels(true, "linear", reads, generator=torch.Generator().manual_seed(3))
    low, high = REFERENCES["linear"]
    one = (1.5**2 + 1 / 12) / reads  # variance of a mean code
    of_gain = math.sqrt(2 * one) / (high - low)
    of_offset = math.sqrt(one * (high**2 + low**2)) / (high - low)
    n = true.gain.numel()
    for error, expected in (
        (found.gain - true.gain, of_gain),
        (found.offset - true.offset, of_offset),
    ):
        assert float(error.std()) == pytest.approx(expected, rel=4.5 / math.sqrt(2 * n))
        assert float(error.mean()) == pytest.approx(0, abs=4.5 * expected / math.sqrt(n))


def test_three_references_find_the_bow():
    true = channels(noise=0.3, third=8.0)
    found = calibrated_channels(true, "cubic", 4000, generator=torch.Generator().manual_seed(3))
    assert float((found.third - true.third).abs().mean()) < 0.6
    line = calibrated_channels(true, "linear", 4000, generator=torch.Generator().manual_seed(3))
    low, high = REFERENCES["linear"]
    chord = 8.0 * (high**3 - low**3) / (high - low)  # the line through both references
    assert float((line.gain - true.gain).mean()) == pytest.approx(chord, abs=0.1)


def test_what_is_not_corrected_is_not_calibrated():
    true = channels()
    assert calibrated_channels(true, "none", 1, generator=torch.Generator()) is true
    offset = calibrated_channels(true, "offset", 50, generator=torch.Generator())
    assert offset.gain is true.gain
    assert not torch.equal(offset.offset, true.offset)


def spread_of_outputs(**options):
    """Return the mean square error of outputs over chips, against exact weights."""
    card = full_card(noise=1.0, readout={"third_order": 0.0})
    case = Case(("adc", "readout"), card=card, peripherals=Peripherals(**options))
    exact = case.digital(case.x).detach().numpy()
    return np.mean([(case.run(seed=s) - exact) ** 2 for s in range(12)])


def test_a_calibration_by_reads_lies_between_none_and_exact():
    exact, many = spread_of_outputs(), spread_of_outputs(calibration_reads=256)
    few, none = spread_of_outputs(calibration_reads=1), spread_of_outputs(correction="none")
    assert many == pytest.approx(exact, rel=0.25)
    assert exact < few < none


def rounded(x, bits):
    significand, exponent = np.frexp(x)
    return np.ldexp(np.round(significand * 2**bits) / 2**bits, exponent)


def test_the_significand_of_digital_numbers_is_rounded():
    x = np.random.default_rng(0).normal(size=200)
    for bits in (2, 8, 24):
        found = round_significand(torch.tensor(x), bits).numpy()
        assert np.array_equal(found, rounded(x, bits))
        assert np.all(np.abs(found - x) <= np.abs(x) * 2.0**-bits)
    assert round_significand(torch.tensor(x), None).numpy().tolist() == x.tolist()


@pytest.mark.parametrize("bits", [3, 8])
def test_partial_sums_scales_and_biases_have_few_digits(bits):
    case = Case((), peripherals=Peripherals(digital_bits=bits))
    out = case.run()
    unit, scale = case.setup.read_voltage, rounded(case.scale, bits)
    bias = rounded(case.digital.bias.detach().numpy(), bits)
    largest = case.matrix.calibration.largest
    gain = rounded(np.array(largest / unit), bits)
    expected = np.empty_like(out)
    for n in range(case.vectors):
        for o in range(case.outputs):
            sums = np.zeros(2)
            for block in range(2):
                rows = np.zeros(TILE[0])
                part = unit / largest * case.x.numpy()[n, block * TILE[0] : (block + 1) * TILE[0]]
                rows[: len(part)] = part
                tile, plus, minus = case.tile_of(o, block)
                sums = rounded(sums + gain * case.ideal(tile, rows)[[plus, minus]], bits)
            expected[n, o] = rounded((sums[0] - sums[1]) * scale[o], bits) + bias[o]
    assert out == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert not np.allclose(out, Case(()).run(), rtol=1e-4)


def test_slow_read_noise_is_the_same_for_all_vectors_of_a_batch():
    found = {}
    for kind in ("white", "batch"):
        case = Case(("read",), peripherals=Peripherals(read_noise=kind))
        case.layer.calibrate(case.x)
        case.layer.program(seed=3)
        same = case.x[:1].expand(5, -1)
        with torch.no_grad():
            found[kind] = torch.stack([case.layer(same) for _ in range(400)])
    white, batch = found["white"], found["batch"]
    assert torch.allclose(batch, batch[:, :1].expand(batch.shape))
    assert not torch.allclose(white[:, 0], white[:, 1])
    assert batch[:, 0].var(0).numpy() == pytest.approx(
        white.flatten(0, 1).var(0).numpy(), rel=4.5 * math.sqrt(2 / 400)
    )


@pytest.mark.parametrize("gated", [False, True])
def test_slow_read_noise_reaches_every_forward(gated):
    """With gated rows and bits the product is in integers; the deviation is added."""
    card = full_card(inactive="gated" if gated else "grounded")
    coding = "bit_serial" if gated else "amplitude"
    setup = analog_setup(
        card,
        tile=TILE,
        factors=("read", "dac", "wires"),
        wires_by="estimate",
        peripherals=Peripherals(input_coding=coding, dac_bits=4, read_noise="batch"),
    )
    torch.manual_seed(0)
    digital, x = nn.Linear(11, 5), torch.rand(6, 11)
    layer = AnalogLinear.from_digital(digital, setup).eval()
    layer.calibrate(x)
    layer.program(seed=1)
    with torch.no_grad():
        first, second = layer(x[:1].expand(4, -1)), layer(x[:1].expand(4, -1))
    assert torch.allclose(first, first[:1].expand(4, -1))
    assert not torch.allclose(first, second, rtol=1e-4)


def test_tiles_of_a_chip_share_a_deviation():
    card = plain()
    setup = analog_setup(card, tile=TILE, factors=("quantisation", "between"), chip_spread=0.04)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(11, 5), nn.Linear(5, 6))
    analog = convert_to_analog(net, setup, inputs=torch.rand(4, 11))
    shares = []
    for index in range(300):
        program(analog, seed=2, index=index)
        ratios = [
            (m.programmed.cells.conductance / m.permutation.to_physical(t.conductance))[
                m.permutation.to_physical(t.level) >= 0
            ]
            for m, layer in zip(analog_matrices(analog), net, strict=True)
            for t in [m.targets(layer.weight.detach())]
        ]
        both = torch.cat(ratios)
        assert float(both.std()) < 1e-6
        shares.append(float(both.mean()) - 1)
    assert np.std(shares) == pytest.approx(0.04, rel=4.5 / math.sqrt(600))
    assert abs(np.mean(shares)) < 4.5 * 0.04 / math.sqrt(300)


def test_the_deviation_is_the_one_that_the_card_states():
    card = plain()
    assert analog_setup(card, tile=TILE).chip_spread is None
    levels = [
        x.model_copy(update={"mean": x.mean.model_copy(update={"between": s})})
        for x, s in zip(card.levels, (1e-6, 2e-6, 5e-6), strict=True)
    ]
    pooled = card.model_copy(update={"levels": levels})
    found = analog_setup(pooled, tile=TILE)
    assert found.chip_spread.tolist() == pytest.approx([1e-6, 2e-6, 5e-6])
    assert analog_setup(pooled, tile=TILE, chip_spread=0.0).chip_spread is None
    drawn = found.on_chips_of(card)  # a drawn card has its own means
    assert drawn.chip_spread is None


def test_spare_columns_leave_out_dead_ones():
    card = plain((16, 16))
    fault = np.zeros((16, 16), np.uint8)
    fault[:, 5] = Fault.DEAD_COL
    sound = np.zeros((3, 16, 16))
    cells = CellMaps(fault=fault, offset=sound, hard_posterior=sound)
    digital = nn.Linear(16, 7, bias=False)
    with torch.no_grad():
        digital.weight.copy_(torch.randn(7, 16, generator=torch.Generator().manual_seed(1)))
    x = torch.eye(16)

    def error(**options):
        setup = analog_setup(card, factors=("quantisation", "dead_lines"), origin=cells, **options)
        layer = AnalogLinear.from_digital(digital, setup).eval()
        layer.program(seed=0)
        ideal = AnalogLinear.from_digital(
            digital, dataclasses.replace(setup, factors=frozenset({"quantisation"}), origin=None)
        ).eval()
        ideal.program(seed=0)
        with torch.no_grad():
            return float((layer(x) - ideal(x)).square().sum()), layer.analog.matrix.plan

    without, _ = error()
    spared, plan = error(place_around_faults=True, spare_columns=2)
    assert without > 0.1
    assert spared == pytest.approx(0, abs=1e-9)
    assert plan.outputs_per_tile == 7
    with pytest.raises(MappingError, match="spare columns are of use to a placement only"):
        analog_setup(card, spare_columns=2)
    with pytest.raises(MappingError, match="with 15 spare columns"):
        error(place_around_faults=True, spare_columns=15)


def test_without_amplifiers_the_range_is_that_of_the_card():
    narrow = Case(("adc", "readout"), peripherals=Peripherals(adc_range="card"))
    narrow.run()
    converter = narrow.matrix.programmed.converter
    card = narrow.setup.readout.gain.value
    assert float(converter.gain.mean()) == pytest.approx(card, rel=0.05)
    bare = plain()
    with pytest.raises(MappingError, match="card plain, which has no read-out chain"):
        analog_setup(bare, peripherals=Peripherals(adc_range="card"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"calibration_reads": 0}, "calibration_reads is 0"),
        ({"digital_bits": 1}, "digital_bits is 1"),
        ({"read_noise": "pink"}, "read_noise is 'pink'"),
    ],
)
def test_impossible_helps_are_refused(options, message):
    with pytest.raises(MappingError, match=message):
        Peripherals(**options)
