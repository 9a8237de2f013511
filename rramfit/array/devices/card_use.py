"""What becomes of each quantity of a card in drawn chips.

Every quantity of the card's schema is one of three:

    drawn      it changes the chips that are drawn, or the wires and the read-out around them
    described  it describes the measurement, or follows from quantities that are drawn
    left out   it would change real chips, and drawn ones do not have it: `left_out` names it

A path has no indices: `levels.mean` is the mean of every level. A test goes through the schema, so
that a new quantity has to be put under one of the three.
"""

from __future__ import annotations

from collections.abc import Callable

from rramfit.card.schema import ModelCard
from rramfit.units import format_quantity

__all__ = ["DESCRIBED", "DRAWN", "LEFT_OUT", "left_out"]

DRAWN = frozenset(
    {
        "levels.target",
        "levels.lower",
        "levels.upper",
        "levels.mean",
        "levels.std",
        "levels.distribution.parameters",
        "variation.d2d",
        "variation.c2c",
        "variation.read",
        "variation.spatial.row_trend",
        "variation.spatial.col_trend",
        "variation.spatial.correlation_length",
        "variation.spatial.share",
        "variation.lines.std",
        "variation_correlation",
        "line_correlation",
        "failure.probability",
        "failure.hard",
        "failure.soft",
        "failure.conductance",
        "stuck.low",
        "stuck.high",
        "stuck.middle",
        "stuck.low_conductance",
        "stuck.high_conductance",
        "stuck.middle_conductance",
        "stuck.low_std",
        "stuck.high_std",
        "stuck.middle_std",
        "stuck.low_moving",
        "stuck.high_moving",
        "stuck.middle_moving",
        "stuck.low_motion",
        "stuck.high_motion",
        "stuck.middle_motion",
        "stuck.dead_rows",
        "stuck.dead_cols",
        "line.wordline_resistance",
        "line.bitline_resistance",
        "line.driver_resistance",
        "line.sense_resistance",
        "iv.nonlinearity",
        "iv.spread",
        "iv.dependence",
        "iv.slope",
        "iv.reference_conductance",
        "read_noise.coefficient",
        "read_noise.exponent",
        "read_noise.reference_conductance",
        "read_noise.off_level.coefficient",
        "read_noise.off_level.exponent",
        "read_noise.off_level.reference_conductance",
        "retention.reference_time",
        "retention.levels.first_step",
        "retention.levels.first_spread",
        "retention.levels.drift",
        "retention.levels.growth",
        "readout.full_scale",
        "readout.gain",
        "readout.offset",
        "readout.inl",
        "readout.third_order",
        "readout.noise",
        "readout.gain_spread",
        "readout.offset_spread",
        "readout.channel_gain",
        "readout.channel_offset",
        "readout.channel_inl",
        "domain.read_voltage",
    }
)

DESCRIBED = frozenset(
    {
        "levels.distribution.alternatives.aic",
        "levels.distribution.alternatives.bic",
        "levels.distribution.alternatives.heldout_log_likelihood",
        "levels.distribution.alternatives.p_value",
        "levels.distribution.correlation",
        "levels.upper_threshold",
        "levels.overlap",
        "variation.spatial.p_value",
        "variation.lines.p_value",
        "bits_per_cell",
        "line.combinations",
        "line.gain",
        "line.correlation",
        "iv.offset",
        "iv.noise",
        "iv.switching.voltage",
        "iv.switching.spread",
        "iv.branches.conductance",
        "retention.longest_time",
        "endurance.window",
        "readout.inl_endpoint",
        "readout.clipped",
        "domain.temperature",
        "domain.longest_time",
        "domain.conductance",
    }
)

LEFT_OUT: dict[str, Callable[[ModelCard], str | None]] = {
    "read_noise.spectral_exponent": lambda c: (
        f"read noise is drawn white: its spectral exponent "
        f"{c.read_noise.spectral_exponent.value:.2g} is left out"
        if c.read_noise and c.read_noise.spectral_exponent
        else None
    ),
    "iv.branches.nonlinearity": lambda c: (
        "cells are drawn without nonlinearity: that of the LRS and HRS branches is left out"
        if c.iv and c.iv.branches and c.iv.nonlinearity is None
        else None
    ),
    "read_noise.spectral_floor": lambda _: None,  # part of the spectrum that is named above
    "read_noise.telegraph_share": lambda c: (
        f"random telegraph noise is drawn as normal noise: "
        f"{100 * c.read_noise.telegraph_share.value:.2g} % of cells have two states"
        if c.read_noise and c.read_noise.telegraph_share and c.read_noise.telegraph_share.value > 0
        else None
    ),
    "read_noise.telegraph_amplitude": lambda _: None,  # of the cells that are named above
    "retention.collapsed": lambda c: (
        f"no cell collapses with time: {100 * c.retention.collapsed.value:.2g} % did"
        if c.retention and c.retention.collapsed and c.retention.collapsed.value > 0
        else None
    ),
    "retention.temperature": lambda c: (
        f"cells age as at {format_quantity(c.retention.temperature.value, 'K')}, whatever the "
        "temperature of use"
        if c.retention and c.retention.temperature
        else None
    ),
    "endurance.states.mean": lambda c: (
        "chips are drawn before any wear: the change of states with SET/RESET cycles is left out"
        if c.endurance
        else None
    ),
    "endurance.states.std": lambda _: None,
    "endurance.states.drift": lambda _: None,
    "endurance.states.growth": lambda _: None,
    "endurance.window_loss": lambda _: None,
    "endurance.failed": lambda _: None,
}


def left_out(card: ModelCard) -> list[str]:
    """Return one sentence for everything in a card that drawn chips do not have."""
    found = [sentence(card) for sentence in LEFT_OUT.values()]
    if card.stuck is not None and card.stuck.share > 0:
        found.append("stuck cells are placed independently of one another, not in clusters")
    return [text for text in found if text]
