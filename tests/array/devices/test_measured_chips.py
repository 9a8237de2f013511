"""One measured chip has its measured faults, offsets and readings."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from rramfit.array import DeviceModel, ReplayedChips, chip_from_cells, draw_chips
from rramfit.card.cells import CellMaps, Fault
from rramfit.errors import ArrayError
from rramfit.fitting.characterization import characterize
from rramfit.measurement import random_card, replay, synthesize
from rramfit.streams import torch_stream

SHAPE = (16, 18)
CARD = random_card(21, distribution="gamma", array=SHAPE)
MODEL = DeviceModel.from_card(CARD, dtype=torch.float64)
K = 4.5


def truth_of(seed=1):
    """Return a drawn chip, and the sidecar that describes it without error."""
    chip = draw_chips(MODEL, 1, generator=torch_stream(seed, "truth"))
    m = chip.model.conditional_mean.numpy()
    knots = np.linspace(-6, 6, m.shape[1])
    offset = np.empty((3, *SHAPE))
    for k in range(3):
        d = chip.deviation[0, k].numpy()
        level = torch.full((1, *SHAPE), k)
        offset[k] = np.interp(d, knots, m[k]) - CARD.levels[k].mean.value
        offset[k] += chip.trend(level)[0].numpy()
    maps = CellMaps(
        fault=chip.fault[0].numpy().astype(np.int8),
        offset=offset,
        hard_posterior=chip.hard[0].numpy().astype(float),
    )
    return chip, maps


def test_a_perfect_sidecar_gives_the_chip_back():
    chip, maps = truth_of()
    again = chip_from_cells(MODEL, maps, count=4, generator=torch_stream(5, "again"))
    # 1e-4: offsets went through a table of conditional means and back
    torch.testing.assert_close(
        again.deviation, chip.deviation.expand(4, -1, -1, -1), atol=1e-4, rtol=0
    )
    assert torch.equal(again.fault, chip.fault.expand(4, -1, -1))
    assert torch.equal(again.hard, chip.hard.expand(4, -1, -1, -1))


def test_stuck_cells_keep_their_measured_conductance():
    chip, maps = truth_of()
    stuck = np.isin(maps.fault, (Fault.STUCK_LOW, Fault.STUCK_HIGH))
    assert stuck.any()
    at = np.where(stuck, chip.stuck_conductance[0].numpy(), np.nan)
    known = dataclasses.replace(maps, stuck_conductance=at)
    again = chip_from_cells(MODEL, known, count=3, generator=torch_stream(6, "again"))
    for one in again.stuck_conductance.numpy():
        np.testing.assert_allclose(one[stuck], at[stuck])
    unknown = chip_from_cells(MODEL, maps, count=3, generator=torch_stream(6, "again"))
    assert (unknown.stuck_conductance.numpy()[:, stuck] != at[stuck]).all()


def test_each_cell_scatters_about_its_own_offset():
    _, maps = truth_of()
    n = 400
    chips = chip_from_cells(MODEL, maps, count=n, generator=torch_stream(5, "again"))
    state = chips.program(torch.full(SHAPE, 1), generator=torch_stream(6, "x"))
    g = np.where(state.accepted.numpy(), state.conductance.numpy(), np.nan)
    ok = (maps.fault == Fault.OK) & (maps.hard_posterior[1] == 0)
    mean, error = np.nanmean(g[:, ok], axis=0), np.nanstd(g[:, ok], axis=0) / math.sqrt(n)
    z = (mean - CARD.levels[1].mean.value - maps.offset[1][ok]) / error
    assert np.abs(z).max() < 5  # of some 280 cells
    assert abs(z.mean()) < K / math.sqrt(z.size)


def test_offsets_are_drawn_within_their_errors():
    """The deviation of a cell over chips: its offset's error over the slope of m(D) at it."""
    _, maps = truth_of()
    stderr = np.full(maps.offset.shape, 0.2 * CARD.variation[1].d2d.value)
    stderr[:, :4] = np.nan  # not known: taken as exact
    known = dataclasses.replace(maps, offset_stderr=stderr)
    n = 600
    chips = chip_from_cells(MODEL, known, count=n, generator=torch_stream(5, "again"))
    exact = chip_from_cells(MODEL, maps, count=n, generator=torch_stream(5, "again"))
    for name in ("fault", "hard", "stuck_conductance"):  # nothing else changes
        assert torch.equal(getattr(chips, name), getattr(exact, name))
    assert torch.equal(chips.deviation[:, :, :4], exact.deviation[:, :, :4])
    m, knots = MODEL.conditional_mean.numpy(), np.linspace(-6, 6, MODEL.conditional_mean.shape[1])
    d = chips.deviation[:, 1, 4:].numpy()
    offset = np.interp(d, knots, m[1]) - CARD.levels[1].mean.value
    offset += exact.trend(torch.full((1, *SHAPE), 1))[0, 4:].numpy()
    z = (offset - maps.offset[1, 4:]) / stderr[1, 4:]
    assert np.abs(z.mean(axis=0)).max() < 5 / math.sqrt(n)
    assert (z**2).mean() == pytest.approx(1, abs=5 * math.sqrt(2 / z.size))


