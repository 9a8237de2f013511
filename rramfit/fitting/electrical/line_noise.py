"""Errors of column currents: noise of each current, and of the cell reads behind the prediction.

A residual of column k under pattern p has two parts,

    e[p, k] = s c[p, k] eta  +  sum_i A[p, i, k] d[i, k]        Cov_k = s² diag(c²) + t² A_k A_k^T

noise in proportion to the current (with a floor, so that a small current is not trusted without
limit), and the relative errors d of the column's cell reads, of standard deviation t: those are the
same under all patterns, and would otherwise pass for a resistance. A cell's effect on other columns
is left out; it is smaller by the share of its row's current that it carries.

In the eigenbasis of A_k A_k^T the covariance is diagonal for any (s, t), so their likelihood costs
one decomposition per column. Currents that stand out by more than `OUTLIER` standard deviations,
and columns that do as a whole, are laid aside. The fit itself is not here.
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
"""Standard deviations past which a current or a column is laid aside: of 10,000, none by chance."""

_FLOOR_SHARE = 0.01  # of the median current: below it, noise no longer falls with the current
_LEAST_PATTERNS = 4  # by which cell errors and noise can be told apart


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorModel:
    """Whitening of residuals column by column."""

    noise: float  # relative standard deviation of a current
    cell_error: float  # relative standard deviation of a cell read
    basis: tuple[Floats, ...]  # per column: (direction, pattern) of the currents used
    spread: tuple[Floats, ...]  # per column: (direction,) standard deviation [A]
    used: Bools  # (pattern, col)

    def whiten(self, x: Floats) -> Floats:
        """Residuals or sensitivities, (..., pattern, col), in standard deviations, (..., n)."""
        parts = [
            (x[..., self.used[:, k], k] @ q.T) / s
            for k, (q, s) in enumerate(zip(self.basis, self.spread, strict=True))
        ]
        return np.concatenate(parts, axis=-1)


def fit_error_model(residual: Floats, current: Floats, cell: Floats, used: Bools) -> ErrorModel:
    """Noise and cell-read errors from the residuals of a fit.

    Parameters
    ----------
    residual, current : (pattern, col) arrays [A]
        Measured less predicted, and predicted.
    cell : (pattern, row, col) array [A]
        Change of the column's current per share of a cell.
    used : (pattern, col) bool array
        Currents that count.

    Returns
    -------
    ErrorModel
        By maximum likelihood; the residuals' own outliers are already laid aside in it.
    """
    size = np.abs(current)
    scale = np.hypot(size, _FLOOR_SHARE * np.median(size[used])) if used.any() else size
    used = _without_outliers(residual / scale, used)
    columns = [_decompose(scale[:, k], cell[:, :, k], used[:, k]) for k in range(used.shape[1])]
    turned = [q @ residual[used[:, k], k] for k, (q, _) in enumerate(columns)]
    r2 = np.concatenate(turned) ** 2 if columns else np.zeros(0)
    load = np.concatenate([x for _, x in columns])
    noise = float(np.sqrt(r2.mean()))
    share = 0.0
    if used.sum(0).max(initial=0) >= _LEAST_PATTERNS and noise > 0:
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
    """Errors of currents that are not measured yet, for a plan.

    Parameters
    ----------
    current : (pattern, col) array [A]
    cell : (pattern, row, col) array [A]
        Change of the column's current per share of a cell.
    noise, cell_error : float
        Relative standard deviations.
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
    """Directions in which a column's residuals are independent, and what cell errors add there."""
    a = cell[used] / scale[used, None]
    values, vectors = np.linalg.eigh(a @ a.T)
    return vectors.T / scale[used], np.maximum(values, 0.0)


def _likely_share(r2: Floats, load: Floats) -> float:
    """Maximum-likelihood t²/s², the noise itself profiled out."""

    def nll(log_share: float) -> float:
        v = 1 + np.exp(log_share) * load
        return float(0.5 * len(r2) * np.log((r2 / v).mean()) + 0.5 * np.log(v).sum())

    found = optimize.minimize_scalar(nll, bounds=(-14.0, 8.0), method="bounded")
    return float(np.exp(found.x)) if found.fun < nll(-30.0) else 0.0


def _without_outliers(z: Floats, used: Bools) -> Bools:
    """Currents that do not stand out against their own column, in columns that do not either."""
    kept = used & np.isfinite(z)
    for _ in range(3):
        if not kept.any():
            break
        masked = np.where(kept, z, np.nan)
        with np.errstate(invalid="ignore"):
            counts = kept.sum(0)
            centre = _nan_median(masked)
            away = masked - centre
            spread = 1.4826 * float(np.nanmedian(np.abs(away)))
            spread *= np.sqrt(counts.mean() / max(counts.mean() - 1, 0.5))
            middle = centre - np.nanmedian(centre)
            width = 1.4826 * float(np.nanmedian(np.abs(middle)))
        if spread > 0:
            kept &= ~(np.abs(np.nan_to_num(away)) > OUTLIER * spread)
        if width > 0 and len(centre) > _LEAST_PATTERNS:
            kept &= ~(np.abs(np.nan_to_num(middle)) > OUTLIER * width)[None]
    return kept


def _nan_median(x: Floats) -> Floats:
    out = np.full(x.shape[1], np.nan)
    some = np.isfinite(x).any(0)
    out[some] = np.nanmedian(x[:, some], axis=0)
    return out
