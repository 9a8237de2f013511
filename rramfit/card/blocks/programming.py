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
    measured_survival,
    pulses_for,
    tighter_survival,
)
from rramfit.card.part import Count, Part
from rramfit.card.quantity import Finite, Quantity, Square
from rramfit.errors import CardError

__all__ = ["BudgetPoint", "ProgrammingCard", "PulseFamily", "WindowCost"]

MISFIT = 0.01  # p-value below which a distribution is rejected
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
        return self.cost_of(window, self._accepted(window), budget=limit)

    def cost_of(
        self, window: float, accepted: Quantity, *, budget: int | None = None
    ) -> WindowCost:
        """Return the cost of a window that accepts a share of what the present one accepts.

        It follows from the chosen family; if that is rejected, from the measured failures against
        budget (`rramfit.card.blocks.pulse_counts.measured_survival`). Errors are
        those of the parameters and of the share, by first derivatives. Cells that
        start inside the present window and outside the narrower one need pulses as those of the
        other cells do that are accepted. Without a budget, attempts go on until all but a few in a
        million are accepted.

        Raises
        ------
        CardError
            If the card has no distribution of pulses.
        """
        chosen = next((f for f in self.families if f.family == self.family), None)
        if chosen is None:
            raise self._refused(
                found="no distribution of pulse counts",
                expected="attempts that need different numbers of pulses",
                remedy="Measure more attempts",
            )
        names = FAMILIES[chosen.family]
        limit = _budget(chosen, self.first, accepted) if budget is None else budget
        inside = 0.0 if self.inside is None else self.inside.value
        measured = chosen.p_value is not None and chosen.p_value < MISFIT and bool(self.budgets)
        points = [b.budget for b in self.budgets], [b.failure.value for b in self.budgets]
        n, left = (np.array(x, dtype=float) for x in points)
        left = np.minimum(left / max(1 - inside, 1e-9), 1.0)

        def course(x: np.ndarray, q: float) -> np.ndarray:
            if measured:
                return measured_survival(n, left, limit, q)
            parameters = dict(zip(names, x, strict=False))
            return tighter_survival(chosen.family, parameters, limit, self.first, q)

        def of(x: np.ndarray) -> np.ndarray:
            q = float(x[-1])
            s, never = course(x, q), float(course(x, 1.0)[-1])
            moved = np.clip((s - never) / max(1 - never, 1e-9), 0.0, 1.0)
            parts = ((1 - inside, s), (inside * (1 - q), moved))
            return np.array(
                [
                    sum(share * mean_within(c) for share, c in parts),
                    sum(share * c[-1] for share, c in parts),
                ]
            )

        values, covariance = _values(chosen, names, accepted)
        at = of(values)
        steps = _STEP * np.maximum(np.abs(values), 1e-6)
        slopes = np.stack(
            [(of(values + e) - of(values - e)) / (2 * e.sum()) for e in np.diag(steps)]
        )
        errors = [math.sqrt(max(float(g @ covariance @ g), 0.0)) for g in slopes.T]
        if measured:  # what the parameters are to a family
            own = [(q.stderr or 0.0) / q.value for q in (self.pulses, self.failure) if q.value > 0]
            errors = [math.hypot(e, float(a) * r) for e, a, r in zip(errors, at, own, strict=False)]
        energy = None
        if (each := self.energy_per_pulse) is not None:
            error = math.hypot(errors[0] / at[0], (each.stderr or 0.0) / each.value)
            value = float(at[0]) * each.value
            energy = Quantity.estimated(value, value * error, "J", scale="log")
        return WindowCost(
            window=window,
            accepted=accepted,
            pulses=Quantity.estimated(float(at[0]), errors[0], "1", scale="log"),
            failure=Quantity.estimated(float(at[1]), errors[-1], "1", scale="logit"),
            energy=energy,
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


def _budget(family: PulseFamily, first: int, accepted: Quantity) -> int:
    """Return the pulses after which all but a few attempts in a million are accepted."""
    parameters = {n: q.value for n, q in family.parameters.items()}
    needed = pulses_for(_ALL, family.family, parameters, first)
    return min(math.ceil((needed or _MOST) / max(accepted.value, 1e-3)), _MOST)


def _values(
    family: PulseFamily, names: tuple[str, ...], accepted: Quantity
) -> tuple[np.ndarray, np.ndarray]:
    """Return the parameters and the share that a window accepts, with their covariance."""
    known = [*(family.parameters[n] for n in names), accepted]
    errors = np.array([q.stderr or 0.0 for q in known])
    correlation = np.eye(len(known))
    if family.correlation is not None:
        correlation[:-1, :-1] = family.correlation
    return np.array([q.value for q in known]), correlation * np.outer(errors, errors)
