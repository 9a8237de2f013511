"""The families of level distributions, each in its standard parametrisation.

| family        | parameters                       | distribution of conductance g [S]        |
| ---           | ---                              | ---                                      |
| `normal`      | loc [S], scale [S]               | density φ(z)/scale, z = (g − loc)/scale  |
| `lognormal`   | mu [ln S], sigma                 | (ln g − mu)/sigma is standard normal     |
| `gamma`       | shape, scale [S]                 | density ∝ g^(shape−1)·exp(−g/scale)      |
| `weibull`     | shape, scale [S]                 | P(G > g) = exp(−(g/scale)^shape)         |
| `student_t`   | loc [S], scale [S], df           | (g − loc)/scale is Student's t of df     |
| `skew_normal` | loc [S], scale [S], shape        | density 2·φ(z)·Φ(shape·z)/scale          |
| `johnson_su`  | gamma, delta, xi [S], lambda [S] | gamma + delta·asinh((g − xi)/lambda) is  |
|               |                                  | standard normal                          |
| `mixture`     | weight_i, mean_i [S], std_i [S]  | density Σ weight_i·φ(z_i)/std_i, i = 1…K |

Every family is defined by five functions of its parameters: log density, distribution function and
its complement, quantile function, and the first two moments. Fitting is not here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

__all__ = ["FAMILIES", "Family", "family", "mixture_parameters", "register_family"]

Floats = NDArray[np.float64]
Parameters = Mapping[str, float]

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One family of distributions of conductance.

    Attributes
    ----------
    name : str
        Name used in a card.
    units : mapping
        Parameter names, in order, and their units.
    positive : bool
        Whether the support is g > 0.
    logpdf, cdf, sf : callable (g, parameters) -> array
        Log density [ln 1/S], distribution function and its complement.
    ppf : callable (probability, parameters) -> array
        Quantiles [S].
    moments : callable (parameters) -> (mean, std)
        In S; infinite if the moment does not exist.
    """

    name: str
    units: Mapping[str, str]
    positive: bool
    logpdf: Callable[[ArrayLike, Parameters], Floats]
    cdf: Callable[[ArrayLike, Parameters], Floats]
    sf: Callable[[ArrayLike, Parameters], Floats]
    ppf: Callable[[ArrayLike, Parameters], Floats]
    moments: Callable[[Parameters], tuple[float, float]]


def _a(x: ArrayLike) -> Floats:
    return np.asarray(x, dtype=np.float64)


def _positive(g: Floats, inside: Floats, outside: float) -> Floats:
    """Return `inside` where g > 0 and `outside` elsewhere."""
    return np.where(g > 0, inside, outside)


def _safe(g: ArrayLike) -> tuple[Floats, Floats]:
    """Return the conductances, and a copy with 1 in place of those that are not positive."""
    x = _a(g)
    return x, np.where(x > 0, x, 1.0)


def _normal() -> Family:
    def z(g: ArrayLike, p: Parameters) -> Floats:
        return (_a(g) - p["loc"]) / p["scale"]

    return Family(
        name="normal",
        units={"loc": "S", "scale": "S"},
        positive=False,
        logpdf=lambda g, p: -0.5 * z(g, p) ** 2 - _LOG_SQRT_2PI - math.log(p["scale"]),
        cdf=lambda g, p: special.ndtr(z(g, p)),
        sf=lambda g, p: special.ndtr(-z(g, p)),
        ppf=lambda q, p: p["loc"] + p["scale"] * special.ndtri(_a(q)),
        moments=lambda p: (p["loc"], p["scale"]),
    )


