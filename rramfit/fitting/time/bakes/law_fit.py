"""Least squares of the law of time and temperature on the changes of several bakes.

The law (`rramfit.card.blocks.temperature_law`) is linear in the parameters θ of a level once the
rates ln f of the bakes and the exponent m are known. With z the changes of level k in bake b and C
their covariance,

    χ²(ln f, m) = Σ_kb min over θ_k of (z − Xθ)'C⁻¹(z − Xθ),   X from the law

is minimised over m and over the activation energy E, with ln f_b = E/k·(1/T_ref − 1/T_b), or over
free ln f_b. Changes count from the first reading; where that is not at programming, steps drop out
and the rest counts from there. The variance keeps the noise of two reads, which then is a free
constant and is projected out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from rramfit.fitting.time.bakes.law_data import ENERGIES, EXPONENTS, SAFE, Kind, LawData

__all__ = ["LawFit", "at_factors", "fit_law", "free_chi2", "free_factors", "inverse_information"]

Floats = NDArray[np.float64]

_GRID = 161  # energies
_EXPONENT_GRID = 15
_LEAST_POWER = 0.05  # exponent of a power of time from programming on
_SINGULAR = 1e-11  # eigenvalues relative to the largest
_LOST = 1e-6  # part of a parameter in singular directions


@dataclass(frozen=True, slots=True, kw_only=True)
class LawFit:
    """The law that fits best.

    Attributes
    ----------
    log_factors : (bake,) array
        ln f of every bake.
    energy : float
        [eV]; NaN where the ln f are free.
    exponent : float
    theta : (level, p) array
        step, step_rate (if the law has one) and rate; NaN for a level without data.
    chi2 : float
    """

    data: LawData
    kind: Kind
    log_factors: Floats
    energy: float
    exponent: float
    theta: Floats
    chi2: float

    def at_energies(self, energies: Floats) -> Floats:
        """Return χ² of each level at the exponent of the fit, (…, level)."""
        factors = self.data.log_factors(energies)
        return _profile(self.data, self.kind, factors, self.exponent)[0]

    def information(self, slopes: Floats, *, with_exponent: bool) -> Floats:
        """Return the information on (q parameters of ln f, exponent, θ by level).

        Parameters
        ----------
        slopes : (q, bake) array
            Derivatives of ln f by the parameters.
        with_exponent : bool
            Whether the exponent is estimated; its row is zero if not.
        """
        data, kind = self.data, self.kind
        P, _, _ = data.sums(self.exponent, kind)
        q, p = len(slopes), kind.parameters
        size = q + 1 + data.n_levels * p
        out = np.zeros((size, size))
        T, dT, dm = _columns(kind, self.log_factors, self.exponent)
        for k in range(data.n_levels):
            theta = np.nan_to_num(self.theta[k])
            own = slice(q + 1 + k * p, q + 1 + (k + 1) * p)
            for b, ln_f in enumerate(self.log_factors):
                G = np.zeros((3, size))
                G[:2, own] = T[b]
                G[:2, :q] = np.outer(dT[b] @ theta, slopes[:, b])
                if with_exponent and kind.accelerates == "rate":
                    G[:2, q] = dm[b] @ theta
                    G[2, q] = (T[b] @ theta)[1]
                elif with_exponent:  # d/dm of x_m(t·f) at m = 0 is (ln t/t_ref + ln f)²/2
                    G[:, q] = theta[1] * np.array([ln_f**2 / 2, ln_f, 1.0])
                out += G.T @ P[k, b] @ G
        return out

    def free_steps(self, level: int, rate: float) -> tuple[Floats, Floats] | None:
        """Return step and step_rate of a level, fitted to free steps, and their covariance.

        None if no bake was read at programming; step_rate is NaN if the bakes do not determine it.
        """
        A, rhs = np.zeros((2, 2)), np.zeros(2)
        for s in self.data.sets:
            if s.level != level or s.first_time > 0:
                continue
            f = math.exp(float(np.clip(self.log_factors[s.bake], -SAFE, SAFE)))
            ones = s.weight.sum(axis=1)
            row = np.array([1.0, f])
            A += np.outer(row, row) * ones.sum()
            rhs += row * float(ones @ (s.z - rate * f * self.data.basis(s, self.exponent)[:, 1]))
        if A[0, 0] == 0:
            return None
        covariance = inverse_information(A)
        if np.isfinite(covariance).all():
            return covariance @ rhs, covariance
        return np.array([rhs[0] / A[0, 0], np.nan]), np.diag([1 / A[0, 0], np.nan])


def inverse_information(information: Floats) -> Floats:
    """Return the covariance; NaN for parameters that the data do not determine."""
    diagonal = np.diagonal(information).copy()
    used = np.flatnonzero(diagonal > 0)
    out = np.full(information.shape, np.nan)
    if not used.size:
        return out
    scale = np.sqrt(diagonal[used])
    values, vectors = np.linalg.eigh(information[np.ix_(used, used)] / np.outer(scale, scale))
    good = values > _SINGULAR * values[-1]
    inverse = (vectors[:, good] / values[good]) @ vectors[:, good].T
    lost = (vectors[:, ~good] ** 2).sum(axis=1) > _LOST
    inverse[lost] = inverse[:, lost] = np.nan
    out[np.ix_(used, used)] = inverse / np.outer(scale, scale)
    return out


def _columns(kind: Kind, log_factor: Floats, exponent: float) -> tuple[Floats, Floats, Floats]:
    """Return the matrix from θ to (constant, x), and its derivatives by ln f and m, (…, 2, p)."""
    ln_f = np.clip(log_factor, -SAFE, SAFE)
    f, one, none = np.exp(ln_f), np.ones_like(ln_f), np.zeros_like(ln_f)

    def matrix(constant: list[Floats], slope: list[Floats]) -> Floats:
        return np.stack([np.stack(constant, axis=-1), np.stack(slope, axis=-1)], axis=-2)

    if kind.accelerates == "time":
        return (
            matrix([one, ln_f], [none, one]),
            matrix([none, one], [none, none]),
            matrix([none, none], [none, none]),
        )
    if kind.steps == "free":
        return matrix([none], [f]), matrix([none], [f]), matrix([none], [none])
    if kind.steps == "whole":
        return matrix([f], [none]), matrix([f], [none]), matrix([none], [none])
    before = f / exponent if kind.steps == "power" else none
    return (
        matrix([one, before], [none, f]),
        matrix([none, before], [none, f]),
        matrix([none, -before / exponent if kind.steps == "power" else none], [none, none]),
    )


def _profile(
    data: LawData, kind: Kind, log_factors: Floats, exponent: float
) -> tuple[Floats, Floats]:
    """Return the least χ² of each level, (…, level), and θ, (…, level, p)."""
    P, q, total = data.sums(exponent, kind)
    T, _, _ = _columns(kind, log_factors, exponent)  # (…, bake, 2, p)
    A = np.einsum("...bip,kbij,...bjr->...kpr", T, P[..., :2, :2], T)
    rhs = np.einsum("...bip,kbi->...kp", T, q[..., :2])
    scale = np.sqrt(np.einsum("...pp->...p", A))
    safe = np.where(scale > 0, scale, 1.0)
    inverse = np.linalg.pinv(A / (safe[..., :, None] * safe[..., None, :]), 1e-10, hermitian=True)
    theta = np.einsum("...pr,...r->...p", inverse, rhs / safe) / safe
    return total - np.einsum("...p,...p->...", rhs, theta), theta


def fit_law(data: LawData, kind: Kind, *, energy: float | None = None) -> LawFit:
    """Fit the energy unless it is given, and the exponent if it is free, by least squares."""
    energies = np.linspace(*ENERGIES, _GRID)

    def chi2_at(factors: Floats, m: float) -> Floats:
        total: Floats = _profile(data, kind, factors, m)[0].sum(axis=-1)
        return total

    def best(m: float) -> tuple[float, float]:
        if energy is not None:
            return float(chi2_at(data.log_factors(energy), m)), energy
        i = int(np.argmin(chi2_at(data.log_factors(energies), m)))
        found = optimize.minimize_scalar(
            lambda e: float(chi2_at(data.log_factors(e), m)),
            bounds=(energies[max(i - 1, 0)], energies[min(i + 1, _GRID - 1)]),
            method="bounded",
            options={"xatol": 1e-5},
        )
        return float(found.fun), float(found.x)

    m = 0.0
    if kind.free_exponent:
        least = _LEAST_POWER if kind.steps == "power" else EXPONENTS[0]
        grid = np.linspace(least, EXPONENTS[1], _EXPONENT_GRID)
        trials = data.log_factors(energies if energy is None else np.array([energy]))
        i = int(np.argmin([chi2_at(trials, float(x)).min() for x in grid]))
        found = optimize.minimize_scalar(
            lambda x: best(float(x))[0],
            bounds=(grid[max(i - 1, 0)], grid[min(i + 1, len(grid) - 1)]),
            method="bounded",
            options={"xatol": 1e-3},
        )
        m = float(found.x)
    _, found_energy = best(m)
    factors = data.log_factors(found_energy)
    return at_factors(data, kind, factors, exponent=m, energy=found_energy)


def at_factors(
    data: LawData,
    kind: Kind,
    log_factors: Floats,
    *,
    exponent: float,
    energy: float = math.nan,
    level: int | None = None,
) -> LawFit:
    """Return the law at given ln f, of all levels or of one."""
    chi2, theta = _profile(data, kind, log_factors, exponent)
    known = np.isin(np.arange(data.n_levels), [s.level for s in data.sets])
    if level is not None:
        chi2 = chi2[level]
        known &= np.arange(data.n_levels) == level
    return LawFit(
        data=data,
        kind=kind,
        log_factors=log_factors,
        energy=energy,
        exponent=exponent,
        theta=np.where(known[:, None], theta, math.nan),
        chi2=float(chi2.sum()),
    )


def free_factors(fit: LawFit, *, level: int | None = None) -> LawFit:
    """Return the law with free ln f of all bakes but the first, from all levels or from one."""
    data, kind, m = fit.data, fit.kind, fit.exponent
    which = slice(None) if level is None else slice(level, level + 1)

    def chi2(free: Floats) -> float:
        factors = np.concatenate([[0.0], free])
        return float(_profile(data, kind, factors, m)[0][which].sum())

    found = optimize.minimize(chi2, fit.log_factors[1:], method="BFGS")
    factors = np.concatenate([[0.0], np.clip(found.x, -SAFE, SAFE)])
    return at_factors(data, kind, factors, exponent=m, level=level)


def free_chi2(data: LawData, exponent: float) -> tuple[float, int]:
    """Return χ² and degrees of freedom of a step and a rate of every level in every bake."""
    P, q, by_level = data.sums(exponent, Kind(accelerates="rate"))
    total = float(by_level.sum())
    freedom = sum(len(s.z) for s in data.sets)
    for s in data.sets:
        if np.linalg.matrix_rank(s.weight, tol=1e-9 * np.trace(s.weight)) < len(s.z):
            freedom -= 1  # the free constant of the variance
        A = P[s.level, s.bake, :2, :2]
        scale = np.sqrt(np.where(np.diagonal(A) > 0, np.diagonal(A), 1.0))
        inverse = np.linalg.pinv(A / np.outer(scale, scale), 1e-10, hermitian=True)
        rhs = q[s.level, s.bake, :2] / scale
        total -= float(rhs @ inverse @ rhs)
        freedom -= min(int((np.diagonal(A) > 0).sum()), len(s.z))
    return total, freedom
