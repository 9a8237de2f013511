"""Codebooks against brute force."""

import itertools

import pytest
import torch

from rramfit.errors import MappingError
from rramfit.mapping.layout.codes import codebook, fit_scales, nearest_code

G = torch.tensor([20e-6, 55e-6, 90e-6, 170e-6], dtype=torch.float64)


def test_pairs_give_every_difference_at_the_lowest_current():
    book = codebook(G)
    best = {}
    for a, b in itertools.product(range(4), repeat=2):
        value = round(float(G[a] - G[b]) * 1e9)
        if value not in best or float(G[a] + G[b]) < best[value]:
            best[value] = float(G[a] + G[b])
    assert [round(float(v) * 1e9) for v in book.values] == sorted(best)
    for value, pair in zip(book.values, book.levels[:, 0], strict=True):
        assert float(G[pair[0]] - G[pair[1]]) == pytest.approx(float(value), abs=1e-12)
        assert float(G[pair].sum()) == pytest.approx(best[round(float(value) * 1e9)])


def test_a_second_slice_fills_the_gaps_of_the_first():
    one, two = codebook(G), codebook(G, slices=2)
    radix = float(one.values[-1] / (one.values.diff().max() / 2))
    assert two.radix == pytest.approx(radix)
    finest = float(one.values.diff().max()) / radix
    assert float(two.values.diff().max()) <= finest * (1 + 1e-9)
    parts = G[two.levels[..., 0]] - G[two.levels[..., 1]]
    total = parts @ torch.tensor(two.significance, dtype=torch.float64)
    assert torch.allclose(total, two.values, rtol=0, atol=1e-18)


def test_an_offset_column_has_the_level_nearest_the_middle():
    book = codebook(G, scheme="offset")
    assert book.offset_level == 2
    assert torch.allclose(book.values, G - G[2])


def test_three_weight_values():
    book = codebook(G, weight_values=3)
    assert book.levels[:, 0].tolist() == [[0, 3], [0, 0], [3, 0]]


@pytest.mark.parametrize(("levels", "count"), [(4, 5), (6, 5), (8, 5), (8, 7), (16, 9)])
def test_evenly_spaced_levels_give_symmetric_weight_values(levels, count):
    """Wanted values lie midway between two differences: both signs take the same one."""
    means = torch.arange(1, levels + 1) / 30e3
    book = codebook(means, weight_values=count)
    assert torch.allclose(book.values, -book.values.flip(0))
    assert len(book.values) == count


def test_scales_are_as_good_as_a_fine_search():
    torch.manual_seed(1)
    weight = torch.randn(6, 200, dtype=torch.float64)
    weight[3] = 0
    book = codebook(G)

    def error(scale):
        made = book.values[nearest_code(book, weight / scale[:, None])] * scale[:, None]
        return (weight - made).square().sum(1)

    found = fit_scales(weight, book)
    assert bool((found > 0).all())
    assert not bool(error(found)[3])
    largest = weight.abs().amax(1) / book.slice_reach
    fine = torch.stack([error(largest * f) for f in torch.linspace(0.05, 1.3, 400)])
    assert bool((error(found) <= fine.amin(0) * 1.02 + 1e-12).all())


@pytest.mark.parametrize(
    ("means", "options", "message"),
    [
        ([1e-6], {}, "at least two"),
        ([2e-6, 1e-6], {}, "ascending order"),
        ([1e-6, 2e-6], {"scheme": "offset"}, "both signs"),
        ([1e-6, 2e-6], {"scheme": "triple"}, "columns, arrays, offset"),
        ([1e-6, 2e-6], {"weight_values": 4}, "odd"),
        ([1e-6, 2e-6], {"weight_values": 5}, "fewer"),
        ([1e-6, 2e-6], {"slices": 0}, "at least 1"),
        ([1e-6, 2e-6], {"slices": 40}, "fewer slices"),
    ],
)
def test_weights_that_levels_cannot_represent_are_refused(means, options, message):
    with pytest.raises(MappingError, match=message):
        codebook(torch.tensor(means, dtype=torch.float64), **options)
