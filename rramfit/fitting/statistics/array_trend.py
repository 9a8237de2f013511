"""How much an estimate drifts over the array: the linear trend of what its cells contribute.

An estimate is a sum of influences ψ_c over n cells (`rramfit.fitting.statistics.inference`), so
that n·ψ_c is the deviation of cell c: for a mean that of the cell's readings, for a variance that
of their squares. With h the row or the column number, scaled to mean 0 and mean square 1 over the
cells, the linear trend has the standard deviation s over the array, and noise alone adds e² to s²:

    s_h = Σ_c h_c·ψ_c,   e_h² = Σ_c h_c²·ψ_c² + Σ_{c≠c'} h_c·h_c'·cov(ψ_c, ψ_c'),

    T² = Σ_h max(s_h² − e_h², 0),

with ψ about its plane in e, and the covariance from line offsets and the smooth field of the
driver. A card draws the same trend in every chip. If other arrays have other trends, or are other
parts of a chip, their estimates scatter by about T; one array cannot show whether this is so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.statistics.inference import Driver, dependence

__all__ = ["trend_std"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_ORDERS = 2  # of the dependence on the driver: of a mean 1, of a variance 2
_FEWEST = 20  # cells


def trend_std(influence: Floats, driver: Driver) -> Floats:
    """Return the standard deviation over the array of the linear trend of p estimates, (p,).

    Parameters
    ----------
    influence : (p, row, col) array
        Summed influence of each cell on each estimate, in the estimate's unit.
    driver : Driver
        Cell means at the level; cells without a score do not count.

    Returns
    -------
    (p,) array
        0 for fewer than 20 cells.
    """
    seen = np.isfinite(driver.scores)
    out = np.zeros(len(influence))
    if seen.sum() < _FEWEST:
        return out
    about, parts = dependence(influence, driver.scores)
    for h in _directions(seen):
        slope = influence[:, seen] @ h[seen]
        noise = np.sum((about * h[seen]) ** 2, axis=1)
        for m, b in enumerate(parts[:_ORDERS], start=1):
            noise += b**2 * _shared(h, driver, m)
        out += np.maximum(slope**2 - noise, 0.0)
    return np.asarray(np.sqrt(out))


def _directions(seen: Bools) -> list[Floats]:
    """Return row and column number, (row, col): mean 0 and mean square 1 over the cells seen."""
    out = []
    for along in np.nonzero(seen):
        place = along - along.mean()
        size = float(np.sqrt(np.mean(place**2)))
        if size > 0:
            h = np.zeros(seen.shape)
            h[seen] = place / size
            out.append(h)
    return out


def _shared(h: Floats, driver: Driver, order: int) -> float:
    """Return Σ h_c·h_c'·r(c, c')^order over pairs of cells, r of line offsets and smooth field."""
    out = 0.0
    if driver.lines is not None:
        out += max(driver.lines.power_sum(h, order), 0.0)
    field = driver.field
    if field is not None:
        pairs = np.maximum(field.pair_sums(order, weights=h), 0.0)
        out += field.mean((field.variance * field.share) ** order * pairs)
    return out
