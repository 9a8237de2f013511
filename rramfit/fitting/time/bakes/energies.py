"""Choice of the law, activation energies with their intervals, and tests of the law.

Choice. Laws are compared by χ² + ln(number of changes)·(number of parameters of the levels), as BIC
does; a free exponent of time must gain `GAIN` (95 % of χ² with 1 degree of freedom). So the change
follows ln t unless the readings reject it. The error of the exponent is kept all the same, for
extrapolations. Where changes in siemens and of the logarithm of the mean fit about equally well,
the energy's error contains their difference, weighted by the probability of the other one.

Energy. Its error has two parts: that of the readings, and that between bakes, which readings of one
bake cannot show (temperature of the oven, cells programmed anew). With ln f_b the rate of bake b
from all levels, S their covariance and a_b = (1/T_ref − 1/T_b)/k,

    ln f_b = E·a_b + η_b − η_0,   η ~ N(0, τ²)

τ² is estimated by the method of Paule and Mandel from the bakes − 2 degrees of freedom that are
left. Student's t has the Satterthwaite degrees of freedom of the sum of both parts: many where τ²
is 0, and bakes − 2 where it dominates. The interval is that of the profile of χ² at this quantile,
so it is open where the drift of the cooler bakes cannot be told from zero. Then there is no energy,
and the law is stated for an assumed one: the lower limit, which is on the safe side below the
hottest bake, or 0.

Tests. One energy against one per level: likelihood ratio, difference of χ² with levels − 1 degrees
of freedom. Arrhenius: difference to free ln f, with bakes − 2; needs three temperatures. Law of
time: χ² of a free step and rate of every level and bake. Where it rejects, all errors are inflated
by the root of χ² per degree of freedom.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from rramfit.card.quantity import Quantity
from rramfit.fitting.time.bakes.changes import BakeChanges
from rramfit.fitting.time.bakes.law_fit import (
    ENERGIES,
    Kind,
    LawData,
    LawFit,
    at_factors,
    fit_law,
    free_chi2,
    free_factors,
    inverse_information,
)

__all__ = [
    "GAIN",
    "LATER",
    "REJECTED",
    "Energies",
    "choose_law",
    "distinct",
    "infer_energies",
    "later_readings",
]

Floats = NDArray[np.float64]

GAIN = 3.841
"""χ² that a free exponent, or the linear domain, has to gain."""

LATER = 3
"""Readings after programming in one bake that an exponent of time needs."""

REJECTED = 0.05
"""p-value below which several energies, instead of one, are used."""

_MISFIT = 0.01  # p-value of the law of time below which errors are inflated
_SAME = 0.5  # [K] temperatures closer than this are one
_FINE = 4001  # energies at which χ² is computed: steps of 2 meV
_SAFE = 700.0  # largest exponent of e
_KNOWN = 1e-9  # [eV] error of an energy that is given
_DETERMINED = 1.0  # stderr of ln f above which a bake says nothing on τ


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """The same law in the other domain: its energy, and its probability by the scores."""

    energy: float
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Energies:
    """A law with its energies, tests and covariance.

    Attributes
    ----------
    fit : LawFit
    domain : str
        "linear" or "log".
    energy : Quantity, optional
        Common to all levels; None if the data do not determine it.
    assumed : Quantity, optional
        The energy of `fit` in this case.
    of_level : list of Quantity or None
    exponent : Quantity
    covariance : (2 + level·p, …) array
        Of energy, exponent and θ by level; NaN for what is not determined.
    factors : list of Quantity or None
        f of every bake from all levels.
    level_factors : (level, bake) list of Quantity or None
    inflation : float
        Of variances, for the misfit of the law of time.
    between : float, optional
        τ; None with two bakes.
    p_common, p_arrhenius, p_time : float, optional
    """

    fit: LawFit
    domain: str
    energy: Quantity | None
    assumed: Quantity | None
    of_level: list[Quantity | None]
    exponent: Quantity
    covariance: Floats
    factors: list[Quantity | None]
    level_factors: list[list[Quantity | None]]
    inflation: float
    between: float | None
    p_common: float | None
    p_arrhenius: float | None
    p_time: float | None

    @property
    def common(self) -> bool:
        """Whether one energy holds for all levels."""
        known = sum(e is not None for e in self.of_level)
        return self.p_common is None or self.p_common >= REJECTED or known < 2

    def of_law(self, level: int) -> tuple[Floats, Floats]:
        """Return step, step_rate and rate of a level, and the covariance with energy and exponent.

        Returns
        -------
        values : (3,) array
            NaN for what the law does not have.
        covariance : (5, 5) array
            Of energy, exponent, step, step_rate and rate.
        """
        fit, kind = self.fit, self.fit.kind
        p = kind.parameters
        at = [0, 1, *range(2 + level * p, 2 + (level + 1) * p)]
        covariance = self.covariance[np.ix_(at, at)]
        theta = fit.theta[level]
        out = np.full((5, 5), np.nan)
        if kind.steps == "free":
            values = np.array([np.nan, np.nan, theta[0]])
            keep = [0, 1, 4]
            out[np.ix_(keep, keep)] = covariance
            steps = fit.data.steps(level, float(theta[0]), fit)
            if steps is not None:
                values[:2] = steps[0]
                out[2:4, 2:4] = steps[1] * self.inflation
            return values, out
        if kind.steps == "whole":
            keep = [0, 1, 3]
            out[np.ix_(keep, keep)] = covariance
            return np.array([np.nan, theta[0], 0.0]), out
        values = np.array([theta[0], np.nan, theta[1]])
        keep = [0, 1, 2, 4]
        out[np.ix_(keep, keep)] = covariance
        if kind.steps == "power":
            m = fit.exponent
            values[1] = theta[1] / m
            gradient = np.array([0.0, -theta[1] / m**2, 0.0, 1 / m])
            out[3, keep] = out[keep, 3] = covariance @ gradient
            out[3, 3] = float(gradient @ covariance @ gradient)
        return values, out

    def at_level_energy(self, level: int, energy: Quantity) -> Energies:
        """Return the law at the energy of one level, with the covariance of its parameters."""
        data = self.fit.data
        fit = at_factors(
            data,
            self.fit.kind,
            data.log_factors(energy.value),
            exponent=self.fit.exponent,
            energy=energy.value,
            level=level,
        )
        slopes = data.log_factors(1.0)[None]
        p = fit.kind.parameters
        own = [0, *range(2 + level * p, 2 + (level + 1) * p)]
        information = fit.information(slopes, with_exponent=False)
        only = np.zeros_like(information)
        only[np.ix_(own, own)] = information[np.ix_(own, own)]
        covariance = inverse_information(only / self.inflation)
        covariance[1] = covariance[:, 1] = 0.0  # the exponent is common to all levels
        covariance[1, 1] = self.covariance[1, 1]
        return dataclasses.replace(self, fit=fit, covariance=covariance)


def later_readings(bake: BakeChanges) -> int:
    """Return the number of readings after programming; 2 for a bake that a card states."""
    return len(bake.time) + (bake.first_time > 0)


def distinct(temperatures: Floats) -> int:
    """Return the number of different temperatures."""
    t = np.sort(temperatures)
    return int(1 + (np.diff(t) > _SAME).sum())


def choose_law(
    bakes: Sequence[BakeChanges],
    data: dict[str, LawData],
    *,
    accelerates: str | None = None,
) -> tuple[str, LawFit, Alternative | None]:
    """Return the domain and the law that describe the changes best, and the other domain.

    Parameters
    ----------
    bakes : sequence of BakeChanges
    data : dict of str to LawData
        By domain, "log" and "linear", or one of them.
    accelerates : {"rate", "time"}, optional
        Only laws of this kind.
    """
    from_programming = [b.temperature for b in bakes if b.first_time == 0]
    steps = len(from_programming) > 1 and distinct(np.array(from_programming)) > 1
    testable = max(later_readings(b) for b in bakes) >= LATER
    kinds = [Kind(accelerates="rate")]
    if max(later_readings(b) for b in bakes) == 1:
        kinds, steps = [Kind(accelerates="rate", steps="whole")], False
    if steps:
        kinds += [Kind(accelerates="rate", steps="free"), Kind(accelerates="time")]
    if testable:
        kinds += [dataclasses.replace(kinds[0], free_exponent=True)]
    if testable and steps:
        kinds += [Kind(accelerates="rate", steps=x, free_exponent=True) for x in ("power", "free")]
    found: dict[str, tuple[float, LawFit]] = {}
    for domain, of_domain in data.items():
        scored = [
            (_score(of_domain, kind, fit := fit_law(of_domain, kind)), fit)
            for kind in kinds
            if accelerates in (None, kind.accelerates)
        ]
        found[domain] = min(scored, key=lambda x: x[0])
    best = min(found, key=lambda domain: found[domain][0])
    score, fit = found.pop(best)
    other = None
    for other_score, alternative in found.values():
        if alternative.kind == fit.kind:
            weight = 1 / (1 + math.exp(min((other_score - score) / 2, _SAFE)))
            other = Alternative(energy=alternative.energy, weight=weight)
    return best, fit, other


def _score(data: LawData, kind: Kind, fit: LawFit) -> float:
    """Return χ² with a penalty for every parameter."""
    of_level = len({s.level for s in data.sets}) * kind.parameters
    if kind.steps == "free":
        of_level += sum(s.first_time == 0 for s in data.sets)
    values = sum(len(s.z) for s in data.sets)
    return fit.chi2 + math.log(max(values, 2)) * of_level + GAIN * kind.free_exponent


def infer_energies(
    domain: str,
    fit: LawFit,
    *,
    testable: bool,
    other: Alternative | None = None,
    otherwise: Sequence[Quantity] = (),
) -> Energies:
    """Compute energies, intervals and tests of a law.

    Parameters
    ----------
    domain : str
    fit : LawFit
    testable : bool
        Whether a bake has the readings that an exponent needs.
    other : Alternative, optional
        The same law in the other domain.
    otherwise : sequence of Quantity
        Energies to choose from by χ² if the data do not determine one.
    """
    data, kind = fit.data, fit.kind
    per_ev = data.log_factors(1.0)
    chi2, freedom = free_chi2(data, fit.exponent)
    freedom -= int(kind.free_exponent)
    p_time = float(special.chdtrc(freedom, max(chi2, 0.0))) if freedom > 0 else None
    inflation = 1.0
    if p_time is not None and p_time < _MISFIT:
        inflation = max(chi2 / freedom, 1.0)
    own = inverse_information(fit.information(per_ev[None], with_exponent=kind.free_exponent))
    within = float(own[0, 0]) * inflation
    rates = free_factors(fit)
    between = _between(rates, per_ev, within=within, inflation=inflation)
    if other is not None:
        doubt = other.weight * (other.energy - fit.energy) ** 2
        between = dataclasses.replace(between, variance=between.variance + doubt)
    temperatures = distinct(data.temperature)
    p_arrhenius = None
    if temperatures > 2:
        excess = max(fit.chi2 - rates.chi2, 0.0) / inflation
        p_arrhenius = float(special.chdtrc(len(per_ev) - 2, excess))
    if between.energy is not None:
        factors = data.log_factors(between.energy)
        fit = at_factors(data, kind, factors, exponent=fit.exponent, energy=between.energy)
    conditional = inverse_information(fit.information(per_ev[None], with_exponent=False))
    ratio = float(own[0, 0] / conditional[0, 0]) * inflation if conditional[0, 0] > 0 else inflation
    threshold = between.quantile**2 * ratio * (1 + between.variance / max(within, 1e-300))
    levels = sorted({s.level for s in data.sets})
    found, several = _Limits(math.nan, None, None), 0.0
    of_level: list[Quantity | None] = [None] * data.n_levels
    if temperatures > 1:
        grid = np.linspace(*ENERGIES, _FINE)
        at = fit.at_energies(grid)
        found = _limits(grid, at.sum(axis=1), threshold)
        if abs(found.value - fit.energy) > grid[1] - grid[0] and between.energy is None:
            factors = data.log_factors(found.value)  # a narrower valley than the first search saw
            fit = at_factors(data, kind, factors, exponent=fit.exponent, energy=found.value)
        for k in levels:
            of_level[k] = _limits(grid, at[:, k], threshold).quantity()
        several = float(at.sum(axis=1).min() - at[:, levels].min(axis=0).sum()) / inflation
    stderr = math.sqrt(within + between.variance) if within > 0 else math.nan
    energy = found.quantity(fit.energy, stderr)
    assumed = None
    if energy is None and temperatures > 1:
        safe = Quantity.given(max(found.low or 0.0, 0.0), "eV")
        fits = [(fit_law(data, kind, energy=e.value), e) for e in otherwise or (safe,)]
        fit, assumed = min(fits, key=lambda pair: pair[0].chi2)
    information = fit.information(per_ev[None], with_exponent=testable) / inflation
    if energy is None:
        error = assumed.stderr if assumed is not None and assumed.stderr else _KNOWN
        information[0] = information[:, 0] = 0.0  # an assumed energy is not estimated
        information[0, 0] = error**-2
    full = inverse_information(information)
    if energy is not None and full[0, 0] > 0:
        grow = math.sqrt(1 + between.variance / float(full[0, 0]))
        full[0] *= grow
        full[:, 0] *= grow
    exponent = Quantity.given(fit.exponent, "1")
    if testable and full[1, 1] > 0:
        exponent = Quantity.estimated(fit.exponent, math.sqrt(full[1, 1]), "1")
    p_common = None
    if energy is not None and len(levels) > 1:
        p_common = float(special.chdtrc(len(levels) - 1, max(several, 0.0)))
    none: list[Quantity | None] = [None] * len(per_ev)
    return Energies(
        fit=fit,
        domain=domain,
        energy=energy,
        assumed=assumed,
        of_level=of_level,
        exponent=exponent,
        covariance=full,
        factors=_factor_quantities(rates, inflation) if temperatures > 1 else none,
        level_factors=[
            _factor_quantities(free_factors(fit, level=k), inflation)
            if k in levels and temperatures > 1
            else none
            for k in range(data.n_levels)
        ],
        inflation=inflation,
        between=between.tau,
        p_common=p_common,
        p_arrhenius=p_arrhenius,
        p_time=p_time,
    )


@dataclass(frozen=True, slots=True)
class _Between:
    """What the scatter between bakes adds to the energy's error."""

    tau: float | None
    variance: float
    quantile: float
    energy: float | None  # where the bakes are weighted with τ


