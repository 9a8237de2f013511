"""Model cards with specified parameters, for virtual chips.

`virtual_card` builds a card from level means, relative spread, the share of the variance between
cells and the share of that in a smooth spatial field. `family_with_moments` converts a mean and a
standard deviation to the parameters of any distribution family. `random_card` draws all numbers,
for studies over many chips. Every quantity is specified, none is estimated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from rramfit.card.document import seal
from rramfit.card.families import family
from rramfit.card.quality import Provenance, Quality
from rramfit.card.quantity import Quantity
from rramfit.card.schema import (
    ArrayInfo,
    Distribution,
    Domain,
    FailureCard,
    LevelCard,
    ModelCard,
    SpatialCard,
    StuckCard,
    VariationCard,
)
from rramfit.provenance import package_version
from rramfit.streams import stream

__all__ = ["family_with_moments", "random_card", "virtual_card"]

NOT_MEASURED = "1970-01-01T00:00:00Z"
"""Time stamp of a card with specified parameters."""

DEFAULT_SHAPES: Mapping[str, Mapping[str, float]] = {
    "student_t": {"df": 6.0},
    "skew_normal": {"shape": 3.0},
    "johnson_su": {"gamma": -0.5, "delta": 1.8},
    "mixture": {"weight": 0.3, "separation": 1.6},
}
"""Shape parameters of each family besides mean and standard deviation. The second component of a
mixture has the weight `weight` and a mean `separation` standard deviations above the first."""


def family_with_moments(
    name: str, mean: float, std: float, shape: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Return the parameters of a family that has a given mean and standard deviation.

    Parameters
    ----------
    name : str
        As in `rramfit.card.families`.
    mean, std : float
        [S]
    shape : mapping, optional
        Further parameters of the family; default: `DEFAULT_SHAPES`.

    Raises
    ------
    KeyError
        If the family does not exist.

    Examples
    --------
    >>> p = family_with_moments("weibull", 80e-6, 8e-6)
    >>> mean, std = family("weibull").moments(p)
    >>> f"{mean * 1e6:.3f} {std * 1e6:.3f}"
    '80.000 8.000'
    """
    distribution = family(name)
    s = {**DEFAULT_SHAPES.get(name, {}), **(shape or {})}
    cv = std / mean
    if name == "normal":
        return {"loc": mean, "scale": std}
    if name == "lognormal":
        variance = math.log1p(cv**2)
        return {"mu": math.log(mean) - variance / 2, "sigma": math.sqrt(variance)}
    if name == "gamma":
        return {"shape": cv**-2, "scale": mean * cv**2}
    if name == "weibull":
        k = _weibull_shape(cv)
        return {"shape": k, "scale": mean / math.gamma(1 + 1 / k)}
    if name == "mixture":
        w, d = s["weight"], s["separation"]
        within = std * math.sqrt(1 - w * (1 - w) * d**2)
        return {
            "weight_1": 1 - w,
            "mean_1": mean - w * d * std,
            "std_1": within,
            "weight_2": w,
            "mean_2": mean + (1 - w) * d * std,
            "std_2": within,
        }
    location, scale = ("xi", "lambda") if name == "johnson_su" else ("loc", "scale")
    unit_mean, unit_std = distribution.moments({**s, location: 0.0, scale: 1.0})
    width = std / unit_std
    return {**s, location: mean - width * unit_mean, scale: width}


def _weibull_shape(cv: float) -> float:
    """Return the Weibull shape for a coefficient of variation, by bisection on its logarithm."""
    low, high = math.log(0.1), math.log(1e4)
    for _ in range(60):
        middle = 0.5 * (low + high)
        first, std = family("weibull").moments({"shape": math.exp(middle), "scale": 1.0})
        low, high = (middle, high) if std / first > cv else (low, middle)
    return math.exp(0.5 * (low + high))


