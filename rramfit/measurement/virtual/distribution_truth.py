"""True distribution parameters of accepted readings: the limit of a maximum-likelihood fit.

The device model draws states from the card's family, shrinks them around the mean, and adds trend
and read noise, so that the readings have the card's mean and standard deviation. The readings
follow the card's family exactly only without noise and trend. Otherwise the true parameters are
those of the nearest distribution of that family: the one with the lowest expected negative log
likelihood. With mess, line offsets widen the states, and the factors of telegraph noise, column
gain and drift multiply the readings (`rramfit.measurement.virtual.mess_truth`). A bimodal level has
no true parameters.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rramfit.card.families import family
from rramfit.card.schema import Distribution, ModelCard
from rramfit.measurement.virtual import mess as kinds
from rramfit.measurement.virtual.mess import Mess

if TYPE_CHECKING:
    from rramfit.array.devices.parameters import LevelParameters

__all__ = ["direct_parameters", "distribution_truth"]

Floats = NDArray[np.float64]

KNOT_STRIDE = 4
"""Stride over the latent knots; the remaining 513 suffice for smooth distributions."""


def _factors(mess: Mess) -> tuple[Floats, Floats]:
    """Return nodes and weights of the factor by which mess multiplies a reading."""
    nodes, weights = np.ones(1), np.ones(1)

    def times(f: Floats, w: Floats) -> None:
        nonlocal nodes, weights
        nodes, weights = np.outer(nodes, f).ravel(), np.outer(weights, w).ravel()

    uniform, uniform_weight = np.polynomial.legendre.leggauss(2)
    uniform_weight = uniform_weight / 2
    if share := mess.telegraph:
        low, high = kinds.TELEGRAPH
        half = (low + (high - low) * (uniform + 1) / 2) / 2
        w = share / 2 * uniform_weight
        times(np.concatenate([[1.0], 1 - half, 1 + half]), np.concatenate([[1 - share], w, w]))
    if share := mess.column_gain:
        step = kinds.GAIN_STEP
        times(np.array([1 - step, 1, 1 + step]), np.array([share / 2, 1 - share, share / 2]))
    if mess.sweep_drift:
        z, w = np.polynomial.hermite_e.hermegauss(3)
        size = 1 + mess.sweep_drift * np.outer(uniform / 2, z)
        times(size.ravel(), np.outer(uniform_weight, w / w.sum()).ravel())
    return nodes, weights


def _readings(
    p: LevelParameters,
    k: int,
    shape: tuple[int, int],
    offset: float,
    *,
    mess: Mess,
    positive: bool,
    factors: bool = True,
) -> tuple[Floats, Floats]:
    """Return nodes [S] and weights of the distribution of accepted readings at one level.

    The sum of trend, line offsets and read noise is taken as normal, because the first two are a
    small part of the spread. With `positive`, only readings above 0 count, because others have no
    likelihood under a positive family.
    """
    from rramfit.array.devices.parameters import (
        estimands,
        relative_read_noise,
        trend_covariance,
    )
    from rramfit.array.devices.quantiles import latent_knots

    knots = latent_knots()[::KNOT_STRIDE]
    weight = np.exp(-0.5 * knots**2)
    state = p.mean[k] + p.shrink[k] * (p.table[k, ::KNOT_STRIDE] - p.mean[k]) + offset
    trend = trend_covariance(p.row_trend[k : k + 1], p.col_trend[k : k + 1], shape)[0, 0]
    added, added_weight = np.polynomial.hermite_e.hermegauss(9)
    relative = 1 + p.shrink[k] * (p.table[k, ::KNOT_STRIDE] / p.mean[k] - 1)
    noise = p.read_scale[k] * relative_read_noise(relative, p.read_power)
    if mess.lines:
        trend += sum(size**2 for size in mess.lines.values()) * estimands(p, shape).std[k] ** 2
    y = (state[:, None] + np.sqrt(trend + noise**2)[:, None] * added).ravel()
    w = (weight[:, None] * added_weight).ravel()
    factor, factor_weight = _factors(mess)
    if factors and len(factor) > 1:
        y = np.outer(y - offset, factor).ravel() + offset
        w = np.outer(w, factor_weight).ravel()
    if positive:
        y, w = y[y > 0], w[y > 0]
    return y, w / w.sum()


def direct_parameters(
    card: ModelCard,
    p: LevelParameters,
    k: int,
    shape: tuple[int, int],
    offset: float,
    *,
    mess: Mess | None = None,
) -> dict[str, float]:
    """Return the parameters of the accepted readings, if they have a closed form; else empty."""
    distribution, mess = card.levels[k].distribution, mess or Mess()
    if distribution is None or _has_modes(mess, k, len(card.levels)):
        return {}
    noiseless = p.shrink[k] == 1 and p.row_trend[k] == 0 and p.col_trend[k] == 0
    noiseless &= not (mess.lines or len(_factors(mess)[0]) > 1)
    if noiseless and p.read[k] == 0 and offset == 0:
        return {name: q.value for name, q in distribution.parameters.items()}
    if distribution.family not in ("lognormal", "normal"):
        return {}
    log = distribution.family == "lognormal"
    f, v = _factors(mess)
    product = log and offset != 0  # its logarithm is no sum
    y, w = _readings(p, k, shape, offset, mess=mess, positive=log, factors=product)
    if log:
        x, z = np.log(y), np.zeros(1) if product else np.log(f)
        v = np.ones(1) if product else v
        variance = w @ (x - w @ x) ** 2 + v @ (z - v @ z) ** 2
        return {"mu": float(w @ x + v @ z), "sigma": math.sqrt(float(variance))}
    mean = w @ y - offset
    variance = (w @ (y - w @ y) ** 2) * (v @ f**2) + mean**2 * (v @ (f - v @ f) ** 2)
    return {"loc": float(w @ y), "scale": math.sqrt(float(variance))}


def _has_modes(mess: Mess, k: int, levels: int) -> bool:
    return bool(mess.bimodal) and k == levels // 2


def distribution_truth(
    card: ModelCard, shape: tuple[int, int], *, offset: float = 0.0, mess: Mess | None = None
) -> dict[str, float]:
    """Return the distribution parameters of accepted readings at every level, by card path.

    Parameters
    ----------
    card : ModelCard
    shape : (rows, cols)
        Size of the measured array.
    offset : float
        Offset of the instrument [S].
    mess : Mess, optional

    Returns
    -------
    dict
        Parameters of the card's family with the lowest expected negative log likelihood; the
        components of a mixture are in rising order.
    """
    from rramfit.array.devices.parameters import level_parameters

    p, mess = level_parameters(card), mess or Mess()
    out: dict[str, float] = {}
    for k, level in enumerate(card.levels):
        if level.distribution is None or _has_modes(mess, k, len(card.levels)):
            continue
        found = direct_parameters(card, p, k, shape, offset, mess=mess)
        if not found:
            positive = family(level.distribution.family).positive
            readings = _readings(p, k, shape, offset, mess=mess, positive=positive)
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