def _between(rates: LawFit, per_ev: Floats, *, within: float, inflation: float) -> _Between:
    """Estimate τ from free rates of the bakes, and its part in the variance of the energy."""
    normal = float(special.ndtri(0.975))
    bakes = len(per_ev)
    if bakes < 3:
        return _Between(None, 0.0, normal, None)
    slopes = np.eye(bakes)[1:]
    covariance = inverse_information(rates.information(slopes, with_exponent=False))
    S = covariance[: bakes - 1, : bakes - 1] * inflation
    stderr = np.sqrt(np.diagonal(S))
    good = np.isfinite(stderr) & (stderr < _DETERMINED)
    if good.sum() < 2 or not np.any(per_ev[1:][good] != 0):
        return _Between(None, 0.0, normal, None)
    y, a, S = rates.log_factors[1:][good], per_ev[1:][good], S[np.ix_(good, good)]
    shared = np.eye(len(y)) + 1.0
    left = len(y) - 1

    def gls(tau2: float) -> tuple[float, float, float]:
        weight = np.linalg.inv(S + tau2 * shared)
        variance = 1 / float(a @ weight @ a)
        energy = variance * float(a @ weight @ y)
        r = y - energy * a
        return energy, variance, float(r @ weight @ r)

    if gls(0.0)[2] <= left:
        return _Between(0.0, 0.0, normal, None)
    high = 1.0
    while gls(high)[2] > left and high < 1e4:
        high *= 4
    tau2 = float(optimize.brentq(lambda x: gls(x)[2] - left, 0.0, high))
    energy, variance, _ = gls(tau2)
    extra = max(variance - gls(0.0)[1], 0.0)
    total = within + extra
    freedom = left * (total / extra) ** 2 if extra > 0 else math.inf
    quantile = float(special.stdtrit(min(freedom, 1e6), 0.975))
    return _Between(math.sqrt(tau2), extra, quantile, energy if good.all() else None)