def _lognormal() -> Family:
    def z(g: Floats, p: Parameters) -> Floats:
        return np.asarray((np.log(g) - p["mu"]) / p["sigma"])

    def logpdf(g: ArrayLike, p: Parameters) -> Floats:
        x, s = _safe(g)
        inside = -0.5 * z(s, p) ** 2 - _LOG_SQRT_2PI - math.log(p["sigma"]) - np.log(s)
        return _positive(x, inside, -np.inf)

    def cdf(g: ArrayLike, p: Parameters) -> Floats:
        x, s = _safe(g)
        return _positive(x, special.ndtr(z(s, p)), 0.0)

    def sf(g: ArrayLike, p: Parameters) -> Floats:
        x, s = _safe(g)
        return _positive(x, special.ndtr(-z(s, p)), 1.0)

    def moments(p: Parameters) -> tuple[float, float]:
        mean = math.exp(p["mu"] + p["sigma"] ** 2 / 2)
        return mean, mean * math.sqrt(math.expm1(p["sigma"] ** 2))

    return Family(
        name="lognormal",
        units={"mu": "ln S", "sigma": "1"},
        positive=True,
        logpdf=logpdf,
        cdf=cdf,
        sf=sf,
        ppf=lambda q, p: np.exp(p["mu"] + p["sigma"] * special.ndtri(_a(q))),
        moments=moments,
    )


def _gamma() -> Family:
    def logpdf(g: ArrayLike, p: Parameters) -> Floats:
        x, s = _safe(g)
        k, u = p["shape"], s / p["scale"]
        inside = (k - 1) * np.log(u) - u - special.gammaln(k) - math.log(p["scale"])
        return _positive(x, inside, -np.inf)

    return Family(
        name="gamma",
        units={"shape": "1", "scale": "S"},
        positive=True,
        logpdf=logpdf,
        cdf=lambda g, p: _a(special.gammainc(p["shape"], np.maximum(_a(g), 0) / p["scale"])),
        sf=lambda g, p: _a(special.gammaincc(p["shape"], np.maximum(_a(g), 0) / p["scale"])),
        ppf=lambda q, p: _a(p["scale"] * special.gammaincinv(p["shape"], _a(q))),
        moments=lambda p: (p["shape"] * p["scale"], math.sqrt(p["shape"]) * p["scale"]),
    )


def _weibull() -> Family:
    def u(g: ArrayLike, p: Parameters) -> Floats:
        return (np.maximum(_a(g), 0) / p["scale"]) ** p["shape"]

    def logpdf(g: ArrayLike, p: Parameters) -> Floats:
        x, s = _safe(g)
        k = p["shape"]
        inside = math.log(k / p["scale"]) + (k - 1) * np.log(s / p["scale"]) - u(s, p)
        return _positive(x, inside, -np.inf)

    def moments(p: Parameters) -> tuple[float, float]:
        k = p["shape"]
        first, second = math.gamma(1 + 1 / k), math.gamma(1 + 2 / k)
        return p["scale"] * first, p["scale"] * math.sqrt(max(second - first**2, 0.0))

    return Family(
        name="weibull",
        units={"shape": "1", "scale": "S"},
        positive=True,
        logpdf=logpdf,
        cdf=lambda g, p: -np.expm1(-u(g, p)),
        sf=lambda g, p: np.exp(-u(g, p)),
        ppf=lambda q, p: p["scale"] * (-np.log1p(-_a(q))) ** (1 / p["shape"]),
        moments=moments,
    )


def _student_t() -> Family:
    def z(g: ArrayLike, p: Parameters) -> Floats:
        return (_a(g) - p["loc"]) / p["scale"]

    def logpdf(g: ArrayLike, p: Parameters) -> Floats:
        v = p["df"]
        constant = special.gammaln((v + 1) / 2) - special.gammaln(v / 2)
        constant -= 0.5 * math.log(v * math.pi) + math.log(p["scale"])
        return np.asarray(constant - (v + 1) / 2 * np.log1p(z(g, p) ** 2 / v))

    def moments(p: Parameters) -> tuple[float, float]:
        v = p["df"]
        std = p["scale"] * math.sqrt(v / (v - 2)) if v > 2 else math.inf
        return (p["loc"] if v > 1 else math.inf), std

    return Family(
        name="student_t",
        units={"loc": "S", "scale": "S", "df": "1"},
        positive=False,
        logpdf=logpdf,
        cdf=lambda g, p: _a(special.stdtr(p["df"], z(g, p))),
        sf=lambda g, p: _a(special.stdtr(p["df"], -z(g, p))),
        ppf=lambda q, p: _a(p["loc"] + p["scale"] * special.stdtrit(p["df"], _a(q))),
        moments=moments,
    )


