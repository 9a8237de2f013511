"""Line offsets of drawn chips: the size, period and correlation of the card."""

import numpy as np
import pytest
import torch

from rramfit.array import DeviceModel, draw_chips
from rramfit.array.devices.measured_chips import chip_from_cells
from rramfit.array.devices.parameters import estimands, level_parameters
from rramfit.card import CellMaps, ModelCard, Quantity
from rramfit.card.schema import LineOffsets
from rramfit.measurement.virtual.cards import virtual_card

MEAN = [20e-6, 80e-6]
SHAPE = (48, 64)


def card(kinds, *, correlation=0.7, d2d=True) -> ModelCard:
    """Return a card with line offsets of given standard deviations [S]."""
    plain = virtual_card("lines", mean=MEAN, spread=0.08, array=SHAPE)
    lines = [
        LineOffsets(axis=axis, period=period, std=Quantity.given(std, "S"))
        for axis, period, std in kinds
    ]
    variation = [
        v.model_copy(
            update={"lines": lines} | ({} if d2d else {"d2d": None, "c2c": None, "spatial": None})
        )
        for v in plain.variation
    ]
    matrix = [[1.0, correlation], [correlation, 1.0]]
    return plain.model_copy(update={"variation": variation, "line_correlation": matrix})


def drawn(of: ModelCard, count=60):
    """Return the model, drawn chips and their deviations D, (chip, level, row, col)."""
    model = DeviceModel.from_card(of)
    chips = draw_chips(model, count, generator=torch.Generator().manual_seed(1))
    return model, chips, chips.deviation.double().numpy()


@pytest.mark.parametrize(
    "kind", [("col", 1), ("row", 1), ("col", 4), ("row", 3)], ids=lambda k: f"{k[0]}{k[1]}"
)
def test_groups_share_an_offset_of_the_stated_size(kind):
    of = card([(*kind, 1e-6)], correlation=0.7)
    model, _, deviation = drawn(of)
    lines = model.levels.lines[0]
    groups = lines.groups(SHAPE).ravel()
    size = np.bincount(groups)
    for k in range(2):
        flat = deviation[:, k].reshape(len(deviation), -1)
        means = np.stack([np.bincount(groups, x) for x in flat]) / size
        between = means.var() - (1 - lines.share[k]) / size.mean()
        # groups · chips values of nearly χ² variance
        assert between == pytest.approx(lines.share[k], rel=5 * np.sqrt(2 / means.size) + 0.02)
    stated = estimands(level_parameters(of), SHAPE)
    np.testing.assert_allclose(stated.lines[kind], 1e-6, rtol=1e-6)
    np.testing.assert_allclose(deviation.std(axis=(0, 2, 3)), 1.0, atol=0.02)


def test_offsets_correlate_between_levels_as_stated():
    model, _, deviation = drawn(card([("col", 1, 2e-6)], correlation=0.7), count=100)
    means = deviation.mean(axis=2)
    share = model.levels.lines[0].share
    own = (1 - share) / SHAPE[0]
    # the remainder's part of the means correlates as the cells do
    of_cells = model.levels.correlation[0, 1] * np.sqrt(own[0] * own[1])
    between = np.mean(means[:, 0] * means[:, 1]) - of_cells
    assert between / np.sqrt(share[0] * share[1]) == pytest.approx(0.7, abs=0.06)
    wanted = model.levels.deviation_correlation[0, 1]
    assert np.mean(deviation[:, 0] * deviation[:, 1]) == pytest.approx(wanted, abs=0.05)


def test_the_spread_of_a_level_does_not_depend_on_lines():
    levels = torch.zeros(SHAPE, dtype=torch.int64)
    found = []
    for kinds in ([], [("col", 4, 1e-6), ("row", 1, 0.5e-6)]):
        _, chips, _ = drawn(card(kinds))
        state = chips.program(levels, generator=torch.Generator().manual_seed(2))
        found.append(float(state.conductance[state.accepted].std()))
    assert found[1] == pytest.approx(found[0], rel=0.03)


def test_without_the_factor_their_part_is_drawn_for_each_cell():
    of = card([("col", 1, 1.2e-6)])
    model = DeviceModel.from_card(of).without("lines")
    chips = draw_chips(model, 30, generator=torch.Generator().manual_seed(1))
    means = chips.deviation[:, 0].mean(dim=1)
    assert float(means.var()) == pytest.approx(1 / SHAPE[0], rel=0.15)
    assert float(chips.deviation.std()) == pytest.approx(1.0, abs=0.02)


def test_without_known_d2d_lines_alone_persist():
    of = card([("col", 1, 1e-6)], d2d=False)
    model, chips, _ = drawn(of, count=20)
    assert any("line offsets of a cell persist" in text for text in model.assumptions)
    levels = torch.zeros(SHAPE, dtype=torch.int64)
    two = [
        chips.program(levels, generator=torch.Generator().manual_seed(s)).conductance.double()
        for s in (1, 2)
    ]
    both = [x - x.mean() for x in two]
    assert float((both[0] * both[1]).mean()) == pytest.approx(1e-12, rel=0.15)


def test_a_measured_chip_has_the_offsets_of_its_lines():
    of = card([("col", 1, 1e-6)], d2d=False)
    model = DeviceModel.from_card(of)
    rng = np.random.default_rng(0)
    lines = np.broadcast_to(1e-6 * rng.normal(size=SHAPE[1]), (2, *SHAPE)).copy()
    cells = CellMaps(
        fault=np.zeros(SHAPE, np.int8),
        offset=lines + 3e-6 * rng.normal(size=(2, *SHAPE)),
        line_offset=lines,
        hard_posterior=np.zeros((2, *SHAPE)),
    )
    chips = chip_from_cells(model, cells, count=40, generator=torch.Generator().manual_seed(1))
    state = chips.program(
        torch.ones(SHAPE, dtype=torch.int64), generator=torch.Generator().manual_seed(2)
    )
    columns = state.conductance.double().mean(dim=(0, 1)).numpy() - MEAN[1]
    # 48 rows of 40 chips: 6.4e-6 of cycles over sqrt(1920)
    np.testing.assert_allclose(columns, lines[1, 0], atol=5 * 6.4e-6 / np.sqrt(1920))
