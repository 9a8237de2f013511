"""Distribution of one level: all families that were fitted, and the chosen one.

A family requires five cells per parameter. Families for positive conductances are left out if a
reading, or a rail with clipped readings, is not positive: read-out offset causes such readings at
very high resistance, and a positive distribution cannot describe them. The normal mixture has two
or three parts, by the Bayesian information criterion. Families are compared on compressed readings;
the chosen one is then fitted to the exact readings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rramfit.card.families import family
from rramfit.card.quantity import Quantity
from rramfit.card.schema import Alternative, Distribution
from rramfit.errors import FitError
from rramfit.fitting.statistics.goodness import Goodness, assess
from rramfit.fitting.statistics.influence import Influence
from rramfit.fitting.statistics.likelihood import (
    GammaLikelihood,
    JohnsonSULikelihood,
    LevelReadings,
    Likelihood,
    LognormalLikelihood,
    Maximum,
    MixtureLikelihood,
    NormalLikelihood,
    SkewNormalLikelihood,
    StudentTLikelihood,
    WeibullLikelihood,
    approach,
    refine,
)
from rramfit.fitting.statistics.selection import assign_folds, choose, held_out
from rramfit.units import counted

__all__ = [
    "CELLS_PER_PARAMETER",
    "LEAST_CELLS",
    "Candidate",
    "LevelDistribution",
    "fit_distribution",
    "register_likelihood",
]

Floats = NDArray[np.float64]

CELLS_PER_PARAMETER = 5
LEAST_CELLS = 2 * CELLS_PER_PARAMETER

_SINGLE: list[Likelihood] = [
    NormalLikelihood(),
    LognormalLikelihood(),
    GammaLikelihood(),
    WeibullLikelihood(),
    StudentTLikelihood(),
    SkewNormalLikelihood(),
    JohnsonSULikelihood(),
]
_MIXTURES = (MixtureLikelihood(2), MixtureLikelihood(3))


def register_likelihood(likelihood: Likelihood) -> None:
    """Add a family to those that are tried at every level."""
    _SINGLE.append(likelihood)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One family that was fitted to a level, or left out.

    Attributes
    ----------
    family : str
    parameters : dict of str to float
        As used in a card; empty if the family was left out.
    aic, bic : float, optional
    heldout : float, optional
        Mean held-out log likelihood of a reading [ln 1/S].
    heldout_error : float, optional
        Standard error of the difference from the best score, paired by block of cells.
    p_value, distance : float, optional
        p-value of goodness of fit, and Kolmogorov distance.
    converged : bool
    note : str
        Reason for leaving the family out, or the meaning of its parameters at a bound.
    """

    family: str
    parameters: dict[str, float]
    aic: float | None = None
    bic: float | None = None
    heldout: float | None = None
    heldout_error: float | None = None
    p_value: float | None = None
    distance: float | None = None
    converged: bool = False
    note: str = ""

    def to_card(self) -> Alternative | None:
        """Return the family as an alternative of a card; None if it was not fitted."""
        if self.aic is None or self.bic is None:
            return None
        return Alternative(
            family=self.family,
            aic=self.aic,
            bic=self.bic,
            heldout_log_likelihood=self.heldout,
            p_value=self.p_value,
            converged=self.converged,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelDistribution:
    """The family chosen for a level, and all candidates.

    Attributes
    ----------
    level : int
    chosen : Candidate
    candidates : tuple of Candidate
        All families, the best held-out score first.
    maximum : Maximum
        Likelihood maximum of the chosen family.
    influence : Influence
        Influence of the cells on its internal parameters.
    tests : mapping of str to Goodness
        Goodness of fit of each fitted family.
    """

    level: int
    chosen: Candidate
    candidates: tuple[Candidate, ...]
    maximum: Maximum
    influence: Influence
    tests: Mapping[str, Goodness]

    @property
    def family(self) -> str:
        """Name of the chosen family."""
        return self.chosen.family

    @property
    def parameters(self) -> dict[str, float]:
        """Values of the chosen family's parameters."""
        return self.chosen.parameters

    def cdf(self, g: Floats) -> Floats:
        """Return the distribution function at conductances [S]."""
        return np.asarray(family(self.family).cdf(g, self.parameters))

    def sf(self, g: Floats) -> Floats:
        """Return the survival function at conductances [S]."""
        return np.asarray(family(self.family).sf(g, self.parameters))

    def logpdf(self, g: Floats) -> Floats:
        """Return the log density [ln 1/S] at conductances [S]."""
        return np.asarray(family(self.family).logpdf(g, self.parameters))

    def ppf(self, probability: Floats) -> Floats:
        """Return quantiles [S]."""
        return np.asarray(family(self.family).ppf(probability, self.parameters))

    def with_inflation(self, inflation: Floats) -> LevelDistribution:
        """Return the distribution with p-values that allow for a smooth field.

        Parameters
        ----------
        inflation : (LEADING,) array
            Of the variances of the chosen family's leading components; used for all families.
        """
        new = {
            c.family: replace(c, p_value=self.tests[c.family].p_value(inflation))
            if c.family in self.tests
            else c
            for c in self.candidates
        }
        return replace(self, chosen=new[self.family], candidates=tuple(new.values()))

    def to_card(
        self, parameters: Mapping[str, Quantity], correlation: list[list[float]] | None
    ) -> Distribution:
        """Return the `distribution` of a card, with the errors of its parameters."""
        tried = (c.to_card() for c in self.candidates)
        return Distribution(
            family=self.family,
            parameters=dict(parameters),
            correlation=correlation,
            alternatives=[a for a in tried if a is not None],
        )


def fit_distribution(readings: LevelReadings, *, seed: int) -> LevelDistribution:
    """Fit every family to a level and choose one.

    Parameters
    ----------
    readings : LevelReadings
    seed : int
        Seed of the assignment of cells to folds.

    Raises
    ------
    FitError
        If there are too few cells or too few different readings.
    """
    if readings.n_cells < LEAST_CELLS:
        msg = (
            f"level {readings.level} has {counted(readings.n, 'accepted reading')} from "
            f"{counted(readings.n_cells, 'healthy cell')}, but a distribution requires at least "
            f"{LEAST_CELLS} cells"
        )
        raise FitError(msg)
    if readings.node.size < 3:
        apart = " inside the rails" if readings.n_clipped else ""
        msg = (
            f"level {readings.level} has {counted(readings.n, 'accepted reading')} with "
            f"{counted(readings.node.size, 'different value')}{apart}, but a "
            "distribution requires at least 3"
        )
        raise FitError(msg)
    left_out: list[Candidate] = []
    maxima: list[Maximum] = []
    for likelihood in _SINGLE:
        reason = _unfit(likelihood, readings)
        if reason:
            left_out.append(Candidate(family=likelihood.family, parameters={}, note=reason))
        else:
            maxima.append(approach(likelihood, readings))
    mixture = _best_mixture(readings, min(m.bic for m in maxima))
    if isinstance(mixture, Candidate):
        left_out.append(mixture)
    else:
        maxima.append(mixture)

    folds = assign_folds(readings, seed)
    usable = [m for m in maxima if _usable(m)]
    scores = [held_out(m, readings, folds) for m in usable]
    at, errors = choose(usable, scores, readings, folds)
    usable[at] = refine(usable[at], readings)
    tests = [assess(m, readings) for m in usable]
    fitted = [
        _candidate(m, test, heldout=s.mean, error=e)
        for m, test, s, e in zip(usable, tests, scores, errors, strict=True)
    ]
    failed = [
        Candidate(
            family=m.likelihood.family,
            parameters=m.parameters,
            aic=m.aic if math.isfinite(m.aic) else None,
            bic=m.bic if math.isfinite(m.bic) else None,
            note=(
                "the distribution collapsed onto equal readings"
                if m.collapsed
                else "the likelihood maximum was not found"
            ),
        )
        for m in maxima
        if not _usable(m)
    ]
    ranked = sorted(fitted, key=lambda c: -(c.heldout or 0.0))
    return LevelDistribution(
        level=readings.level,
        chosen=fitted[at],
        candidates=(*ranked, *failed, *left_out),
        maximum=usable[at],
        influence=Influence(
            values=usable[at].influence(), position=readings.position, shape=readings.shape
        ),
        tests={c.family: test for c, test in zip(fitted, tests, strict=True)},
    )


def _usable(maximum: Maximum) -> bool:
    """Return whether the maximum is usable."""
    return maximum.converged and not maximum.collapsed and math.isfinite(maximum.log_likelihood)


def _unfit(likelihood: Likelihood, readings: LevelReadings) -> str:
    """Return the reason why a family cannot be fitted to these readings; empty if it can."""
    if readings.n_cells < CELLS_PER_PARAMETER * likelihood.size:
        return f"{readings.n_cells} cells are too few for {likelihood.size} parameters"
    if likelihood.positive:
        low = int(np.count_nonzero(readings.unclipped <= 0))
        if readings.floor is not None and readings.floor <= 0:
            low += int(readings.floor_count.sum())
        if low:
            return f"{low} of {readings.n} readings are not positive"
    return ""


def _best_mixture(readings: LevelReadings, single: float) -> Maximum | Candidate:
    """Return the mixture of two or three parts with the lower Bayesian information criterion.

    Three parts are tried only if two have a lower criterion than the best single distribution,
    `single`; otherwise a third part would describe the shape of one population, not a third one.
    """
    best: Maximum | None = None
    for likelihood in _MIXTURES:
        reason = _unfit(likelihood, readings)
        if reason:
            return best or Candidate(family="mixture", parameters={}, note=reason)
        found = approach(likelihood, readings)
        if best is None or (_usable(found) and found.bic < best.bic):
            best = found
        if not best.bic < single:
            break
    assert best is not None
    return best


def _candidate(maximum: Maximum, test: Goodness, *, heldout: float, error: float) -> Candidate:
    return Candidate(
        family=maximum.likelihood.family,
        parameters=maximum.parameters,
        aic=maximum.aic,
        bic=maximum.bic,
        heldout=heldout,
        heldout_error=error,
        p_value=test.p_value(),
        distance=test.distance,
        converged=True,
        note="; ".join(maximum.edges),
    )
