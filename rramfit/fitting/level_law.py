"""The law of one level: every family tried, one chosen, its parameters with honest errors.

A family needs five cells for each of its parameters. A family of positive conductances is left out
where a reading, or a rail with readings at it, is not positive: the read-out's offset makes such
readings of very high resistances, and no positive law can have made them. The normal mixture has
two or three parts, as the Bayesian criterion prefers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.card.families import family
from rramfit.card.quantity import Quantity, Scale
from rramfit.card.schema import Alternative, Distribution
from rramfit.errors import FitError
from rramfit.fitting.goodness import assess
from rramfit.fitting.inference import clustered_covariance
from rramfit.fitting.likelihood import (
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
    maximise,
)
from rramfit.fitting.result import Finding, FitResult, Verdict
from rramfit.fitting.selection import choose, deal, held_out

__all__ = ["CELLS_PER_PARAMETER", "Candidate", "LevelLaw", "fit_law"]

Floats = NDArray[np.float64]

CELLS_PER_PARAMETER = 5
LEAST_CELLS = 2 * CELLS_PER_PARAMETER

_SINGLE: tuple[Likelihood, ...] = (
    NormalLikelihood(),
    LognormalLikelihood(),
    GammaLikelihood(),
    WeibullLikelihood(),
    StudentTLikelihood(),
    SkewNormalLikelihood(),
    JohnsonSULikelihood(),
)
_MIXTURES = (MixtureLikelihood(2), MixtureLikelihood(3))
_SCALES: dict[str, Scale] = {
    "scale": "log",
    "sigma": "log",
    "delta": "log",
    "lambda": "log",
    "weight": "logit",
    "std": "log",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One family that was tried at a level.

    Attributes
    ----------
    family : str
    parameters : dict of str to float
        As in a card; empty where the family was left out.
    aic, bic : float, optional
    heldout : float, optional
        Mean held-out log likelihood of a reading [ln 1/S].
    heldout_error : float, optional
        Standard error of its difference from the best, paired by cell.
    p_value, distance : float, optional
        Goodness of fit, and Kolmogorov's distance.
    converged : bool
    note : str
        Why the family was left out, or what its parameters at a bound mean.
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
        """Write the family as an alternative of a card, where it was fitted at all."""
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
class LevelLaw:
    """The family chosen at a level, and all that were tried.

    Attributes
    ----------
    result : FitResult
        Parameters of the chosen family, as in a card.
    chosen : Candidate
    candidates : tuple of Candidate
        All families, the best held-out score first.
    maximum : Maximum
        The chosen family's maximum.
    influence : (p, row, col) array
        Influence of each cell on its internal parameters.
    """

    result: FitResult
    chosen: Candidate
    candidates: tuple[Candidate, ...]
    maximum: Maximum
    influence: Floats

    @property
    def family(self) -> str:
        """Name of the chosen family."""
        return self.chosen.family

    @property
    def parameters(self) -> dict[str, float]:
        """Values of the chosen family's parameters."""
        return self.chosen.parameters

    def cdf(self, g: Floats) -> Floats:
        """Distribution function at conductances [S]."""
        return np.asarray(family(self.family).cdf(g, self.parameters))

    def sf(self, g: Floats) -> Floats:
        """Complement of the distribution function at conductances [S]."""
        return np.asarray(family(self.family).sf(g, self.parameters))

    def logpdf(self, g: Floats) -> Floats:
        """Log density [ln 1/S] at conductances [S]."""
        return np.asarray(family(self.family).logpdf(g, self.parameters))

    def ppf(self, probability: Floats) -> Floats:
        """Quantiles [S]."""
        return np.asarray(family(self.family).ppf(probability, self.parameters))

    def to_card(self) -> Distribution:
        """Write the law as a card's `distribution`."""
        tried = (c.to_card() for c in self.candidates)
        return Distribution(
            family=self.family,
            parameters=dict(self.result.estimates),
            alternatives=[a for a in tried if a is not None],
        )


def fit_law(readings: LevelReadings, *, seed: int) -> LevelLaw:
    """Fit every family to a level and choose one.

    Parameters
    ----------
    readings : LevelReadings
    seed : int
        Of the folds that cells are dealt into.

    Raises
    ------
    FitError
        With the numbers, where there is too little to fit a law to.
    """
    if readings.n_cells < LEAST_CELLS:
        msg = (
            f"level {readings.level} has {readings.n} accepted readings of {readings.n_cells} "
            f"healthy cells; a law needs at least {LEAST_CELLS} cells"
        )
        raise FitError(msg)
    if readings.node.size < 3:
        msg = (
            f"level {readings.level} has {readings.n} accepted readings with "
            f"{readings.node.size} different values inside the rails; a law needs at least 3"
        )
        raise FitError(msg)
    left_out: list[Candidate] = []
    maxima: list[Maximum] = []
    for likelihood in _SINGLE:
        reason = _unfit(likelihood, readings)
        if reason:
            left_out.append(Candidate(family=likelihood.family, parameters={}, note=reason))
        else:
            maxima.append(maximise(likelihood, readings))
    mixture = _best_mixture(readings, maxima[0])
    if isinstance(mixture, Candidate):
        left_out.append(mixture)
    else:
        maxima.append(mixture)

    fold = deal(readings.n_cells, seed, f"levels/{readings.level}/folds")
    usable = [m for m in maxima if m.converged and math.isfinite(m.log_likelihood)]
    scores = [held_out(m, readings, fold) for m in usable]
    at, errors = choose(usable, scores, readings)
    fitted = [
        _candidate(m, readings, heldout=s.mean, error=e)
        for m, s, e in zip(usable, scores, errors, strict=True)
    ]
    failed = [
        Candidate(
            family=m.likelihood.family,
            parameters=m.parameters,
            aic=m.aic if math.isfinite(m.aic) else None,
            bic=m.bic if math.isfinite(m.bic) else None,
            note="no maximum of the likelihood was found",
        )
        for m in maxima
        if m not in usable
    ]
    ranked = sorted(fitted, key=lambda c: -(c.heldout or 0.0))
    return LevelLaw(
        result=_result(usable[at], readings),
        chosen=fitted[at],
        candidates=(*ranked, *failed, *left_out),
        maximum=usable[at],
        influence=readings.spread(usable[at].influence()),
    )


