"""The card's part on several bakes: how levels change with time and temperature.

The law is that of `rramfit.card.blocks.temperature_law`. Drift is the change of a level's mean,
growth that of its variance over cells; where the cells change by a factor, beyond what this factor
does to their spread. Both are stated at the reference temperature, that of the
first bake.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rramfit.card.part import Count, Part
from rramfit.card.quantity import Finite, Quantity, Square

__all__ = ["BakeCard", "BakedLevel", "ChangeLaw", "LevelLaw", "TemperatureCard"]


class BakedLevel(Part):
    """One level in one bake, fitted alone with the logarithm of time."""

    level: Count = Field(description="number of the level")
    n_cells: Count = Field(description="cells read at least twice")
    drift: Quantity | None = Field(None, description="mean change per unit of ln t [S]")
    growth: Quantity | None = Field(None, description="added standard deviation per √ln t [S]")
    factor: Quantity | None = Field(
        None, description="acceleration relative to the first bake, from this level alone"
    )


class BakeCard(Part):
    """One bake: its conditions, its cells, and how many of them lost their state."""

    temperature: Quantity = Field(description="temperature of the bake [K]")
    reference_time: Quantity = Field(description="first reading after programming [s]")
    longest_time: Quantity = Field(description="last reading [s]")
    source: str | None = Field(None, description="file or card, if the bakes are of several")
    factor: Quantity | None = Field(
        None, description="acceleration relative to the first bake, from all levels"
    )
    cells: Count = Field(description="cells at their level, read at least twice")
    lost: Count = Field(
        description="of these, cells that left the distribution of their level or collapsed"
    )
    lost_bound: Quantity = Field(
        description="share of lost cells, with the exact two-sided 95 % interval (Clopper-Pearson)"
    )
    levels: list[BakedLevel] = Field([], description="change of each level at this temperature")


class LevelLaw(Part):
    """Parameters of one level: c = step + step_rate·f + rate·f·x(t)."""

    level: Count = Field(description="number of the level")
    step: Quantity | None = Field(
        None, description="change from programming to the reference time, the same in all bakes"
    )
    step_rate: Quantity | None = Field(
        None, description="part of that change that goes with temperature, at the reference"
    )
    rate: Quantity = Field(description="change per unit of x at the reference temperature")
    activation_energy: Quantity | None = Field(None, description="of this level alone [eV]")
    correlation: Square | None = Field(
        None,
        description="correlation of the errors of the energy that applies, the exponent, step, "
        "step_rate and rate, in this order, without those that are absent or have no error",
    )


class ChangeLaw(Part):
    """Change of the mean, or of the variance, with time and temperature."""

    domain: Literal["linear", "log"] = Field(
        description="linear: change in S or S²; log: change of the logarithm of the mean"
    )
    by_factor: Finite | None = Field(
        None,
        description="of drift: probability that all cells of a level change by one factor, and not "
        "by one amount; if absent, they do so in the log domain",
    )
    accelerates: Literal["rate", "time"] = Field(
        description="what temperature accelerates: the rate of change, or time"
    )
    exponent: Quantity = Field(description="m of x = ((t/t_ref)^m − 1)/m; 0 is the logarithm")
    fitted_exponent: bool = Field(
        description="whether the exponent is fitted, because the readings reject the logarithm"
    )
    activation_energy: Quantity | None = Field(None, description="common to all levels [eV]")
    assumed_energy: Quantity | None = Field(
        None,
        description="where activation_energy is not determined: its lower limit or 0, or for "
        "growth once or twice that of drift [eV]",
    )
    common: bool = Field(
        True, description="whether the common energy applies; if not, that of each level does"
    )
    time_energy: Quantity | None = Field(
        None, description="of the time until an equal change: activation_energy/exponent [eV]"
    )
    between_bakes: Finite | None = Field(
        None,
        description="standard deviation of the logarithm of a bake's rate about the Arrhenius "
        "line, beyond the error of the bake",
    )
    p_common: Finite | None = Field(
        None, description="p-value of one energy against one per level (likelihood ratio)"
    )
    p_arrhenius: Finite | None = Field(
        None, description="p-value of the Arrhenius line; needs three temperatures"
    )
    p_time: Finite | None = Field(None, description="p-value of the law of time")
    levels: list[LevelLaw] = Field([], description="parameters of each level")


class TemperatureCard(Part):
    """Several bakes joined by the Arrhenius law."""

    reference_temperature: Quantity = Field(description="of the first bake [K]")
    reference_time: Quantity = Field(description="t_ref [s]")
    longest_time: Quantity = Field(description="of all bakes [s]")
    bakes: list[BakeCard] = Field([], description="the bakes, in the order of the file")
    drift: ChangeLaw | None = Field(None, description="of the mean of each level")
    growth: ChangeLaw | None = Field(
        None,
        description="of the variance over the cells of a level; where they change by one factor, "
        "beyond what this does to it",
    )
