"""The card's part on tails: raw error rates, extreme values, codes, tolerance and capability.

All of it applies to readings at the end of programming. Rates at a later time, at a temperature or
after reads follow from the distributions of the levels (`rramfit.fitting.tails.error_rates_at`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from rramfit.card.part import Count, Part
from rramfit.card.quantity import Finite, Quantity

__all__ = [
    "CapabilityCard",
    "CodeCard",
    "ErrorRateCard",
    "LevelTailCard",
    "TailThreshold",
    "TailsCard",
    "ToleranceCard",
]

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class ErrorRateCard(Part):
    """Raw error rate of two neighbouring levels at a read threshold, both equally frequent."""

    lower: Count = Field(description="level below the threshold")
    upper: Count = Field(description="level above it")
    threshold: Quantity
    given: bool = Field(False, description="whether the threshold was given, not found as the best")
    readings: Count = Field(description="accepted readings of healthy cells at both levels")
    errors: Count = Field(description="of these, on the wrong side")
    counted: Quantity = Field(description="share of accepted readings of healthy cells, counted")
    with_failures: Quantity = Field(
        description="share of all attempts, with failed attempts and stuck cells"
    )
    fitted: Quantity | None = Field(None, description="by the distribution families of both levels")
    extreme: Quantity | None = Field(
        None, description="by the generalised Pareto tails of both levels"
    )


class TailThreshold(Part):
    """One threshold that was tried for a tail."""

    threshold: Finite = Field(description="[S]")
    exceedances: Count
    mean_excess: Finite = Field(description="over the threshold; on ln G for a logarithmic tail")
    shape: Finite
    shape_stderr: Finite
    p_value: Finite = Field(description="of the Anderson-Darling test")


class LevelTailCard(Part):
    """Generalised Pareto distribution of the readings beyond a threshold, at one end of a level.

    P(excess > y) = (1 + shape·y/scale)^(−1/shape). The tail is of G, or of ln G if `log`.
    """

    level: Count
    side: Literal["lower", "upper"]
    log: bool
    threshold: Quantity
    exceedances: Count
    readings: Count
    effective: Finite = Field(
        description="independent exceedances that say as much of shape and scale"
    )
    effective_count: Finite = Field(description="the same of the share beyond the threshold")
    shape: Quantity
    scale: Quantity = Field(description="[S], or [ln S] if log")
    accepted: bool = Field(description="whether the goodness-of-fit test accepted the threshold")
    tried: list[TailThreshold] = Field([], description="lowest threshold first")
    quantiles: dict[str, Quantity] = Field(
        {},
        description="conductance that a share of readings is beyond, by the share (1e-06); absent "
        "where the readings do not determine it [S]",
    )
    agreement: Literal["agree", "heavier", "lighter"] = Field(
        description="of the readings with the level's family, in this tail"
    )


class CodeCard(Part):
    """Shortest error-correcting code with an uncorrectable bit error rate of at most `target`."""

    data_bits: Count
    target: Share
    kind: Literal["none", "SEC-DED", "BCH"] | None = Field(
        None,
        description="at the bit error rate itself; absent if no code of rate ≥ 1/2 is enough",
    )
    corrects: Count | None = Field(None, description="errors corrected in a word")
    check_bits: Count | None = None
    corrects_at_limit: Count | None = Field(
        None, description="at the upper limit of the bit error rate; absent if no code is enough"
    )
    check_bits_at_limit: Count | None = None


class ToleranceCard(Part):
    """Statistical tolerance interval of one level (ISO 16269-6)."""

    level: Count
    coverage: Share
    confidence: Share
    method: Literal["normal", "lognormal", "distribution-free"] | None = Field(
        None, description="absent if there are too few cells for any method"
    )
    lower: Quantity | None = None
    upper: Quantity | None = None
    cells: Finite = Field(description="independent cells that it rests on")
    cells_needed: Count | None = Field(
        None, description="cells that an interval without a distribution needs, if there is none"
    )


class CapabilityCard(Part):
    """Process capability of one level against its verify window (percentile method)."""

    level: Count
    pp: Quantity | None = Field(None, description="absent for a window with one limit")
    ppk: Quantity
    beyond: Share = Field(description="share of the fitted distribution outside the window")


class TailsCard(Part):
    """Tails of the levels and what follows from them, at the end of programming.

    Parts are listed by level, so that cards with other gaps have the same key paths.
    """

    error_rates: dict[str, ErrorRateCard] = Field({}, description="by both levels: 0_1")
    bit_error_rate: Quantity | None = Field(
        None, description="in Gray code, by extreme values if they are known for every threshold"
    )
    bit_error_rate_by: Literal["extreme", "fitted", "counted"] | None = None
    codes: list[CodeCard] = []
    levels: dict[str, LevelTailCard] = Field({}, description="by level and side: 0_upper")
    tolerance: dict[str, ToleranceCard] = Field({}, description="by level")
    capability: dict[str, CapabilityCard] = Field({}, description="by level")

    def of_levels(self, place: Mapping[int, int]) -> TailsCard:
        """Return what remains of some levels, with their new numbers, by the old ones.

        Error rates are left out, because their neighbours may be.
        """
        return TailsCard(
            levels={
                f"{place[t.level]}_{t.side}": t.model_copy(update={"level": place[t.level]})
                for t in self.levels.values()
                if t.level in place
            },
            tolerance={
                f"{place[t.level]}": t.model_copy(update={"level": place[t.level]})
                for t in self.tolerance.values()
                if t.level in place
            },
            capability={
                f"{place[c.level]}": c.model_copy(update={"level": place[c.level]})
                for c in self.capability.values()
                if c.level in place
            },
        )
