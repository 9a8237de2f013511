"""The section [iv] of a draft: I–V sweeps.

Of several voltages (drain, gate), the one with the largest range is the sweep. Its current has the
same name with I for V, such as DrainI for DrainV; else it is the leftmost one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rramfit.measurement.lab.guess.log import Log, Section
from rramfit.measurement.lab.guess.names import role_by_name
from rramfit.measurement.lab.guess.roles.role import Role

__all__ = ["is_iv", "is_wide_iv", "iv_section"]

_POINTS = 3  # of a curve whose resistances are in the log
_FEWEST, _LOOKED_AT = 5, 20  # voltages of a sweep in a cycle; cycles
_SAME = 0.05  # range of a voltage that is measured, but not swept, as a share of it
_EQUAL, _MOST = 0.02, 0.9  # decades; share of the rows whose resistance is V/I, in any units


def is_iv(log: Log) -> bool:
    """Return True if a current is given at several voltages."""
    r = log.roles
    v = _swept(log)
    if r.first("width", "pulse") or not r.first("current") or v is None:
        return False
    cycle = r.first("cycle")
    if cycle is not None and not _sweeps_each(log, v, cycle):
        return False
    readings = r.of("resistance") + r.of("conductance")
    if readings and (log.per_cell < _POINTS or not all(_is_derived(log, x, v) for x in readings)):
        return False
    known = _known(log, v)
    return len(np.unique(known)) > 2 and np.ptp(known) > _SAME * np.max(np.abs(known))


def _sweeps_each(log: Log, v: Role, cycle: Role) -> bool:
    """Return True if the voltage takes many values in each cycle, as in a switching loop."""
    cycles, volts = log.values(cycle), log.values(v)
    many = [len(np.unique(volts[cycles == c])) for c in np.unique(cycles)[:_LOOKED_AT]]
    return bool(many) and min(many) >= _FEWEST


def _is_derived(log: Log, reading: Role, v: Role) -> bool:
    """Return True if a resistance or conductance is calculated from the voltage and its current."""
    i = _current_of(log, v)
    if i is None:
        return False
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log10(np.abs(log.values(v) / log.values(i) / log.values(reading)))
        if reading.role == "conductance":
            ratio = np.log10(np.abs(log.values(i) / log.values(v) / log.values(reading)))
    known = ratio[np.isfinite(ratio)]
    constant = np.abs(known - np.median(known)) < _EQUAL if len(known) else np.zeros(1)
    return bool(np.mean(constant) > _MOST)


def _swept(log: Log) -> Role | None:
    """Return the voltage with the largest range; the leftmost of equals."""
    found = log.roles.of("voltage")
    return max(found, key=lambda v: float(np.ptp(_known(log, v))), default=None)


def _known(log: Log, r: Role) -> NDArray[np.float64]:
    values = log.values(r)
    known: NDArray[np.float64] = values[np.isfinite(values)]
    return known if len(known) else np.zeros(1)


def _current_of(log: Log, v: Role) -> Role | None:
    """Return the current through the terminal of a voltage; else the leftmost current."""
    title = v.field.title.casefold()
    mates = {title.replace("voltage", "current"), title.replace("volt", "curr")}
    mates |= {title[:i] + "i" + title[i + 1 :] for i, sign in enumerate(title) if sign == "v"}
    same = [c for c in log.roles.of("current") if c.field.title.casefold() in mates - {title}]
    return same[0] if same else log.roles.first("current")


def iv_section(log: Log) -> Section | None:
    """Write [iv]."""
    v = _swept(log)
    if v is not None and log.sample.wide is not None:
        return _wide_section(log, v)
    i = _current_of(log, v) if v is not None else None
    if v is None or i is None:
        return None
    size = float(np.nanmax(np.abs(log.values(v))))
    volts = v.unit or ("V" if size <= 50 else "mV")
    check = "" if v.unit else f"  # CHECK: no unit in the log; values up to {size:g} fit {volts}"
    amperes, note = log.unit(i)
    more = _more_pairs(log, v, i)
    notes = [note, f"{more} belong to other cells, and are not read" if more else ""]
    mark = f"  # CHECK: {'; '.join(filter(None, notes))}" if any(notes) else ""
    lines = [
        "[iv]",
        f'voltage = {{ column = "{v.name}", units = "{volts}" }}{check}',
        f'current = {{ column = "{i.name}", units = "{amperes}" }}{mark}',
    ]
    used = {v.name, i.name}
    repeat = log.roles.first("sweep", "cycle")
    if repeat is not None and len(np.unique(log.values(repeat))) > 1:
        lines.append(f'repeat = "{repeat.name}"')
        used.add(repeat.name)
    elif log.sample.blocks > 1:
        lines.append(f'repeat = "block"  # {log.sample.blocks} blocks of rows')
    elif (points := _period(log, v)) is not None:
        lines.append(f"points = {points}  # CHECK: the voltages repeat after {points} rows")
    return Section(lines=tuple(lines), used=frozenset(used))


def is_wide_iv(log: Log) -> bool:
    """Return True if each line has a voltage, and the current of each cell behind it."""
    wide = log.sample.wide
    if wide is None or not log.roles.of("voltage"):
        return False
    return wide.unit.endswith("A") or role_by_name(wide.name, wide.unit) == "current"


def _wide_section(log: Log, v: Role) -> Section | None:
    wide = log.sample.wide
    if wide is None or not is_wide_iv(log):
        return None
    volts, amperes = v.unit or "V", wide.unit or "A"
    lines = (
        "[iv]",
        f'voltage = {{ column = "{v.name}", units = "{volts}" }}{_check(v.unit, volts)}',
        f'current = {{ column = "g", units = "{amperes}" }}{_check(wide.unit, amperes)}',
    )
    return Section(lines=lines, used=frozenset({v.name}), samples=("g",))


def _check(given: str, unit: str) -> str:
    return "" if given else f"  # CHECK: no unit in the log; {unit} is assumed"


def _more_pairs(log: Log, v: Role, i: Role) -> str:
    """Return the names of further columns with the same titles, as of cells side by side."""
    titles = {v.field.title, i.field.title}
    same = [r for r in log.roles.all if r.field.title in titles and r not in (v, i)]
    return ", ".join(r.name for r in same[:6]) if v.field.title else ""


def _period(log: Log, v: Role) -> int | None:
    """Return after how many rows of a cell its voltages repeat; None if they do not."""
    values = log.values(v)
    if log.cells.index is not None:
        values = values[log.cells.index == log.cells.index[0]]
    starts = np.flatnonzero(values == values[0])
    for period in starts[1:][starts[1:] > 4].tolist():
        if len(values) % period == 0 and np.array_equal(
            values, np.tile(values[:period], len(values) // period)
        ):
            return int(period)
    return None
