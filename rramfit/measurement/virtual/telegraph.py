"""States of telegraph cells in `/reads`: two-state Markov chains with stated dwell times.

A cell leaves its low state at rate 1/τ_low and its high state at 1/τ_high. Over cells both times
are lognormal, independent, and of the same median and spread, so that the mean of a level is not
moved. Between reads at t and t + Δ,

    P(high at t + Δ) = p + (up − p)·exp(−Δ·(1/τ_low + 1/τ_high)),   p = τ_high/(τ_low + τ_high).

In other groups, which are read once for each state, both states are equally likely.
"""

from __future__ import annotations

import math

import numpy as np

from rramfit.measurement.file.record import Bools, Floats
from rramfit.measurement.virtual import mess as kinds
from rramfit.measurement.virtual.tester import Plan
from rramfit.streams import stream

__all__ = ["telegraph_states", "telegraph_truth"]


def telegraph_states(plan: Plan, time: Floats, shape: tuple[int, int], *, seed: int) -> Bools:
    """Return whether each cell is in its high state at each read, (read, row, col)."""
    rng = stream(seed, "mess/telegraph/dwell")
    z = rng.standard_normal((2, *shape))
    low, high = plan.telegraph_dwell * np.exp(plan.telegraph_spread * z)
    share = high / (low + high)
    up = rng.random(shape) < share
    out = np.empty((len(time), *shape), dtype=np.bool_)
    for i in range(len(time)):
        if i:
            kept = np.exp(-(time[i] - time[i - 1]) * (1 / low + 1 / high))
            up = rng.random(shape) < share + (up - share) * kept
        out[i] = up
    return out


def telegraph_truth(plan: Plan) -> dict[str, float]:
    """Return dwell times and amplitude of telegraph cells, by card path."""
    low, high = kinds.TELEGRAPH
    mean_log = (high * math.log(high) - low * math.log(low)) / (high - low) - 1
    out = {"amplitude": math.exp(mean_log), "exponent": 0.0}
    for state in ("low", "high"):
        out |= {
            f"dwell_{state}": plan.telegraph_dwell,
            f"dwell_{state}_spread": plan.telegraph_spread,
        }
    return {f"read_noise.telegraph.{name}": value for name, value in out.items()}
