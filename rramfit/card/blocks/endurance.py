"""The card's part on endurance: switched states versus cycles, and how long cells last.

Cycles are SET/RESET cycles. A cell's life is the count at which the window between its states fell
below half of its first window for good (`rramfit.fitting.time.endurance.failure_times`). Lives are
those of cells that worked at the first point. Intervals treat cells as independent.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rramfit.card.part import Count, Part
from rramfit.card.quantity import Finite, Quantity

__all__ = [
    "EarlyFailureCard",
    "EnduranceCard",
    "EnduranceState",
    "FailureMode",
    "HazardStep",
    "LifeCard",
    "LifeFamily",
    "StateBeforeFailure",
]


class EnduranceState(Part):
    """One switched state versus x = log10 of the number of cycles (at least 1)."""

    state: Count = Field(description="number of the state, from 0 at the lowest conductance")
    mean: Quantity = Field(description="over cells, at the first point [S]")
    std: Quantity = Field(description="over cells, at the first point [S]")
    drift: Quantity | None = Field(None, description="change of the mean per decade [S]")
    growth: Quantity | None = Field(None, description="change of the std per decade [S]")


class LifeFamily(Part):
    """One distribution of lives: Weibull (shape, scale) or lognormal (sigma of ln, median)."""

    family: Literal["weibull", "lognormal"] = Field(description="Weibull or lognormal")
    parameters: dict[str, Quantity] = Field(description="parameters by name")
    cycles_to_1pct: Quantity = Field(description="cycles at which 1 % of cells have failed")
    log_likelihood: Finite = Field(description="logarithm of the likelihood")
    p_value: Finite | None = Field(None, description="p-value of the goodness-of-fit test")


class FailureMode(Part):
    """One mode of failure, in competition with the others."""

    mode: Literal["stuck low", "stuck high", "window closure"] = Field(
        description="how the cells fail"
    )
    failures: Count = Field(description="number of failures of this mode")
    incidence: Quantity = Field(
        description="share of cells that failed in this mode by longest_cycle (Aalen-Johansen)"
    )


class HazardStep(Part):
    """Failures per cell and cycle between two cycle counts, of the cells that still worked."""

    from_cycle: Count = Field(description="first cycle of the step")
    to_cycle: Count = Field(description="last cycle of the step")
    rate: Quantity = Field(description="failures per cell and cycle")


class StateBeforeFailure(Part):
    """Change of one state of failing cells, from the first to their last good reading."""

    state: Count = Field(description="number of the state")
    shift: Quantity = Field(
        description="in excess of the change of the other cells over the same cycles [S]"
    )


class EarlyFailureCard(Part):
    """A second population of cells, which fails early."""

    share: Quantity = Field(description="share of cells that fail early")
    scale: Quantity = Field(description="Weibull scale of the early population [cycles]")
    wear_out_shape: Quantity = Field(description="Weibull shape of the other cells")
    wear_out_scale: Quantity = Field(description="Weibull scale of the other cells [cycles]")


class LifeCard(Part):
    """How long cells last, by readings at a few cycle counts."""

    cells: Count = Field(description="cells that worked at the first point")
    failures: Count = Field(description="number of cells that failed")
    failed_at_start: Count = Field(0, description="cells that did not work at the first point")
    family: Literal["weibull", "lognormal"] | None = Field(
        None, description="the likelier family; absent if no distribution could be fitted"
    )
    families: list[LifeFamily] = Field([], description="Weibull first")
    cycles_to_1pct: Quantity | None = Field(
        None,
        description="cycles at which 1 % of cells have failed; the interval covers both families "
        "if the likelihood does not separate them, and uses none if neither fits",
    )
    cycles_to_1pct_bound: Quantity | None = Field(
        None,
        description="without enough failures: at least this number of cycles, with 95 % "
        "confidence, for a hazard that does not fall",
    )
    failed_bound: Quantity | None = Field(
        None,
        description="without enough failures: at most this share fails by longest_cycle, with 95 % "
        "confidence",
    )
    surviving: Quantity = Field(description="share that works at longest_cycle (Kaplan-Meier)")
    modes: list[FailureMode] = Field([], description="failures by mode")
    hazard: list[HazardStep] = Field([], description="failure rate over cycles")
    before_failure: list[StateBeforeFailure] = Field(
        [], description="drift of the states before a failure"
    )
    early: EarlyFailureCard | None = Field(
        None, description="early failures, if they are a second population"
    )


class EnduranceCard(Part):
    """Change of the states, and of the window between them, over SET/RESET cycles."""

    first_cycle: Count = Field(description="cycles at the first point")
    longest_cycle: Count = Field(description="cycles at the last point")
    states: list[EnduranceState] = Field([], description="in order of increasing mean conductance")
    window: Quantity | None = Field(
        None, description="mean of the highest minus the lowest state at the first point [S]"
    )
    window_loss: Quantity | None = Field(
        None, description="share of the window lost per decade; negative if the window opens"
    )
    failed: Quantity | None = Field(
        None,
        description="share of cells with less than half of their first window at longest_cycle",
    )
    life: LifeCard | None = Field(None, description="lives of the cells, if any failed")