def virtual_card(
    name: str,
    *,
    mean: Sequence[float],
    spread: Sequence[float] | float,
    distribution: str = "lognormal",
    shape: Mapping[str, float] | None = None,
    target: Sequence[float] | None = None,
    between_cells: float = 0.5,
    read: Sequence[float] | float = 0.0,
    correlation: float = 0.5,
    field_share: float = 0.0,
    field_length: float = 0.0,
    row_trend: float = 0.0,
    col_trend: float = 0.0,
    hard: Sequence[float] | float = 0.0,
    soft: Sequence[float] | float = 0.0,
    failed_at: float | None = None,
    stuck: Mapping[str, float] | None = None,
    window: float | None = None,
    array: tuple[int, int] = (128, 128),
    read_voltage: float = 0.2,
    seed: int = 0,
) -> ModelCard:
    """Build a card from specified parameters.

    Parameters
    ----------
    name : str
    mean : sequence of float
        Level means, rising [S].
    spread : float or sequence of float
        Standard deviation of a level relative to its mean, including all variation.
    distribution : str
        Family of every level; `shape` as in `family_with_moments`.
    target : sequence of float, optional
        [S]; default: the means.
    between_cells : float
        Share of the variance (without read noise) between cells: d2d², including the trend.
    read : float or sequence of float
        Read noise relative to the mean.
    correlation : float
        Correlation of a cell's offsets at any two levels.
    field_share, field_length : float
        Share of d2d² in a smooth field, and its correlation length [cell pitches].
    row_trend, col_trend : float
        Per cell pitch, relative to the level's mean.
    hard, soft : float or sequence of float
        Share of cells that can never be programmed to the level; failure probability of the others.
    failed_at : float, optional
        Median conductance of failed cells [S]; default: the distribution of the lowest level.
    stuck : mapping, optional
        Fields of `StuckCard`, as `low`, `high_conductance` [S], `high_moving`, `dead_rows`.
    window : float, optional
        Half-width of the verify window relative to the target.
    array : (rows, cols)
    read_voltage : float
        [V]
    seed : int
        Only recorded in the card.
    """
    n = len(mean)
    spreads, reads, hards, softs = (_per_level(x, n) for x in (spread, read, hard, soft))
    targets = list(mean if target is None else target)
    faults = {"low": 0.0, "high": 0.0, "dead_rows": 0.0, "dead_cols": 0.0, **(stuck or {})}
    healthy = 1 - faults["low"] - faults["high"] - faults.get("middle", 0.0)
    lost = 1 - healthy * (1 - faults["dead_rows"]) * (1 - faults["dead_cols"])
    levels, variation, failure = [], [], []
    for k in range(n):
        std, noise = spreads[k] * mean[k], reads[k] * mean[k]
        state = std**2 - noise**2
        edges = None if window is None else (targets[k] * (1 - window), targets[k] * (1 + window))
        units = family(distribution).units
        parameters = family_with_moments(distribution, mean[k], std, shape)
        levels.append(
            LevelCard(
                index=k,
                name=f"L{k}",
                target=Quantity.given(targets[k], "S"),
                lower=Quantity.given(edges[0], "S") if edges else None,
                upper=Quantity.given(edges[1], "S") if edges else None,
                n_cells=0,
                n_observations=0,
                mean=Quantity.given(mean[k], "S"),
                std=Quantity.given(std, "S"),
                distribution=Distribution(
                    family=distribution,
                    parameters={
                        key: Quantity.given(x, units.get(key, _mixture_unit(key)))
                        for key, x in parameters.items()
                    },
                ),
            )
        )
        spatial = SpatialCard(
            row_trend=Quantity.given(row_trend * mean[k], "S"),
            col_trend=Quantity.given(col_trend * mean[k], "S"),
            correlation_length=Quantity.given(field_length, "1") if field_share else None,
            share=Quantity.given(field_share, "1"),
        )
        variation.append(
            VariationCard(
                level=k,
                domain="linear",
                d2d=Quantity.given(math.sqrt(between_cells * state), "S"),
                c2c=Quantity.given(math.sqrt((1 - between_cells) * state), "S"),
                read=Quantity.given(noise, "S"),
                c2c_includes_read=False,
                spatial=spatial,
            )
        )
        failure.append(
            FailureCard(
                level=k,
                probability=Quantity.given(1 - (1 - lost) * (1 - hards[k]) * (1 - softs[k]), "1"),
                hard=Quantity.given(hards[k], "1"),
                soft=Quantity.given(softs[k], "1"),
                n_attempts=0,
                conductance=None if failed_at is None else Quantity.given(failed_at, "S"),
            )
        )
    in_siemens = ("_conductance", "_std", "_motion")
    card = ModelCard(
        name=name,
        digest="sha256:" + "0" * 64,
        array=ArrayInfo(
            id=name, rows=array[0], cols=array[1], cell="1T1R", technology="virtual", synthetic=True
        ),
        levels=levels,
        variation=variation,
        variation_correlation=(np.eye(n) * (1 - correlation) + correlation).tolist(),
        failure=failure,
        stuck=StuckCard(
            **{
                key: Quantity.given(x, "S" if key.endswith(in_siemens) else "1")
                for key, x in faults.items()
            }
        ),
        domain=Domain(read_voltage=Quantity.given(read_voltage, "V"), rows=array[0], cols=array[1]),
        quality=Quality(verdict="ok", summary="Stated parameters of a virtual array; not fitted."),
        provenance=Provenance(
            inputs=[],
            rramfit_version=package_version(),
            seed=seed,
            time=NOT_MEASURED,
            time_source="stated, not measured",
        ),
    )
    return seal(card)


