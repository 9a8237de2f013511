"""The smooth field of a level whose cells are on a pattern."""

import numpy as np
import pytest
from scipy import ndimage

from rramfit.fitting.statistics.over_array.cell_pattern import lattice, pair_shares
from rramfit.fitting.statistics.over_array.ordinates import Ordinates
from rramfit.fitting.statistics.over_array.smooth_field import fit_smooth_field

N = 48
ROW, COL = np.indices((N, N))
PATTERNS = {
    "every 8th column": COL % 8 == 3,
    "every 4th row": ROW % 4 == 1,
    "stripes of 2 in 6": COL // 2 % 3 == 1,
    "checkerboard": (ROW + COL) % 3 == 1,
    "blocks of 8": (ROW // 8 + COL // 8) % 3 == 0,
}


def drawn(rng, *, share=0.0, length=5.0):
    """Return white noise with a smooth field of squared-exponential correlation."""
    white = rng.standard_normal((N, N))
    if not share:
        return white
    wide = ndimage.gaussian_filter(rng.standard_normal((2 * N, 2 * N)), length / 2)
    smooth = wide[N // 2 : -N // 2, N // 2 : -N // 2] * length * np.sqrt(np.pi)
    return np.sqrt(share) * smooth + np.sqrt(1 - share) * white


@pytest.mark.parametrize("pattern", PATTERNS)
def test_white_noise_on_a_pattern_is_no_field(pattern):
    rng = np.random.default_rng(0)
    fields = [fit_smooth_field(np.where(PATTERNS[pattern], drawn(rng), np.nan)) for _ in range(60)]
    false = sum(f.p_value() < 0.05 for f in fields)
    assert false <= 8  # of 60 at 5 %: P(more) = 2e-3


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_field_on_a_pattern_is_that_of_the_array(pattern):
    rng = np.random.default_rng(1)
    inside, lengths = 0, []
    for _ in range(20):
        field = fit_smooth_field(np.where(PATTERNS[pattern], drawn(rng, share=0.5), np.nan))
        assert field.p_value() < 0.05
        low, high = field.quantiles(field.share, (0.025, 0.975), caution=0.8)
        inside += low <= 0.5 <= high
        weight = field.weight[:-1] / field.weight[:-1].sum()
        lengths.append(float(np.exp(weight @ np.log(field.length[:-1]))))
    assert inside >= 16  # of 20 at 95 %: P(fewer) = 3e-4
    assert np.mean(lengths) == pytest.approx(5.0, rel=0.25)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_expected_ordinates_are_those_of_the_pattern(pattern):
    rng = np.random.default_rng(2)
    cut = lattice(PATTERNS[pattern])
    inside = PATTERNS[pattern][cut]
    pitch = cut[0].step, cut[1].step
    ordinates = Ordinates(inside.shape, pitch=pitch, pairs=pair_shares(inside))
    _, expected = ordinates.smooth("squared exponential", 5.0)
    power = np.zeros(len(expected))
    for _ in range(200):
        power += ordinates.sums(np.where(inside, drawn(rng, share=1.0)[cut], 0.0))
    seen = power / 200 / ordinates.count / inside.mean()
    low = expected > 0.2 * expected.max()
    assert low.sum() > 3
    assert seen[low].sum() == pytest.approx(expected[low].sum(), rel=0.15)


def test_scattered_cells_and_missing_lines_are_no_pattern():
    rng = np.random.default_rng(3)
    for density in (0.05, 0.3, 0.9):
        assert pair_shares(rng.random((N, N)) < density) is None
    whole = np.ones((N, N), dtype=bool)
    assert pair_shares(whole) is None
    whole[[5, 20]] = False
    assert pair_shares(whole) is None
    assert lattice(whole) == (slice(0, N, 1), slice(0, N, 1))
