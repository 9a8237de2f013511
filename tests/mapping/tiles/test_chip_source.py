"""Tiles of measured and given arrays: their cells, and the cells' expected conductances."""

import dataclasses

import numpy as np
import pytest
import torch
from cases import MEAN, full_card

from rramfit.array import DeviceModel, ReplayedChips, draw_chips
from rramfit.card.cells import CellMaps, Fault
from rramfit.errors import MappingError
from rramfit.mapping.tiles.chip_source import draw_chip_cells, expected_conductance
from rramfit.streams import torch_stream

ARRAY, TILE = (9, 10), (4, 5)


@pytest.fixture
def replayed():
    """Two cycles of an array whose conductances encode cycle, level, row and column."""
    cycle, level, row, col = torch.meshgrid(
        *(torch.arange(n, dtype=torch.float64) for n in (2, 3, *ARRAY)), indexing="ij"
    )
    g = 1e-6 * (1 + cycle * 1000 + level * 100 + row * 10 + col)
    return ReplayedChips(conductance=g, accepted=torch.ones_like(g, dtype=torch.bool))


def model():
    return DeviceModel.from_card(full_card(array=ARRAY), dtype=torch.float64)


def test_tiles_are_cut_from_complete_arrays(replayed):
    chip = draw_chip_cells(model(), 6, TILE, origin=replayed, index=1, seed=0, name="m")
    torch.manual_seed(0)
    level = torch.randint(-1, 3, (6, *TILE))
    target = torch.tensor(MEAN, dtype=torch.float64)[level.clamp_min(0)]
    cells = chip.program(target, level, time=0.0, generator=torch_stream(0, "p"))
    for t in range(6):  # four tiles per array; chip 1 starts with the third array: cycle 0 again
        array, block = divmod(t, 4)
        top, left = 4 * (block // 2), 5 * (block % 2)
        for r in range(4):
            for c in range(5):
                k = max(int(level[t, r, c]), 0)
                place = (2 + array) % 2 * 1000 + k * 100 + (top + r) * 10 + left + c
                assert float(cells.conductance[t, r, c]) == pytest.approx(1e-6 * (1 + place))


def test_given_chips_keep_their_cells():
    """Matrices of chip n use the nth array; without c2c and failures, the result is fixed."""
    chips = draw_chips(model(), 3, generator=torch_stream(5, "chips"))
    quiet = model().only("d2d", "field", "trend", "stuck", "dead_lines")
    level = torch.ones(6, *TILE, dtype=torch.int64)
    target = torch.full((6, *TILE), MEAN[1], dtype=torch.float64)
    everywhere = torch.ones(3, *ARRAY, dtype=torch.int64)
    arrays = chips.take(torch.arange(3), factors=quiet.factors)
    wanted = arrays.program(everywhere, generator=torch_stream(7, "p")).conductance
    for index, name in ((1, "first"), (4, "second")):
        chip = draw_chip_cells(quiet, 6, TILE, origin=chips, index=index, seed=0, name=name)
        found = chip.program(target, level, time=0.0, generator=torch_stream(6, name)).conductance
        for t in range(6):  # four tiles per array, then the same cells again
            top, left = 4 * (t % 4 // 2), 5 * (t % 4 % 2)
            tile = wanted[1, top : top + 4, left : left + 5]
            assert torch.allclose(found[t], tile, rtol=1e-9, atol=0)


def test_factors_switch_off_the_faults_of_given_chips():
    chips = draw_chips(model(), 2, generator=torch_stream(5, "chips"))
    kinds = {Fault.STUCK_LOW, Fault.STUCK_HIGH, Fault.DEAD_ROW, Fault.DEAD_COL}
    assert {int(k) for k in kinds} <= set(chips.fault.flatten().tolist())
    for factor, gone in (("stuck", {1, 2}), ("dead_lines", {3, 4})):
        assert {int(k) for k in kinds} >= gone
        left = chips.take(torch.arange(2), factors=model().without(factor).factors).fault
        same = ~torch.isin(chips.fault, torch.tensor(sorted(gone)))
        assert not torch.isin(left, torch.tensor(sorted(gone))).any()
        assert torch.equal(left[same], chips.fault[same])


def test_given_chips_of_another_precision_are_refused():
    chips = draw_chips(model(), 1, generator=torch_stream(5, "chips"))
    with pytest.raises(MappingError, match="float32"):
        draw_chip_cells(
            DeviceModel.from_card(full_card(array=ARRAY)), 1, TILE, origin=chips, seed=0, name="m"
        )


def test_only_successfully_programmed_cells_pass_the_gradient(replayed):
    accepted = replayed.accepted.clone()
    accepted[:, :, 0] = False
    chips = ReplayedChips(conductance=replayed.conductance, accepted=accepted)
    chip = draw_chip_cells(model(), 1, TILE, origin=chips, seed=0, name="m")
    level = torch.ones(1, *TILE, dtype=torch.int64)
    target = torch.full((1, *TILE), 80e-6, dtype=torch.float64, requires_grad=True)
    chip.program(
        target, level, time=0.0, generator=torch_stream(0, "p")
    ).conductance.sum().backward()
    wanted = torch.ones(1, *TILE, dtype=torch.float64)
    wanted[:, 0] = 0
    assert torch.equal(target.grad, wanted)


def test_between_levels_a_cell_has_the_deviation_of_the_nearest_level():
    chip = draw_chip_cells(model().only("d2d", "c2c"), 2, TILE, seed=1, name="m")
    level = torch.full((2, *TILE), 1)
    at, off = (torch.full((2, *TILE), g, dtype=torch.float64) for g in (MEAN[1], 70e-6))
    first = chip.program(at, level, time=0.0, generator=torch_stream(2, "p")).conductance
    second = chip.program(off, level, time=0.0, generator=torch_stream(2, "p")).conductance
    assert torch.allclose(first - MEAN[1], second - 70e-6, rtol=0, atol=1e-15)
    assert float(first.std()) > 0


def test_expected_conductance_of_a_fitted_chip():
    fault = np.zeros(ARRAY, np.int8)
    fault[0, 0], fault[0, 1], fault[1] = Fault.STUCK_LOW, Fault.STUCK_HIGH, Fault.DEAD_ROW
    rng = np.random.default_rng(0)
    offset, hard = rng.normal(0, 5e-6, (3, *ARRAY)), rng.random((3, *ARRAY))
    offset[:, 2, 2] = np.nan
    cells = CellMaps(fault=fault, offset=offset, hard_posterior=hard)
    found = expected_conductance(model(), cells, 5, TILE).numpy()
    assert found.shape == (5, 3, *TILE)
    assert np.array_equal(found[0], found[4])
    assert found[0, :, 0, 0] == pytest.approx(2e-6)
    assert found[0, :, 0, 1] == pytest.approx(300e-6)
    assert not found[0, :, 1].any()
    at = np.full(ARRAY, np.nan)
    at[0, 0] = 5e-6
    known = dataclasses.replace(cells, stuck_conductance=at)
    again = expected_conductance(model(), known, 1, TILE).numpy()
    assert again[0, :, 0, 0] == pytest.approx(5e-6)
    assert again[0, :, 0, 1] == pytest.approx(300e-6)  # not measured: the card's value
    for k in range(3):
        own = MEAN[k] + offset[k, 3, 7]
        wanted = (1 - hard[k, 3, 7]) * own + hard[k, 3, 7] * MEAN[0]
        assert found[1, k, 3, 2] == pytest.approx(wanted)
        wanted = (1 - hard[k, 2, 2]) * MEAN[k] + hard[k, 2, 2] * MEAN[0]
        assert found[0, k, 2, 2] == pytest.approx(wanted)


def test_tiles_larger_than_the_array_are_refused(replayed):
    with pytest.raises(MappingError, match="use smaller tiles"):
        draw_chip_cells(model(), 1, (16, 16), origin=replayed, seed=0, name="m")
