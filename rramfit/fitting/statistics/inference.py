"""Standard errors of population quantities, clustered by cell and corrected for a smooth field.

Every population estimator here is asymptotically linear: θ̂ − θ ≈ Σ_c ψ_c, with ψ_c the summed
influence of all readings of cell c. Readings of one cell are correlated, so cells are counted, not
readings. A smooth field over the array correlates the cells as well, so the variance is

    Var(θ̂) = Σ_c ψ_c² + Σ_{c≠c'} cov(ψ_c, ψ_c').

The second sum requires the field. It is estimated from a driver z, the cell mean transformed to a
standard normal score. For any function of z, Mehler's formula gives

    cov(ψ_c, ψ_c') = Σ_m b_m²·r(c, c')^m,    b_m = E[ψ·He_m(z)]/√m!,

with r the smooth part of the covariance of z
(`rramfit.fitting.statistics.over_array.smooth_field`). One fit of the field thus serves the means,
variances and shapes of a level. Under a trend b_1 depends on position (a squared deviation from the
mean then contains 2·trend·z), so b_1 is modelled as linear in row and column. Without a driver each
influence field is its own driver (m = 1).

The variance is known on the grid of field parameters, not as one number. Interval and stderr are
matched to the mixture of normals over that grid: stderr² is the harmonic mean of the variances,
which is exact if they are inverse-χ² distributed, and df is chosen such that t_df(0.975)·stderr
covers 95 % of the mixture. This is combined with Satterthwaite's df of Σψ² itself,
2n/(kurtosis − 1), which is small if the sum rests on a few failed cells or a heavy tail, however
many cells there are.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.fitting.statistics.over_array.lines import LineComponents, fit_lines
from rramfit.fitting.statistics.over_array.smooth_field import SmoothField, fit_smooth_field, plane

__all__ = [
    "ClusteredCovariance",
    "Driver",
    "clustered_covariance",
    "dependence",
    "drivers_kept",
    "mixture_error",
    "normal_scores",
]

Floats = NDArray[np.float64]

_MOST_KEPT = 2**18  # cells of an array whose drivers are kept

_kept: ContextVar[dict[tuple[tuple[int, ...], bytes], Any] | None]
_kept = ContextVar("drivers", default=None)


@contextlib.contextmanager
def drivers_kept() -> Iterator[None]:
    """Keep drivers inside the context, where several fits of a level need the same."""
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusteredCovariance:
    """Covariance of p estimators, with its degrees of freedom.

    `inflation` is the ratio of the variance to that of independent cells.
    """

    covariance: Floats  # (p, p)
    df: Floats  #         (p,) degrees of freedom for Student's t
    inflation: Floats  #  (p,)

    def __post_init__(self) -> None:
        for a in (self.covariance, self.df, self.inflation):
            a.flags.writeable = False

    @property
    def stderr(self) -> Floats:
        """Return the standard errors, (p,)."""
        return np.asarray(np.sqrt(np.diagonal(self.covariance)), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """The field that a level's variation over the array is seen in.

    `scores` are the cells' means as normal scores, NaN where unknown; `lines` is absent where no
    line effect was found, `field` where the array is too small to show a smooth field.
    """

    scores: Floats  # (row, col)
    lines: LineComponents | None
    field: SmoothField | None

    @classmethod
    def of(cls, values: Floats) -> Self:
        """Build a driver from the cell means, (row, col), or an increasing function of them."""
        kept = _kept.get()
        if kept is None or values.size > _MOST_KEPT:
            return cls._build(values)
        key = values.shape, hashlib.sha256(values.tobytes()).digest()
        if key not in kept:
            kept[key] = cls._build(values)
        found: Self = kept[key]
        return found

    @classmethod
    def _build(cls, values: Floats) -> Self:
        scores = normal_scores(values)
        lines = fit_lines(scores)
        field = fit_smooth_field(scores, lines=lines)
        if lines is not None and field is not None:
            corrected = lines.without_field(
                {"row": field.line_power(0), "col": field.line_power(1)}
            )
            if corrected is None or len(corrected.effects) < len(lines.effects):
                field = fit_smooth_field(scores, lines=corrected)
            lines = corrected
        return cls(scores=scores, lines=lines, field=field)


def clustered_covariance(
    influence: Floats, *, driver: Floats | Driver | None = None, spatial: bool = True
) -> ClusteredCovariance:
    """Compute the covariance of asymptotically linear estimators over a population of arrays.

    Parameters
    ----------
    influence : (p, row, col) array
        Summed influence of each cell on each estimator, in the estimator's unit; its sum over
        cells is zero. Cells without data are zero or NaN.
    driver : (row, col) array or Driver, optional
        Cell means at the level, NaN where unknown.
    spatial : bool
        If False, cells are treated as independent.

    Returns
    -------
    ClusteredCovariance
    """
    psi = np.where(np.isfinite(influence), influence, 0.0)
    p = len(psi)
    flat = psi.reshape(p, -1)
    counted = flat != 0
    n = counted.sum(axis=1)
    base = flat @ flat.T
    own = np.diagonal(base).copy()
    df_own = _own_df(flat, n)
    inflation, df, correlation = np.ones(p), df_own.copy(), _correlation(base)
    if spatial and p:
        if driver is None:
            for i in range(p):
                x = np.where(counted[i].reshape(psi.shape[1:]), psi[i], np.nan)
                field = fit_smooth_field(x)
                if field is not None and own[i] > 0:
                    smooth = field.variance * field.share * field.pair_sums()
                    inflation[i], df[i] = mixture_error(field, own[i] + smooth, own[i], df_own[i])
        else:
            known = driver if isinstance(driver, Driver) else Driver.of(driver)
            of_lines, df_lines = _of_lines(psi, known)
            shared = base + of_lines
            smooth = np.zeros((p, p, 1))
            if known.field is not None:
                smooth = _driven(psi, known.scores, known.field)
                shared = shared + smooth @ known.field.weight
            for i in range(p):
                if own[i] > 0:
                    inflation[i], df[i] = mixture_error(
                        known.field,
                        own[i] + of_lines[i, i] + smooth[i, i],
                        own[i],
                        df_own[i],
                        lines=float(of_lines[i, i]),
                        df_lines=float(df_lines[i]),
                    )
            correlation = _correlation(shared)
    s = np.sqrt(own * inflation)
    return ClusteredCovariance(covariance=correlation * np.outer(s, s), df=df, inflation=inflation)


def normal_scores(values: Floats) -> Floats:
    """Convert a field to normal scores of its ranks, after removal of the linear trend.

    Parameters
    ----------
    values : (row, col) array
        NaN where not observed, also in the result. Equal values share one score.
    """
    residual, _, observed = plane(values)
    x = residual[observed]
    found, back, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    edges = np.concatenate([[0], last]) / max(len(x), 1)
    scores = special.ndtri(np.clip(0.5 * (edges[1:] + edges[:-1]), 1e-12, 1 - 1e-12))
    out = np.full(values.shape, np.nan)
    out[observed] = scores[back] if len(found) else 0.0
    return out


def dependence(psi: Floats, z: Floats) -> tuple[Floats, Floats]:
    """Return influences about their plane, and their parts along Hermite polynomials of a driver.

    Parameters
    ----------
    psi : (p, row, col) array
    z : (row, col) array
        Normal scores, NaN where not observed.

    Returns
    -------
    about : (p, cell) array
        Influences of observed cells less their plane.
    parts : (4, p) array
        b_m, along He_m(z)/√m!.
    """
    seen = np.isfinite(z)
    x = z[seen]
    hermite = (
        x,
        (x**2 - 1) / np.sqrt(2),
        (x**3 - 3 * x) / np.sqrt(6),
        (x**4 - 6 * x**2 + 3) / np.sqrt(24),
    )
    values = np.stack([plane(np.where(seen, a, np.nan))[0][seen] for a in psi])
    return values, np.stack([values @ h / max(float(h @ h), 1e-300) for h in hermite])


def _of_lines(psi: Floats, driver: Driver) -> tuple[Floats, Floats]:
    """Covariance of the sums that lines make, (p, p), and its degrees of freedom, (p,)."""
    out, df = np.zeros((len(psi), len(psi))), np.full(len(psi), np.inf)
    lines = driver.lines
    if lines is None:
        return out, df
    seen = np.isfinite(driver.scores).astype(np.float64)
    for m, b in enumerate(dependence(psi, driver.scores)[1], start=1):
        out += np.outer(b, b) * max(lines.power_sum(seen, m), 0.0)
    return out, np.full(len(psi), lines.error_df(lines.pair_sums(seen)))


def _driven(psi: Floats, z: Floats, field: SmoothField) -> Floats:
    """Smooth part of the covariance of the sums, (p, p, grid), by Mehler's formula."""
    seen = np.isfinite(z)
    x = z[seen]
    values, parts = dependence(psi, z)
    out = np.zeros((len(psi), len(psi), len(field.length)))
    for m, b in enumerate(parts, start=1):
        smooth = (field.variance * field.share) ** m * field.pair_sums(m)
        out += np.multiply.outer(np.outer(b, b), smooth)
    noise = np.mean((values - np.outer(values @ x / (x @ x), x)) ** 2, axis=1)
    for along in np.nonzero(seen):
        place = along - along.mean()
        h = place * x
        size = max(float(h @ h), 1e-300)
        b = values @ h / size
        b = np.sign(b) * np.sqrt(np.maximum(b**2 - noise / size, 0.0))
        if b.any():
            weights = np.zeros(z.shape)
            weights[seen] = place
            smooth = field.variance * field.share * field.pair_sums(weights=weights)
            out += np.multiply.outer(np.outer(b, b), np.maximum(smooth, 0.0))
    return out


