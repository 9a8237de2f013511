"""Level distributions as frozen distributions of `scipy.stats`, in a JSON file and a module.

| family of the card | scipy.stats                                                 |
| ---                | ---                                                         |
| normal             | norm(loc, scale)                                            |
| lognormal          | lognorm(s=sigma, scale=exp(mu))                             |
| gamma              | gamma(a=shape, scale=scale)                                 |
| weibull            | weibull_min(c=shape, scale=scale)                           |
| student_t          | t(df, loc, scale)                                           |
| skew_normal        | skewnorm(a=shape, loc, scale)                               |
| johnson_su         | johnsonsu(a=gamma, b=delta, loc=xi, scale=lambda)           |
| mixture            | components of norm with weights                             |

Any other family, as of a plug-in, becomes a histogram of its quantiles.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rramfit.card.families import family, mixture_parameters
from rramfit.export.contract import Export, Exporter, ExportError, Limit
from rramfit.export.limits import limits

if TYPE_CHECKING:
    from rramfit.card.schema import LevelCard, ModelCard

__all__ = ["EXPORTER", "scipy_components"]

Parameters = Mapping[str, float]
Component = tuple[float, str, dict[str, float]]
"""Weight, name of the distribution in scipy.stats, its keyword arguments."""

_NAMED: dict[str, tuple[str, Callable[[Parameters], dict[str, float]]]] = {
    "normal": ("norm", lambda p: {"loc": p["loc"], "scale": p["scale"]}),
    "lognormal": ("lognorm", lambda p: {"s": p["sigma"], "scale": math.exp(p["mu"])}),
    "gamma": ("gamma", lambda p: {"a": p["shape"], "scale": p["scale"]}),
    "weibull": ("weibull_min", lambda p: {"c": p["shape"], "scale": p["scale"]}),
    "student_t": ("t", lambda p: {"df": p["df"], "loc": p["loc"], "scale": p["scale"]}),
    "skew_normal": (
        "skewnorm",
        lambda p: {"a": p["shape"], "loc": p["loc"], "scale": p["scale"]},
    ),
    "johnson_su": (
        "johnsonsu",
        lambda p: {"a": p["gamma"], "b": p["delta"], "loc": p["xi"], "scale": p["lambda"]},
    ),
}
_STEPS = 4096

_MODULE = '''"""Conductance distributions of the levels of one card, for scipy.stats, in siemens.

    import levels
    levels.LEVELS[0].mean(), levels.LEVELS[0].std()
    levels.LEVELS[0].rvs(1000, random_state=1)
