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

from rramfit.card.conditions.change_at import has_law
from rramfit.card.schema import ModelCard
from rramfit.units import counted, format_quantity

__all__ = ["DESCRIBED", "DRAWN", "LEFT_OUT", "left_out"]

_LIVES = "endurance.life.surviving"

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
        "read_noise.disturb.levels.rate",
        "read_noise.off_level.coefficient",
        "read_noise.off_level.exponent",
        "read_noise.off_level.reference_conductance",
        "retention.reference_time",
        "retention.levels.first_step",
        "retention.levels.first_spread",
        "retention.levels.drift",
        "retention.levels.growth",
        "temperature.reference_temperature",
        "temperature.reference_time",
        "temperature.drift.by_factor",
        *(
            f"temperature.{law}.{name}"
            for law in ("drift", "growth")
            for name in ("exponent", "activation_energy", "assumed_energy")
        ),
        *(
            f"temperature.{law}.levels.{name}"
            for law in ("drift", "growth")
            for name in ("step", "step_rate", "rate", "activation_energy")
        ),
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
        "read_noise.telegraph.sample_time",
        "read_noise.telegraph.record_time",
        "retention.longest_time",
        "temperature.longest_time",
        "temperature.growth.by_factor",
        *(
            f"temperature.bakes.{name}"
            for name in (
                *("temperature", "reference_time", "longest_time", "factor", "lost_bound"),
                *("levels.drift", "levels.growth", "levels.factor"),
            )
        ),
        *(
            f"temperature.{law}.{name}"
            for law in ("drift", "growth")
            for name in (
                *("time_energy", "between_bakes", "p_common", "p_arrhenius", "p_time"),
                "levels.correlation",
            )
        ),
        "endurance.window",
        "endurance.life.failed_bound",
        "endurance.life.cycles_to_1pct_bound",
        "endurance.life.families.log_likelihood",
        "endurance.life.families.p_value",
        "programming.lower",
        "programming.upper",
        "programming.inside",
        "programming.pulses",
        "programming.failure",
        "programming.families.parameters",
        "programming.families.correlation",
        "programming.families.aic",
        "programming.families.p_value",
        "programming.budget_1pct",
        "programming.budgets.failure",
        "programming.residual",
        "programming.residual_trend",
        "programming.energy",
        "programming.energy_per_pulse",
        "programming.windows.window",
        "programming.windows.accepted",
        "programming.windows.pulses",
        "programming.windows.failure",
        "programming.windows.energy",
        *(
            f"pulses.{name}"
            for name in (
                *("responding", "lowest", "highest", "dynamic_range", "levels", "asymmetry"),
                *("branches.forms.heldout_error", "branches.bound", "branches.rate"),
                *("branches.scatter", "branches.step_noise", "branches.knots"),
            )
        ),
        *(
            f"pulses.branches.{name}{spread}"
            for name in ("start", "end", "step", "nonlinearity")
            for spread in ("", "_d2d", "_c2c")
        ),
        "tails.bit_error_rate",
        *(
            f"tails.{part}.{name}"
            for part, names in (
                ("capability", ("beyond", "pp", "ppk")),
                ("codes", ("target",)),
                ("error_rates", ("counted", "extreme", "fitted", "threshold", "with_failures")),
                ("levels", ("effective", "effective_count", "quantiles", "threshold")),
                ("levels.tried", ("mean_excess", "p_value", "shape", "shape_stderr", "threshold")),
                ("tolerance", ("cells", "confidence", "coverage", "lower", "upper")),
            )
            for name in names
        ),
        "gauge.levels.accuracy",
        "gauge.levels.cells",
        "gauge.levels.combined",
        "gauge.levels.gauge",
        "gauge.levels.interaction",
        "gauge.levels.mean",
        "gauge.levels.p_value",
        "gauge.levels.repeatability",
        "gauge.levels.reproducibility",
        "gauge.levels.session",
        "gauge.levels.share",
        "readout.inl_endpoint",
        "readout.clipped",
        "domain.temperature",
        "domain.longest_time",
        "domain.conductance",
    }
)


def _dwell(card: ModelCard) -> str:
    """Return how long two-state cells stay in a state, as the end of a sentence."""
    t = card.read_noise.telegraph if card.read_noise else None
    low, high = (t.dwell_low, t.dwell_high) if t else (None, None)
    if low is None or high is None:
        return ""
    times = " and ".join(format_quantity(q.value, "s") for q in (low, high))
    return f", where they stay for {times} (low, high)"