def test_a_fitted_chip_has_the_spread_of_the_measured_one():
    """Offsets alone, as posterior means, would leave out the variance of what is not known."""
    card = random_card(3, failures=False, spatial=False, array=(64, 64))
    measured = synthesize(card, sweeps=9, seed=1)
    fitted = characterize(measured, name="chip", seed=0)
    model = DeviceModel.from_card(fitted.card)
    chips = chip_from_cells(model, fitted.cells, count=30, generator=torch_stream(1, "chips"))
    for k in range(3):
        state = chips.program(torch.full((64, 64), k), generator=torch_stream(k, "program"))
        drawn = state.read(torch_stream(k, "read")).double().numpy()
        readings = replay(measured).conductance[:, k].double().numpy()
        # of 4096 cells with 3 readings each: relative error of a variance below √(2/4096) = 0.022
        assert drawn.var() == pytest.approx(readings.var(), rel=0.04)
        assert drawn.mean() == pytest.approx(readings.mean(), rel=0.01)


def test_levels_not_measured_are_drawn_given_the_measured_ones():
    chip, maps = truth_of()
    offset = maps.offset.copy()
    offset[2] = np.nan
    part = CellMaps(fault=maps.fault, offset=offset, hard_posterior=maps.hard_posterior)
    n = 300
    chips = chip_from_cells(MODEL, part, count=n, generator=torch_stream(5, "again"))
    c = MODEL.levels.deviation_correlation
    known = chip.deviation[0, :2].numpy().reshape(2, -1)
    weight = np.linalg.solve(c[:2, :2], c[:2, 2])
    left = 1 - c[:2, 2] @ weight
    found = chips.deviation[:, 2].numpy().reshape(n, -1)
    error = found - weight @ known
    assert np.abs(error.mean(axis=0)).max() < 5 * math.sqrt(left / n)
    near = (error**2).mean(axis=1)
    assert abs(near.mean() - left) < K * near.std() / math.sqrt(n)


def test_cells_not_measured_are_drawn_from_the_population():
    maps = CellMaps(
        fault=np.full(SHAPE, Fault.NOT_MEASURED, dtype=np.int8),
        offset=np.full((3, *SHAPE), np.nan),
        hard_posterior=np.full((3, *SHAPE), np.nan),
    )
    chips = chip_from_cells(MODEL, maps, count=300, generator=torch_stream(5, "again"))
    square = (chips.deviation**2).mean(dim=(1, 2, 3)).numpy()
    assert abs(square.mean() - 1) < K * square.std() / math.sqrt(300)
    hard = chips.hard[:, 0].double().mean(dim=(1, 2)).numpy()
    want = CARD.failure[0].hard.value
    assert abs(hard.mean() - want) < K * hard.std() / math.sqrt(300)
    assert not bool((chips.fault == Fault.NOT_MEASURED).any())


def test_a_posterior_is_a_probability():
    _, maps = truth_of()
    posterior = np.full((3, *SHAPE), 0.25)
    posterior[1] = 1.0
    part = CellMaps(fault=maps.fault, offset=maps.offset.copy(), hard_posterior=posterior)
    chips = chip_from_cells(MODEL, part, count=50, generator=torch_stream(5, "again"))
    share = float(chips.hard[:, 0].double().mean())
    assert abs(share - 0.25) < K * math.sqrt(0.25 * 0.75 / chips.hard[:, 0].numel())
    assert bool(chips.hard[:, 1].all())


def test_a_sidecar_of_another_card_is_refused():
    maps = CellMaps(
        fault=np.zeros(SHAPE, dtype=np.int8),
        offset=np.zeros((2, *SHAPE)),
        hard_posterior=np.zeros((2, *SHAPE)),
    )
    with pytest.raises(ArrayError, match="the sidecar has 2 levels and the card 3"):
        chip_from_cells(MODEL, maps, generator=torch_stream(5, "x"))


def test_replay_gives_back_what_was_measured():
    generator = torch_stream(1, "measured")
    g = torch.rand((2, 3, 4, 5), generator=generator)
    accepted = torch.rand(g.shape, generator=generator) > 0.3
    g[0, 1, 2, 2] = torch.nan
    chips = ReplayedChips(conductance=g, accepted=accepted)
    level = torch.arange(20).reshape(4, 5) % 3
    level[2, 2] = 1
    state = chips.program(level, generator=torch_stream(2, "x"))
    read = state.age(1e5, generator).read(generator)
    for chip in range(2):
        for r in range(4):
            for c in range(5):
                k = int(level[r, c])
                if torch.isnan(g[chip, k, r, c]):
                    assert float(read[chip, r, c]) in g[:, k].ravel().tolist()
                else:
                    assert read[chip, r, c] == g[chip, k, r, c]
                    assert state.accepted[chip, r, c] == accepted[chip, k, r, c]
    assert chips.unmeasured_share == pytest.approx(1 / 120)


def test_a_level_never_read_cannot_be_replayed():
    g = torch.rand((1, 2, 3, 3), generator=torch_stream(1, "measured"))
    g[:, 1] = torch.nan
    chips = ReplayedChips(conductance=g, accepted=torch.ones_like(g, dtype=torch.bool))
    with pytest.raises(ArrayError, match="no cell has a reading at level 1"):
        chips.program(torch.ones((3, 3), dtype=torch.int64), generator=torch_stream(1, "x"))