"""

import json
import pathlib

import numpy as np
from scipy import stats


class Mixture:
    """A weighted sum of frozen distributions, with the methods of one."""

    def __init__(self, weights, parts):
        self.weights, self.parts = np.asarray(weights, dtype=float), list(parts)

    def pdf(self, x):
        return sum(w * p.pdf(x) for w, p in zip(self.weights, self.parts))

    def cdf(self, x):
        return sum(w * p.cdf(x) for w, p in zip(self.weights, self.parts))

    def sf(self, x):
        return sum(w * p.sf(x) for w, p in zip(self.weights, self.parts))

    def mean(self):
        return float(sum(w * p.mean() for w, p in zip(self.weights, self.parts)))

    def var(self):
        second = sum(w * (p.var() + p.mean() ** 2) for w, p in zip(self.weights, self.parts))
        return float(second - self.mean() ** 2)

    def std(self):
        return float(np.sqrt(self.var()))

    def ppf(self, q):
        q = np.asarray(q, dtype=float)
        low = np.min([p.ppf(np.where((q > 0) & (q < 1), q, 0.5)) for p in self.parts], axis=0)
        high = np.max([p.ppf(np.where((q > 0) & (q < 1), q, 0.5)) for p in self.parts], axis=0)
        for _ in range(80):
            middle = 0.5 * (low + high)
            below = self.cdf(middle) < q
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.where(q <= 0, -np.inf, np.where(q >= 1, np.inf, 0.5 * (low + high)))

    def rvs(self, size=None, random_state=None):
        rng = np.random.default_rng(random_state)
        which = rng.choice(len(self.parts), size=size, p=self.weights / self.weights.sum())
        drawn = [p.rvs(size=size, random_state=rng) for p in self.parts]
        return np.choose(which, drawn)


def _frozen(components):
    parts = []
    for c in components:
        if c["name"] == "rv_histogram":
            binned = (c["args"]["counts"], c["args"]["edges"])
            parts.append(stats.rv_histogram(binned, density=False))
        else:
            parts.append(getattr(stats, c["name"])(**c["args"]))
    if len(parts) == 1:
        return parts[0]
    return Mixture([c["weight"] for c in components], parts)


with open(pathlib.Path(__file__).with_name("levels.json"), encoding="utf-8") as _file:
    TABLE = json.load(_file)["levels"]

NAMES = [level["name"] for level in TABLE]
LEVELS = [_frozen(level["components"]) for level in TABLE]
"""Distributions of readings of accepted cells, over cells and programmings, in card order."""

if __name__ == "__main__":
    for name, level in zip(NAMES, LEVELS):
        print(f"{name}: mean {level.mean():.6g} S, std {level.std():.3g} S")
'''


def scipy_components(level: LevelCard) -> list[dict[str, Any]]:
    """Return the components of a level's distribution: weight, name and args of each.

    Raises
    ------
    ExportError
        If the level has neither a distribution nor a mean with a standard deviation.
    """
    d = level.distribution
    if d is None:
        if level.mean is None or level.std is None:
            msg = (
                f"level {level.name} has neither a distribution nor mean and std; scipy.stats "
                "needs one of them. Remove the level with `rramfit card take`."
            )
            raise ExportError(msg)
        return [_component(1.0, "norm", {"loc": level.mean.value, "scale": level.std.value})]
    parameters = {name: q.value for name, q in d.parameters.items()}
    if d.family == "mixture":
        weights, means, stds = mixture_parameters(parameters)
        return [
            _component(float(w), "norm", {"loc": float(m), "scale": float(s)})
            for w, m, s in zip(weights, means, stds, strict=True)
        ]
    if d.family in _NAMED:
        name, arguments = _NAMED[d.family]
        return [_component(1.0, name, arguments(parameters))]
    q = np.linspace(0.0, 1.0, _STEPS + 1)[1:-1]
    edges = np.unique(family(d.family).ppf(q, parameters))
    counts = np.full(len(edges) - 1, 1.0 / (len(edges) - 1))
    return [_component(1.0, "rv_histogram", {"counts": counts.tolist(), "edges": edges.tolist()})]


def _component(weight: float, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"weight": weight, "name": name, "args": dict(arguments)}


def _export(card: ModelCard, _options: Mapping[str, Any]) -> Export:
    levels: list[dict[str, Any]] = [
        {
            "name": level.name,
            "target": None if level.target is None else level.target.value,
            "components": scipy_components(level),
        }
        for level in card.levels
    ]
    if not levels:
        msg = f"card {card.name!r} has no levels; expected at least one"
        raise ExportError(msg)
    table = {"card": card.name, "digest": card.digest, "unit": "S", "levels": levels}
    binned = [x["name"] for x in levels if x["components"][0]["name"] == "rv_histogram"]
    approximated = (
        Limit(
            what=f"Levels {', '.join(map(str, binned))} are histograms of {_STEPS} equal shares.",
            size=f"the outermost {100 / _STEPS:.2g} % of each side are left out",
        ),
    )
    return Export(
        files={
            "levels.json": json.dumps(table, indent=1, ensure_ascii=False) + "\n",
            "levels.py": _MODULE,
        },
        commands=("pip install scipy", "python3 levels.py"),
        approximated=approximated if binned else (),
        missing=limits(card, expressed={"families", "spacing", "d2d", "c2c", "read"}),
        notes=(
            (
                "A distribution is that of one reading of a cell that was programmed once, over "
                "cells "
                "and programmings; it contains d2d, c2c and read noise together."
            ),
        ),
    )


EXPORTER = Exporter(
    name="scipy",
    title="scipy.stats",
    writes="`levels.py` has one frozen distribution per level, made from the names and arguments "
    "in `levels.json`.",
    cannot="A distribution has no cells: neither what persists over programmings nor where it is.",
    verified="The tests compare distribution functions and quantiles with those of the card to "
    "1e-9, and the moments to 1e-6.",
    export=_export,
    aliases=("scipy.stats",),
)
