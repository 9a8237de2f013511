"""Switching of single cells in a virtual measurement: pulse trains, write attempts, I-V loops.

A card has no model of switching. These groups are drawn from fixed, stated parameters between the
lowest and the highest level of the card; `switching_truth` records them.

    pulses     G(n) = G0 + (G1 − G0)·(1 − e^(−n/A))/(1 − e^(−N/A)) up, the mirror image down
    attempts   each pulse moves ln G by a random step towards the window, until inside or given up
    I-V loop   0 → V+ → 0 → V− → 0, with SET and RESET at normally distributed voltages
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from rramfit.measurement.file.record import Attempts, Floats, Integers, IVSweeps, Levels, Pulses
from rramfit.measurement.virtual.tester import Plan
from rramfit.streams import stream

__all__ = ["draw_attempts", "draw_loops", "draw_pulses", "switching_truth"]

NONLINEARITY = (0.35, 0.25)  # A/N of potentiation and of depression
CELL_SPREAD, CYCLE_SPREAD = 0.08, 0.03  # relative, of the range of a cell and of one cycle
PULSE_NOISE = 0.01  # of the range, each read
AMPLITUDE, WIDTH = 1.2, 1e-7  # [V], [s] of every pulse
STEP, STEP_SPREAD = 0.6, 0.35  # of ln G: mean and standard deviation of one pulse
HALF_WINDOW = 0.1  # relative, where a level has no verify window
SET_VOLTAGE, RESET_VOLTAGE = (0.9, 0.07), (-0.8, 0.06)  # [V] mean and standard deviation
LOOP_NONLINEARITY = 1.4  # b [1/V]
LOOP_NOISE = 2e-8  # [A]


def switching_truth(
    groups: Collection[str], plan: Plan, levels: Levels
) -> dict[str, float | list[float]]:
    """Return the true parameters of the groups of this module that are drawn."""
    low, high = float(levels.target[0]), float(levels.target[-1])
    out: dict[str, float | list[float]] = {}
    if "pulses" in groups:
        out |= {
            "pulses.lowest": low,
            "pulses.highest": high,
            "pulses.nonlinearity": list(NONLINEARITY),
            "pulses.cell_spread": CELL_SPREAD,
            "pulses.cycle_spread": CYCLE_SPREAD,
            "pulses.noise": PULSE_NOISE,
        }
    if "attempts" in groups:
        out |= {"attempts.step": STEP, "attempts.step_spread": STEP_SPREAD}
    if "retention" in groups and plan.bake_temperatures:
        out["retention.activation_energy"] = plan.bake_energy
    if "iv" in groups and plan.iv_loops:
        for i, (mean, spread) in enumerate((SET_VOLTAGE, RESET_VOLTAGE)):
            out[f"iv.switching[{i}].voltage"] = mean
            out[f"iv.switching[{i}].spread"] = spread
        for i, g in enumerate((high, low)):
            out[f"iv.branches[{i}].conductance"] = g
            out[f"iv.branches[{i}].nonlinearity"] = LOOP_NONLINEARITY
    return out


def _cells(count: int, shape: tuple[int, int], name: str, seed: int) -> tuple[Integers, Integers]:
    """Choose cells of the array at random; return their rows and columns."""
    size = shape[0] * shape[1]
    chosen = np.sort(stream(seed, f"{name}/cells").choice(size, min(count, size), replace=False))
    row, col = np.divmod(chosen, shape[1])
    return row, col


def draw_pulses(
    levels: Levels, shape: tuple[int, int], plan: Plan, *, read_voltage: float, seed: int
) -> Pulses:
    """Draw trains of equal pulses, first up and then down, for some cells."""
    row, col = _cells(plan.pulse_cells, shape, "pulses", seed)
    half = plan.pulse_count
    step = np.arange(1, half + 1)
    up, down = ((1 - np.exp(-step / (a * half))) / (1 - np.exp(-1 / a)) for a in NONLINEARITY)
    course = np.concatenate([[0.0], up, 1 - down])
    draw = stream(seed, "pulses/draw")
    size = (len(row), plan.pulse_cycles, 1)
    low, high = float(levels.target[0]), float(levels.target[-1])
    span = (high - low) * np.exp(draw.normal(0, CELL_SPREAD, (len(row), 1, 1)))
    span = span * np.exp(draw.normal(0, CYCLE_SPREAD, size))
    noise = (high - low) * PULSE_NOISE * draw.standard_normal((*size[:2], len(course)))
    polarity = np.concatenate([[0], np.full(half, 1), np.full(half, -1)])
    return Pulses(
        conductance=low + span * course + noise,
        polarity=polarity,
        row=row,
        col=col,
        voltage=np.where(polarity == 0, np.nan, polarity * AMPLITUDE),
        width=np.where(polarity == 0, np.nan, WIDTH),
        read_voltage=read_voltage,
    )


def draw_attempts(
    levels: Levels, shape: tuple[int, int], plan: Plan, *, read_voltage: float, seed: int
) -> Attempts:
    """Draw attempts to bring cells from one level into the window of the next."""
    row, col = _cells(plan.attempt_cells, shape, "attempts", seed)
    draw = stream(seed, "attempts/draw")
    count, budget = len(row) * plan.attempts, plan.attempt_pulses
    cell = np.arange(count) // plan.attempts
    level = draw.integers(0, len(levels), count)
    target = levels.target[level]
    lower = _edge(levels.lower, level, target * (1 - HALF_WINDOW))
    upper = _edge(levels.upper, level, target * (1 + HALF_WINDOW))
    g = levels.target[draw.integers(0, len(levels), count)] * np.exp(
        draw.normal(0, STEP_SPREAD, count)
    )
    initial = g.copy()
    after: Floats = np.full((count, budget), np.nan)
    polarity: Integers = np.zeros((count, budget), np.int64)
    for k in range(budget):
        need = np.where(g < lower, 1, np.where(g > upper, -1, 0))
        moved = np.maximum(draw.normal(STEP, STEP_SPREAD, count), 0.0)
        reach = np.abs(np.log(target / g))  # a controller that aims shortens the step
        g = g * np.exp(need * np.minimum(moved, reach * np.exp(draw.normal(0, 0.3, count))))
        after[:, k] = np.where(need != 0, g, np.nan)
        polarity[:, k] = need
    return Attempts(
        row=row[cell],
        col=col[cell],
        level=level,
        lower=lower,
        upper=upper,
        set_pulses=(polarity == 1).sum(axis=1),
        reset_pulses=(polarity == -1).sum(axis=1),
        success=(g >= lower) & (g <= upper),
        initial=initial,
        final=g,
        conductance=after,
        polarity=polarity,
        max_pulses=budget,
        read_voltage=read_voltage,
    )


def _edge(edge: Floats | None, level: Integers, default: Floats) -> Floats:
    return default if edge is None else edge[level]


def draw_loops(levels: Levels, shape: tuple[int, int], plan: Plan, *, seed: int) -> IVSweeps:
    """Draw I-V loops of some cells, each several times."""
    row, col = _cells(plan.iv_cells, shape, "iv/loops", seed)
    draw = stream(seed, "iv/loops/draw")
    count = len(row) * plan.iv_loops
    cell = np.arange(count) // plan.iv_loops
    up, down = (
        np.linspace(0, mean + np.sign(mean) * 6 * spread, plan.iv_points)
        for mean, spread in (SET_VOLTAGE, RESET_VOLTAGE)
    )
    voltage = np.concatenate([up, up[-2::-1], down[1:], down[-2::-1]])
    rising = np.repeat([1, -1, -1, 1], [len(up), len(up) - 1, len(down) - 1, len(down) - 1])
    v_set, v_reset = (draw.normal(*x, size=(count, 1)) for x in (SET_VOLTAGE, RESET_VOLTAGE))
    of_cell = np.exp(draw.normal(0, CELL_SPREAD, (len(row), 2)))[cell]
    low, high = (levels.target[k] * of_cell[:, k, None] for k in (0, -1))
    point = np.arange(len(voltage))
    set_at = np.argmax(voltage > v_set, axis=1)[:, None]
    reset_at = np.argmax(voltage < v_reset, axis=1)[:, None]
    on = (point >= set_at) & (point < reset_at)
    shape_of = np.sinh(LOOP_NONLINEARITY * voltage) / LOOP_NONLINEARITY
    noise = LOOP_NOISE * draw.standard_normal((count, len(voltage)))
    return IVSweeps(
        voltage=voltage,
        current=np.where(on, high, low) * shape_of + noise,
        row=row[cell],
        col=col[cell],
        repeat=np.arange(count) % plan.iv_loops,
        direction=rising,
    )
