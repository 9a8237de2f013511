"""Errors of quantities that depend on several levels, against sums of simulated Gaussian fields."""

import numpy as np
import pytest

from rramfit.fitting.statistics.inference import Driver
from rramfit.fitting.statistics.influence import Influence, combine, offset_correlation, part_errors

SHAPE = (40, 40)
LENGTH = 6.0


def smooth(rng: np.random.Generator) -> np.ndarray:
    """Draw a Gaussian field with correlation exp(−(d/LENGTH)²)."""
    at = np.arange(SHAPE[0])
    root = np.linalg.cholesky(
        np.exp(-(((at[:, None] - at) / LENGTH) ** 2)) + 1e-9 * np.eye(at.size)
    )
    return root @ rng.standard_normal(SHAPE) @ root.T


def levels(seed: int, shared: float, share: float) -> list[np.ndarray]:
    """Draw offsets of two levels with correlation `shared` and field share `share`."""
    rng = np.random.default_rng(seed)
    out = []
    common = (smooth(rng), rng.standard_normal(SHAPE))
    for _ in range(2):
        own = (smooth(rng), rng.standard_normal(SHAPE))
        f, u = (
            np.sqrt(shared) * c + np.sqrt(1 - shared) * o for c, o in zip(common, own, strict=True)
        )
        out.append(np.sqrt(share) * f + np.sqrt(1 - share) * u)
    return out


def influence(values: np.ndarray, sign: float = 1.0) -> Influence:
    flat = sign * (values - values.mean()).reshape(1, -1) / values.size
    return Influence(values=flat, position=np.arange(values.size), shape=SHAPE)


def standard_error(
    z: list[np.ndarray], signs: tuple[float, float], *, reliability: float = 1.0
) -> float:
    drivers = [Driver.of(v) for v in z]
    parts = [influence(v, s) for v, s in zip(z, signs, strict=True)]
    errors = [part_errors({"x": p}, d)["x"] for p, d in zip(parts, drivers, strict=True)]
    r = offset_correlation(drivers, np.full(2, reliability))
    return float(combine(parts, errors, r)[0][0])


@pytest.mark.parametrize("signs", [(1.0, 1.0), (1.0, -1.0)], ids=["sum", "difference"])
def test_standard_error_of_sum_over_levels_matches_simulation(signs: tuple[float, float]) -> None:
    shared, share, chips = 0.8, 0.5, 60
    errors = [standard_error(levels(seed, shared, share), signs) for seed in range(chips)]
    at = np.arange(SHAPE[0])
    pairs = np.exp(-(((at[:, None] - at) / LENGTH) ** 2)).sum() ** 2
    cells = SHAPE[0] * SHAPE[1]
    of_one = (share * pairs + (1 - share) * cells) / cells**2  # variance of the mean of one level
    exact = np.sqrt(2 * of_one * (1 + shared * signs[0] * signs[1]))
    # the standard error varies with the field drawn
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(exact, rel=0.35)


def test_without_a_field_cells_are_counted_once() -> None:
    a, b = levels(1, 0.8, 0.0)
    together = standard_error([a, b], (1.0, 1.0))
    # Var = (1 + 1 + 2·0.8)/cells; each sample variance is known to √(2/1600)
    assert together == pytest.approx(np.sqrt(3.6 / a.size), rel=0.1)


def test_offset_correlation_allows_for_noise_and_disjoint_cells() -> None:
    rng = np.random.default_rng(2)
    a, b = levels(2, 0.8, 0.0)
    noisy = [v + rng.standard_normal(SHAPE) for v in (a, b)]
    r = offset_correlation([Driver.of(v) for v in noisy], np.full(2, 0.5))
    assert r[0, 1] == pytest.approx(0.8, abs=4 * 2 / np.sqrt(a.size))
    left, right = a.copy(), b.copy()
    left[:, :20] = np.nan
    right[:, 20:] = np.nan
    assert np.isnan(offset_correlation([Driver.of(left), Driver.of(right)], np.ones(2))[0, 1])
