"""Switching of single cells in a virtual measurement: pulse trains, write attempts, I-V loops.

A card has no model of switching. These groups are drawn from fixed, stated parameters between the
lowest and the highest level of the card; `switching_truth` records them.

    pulses     G(n) = G0 + (G1 − G0)·(1 − e^(−n/A))/(1 − e^(−N/A)) up, the mirror image down
    attempts   each pulse moves ln G by a random step towards the window, until inside or given up;
               with `Plan.attempt_success`, each pulse brings the cell into the window with a
               probability that is the same for all cells, or beta distributed over cells
    I-V loop   0 → V+ → 0 → V− → 0, with SET and RESET at normally distributed voltages
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from rramfit.card.blocks.pulse_counts import beta_shapes, mean_within, pulses_for, survival
from rramfit.measurement.file.record import Attempts, Floats, Integers, IVSweeps, Levels, Pulses
from rramfit.measurement.virtual.tester import Plan
from rramfit.streams import stream

__all__ = ["draw_attempts", "draw_loops", "draw_pulses", "switching_truth"]

NONLINEARITY = (0.35, 0.25)  # A/N of potentiation and of depression
CELL_SPREAD, CYCLE_SPREAD = 0.08, 0.03  # relative, of the range of a cell and of one cycle
PULSE_NOISE = 0.01  # of the range, each read
AMPLITUDE, WIDTH = 1.2, 1e-7  # [V], [s] of every pulse
STEP, STEP_SPREAD = 0.6, 0.35  # of ln G: mean and standard deviation of one pulse
SET_SHARE = 0.6  # of pulses that fail, where cells are below their window before
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
            **_branches_truth(plan, low, high),
        }
    if "attempts" in groups:
        out |= (
            {"attempts.step": STEP, "attempts.step_spread": STEP_SPREAD}
            if plan.attempt_success is None
            else _success_truth(plan, len(levels))
        )
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


def _branches_truth(plan: Plan, low: float, high: float) -> dict[str, float]:
    """Return what the card says of each polarity, from the first reading of a run to its last."""
    span = (high - low) * float(np.exp((CELL_SPREAD**2 + CYCLE_SPREAD**2) / 2))
    out: dict[str, float] = {"pulses.highest": low + span}
    for i, a in enumerate(NONLINEARITY):
        first = float(np.expm1(-1 / (a * plan.pulse_count)) / np.expm1(-1 / a))
        start, end = (first, 1.0) if i == 0 else (1 - first, 0.0)
        steps = plan.pulse_count - 1
        at = f"pulses.branches[{i}]"
        out[f"{at}.nonlinearity"] = steps / (a * plan.pulse_count)
        out[f"{at}.start"] = low + span * start
        out[f"{at}.end"] = low + span * end
        out[f"{at}.step"] = span * abs(end - start) / steps
        out[f"{at}.scatter"] = PULSE_NOISE * (high - low)
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
    if plan.attempt_success is not None:
        return _successes(levels, row, col, plan, read_voltage=read_voltage, seed=seed)
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


def _successes(
    levels: Levels,
    row: Integers,
    col: Integers,
    plan: Plan,
    *,
    read_voltage: float,
    seed: int,
) -> Attempts:
    """Draw attempts whose pulses succeed independently; accepted cells are uniform in the window.

    Before its last pulse, a cell is below its window or above it, at up to twice its distance.
    """
    draw = stream(seed, "attempts/success")
    count, budget = len(row) * plan.attempts, plan.attempt_pulses
    cell = np.arange(count) // plan.attempts
    level = draw.integers(0, len(levels), count)
    target = levels.target[level]
    lower = _edge(levels.lower, level, target * (1 - HALF_WINDOW))
    upper = _edge(levels.upper, level, target * (1 + HALF_WINDOW))
    p = np.full(len(row), plan.attempt_success)
    if plan.attempt_spread > 0:
        p = draw.beta(*beta_shapes(float(plan.attempt_success or 0), plan.attempt_spread), len(row))
    needed = draw.geometric(np.clip(p, 1e-9, 1.0)[cell])
    spent = np.minimum(needed, budget)
    step = np.arange(budget)
    away = draw.uniform(0.0, 1.0, (count, budget + 1)) * (upper - lower)[:, None]
    below = draw.random((count, budget + 1)) < SET_SHARE
    g = np.where(below, np.maximum(lower[:, None] - away, 0.1 * lower[:, None]), 0.0)
    g = np.where(below, g, upper[:, None] + away)
    inside = (step + 1 == needed[:, None]) & (needed <= budget)[:, None]
    landed = draw.uniform(lower, upper)
    after = np.where(inside, landed[:, None], g[:, 1:])
    polarity = np.where(step < spent[:, None], np.where(below[:, :-1], 1, -1), 0)
    pulse = polarity != 0
    return Attempts(
        row=row[cell],
        col=col[cell],
        level=level,
        lower=lower,
        upper=upper,
        set_pulses=(polarity == 1).sum(axis=1),
        reset_pulses=(polarity == -1).sum(axis=1),
        success=needed <= budget,
        initial=g[:, 0],
        final=np.take_along_axis(after, spent[:, None] - 1, axis=1)[:, 0],
        conductance=np.where(pulse, after, np.nan),
        polarity=polarity,
        voltage=np.where(pulse, polarity * AMPLITUDE, np.nan),
        width=np.where(pulse, WIDTH, np.nan),
        max_pulses=budget,
        read_voltage=read_voltage,
    )


def _success_truth(plan: Plan, levels: int) -> dict[str, float | list[float]]:
    """Return what `programming` of the card is for attempts with `Plan.attempt_success`."""
    mean, spread = float(plan.attempt_success or 0), plan.attempt_spread
    family = "beta-geometric" if spread > 0 else "geometric"
    parameters = {"p": mean} | ({"spread": spread} if spread > 0 else {})
    left = survival(family, parameters, np.arange(plan.attempt_pulses + 1.0), 1)
    one = pulses_for(0.01, family, parameters, 1)
    out: dict[str, float | list[float]] = {}
    for k in range(levels):
        at = f"programming[{k}]"
        out[f"{at}.pulses"] = mean_within(left)
        out[f"{at}.failure"] = float(left[-1])
        out[f"{at}.residual"] = 3**-0.5
        out[f"{at}.residual_trend"] = 0.0
        if one is not None:
            out[f"{at}.budget_1pct"] = one
        for name, value in parameters.items():
            out[f"{at}.families[{2 if spread > 0 else 0}].parameters.{name}"] = value
    return out


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
