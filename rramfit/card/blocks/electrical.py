"""Electrical blocks of the card: wires, I-V curves and switching, the read-out chain."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rramfit.card.part import Count, Part
from rramfit.card.quantity import Finite, Quantity, Square

__all__ = ["BranchCard", "IVCard", "LineCard", "ReadoutCard", "SwitchingCard"]


class LineCard(Part):
    """Line resistance per segment between neighbouring cells, and driver and sense resistance."""

    wordline_resistance: Quantity | None = Field(
        None, description="of a segment between neighbouring cells [ohm]"
    )
    bitline_resistance: Quantity | None = Field(
        None, description="of a segment between neighbouring cells [ohm]"
    )
    driver_resistance: Quantity | None = Field(
        None, description="between a driver and the first cell of its row [ohm]"
    )
    sense_resistance: Quantity | None = Field(
        None, description="between the last cell of a column and its sense amplifier [ohm]"
    )
    combinations: dict[str, Quantity] = Field(
        {}, description="identified sums of resistances that are not identified individually"
    )
    gain: Quantity | None = Field(
        None, description="common gain of measured currents relative to the cell reads"
    )
    correlation: Square | None = Field(
        None, description="correlation of the resistances' errors, in the order of the fields"
    )
    inactive_rows: Literal["grounded", "floating", "gated"] = Field(
        description="state of rows without input"
    )


class SwitchingCard(Part):
    """Voltage at which cells switch in a sweep: a normal distribution over sweeps."""

    transition: Literal["SET", "RESET"] = Field(
        description="from high to low resistance (SET) or back"
    )
    voltage: Quantity = Field(description="mean, with the sign of the sweep [V]")
    spread: Quantity = Field(description="standard deviation over sweeps [V]")
    sweeps: int = Field(ge=1, description="sweeps from the right state, at this polarity")
    switched: int = Field(ge=1, description="of these, sweeps in which the cell switched")


class BranchCard(Part):
    """I(V) of the cells in one state of a switching sweep."""

    state: Literal["LRS", "HRS"] = Field(description="high or low resistance")
    conductance: Quantity = Field(description="geometric mean of G0 over cells [S]")
    nonlinearity: Quantity = Field(description="b at this conductance [1/V]")
    n_cells: int = Field(ge=1, description="cells in this state")


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


class ReadoutCard(Part):
    """The column read-out chain: code = offset + gain·I + third_order·(I/full_scale)³ + rest.

    Gain and offset are those at zero current.
    """

    bits: Annotated[int, Field(gt=0)] = Field(description="bits of the converter")
    full_scale: Quantity = Field(description="current of the highest code [A]")
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
    channel_gain: list[Finite] = Field([], description="gain of each channel [LSB/A]")
    channel_offset: list[Finite] = Field([], description="offset of each channel [LSB]")
    channel_inl: list[Finite] = Field(
        [], description="largest distance from the best-fit line, by channel [LSB]"
    )
