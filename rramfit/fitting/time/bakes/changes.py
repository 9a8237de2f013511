"""Changes of mean and variance of every level in one bake, with their covariance over time.

With d the change of a cell since its first reading, at times j = 1 … J,

    mean          mean over cells of d_j
    log           ln of the mean reading over the mean first reading, of the same cells
    variance      variance over cells of d_j, with the noise of two reads
    excess        variance over cells of y_j − r_j·y_0, with r_j the ratio of their means: what the
                  factor r_j of a level leaves. Noise in proportion to the conductance adds
                  2·r_j²·ν, ν that of the first reading, Var(y_0) − Cov(y_0, y_1)/r_1; the rest
                  of 2·ν is added, so that it is the same at all times

Readings in coarse steps change by whole steps or not at all, so the variance of their rounding is
added. The covariance over j comes from the influence of every cell. Where a level has few cells for
it, its correlations are those of all levels together. A smooth field over the array inflates it, as
in `rramfit.fitting.time.retention`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.statistics.inference import clustered_covariance
from rramfit.fitting.time.bakes.spread_evidence import proportionality
from rramfit.fitting.time.retention_cells import MIN_CELLS, RetentionCells

__all__ = ["BakeChanges", "Changes", "bake_changes"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MAX_TIMES = 10  # of more readings, those nearest to even steps in ln t are used
_FINE = 0.5  # share of different first readings above which they are not in coarse steps
_CELLS_PER_TIME = 10  # cells per time that a level needs for separate correlations


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Changes of one kind, by level, and their covariance over time; NaN without enough cells."""

    value: Floats  # (level, time)
    covariance: Floats  # (level, time, time)


@dataclass(frozen=True, slots=True, kw_only=True)
class BakeChanges:
    """Changes in one bake.

    Attributes
    ----------
    temperature : float
        [K]
    first_time : float
        [s] of the reading from which changes count: 0, or the first after programming.
    time : (time,) array
        [s]
    mean, log, variance, excess : Changes
        [S], 1, [S²], [S²]; `log` and `excess` are NaN for a level whose mean is not positive.
    start : (level,) array
        Mean first reading [S].
    n_cells : (level,) array
    proportionality : (level, 2) array, optional
        Whether cells change by one factor (1) or one amount (0), and the variance of this number
        (`rramfit.fitting.time.bakes.spread_evidence`).
    stated : bool
        Whether a card states the changes; its variance has no read noise.
    """

    temperature: float
    first_time: float
    time: Floats
    mean: Changes
    log: Changes
    variance: Changes
    excess: Changes
    start: Floats
    n_cells: Integers
    proportionality: Floats | None = None
    stated: bool = False

    @property
    def reference_time(self) -> float:
        """Return the time of the first reading after programming [s]."""
        return self.first_time or float(self.time[0])


def bake_changes(cells: RetentionCells, temperature: float) -> BakeChanges:
    """Compute the changes of every level in one bake.

    Parameters
    ----------
    cells : RetentionCells
    temperature : float
        [K]
    """
    keep = _kept_times(cells.time)
    time, y, level = cells.time[keep], cells.readings[:, keep], cells.level
    known = np.isfinite(y[:, 0])
    shape = (cells.n_levels, len(time) - 1)
    start = np.full(cells.n_levels, np.nan)
    values = {name: np.full(shape, np.nan) for name in ("mean", "log", "variance", "excess")}
    influence = {name: np.full((len(y), shape[1]), np.nan) for name in values}
    for k in range(cells.n_levels):
        of = np.flatnonzero(known & (level == k))
        if len(of) < MIN_CELLS:
            continue
        start[k] = y[of, 0].mean()
        d = y[of, 1:] - y[of, :1]
        seen = np.isfinite(d)
        n = seen.sum(axis=0)
        enough = n >= MIN_CELLS
        n = np.maximum(n, 2)
        mean = np.where(seen, d, 0).sum(axis=0) / n
        r = np.where(seen, d - mean, 0.0)
        variance = (r**2).sum(axis=0) / (n - 1)
        first = np.where(seen, y[of, :1], 0.0).sum(axis=0)
        later = np.where(seen, y[of, 1:], 0.0).sum(axis=0)
        positive = enough & (first > 0) & (later > 0)
        first, later = np.where(positive, first, 1.0), np.where(positive, later, 1.0)
        ratio = np.where(seen, y[of, 1:] / later - y[of, :1] / first, 0.0)
        excess, of_excess = _excess(y[of], later / first)
        values["mean"][k] = np.where(enough, mean, np.nan)
        values["log"][k] = np.where(positive, np.log(later / first), np.nan)
        values["variance"][k] = np.where(enough, variance, np.nan)
        values["excess"][k] = np.where(positive, excess, np.nan)
        influence["excess"][of] = of_excess
        influence["mean"][of] = r / n
        influence["log"][of] = ratio
        influence["variance"][of] = np.where(seen, r**2 - variance, 0.0) / n
    n_cells = np.bincount(level[known], minlength=cells.n_levels).astype(np.int64)
    rounding = _rounding(y) / np.maximum(n_cells, 1)
    least = {
        "mean": rounding,
        "log": rounding / np.where(start > 0, start, np.inf) ** 2,
        "variance": 2 * rounding * rounding * np.maximum(n_cells, 1),
    }
    least["excess"] = least["variance"]
    changes = {
        name: Changes(
            value=values[name],
            covariance=_covariances(values[name], influence[name], cells, n_cells)
            + least[name][:, None, None] * np.eye(shape[1]),
        )
        for name in values
    }
    return BakeChanges(
        temperature=temperature,
        first_time=float(time[0]),
        time=time[1:],
        start=start,
        n_cells=n_cells,
        proportionality=np.array(
            [proportionality(y[known & (level == k)]) for k in range(cells.n_levels)]
        ),
        mean=changes["mean"],
        log=changes["log"],
        variance=changes["variance"],
        excess=changes["excess"],
    )