LEFT_OUT: dict[str, Callable[[ModelCard], str | None]] = {
    "tails.levels.shape": lambda c: (
        "levels are drawn from their families: "
        f"{counted(len(heavy), 'heavier tail')} of the readings left out"
        if c.tails and (heavy := [t for t in c.tails.levels.values() if t.agreement == "heavier"])
        else None
    ),
    "tails.levels.scale": lambda _: None,  # of the tails that are named above
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
    "read_noise.disturb.levels.left": lambda c: (
        f"no cell leaves its level by reads: {100 * most:.2g} % of a level's cells did within "
        f"{c.read_noise.disturb.reads} reads"
        if c.read_noise
        and c.read_noise.disturb
        and (most := max((x.left.value for x in c.read_noise.disturb.levels), default=0.0)) > 0
        else None
    ),
    "read_noise.spectral_floor": lambda _: None,  # part of the spectrum that is named above
    "read_noise.telegraph_share": lambda c: (
        f"random telegraph noise is drawn as normal noise: "
        f"{100 * c.read_noise.telegraph_share.value:.2g} % of cells have two states{_dwell(c)}"
        if c.read_noise and c.read_noise.telegraph_share and c.read_noise.telegraph_share.value > 0
        else None
    ),
    **dict.fromkeys(
        (
            "read_noise.telegraph_amplitude",
            *(
                f"read_noise.telegraph.{name}"
                for name in (
                    *("dwell_low", "dwell_low_spread", "dwell_high", "dwell_high_spread"),
                    *("amplitude", "exponent", "reference_conductance"),
                )
            ),
        ),
        lambda _: None,  # of the cells that are named above
    ),
    "retention.collapsed": lambda c: (
        f"no cell collapses with time: {100 * c.retention.collapsed.value:.2g} % did"
        if c.retention and c.retention.collapsed and c.retention.collapsed.value > 0
        else None
    ),
    "retention.temperature": lambda c: (
        f"cells age as at {format_quantity(c.retention.temperature.value, 'K')}, whatever the "
        "temperature of use"
        if c.retention and c.retention.temperature and not has_law(c)
        else None
    ),
    "endurance.states.mean": lambda c: (
        "the states of drawn chips do not change with SET/RESET cycles as those of /endurance do"
        if c.endurance
        else None
    ),
    "endurance.states.std": lambda _: None,
    "endurance.states.drift": lambda _: None,
    "endurance.states.growth": lambda _: None,
    "endurance.window_loss": lambda _: None,
    "endurance.failed": lambda _: None,
    _LIVES: lambda c: (
        "no cell wears out, because no number of cycles is given: "
        f"{100 - 100 * c.endurance.life.surviving.value:.2g} % failed within "
        f"{c.endurance.longest_cycle} cycles"
        if c.endurance and c.endurance.life and c.endurance.life.surviving.value < 1
        else None
    ),
    **dict.fromkeys(
        (
            "endurance.life.cycles_to_1pct",
            "endurance.life.families.cycles_to_1pct",
            "endurance.life.families.parameters",
            "endurance.life.modes.incidence",
            "endurance.life.hazard.rate",
            "endurance.life.before_failure.shift",
            "endurance.life.early.share",
            "endurance.life.early.scale",
            "endurance.life.early.wear_out_shape",
            "endurance.life.early.wear_out_scale",
        ),
        lambda _: None,  # of the lives that are named above
    ),
}


def left_out(card: ModelCard, temperature: float | None = None, cycles: int = 0) -> list[str]:
    """Return one sentence for everything in a card that drawn chips do not have.

    Parameters
    ----------
    card : ModelCard
    temperature : float, optional
        [K] that chips are drawn at; by default that of the (first) bake.
    cycles : int
        SET/RESET cycles that cells have had when chips are drawn.
    """
    drawn = {_LIVES} if cycles > 0 else set()
    found = [sentence(card) for path, sentence in LEFT_OUT.items() if path not in drawn]
    if temperature is None and card.temperature is not None and has_law(card):
        at = format_quantity(card.temperature.reference_temperature.value, "K")
        found.append(f"cells age as at {at}, because no temperature of use is given")
    if card.stuck is not None and card.stuck.share > 0:
        found.append("stuck cells are placed independently of one another, not in clusters")
    return [text for text in found if text]
