"""The distribution of accepted readings: what a maximum-likelihood fit of a level tends to.

A card's family is the distribution of programmed states before they are shrunk to leave room for
read noise and trend, which readings then have on top. The readings' mean and standard deviation are
the card's, but their distribution is of the card's family only where there is neither noise nor
trend. Else the truth of its parameters is the nearest distribution of that family: least expected
negative log likelihood.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rramfit.card.families import family
from rramfit.card.schema import Distribution, ModelCard

if TYPE_CHECKING:
    from rramfit.array.devices.parameters import LevelParameters

__all__ = ["direct_parameters", "distribution_truth"]

Floats = NDArray[np.float64]

EVERY = 4
"""Of the latent knots, what quadrature takes; 513 are ample for distributions without jumps."""


def _readings(
    p: LevelParameters, k: int, shape: tuple[int, int], offset: float, *, positive: bool
) -> tuple[Floats, Floats]:
    """Nodes [S] and weights of the distribution of accepted readings at one level.

    Trend and read noise together are taken as normal: the first is a small part of the spread.
    With `positive`, of readings above 0: the others have no likelihood under a positive family.
    """
    from rramfit.array.devices.parameters import relative_read_noise, trend_covariance
    from rramfit.array.devices.quantiles import latent_knots

    knots = latent_knots()[::EVERY]
    weight = np.exp(-0.5 * knots**2)
    state = p.mean[k] + p.shrink[k] * (p.table[k, ::EVERY] - p.mean[k]) + offset
    trend = trend_covariance(p.row_trend[k : k + 1], p.col_trend[k : k + 1], shape)[0, 0]
    added, added_weight = np.polynomial.hermite_e.hermegauss(9)
    relative = 1 + p.shrink[k] * (p.table[k, ::EVERY] / p.mean[k] - 1)
    noise = p.read_scale[k] * relative_read_noise(relative, p.read_power)
    y = (state[:, None] + np.sqrt(trend + noise**2)[:, None] * added).ravel()
    w = (weight[:, None] * added_weight).ravel()
    if positive:
        y, w = y[y > 0], w[y > 0]
    return y, w / w.sum()


def direct_parameters(
    card: ModelCard, p: LevelParameters, k: int, shape: tuple[int, int], offset: float
) -> dict[str, float]:
    """Parameters of the accepted readings, of families where they follow at once."""
    distribution = card.levels[k].distribution
    if distribution is None:
        return {}
    noiseless = p.shrink[k] == 1 and p.row_trend[k] == 0 and p.col_trend[k] == 0
    if noiseless and p.read[k] == 0 and offset == 0:
        return {name: q.value for name, q in distribution.parameters.items()}
    if distribution.family not in ("lognormal", "normal"):
        return {}
    y, w = _readings(p, k, shape, offset, positive=family(distribution.family).positive)
    if distribution.family == "lognormal":
        x = np.log(y)
        return {"mu": float(w @ x), "sigma": math.sqrt(float(w @ (x - w @ x) ** 2))}
    return {"loc": float(w @ y), "scale": math.sqrt(float(w @ (y - w @ y) ** 2))}


def distribution_truth(
    card: ModelCard, shape: tuple[int, int], *, offset: float = 0.0
) -> dict[str, float]:
    """Parameters of every level's distribution of accepted readings, by card path.

    Parameters
    ----------
    card : ModelCard
    shape : (rows, cols)
        Of the array measured.
    offset : float
        The instrument's [S].

    Returns
    -------
    dict
        Of the card's own family, nearest to the distribution of readings (least expected negative
        log likelihood); of a mixture with its parts in rising order.
    """
    from rramfit.array.devices.parameters import level_parameters

    p = level_parameters(card)
    out: dict[str, float] = {}
    for k, level in enumerate(card.levels):
        if level.distribution is None:
            continue
        found = direct_parameters(card, p, k, shape, offset)
        if not found:
            positive = family(level.distribution.family).positive
            readings = _readings(p, k, shape, offset, positive=positive)
            found = _nearest(level.distribution, *readings)
        for name, value in found.items():
            out[f"levels[{k}].distribution.parameters.{name}"] = value
    return out


def _nearest(stated: Distribution, y: Floats, w: Floats) -> dict[str, float]:
    """Parameters of the stated family nearest to the distribution of nodes `y` [S] with weights `w`.

    Sought from the stated ones; the last weight of a mixture is what the others leave.
    """
    from scipy.optimize import minimize

    distribution = family(stated.family)
    start = {name: q.value for name, q in stated.parameters.items()}
    weights = sorted(name for name in start if name.startswith("weight_"))
    free = [name for name in start if name not in weights[-1:]]
    signed = {"shape"} if stated.family == "skew_normal" else set()
    positive = {"scale", "sigma", "delta", "lambda", "df", "shape"} - signed
    positive |= {name for name in start if name.startswith(("std_", "weight_"))}
    spread = math.sqrt(float(w @ (y - w @ y) ** 2))
    siemens = {name for name, q in stated.parameters.items() if q.unit == "S"}
    centre = np.array([start[n] for n in free])
    scale = np.array([spread if n in siemens else max(abs(start[n]), 0.1) for n in free])

    def named(u: Floats) -> dict[str, float]:
        out = dict(zip(free, (centre + u * scale).tolist(), strict=True))
        if weights:
            out[weights[-1]] = 1 - sum(out[n] for n in weights[:-1])
        return out

    def loss(u: Floats) -> float:
        p = named(u)
        if any(p[n] <= 0 for n in positive & p.keys()):
            return 1e3
        return -float(w @ distribution.logpdf(y, p)) - math.log(spread)

    u = np.zeros(len(free))
    found = minimize(loss, u, method="BFGS", jac="3-point", options={"gtol": 1e-9})
    return named(found.x)
