"""The model card: fitted parameters of arrays like the measured one.

These models are the only definition of the card; the JSON Schema in this package is generated from
them. What was not measured is absent. Key paths keep their meaning within a major schema version; a
minor version only adds optional fields.
"""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import ConfigDict, Field

from rramfit.card.blocks.citation import CitationCard
from rramfit.card.blocks.disturb import DisturbCard
from rramfit.card.blocks.electrical import (
    IVCard,
    LineCard,
    ReadoutCard,
)
from rramfit.card.blocks.endurance import EnduranceCard, EnduranceState
from rramfit.card.blocks.failure import FailureCard, StuckCard
from rramfit.card.blocks.gauge import GaugeCard
from rramfit.card.blocks.programming import ProgrammingCard
from rramfit.card.blocks.pulses import PulseCard
from rramfit.card.blocks.tails import TailsCard
from rramfit.card.blocks.telegraph import TelegraphCard
from rramfit.card.blocks.temperature import TemperatureCard
from rramfit.card.canonical import save_card
from rramfit.card.conditions.levels_at import AtConditions
from rramfit.card.part import Count, Part
from rramfit.card.quality import CellsFile, Provenance, Quality
from rramfit.card.quantity import (
    Finite,
    Quantity,
    Square,
    quantities,
    quantities_frame,
    quantities_html,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "SCHEMA_VERSION",
    "Alternative",
    "ArrayInfo",
    "Distribution",
    "Domain",
    "DriftCard",
    "EnduranceCard",
    "EnduranceState",
    "FailureCard",
    "IVCard",
    "LevelCard",
    "LineCard",
    "LineOffsets",
    "ModelCard",
    "OffLevelNoise",
    "ReadNoiseCard",
    "ReadoutCard",
    "RetentionCard",
    "SpatialCard",
    "StuckCard",
    "VariationCard",
]

SCHEMA_VERSION = "1.1"


class ArrayInfo(Part):
    """The measured array."""

    id: str = Field(description="name of the array")
    rows: Annotated[int, Field(gt=0)] = Field(description="number of wordlines")
    cols: Annotated[int, Field(gt=0)] = Field(description="number of bitlines")
    cell: Literal["1T1R", "2T1R", "1S1R", "1R"] = Field(description="kind of cell")
    lot: str | None = Field(None, description="lot")
    wafer: str | None = Field(None, description="wafer")
    die: str | None = Field(None, description="die on the wafer")
    die_x: int | None = Field(None, description="column of the die on the wafer")
    die_y: int | None = Field(None, description="row of the die on the wafer")
    tile_row: int | None = Field(None, description="row of the tile within the die")
    tile_col: int | None = Field(None, description="column of the tile within the die")
    technology: str | None = Field(None, description="name of the technology")
    instrument: str | None = Field(None, description="instrument or tester")
    synthetic: bool = Field(False, description="whether the measurement was simulated")


class Alternative(Part):
    """One distribution family that was fitted to a level."""

    family: str = Field(description="family of distributions")
    aic: Finite = Field(description="Akaike information criterion")
    bic: Finite = Field(description="Bayesian information criterion")
    heldout_log_likelihood: Finite | None = Field(
        None, description="mean per observation over cells held out of the fit [ln 1/S]"
    )
    p_value: Finite | None = Field(None, description="p-value of the goodness-of-fit test")
    converged: bool = Field(True, description="whether the fit converged")


class Distribution(Part):
    """Distribution of accepted conductance at one level, in the parametrisation of its family."""

    family: str = Field(description="family of distributions, one of `FAMILIES`")
    parameters: dict[str, Quantity] = Field(description="parameters of the family, by name")
    correlation: Square | None = Field(
        None,
        description="correlation of the parameters' errors, in alphabetical order of their names",
    )
    alternatives: list[Alternative] = Field([], description="other families that were fitted")


class LevelCard(Part):
    """One conductance level, over the population of cells and cycles."""

    index: Count = Field(description="number of the level, from 0 at the lowest conductance")
    name: str = Field(description="name of the level")
    target: Quantity | None = Field(None, description="conductance that the tester aimed at [S]")
    lower: Quantity | None = Field(None, description="lower limit of the verify window")
    upper: Quantity | None = Field(None, description="upper limit of the verify window")
    n_cells: Count = Field(description="cells with an accepted reading")
    n_observations: Count = Field(description="accepted readings")
    mean: Quantity | None = Field(None, description="mean of accepted readings [S]")
    std: Quantity | None = Field(
        None, description="standard deviation of accepted readings, over cells and cycles [S]"
    )
    distribution: Distribution | None = Field(None, description="distribution of accepted readings")
    upper_threshold: Quantity | None = Field(
        None, description="optimal read threshold to the next level"
    )
    overlap: Quantity | None = Field(
        None, description="share read on the wrong side of upper_threshold, mean of both levels"
    )


