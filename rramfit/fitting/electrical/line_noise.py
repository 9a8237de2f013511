"""Errors of column currents: noise of the currents, and errors of the cell reads.

The residual of column k under pattern p has two parts,

    e[p, k] = s c[p, k] eta  +  sum_i A[p, i, k] d[i, k]        Cov_k = s² diag(c²) + t² A_k A_k^T

noise proportional to the current (with a floor, which limits the weight of small currents), and the
relative errors d of the cell reads of the column, with standard deviation t. The read errors are
the same under all patterns and would otherwise appear as a resistance. The effect of a cell on
other columns is neglected; it is smaller by the cell's share of the current of its row.

In the eigenbasis of A_k A_k^T the covariance is diagonal for any (s, t), so the likelihood costs
one decomposition per column. Currents that deviate by more than `OUTLIER` standard deviations are
excluded, as are entire columns that do. The fit itself is not here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

__all__ = ["OUTLIER", "ErrorModel", "fit_error_model", "known_error_model"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

OUTLIER = 5.0
"""Standard deviations above which a current or a column is excluded; of 10,000, none by chance."""

_FLOOR_SHARE = 0.01  # of the median current, below which noise no longer scales with the current
_MIN_PATTERNS = 4  # needed to separate cell errors from noise


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorModel:
    """Error model that whitens residuals column by column."""

    noise: float  # relative standard deviation of a current
    cell_error: float  # relative standard deviation of a cell read
    basis: tuple[Floats, ...]  # per column: (direction, pattern) of the currents used
    spread: tuple[Floats, ...]  # per column: (direction,) standard deviation [A]
    used: Bools  # (pattern, col)

    def whiten(self, x: Floats) -> Floats:
        """Scale residuals or sensitivities, (..., pattern, col), to independent units (..., n)."""
        parts = [
            (x[..., self.used[:, k], k] @ q.T) / s
            for k, (q, s) in enumerate(zip(self.basis, self.spread, strict=True))
        ]
        return np.concatenate(parts, axis=-1)


def fit_error_model(residual: Floats, current: Floats, cell: Floats, used: Bools) -> ErrorModel:
    """Estimate current noise and cell-read errors from the residuals of a fit.

    Parameters
    ----------
    residual, current : (pattern, col) arrays [A]
        Measured minus predicted, and predicted.
    cell : (pattern, row, col) array [A]
        Change of the column current per relative change of a cell.
    used : (pattern, col) bool array
        Currents to use.

    Returns
    -------
    ErrorModel
        Maximum-likelihood estimate, with outliers among the residuals excluded.
    """
    size = np.abs(current)
    scale = np.hypot(size, _FLOOR_SHARE * np.median(size[used])) if used.any() else size
    used = _without_outliers(residual / scale, used)
    columns = [_decompose(scale[:, k], cell[:, :, k], used[:, k]) for k in range(used.shape[1])]
    rotated = [q @ residual[used[:, k], k] for k, (q, _) in enumerate(columns)]
    r2 = np.concatenate(rotated) ** 2 if columns else np.zeros(0)
    load = np.concatenate([x for _, x in columns])
    noise = float(np.sqrt(r2.mean()))
    share = 0.0
    if used.sum(0).max(initial=0) >= _MIN_PATTERNS and noise > 0:
        share = _likely_share(r2, load)
        noise = float(np.sqrt((r2 / (1 + share * load)).mean()))
    noise = max(noise, 1e-12)
    return ErrorModel(
        noise=noise,
        cell_error=noise * float(np.sqrt(share)),
        basis=tuple(q for q, _ in columns),
        spread=tuple(noise * np.sqrt(1 + share * x) for _, x in columns),
        used=used,
    )


def known_error_model(
    current: Floats, cell: Floats, *, noise: float, cell_error: float
) -> ErrorModel:
    """Return the error model of planned currents with assumed noise.

    Parameters
    ----------
    current : (pattern, col) array [A]
    cell : (pattern, row, col) array [A]
        Change of the column current per relative change of a cell.
    noise, cell_error : float
        Relative standard deviation of a current, and of a cell read.
    """
    size = np.abs(current)
    scale = np.hypot(size, _FLOOR_SHARE * np.median(size))
    patterns, cols = current.shape
    every = np.ones(patterns, dtype=np.bool_)
    columns = [_decompose(scale[:, k], cell[:, :, k], every) for k in range(cols)]
    return ErrorModel(
        noise=noise,
        cell_error=cell_error,
        basis=tuple(q for q, _ in columns),
        spread=tuple(np.sqrt(noise**2 + cell_error**2 * x) for _, x in columns),
        used=np.ones((patterns, cols), dtype=np.bool_),
    )


def _decompose(scale: Floats, cell: Floats, used: Bools) -> tuple[Floats, Floats]:
    """Return directions of independent residuals in a column, and the cell-error load on each."""
    a = cell[used] / scale[used, None]
    values, vectors = np.linalg.eigh(a @ a.T)
    return vectors.T / scale[used], np.maximum(values, 0.0)


def _likely_share(r2: Floats, load: Floats) -> float:
    """Return the maximum-likelihood t²/s², with s profiled out."""

    def nll(log_share: float) -> float:
        v = 1 + np.exp(log_share) * load
        return float(0.5 * len(r2) * np.log((r2 / v).mean()) + 0.5 * np.log(v).sum())

    found = optimize.minimize_scalar(nll, bounds=(-14.0, 8.0), method="bounded")
    return float(np.exp(found.x)) if found.fun < nll(-30.0) else 0.0


def _without_outliers(z: Floats, used: Bools) -> Bools:
    """Return currents that are no outliers in their column, in columns that are no outliers."""
    kept = used & np.isfinite(z)
    for _ in range(3):
        if not kept.any():
            break
        masked = np.where(kept, z, np.nan)
        with np.errstate(invalid="ignore"):
            counts = kept.sum(0)
            centre = _nan_median(masked)
            deviation = masked - centre
            spread = 1.4826 * float(np.nanmedian(np.abs(deviation)))
            spread *= np.sqrt(counts.mean() / max(counts.mean() - 1, 0.5))
            middle = centre - np.nanmedian(centre)
            width = 1.4826 * float(np.nanmedian(np.abs(middle)))
        if spread > 0:
            kept &= ~(np.abs(np.nan_to_num(deviation)) > OUTLIER * spread)
        if width > 0 and len(centre) > _MIN_PATTERNS:
            kept &= ~(np.abs(np.nan_to_num(middle)) > OUTLIER * width)[None]
    return kept


def _nan_median(x: Floats) -> Floats:
    out = np.full(x.shape[1], np.nan)
    some = np.isfinite(x).any(0)
    out[some] = np.nanmedian(x[:, some], axis=0)
    return out
