"""Cells that SET/RESET cycles have worn out, in drawn and in fitted chips."""

import math

import numpy as np
import pytest
import torch

from rramfit.array import DeviceModel, chip_from_cells, draw_chips
from rramfit.card.cells import CellMaps, Fault
from rramfit.mapping import analog_setup
from rramfit.measurement.virtual.cards import virtual_card
from rramfit.measurement.virtual.endurance import with_weibull_lives
from rramfit.measurement.virtual.group_cards import with_groups
from rramfit.streams import torch_stream
from rramfit.training.forward.cell_tables import cell_distributions

SHAPE = (128, 128)
CARD = with_weibull_lives(
    with_groups(
        virtual_card(
            "worn", mean=[2e-5, 9e-5], spread=0.05, array=SHAPE, stuck={"low": 0.03, "high": 0.02}
        ),
        3,
    ),
    1.8,
    2e4,
)
MODES = {Fault.STUCK_LOW: 0.3, Fault.STUCK_HIGH: 0.5, Fault.STUCK_MIDDLE: 0.2}
STUCK = {Fault.STUCK_LOW: 0.03, Fault.STUCK_HIGH: 0.02, Fault.STUCK_MIDDLE: 0.0}
K = 4.5


def failed(cycles):
    return 1 - math.exp(-((cycles / 2e4) ** 1.8))


def drawn(cycles, **off):
    model = DeviceModel.from_card(CARD, dtype=torch.float64, cycles=cycles)
    if off:
        model = model.without(*off)
    return draw_chips(model, 2, generator=torch_stream(1, "wear"))


def test_the_share_of_each_mode_is_that_of_the_lives():
    for cycles in (3000, 20_000):
        fault = drawn(cycles).fault.numpy()
        for kind, share in MODES.items():
            p = STUCK[kind] + 0.95 * failed(cycles) * share
            assert abs((fault == kind).mean() - p) < K * math.sqrt(p * (1 - p) / fault.size)


def test_wear_changes_nothing_else_and_does_not_heal():
    new, some, more = drawn(0), drawn(5000), drawn(20_000)
    assert torch.equal(new.deviation, more.deviation)
    assert torch.equal(new.hard, more.hard)
    was_stuck = new.fault != Fault.OK
    assert torch.equal(new.fault[was_stuck], more.fault[was_stuck])
    gone = some.fault != Fault.OK
    assert torch.equal(some.fault[gone], more.fault[gone])
    assert (more.fault != Fault.OK).sum() > gone.sum() > was_stuck.sum()
    level = torch.zeros(SHAPE, dtype=torch.int64)
    states = [x.program(level, generator=torch_stream(2, "program")) for x in (new, more)]
    healthy = more.fault == Fault.OK
    assert torch.equal(states[0].conductance[healthy], states[1].conductance[healthy])
    closed = more.fault == Fault.STUCK_MIDDLE
    middle = states[1].conductance[closed]
    assert ((middle > 2e-5) & (middle < 9e-5)).all()


def test_without_cycles_nothing_wears():
    model = DeviceModel.from_card(CARD)
    assert model.faults.worn == {}
    assert any("no cell wears out" in text for text in model.assumptions)
    assert not any("wears out" in x for x in DeviceModel.from_card(CARD, cycles=100).assumptions)


def test_stuck_cells_off_are_worn_out_cells_off():
    assert (drawn(20_000, stuck=False).fault == Fault.OK).all()


def test_a_fitted_chip_wears_in_its_healthy_cells():
    fault = np.zeros((64, 64), dtype=np.int8)
    fault[0], fault[1, :8] = Fault.DEAD_ROW, Fault.STUCK_HIGH
    cells = CellMaps(
        fault=fault, offset=np.zeros((2, 64, 64)), hard_posterior=np.zeros((2, 64, 64))
    )
    model = DeviceModel.from_card(CARD, dtype=torch.float64, cycles=20_000)
    chip = chip_from_cells(model, cells, count=3, generator=torch_stream(1, "fitted"))
    found = chip.fault.numpy()
    known = np.broadcast_to(fault != Fault.OK, found.shape)
    assert (found[known] == np.broadcast_to(fault, found.shape)[known]).all()
    p = failed(20_000)
    assert abs((found[~known] != Fault.OK).mean() - p) < K * math.sqrt(p / (~known).sum())
    worn = ~known & (found != Fault.OK)
    assert (chip.stuck_conductance.numpy()[worn] > 0).all()


def test_the_tables_of_training_have_the_same_shares():
    d = cell_distributions(DeviceModel.from_card(CARD, cycles=20_000))
    steps = 2**19
    p = [STUCK[k] + 0.95 * failed(20_000) * MODES[k] for k in (Fault.STUCK_LOW, Fault.STUCK_HIGH)]
    assert d.stuck_low / steps == pytest.approx(p[0], abs=1e-5)
    assert (d.stuck_high - d.stuck_low) / steps == pytest.approx(p[1], abs=1e-5)
    assert int(d.failing[0]) / steps == pytest.approx(0.05 + 0.95 * failed(20_000), abs=1e-5)


def test_a_network_is_mapped_on_worn_chips():
    setup = analog_setup(CARD, tile=(16, 16), cycles=50_000)
    assert setup.model.faults.stuck_share == pytest.approx(0.05 + 0.95 * failed(50_000))
    assert any("50000 cycles are 5 times the most" in text for text in setup.model.assumptions)
    other = setup.on_chips_of(with_weibull_lives(CARD, 1.0, 1e5))
    assert other.model.faults.stuck_share == pytest.approx(0.05 + 0.95 * (1 - math.exp(-0.5)))