def _skew_normal() -> Family:
    def z(g: ArrayLike, p: Parameters) -> Floats:
        return (_a(g) - p["loc"]) / p["scale"]

    def logpdf(g: ArrayLike, p: Parameters) -> Floats:
        x = z(g, p)
        constant = math.log(2 / p["scale"]) - _LOG_SQRT_2PI
        return np.asarray(constant - 0.5 * x**2 + special.log_ndtr(p["shape"] * x))

    def cdf(g: ArrayLike, p: Parameters) -> Floats:
        x = z(g, p)
        return np.clip(special.ndtr(x) - 2 * special.owens_t(x, p["shape"]), 0.0, 1.0)

    def sf(g: ArrayLike, p: Parameters) -> Floats:
        x = z(g, p)
        return np.clip(special.ndtr(-x) + 2 * special.owens_t(x, p["shape"]), 0.0, 1.0)

    def moments(p: Parameters) -> tuple[float, float]:
        b = p["shape"] / math.hypot(1, p["shape"]) * math.sqrt(2 / math.pi)
        return p["loc"] + p["scale"] * b, p["scale"] * math.sqrt(1 - b**2)

    return Family(
        name="skew_normal",
        units={"loc": "S", "scale": "S", "shape": "1"},
        positive=False,
        logpdf=logpdf,
        cdf=cdf,
        sf=sf,
        ppf=_quantiles_by_bisection(cdf, sf, moments),
        moments=moments,
    )


def _johnson_su() -> Family:
    def u(g: ArrayLike, p: Parameters) -> Floats:
        return (_a(g) - p["xi"]) / p["lambda"]

    def z(g: ArrayLike, p: Parameters) -> Floats:
        return np.asarray(p["gamma"] + p["delta"] * np.arcsinh(u(g, p)))

    def logpdf(g: ArrayLike, p: Parameters) -> Floats:
        constant = math.log(p["delta"] / p["lambda"]) - _LOG_SQRT_2PI
        return np.asarray(constant - 0.5 * np.log1p(u(g, p) ** 2) - 0.5 * z(g, p) ** 2)

    def moments(p: Parameters) -> tuple[float, float]:
        w, omega = math.exp(p["delta"] ** -2), p["gamma"] / p["delta"]
        variance = 0.5 * (w - 1) * (w * math.cosh(2 * omega) + 1)
        mean = p["xi"] - p["lambda"] * math.sqrt(w) * math.sinh(omega)
        return mean, p["lambda"] * math.sqrt(variance)

    return Family(
        name="johnson_su",
        units={"gamma": "1", "delta": "1", "xi": "S", "lambda": "S"},
        positive=False,
        logpdf=logpdf,
        cdf=lambda g, p: special.ndtr(z(g, p)),
        sf=lambda g, p: special.ndtr(-z(g, p)),
        ppf=lambda q, p: (
            p["xi"] + p["lambda"] * np.sinh((special.ndtri(_a(q)) - p["gamma"]) / p["delta"])
        ),
        moments=moments,
    )


def mixture_parameters(p: Parameters) -> tuple[Floats, Floats, Floats]:
    """Return weights, means [S] and standard deviations [S] of a normal mixture, each (K,)."""
    k = len(p) // 3
    return tuple(  # type: ignore[return-value]  # three names, three arrays
        np.array([p[f"{name}_{i + 1}"] for i in range(k)]) for name in ("weight", "mean", "std")
    )


