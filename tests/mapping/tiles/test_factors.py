"""Each non-ideality alone, against a slow reference that computes cell by cell in float64.

The reference shares no code with the library. It uses only numbers of the chip: its cells'
conductances, its converters' constants, its ranges.
"""

import dataclasses
import math

import numpy as np
import pytest
import torch
from cases import MEAN, TILE, Case, full_card, nodal

from rramfit.card import Quantity, seal
from rramfit.card.cells import CellMaps, Fault
from rramfit.card.schema import IVCard
from rramfit.mapping import FACTORS, Peripherals
from rramfit.mapping.tiles.programmed import NEGLIGIBLE

EXACT = 1e-12  # several hundred float64 rounding errors


def assert_close(found, wanted, tolerance=EXACT):
    assert np.abs(found - wanted).max() <= tolerance * np.abs(wanted).max()


def digital(case):
    with torch.no_grad():
        return case.digital(case.x).numpy()


def differs(found, case, least=1e-3):
    assert np.abs(found - digital(case)).max() > least * np.abs(digital(case)).max()


@pytest.mark.parametrize("scheme", ["columns", "arrays", "offset"])
@pytest.mark.parametrize("slices", [1, 2])
def test_without_factors_it_is_the_digital_layer(scheme, slices):
    even = full_card(mean=(30e-6, 80e-6, 130e-6))
    case = Case((), scheme=scheme, slices=slices, signed=True, card=even)
    assert_close(case.run(), digital(case))


@pytest.mark.parametrize("slices", [1, 2])
def test_quantisation(slices):
    case = Case(("quantisation",), slices=slices)
    found = case.run()
    book = case.setup.book
    pairs = [(a, b) for a in range(3) for b in range(3)]
    radix = 1.0 if slices == 1 else book.radix
    if slices == 2:  # largest difference divided by half the widest gap
        values = sorted({round(MEAN[a] - MEAN[b], 12) for a, b in pairs})
        assert radix == pytest.approx(values[-1] / max(np.diff(values)) * 2)
    made = np.zeros((case.outputs, case.inputs))
    for o in range(case.outputs):
        for i in range(case.inputs):
            wanted = float(case.digital.weight[o, i].detach()) / case.scale[o]
            best = math.inf
            for a, b in pairs:
                for c, d in pairs if slices == 2 else [(0, 0)]:
                    value = MEAN[a] - MEAN[b] + (MEAN[c] - MEAN[d]) / radix
                    if abs(value - wanted) < abs(best - wanted):
                        best = value
            made[o, i] = best * case.scale[o]
    wanted = case.x.numpy() @ made.T + case.digital.bias.detach().numpy()
    # sums closer than a thousandth of the finest slice's range count as equal
    merged = 0.0 if slices == 1 else 1e-3 * MEAN[2] / radix * case.scale.max() * case.inputs
    # the model's means come from numerical quadrature
    assert np.abs(found - wanted).max() <= 1e-10 * np.abs(wanted).max() + merged
    differs(found, case)


@pytest.mark.parametrize("factor", ["d2d", "field", "c2c"])
def test_variation(factor):
    on = (factor, "d2d") if factor == "field" else (factor,)
    case = Case(("quantisation", *on))
    found = case.run()
    assert_close(found, case.reference(currents=case.ideal))
    plain = Case(("quantisation",)).run()
    assert np.abs(found - plain).max() > 0.01 * np.abs(plain).max()


def test_trend():
    case = Case(("quantisation", "trend"))
    found = case.run()
    level = case.matrix.targets(case.digital.weight).level.clamp_min(0).numpy()
    r, c = np.indices(TILE)
    mean = np.array(MEAN)[level]
    tilted = mean * (1 + 0.01 * (r - 3.5) - 0.02 * (c - 3.5))
    assert_close(case.conductance, tilted)
    assert_close(found, case.reference(currents=case.ideal))


def test_failure_leaves_cells_at_the_lowest_level():
    card = full_card(soft=[0.0, 0.0, 1.0], hard=0.0)
    case = Case(("quantisation", "failure"), card=card)
    found = case.run()
    level = case.matrix.targets(case.digital.weight).level.clamp_min(0).numpy()
    level[level == 2] = 0
    assert_close(case.conductance, np.array(MEAN)[level])
    assert_close(found, case.reference(currents=case.ideal))
    differs(found, case)


def maps(fault):
    shape = (3, *TILE)
    return CellMaps(fault=fault, offset=np.zeros(shape), hard_posterior=np.zeros(shape))


