"""What a measurement file contains, and which fits it allows.

The inspection uses only groups, shapes, units and attributes, not the values. `FITS` lists what
each fit needs. A fit that is not allowed names the missing parts; a fit that loses something
without an optional part has a remark.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rramfit.card.quantity import result_html
from rramfit.hdf5 import Group
from rramfit.measurement.file.contract.groups import groups_of, part_names
from rramfit.measurement.file.contract.rules import GroupRule
from rramfit.measurement.file.opening import open_measured, plain
from rramfit.measurement.file.read import read_measurement
from rramfit.measurement.file.record import ArrayIdentity, Measurement, Reads
from rramfit.units import format_percent

__all__ = [
    "FITS",
    "DatasetContent",
    "FitAllowed",
    "GroupContent",
    "Inspection",
    "inspect_measurement",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetContent:
    """One dataset as stored in the file."""

    name: str
    shape: tuple[int, ...]
    type: str
    units: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupContent:
    """One group: a one-line summary, the fits that it feeds, its attributes and its datasets."""

    name: str
    summary: str
    feeds: tuple[str, ...]
    attributes: Mapping[str, Any]
    datasets: tuple[DatasetContent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FitAllowed:
    """Whether a file allows a fit, what is missing, and what limits the fit."""

    fit: str
    allowed: bool
    missing: tuple[str, ...] = ()
    remark: str = ""

    @property
    def comment(self) -> str:
        """The remark, or what is missing."""
        return self.remark if self.allowed else f"missing: {', '.join(self.missing)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """The contents of a measurement file."""

    path: Path
    identity: ArrayIdentity
    rows: int
    cols: int
    groups: tuple[GroupContent, ...]
    fits: tuple[FitAllowed, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as JSON-compatible values."""
        return {
            "path": str(self.path),
            "identity": {k: v for k, v in asdict(self.identity).items() if v is not None},
            "rows": self.rows,
            "cols": self.cols,
            "groups": [
                {
                    **asdict(g),
                    "feeds": list(g.feeds),
                    "attributes": dict(g.attributes),
                    "datasets": _datasets_json(g.datasets),
                }
                for g in self.groups
            ],
            "fits": [{**asdict(f), "missing": list(f.missing)} for f in self.fits],
        }

    def _repr_html_(self) -> str:
        rows = {
            f.fit: {
                "possible": "yes" if f.allowed else "no",
                "remark": f.comment,
            }
            for f in self.fits
        }
        title = f"{self.identity.array_id}: {self.rows} × {self.cols} cells"
        return result_html(title, rows, (f"/{g.name}: {g.summary}" for g in self.groups))


def _datasets_json(datasets: tuple[DatasetContent, ...]) -> list[dict[str, Any]]:
    return [{**asdict(d), "shape": list(d.shape)} for d in datasets]


def inspect_measurement(path: Path | str) -> Inspection:
    """Report what a measurement file contains, and which fits it allows.

    Raises
    ------
    MeasurementError
        If the file violates the layout.
    """
    path = Path(path)
    measurement = read_measurement(path)
    with open_measured(path) as f:
        version = plain(f.attrs["format_version"])
        fits = tuple(rule(name, measurement) for name, rule in FITS.items())
        allowed = {found.fit for found in fits if found.allowed}
        groups = tuple(
            _group_content(
                f[part],
                rule,
                _SUMMARIES[name](measurement, part),
                tuple(fit for fit in _FEEDS[name] if fit in allowed),
            )
            for name, rule in groups_of(version).items()
            for part in part_names(f, name)
        )
    return Inspection(
        path=path,
        identity=measurement.identity,
        rows=measurement.rows,
        cols=measurement.cols,
        groups=groups,
        fits=fits,
    )


def _group_content(
    group: Group, rule: GroupRule, summary: str, feeds: tuple[str, ...]
) -> GroupContent:
    return GroupContent(
        name=group.name.strip("/"),
        summary=summary,
        feeds=feeds,
        attributes={key: plain(group.attrs[key]) for key in rule.attributes if key in group.attrs},
        datasets=tuple(
            DatasetContent(
                name=key,
                shape=group[key].shape,
                type=group[key].type_name,
                units=str(plain(group[key].attrs.get("units", ""))),
            )
            for key in rule.datasets
            if key in group
        ),
    )


def _counted(n: int, singular: str, plural: str = "") -> str:
    return f"{n} {singular if n == 1 else plural or singular + 's'}"


