"""One tail of a level: its extreme values beside the level's family, and whether they agree.

The two disagree where the conductances that one reading in a million is beyond differ by more than
1.7 times their combined 95 % half widths (0.1 % by chance), or where the most extreme reading is
one that the family gives a chance of less than 0.1 % in as many readings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rramfit.card.blocks.tails import LevelTailCard, TailThreshold
from rramfit.card.families import family
from rramfit.card.quantity import Quantity
from rramfit.fitting.levels.distribution import LevelDistribution
from rramfit.fitting.levels.level_fit import LevelFit
from rramfit.fitting.tails.capability import family_quantiles
from rramfit.fitting.tails.sample import Side, tail_sample
from rramfit.fitting.tails.threshold import TailFit, fit_tail

__all__ = ["COMPARED", "PROBABILITIES", "LevelTail", "fit_level_tail"]

Floats = NDArray[np.float64]

PROBABILITIES = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9)
"""Shares of readings to which tails are extrapolated."""

COMPARED = 1e-6
"""Share of readings at which a tail is compared with the level's family."""

_SURE = 1.7  # times the 95 % half width: 99.9 %
_UNEXPECTED = 1e-3
_WIDEST = 3.0  # times the range of the readings: an interval beyond says nothing
_WIDEST_RATIO = 100.0  # of the ends of an interval on ln G
_ROUNDING = 1e-6  # of a conductance in float32

Agreement = Literal["agree", "heavier", "lighter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelTail:
    """One tail of a level.

    Attributes
    ----------
    level : int
    name : str
    side : {"lower", "upper"}
    fit : TailFit, optional
    reason : str
        Why there is no fit.
    quantiles : tuple of (float, Quantity)
        Shares, and the conductances that they are beyond [S].
    by_family : Quantity, optional
        What a share of `COMPARED` is beyond, by the level's family.
    agreement : {"agree", "heavier", "lighter"}
        Of the readings with the family.
    """

    level: int
    name: str
    side: Side
    fit: TailFit | None
    reason: str = ""
    quantiles: tuple[tuple[float, Quantity], ...] = ()
    by_family: Quantity | None = None
    agreement: Agreement = "agree"

    def to_card(self) -> LevelTailCard | None:
        """Return the tail as an entry of a card; None if there is no fit."""
        if self.fit is None:
            return None
        pareto, log = self.fit.pareto, self.fit.sample.log
        return LevelTailCard(
            level=self.level,
            side=self.side,
            log=log,
            threshold=Quantity.given(self.fit.tried[self.fit.chosen].threshold, "S"),
            exceedances=pareto.exceedances,
            readings=pareto.n,
            effective=pareto.effective,
            effective_count=pareto.exceedances / pareto.rate_effect,
            shape=_within(pareto.shape, pareto.shape_interval, "1"),
            scale=_within(pareto.scale, pareto.scale_interval, "ln S" if log else "S"),
            accepted=self.fit.accepted,
            tried=[
                TailThreshold(
                    threshold=c.threshold,
                    exceedances=c.exceedances,
                    mean_excess=c.mean_excess,
                    shape=c.shape,
                    shape_stderr=c.shape_error,
                    p_value=c.p_value,
                )
                for c in self.fit.tried
            ],
            quantiles={f"{p:.0e}": q for p, q in self.quantiles},
            agreement=self.agreement,
        )


def fit_level_tail(level: LevelFit, side: Side) -> LevelTail:
    """Fit one tail of a level.

    Parameters
    ----------
    level : LevelFit
    side : {"lower", "upper"}
    """
    readings, distribution = level.readings, level.distribution
    if distribution is None:
        return LevelTail(
            level=level.index, name=level.name, side=side, fit=None, reason=level.reason
        )
    clipped = readings.floor_count if side == "lower" else readings.ceiling_count
    reason = ""
    if clipped.sum():
        reason = (
            f"{int(clipped.sum())} readings are clipped at the instrument's "
            f"{'lower' if side == 'lower' else 'upper'} rail; read with a wider range"
        )
        return LevelTail(level=level.index, name=level.name, side=side, fit=None, reason=reason)
    sample = tail_sample(readings, side, positive=family(distribution.family).positive)
    attempts = np.bincount(
        readings.position[readings.cell], minlength=readings.shape[0] * readings.shape[1]
    )
    found = fit_tail(
        sample,
        attempts.reshape(readings.shape).astype(np.float64),
        level.driver,
        limit=_limit(level, side),
    )
    if isinstance(found, str):
        return LevelTail(level=level.index, name=level.name, side=side, fit=None, reason=found)
    quantiles = tuple((p, q) for p in PROBABILITIES if (q := _determined(found, p)) is not None)
    share = COMPARED if side == "lower" else 1 - COMPARED
    by_family = family_quantiles(distribution, np.array([share]), level.driver)[0]
    return LevelTail(
        level=level.index,
        name=level.name,
        side=side,
        fit=found,
        quantiles=quantiles,
        by_family=by_family,
        agreement=_agreement(found, distribution, by_family),
    )


def _limit(level: LevelFit, side: Side) -> float | None:
    """Return the verify limit that no accepted reading is beyond; None if there is none."""
    low, high = level.extremes
    slack = _ROUNDING * max(abs(low), abs(high))
    if side == "lower":
        return level.lower if level.lower is not None and low >= level.lower - slack else None
    return level.upper if level.upper is not None and high <= level.upper + slack else None


def _determined(fit: TailFit, probability: float) -> Quantity | None:
    """Return a conductance beyond which a share of readings is; None if the data do not say."""
    if probability > fit.higher.rate:
        return None
    value, (low, high) = fit.conductance(probability)
    x = fit.sample.x
    if fit.sample.log:
        if not high <= _WIDEST_RATIO * low:
            return None
    else:
        far = float(np.abs(fit.sample.to_x(np.array([low, high])) - x[-1]).max())
        if far > _WIDEST * (x[-1] - x[0]):
            return None
    return _within(value, (low, high), "S")


def _agreement(fit: TailFit, distribution: LevelDistribution, by_family: Quantity) -> Agreement:
    """Compare the tail with the level's family."""
    sample = fit.sample
    last = sample.to_conductance(sample.x[-1])
    tail = distribution.cdf if sample.side == "lower" else distribution.sf
    if sample.x.size * float(tail(np.asarray(last))) < _UNEXPECTED:
        return "heavier"
    value, interval = fit.conductance(COMPARED)
    x, low, high = np.sort(sample.to_x(np.array([value, *interval])))[[1, 0, 2]]
    ends = by_family.ci95 or (by_family.value, by_family.value)
    f, f_low, f_high = np.sort(sample.to_x(np.array([by_family.value, *ends])))[[1, 0, 2]]
    if x - f > _SURE * math.hypot(x - low, f_high - f):
        return "heavier"
    if fit.limit is None and f - x > _SURE * math.hypot(high - x, f - f_low):
        return "lighter"
    return "agree"


def _within(value: float, interval: tuple[float, float], unit: str) -> Quantity:
    return Quantity.within(value, (interval[1] - interval[0]) / 3.92, unit, interval)
