"""Placement: against brute force, and on a chip with faults."""

import itertools

import numpy as np
import pytest
import torch
from cases import MEAN, full_card
from torch import nn

from rramfit.card.cells import CellMaps, Fault
from rramfit.errors import MappingError
from rramfit.mapping import analog_matrices, analog_setup, convert_to_analog, place_around_faults

G = torch.tensor(MEAN, dtype=torch.float64)


def problem(seed, shape=(3, 4)):
    rng = np.random.default_rng(seed)
    level = torch.tensor(rng.integers(0, 3, (1, *shape)))
    expected = G[None, :, None, None] * torch.tensor(rng.normal(1, 0.05, (1, 3, *shape)))
    stuck = torch.tensor(rng.random((1, 1, *shape)) < 0.2).expand(expected.shape)
    expected = torch.where(stuck, torch.full_like(expected, 3e-4), expected)
    return level, expected, G[level]


def cost(level, expected, target, rows, cols):
    """Compute the squared errors of differences, pair by pair."""
    total = 0.0
    for i in range(level.shape[1]):
        for u in range(0, level.shape[2] - 1, 2):
            error = [
                float(expected[0, level[0, i, j], rows[i], cols[j]] - target[0, i, j])
                for j in (u, u + 1)
            ]
            total += (error[0] - error[1]) ** 2
    return total


@pytest.mark.parametrize("seed", range(6))
def test_placement_reduces_the_cost(seed):
    level, expected, target = problem(seed)
    placed = place_around_faults(level, expected, target)
    rows, cols = placed.permutation.rows[0].tolist(), placed.permutation.cols[0].tolist()
    assert sorted(rows) == [0, 1, 2]
    assert sorted(cols) == [0, 1, 2, 3]
    assert {abs(cols[0] - cols[1]), abs(cols[2] - cols[3])} == {1}  # pairs stay together
    assert placed.before == pytest.approx(cost(level, expected, target, range(3), range(4)))
    assert placed.after == pytest.approx(cost(level, expected, target, rows, cols))
    best = min(
        cost(
            level,
            expected,
            target,
            r,
            [2 * s[0] + f[0], 2 * s[0] + 1 - f[0], 2 * s[1] + f[1], 2 * s[1] + 1 - f[1]],
        )
        for r in itertools.permutations(range(3))
        for s in itertools.permutations(range(2))
        for f in itertools.product(range(2), repeat=2)
    )
    assert best * (1 - 1e-9) <= placed.after <= placed.before
    # the alternating search ends where no permutation of the rows alone helps
    for r in itertools.permutations(range(3)):
        assert placed.after <= cost(level, expected, target, r, cols) * (1 + 1e-9)


def test_single_columns_with_a_fixed_reference_column():
    level, expected, target = problem(3, (4, 5))
    placed = place_around_faults(level, expected, target, pairs=False, reference=True)
    assert int(placed.permutation.cols[0, -1]) == 4
    assert placed.after <= placed.before
    wired = place_around_faults(level, expected, target, attenuation=torch.rand(4, 5))
    assert wired.after <= wired.before


def chip(rng, shape=(16, 16), share=0.06):
    fault = np.zeros(shape, np.int8)
    fault[rng.random(shape) < share] = Fault.STUCK_LOW
    fault[rng.random(shape) < share] = Fault.STUCK_HIGH
    fault[3] = Fault.DEAD_ROW
    zero = np.zeros((3, *shape))
    return CellMaps(fault=fault, offset=zero, hard_posterior=zero)


@pytest.mark.parametrize("scheme", ["columns", "arrays", "offset"])
def test_placement_reduces_errors_on_a_faulty_chip(scheme):
    torch.manual_seed(0)
    layer = nn.Linear(13, 6, bias=False)
    x = torch.rand(200, 13)
    errors = {}
    for place in (False, True):
        setup = analog_setup(
            full_card(),
            scheme=scheme,
            factors=("quantisation", "stuck", "dead_lines"),
            origin=chip(np.random.default_rng(1)),
            place_around_faults=place,
        )
        assert setup.tile == (8, 8)  # the card's array, which is smaller than 128 × 128
        analog = convert_to_analog(layer, setup, inputs=x).eval()
        ideal = convert_to_analog(layer, setup.with_factors(("quantisation",))).eval()
        with torch.no_grad():
            errors[place] = float((analog(x) - ideal(x)).square().mean())
        matrix = analog_matrices(analog)[0]
        assert (matrix.placed.gain > 0.2) == place
    assert errors[True] < 0.8 * errors[False]


def test_large_weights_avoid_far_corners():
    """Physical rows with the largest loss in wires get the logical rows of small weights."""
    torch.manual_seed(0)
    layer = nn.Linear(8, 4, bias=False)
    with torch.no_grad():
        layer.weight[:] = 0.05 * torch.randn(4, 8)
        layer.weight[:, :2] = torch.randn(4, 2).sign()
    healthy = np.zeros((8, 8), np.int8)
    zero = np.zeros((3, 8, 8))
    cells = CellMaps(fault=healthy, offset=zero, hard_posterior=zero)
    x = torch.rand(200, 8)
    errors = {}
    for place in (False, True):
        setup = analog_setup(
            full_card(), factors=("quantisation", "wires"), origin=cells, place_around_faults=place
        )
        analog = convert_to_analog(layer, setup, inputs=x).eval()
        ideal = convert_to_analog(layer, setup.with_factors(("quantisation",))).eval()
        with torch.no_grad():
            errors[place] = float((analog(x) - ideal(x)).square().mean())
    assert errors[True] < 0.95 * errors[False]  # deterministic: nothing is drawn


def test_placement_needs_known_faults():
    with pytest.raises(MappingError, match="sidecar"):
        analog_setup(full_card(), place_around_faults=True)