def _levels_summary(m: Measurement, _: str) -> str:
    if m.levels is None:
        return ""
    ends = dict.fromkeys(f"{g * 1e6:.4g}" for g in (m.levels.target[0], m.levels.target[-1]))
    span = f"{' to '.join(ends)} uS"
    limits = [n for n in ("lower", "upper") if getattr(m.levels, n) is not None]
    window = {2: "with verify windows", 1: f"only {''.join(limits)} verify limits"}.get(len(limits))
    window = window or "no verify windows"
    return f"{_counted(len(m.levels), 'level')}, {span}, {window}"


_ACCEPTANCE = {
    "verified": "acceptance from the tester's flag",
    "window": "acceptance from the verify windows",
    "unknown": "acceptance unknown",
}


def _program_summary(m: Measurement, _: str) -> str:
    if m.program is None:
        return ""
    pattern = "pattern known" if m.program.levels_known else "pattern unknown"
    return (
        f"{_counted(m.program.shape[0], 'sweep')}, {pattern}, {_ACCEPTANCE[m.program.acceptance]}"
        f"{_in_sessions(m.program.session)}"
    )


def _in_sessions(session: tuple[str, ...] | None) -> str:
    """Return the number of sessions, as the end of a summary."""
    return "" if session is None else f", {_counted(len(set(session)), 'session')}"


def _reads_summary(reads: Reads | None) -> str:
    if reads is None:
        return ""
    span = f"{reads.time[0]:.4g} to {reads.time[-1]:.4g} s"
    at = "" if reads.temperature is None else f", {reads.temperature:g} K"
    sessions = _in_sessions(reads.session)
    return f"{_counted(reads.shape[0], 'read')} of the array, {span}{at}{sessions}"


def _bake_summary(m: Measurement, part: str) -> str:
    """Return the summary of `/retention`, or of the bake in one of its subgroups."""
    of_part = {getattr(bake.open_blocks, "group", None): bake for bake in m.bakes}
    return _reads_summary(of_part.get(part))


def _iv_summary(m: Measurement, _: str) -> str:
    if m.iv is None:
        return ""
    cells = len(np.unique(np.stack([m.iv.row, m.iv.col]), axis=1).T)
    points = m.iv.current.shape[1]
    low, high = np.nanmin(m.iv.voltage), np.nanmax(m.iv.voltage)
    curves = "" if cells == len(m.iv.row) else f"{_counted(len(m.iv.row), 'curve')} of "
    return (
        f"{curves}{_counted(cells, 'cell')} at {_counted(points, 'voltage')}, {low:g} to {high:g} V"
    )


def _pulses_summary(m: Measurement, _: str) -> str:
    if m.pulses is None:
        return ""
    devices, cycles, pulses = m.pulses.conductance.shape
    up, down = (int(np.count_nonzero(m.pulses.polarity == sign)) for sign in (1, -1))
    each = m.pulses.polarity.size // pulses
    return (
        f"{_counted(devices, 'device')}, {_counted(cycles, 'cycle')} of {_counted(pulses, 'pulse')}"
        f", {up // each} SET and {down // each} RESET"
    )


def _attempts_summary(m: Measurement, _: str) -> str:
    a = m.attempts
    if a is None:
        return ""
    cells = len(np.unique(np.stack([a.row, a.col]), axis=1).T)
    steps = "steps recorded" if a.conductance is not None else "steps not recorded"
    outcome = (
        "success unknown"
        if a.success is None
        else f"{format_percent(float(np.mean(a.success)))} successful"
    )
    return f"{_counted(len(a.row), 'attempt')} on {_counted(cells, 'cell')}, {outcome}, {steps}"


def _readout_summary(m: Measurement, _: str) -> str:
    if m.readout is None:
        return ""
    repeats, points, channels = m.readout.code.shape
    return (
        f"{_counted(channels, 'channel')}, {_counted(points, 'input current')}, "
        f"{_counted(repeats, 'repeat')}, {_counted(m.readout.bits, 'bit')}"
    )


_SUMMARIES: Mapping[str, Callable[[Measurement, str], str]] = {
    "levels": _levels_summary,
    "program": _program_summary,
    "reads": lambda m, _: _reads_summary(m.reads),
    "retention": _bake_summary,
    "endurance": lambda m, _: (
        ""
        if m.endurance is None
        else f"{_counted(len(m.endurance.cycle), 'point')} to {m.endurance.cycle[-1]} cycles, "
        f"{_counted(m.endurance.conductance.shape[1], 'state')}"
    ),
    "iv": _iv_summary,
    "mvm": lambda m, _: (
        ""
        if m.mvm is None
        else f"{_counted(len(m.mvm.voltage), 'input pattern')}, inactive rows "
        f"{m.mvm.inactive_rows}, {m.mvm.cell_reads} cell reads"
    ),
    "readout": _readout_summary,
    "pulses": _pulses_summary,
    "attempts": _attempts_summary,
}