@pytest.mark.parametrize("factor", ["stuck", "dead_lines"])
def test_faults_of_a_fitted_chip(factor):
    fault = np.zeros(TILE, np.int8)
    fault[2, 1], fault[5, 4] = Fault.STUCK_LOW, Fault.STUCK_HIGH
    fault[6], fault[:, 3] = Fault.DEAD_ROW, Fault.DEAD_COL
    case = Case(("quantisation", factor), origin=maps(fault))
    found = case.run()
    target = case.matrix.targets(case.digital.weight).conductance.detach().numpy()
    bad = np.isin(fault, (1, 2) if factor == "stuck" else (3, 4))
    assert_close(case.conductance[:, ~bad], target[:, ~bad])
    if factor == "dead_lines":
        assert not case.conductance[:, bad].any()
    else:
        low, high = case.conductance[:, 2, 1], case.conductance[:, 5, 4]
        spread = 5 * 0.12  # five times the relative spread of the levels
        assert (np.abs(np.log(low / 2e-6)) < spread).all()
        assert (np.abs(np.log(high / 300e-6)) < spread).all()
    assert_close(found, case.reference(currents=case.ideal))
    differs(found, case)


def test_retention():
    case = Case(("quantisation", "retention"), time=100.0)
    found = case.run()
    level = case.matrix.targets(case.digital.weight).level.clamp_min(0).numpy()
    aged = np.array(MEAN)[level] * (1 - 0.02 - 0.01 * math.log(100.0))
    assert_close(case.conductance, aged)
    assert_close(found, case.reference(currents=case.ideal))


@pytest.mark.parametrize("b", [2.0, 1.0])
@pytest.mark.parametrize("signed", [False, True])
def test_nonlinearity(signed, b):
    card = full_card()
    card = seal(card.model_copy(update={"iv": IVCard(nonlinearity=Quantity.given(b, "1/V"))}))
    case = Case(("quantisation", "nonlinearity"), signed=signed, card=card)
    found = case.run()
    largest = case.matrix.calibration.largest
    unit = case.setup.read_voltage
    v0 = 0.2
    slope = case.conductance * b * v0 / math.sinh(b * v0)

    def currents(tile, volts):
        g = slope[tile]
        return np.array(
            [
                sum(g[r, c] * math.sinh(b * volts[r]) / b for r in range(TILE[0]))
                for c in range(TILE[1])
            ]
        )

    x = case.x.numpy() / largest * unit
    passes = [(largest, np.maximum(x, 0)), (-largest, np.maximum(-x, 0))]
    reference = case.reference(volts=passes, currents=currents)
    # the series of sinh omits (bV)^5/5! and higher terms if negligible, otherwise (bV)^7/7! and
    # higher terms
    terms = len(case.matrix.programmed.odd)
    assert terms == (2 if (b * v0) ** 4 / 120 > NEGLIGIBLE else 1)
    left_out = (b * v0) ** (2 * terms + 2) / math.factorial(2 * terms + 3) * 2
    assert_close(found, reference, left_out * 10)
    differs(found, case)


@pytest.mark.parametrize("inactive", ["grounded", "floating", "gated"])
def test_wires_solved_exactly(inactive):
    peripherals = Peripherals(wire_correction=False)
    case = Case(
        ("quantisation", "wires"), card=full_card(inactive=inactive), peripherals=peripherals
    )
    found = case.run()
    line = case.setup.line

    def currents(tile, volts):
        return nodal(case.conductance[tile], volts, line, active=volts != 0)

    assert_close(found, case.reference(currents=currents), 1e-8)
    plain = Case(("quantisation",)).run()
    assert np.abs(found - plain).max() > 0.01 * np.abs(plain).max()


