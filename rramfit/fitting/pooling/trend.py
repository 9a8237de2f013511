"""Trend over time: exponentially weighted moving average (EWMA) with control limits.

The first arrays are the baseline: they give the mean mu and the standard deviation between arrays τ
(`nested_components`, without groups). With y_t the estimate of array t, s_t its standard error, on
the common scale of the estimates,

    z_t = λ·y_t + (1 − λ)·z_{t−1},                z_0 = mu
    V_t = λ²·(τ² + s_t²) + (1 − λ)²·V_{t−1},      V_0 = 0
    limits: mu ± L·√(V_t + stderr(mu)²·(1 − (1 − λ)^t)²)

(NIST/SEMATECH e-Handbook 6.3.2.4, with errors that differ between arrays). L is chosen for the
number of parameters: if nothing changes, one array in 370 passes a limit in any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.quantity import result_html
from rramfit.card.schema import ModelCard
from rramfit.errors import FitError
from rramfit.fitting.pooling.estimates import check_poolable, common_estimates
from rramfit.fitting.pooling.nested_components import fit_nested
from rramfit.fitting.pooling.nested_tree import nest
from rramfit.fitting.pooling.pooled_scale import common_scale
from rramfit.units import format_quantity

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ParameterTrend", "Trend", "trend_of"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WEIGHT = 0.2
"""Weight λ of the latest array (Montgomery, Introduction to Statistical Quality Control)."""

FEWEST = 5
"""Fewest arrays of a baseline."""

_RATE = 1 / 370  # of false alarms: that of a single chart with limits at 3 standard deviations


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterTrend:
    """One parameter over time.

    Attributes
    ----------
    path, unit : str
    cards : (n,) int array
        Cards that have the parameter, in order of time.
    value : (n,) array
    average, low, high : (n,) arrays
        EWMA and its control limits.
    centre : float
        Mean of the baseline.
    """

    path: str
    unit: str
    cards: Ints
    value: Floats
    average: Floats
    low: Floats
    high: Floats
    centre: float

    @property
    def out(self) -> Ints:
        """Cards at which the average is past a limit."""
        out: Ints = self.cards[(self.average < self.low) | (self.average > self.high)]
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """Cards in order of time, and the control chart of each parameter.

    Attributes
    ----------
    cards : tuple of ModelCard
    baseline : int
        Number of arrays of the baseline.
    limit : float
        L, in standard deviations.
    parameters : dict of str to ParameterTrend
    """

    cards: tuple[ModelCard, ...]
    baseline: int
    limit: float
    parameters: dict[str, ParameterTrend]

    @property
    def out(self) -> dict[str, list[str]]:
        """Names of the cards past a limit, by parameter."""
        return {
            path: [self.cards[i].name for i in p.out]
            for path, p in self.parameters.items()
            if p.out.size
        }

    @property
    def summary(self) -> str:
        """Sentence on the result."""
        out = self.out
        charted = f"{len(self.parameters)} parameters of {len(self.cards)} arrays"
        if not out:
            return f"{charted}: none passes its control limits."
        names = sorted({name for names in out.values() for name in names})
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        return f"{charted}: {len(out)} pass their control limits, at {shown}."

    def to_frame(self) -> pd.DataFrame:
        """Return one row per parameter and card, in order of time."""
        import pandas as pd

        rows = [
            {
                "parameter": p.path,
                "card": self.cards[i].name,
                "time": self.cards[i].provenance.time,
                "value": p.value[j],
                "ewma": p.average[j],
                "low": p.low[j],
                "high": p.high[j],
                "unit": p.unit,
                "out": bool(i in p.out),
            }
            for p in self.parameters.values()
            for j, i in enumerate(p.cards)
        ]
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        rows = {}
        for path, p in self.parameters.items():
            last, average, low, high = (
                format_quantity(float(x[-1]), p.unit, digits=3)
                for x in (p.value, p.average, p.low, p.high)
            )
            past = ", ".join(self.cards[i].name for i in p.out)
            rows[path] = {"last": last, "average": average, "limits": f"{low} to {high}"}
            rows[path]["past a limit"] = past
        return result_html(self.summary, rows)


def trend_of(
    cards: Sequence[ModelCard], *, baseline: int | None = None, weight: float = WEIGHT
) -> Trend:
    """Chart every parameter of cards over the time of their measurement.

    Parameters
    ----------
    cards : sequence of ModelCard
        With the same levels, in any order.
    baseline : int, optional
        Number of arrays that are known to be good, the first in time; by default half of them.
    weight : float
        λ in (0, 1].

    Raises
    ------
    FitError
        If the baseline has fewer than five arrays, or the cards cannot be compared.
    ValueError
        If `weight` is not in (0, 1].
    """
    if not 0 < weight <= 1:
        msg = f"weight {weight}; it must be above 0 and at most 1"
        raise ValueError(msg)
    check_poolable(cards)
    ordered = tuple(sorted(cards, key=lambda card: card.provenance.time))
    first = max(len(ordered) // 2, FEWEST) if baseline is None else baseline
    if not FEWEST <= first <= len(ordered):
        msg = (
            f"A baseline of {first} of {len(ordered)} arrays cannot be used. Give the cards of at "
            f"least {FEWEST} arrays that are known to be good, and of those to be judged."
        )
        raise FitError(msg)
    found = {
        path: entries
        for path, entries in common_estimates(ordered).items()
        if sum(i < first for i, _ in entries) >= FEWEST
    }
    limit = float(-special.ndtri(_RATE / 2 / max(len(found), 1)))
    parameters = {}
    for path, entries in found.items():
        scale, y, error = common_scale([q for _, q in entries])
        index = np.array([i for i, _ in entries])
        average, half, centre = _chart(y, error, index < first, weight, limit)
        parameters[path] = ParameterTrend(
            path=path,
            unit=entries[0][1].unit,
            cards=index,
            value=np.array([q.value for _, q in entries]),
            average=np.array([scale.back(x) for x in average]),
            low=np.array([scale.back(x) for x in centre - half]),
            high=np.array([scale.back(x) for x in centre + half]),
            centre=scale.back(centre),
        )
    return Trend(cards=ordered, baseline=first, limit=limit, parameters=parameters)


def _chart(
    y: Floats, error: Floats, good: NDArray[np.bool_], weight: float, limit: float
) -> tuple[Floats, Floats, float]:
    """Return the average, the half width of its limits, and the centre."""
    fit = fit_nested(nest(int(good.sum()), []), ("array",), y[good], error[good])
    middle, stderr = (float(x) for x in fit.mean().moments())
    between = float(fit.weight @ fit.variances[:, 0])
    average, variance = np.empty(y.size), np.empty(y.size)
    z, v = middle, 0.0
    for t in range(y.size):
        z = weight * y[t] + (1 - weight) * z
        v = weight**2 * (between + error[t] ** 2) + (1 - weight) ** 2 * v
        average[t], variance[t] = z, v
    reached = 1 - (1 - weight) ** np.arange(1, y.size + 1)
    half = limit * np.sqrt(variance + (stderr * reached) ** 2)
    return average, half, middle