def _unfit(likelihood: Likelihood, readings: LevelReadings) -> str:
    """Why a family cannot be fitted to these readings; empty where it can."""
    if readings.n_cells < CELLS_PER_PARAMETER * likelihood.size:
        return f"{readings.n_cells} cells are too few for {likelihood.size} parameters"
    if likelihood.positive:
        low = int(np.count_nonzero(readings.seen <= 0))
        if readings.floor is not None and readings.floor <= 0:
            low += int(readings.floor_count.sum())
        if low:
            return f"{low} of {readings.n} readings are not positive"
    return ""


def _best_mixture(readings: LevelReadings, normal: Maximum) -> Maximum | Candidate:
    """Return the mixture of two or three parts that the Bayesian criterion prefers.

    Three are tried only where two are better than one.
    """
    best: Maximum | None = None
    for likelihood in _MIXTURES:
        reason = _unfit(likelihood, readings)
        if reason:
            return best or Candidate(family="mixture", parameters={}, note=reason)
        found = maximise(likelihood, readings)
        if best is None or (found.converged and found.bic < best.bic):
            best = found
        if not best.bic < normal.bic:
            break
    assert best is not None
    return best


def _candidate(
    maximum: Maximum, readings: LevelReadings, *, heldout: float, error: float
) -> Candidate:
    fit = assess(maximum, readings)
    return Candidate(
        family=maximum.likelihood.family,
        parameters=maximum.parameters,
        aic=maximum.aic,
        bic=maximum.bic,
        heldout=heldout,
        heldout_error=error,
        p_value=fit.p_value,
        distance=fit.distance,
        converged=True,
        note="; ".join(maximum.edges),
    )


def _result(maximum: Maximum, readings: LevelReadings) -> FitResult:
    """Parameters with the covariance that clustering by cell and in space gives them."""
    natural = maximum.jacobian() @ maximum.influence()
    size = np.sqrt((natural**2).sum(axis=1))
    scale = np.where(size > 0, size, 1.0)
    found = clustered_covariance(readings.spread(natural / scale[:, None]))
    covariance = found.covariance * np.outer(scale, scale)
    estimates = {
        name: _quantity(name, value, math.sqrt(max(covariance[i, i], 0.0)), float(found.df[i]))
        if size[i] > 0
        else Quantity.given(value, _unit(maximum.likelihood.family, name))
        for i, (name, value) in enumerate(maximum.parameters.items())
    }
    return FitResult(
        title=f"level {readings.level}, {maximum.likelihood.family}",
        estimates={
            name: q.model_copy(update={"unit": _unit(maximum.likelihood.family, name)})
            for name, q in estimates.items()
        },
        covariance=covariance,
        n_observations=readings.n,
        log_likelihood=maximum.log_likelihood,
        verdict=Verdict(tuple(_complaints(maximum, readings))),
    )


def _unit(name: str, parameter: str) -> str:
    if name == "mixture":
        return "1" if parameter.startswith("weight") else "S"
    return family(name).units[parameter]


def _quantity(name: str, value: float, error: float, df: float) -> Quantity:
    """Estimate with an interval on the scale where it is nearest to normal."""
    if name == "df":  # 1/df is: it has a finite value where the law is normal
        near = Quantity.estimated(1 / value, error / value**2, "1", df=df).ci95
        low, high = (1 / max(k, 1 / 200) for k in near or (1 / value, 1 / value))
        return Quantity.within(value, error, "1", (min(high, value), max(low, value)))
    scale = _SCALES.get(name.rstrip("_0123456789"), "linear")
    if name == "shape" and value > 0:
        scale = "linear"
    return Quantity.estimated(value, error, "1", scale=scale, df=df)


def _complaints(maximum: Maximum, readings: LevelReadings) -> Iterator[Finding]:
    where = f"level {readings.level}"
    for edge in maximum.edges:
        yield Finding(
            f"{where}: {edge}",
            "read the other parameters as those of that limiting law; this one has no error",
        )
    if not maximum.regular:
        yield Finding(
            f"{where}: the readings do not tell the parameters of {maximum.likelihood.family} "
            "apart (singular information)",
            "use the law's quantiles, mean and standard deviation, not its single parameters",
        )
