"""The section [iv] of a draft: I–V sweeps."""

from __future__ import annotations

import numpy as np

from rramfit.measurement.lab.guess.log import Log, Section
from rramfit.measurement.lab.guess.roles.role import Role

__all__ = ["is_iv", "iv_section"]


def is_iv(log: Log) -> bool:
    """Return True if a current is given at several voltages."""
    r = log.roles
    if r.first("width", "pulse", "cycle", "resistance", "conductance") or not r.first("current"):
        return False
    v = r.first("voltage")
    return v is not None and len(np.unique(log.values(v))) > 2


def iv_section(log: Log) -> Section | None:
    """Write [iv]."""
    v, i = log.roles.first("voltage"), log.roles.first("current")
    if v is None or i is None:
        return None
    size = float(np.nanmax(np.abs(log.values(v))))
    volts = v.unit or ("V" if size <= 50 else "mV")
    check = "" if v.unit else f"  # CHECK: no unit in the log; values up to {size:g} fit {volts}"
    amperes, note = log.unit(i)
    mark = f"  # CHECK: {note}" if note else ""
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
