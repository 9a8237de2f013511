"""Groups that list single cells or channels: I–V curves, pulses, write attempts, readout."""

from __future__ import annotations

from collections.abc import Mapping

from rramfit.measurement.file.contract.array_groups import read_voltage
from rramfit.measurement.file.contract.rules import AttributeRule, DatasetRule, GroupRule

__all__ = ["CELL_GROUPS"]

_PULSES = ("device", "cycle", "pulse")
_STEPS = ("attempt", "step")
_SIGN = "+1 = potentiation (SET), -1 = depression (RESET), 0 = read without a pulse"


def _address(axis: str) -> Mapping[str, DatasetRule]:
    """Return the rules of `row` and `col` of each device, attempt or curve."""
    return {
        name: DatasetRule(kind="integer", axes=(axis,), means=f"{name} of the cell, from 0")
        for name in ("row", "col")
    }


CELL_GROUPS: Mapping[str, GroupRule] = {
    "iv": GroupRule(
        signal="current",
        means=(
            "Current against voltage, cell by cell. Layout 1.1: several curves of a cell, curves "
            "with voltages of their own, and sweeps that go up and down through SET or RESET."
        ),
        datasets={
            "voltage": DatasetRule(
                kind="voltage",
                axes=("curve", "point"),
                short=("point",),
                gaps=True,
                means=(
                    "voltage of each point, in the order of measurement; (curve, point) in layout "
                    "1.1, with NaN past the end of a curve"
                ),
            ),
            "current": DatasetRule(
                kind="current", axes=("curve", "point"), gaps=True, means="current of each point"
            ),
            **_address("curve"),
            "repeat": DatasetRule(
                kind="integer",
                axes=("curve",),
                needed=False,
                means="number of the repeat of this cell, from 0",
                since="1.1",
            ),
            "direction": DatasetRule(
                kind="integer",
                axes=("curve", "point"),
                short=("point",),
                needed=False,
                choices=(-1, 0, 1),
                means=(
                    "+1 = voltage rising, -1 = falling, 0 past the end of a curve; if absent, from "
                    "the order of voltages"
                ),
                since="1.1",
            ),
        },
    ),
    "readout": GroupRule(
        signal="code",
        means="The column readout chain (amplifier and ADC) at known input currents.",
        datasets={
            "input": DatasetRule(kind="current", axes=("point",), means="input current"),
            "code": DatasetRule(
                kind="integer",
                axes=("repeat", "point", "channel"),
                short=("point", "channel"),
                means="ADC code",
            ),
            "channel_col": DatasetRule(
                kind="integer", axes=("channel",), needed=False, means="column of each channel"
            ),
        },
        attributes={
            "bits": AttributeRule(kind="integer", needed=True, means="resolution of the ADC"),
            "full_scale": AttributeRule(
                kind="current", needed=True, means="input current of the full range of codes"
            ),
            "zero_code": AttributeRule(kind="integer", needed=True, means="code of 0 A"),
        },
    ),
    "pulses": GroupRule(
        signal="conductance",
        since="1.1",
        means="Pulse response: conductance of single cells against pulse number and polarity.",
        datasets={
            "conductance": DatasetRule(
                kind="conductance",
                axes=_PULSES,
                gaps=True,
                means="conductance as read after each pulse",
                since="1.1",
            ),
            "polarity": DatasetRule(
                kind="integer",
                axes=_PULSES,
                short=("pulse",),
                choices=(-1, 0, 1),
                means=_SIGN,
                since="1.1",
            ),
            **_address("device"),
            "voltage": DatasetRule(
                kind="voltage",
                axes=_PULSES,
                short=("pulse",),
                needed=False,
                gaps=True,
                means="amplitude of each pulse",
                since="1.1",
            ),
            "width": DatasetRule(
                kind="time",
                axes=_PULSES,
                short=("pulse",),
                needed=False,
                gaps=True,
                means="width of each pulse",
                since="1.1",
            ),
        },
        attributes={"read_voltage": read_voltage(needed=False)},
    ),
    "attempts": GroupRule(
        signal="conductance",
        since="1.1",
        means="Write-verify attempts: one entry per attempt to program a cell into a window.",
        datasets={
            **_address("attempt"),
            "level": DatasetRule(
                kind="integer",
                axes=("attempt",),
                needed=False,
                means="index into /levels, from 0; -1 = unknown",
                since="1.1",
            ),
            "lower": DatasetRule(
                kind="conductance",
                axes=("attempt",),
                gaps=True,
                means="lower limit of the target window; NaN = open",
                since="1.1",
            ),
            "upper": DatasetRule(
                kind="conductance",
                axes=("attempt",),
                gaps=True,
                means="upper limit of the target window; NaN = open",
                since="1.1",
            ),
            "set_pulses": DatasetRule(
                kind="integer", axes=("attempt",), means="number of SET pulses", since="1.1"
            ),
            "reset_pulses": DatasetRule(
                kind="integer", axes=("attempt",), means="number of RESET pulses", since="1.1"
            ),
            "success": DatasetRule(
                kind="flag",
                axes=("attempt",),
                needed=False,
                means="true if the tester accepted the cell",
                since="1.1",
            ),
            "initial": DatasetRule(
                kind="conductance",
                axes=("attempt",),
                needed=False,
                gaps=True,
                means="conductance before the first pulse",
                since="1.1",
            ),
            "final": DatasetRule(
                kind="conductance",
                axes=("attempt",),
                needed=False,
                gaps=True,
                means="conductance after the last pulse",
                since="1.1",
            ),
            "conductance": DatasetRule(
                kind="conductance",
                axes=_STEPS,
                needed=False,
                gaps=True,
                means="conductance after each step; NaN past the end",
                since="1.1",
            ),
            "polarity": DatasetRule(
                kind="integer",
                axes=_STEPS,
                needed=False,
                choices=(-1, 0, 1),
                means=f"{_SIGN}, or past the end",
                since="1.1",
            ),
            "voltage": DatasetRule(
                kind="voltage",
                axes=_STEPS,
                needed=False,
                gaps=True,
                means="amplitude of the pulse of each step",
                since="1.1",
            ),
            "width": DatasetRule(
                kind="time",
                axes=_STEPS,
                needed=False,
                gaps=True,
                means="width of the pulse of each step",
                since="1.1",
            ),
        },
        attributes={
            "read_voltage": read_voltage(needed=False),
            "max_pulses": AttributeRule(
                kind="integer", means="pulses after which the tester stops trying"
            ),
        },
    ),
}
"""Groups that list single cells or channels."""
