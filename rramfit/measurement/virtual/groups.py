"""The optional groups of a virtual measurement, each with its own random streams.

Each group programs the chip again, with its own balanced pattern. In `/reads` and `/retention`,
`level` is the programmed level of a cell, or -1 if its programming was not accepted; with the mess
`off_level` it is the level that was asked for. Cells of bakes at other temperatures age by the
card's law if it has one of several bakes, and otherwise as if their times were longer. Failed cells
of `/iv` lose part of their conductance in the middle of the sweep. `/endurance` is in
`rramfit.measurement.virtual.endurance`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from rramfit.card.blocks.temperature_law import acceleration
from rramfit.card.conditions.change_at import has_law
from rramfit.card.schema import LineCard, ModelCard
from rramfit.measurement.file.in_memory import reads_in_memory
from rramfit.measurement.file.record import MVM, Bools, Floats, IVSweeps, Levels, Readout, Reads
from rramfit.measurement.virtual.endurance import draw_endurance
from rramfit.measurement.virtual.messy_chip import MessyChip, State
from rramfit.measurement.virtual.switching import draw_attempts, draw_loops, draw_pulses
from rramfit.measurement.virtual.telegraph import telegraph_states
from rramfit.measurement.virtual.tester import (
    Instrument,
    Plan,
    level_pattern,
    read_times,
    session_factors,
)
from rramfit.streams import stream, torch_stream

if TYPE_CHECKING:
    from rramfit.array.devices.ageing import Ageing
    from rramfit.array.wires.line import LineResistance

__all__ = ["drawn_groups", "line_of"]

OFF_LEVEL = ("reads", "retention", "iv")
"""Groups whose programming may fail without the file saying so; /mvm reads every cell."""


def drawn_groups(
    card: ModelCard,
    chip: MessyChip,
    *,
    groups: Collection[str],
    instrument: Instrument,
    plan: Plan,
    levels: Levels,
    read_voltage: float,
    seed: int,
) -> dict[str, Any]:
    """Draw the requested groups; return them by their names in `Measurement`."""
    out: dict[str, Any] = {}
    if "reads" in groups:
        times = read_times(plan)
        reads = _reads(
            chip,
            "reads",
            times,
            instrument=instrument,
            read_voltage=read_voltage,
            telegraph=telegraph_states(plan, times, chip.shape, seed=seed)
            if plan.telegraph_dwell
            else None,
            seed=seed,
        )
        out["reads"] = reads if plan.sessions < 2 else _in_sessions(reads, plan, seed)
    if "retention" in groups:
        retention = card.retention and card.retention.temperature
        kelvin = retention.value if retention else instrument.temperature
        law = has_law(card)
        if law and card.temperature is not None:
            kelvin = card.temperature.reference_temperature.value
        out["retention"], *more = (
            _reads(
                chip,
                "retention" if k == 0 else f"retention/bake{k}",
                np.asarray(plan.retention_times),
                instrument=instrument,
                read_voltage=read_voltage,
                temperature=at,
                time_factor=1.0 if law else math.exp(acceleration(plan.bake_energy, at, kelvin)),
                bake_ageing=_ageing_at(card, at) if law else None,
                seed=seed,
            )
            for k, at in enumerate((kelvin, *plan.bake_temperatures))
        )
        out["more_bakes"] = tuple(more)
    if "endurance" in groups:
        out["endurance"] = draw_endurance(card, chip, plan, instrument=instrument, seed=seed)
    if "iv" in groups:
        out["iv"] = (
            draw_loops(levels, chip.shape, plan, seed=seed)
            if plan.iv_loops
            else _iv(card, chip, plan, seed=seed)
        )
    if "mvm" in groups:
        out["mvm"] = _mvm(
            card, chip, plan, instrument=instrument, read_voltage=read_voltage, seed=seed
        )
    if "readout" in groups:
        out["readout"] = _readout(card, chip, plan, seed=seed)
    for name, draw in (("pulses", draw_pulses), ("attempts", draw_attempts)):
        if name in groups:
            out[name] = draw(levels, chip.shape, plan, read_voltage=read_voltage, seed=seed)
    return out


def _ageing_at(card: ModelCard, temperature: float) -> Ageing:
    """Return how cells age at one temperature, by the card's law of several bakes."""
    import torch

    from rramfit.array.devices.device_model import DeviceModel

    model = DeviceModel.from_card(card, dtype=torch.float64, temperature=temperature)
    return model.state_ageing