class SpatialCard(Part):
    """Spatial variation of the conductance of a level over the array."""

    row_trend: Quantity | None = Field(None, description="S per cell pitch, towards higher rows")
    col_trend: Quantity | None = Field(None, description="S per cell pitch, towards higher columns")
    correlation_length: Quantity | None = Field(
        None, description="distance at which the smooth field's correlation is 1/e [cell pitches]"
    )
    share: Quantity | None = Field(
        None, description="share of the d2d variance due to the smooth field"
    )
    p_value: Finite | None = Field(None, description="p-value of the test against no smooth field")


class LineOffsets(Part):
    """Offsets that all cells of a row, of a column, or of a folded part of one have in common."""

    axis: Literal["row", "col"] = Field(description="whose cells share an offset")
    period: Annotated[int, Field(gt=0)] = Field(
        1,
        description="1: whole lines; p: cells of a line whose other address is equal modulo p",
    )
    std: Quantity = Field(description="standard deviation over lines, included in d2d [S]")
    p_value: Finite | None = Field(None, description="p-value of the test against no such offsets")


class VariationCard(Part):
    """Variance components at one level, as standard deviations in siemens."""

    level: Count = Field(description="number of the level")
    domain: Literal["linear", "log"] = Field(
        description="scale on which the components were estimated before conversion to siemens"
    )
    d2d: Quantity | None = Field(
        None, description="device to device: standard deviation of the means of cells [S]"
    )
    c2c: Quantity | None = Field(
        None, description="cycle to cycle: standard deviation over programmings of a cell [S]"
    )
    read: Quantity | None = Field(
        None, description="standard deviation over reads of one state [S]"
    )
    c2c_includes_read: bool = Field(
        True, description="whether c2c includes the read noise, as it does without /reads"
    )
    spatial: SpatialCard | None = Field(
        None, description="the part of d2d that varies over the array"
    )
    lines: list[LineOffsets] | None = Field(
        None, description="line offsets that were found; absent where there are none"
    )


class OffLevelNoise(Part):
    """Read noise of cells that failed or are stuck: std(G)/G as in `ReadNoiseCard`."""

    n_cells: Count = Field(description="cells that were read")
    coefficient: Quantity = Field(
        description="relative standard deviation at the reference conductance"
    )
    exponent: Quantity | None = Field(None, description="power of the conductance")
    reference_conductance: Quantity = Field(description="conductance of the coefficient [S]")


class ReadNoiseCard(Part):
    """std(G)/G = coefficient·(G/reference)^exponent between reads of one state."""

    coefficient: Quantity | None = Field(
        None, description="relative standard deviation at the reference conductance"
    )
    exponent: Quantity | None = Field(None, description="power of the conductance")
    reference_conductance: Quantity | None = Field(
        None, description="conductance of the coefficient [S]"
    )
    spectral_exponent: Quantity | None = Field(None, description="S(f) ∝ 1/f^exponent")
    spectral_floor: Finite | None = Field(
        None, description="white share of the power at the lowest measured frequency"
    )
    telegraph_share: Quantity | None = Field(None, description="share of two-state (RTN) cells")
    telegraph_amplitude: Quantity | None = Field(
        None, description="distance of the two states relative to conductance, median of RTN cells"
    )
    telegraph: TelegraphCard | None = Field(
        None, description="dwell times and amplitude of two-state cells"
    )
    off_level: OffLevelNoise | None = Field(
        None, description="of cells that are not at the level they were programmed to"
    )
    disturb: DisturbCard | None = Field(None, description="change with the number of reads")


class DriftCard(Part):
    """Change of a state over time at one level.

    From programming to the reference time t0: first_step ± first_spread. Later, with x = ln(t/t0):
    a mean change of drift·x and an added variance of growth²·x.
    """

    level: Count = Field(description="number of the level")
    first_step: Quantity | None = Field(
        None, description="mean change from the reading at programming to the reference time [S]"
    )
    first_spread: Quantity | None = Field(
        None,
        description="standard deviation of first_step over cells, with the noise of two reads [S]",
    )
    drift: Quantity | None = Field(None, description="mean change per unit of ln t [S]")
    growth: Quantity | None = Field(None, description="added standard deviation per √ln t [S]")
    n_cells: Count = Field(0, description="cells read at least twice")


