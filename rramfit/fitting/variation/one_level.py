"""Variation of one level: between cells, between cycles, between reads, and over the array.

The components are estimated in siemens, or in the logarithm for a lognormal level with a relative
spread above 25 %: there, moments in siemens depend on a few high cells. With a smaller spread they
do not, and also include noise and trends that are not lognormal. In both cases they are reported as
standard deviations in siemens (`rramfit.fitting.statistics.components`):

    d2d    between the cells' means, including trend and smooth field,
    c2c    between cycles of a cell, less the variance between reads if that is known,
    read   between reads of one programmed state.

With one sweep, d2d and c2c cannot be separated; only their sum, the total, is known.

A component's variance is a difference and can be near zero or negative. If it is well determined,
its interval is formed on the log scale, otherwise on the variance itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.card.quantity import Quantity, interval
from rramfit.card.schema import LineOffsets, VariationCard
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.statistics.components import Components, in_siemens, variance_components
from rramfit.fitting.statistics.inference import Driver, clustered_covariance
from rramfit.fitting.statistics.over_array.smooth_field import plane
from rramfit.fitting.statistics.read_spread import ReadSpread
from rramfit.fitting.variation.line_offsets import line_offsets
from rramfit.fitting.variation.spatial import SpatialFit, fit_spatial
from rramfit.fitting.variation.sweep_scatter import with_sweeps

__all__ = ["FEWEST_CELLS", "LevelVariation", "fit_level_variation", "spread"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FEWEST_CELLS = 8
_FEWEST_REPEATS = 4  # least Σ (n_c − 1) for a variance between cycles
_WELL_KNOWN = 0.35  # relative error of a variance up to which its logarithm is nearly normal
_TREND_CELLS = 16
_WIDE = 0.25  # spread of ln G above which the log domain is used


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelVariation:
    """Variation of one level.

    `d2d` and `c2c` are None if too few cells were programmed to the level more than once.
    """

    level: int
    domain: str  # "linear" or "log"
    n_cells: int
    n_readings: int
    total: Quantity  # [S] of a reading, including read noise
    d2d: Quantity | None
    c2c: Quantity | None
    read: Quantity | None
    c2c_includes_read: bool
    spatial: SpatialFit | None
    effective_cells: float  # number of independent cells with the same error of the mean
    components: Components
    driver: Driver
    centre: Floats  # (row, col) cell means in the domain; NaN where none
    trend: Floats  #  (row, col) fitted plane, less its mean over the cells
    lines: Floats  #  (row, col) predicted line offsets in the domain; zero where none
    offsets: tuple[LineOffsets, ...]  # standard deviations of the line offsets [S]
    readings: NDArray[np.int64]  # (row, col) number of readings

    def to_card(self) -> VariationCard:
        """Return the level as an entry of a card."""
        return VariationCard(
            level=self.level,
            domain="log" if self.domain == "log" else "linear",
            d2d=self.d2d,
            c2c=self.c2c,
            read=self.read,
            c2c_includes_read=self.c2c_includes_read,
            spatial=self.spatial.to_card() if self.spatial else None,
            lines=list(self.offsets) or None,
        )


def spread(variance: float, error: float, df: float) -> Quantity:
    """Return the standard deviation [S] for an estimated variance and its standard error."""
    value = math.sqrt(max(variance, 0.0))
    if variance > 0 and error <= _WELL_KNOWN * variance:
        return Quantity.estimated(value, error / (2 * value), "S", scale="log", df=df)
    low, high = interval(variance, error, df=df)
    # A variance below zero by chance does not exclude values below its standard error.
    low, high = math.sqrt(max(low, 0.0)), math.sqrt(max(high, error))
    near = value if value**2 > error else math.sqrt(error)
    return Quantity.within(value, error / (2 * near) if near else 0.0, "S", (low, high))


def fit_level_variation(
    statistics: ProgramStatistics,
    healthy: Bools,
    level: int,
    *,
    domain: str,
    reads: ReadSpread | None = None,
    seed: int = 0,
) -> LevelVariation | None:
    """Fit the variation of one level; None for fewer than `FEWEST_CELLS` cells.

    Parameters
    ----------
    statistics : ProgramStatistics
    healthy : (row, col) bool array
    level : int
    domain : {"linear", "log"}
        "log" for a lognormal level; it is still fitted in siemens if its spread is small or if a
        reading is not positive.
    reads : ReadSpread, optional
    seed : int
        Seed of the test for a smooth field.
    """
    readings = np.where(healthy, statistics.count[level], 0)
    seen = readings > 0
    if int(seen.sum()) < FEWEST_CELLS:
        return None
    mean = np.where(seen, statistics.mean[level], np.nan)
    centre, m2 = mean, statistics.m2[level]
    domain = "log" if domain == "log" and _is_wide(statistics, seen, level) else "linear"
    if domain == "log":
        centre, m2 = np.where(seen, statistics.log_mean[level], np.nan), statistics.log_m2[level]
    trend = np.zeros(seen.shape)
    if int(seen.sum()) >= _TREND_CELLS:
        trend = _plane_about_mean(centre, seen)
    driver = Driver.of(centre)
    n = readings[seen]
    components = variance_components(n, centre[seen], m2[seen], trend=trend[seen])

    def on_array(influence: Floats) -> Floats:
        field = np.zeros(seen.shape)
        field[seen] = influence
        return field

    of_mean = clustered_covariance(on_array(components.influence_mean)[None], driver=driver)
    own = float(np.sum(components.influence_mean**2))
    excess = own * (float(of_mean.inflation[0]) - 1)
    s = in_siemens(components, domain, excess=excess)
    noise = None if reads is None else reads.variance(healthy & (reads.level == level))
    separable = components.degrees >= _FEWEST_REPEATS
    within, of_within = s.within, on_array(s.influence_within)
    if noise is not None:
        within, of_within = within - noise[0], of_within - noise[1]
    fields = [on_array(s.influence_total)]
    if separable:
        fields += [on_array(s.influence_between), of_within]
    fields += [] if noise is None else [noise[1]]
    found = clustered_covariance(
        np.stack(fields) / s.total if s.total else np.stack(fields), driver=driver
    )
    errors, df = found.stderr * (s.total or 1.0), found.df.copy()
    if separable:
        inflation, df[2] = with_sweeps(
            statistics,
            seen,
            level,
            logarithm=domain == "log",
            own=float(np.sum(components.influence_within**2)),
            df=float(df[2]),
        )
        errors[2] *= math.sqrt(inflation)
    return LevelVariation(
        level=level,
        domain=domain,
        n_cells=int(seen.sum()),
        n_readings=int(n.sum()),
        total=spread(s.total, errors[0], df[0]),
        d2d=spread(s.between, errors[1], df[1]) if separable else None,
        c2c=spread(within, errors[2], df[2]) if separable else None,
        read=None if noise is None else spread(noise[0], errors[-1], df[-1]),
        c2c_includes_read=noise is None,
        spatial=(
            fit_spatial(
                mean, driver, noise=_noise_share(components, n, centre, separable), seed=seed
            )
            if int(seen.sum()) >= _TREND_CELLS
            else None
        ),
        effective_cells=1
        / max(float(of_mean.inflation[0]) * float(components.weight @ components.weight), 1e-300),
        components=components,
        driver=driver,
        centre=centre,
        trend=trend,
        lines=_line_offsets_of_cells(driver, centre),
        offsets=tuple(line_offsets(driver, float(plane(mean)[0][seen].std()))),
        readings=readings,
    )


def _line_offsets_of_cells(driver: Driver, centre: Floats) -> Floats:
    """Return the predicted line offset of every cell in the unit of `centre`, (row, col)."""
    if driver.lines is None:
        return np.zeros(centre.shape)
    residual, _, observed = plane(centre)
    return driver.lines.on_array() * float(residual[observed].std())


def _is_wide(statistics: ProgramStatistics, seen: Bools, level: int) -> bool:
    """Return whether a level has only positive readings and a relative spread above 25 %."""
    n = statistics.count[level][seen]
    mean = statistics.log_mean[level][seen]
    if not np.isfinite(mean).all():
        return False
    centre = float(n @ mean) / float(n.sum())
    total = float(statistics.log_m2[level][seen].sum() + n @ (mean - centre) ** 2)
    return total / float(n.sum()) > _WIDE**2


def _plane_about_mean(centre: Floats, seen: Bools) -> Floats:
    """Return the linear trend of the cell means over the array, less its mean over the cells."""
    _, (_, row, col), _ = plane(centre)
    rows, cols = centre.shape
    trend = row * (np.arange(rows) - (rows - 1) / 2)[:, None]
    trend = trend + col * (np.arange(cols) - (cols - 1) / 2)
    return np.asarray(trend - trend[seen].mean(), dtype=np.float64)


def _noise_share(
    components: Components, n: NDArray[np.int64], centre: Floats, separable: bool
) -> tuple[float, float] | None:
    """Return the share of cycles in the cell means' variance about the plane, and its error."""
    residual, _, observed = plane(centre)
    variance = float(residual[observed].var())
    if not separable or variance == 0:
        return None
    part = float((1 / n).mean()) / variance
    error = float(np.sqrt(np.sum(components.influence_within**2)))
    return part * components.within, part * error