def test_the_nominal_gain_corrects_the_mean_loss_in_wires():
    case = Case(("quantisation", "wires"))
    found = case.run()
    lost = Case(("quantisation", "wires"), peripherals=Peripherals(wire_correction=False)).run()
    plain = Case(("quantisation",)).run()
    assert np.abs(found - plain).max() < 0.5 * np.abs(lost - plain).max()
    ideal = [case.ideal(t, np.ones(8)) for t in range(4)]
    gain = case.matrix.programmed.gain.numpy().reshape(2, 2, 8)
    for t, amps in enumerate(ideal):
        rows = np.ones(8) if t < 2 else (np.arange(8) < 3).astype(float)
        wired = nodal(case.conductance[t], rows, case.setup.line)
        wanted = (case.conductance[t] * rows[:, None]).sum(0) / wired
        assert_close(gain[t // 2, t % 2], wanted, 1e-9)
        assert (amps >= wired - 1e-15).all()


def test_estimated_wires_have_a_certificate():
    case = Case(("quantisation", "d2d", "c2c", "wires"), wires_by="estimate")
    exact = Case(("quantisation", "d2d", "c2c", "wires"))
    found, wanted = case.run(), exact.run()
    assert_close(case.conductance, exact.conductance)
    certificate = case.matrix.certificate()
    assert certificate.ok
    assert certificate.anchored
    # 4 columns per output, each with at most twice the 99th percentile of errors
    amps = 2 * certificate.p99 / 100 * certificate.full_scale
    gain = float(case.matrix.programmed.gain.max())
    bound = 4 * amps * gain * case.scale.max() / case.setup.read_voltage
    assert 0 < np.abs(found - wanted).max() < bound


def test_nonlinear_cells_with_wires():
    peripherals = Peripherals(wire_correction=False)
    case = Case(("quantisation", "wires", "nonlinearity"), peripherals=peripherals)
    found = case.run()
    largest, unit = case.matrix.calibration.largest, case.setup.read_voltage
    slope = case.conductance * 0.4 / math.sinh(0.4)
    line = case.setup.line

    def currents(tile, volts):
        return nodal(slope[tile], volts, line, nonlinearity=2.0, rounds=8)

    volts = [(largest, case.x.numpy() / largest * unit)]
    wanted = case.reference(volts=volts, currents=currents)
    linear = case.reference(volts=volts, currents=lambda t, v: nodal(slope[t], v, line))
    excess = np.abs(wanted - linear).max()
    assert np.abs(found - wanted).max() < 0.1 * excess  # the first-order correction covers 90 %


@pytest.mark.parametrize("signed", [False, True])
def test_dac(signed):
    case = Case(("dac",), signed=signed, peripherals=Peripherals(dac_bits=4))
    found = case.run()
    largest = case.matrix.calibration.largest
    unit = case.setup.read_voltage
    quantised = np.zeros((2, *case.x.shape))
    for n, row in enumerate(case.x.numpy()):
        for i, value in enumerate(row):
            for sign, k in ((1, 0), (-1, 1)):
                share = min(max(sign * value / largest, 0.0), 1.0)
                quantised[k, n, i] = round(share * 15) / 15 * unit
    volts = [(largest, quantised[0]), (-largest, quantised[1])]
    assert_close(found, case.reference(volts=volts, currents=case.ideal))
    differs(found, case)


@pytest.mark.parametrize("signed", [False, True])
def test_bit_serial_inputs(signed):
    coding = Peripherals(input_coding="bit_serial", dac_bits=5)
    case = Case(("dac",), signed=signed, peripherals=coding)
    found = case.run()
    largest, unit = case.matrix.calibration.largest, case.setup.read_voltage
    top = 15 if signed else 31
    volts = []
    for bit in range(5):
        weight = -16 if signed and bit == 4 else 2**bit
        plane = np.zeros(case.x.shape)
        for n, row in enumerate(case.x.numpy()):
            for i, value in enumerate(row):
                code = round(min(max(value / largest, -1.0 if signed else 0.0), 1.0) * top)
                plane[n, i] = unit if (code % 32) >> bit & 1 else 0.0
        volts.append((largest * weight / top, plane))
    assert_close(found, case.reference(volts=volts, currents=case.ideal))


def channels(case):
    """Return the converters' constants of every tile, in the card's units, (tile, column)."""
    blocks = case.matrix.programmed.converter.channels
    full = case.matrix.calibration.full_scale.numpy().reshape(-1, 1)
    gain, offset, third = (
        np.concatenate([getattr(b, name).numpy().reshape(2, 8) for b in blocks])
        for name in ("gain", "offset", "third")
    )
    stretch = blocks[0].full_scale / full
    return blocks[0], (gain / stretch, offset, third / stretch**3)


def converted(case, *, quantised):
    """Return a function for column currents after each column's converter."""
    full = case.matrix.calibration.full_scale.numpy().reshape(-1)
    converter, (gain, offset, third) = channels(case)

    def currents(tile, volts):
        out = np.zeros(TILE[1])
        for c, amps in enumerate(case.ideal(tile, volts)):
            scaled = amps * converter.full_scale / full[tile]
            cubic = third[tile, c] * (scaled / converter.full_scale) ** 3
            code = offset[tile, c] + gain[tile, c] * scaled + cubic
            if quantised:
                code = min(max(round(code), 0), 2**converter.bits - 1)
            read = (code - offset[tile, c]) / gain[tile, c]
            out[c] = read * full[tile] / converter.full_scale
        return out

    return currents


@pytest.mark.parametrize("bits", [4, 6, 8])
def test_adc(bits):
    case = Case(("adc",), peripherals=Peripherals(adc_bits=bits))
    found = case.run()
    largest, unit = case.matrix.calibration.largest, case.setup.read_voltage
    volts = [(largest, case.x.numpy() / largest * unit)]
    assert_close(found, case.reference(volts=volts, currents=converted(case, quantised=True)))
    differs(found, case, 1e-4)


def test_readout():
    case = Case(("readout",))
    found = case.run()
    largest, unit = case.matrix.calibration.largest, case.setup.read_voltage
    _, (gain, offset, third) = channels(case)
    assert gain.std() / gain.mean() == pytest.approx(0.03, rel=4.5 / math.sqrt(2 * 32))
    assert offset.std() == pytest.approx(2.0, rel=4.5 / math.sqrt(2 * 32))
    assert third == pytest.approx(4.0)
    volts = [(largest, case.x.numpy() / largest * unit)]
    assert_close(found, case.reference(volts=volts, currents=converted(case, quantised=False)))
    differs(found, case, 1e-4)


def test_each_correction_removes_its_error():
    def error(correction, **readout):
        options = {"card": full_card(readout=readout)} if readout else {}
        case = Case(("readout",), peripherals=Peripherals(correction=correction), **options)
        return np.abs(case.run() - digital(case)).max()

    size = np.abs(digital(Case(()))).max()
    shifted = {"gain_spread": 0.0, "third_order": 0.0}
    assert error("none", **shifted) > 0.01 * size
    assert error("offset", **shifted) < EXACT * size
    linear = {"third_order": 0.0}
    assert error("offset", **linear) > 0.01 * size
    assert error("linear", **linear) < EXACT * size
    assert error("linear") > 0.003 * size
    # the cubic term is 4 of 230 steps; three iterations leave the cube of three times that
    assert error("cubic") < (3 * 4 / 230) ** 3 * size * 4


def test_read_noise_has_its_variance():
    case = Case(("quantisation", "read"))
    case.run()
    std = 0.02 * np.array(MEAN)
    level = case.matrix.targets(case.digital.weight).level.clamp_min(0).numpy()
    repeats = 600
    with torch.no_grad():
        out = np.stack([case.layer(case.x).numpy() for _ in range(repeats)])
    largest, unit = case.matrix.calibration.largest, case.setup.read_voltage
    mean = case.reference(currents=case.ideal)
    n, o = 1, 2
    variance = 0.0
    for block in range(2):
        tile, plus, minus = case.tile_of(o, block)
        for r in range(TILE[0]):
            i = block * TILE[0] + r
            if i < case.inputs:
                volt = float(case.x[n, i]) / largest * unit
                for c in (plus, minus):
                    variance += (volt * std[level[tile, r, c]]) ** 2
    variance *= (case.scale[o] * largest / unit) ** 2
    assert abs(out[:, n, o].mean() - mean[n, o]) < 4.5 * math.sqrt(variance / repeats)
    assert out[:, n, o].var() == pytest.approx(variance, rel=4.5 * math.sqrt(2 / repeats))


def test_converter_noise_has_its_variance():
    case = Case(("readout",), card=full_card(noise=3.0))
    case.run()
    with torch.no_grad():
        out = np.stack([case.layer(case.x).numpy() for _ in range(400)])
    full = case.matrix.calibration.full_scale.numpy().reshape(-1)
    largest, unit = case.matrix.calibration.largest, case.setup.read_voltage
    converter, (gain, _, _) = channels(case)
    n, o, variance = 1, 2, 0.0
    for block in range(2):
        tile, *columns = case.tile_of(o, block)
        step = [full[tile] / converter.full_scale / gain[tile, c] for c in columns]
        variance += sum((3.0 * s * case.scale[o] * largest / unit) ** 2 for s in step)
    assert out[:, n, o].var() == pytest.approx(variance, rel=4.5 * math.sqrt(2 / 400))


def test_all_factors_together_are_reproducible():
    case, again = Case(FACTORS, time=10.0), Case(FACTORS, time=10.0)
    first, second = case.run(seed=5), again.run(seed=5)
    assert np.array_equal(first, second)
    assert not np.array_equal(first, case.run(seed=6))
    differs(first, case)


def test_factors_can_be_switched_one_by_one():
    assert {f.name for f in dataclasses.fields(Case(()).setup)} >= {"factors", "time", "origin"}
    full = Case(FACTORS, chip_spread=0.02).run()
    for factor in FACTORS:
        less = Case(tuple(f for f in FACTORS if f != factor), chip_spread=0.02).run()
        if factor == "retention":  # no ageing at time 0
            assert np.array_equal(full, less)
        else:
            assert not np.array_equal(full, less), factor
