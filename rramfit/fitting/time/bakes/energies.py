"""Activation energies of a law with their intervals, and tests of the law.

Energy. Its error has two parts: that of the readings, and that between bakes
(`rramfit.fitting.time.bakes.between_bakes`) with the doubt about the law, which readings of one
bake cannot show. Student's t has the Satterthwaite degrees of freedom of the sum of both: many
where bakes do not scatter, and bakes − 2 where that dominates. The interval is E ± t·s where the
second part is the larger one, and otherwise that of the profile of χ² at this quantile. That one is
open where the drift of the cooler bakes could be zero. Then there is no energy, and the law is
stated for an assumed one: the lower limit, which is on the safe side below the hottest bake, or 0.

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
from scipy import special

from rramfit.card.quantity import Quantity
from rramfit.fitting.time.bakes.between_bakes import DETERMINED, between_bakes
from rramfit.fitting.time.bakes.law_choice import Choice, distinct
from rramfit.fitting.time.bakes.law_data import ENERGIES
from rramfit.fitting.time.bakes.law_fit import (
    LawFit,
    at_factors,
    fit_law,
    free_chi2,
    free_factors,
    inverse_information,
)

__all__ = ["REJECTED", "Energies", "infer_energies"]

Floats = NDArray[np.float64]

REJECTED = 0.05
"""p-value below which several energies, instead of one, are used."""

_MISFIT = 0.01  # p-value of the law of time below which errors are inflated
_FINE = 4001  # energies at which χ² is computed: steps of 2 meV
_KNOWN = 1e-9  # [eV] error of an energy that is given


@dataclass(frozen=True, slots=True, kw_only=True)
class Energies:
    """A law with its energies, tests and covariance.

    Attributes
    ----------
    fit : LawFit
    domain : str
        "linear" or "log".
    by_factor : float
        Probability that all cells of a level change by one factor.
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
    by_factor: float
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
            steps = fit.free_steps(level, float(theta[0]))
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


def infer_energies(
    choice: Choice,
    *,
    testable: bool,
    otherwise: Sequence[Quantity] = (),
) -> Energies:
    """Compute energies, intervals and tests of a law.

    Parameters
    ----------
    choice : Choice
    testable : bool
        Whether a bake has the readings that an exponent needs.
    otherwise : sequence of Quantity
        Energies to choose from by χ² if the data do not determine one.
    """
    fit = choice.fit
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
    between = between_bakes(rates, per_ev, within=within, inflation=inflation)
    between = dataclasses.replace(between, variance=between.variance + choice.doubt)
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
    if temperatures > 1 and between.energy is not None and between.variance > within:
        half = between.quantile * stderr  # the readings no longer give the interval its shape
        ends = (fit.energy - half, fit.energy + half)
        energy = Quantity.within(fit.energy, stderr, "eV", ends)
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
        domain=choice.domain,
        by_factor=choice.by_factor,
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
        if not (stderr < 2 * DETERMINED):
            out.append(None)
            continue
        f = math.exp(float(rates.log_factors[b]))
        out.append(Quantity.estimated(f, f * stderr, "1", scale="log"))
    return out
