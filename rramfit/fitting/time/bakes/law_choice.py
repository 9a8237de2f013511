"""Choice of the law of time and temperature that describes the changes of several bakes.

Laws are compared by χ² + ln(number of changes)·(number of parameters of the levels), as BIC
does; a free exponent of time must gain `GAIN` (99.9 % of χ² with 1 degree of freedom: in the log
domain a small exponent mimics a straight change in siemens). So the change follows ln t unless the
readings reject it. The error of the exponent is kept all the same, for extrapolations. Where other
laws fit about equally well (changes in siemens or of the logarithm of the mean, for instance), the
energy's error contains the differences of their energies, weighted by their probabilities.

Whether the cells of a level change by one factor or by one amount is a separate question, which the
cells answer (`rramfit.fitting.time.bakes.spread_evidence`); where they do not, the probability is
that of the laws in the log domain.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.time.bakes.changes import BakeChanges
from rramfit.fitting.time.bakes.law_data import SAFE, Kind, LawData
from rramfit.fitting.time.bakes.law_fit import LawFit, fit_law
from rramfit.fitting.time.bakes.spread_evidence import factor_gain

__all__ = ["GAIN", "LATER", "Choice", "choose_law", "distinct", "later_readings"]

Floats = NDArray[np.float64]

GAIN = 10.828
"""χ² that a free exponent of time has to gain."""

LATER = 3
"""Readings after programming in one bake that an exponent of time needs."""

_SAME = 0.5  # [K] temperatures closer than this are one


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The law that describes the changes best, and what is in doubt about it.

    Attributes
    ----------
    domain : str
        "linear" or "log".
    fit : LawFit
    doubt : float
        Variance of the energy over all laws that accelerate the same, weighted by their
        probability [eV²].
    by_factor : float
        Probability that all cells of a level change by one factor, and not by one amount.
    """

    domain: str
    fit: LawFit
    doubt: float
    by_factor: float


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
) -> Choice:
    """Return the law that describes the changes best.

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
    scored = [
        (_score(of_domain, kind, fit := fit_law(of_domain, kind)), domain, fit)
        for domain, of_domain in data.items()
        for kind in kinds
        if accelerates in (None, kind.accelerates)
    ]
    score, domain, fit = min(scored, key=lambda x: x[0])
    alike = [
        (math.exp((score - s) / 2), of, other.energy)
        for s, of, other in scored
        if other.kind.accelerates == fit.kind.accelerates
    ]
    total = sum(w for w, _, _ in alike)
    return Choice(
        domain=domain,
        fit=fit,
        doubt=sum(w * (e - fit.energy) ** 2 for w, _, e in alike) / total,
        by_factor=_by_factor(bakes, sum(w for w, of, _ in alike if of == "log") / total),
    )


def _by_factor(bakes: Sequence[BakeChanges], otherwise: float) -> float:
    """Return the probability that the cells of a level change by one factor."""
    gain = factor_gain([b.proportionality for b in bakes if b.proportionality is not None])
    return otherwise if gain is None else 1 / (1 + math.exp(float(np.clip(-gain / 2, -SAFE, SAFE))))


def _score(data: LawData, kind: Kind, fit: LawFit) -> float:
    """Return χ² with a penalty for every parameter."""
    of_level = len({s.level for s in data.sets}) * kind.parameters
    if kind.steps == "free":
        of_level += sum(s.first_time == 0 for s in data.sets)
    values = sum(len(s.z) for s in data.sets)
    return fit.chi2 + math.log(max(values, 2)) * of_level + GAIN * kind.free_exponent
