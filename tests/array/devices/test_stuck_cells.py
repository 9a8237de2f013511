"""Stuck cells are drawn as they were found: fixed, moving, and between the levels."""

import math

import numpy as np
import pytest
import torch

from rramfit.array import DeviceModel, chip_from_cells, draw_chips
from rramfit.array.devices.stuck_cells import StuckState, equally_likely_stuck
from rramfit.card.cells import CellMaps, Fault
from rramfit.measurement import virtual_card
from rramfit.measurement.virtual.truth import failure_probability
from rramfit.streams import torch_stream

SHAPE = (48, 48)
MEAN = [30e-6, 90e-6, 200e-6]
STUCK = {
    "low": 0.04,
    "low_conductance": 3e-6,
    "low_std": 1e-6,
    "low_moving": 1.0,
    "low_motion": 2e-6,
    "middle": 0.06,
    "middle_conductance": 60e-6,
    "middle_std": 6e-6,
    "high": 0.05,
    "high_conductance": 300e-6,
    "high_std": 15e-6,
    "high_moving": 0.5,
    "high_motion": 30e-6,
}
K = 4.5


def model_of(**stuck):
    card = virtual_card("stuck", mean=MEAN, spread=0.1, stuck=stuck, window=0.2, array=SHAPE)
    return DeviceModel.from_card(card, dtype=torch.float64)


@pytest.fixture(scope="module")
def drawn():
    chips = draw_chips(model_of(**STUCK), 24, generator=torch_stream(1, "stuck"))
    generator = torch_stream(2, "program")
    states = [
        chips.program(torch.full(SHAPE, t % 3), generator=generator) for t in range(24)
    ]  # fmt: skip
    return chips, torch.stack([s.conductance for s in states]).numpy(), states


SIDES = {"low": Fault.STUCK_LOW, "middle": Fault.STUCK_MIDDLE, "high": Fault.STUCK_HIGH}


@pytest.mark.parametrize("side", SIDES)
def test_shares_and_medians_are_those_of_the_card(drawn, side):
    chips, g, _ = drawn
    here = (chips.fault == SIDES[side]).numpy()
    p = STUCK[side]
    assert abs(here.mean() - p) < K * math.sqrt(p * (1 - p) / here.size)
    fixed = here & (chips.stuck_motion == 0).numpy()
    x = np.log(chips.stuck_conductance.numpy()[here] / STUCK[f"{side}_conductance"])
    assert abs(x.mean()) < K * x.std() / math.sqrt(x.size)
    at = chips.stuck_conductance.numpy()[here]
    error = math.sqrt(((at - at.mean()) ** 2).std() ** 2 / at.size) / at.std() / 2
    assert abs(at.std() - STUCK[f"{side}_std"]) < K * error
    np.testing.assert_array_equal(g[:, fixed], np.broadcast_to(g[0][fixed], (24, fixed.sum())))
    moving = STUCK.get(f"{side}_moving", 0.0)
    share = 1 - fixed.sum() / here.sum()
    assert abs(share - moving) <= K * math.sqrt(moving * (1 - moving) / here.sum())


@pytest.mark.parametrize("side", ["low", "high"])
def test_moving_cells_move_at_every_programming(drawn, side):
    chips, g, _ = drawn
    moves = (chips.fault == SIDES[side]).numpy() & (chips.stuck_motion > 0).numpy()
    y = g[:, moves]
    assert len(np.unique(y[:, 0])) == len(y)
    own = chips.stuck_conductance.numpy()[moves]
    ratio = y.mean() / own.mean()  # motion leaves the mean of a cell
    assert ratio == pytest.approx(1, abs=K * (y.std(axis=0) / own).mean() / math.sqrt(y.size))
    motion = math.sqrt(y.var(axis=0, ddof=1).mean())
    assert motion == pytest.approx(STUCK[f"{side}_motion"], rel=0.15)
    assert (y >= 0).all()


def test_a_cell_between_the_levels_has_the_noise_of_the_nearest(drawn):
    chips, _, states = drawn
    middle = chips.fault == Fault.STUCK_MIDDLE
    at = states[0].state_level[middle]
    nearest = (chips.stuck_conductance[middle][:, None] - torch.tensor(MEAN)).abs().argmin(dim=1)
    assert torch.equal(at, nearest)
    assert set(at.tolist()) <= {0, 1}


