"""True distribution parameters of accepted readings: the limit of a maximum-likelihood fit.

The device model draws states from the card's family, shrinks them around the mean, and adds trend
and read noise, so that the readings have the card's mean and standard deviation. The readings
follow the card's family exactly only without noise and trend. Otherwise the true parameters are
those of the nearest distribution of that family: the one with the lowest expected negative log
likelihood.
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

KNOT_STRIDE = 4
"""Stride over the latent knots; the remaining 513 suffice for smooth distributions."""


def _readings(
    p: LevelParameters, k: int, shape: tuple[int, int], offset: float, *, positive: bool
) -> tuple[Floats, Floats]:
    """Return nodes [S] and weights of the distribution of accepted readings at one level.

    The sum of trend and read noise is taken as normal, because the trend is a small part of the
    spread. With `positive`, only readings above 0 count, because others have no likelihood under a
    positive family.
    """
    from rramfit.array.devices.parameters import relative_read_noise, trend_covariance
    from rramfit.array.devices.quantiles import latent_knots

    knots = latent_knots()[::KNOT_STRIDE]
    weight = np.exp(-0.5 * knots**2)
    state = p.mean[k] + p.shrink[k] * (p.table[k, ::KNOT_STRIDE] - p.mean[k]) + offset
    trend = trend_covariance(p.row_trend[k : k + 1], p.col_trend[k : k + 1], shape)[0, 0]
    added, added_weight = np.polynomial.hermite_e.hermegauss(9)
    relative = 1 + p.shrink[k] * (p.table[k, ::KNOT_STRIDE] / p.mean[k] - 1)
    noise = p.read_scale[k] * relative_read_noise(relative, p.read_power)
    y = (state[:, None] + np.sqrt(trend + noise**2)[:, None] * added).ravel()
    w = (weight[:, None] * added_weight).ravel()
    if positive:
        y, w = y[y > 0], w[y > 0]
    return y, w / w.sum()


def direct_parameters(
    card: ModelCard, p: LevelParameters, k: int, shape: tuple[int, int], offset: float
) -> dict[str, float]:
    """Return the parameters of the accepted readings, if they have a closed form; else empty."""
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
    """Return the distribution parameters of accepted readings at every level, by card path.

    Parameters
    ----------
    card : ModelCard
    shape : (rows, cols)
        Size of the measured array.
    offset : float
        Offset of the instrument [S].

    Returns
    -------
    dict
        Parameters of the card's family with the lowest expected negative log likelihood; the
        components of a mixture are in rising order.
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


def _nearest(given: Distribution, y: Floats, w: Floats) -> dict[str, float]:
    """Return the parameters of the family that fit nodes `y` [S] with weights `w` best.

    The search starts from the card's parameters. The weights of a mixture add up to 1.
    """
    from scipy.optimize import minimize

    distribution = family(given.family)
    start = {name: q.value for name, q in given.parameters.items()}
    weights = sorted(name for name in start if name.startswith("weight_"))
    free = [name for name in start if name not in weights[-1:]]
    signed = {"shape"} if given.family == "skew_normal" else set()
    positive = {"scale", "sigma", "delta", "lambda", "df", "shape"} - signed
    positive |= {name for name in start if name.startswith(("std_", "weight_"))}
    spread = math.sqrt(float(w @ (y - w @ y) ** 2))
    siemens = {name for name, q in given.parameters.items() if q.unit == "S"}
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
