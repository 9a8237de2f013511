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

from rramfit.card.canonical import save_card
from rramfit.card.failure_parts import FailureCard, StuckCard
from rramfit.card.part import Count, Part
from rramfit.card.quality import CellsFile, Provenance, Quality
from rramfit.card.quantity import Finite, Quantity, Square, quantities, quantities_frame

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

    id: str
    rows: Annotated[int, Field(gt=0)]
    cols: Annotated[int, Field(gt=0)]
    cell: Literal["1T1R", "2T1R", "1S1R", "1R"]
    lot: str | None = None
    wafer: str | None = None
    die: str | None = None
    technology: str | None = None
    instrument: str | None = None
    synthetic: bool = False


class Alternative(Part):
    """One distribution family that was fitted to a level."""

    family: str
    aic: Finite
    bic: Finite
    heldout_log_likelihood: Finite | None = Field(
        None, description="mean per observation over cells held out of the fit [ln 1/S]"
    )
    p_value: Finite | None = Field(None, description="p-value of the goodness-of-fit test")
    converged: bool = True


class Distribution(Part):
    """Distribution of accepted conductance at one level, in the parametrisation of its family."""

    family: str
    parameters: dict[str, Quantity]
    correlation: Square | None = Field(
        None,
        description="correlation of the parameters' errors, in alphabetical order of their names",
    )
    alternatives: list[Alternative] = []


class LevelCard(Part):
    """One conductance level, over the population of cells and cycles."""

    index: Count
    name: str
    target: Quantity | None = None
    lower: Quantity | None = Field(None, description="lower limit of the verify window")
    upper: Quantity | None = Field(None, description="upper limit of the verify window")
    n_cells: Count
    n_observations: Count
    mean: Quantity | None = None
    std: Quantity | None = None
    distribution: Distribution | None = None
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

    level: Count
    domain: Literal["linear", "log"] = Field(
        description="scale on which the components were estimated before conversion to siemens"
    )
    d2d: Quantity | None = None
    c2c: Quantity | None = None
    read: Quantity | None = None
    c2c_includes_read: bool = Field(
        True, description="whether c2c includes the read noise, as it does without /reads"
    )
    spatial: SpatialCard | None = None
    lines: list[LineOffsets] | None = Field(
        None, description="line offsets that were found; absent where there are none"
    )


class LineCard(Part):
    """Line resistance per segment between neighbouring cells, and driver and sense resistance."""

    wordline_resistance: Quantity | None = None
    bitline_resistance: Quantity | None = None
    driver_resistance: Quantity | None = None
    sense_resistance: Quantity | None = None
    combinations: dict[str, Quantity] = Field(
        {}, description="identified sums of resistances that are not identified individually"
    )
    gain: Quantity | None = Field(
        None, description="common gain of measured currents relative to the cell reads"
    )
    correlation: Square | None = None
    inactive_rows: Literal["grounded", "floating", "gated"]


class SwitchingCard(Part):
    """Voltage at which cells switch in a sweep: a normal distribution over sweeps."""

    transition: Literal["SET", "RESET"]
    voltage: Quantity = Field(description="mean, with the sign of the sweep [V]")
    spread: Quantity = Field(description="standard deviation over sweeps [V]")
    sweeps: int = Field(ge=1, description="sweeps from the right state, at this polarity")
    switched: int = Field(ge=1, description="of these, sweeps in which the cell switched")


class BranchCard(Part):
    """I(V) of the cells in one state of a switching sweep."""

    state: Literal["LRS", "HRS"]
    conductance: Quantity = Field(description="geometric mean of G0 over cells [S]")
    nonlinearity: Quantity = Field(description="b at this conductance [1/V]")
    n_cells: int = Field(ge=1)


class IVCard(Part):
    """I(V) = offset + G0·sinh(bV)/b.

    Over cells, b is normally distributed about `nonlinearity` or about a line through it; negative
    b counts as 0. The line is linear in ln G0 with slope `dependence`. If `slope` is present, the
    line is linear in G0 instead, and `dependence` is its tangent at the reference.
    """

    nonlinearity: Quantity | None = Field(None, description="b, median over cells [1/V]")
    spread: Quantity | None = Field(
        None, description="standard deviation of b over cells of equal G0 [1/V]"
    )
    dependence: Quantity | None = Field(None, description="slope of b versus ln G0 [1/V]")
    slope: Quantity | None = Field(None, description="slope of b versus G0 [1/(V·S)]")
    reference_conductance: Quantity | None = Field(
        None, description="G0 to which `nonlinearity` applies, if b depends on G0 [S]"
    )
    offset: Quantity | None = Field(None, description="instrument current at 0 V [A]")
    noise: Quantity | None = Field(None, description="standard deviation of one current [A]")
    switching: list[SwitchingCard] | None = Field(
        None, description="switching voltages, where the sweeps go through SET or RESET"
    )
    branches: list[BranchCard] | None = Field(
        None, description="both states of such sweeps, each fitted alone"
    )


class OffLevelNoise(Part):
    """Read noise of cells that failed or are stuck: std(G)/G as in `ReadNoiseCard`."""

    n_cells: Count
    coefficient: Quantity
    exponent: Quantity | None = None
    reference_conductance: Quantity