def _excess(y: Floats, ratio: Floats) -> tuple[Floats, Floats]:
    """Return the excess of one level, (time,) [S²], and the influence of its cells, (cell, time).

    Parameters
    ----------
    y : (cell, 1 + time) array
        Readings [S].
    ratio : (time,) array
        r_j
    """
    seen = np.isfinite(y)
    n = np.maximum(seen.sum(axis=0), 2)
    centred = np.where(seen, y - np.where(seen, y, 0.0).sum(axis=0) / n, 0.0)
    first, later, seen = centred[:, 0], centred[:, 1:], seen[:, 1:]
    apart = np.where(seen, later - ratio * first[:, None], 0.0)
    left = (apart**2).sum(axis=0) / (n[1:] - 1)
    product = np.where(seen[:, 0], first * (first - later[:, 0] / ratio[0]), 0.0)
    noise = product.sum() / (n[1] - 1)
    more = 2 * (1 - ratio**2)
    of_noise = np.where(seen[:, 0], product - noise, 0.0) / n[1]
    influence = np.where(seen, apart**2 - left, 0.0) / n[1:] + more * of_noise[:, None]
    return left + more * noise, influence


def _rounding(y: Floats) -> float:
    """Return the variance that coarse steps of readings add to a change [S²]; 0 for fine ones."""
    first = y[np.isfinite(y[:, 0]), 0]
    steps = np.unique(first)
    if len(steps) < 2 or len(steps) > _FINE * len(first):
        return 0.0
    return float(np.median(np.diff(steps)) ** 2 / 6)


def _kept_times(time: Floats) -> Integers:
    """Return the readings that are used: the first, and of the later ones some even in ln t."""
    later = np.flatnonzero(time > 0)
    first = np.flatnonzero(time == 0)[:1]
    if len(later) > MAX_TIMES:
        x = np.log(time[later])
        even = np.linspace(x[0], x[-1], MAX_TIMES)
        later = later[np.unique(np.abs(x[:, None] - even).argmin(axis=0))]
    return np.concatenate([first, later])


def _covariances(
    values: Floats, influence: Floats, cells: RetentionCells, n_cells: Integers
) -> Floats:
    """Return the covariance over time of every level, (level, time, time)."""
    levels, times = values.shape
    out = np.full((levels, times, times), np.nan)
    inflation = _inflation(influence, cells)
    own: list[Floats | None] = []
    pooled, count = np.zeros((times, times)), 0
    for k in range(levels):
        psi = influence[cells.level == k]
        psi = psi[np.isfinite(psi).all(axis=1)]
        if n_cells[k] < MIN_CELLS or not np.isfinite(values[k]).any():
            own.append(None)
            continue
        c = psi.T @ psi * n_cells[k] / (n_cells[k] - 1)
        own.append(c)
        pooled += n_cells[k] * _correlation(c)
        count += int(n_cells[k])
    if count == 0:
        return out
    pooled = (pooled + times * np.eye(times)) / (count + times)
    for k, c in enumerate(own):
        if c is None:
            continue
        n = int(n_cells[k])
        std = np.sqrt(np.diagonal(c))
        if n < _CELLS_PER_TIME * times:
            c = pooled * np.outer(std, std) * (n - 1) / max(n - 3, 1)
        else:
            c = c * (n - 1) / (n - times - 2)  # of the inverse of an estimated covariance
        out[k] = c * (1 + (inflation - 1) * n / count)
    return out


def _correlation(c: Floats) -> Floats:
    std = np.sqrt(np.diagonal(c))
    safe = np.where(std > 0, std, 1.0)
    out = c / np.outer(safe, safe)
    np.fill_diagonal(out, 1.0)
    return np.asarray(out, dtype=np.float64)


def _inflation(influence: Floats, cells: RetentionCells) -> float:
    """Return the variance of the last change, mean over cells, relative to that without a field."""
    last = np.nan_to_num(influence[:, -1])
    power = np.bincount(cells.level, last**2, cells.n_levels)
    number = np.maximum(np.bincount(cells.level, minlength=cells.n_levels), 1)
    scale = np.sqrt(power / number)[cells.level]
    field = np.zeros((1, *cells.use.shape))
    field[0, cells.use] = np.divide(last, scale, out=np.zeros(len(last)), where=scale > 0)
    if not field.any():
        return 1.0
    return float(clustered_covariance(field).inflation[0])