def _mixture() -> Family:
    def z(g: ArrayLike, p: Parameters) -> tuple[Floats, Floats, Floats]:
        weight, mean, std = mixture_parameters(p)
        return weight, std, (_a(g)[..., None] - mean) / std

    def logpdf(g: ArrayLike, p: Parameters) -> Floats:
        weight, std, x = z(g, p)
        terms = np.log(weight) - np.log(std) - 0.5 * x**2 - _LOG_SQRT_2PI
        return np.asarray(special.logsumexp(terms, axis=-1))

    def cdf(g: ArrayLike, p: Parameters) -> Floats:
        weight, _, x = z(g, p)
        return np.asarray(special.ndtr(x) @ weight)

    def sf(g: ArrayLike, p: Parameters) -> Floats:
        weight, _, x = z(g, p)
        return np.asarray(special.ndtr(-x) @ weight)

    def moments(p: Parameters) -> tuple[float, float]:
        weight, mean, std = mixture_parameters(p)
        centre = float(weight @ mean)
        return centre, math.sqrt(float(weight @ (std**2 + (mean - centre) ** 2)))

    return Family(
        name="mixture",
        units={},
        positive=False,
        logpdf=logpdf,
        cdf=cdf,
        sf=sf,
        ppf=_quantiles_by_bisection(cdf, sf, moments),
        moments=moments,
    )


def _quantiles_by_bisection(
    cdf: Callable[[ArrayLike, Parameters], Floats],
    sf: Callable[[ArrayLike, Parameters], Floats],
    moments: Callable[[Parameters], tuple[float, float]],
) -> Callable[[ArrayLike, Parameters], Floats]:
    """Return a quantile function, by bisection to float64 accuracy, where there is no closed form.

    The upper half uses the complement, so that both tails keep their relative accuracy.
    """

    def ppf(probability: ArrayLike, p: Parameters) -> Floats:
        q = _a(probability)
        mean, std = moments(p)
        low, high = np.full(q.shape, mean - 40 * std), np.full(q.shape, mean + 40 * std)
        for _ in range(64):  # 80 std / 2^64 is below one float64 spacing
            middle = 0.5 * (low + high)
            below = np.where(q < 0.5, cdf(middle, p) < q, sf(middle, p) > 1 - q)
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        inside = 0.5 * (low + high)
        return np.where(q <= 0, -np.inf, np.where(q >= 1, np.inf, inside))

    return ppf


_REGISTERED: dict[str, Family] = {
    f.name: f
    for f in (
        _normal(),
        _lognormal(),
        _gamma(),
        _weibull(),
        _student_t(),
        _skew_normal(),
        _johnson_su(),
        _mixture(),
    )
}

FAMILIES: Mapping[str, Family] = MappingProxyType(_REGISTERED)
"""Every family a card may name."""


def register_family(form: Family) -> None:
    """Add a family that cards may name. It must be registered wherever such cards are read.

    Raises
    ------
    ValueError
        If the name is taken.
    """
    if form.name in _REGISTERED:
        msg = f"the family {form.name!r} is already registered; choose another name"
        raise ValueError(msg)
    _REGISTERED[form.name] = form


def family(name: str) -> Family:
    """Return the family with the given name, as used in a card.

    Raises
    ------
    KeyError
        If there is no such family; the message lists all families.

    Examples
    --------
    >>> mean, std = family("lognormal").moments({"mu": -9.0, "sigma": 0.1})
    >>> f"{mean * 1e6:.2f} uS, {std * 1e6:.2f} uS"
    '124.03 uS, 12.43 uS'
    """
    try:
        return FAMILIES[name]
    except KeyError:
        msg = f"unknown distribution family {name!r}; expected one of {', '.join(FAMILIES)}"
        raise KeyError(msg) from None