def _per_level(x: Sequence[float] | float, n: int) -> list[float]:
    return [float(x)] * n if isinstance(x, int | float) else [float(v) for v in x]


def _mixture_unit(name: str) -> str:
    return "1" if name.startswith("weight") else "S"


def random_card(
    seed: int,
    *,
    distribution: str = "lognormal",
    shape: Mapping[str, float] | None = None,
    levels: int = 3,
    spatial: bool = True,
    failures: bool = True,
    read_noise: bool = True,
    spread: tuple[float, float] = (0.05, 0.15),
    array: tuple[int, int] = (64, 64),
) -> ModelCard:
    """Return a card with random parameters.

    Level means form a geometric series from 20-40 uS to 120-240 uS. Each level has a relative
    standard deviation of 5-15 %; 20-80 % of its variance is between cells. With `spatial`, a smooth
    field with a correlation length of 4-10 cell pitches makes up 20-60 % of that, and row and
    column trends reach half a standard deviation across the array. Read noise is 10-30 % of a
    level's standard deviation. Up to 3 % of cells fail hard and up to 3 % soft; up to 1 % are stuck
    low and up to 1 % stuck high.

    Parameters
    ----------
    seed : int
        Switching one factor on or off does not change the other numbers.
    distribution : str
        Family of every level; `shape` as in `family_with_moments`.
    levels : int
    spatial, failures, read_noise : bool
        Whether the chip has this factor.
    spread : (float, float)
        Range of the levels' relative standard deviations.
    array : (rows, cols)
    """
    level, between, space, faults, noise = (
        stream(seed, f"card/{name}") for name in ("level", "between", "spatial", "faults", "read")
    )
    ends = level.uniform(20e-6, 40e-6), level.uniform(120e-6, 240e-6)
    mean = np.geomspace(*ends, levels) if levels > 1 else np.array([ends[1]])
    spreads = level.uniform(*spread, levels)
    share, length = space.uniform(0.2, 0.6), space.uniform(4.0, 10.0)
    slopes = space.uniform(-0.5, 0.5, 2) * spreads.min() / np.array(array)
    hard, soft = faults.uniform(0.0, 0.03, (2, levels))
    low, high = faults.uniform(0.0, 0.01, 2)
    between_cells, correlation = between.uniform(0.2, 0.8), between.uniform(0.2, 0.9)
    return virtual_card(
        f"random-{seed}",
        mean=mean.tolist(),
        spread=spreads.tolist(),
        distribution=distribution,
        shape=shape,
        between_cells=between_cells,
        read=(noise.uniform(0.1, 0.3, levels) * spreads * read_noise).tolist(),
        correlation=correlation,
        field_share=share * spatial,
        field_length=length * spatial,
        row_trend=slopes[0] * spatial,
        col_trend=slopes[1] * spatial,
        hard=(hard * failures).tolist(),
        soft=(soft * failures).tolist(),
        stuck={
            "low": low * failures,
            "high": high * failures,
            "low_conductance": 0.1 * mean[0],
            "high_conductance": 1.6 * mean[-1],
        },
        array=array,
        seed=seed,
    )