@dataclass(frozen=True, slots=True)
class _Limits:
    """The energy at the least χ², and where χ² exceeds it by a threshold; None if nowhere."""

    value: float
    low: float | None
    high: float | None

    def quantity(self, value: float | None = None, stderr: float = math.nan) -> Quantity | None:
        """Return the energy with its interval; None if that is open."""
        if self.low is None or self.high is None:
            return None
        if not math.isfinite(stderr):
            stderr = (self.high - self.low) / (2 * float(special.ndtri(0.975)))
        value = self.value if value is None else value
        interval = (min(self.low, value), max(self.high, value))
        return Quantity.within(value, stderr, "eV", interval)


def _limits(grid: Floats, chi2: Floats, threshold: float) -> _Limits:
    """Interpolate the limits on a grid of energies."""
    i = int(np.argmin(chi2))
    least, value = float(chi2[i]), float(grid[i])
    if 0 < i < len(grid) - 1:  # a parabola through three points
        left, right = chi2[i - 1] - least, chi2[i + 1] - least
        if left + right > 0:
            value += 0.5 * float((left - right) / (left + right) * (grid[1] - grid[0]))
            least -= float((left - right) ** 2 / (8 * (left + right)))
    root = np.sqrt(np.maximum(chi2 - least, 0.0))  # straight where χ² is a parabola
    bar = math.sqrt(threshold)
    below, beyond = np.flatnonzero(root[:i] > bar), np.flatnonzero(root[i + 1 :] > bar)

    def edge(outer: int, inner: int) -> float:
        # The least χ² may be between the two: then the root changes its sign.
        apart = inner == i and (grid[i] - value) * (inner - outer) > 0
        inside = -root[inner] if apart else root[inner]
        share = (root[outer] - bar) / (root[outer] - inside)
        return float(grid[outer] + share * (grid[inner] - grid[outer]))

    low = edge(below[-1], below[-1] + 1) if below.size else None
    high = edge(i + 1 + beyond[0], i + beyond[0]) if beyond.size else None
    return _Limits(value, low, high)


def _factor_quantities(rates: LawFit, inflation: float) -> list[Quantity | None]:
    """Return f of every bake, 1 for the first; None where it is not determined."""
    bakes = len(rates.log_factors)
    out: list[Quantity | None] = [Quantity.given(1.0, "1")]
    if bakes == 1:
        return out
    covariance = inverse_information(rates.information(np.eye(bakes)[1:], with_exponent=False))
    for b in range(1, bakes):
        variance = float(covariance[b - 1, b - 1]) * inflation
        stderr = math.sqrt(variance) if variance > 0 else math.nan
        if not (stderr < 2 * _DETERMINED):
            out.append(None)
            continue
        f = math.exp(float(rates.log_factors[b]))
        out.append(Quantity.estimated(f, f * stderr, "1", scale="log"))
    return out
