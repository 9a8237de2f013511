"""Smooth fields against their stated covariance."""

import math

import numpy as np
import pytest
import torch

from rramfit.array.devices.fields import field_overlap, smooth_fields

CHIPS = 4000


def fields(lengths, mixing=None, shape=(12, 9)):
    n = len(lengths)
    mixing = torch.eye(n, dtype=torch.float64) if mixing is None else mixing
    generator = torch.Generator().manual_seed(11)
    return smooth_fields(shape, lengths, count=CHIPS, mixing=mixing, generator=generator).numpy()


def near(found: np.ndarray, want: float) -> bool:
    """Mean over chips within 4.5 standard errors of the expected value."""
    return abs(found.mean() - want) < 4.5 * found.std() / math.sqrt(len(found))


@pytest.mark.parametrize("length", [2.0, 5.0, 40.0])
@pytest.mark.parametrize(("row", "col"), [(0, 0), (1, 0), (0, 3), (2, 2), (11, 0), (11, 8)])
def test_correlation_falls_as_a_gaussian_of_distance(length, row, col):
    f = fields((length,))[:, 0]
    want = math.exp(-(row**2 + col**2) / length**2)
    assert near(f[:, 0, 0] * f[:, row, col], want)  # from the corner: nothing wraps around
    assert near(f[:, row, 0] * f[:, 0, col], want)


def test_levels_have_the_correlation_of_their_matrix():
    r = torch.tensor([[1.0, 0.7], [0.7, 1.0]], dtype=torch.float64)
    values, vectors = torch.linalg.eigh(r)
    f = fields((4.0, 4.0), vectors @ torch.diag(values.sqrt()) @ vectors.mT)
    assert near(f[:, 0, 3, 3] * f[:, 1, 3, 3], 0.7)
    assert near(f[:, 0, 3, 3] * f[:, 1, 3, 6], 0.7 * math.exp(-9 / 16))


def test_fields_of_two_lengths_overlap_as_stated():
    # The overlap applies far from the edges, here at three lengths.
    one = torch.ones((2, 2), dtype=torch.float64) / math.sqrt(2)  # the same white noise for both
    f = fields((2.0, 3.0), one, shape=(19, 19))
    assert near(f[:, 0, 9, 9] * f[:, 1, 9, 9], field_overlap(2.0, 3.0))


def test_no_length_is_white():
    f = fields((0.0,))[:, 0]
    assert near(f[:, 2, 2] * f[:, 2, 3], 0.0)
    assert near(f[:, 2, 2] ** 2, 1.0)