class RetentionCard(Part):
    """Change of programmed states over time."""

    temperature: Quantity | None = Field(None, description="temperature of the measurement [K]")
    reference_time: Quantity = Field(description="t0, the first reading after programming [s]")
    longest_time: Quantity = Field(description="last reading after programming [s]")
    collapsed: Quantity | None = Field(
        None, description="share of conducting cells that lost more than 80 % of their conductance"
    )
    levels: list[DriftCard] = Field([], description="change of each level")


class Domain(Part):
    """Range of conditions in which the card is valid."""

    read_voltage: Quantity | None = Field(None, description="voltage of the readings [V]")
    temperature: Quantity | None = Field(None, description="of the measurement [K]")
    longest_time: Quantity | None = Field(None, description="since programming [s]")
    conductance: tuple[Quantity, Quantity] | None = Field(None, description="lowest, highest level")
    rows: Count = Field(description="rows of the largest array measured")
    cols: Count = Field(description="columns of the largest array measured")


class ModelCard(AtConditions):
    """One model card, schema 1.0."""

    model_config = ConfigDict(
        json_schema_extra={
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"urn:rramfit:card:{SCHEMA_VERSION}",
        }
    )

    schema_version: Annotated[str, Field(pattern=r"^\d+\.\d+$")] = Field(
        SCHEMA_VERSION, description="version of this schema"
    )
    name: Annotated[str, Field(min_length=1)] = Field(description="name of the card")
    revision: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")] = Field(
        "1.0.0", description="version of this card, raised by whoever changes it"
    )
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] = Field(
        description="SHA-256 of the card in canonical form without this field"
    )
    array: ArrayInfo = Field(description="the measured array")
    levels: list[LevelCard] = Field([], description="levels in rising order of conductance")
    variation: list[VariationCard] = Field([], description="variance components of each level")
    variation_correlation: Square | None = Field(
        None, description="correlation of the offsets of a cell between levels"
    )
    line_correlation: Square | None = Field(
        None, description="correlation of line offsets between levels"
    )
    failure: list[FailureCard] = Field([], description="programming failure of each level")
    stuck: StuckCard | None = Field(None, description="cells that do not respond to programming")
    bits_per_cell: Quantity | None = Field(
        None, description="information that a cell stores with the optimal thresholds [bit]"
    )
    tails: TailsCard | None = Field(
        None, description="error rates between levels, tails and tolerance intervals"
    )
    line: LineCard | None = Field(
        None, description="resistance of wires, drivers and sense amplifiers"
    )
    iv: IVCard | None = Field(None, description="nonlinearity of the current")
    read_noise: ReadNoiseCard | None = Field(None, description="noise between reads of one state")
    retention: RetentionCard | None = Field(None, description="change of the states over time")
    temperature: TemperatureCard | None = Field(
        None, description="effect of temperature, from several bakes"
    )
    endurance: EnduranceCard | None = Field(
        None, description="change of the states over SET and RESET cycles"
    )
    programming: list[ProgrammingCard] | None = Field(
        None, description="pulses that programming takes, by level"
    )
    pulses: PulseCard | None = Field(
        None, description="potentiation and depression by equal pulses"
    )
    gauge: GaugeCard | None = Field(
        None, description="repeatability and reproducibility of the measurement"
    )
    readout: ReadoutCard | None = Field(None, description="the column read-out chain")
    domain: Domain = Field(description="conditions in which the card is valid")
    quality: Quality = Field(description="verdicts and findings")
    provenance: Provenance = Field(description="what the card was made from, and by what")
    cells: CellsFile | None = Field(
        None, description="the sidecar with the cell maps of this array"
    )
    citation: CitationCard | None = Field(
        None, description="authors, licence and how to cite the card"
    )

    def save(self, path: Path | str) -> None:
        """Write the card atomically; see `rramfit.card.save_card`."""
        save_card(self, Path(path))

    def to_frame(self) -> pd.DataFrame:
        """Return one row per parameter, by key path: value, stderr, low, high, unit."""
        return quantities_frame(dict(quantities(self)))

    def _repr_html_(self) -> str:
        title = html.escape(f"{self.name} {self.revision}: {self.quality.summary}")
        return f"<p><b>{title}</b></p>{quantities_html(dict(quantities(self)))}"