def _programmed(chip: MessyChip, name: str, seed: int) -> State:
    """Program the chip again."""
    pattern_seed = int(stream(seed, f"{name}/pattern").integers(2**62))
    pattern = level_pattern(chip.chip.model.n_levels, 0, chip.shape, seed=pattern_seed)
    return chip.program(pattern, name, group=name.partition("/")[0] in OFF_LEVEL)


def _reads(
    chip: MessyChip,
    name: str,
    times: Floats,
    *,
    instrument: Instrument,
    read_voltage: float,
    seed: int,
    temperature: float | None = None,
    time_factor: float = 1.0,
    bake_ageing: Ageing | None = None,
    telegraph: Bools | None = None,
) -> Reads:
    """Read one programmed state repeatedly; for `/retention`, age the cells between reads.

    In `/reads`, every read moves the cells by the card's read disturb. `telegraph`, (read, row,
    col), is where telegraph cells are in their high state.
    """
    bake = name.partition("/")[0] == "retention"
    state = _programmed(chip, name, seed)
    if bake_ageing is not None:
        baked = dataclasses.replace(state.programmed, ageing=bake_ageing)
        state = dataclasses.replace(state, programmed=baked)
    noise, ageing = torch_stream(seed, f"{name}/read"), torch_stream(seed, f"{name}/age")
    readings = []
    for i, time in enumerate(times):
        passed = 0.0
        if bake:
            passed = time_factor * float(time)
            aged = state.programmed.age(passed, ageing)
            state = dataclasses.replace(state, programmed=aged)
        elif i:
            state = dataclasses.replace(state, programmed=state.programmed.after_reads(1))
        up = None if telegraph is None else telegraph[i]
        reading = chip.read(state, noise, f"{name}/{i}", time=passed, up=up)
        readings.append(instrument.measure(reading, seed, f"{name}/{i}"))
    return reads_in_memory(
        np.stack(readings),
        time=times.astype(np.float64),
        level=state.level,
        read_voltage=read_voltage,
        temperature=temperature,
    )


def _in_sessions(reads: Reads, plan: Plan, seed: int) -> Reads:
    """Read in several sessions, in which all readings differ by a factor."""
    session = np.arange(reads.shape[0]) * plan.sessions // reads.shape[0]
    factor = session_factors(plan, seed)[session]
    readings = (reads.read_all() * factor[:, None, None]).astype(np.float32)
    return reads_in_memory(
        readings.astype(np.float64),
        time=reads.time,
        level=reads.level,
        read_voltage=reads.read_voltage,
        temperature=reads.temperature,
        session=[f"session {k + 1}" for k in session],
    )


def _iv(card: ModelCard, chip: MessyChip, plan: Plan, *, seed: int) -> IVSweeps:
    """Sweep the voltage of randomly chosen cells."""
    state = _programmed(chip, "iv", seed)
    g0, b = (x[0].numpy() for x in chip.chip.conduction(state.programmed.conductance))
    rows, cols = chip.shape
    count = min(plan.iv_cells, rows * cols)
    chosen = np.sort(stream(seed, "iv/cells").choice(rows * cols, count, replace=False))
    row, col = np.divmod(chosen, cols)
    voltage = np.linspace(-plan.iv_range, plan.iv_range, plan.iv_points)
    curvature = np.maximum(np.abs(b[row, col]), 1e-9)[:, None]
    current = g0[row, col][:, None] * np.sinh(curvature * voltage) / curvature
    if state.off.any():
        u, v = stream(seed, "mess/off_level/iv/switch").random((2, count))
        after = np.arange(plan.iv_points) >= (0.2 + 0.6 * u[:, None]) * plan.iv_points
        lost = after & state.off[row, col][:, None]
        current *= np.where(lost, 0.2 + 0.4 * v[:, None], 1.0)
    if chip.mess.column_gain:
        current *= chip.gain[col][:, None]
    noise = offset = 0.0
    if card.iv is not None:
        noise = card.iv.noise.value if card.iv.noise else 0.0
        offset = card.iv.offset.value if card.iv.offset else 0.0
    current += offset + noise * stream(seed, "iv/noise").standard_normal(current.shape)
    return IVSweeps(voltage=voltage, current=current, row=row, col=col)


