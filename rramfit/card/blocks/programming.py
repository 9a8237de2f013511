"""The card's part on programming effort: pulses per write, by level, and what other windows cost.

Distributions of pulse counts are those of `rramfit.card.blocks.pulse_counts`. The residual of an
accepted cell is its distance from the middle of the window, relative to half the window's width.
Intervals allow for several attempts of one cell.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import Literal

import numpy as np
from pydantic import Field

from rramfit.card.blocks.pulse_counts import (
    FAMILIES,
    mean_within,
    pulses_for,
    tighter_survival,
)
from rramfit.card.part import Count, Part
from rramfit.card.quantity import Finite, Quantity, Square
from rramfit.errors import CardError

__all__ = ["BudgetPoint", "ProgrammingCard", "PulseFamily", "WindowCost"]

_ALL, _MOST = 1e-6, 100_000  # share that is not accepted without a budget; pulses
_STEP = 1e-4  # relative, of numerical derivatives


class PulseFamily(Part):
    """One distribution of the number of pulses until acceptance."""

    family: Literal["geometric", "negative binomial", "beta-geometric"] = Field(
        description="distribution of the pulse count"
    )
    parameters: dict[str, Quantity] = Field(description="parameters by name")
    correlation: Square | None = Field(
        None,
        description="correlation of the parameters' errors, in alphabetical order of their names",
    )
    aic: Finite = Field(description="Akaike information criterion")
    p_value: Finite | None = Field(None, description="p-value of the goodness-of-fit test")


class BudgetPoint(Part):
    """Failures with one budget of pulses."""

    budget: Count = Field(description="number of pulses")
    failure: Quantity = Field(description="share of attempts not accepted within the budget")


class WindowCost(Part):
    """What a window of other width costs, with the same middle."""

    window: Finite = Field(description="width relative to the present window")
    accepted: Quantity = Field(
        description="share of the cells accepted now that this window accepts as well"
    )
    pulses: Quantity = Field(description="mean pulses per write, up to the budget")
    failure: Quantity = Field(description="share of attempts not accepted within the budget")
    energy: Quantity | None = Field(None, description="mean energy per write [J]")


class ProgrammingCard(Part):
    """Write-verify attempts to bring cells into the window of one level."""

    level: Count = Field(description="number of the level")
    name: str = Field(description="name of the level")
    lower: Quantity | None = Field(None, description="lower limit of the window [S]")
    upper: Quantity | None = Field(None, description="upper limit of the window [S]")
    n_attempts: Count = Field(description="number of attempts")
    n_cells: Count = Field(description="cells that were programmed")
    budget: Count | None = Field(
        None, description="pulses after which an attempt is given up, as stated or as found"
    )
    first: Count = Field(1, description="smallest number of pulses of an accepted attempt")
    inside: Quantity | None = Field(
        None, description="share of attempts that need no pulse: the cell is in the window already"
    )
    pulses: Quantity = Field(description="mean pulses per write, accepted or not")
    failure: Quantity = Field(description="share of attempts that are not accepted")
    family: Literal["geometric", "negative binomial", "beta-geometric"] | None = Field(
        None, description="chosen by AIC, of the attempts that need pulses"
    )
    families: list[PulseFamily] = Field(
        [], description="geometric, negative binomial, beta-geometric: those that could be fitted"
    )
    budget_1pct: Quantity | None = Field(
        None,
        description="pulses with which 1 % of attempts fail, by the chosen family; the interval "
        "covers families that AIC does not rule out",
    )
    budgets: list[BudgetPoint] = Field(
        [], description="share of attempts accepted within a number of pulses"
    )
    residual: Quantity | None = Field(
        None, description="root mean square residual of accepted cells; 0.577 if they are uniform"
    )
    residual_trend: Quantity | None = Field(
        None, description="change of the absolute residual per doubling of the pulse count"
    )
    energy: Quantity | None = Field(None, description="mean energy per write [J]")
    energy_per_pulse: Quantity | None = Field(None, description="mean energy of one pulse [J]")
    windows: list[WindowCost] = Field(
        [], description="narrower windows, by decreasing width; others: `cost`"
    )

    def cost(self, window: float, *, budget: int | None = None) -> WindowCost:
        """Return what a narrower window around the same middle costs.

        Parameters
        ----------
        window : float
            Width relative to the present window, above 0 and at most 1.
        budget : int, optional
            Pulses after which an attempt is given up; by default the present budget, if there is
            one.

        Raises
        ------
        CardError
            If the width is out of range, or the card does not say how cells lie in the window.
        """
        limit = self.budget if budget is None else budget
        chosen = next((f for f in self.families if f.family == self.family), None)
        if not self.windows or chosen is None:
            raise self._refused(
                found="no residuals of accepted cells within their window",
                expected="final conductances in /attempts, from which the cost of a window follows",
                remedy="Record the final conductance of every attempt",
            )
        narrowest = self.windows[-1].window
        if not narrowest <= window <= 1:
            raise self._refused(
                found=f"a window of {window:g} of the present width",
                expected=f"{narrowest:g} to 1, for which accepted cells say how many would pass",
                remedy="Choose a width in this range",
            )
        if limit is not None and limit < 1:
            raise self._refused(
                found=f"a budget of {limit} pulses",
                expected="1 or more",
                remedy="Choose a larger budget",
            )
        return window_cost(
            window,
            self._accepted(window),
            chosen,
            budget=limit,
            first=self.first,
            inside=self.inside,
            per_pulse=self.energy_per_pulse,
        )

    def _refused(self, *, found: str, expected: str, remedy: str) -> CardError:
        where = f"programming[{self.level}]"
        return CardError("", where, found=found, expected=expected, remedy=remedy)

    def _accepted(self, window: float) -> Quantity:
        """Interpolate the share that a window accepts, linearly in its width."""
        one = Quantity.within(1.0, 0.0, "1", (1.0, 1.0))
        known = [(w.window, w.accepted) for w in reversed(self.windows)] + [(1.0, one)]
        at = bisect_left([w for w, _ in known], window)
        if known[at][0] == window or at == 0:
            return known[at][1]
        (w0, a), (w1, b) = known[at - 1], known[at]
        t = (window - w0) / (w1 - w0)

        def between(x: float, y: float) -> float:
            return (1 - t) * x + t * y

        ends = [between(x, y) for x, y in zip(a.ci95 or (0, 0), b.ci95 or (0, 0), strict=True)]
        return Quantity.within(
            between(a.value, b.value),
            between(a.stderr or 0.0, b.stderr or 0.0),
            "1",
            (ends[0], ends[1]),
        )


def window_cost(
    window: float,
    accepted: Quantity,
    family: PulseFamily,
    *,
    budget: int | None,
    first: int,
    inside: Quantity | None,
    per_pulse: Quantity | None,
) -> WindowCost:
    """Return the cost of a window that accepts a share of what the present one accepts.

    Errors are those of the family's parameters and of the share, by first derivatives. An attempt
    that starts inside the present window needs pulses if it is outside the narrower one. Without a
    budget, attempts go on until all but a few in a million are accepted.
    """
    names = FAMILIES[family.family]
    if budget is None:
        parameters = {n: q.value for n, q in family.parameters.items()}
        needed = pulses_for(_ALL, family.family, parameters, first)
        budget = min(math.ceil((needed or _MOST) / max(accepted.value, 1e-3)), _MOST)
    values = np.array([*(family.parameters[n].value for n in names), accepted.value])
    errors = np.array(
        [*(family.parameters[n].stderr or 0.0 for n in names), accepted.stderr or 0.0]
    )
    correlation = np.eye(len(values))
    if family.correlation is not None:
        correlation[:-1, :-1] = family.correlation
    covariance = correlation * np.outer(errors, errors)
    already = 0.0 if inside is None else inside.value

    def of(x: np.ndarray) -> np.ndarray:
        q = float(x[-1])
        s = tighter_survival(family.family, dict(zip(names, x, strict=False)), budget, first, q)
        tried = 1 - already * q
        return np.array([tried * mean_within(s), tried * s[-1]])

    at = of(values)
    steps = _STEP * np.maximum(np.abs(values), 1e-6)
    slopes = np.stack([(of(values + e) - of(values - e)) / (2 * e.sum()) for e in np.diag(steps)])
    pulses_error, failure_error = (math.sqrt(max(float(g @ covariance @ g), 0.0)) for g in slopes.T)
    pulses = Quantity.estimated(float(at[0]), pulses_error, "1", scale="log")
    failure = Quantity.estimated(float(at[1]), failure_error, "1", scale="logit")
    energy = None
    if per_pulse is not None:
        error = math.hypot(pulses_error / at[0], (per_pulse.stderr or 0.0) / per_pulse.value)
        value = float(at[0]) * per_pulse.value
        energy = Quantity.estimated(value, value * error, "J", scale="log")
    return WindowCost(
        window=window, accepted=accepted, pulses=pulses, failure=failure, energy=energy
    )
