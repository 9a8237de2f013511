"""Smooth random fields to test with."""

from collections.abc import Callable

import numpy as np
import pytest


@pytest.fixture(scope="session")
def smooth() -> Callable[..., np.ndarray]:
    """Draw white cells with a smooth field of squared-exponential correlation."""

    def draw(seed: int, *, shape: tuple[int, int], length: float, share: float) -> np.ndarray:
        rng = np.random.default_rng(seed)
        roots = []
        for n in shape:
            at = np.arange(n)
            k = np.exp(-(((at[:, None] - at) / length) ** 2)) + 1e-9 * np.eye(n)
            roots.append(np.linalg.cholesky(k))
        field = roots[0] @ rng.normal(size=shape) @ roots[1].T
        return np.sqrt(share) * field + np.sqrt(1 - share) * rng.normal(size=shape)

    return draw
