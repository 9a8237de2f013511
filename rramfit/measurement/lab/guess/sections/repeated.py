"""The sections [reads] and [retention] of a draft: readings of one state over time."""

from __future__ import annotations

import re

import numpy as np

from rramfit.measurement.lab.guess.levels import find_levels, level_key
from rramfit.measurement.lab.guess.log import Log, Section, has_unique_rows
from rramfit.measurement.lab.guess.roles.role import Role

__all__ = ["is_over_time", "over_time_section", "reads_section", "retention_section"]

_MOST_POINTS = 64  # reads of a cell over time that are retention, and not repeated reads
_HOUR = 3600.0


def is_over_time(log: Log) -> bool:
    """Return True if a cell is read several times: in rows with a time, or in several files."""
    if len(log.files) > 1 and all(
        re.search(r"(?i)pre|post|bake|before|after", f.name) for f in log.files
    ):
        return log.reading() is not None
    return (
        log.roles.first("time", "timepoint", "read") is not None
        and log.per_cell > 1.5
        and log.reading() is not None
    )


def over_time_section(log: Log) -> Section | None:
    """Write [retention] for a few reads over long times, [reads] for many in a row."""
    time = log.roles.first("time", "timepoint")
    if time is None and log.roles.first("read") is not None:
        return reads_section(log)
    long = time is None or float(np.ptp(log.values(time))) >= _HOUR
    few = log.per_cell <= _MOST_POINTS
    return (
        retention_section(log)
        if few or (long and log.per_cell < 10 * _MOST_POINTS)
        else reads_section(log)
    )


def reads_section(log: Log) -> Section | None:
    """Write [reads]."""
    return _repeated(log, "reads")


def retention_section(log: Log) -> Section | None:
    """Write [retention]; the reads at the first time are also a programming sweep."""
    return _repeated(log, "retention")


def _repeated(log: Log, name: str) -> Section | None:
    wide = log.sample.wide
    if wide is not None:
        return _wide_reads(log, name)
    reading, time = log.reading(), log.roles.first("time", "timepoint")
    number = log.roles.first("read")
    if reading is None:
        return None
    levels, ranks, used_levels = find_levels(log)
    lines = [*levels, f"[{name}]", log.conductance(reading)]
    used = {reading.name, *used_levels}
    if time is not None:
        values = log.values(time)
        grid = has_unique_rows(log, [time]) and len(np.unique(values)) <= 2 * log.per_cell + 1
        lines.append(f'read = "{time.name}"' if grid else 'read = "occurrence"')
        unit = time.unit or "s"
        check = "" if time.unit else "  # CHECK: no unit in the log; s is assumed"
        since = ', since = "first"' if float(np.nanmin(values)) > 1e8 else ""
        lines.append(f'time = {{ column = "{time.name}", units = "{unit}"{since} }}{check}')
        used.add(time.name)
    elif number is not None and has_unique_rows(log, [number]):
        time_line = f'time = {{ column = "{number.name} * 1.0", units = "s" }}'
        lines += [f'read = "{number.name}"', f"{time_line}  # CHECK: 1 s a read is assumed"]
        used.add(number.name)
    elif len(log.files) > 1:
        times = ", ".join(str(3600 * i) for i in range(len(log.files)))
        lines += [
            'read = "file"',
            f'time = {{ values = [{times}], units = "s" }}  # CHECK: assumed',
        ]
    else:
        lines += [
            'read = "occurrence"',
            'time = { column = "line", units = "s" }  # CHECK: 1 s from row to row is assumed',
        ]
    level = level_key(log, ranks) if levels else None
    if level is not None:
        lines.append(level)
    lines.append(log.read_voltage())
    source: tuple[str, ...] = ()
    if name == "retention":
        temperature, source, column = log.temperature()
        lines.append(temperature)
        used |= {column} if column else set()
        if level is not None and time is not None and has_unique_rows(log, [time]):
            lines += _first_read(log, time, reading, level)
    return Section(lines=tuple(lines), used=frozenset(used), source=source)


def _first_read(log: Log, time: Role, reading: Role, level: str) -> list[str]:
    """Return the reads at the first time as [program], for the distributions of the levels."""
    first = float(np.nanmin(log.values(time)))
    if np.count_nonzero(log.values(time) == first) < 0.5 * log.cells.number:
        return []
    return [
        "",
        "[program]  # CHECK: the reads at the first time, as read back after programming",
        f"where = {{ {time.name} = {first:g} }}",
        log.conductance(reading),
        'sweep = "file"',
        level,
        log.read_voltage(),
    ]


def _wide_reads(log: Log, name: str) -> Section | None:
    wide = log.sample.wide
    if wide is None:
        return None
    time = log.roles.first("time")
    lines = [f"[{name}]", log.samples_as_conductance(wide)]
    used: set[str] = set()
    if time is not None and log.cells.lines == ('packed = "sample"',):  # a column a cell
        lines += [
            f'read = "{time.name}"',
            f'time = {{ column = "{time.name}", units = "{time.unit or "s"}" }}',
        ]
        used.add(time.name)
    elif log.cells.lines == ('packed = "sample"',):
        lines += ['read = "line"', 'time = { column = "line", units = "s" }  # CHECK: assumed']
    else:
        lines += [
            'read = "sample"',
            'time = { column = "sample * 1.0", units = "s" }  # CHECK: 1 s a sample is assumed',
        ]
    lines.append(log.read_voltage())
    source: tuple[str, ...] = ()
    if name == "retention":
        temperature, source, _ = log.temperature()
        lines.append(temperature)
    return Section(lines=tuple(lines), used=frozenset(used), samples=("g",), source=source)