def _own_df(flat: Floats, n: NDArray[np.int64]) -> Floats:
    """Compute Satterthwaite's degrees of freedom of Σψ² from the kurtosis of ψ over cells."""
    square = flat * flat
    squares = np.sum(square, axis=1)
    fourths = np.sum(square * square, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        kurtosis = n * fourths / squares**2
        df = 2 * n / (kurtosis - 1)
    limit = np.maximum(n - 1.0, 1.0)
    found = np.isfinite(df) & (df > 0)
    return np.asarray(np.where(found, np.clip(df, 1.0, limit), limit), dtype=np.float64)


def mixture_error(
    field: SmoothField | None,
    variance: Floats,
    own: float,
    df_own: float,
    *,
    lines: float = 0.0,
    df_lines: float = np.inf,
) -> tuple[float, float]:
    """Compute the error of an estimator whose variance is known on the grid of a smooth field.

    Parameters
    ----------
    field : SmoothField, optional
        None where there is none; the grid then has one point.
    variance : (grid,) array
        Variance of the estimator at each point of the grid.
    own, df_own : float
        Part that independent cells make, and the degrees of freedom it is known with.
    lines, df_lines : float
        Part that lines make, likewise.

    Returns
    -------
    inflation, df : float
        Ratio of the variance to `own`, and degrees of freedom for Student's t.
    """
    w = np.ones(1) if field is None else field.weight
    harmonic = 1 / float(np.sum(w / variance))
    deviation = np.sqrt(variance)
    low, high = 0.0, 40 * float(deviation.max())
    for _ in range(60):
        middle = 0.5 * (low + high)
        outside = 2 * float(np.sum(w * special.ndtr(-middle / deviation)))
        low, high = (middle, high) if outside > 0.05 else (low, middle)
    spent = (own / harmonic) ** 2 / df_own + (lines / harmonic) ** 2 / df_lines
    df = 1 / (_inverse_df(low / np.sqrt(harmonic)) + spent)
    return harmonic / own, max(df, 1.0)


def _inverse_df(quantile: float) -> float:
    """Return 1/df of the Student's t with this 97.5 % quantile; 0 up to the normal quantile."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = 0.5 * (low + high)
        reached = float(special.stdtrit(1 / middle, 0.975))
        low, high = (middle, high) if reached < quantile else (low, middle)
    return 0.5 * (low + high) if low > 1e-9 else 0.0


def _correlation(matrix: Floats) -> Floats:
    s = np.sqrt(np.diagonal(matrix))
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.where(np.outer(s, s) > 0, matrix / np.outer(s, s), 0.0)
    np.fill_diagonal(r, 1.0)
    return np.asarray(r, dtype=np.float64)
