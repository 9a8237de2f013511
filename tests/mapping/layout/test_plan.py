"""Addresses: weights and cells correspond one to one, in every scheme."""

import itertools

import pytest
import torch

from rramfit.errors import MappingError
from rramfit.mapping.layout.plan import CellAddress, Permutation, WeightAddress, plan_matrix

SHAPES = [(5, 11), (4, 8), (12, 18), (1, 1)]


@pytest.mark.parametrize("scheme", ["columns", "arrays", "offset"])
@pytest.mark.parametrize("slices", [1, 2])
@pytest.mark.parametrize(("outputs", "inputs"), SHAPES)
def test_weights_and_cells_correspond(scheme, slices, outputs, inputs):
    plan = plan_matrix("m", outputs, inputs, tile=(8, 9), scheme=scheme, slices=slices)
    torch.manual_seed(0)
    placed = Permutation(
        rows=torch.stack([torch.randperm(8) for _ in range(plan.tiles)]),
        cols=torch.stack([torch.randperm(9) for _ in range(plan.tiles)]),
    )
    used = set()
    cells = 1 if scheme == "offset" else 2
    for o, i, s, p in itertools.product(range(outputs), range(inputs), range(slices), range(cells)):
        weight = WeightAddress(o, i, s, p)
        for place in (None, placed):
            cell = plan.cell(weight, place)
            assert 0 <= cell.tile < plan.tiles
            assert 0 <= cell.row < 8
            assert 0 <= cell.col < 9
            assert plan.weight(cell, place) == weight
        used.add(plan.cell(weight))
    parts = outputs * inputs * slices * cells
    assert len(used) == parts
    assert plan.cells_used >= parts
    assert plan.utilisation <= 1


@pytest.mark.parametrize("scheme", ["columns", "arrays", "offset"])
def test_scattered_parts_are_at_the_addresses_of_the_plan(scheme):
    plan = plan_matrix("m", 6, 10, tile=(4, 8), scheme=scheme)
    cells = plan.columns.shape[2]
    parts = torch.arange(1, 6 * 10 * cells + 1).reshape(6, 10, 1, cells)
    tiles = plan.scatter(parts, 0, reference=-5)
    for o, i, p in itertools.product(range(6), range(10), range(cells)):
        tile, row, col = plan.cell(WeightAddress(o, i, 0, p))
        assert int(tiles[tile, row, col]) == int(parts[o, i, 0, p])
    if scheme == "offset":
        assert int((tiles == -5).sum()) == 10 * plan.column_blocks
    joined = plan.join(tiles)
    assert torch.equal(plan.cut(joined.reshape(-1, plan.width)), tiles)


def test_a_permutation_and_its_inverse():
    torch.manual_seed(2)
    placed = Permutation(
        rows=torch.stack([torch.randperm(5) for _ in range(3)]),
        cols=torch.stack([torch.randperm(7) for _ in range(3)]),
    )
    logical = torch.rand(3, 5, 7)
    physical = placed.to_physical(logical)
    for t, r, c in itertools.product(range(3), range(5), range(7)):
        assert physical[t, placed.rows[t, r], placed.cols[t, c]] == logical[t, r, c]
    assert torch.equal(placed.to_logical(physical), logical)


def test_a_tile_too_small_is_refused():
    with pytest.raises(MappingError, match="does not fit into a tile"):
        plan_matrix("m", 4, 4, tile=(8, 3), slices=2)


def test_an_unused_cell_has_no_weight():
    plan = plan_matrix("m", 3, 3, tile=(8, 8))
    assert plan.weight(CellAddress(0, 7, 0)) is None