def test_acceptance_follows_the_window(drawn):
    chips, g, states = drawn
    window = [(0.8 * m, 1.2 * m) for m in MEAN]
    stuck = (chips.fault != Fault.OK).numpy()
    for t, state in enumerate(states[:3]):
        inside = (g[t] >= window[t][0]) & (g[t] <= window[t][1])
        np.testing.assert_array_equal(state.accepted.numpy()[stuck], inside[stuck])
        p = failure_probability(chips, t)
        rejected = ~state.accepted.numpy()
        assert abs(rejected.mean() - p) < K * math.sqrt(p * (1 - p) / rejected.size)
    top = {"high_conductance": 200e-6, "high_std": 1e-6, "high_moving": 1.0, "high_motion": 40e-6}
    moving = draw_chips(model_of(high=0.5, **top), 1, generator=torch_stream(1, "x"))
    p = failure_probability(moving, 2)
    sigma = math.sqrt(math.log1p(0.2**2))
    low, high = (
        0.5 * math.erfc(-(math.log(x) + sigma**2 / 2) / sigma / math.sqrt(2)) for x in (0.8, 1.2)
    )
    assert p == pytest.approx(0.5 * (1 - (high - low)), abs=0.002)


def test_without_the_factor_no_cell_is_stuck(drawn):
    chips, _, _ = drawn
    sound = chips.take(torch.arange(2), factors=("d2d", "c2c"))
    assert (sound.fault == Fault.OK).all()
    model = model_of(**STUCK).without("stuck")
    again = draw_chips(model, 2, generator=torch_stream(1, "stuck"))
    assert (again.fault == Fault.OK).all()


def test_motion_shifts_no_other_stream(drawn):
    chips, _, _ = drawn
    fixed = {k: v for k, v in STUCK.items() if "mov" not in k and "motion" not in k}
    still = draw_chips(model_of(**fixed), 24, generator=torch_stream(1, "stuck"))
    assert still.stuck_motion is None
    assert torch.equal(still.fault, chips.fault)
    assert torch.equal(still.deviation, chips.deviation)
    a, b = (
        c.program(torch.full(SHAPE, 1), generator=torch_stream(3, "p")) for c in (still, chips)
    )  # fmt: skip
    healthy = chips.fault == Fault.OK
    assert torch.equal(a.conductance[healthy], b.conductance[healthy])


def test_a_measured_chip_keeps_the_motion_of_its_cells():
    model = model_of(**STUCK)
    fault = np.zeros(SHAPE, dtype=np.int8)
    fault[0, :4] = Fault.STUCK_HIGH, Fault.STUCK_MIDDLE, Fault.STUCK_LOW, Fault.NOT_MEASURED
    at, motion = np.full(SHAPE, np.nan), np.full(SHAPE, np.nan)
    at[0, :3], motion[0, 0] = (310e-6, 70e-6, 2e-6), 31e-6
    cells = CellMaps(
        fault=fault,
        offset=np.zeros((3, *SHAPE)),
        hard_posterior=np.zeros((3, *SHAPE)),
        stuck_conductance=at,
        stuck_motion=motion,
    )
    chips = chip_from_cells(model, cells, count=400, generator=torch_stream(4, "measured"))
    state = chips.program(torch.full(SHAPE, 1), generator=torch_stream(5, "p"))
    y = state.conductance[:, 0, :3].numpy()
    assert y[:, 0].std() == pytest.approx(31e-6, rel=0.2)
    assert y[:, 0].mean() == pytest.approx(310e-6, abs=K * 31e-6 / 20)
    np.testing.assert_allclose(y[:, 1:], np.broadcast_to([70e-6, 2e-6], (400, 2)))
    again = chips.program(torch.full(SHAPE, 2), generator=torch_stream(6, "p"))
    assert (again.conductance[:, 0, 0] != state.conductance[:, 0, 0]).all()


@pytest.mark.parametrize("moving", [0.0, 0.3, 1.0])
def test_equally_likely_conductances_have_the_moments_of_the_state(moving):
    state = StuckState(share=0.1, conductance=50e-6, spread=0.2, moving=moving, motion=0.4)
    z = torch.special.ndtri((torch.arange(4096, dtype=torch.float64) + 0.5) / 4096)
    g = equally_likely_stuck(state, z)
    assert len(g) == 4096
    assert (g.diff() >= 0).all()
    mean = 50e-6 * math.exp(0.02)
    second = 50e-6**2 * math.exp(0.08) * (1 + moving * (math.exp(0.16) - 1))
    assert float(g.mean()) == pytest.approx(mean, rel=2e-3)
    assert float((g**2).mean()) == pytest.approx(second, rel=1e-2)