def _needs(*groups: str, remark: str = "") -> Callable[[str, Measurement], FitAllowed]:
    def rule(fit: str, m: Measurement) -> FitAllowed:
        missing = tuple(f"/{g}" for g in groups if getattr(m, g) is None)
        return FitAllowed(
            fit=fit, allowed=not missing, missing=missing, remark="" if missing else remark
        )

    return rule


def _level_fit(fit: str, m: Measurement) -> FitAllowed:
    if m.program is None:
        return FitAllowed(fit=fit, allowed=False, missing=("/program",))
    remark = (
        ""
        if m.program.levels_known
        else "levels are found by clustering, because /program/level is missing"
    )
    return FitAllowed(fit=fit, allowed=True, remark=remark)


def _c2c_fit(fit: str, m: Measurement) -> FitAllowed:
    if m.program is None:
        return FitAllowed(fit=fit, allowed=False, missing=("/program",))
    if m.program.shape[0] < 2:
        return FitAllowed(fit=fit, allowed=False, missing=("a second sweep in /program",))
    remark = "" if m.reads is not None else "includes read noise, because /reads is missing"
    return FitAllowed(fit=fit, allowed=True, remark=remark)


def _failure_fit(fit: str, m: Measurement) -> FitAllowed:
    missing = []
    if m.program is None:
        missing.append("/program")
    else:
        if not m.program.levels_known:
            missing.append("/program/level")
        if m.program.acceptance == "unknown":
            missing.append("/program/verified, or /levels/lower and /levels/upper")
    once = m.program is not None and m.program.shape[0] == 1
    remark = "one sweep cannot separate hard from soft failures" if once else ""
    return FitAllowed(
        fit=fit,
        allowed=not missing,
        missing=tuple(missing),
        remark="" if missing else remark,
    )


def _reads_fit(least: int) -> Callable[[str, Measurement], FitAllowed]:
    def rule(fit: str, m: Measurement) -> FitAllowed:
        few = m.reads is None or m.reads.shape[0] < least
        missing = (f"/reads of {least} reads or more",) if few else ()
        return FitAllowed(fit=fit, allowed=not few, missing=missing)

    return rule


def _bakes_fit(fit: str, m: Measurement) -> FitAllowed:
    temperatures = {bake.temperature for bake in m.bakes} - {None}
    missing = () if len(temperatures) > 1 else ("/retention at a second temperature",)
    return FitAllowed(fit=fit, allowed=not missing, missing=missing)


def _gauge_fit(fit: str, m: Measurement) -> FitAllowed:
    several = any(
        group is not None and group.session is not None and len(set(group.session)) > 1
        for group in (m.reads, m.program)
    )
    missing = () if several else ("/reads/session or /program/session with two sessions",)
    return FitAllowed(fit=fit, allowed=several, missing=missing)


FITS: Mapping[str, Callable[[str, Measurement], FitAllowed]] = {
    "screening": _needs("program"),
    "level distributions": _level_fit,
    "device-to-device (D2D) variation, spatial structure": _needs("program"),
    "cycle-to-cycle (C2C) variation": _c2c_fit,
    "programming failure": _failure_fit,
    "read noise": _needs("reads"),
    "read disturb": _reads_fit(16),
    "random telegraph noise": _reads_fit(32),
    "gauge study": _gauge_fit,
    "retention": _needs("retention", "levels"),
    "activation energy": _bakes_fit,
    "endurance": _needs("endurance"),
    "programming effort": _needs("attempts"),
    "pulse response": _needs("pulses"),
    "I–V nonlinearity": _needs("iv"),
    "line resistance": _needs("mvm"),
    "column readout": _needs("readout"),
}
"""Every fit, and the rule that decides whether a file allows it."""

_VARIATION = (
    "device-to-device (D2D) variation, spatial structure",
    "cycle-to-cycle (C2C) variation",
)
_FEEDS: Mapping[str, tuple[str, ...]] = {
    "levels": ("level distributions", "programming failure", "retention"),
    "program": (
        "screening",
        "level distributions",
        *_VARIATION,
        "programming failure",
        "gauge study",
    ),
    "reads": ("read noise", "read disturb", "random telegraph noise", _VARIATION[1], "gauge study"),
    "retention": ("retention", "activation energy"),
    "endurance": ("endurance",),
    "iv": ("I–V nonlinearity",),
    "mvm": ("line resistance",),
    "readout": ("column readout",),
    "pulses": ("pulse response",),
    "attempts": ("programming effort",),
}
"""Fits that use a group."""
