"""Fit the number of pulses until acceptance: geometric, negative binomial or beta-geometric.

The families are those of `rramfit.card.blocks.pulse_counts`. An attempt accepted at its n-th pulse
contributes ln [P(N > n − 1) − P(N > n)], one given up after c pulses ln P(N > c). Parameters are
fitted on unbounded scales (logit of p, logarithms of the others). Attempts of one cell are not
independent: the covariance is the sandwich of the scores, summed by cell, with cells/(cells − 1)
(White, Econometrica 50 (1982) 1). The family is chosen by AIC; Pearson's test is over counts joined
to 5 or more expected attempts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from rramfit.card.blocks.programming import PulseFamily
from rramfit.card.blocks.pulse_counts import FAMILIES, pulses_for, survival
from rramfit.card.quantity import Quantity

__all__ = ["PulseFit", "fit_pulses"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

_STEP = 1e-4
_EDGE = 12.0  # largest distance from 0 of a parameter on its unbounded scale
_FEWEST_EXPECTED = 5.0
_PENALTY = 1e10


@dataclass(frozen=True, slots=True, kw_only=True)
class PulseFit:
    """One family fitted to pulse counts.

    Attributes
    ----------
    family : str
    x : (p,) array
        Parameters on their unbounded scales, in alphabetical order.
    covariance : (p, p) array
        Of `x`, by cells.
    first : int
        Smallest number of pulses.
    aic : float
    p_value : float, optional
    """

    family: str
    x: Floats
    covariance: Floats
    first: int
    aic: float
    p_value: float | None

    @property
    def parameters(self) -> dict[str, float]:
        """Parameters by name."""
        return _natural(self.family, self.x)

    def survival(self, pulses: Floats) -> Floats:
        """Return the probability that more than the given numbers of pulses are needed."""
        return survival(self.family, self.parameters, pulses, self.first)

    def to_card(self) -> PulseFamily:
        """Return the part of the card on this family."""
        error = np.sqrt(np.maximum(np.diagonal(self.covariance), 0.0))
        values = self.parameters
        slope = [v * (1 - v) if n == "p" else v for n, v in values.items()]
        with np.errstate(invalid="ignore", divide="ignore"):
            correlation = np.nan_to_num(self.covariance / np.outer(error, error))
        np.fill_diagonal(correlation, 1.0)
        return PulseFamily.model_validate(
            {
                "family": self.family,
                "parameters": {
                    name: Quantity.estimated(
                        v, float(e * d), "1", scale="logit" if name == "p" else "log"
                    )
                    for (name, v), e, d in zip(values.items(), error, slope, strict=True)
                },
                "correlation": correlation.tolist() if len(error) > 1 else None,
                "aic": self.aic,
                "p_value": self.p_value,
            }
        )

    def budget(self, failure: float) -> Quantity | None:
        """Return the pulses with which a share of attempts fails; None beyond a million.

        Parameters
        ----------
        failure : float
            Of the attempts that need pulses.
        """
        value = pulses_for(failure, self.family, self.parameters, self.first)
        if value is None:
            return None
        slopes = []
        for e in np.eye(len(self.x)) * _STEP:
            ends = [
                pulses_for(failure, self.family, _natural(self.family, self.x + s * e), self.first)
                for s in (-1, 1)
            ]
            if ends[0] is None or ends[1] is None:
                return None
            slopes.append((ends[1] - ends[0]) / (2 * _STEP))
        g = np.array(slopes)
        error = math.sqrt(max(float(g @ self.covariance @ g), 0.0))
        return Quantity.estimated(value, error, "1", scale="log")


def _natural(family: str, x: Floats) -> dict[str, float]:
    return {
        name: float(special.expit(v)) if name == "p" else math.exp(v)
        for name, v in zip(FAMILIES[family], x, strict=True)
    }


def fit_pulses(pulses: Integers, accepted: Bools, cell: Integers) -> tuple[PulseFit, ...]:
    """Fit all families to attempts that needed pulses; the best by AIC first.

    Parameters
    ----------
    pulses : (attempt,) int array
        Until acceptance, 1 or more; or until the attempt was given up.
    accepted : (attempt,) bool array
    cell : (attempt,) int array
        Number of the cell.

    Returns
    -------
    tuple of PulseFit
        Empty if no attempt was accepted, or if none took longer than another.
    """
    if not accepted.any():
        return ()
    first = int(pulses[accepted].min())
    open_ended = ~accepted & (pulses >= first)
    if not open_ended.any() and int(pulses[accepted].max()) == first:
        return ()
    use = accepted | open_ended
    pulses, accepted, cell = pulses[use], accepted[use], cell[use]
    found = (_fit(family, pulses, accepted, cell, first=first) for family in FAMILIES)
    return tuple(sorted((f for f in found if f is not None), key=lambda f: f.aic))


def _fit(
    family: str, pulses: Integers, accepted: Bools, cell: Integers, *, first: int
) -> PulseFit | None:
    codes, of, count = np.unique(2 * pulses + accepted, return_inverse=True, return_counts=True)
    n, ended = (codes // 2).astype(float), codes % 2 == 1

    def log_p(x: Floats) -> Floats:
        """Log-probability of each kind of attempt."""
        theta = _natural(family, x)
        s = survival(family, theta, n, first)
        with np.errstate(divide="ignore"):
            out = np.log(np.where(ended, survival(family, theta, n - 1, first) - s, s).clip(1e-300))
        return np.asarray(out)

    def nll(x: Floats) -> float:
        return -float(count @ log_p(x)) if np.abs(x).max() < _EDGE else _PENALTY

    mean = float((pulses - first + 1).sum() / max(accepted.sum(), 1))
    p0 = float(special.logit(min(max(1 / mean, 1e-4), 0.999)))
    start = {"p": p0, "r": 0.0, "spread": math.log(0.05)}
    x0 = np.array([start[name] for name in FAMILIES[family]])
    best = optimize.minimize(
        nll, x0, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9, "maxiter": 2000}
    )
    x = np.asarray(best.x)
    if np.abs(x).max() > _EDGE - 0.5:
        return None
    shifts = np.eye(len(x)) * _STEP
    score = np.stack([(log_p(x + e) - log_p(x - e)) / (2 * _STEP) for e in shifts])  # (p, kind)
    hessian = np.array(
        [
            [
                (nll(x + a + b) - nll(x + a - b) - nll(x - a + b) + nll(x - a - b)) / (4 * _STEP**2)
                for b in shifts
            ]
            for a in shifts
        ]
    )
    if np.linalg.eigvalsh(hessian).min() <= 1e-6:
        return None
    clusters = np.unique(cell, return_inverse=True)[1]
    cells = int(clusters.max()) + 1
    by_cell = np.stack([np.bincount(clusters, s[of.reshape(-1)], cells) for s in score])
    bread = np.linalg.inv(hessian)
    covariance = bread @ (by_cell @ by_cell.T) @ bread * (cells / max(cells - 1, 1))
    return PulseFit(
        family=family,
        x=x,
        covariance=np.asarray(covariance if cells > len(x) + 1 else bread),
        first=first,
        aic=2 * (len(x) + float(best.fun)),
        p_value=_goodness(family, x, pulses, accepted, first=first),
    )


def _goodness(
    family: str, x: Floats, pulses: Integers, accepted: Bools, *, first: int
) -> float | None:
    """Return the p-value of Pearson's test of the chances to end at each pulse."""
    most = int(pulses[accepted].max())
    n = np.arange(first - 1, most + 1, dtype=float)
    s = survival(family, _natural(family, x), n, first)
    with np.errstate(invalid="ignore", divide="ignore"):
        ends = np.where(s[:-1] > 0, 1 - s[1:] / s[:-1], 1.0)
    seen = np.bincount(pulses[accepted], minlength=most + 1)[first:]
    every = np.bincount(pulses, minlength=most + 1)
    at_risk = every.sum() - np.concatenate([[0], np.cumsum(every)])[first : most + 1]
    statistic, groups, e, v, o = 0.0, 0, 0.0, 0.0, 0.0
    for r, q, d in zip(at_risk, ends, seen, strict=True):
        e, v, o = e + r * q, v + r * q * (1 - q), o + d
        if e >= _FEWEST_EXPECTED and v > 0:
            statistic, groups = statistic + (o - e) ** 2 / v, groups + 1
            e = v = o = 0.0
    df = groups - len(x)
    return float(special.chdtrc(df, statistic)) if df > 0 else None