def line_of(card: LineCard | None) -> LineResistance:
    """Return the line resistances of a card; missing ones are 0."""
    from rramfit.array.wires.line import LineResistance

    if card is None:
        return LineResistance()

    def ohm(name: str) -> float:
        quantity = getattr(card, f"{name}_resistance")
        return 0.0 if quantity is None else float(quantity.value)

    return LineResistance(
        r_wl=ohm("wordline"),
        r_bl=ohm("bitline"),
        r_driver=ohm("driver"),
        r_sense=ohm("sense"),
        inactive_rows=card.inactive_rows,
    )


def _mvm(
    card: ModelCard,
    chip: MessyChip,
    plan: Plan,
    *,
    instrument: Instrument,
    read_voltage: float,
    seed: int,
) -> MVM:
    """Drive a random half of the rows in each pattern, including the line resistance."""
    import torch

    from rramfit.array.wires.effective import column_currents

    state = _programmed(chip, "mvm", seed).programmed
    rows, _ = chip.shape
    choice = stream(seed, "mvm/patterns")
    on = choice.permuted(
        np.broadcast_to(np.arange(rows) < rows / 2, (plan.mvm_patterns, rows)), axis=1
    )
    voltage = np.where(on, read_voltage, 0.0)
    true = state.conductance[0].clamp_min(0.0)
    line = line_of(card.line)
    exact = column_currents(true, torch.from_numpy(voltage), line).numpy()
    gain = card.line.gain.value if card.line and card.line.gain else 1.0
    noise = stream(seed, "mvm/noise").standard_normal(exact.shape)
    cell_noise = stream(seed, "mvm/cells").standard_normal(true.shape)
    return MVM(
        voltage=voltage,
        current=gain * exact * (1 + instrument.current_noise * noise),
        conductance=true.numpy() * (1 + instrument.cell_read_noise * cell_noise),
        inactive_rows=line.inactive_rows,
        cell_reads="intrinsic",
    )


def _readout(card: ModelCard, chip: MessyChip, plan: Plan, *, seed: int) -> Readout:
    """Apply known currents to every channel, over the range of its codes."""
    import torch

    from rramfit.array.devices.readout import draw_channels

    part = card.readout
    if part is None:
        msg = "the card has no readout, so /readout cannot be drawn"
        raise ValueError(msg)
    channels = draw_channels(
        part, 1, chip.shape[1], generator=torch_stream(seed, "readout"), dtype=torch.float64
    )
    top, full_scale = 2**part.bits - 1, part.full_scale.value
    zero, gain = float(channels.offset.mean()), float(channels.gain.mean())
    low = max(-zero / gain, -full_scale)
    high = min((top - zero) / gain, full_scale)
    current = np.linspace(low, high, plan.readout_points)
    known = torch.from_numpy(current)[None, None, :, None].expand(
        1, plan.readout_repeats, -1, chip.shape[1]
    )
    code = channels.digitise(known, generator=torch_stream(seed, "readout/noise"))[0]
    return Readout(
        input=current,
        code=code.numpy(),
        channel_col=np.arange(chip.shape[1]),
        bits=part.bits,
        full_scale=full_scale,
        zero_code=round(max(zero, 0.0)),
    )