class ReadNoiseCard(Part):
    """std(G)/G = coefficient·(G/reference)^exponent between reads of one state."""

    coefficient: Quantity | None = None
    exponent: Quantity | None = None
    reference_conductance: Quantity | None = None
    spectral_exponent: Quantity | None = Field(None, description="S(f) ∝ 1/f^exponent")
    spectral_floor: Finite | None = Field(
        None, description="white share of the power at the lowest measured frequency"
    )
    telegraph_share: Quantity | None = Field(None, description="share of two-state (RTN) cells")
    telegraph_amplitude: Quantity | None = Field(
        None, description="distance of the two states relative to conductance, median of RTN cells"
    )
    off_level: OffLevelNoise | None = Field(
        None, description="of cells that are not at the level they were programmed to"
    )


class DriftCard(Part):
    """Change of a state over time at one level.

    From programming to the reference time t0: first_step ± first_spread. Later, with x = ln(t/t0):
    a mean change of drift·x and an added variance of growth²·x.
    """

    level: Count
    first_step: Quantity | None = Field(
        None, description="mean change from the reading at programming to the reference time [S]"
    )
    first_spread: Quantity | None = Field(
        None,
        description="standard deviation of first_step over cells, with the noise of two reads [S]",
    )
    drift: Quantity | None = Field(None, description="mean change per unit of ln t [S]")
    growth: Quantity | None = Field(None, description="added standard deviation per √ln t [S]")
    n_cells: Count = 0


class RetentionCard(Part):
    """Change of programmed states over time."""

    temperature: Quantity | None = None
    reference_time: Quantity = Field(description="t0, the first reading after programming [s]")
    longest_time: Quantity
    collapsed: Quantity | None = Field(
        None, description="share of conducting cells that lost more than 80 % of their conductance"
    )
    levels: list[DriftCard] = []


class EnduranceState(Part):
    """One switched state versus x = log10 of the number of cycles (at least 1)."""

    state: Count
    mean: Quantity = Field(description="over cells, at the first point [S]")
    std: Quantity = Field(description="over cells, at the first point [S]")
    drift: Quantity | None = Field(None, description="change of the mean per decade [S]")
    growth: Quantity | None = Field(None, description="change of the std per decade [S]")


class EnduranceCard(Part):
    """Change of the states, and of the window between them, over SET/RESET cycles."""

    first_cycle: Count
    longest_cycle: Count
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


class ReadoutCard(Part):
    """The column read-out chain: code = offset + gain·I + third_order·(I/full_scale)³ + rest.

    Gain and offset are those at zero current.
    """

    bits: Annotated[int, Field(gt=0)]
    full_scale: Quantity
    gain: Quantity | None = Field(None, description="mean over channels [LSB/A]")
    offset: Quantity | None = Field(None, description="mean over channels [LSB]")
    inl: Quantity | None = Field(
        None, description="largest distance from the best-fit line, mean over channels [LSB]"
    )
    inl_endpoint: Quantity | None = Field(
        None, description="largest distance from the endpoint line, mean over channels [LSB]"
    )
    third_order: Quantity | None = Field(
        None, description="cubic part of the transfer at full scale, mean over channels [LSB]"
    )
    noise: Quantity | None = Field(None, description="standard deviation of one code [LSB]")
    gain_spread: Quantity | None = Field(None, description="relative, over channels")
    offset_spread: Quantity | None = Field(None, description="over channels [LSB]")
    clipped: Finite | None = Field(None, description="share of codes at a rail, left out")
    channels: list[Count] = Field([], description="channels to which the following lists apply")
    channel_gain: list[Finite] = []
    channel_offset: list[Finite] = []
    channel_inl: list[Finite] = []


class Domain(Part):
    """Range of conditions in which the card is valid."""

    read_voltage: Quantity | None = None
    temperature: Quantity | None = None
    longest_time: Quantity | None = Field(None, description="since programming [s]")
    conductance: tuple[Quantity, Quantity] | None = Field(None, description="lowest, highest level")
    rows: Count
    cols: Count


class ModelCard(Part):
    """One model card, schema 1.0."""

    model_config = ConfigDict(
        json_schema_extra={
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"urn:rramfit:card:{SCHEMA_VERSION}",
        }
    )

    schema_version: Annotated[str, Field(pattern=r"^\d+\.\d+$")] = SCHEMA_VERSION
    name: Annotated[str, Field(min_length=1)]
    revision: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")] = "1.0.0"
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    array: ArrayInfo
    levels: list[LevelCard] = []
    variation: list[VariationCard] = []
    variation_correlation: Square | None = None
    line_correlation: Square | None = Field(
        None, description="correlation of line offsets between levels"
    )
    failure: list[FailureCard] = []
    stuck: StuckCard | None = None
    bits_per_cell: Quantity | None = None
    line: LineCard | None = None
    iv: IVCard | None = None
    read_noise: ReadNoiseCard | None = None
    retention: RetentionCard | None = None
    endurance: EnduranceCard | None = None
    readout: ReadoutCard | None = None
    domain: Domain
    quality: Quality
    provenance: Provenance
    cells: CellsFile | None = None

    def save(self, path: Path | str) -> None:
        """Write the card atomically; see `rramfit.card.save_card`."""
        save_card(self, Path(path))

    def to_frame(self) -> pd.DataFrame:
        """Return one row per parameter, by key path: value, stderr, low, high, unit."""
        return quantities_frame(dict(quantities(self)))

    def _repr_html_(self) -> str:
        title = html.escape(f"{self.name} {self.revision}: {self.quality.summary}")
        return f"<p><b>{title}</b></p>{self.to_frame().to_html()}"
