"""The sections [program] and [attempts] of a draft, and reads that operations tell apart."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from rramfit.measurement.lab.guess.levels import find_levels, level_key, window_unit
from rramfit.measurement.lab.guess.log import Log, Section, has_unique_rows, toml_text
from rramfit.measurement.lab.guess.wide import Wide

__all__ = ["attempts_section", "is_operations", "operations_section", "program_section"]


def program_section(log: Log) -> Section | None:
    """Write [program], with [levels] if the log states them."""
    wide = log.sample.wide
    if wide is not None:
        lines = [
            "[program]",
            log.samples_as_conductance(wide),
            f'sweep = "{_sweep_of(wide)}"',
            log.read_voltage(),
        ]
        return Section(lines=tuple(lines), used=frozenset(), samples=("g",))
    reading = log.reading()
    if reading is None:
        return None
    levels, ranks, used_levels = find_levels(log)
    used = {reading.name, *used_levels}
    lines = [*levels, "[program]", log.conductance(reading)]
    sweep = log.roles.first("sweep", "cycle", "timepoint")
    if (
        sweep is not None
        and len(np.unique(log.values(sweep))) > 1
        and has_unique_rows(log, [sweep])
    ):
        keys = f'["file", "{sweep.name}"]' if len(log.files) > 1 else f'"{sweep.name}"'
        lines.append(f"sweep = {keys}")
        used.add(sweep.name)
    elif log.per_cell > 1 and not has_unique_rows(log, []):
        keys = '["file", "occurrence"]' if len(log.files) > 1 else '"occurrence"'
        lines.append(f"sweep = {keys}  # CHECK: a cell has {_most(log)} rows")
    elif len(log.files) > 1:
        lines.append('sweep = "file"')
    level = level_key(log, ranks) if levels else None
    if level is not None:
        lines.append(level)
    flag, sets, resets, pulses = (log.roles.first(x) for x in ("flag", "sets", "resets", "pulses"))
    if flag is not None:
        lines.append(f'verified = {{ column = "{flag.name}" }}')
        used.add(flag.name)
    counts = [x.name for x in (sets, resets) if x is not None] or [x.name for x in (pulses,) if x]
    if counts:
        lines.append("pulses = [" + ", ".join(f'"{n}"' for n in counts) + "]")
        used.update(counts)
    lines.append(log.read_voltage())
    return Section(lines=tuple(lines), used=frozenset(used))


def _sweep_of(wide: Wide) -> str:
    if not wide.map:
        return "sample"
    return "occurrence" if wide.leading else "block"


def _most(log: Log) -> str:
    if log.cells.index is None:
        return str(log.sample.rows)
    counts = np.bincount(log.cells.index)
    return f"up to {counts.max()}" if counts.min() != counts.max() else str(counts.max())


def attempts_section(log: Log) -> Section | None:
    """Write [attempts]; with [program], from the same rows."""
    r = log.roles
    low, high, sets, resets = (r.first(x) for x in ("lower", "upper", "sets", "resets"))
    final = log.reading()
    if low is None or high is None or sets is None or resets is None or final is None:
        return None
    program = program_section(log)
    unit = low.unit or window_unit(log, low, high)
    check = "" if low.field.unit else "  # CHECK: the unit of the readings"
    lines = [
        *(program.lines if program is not None else ()),
        "",
        "[attempts]  # the same rows, as write-verify attempts",
        f'lower = {{ column = "{low.name}", units = "{unit}" }}{check}',
        f'upper = {{ column = "{high.name}", units = "{unit}" }}',
        f'set_pulses = "{sets.name}"',
        f'reset_pulses = "{resets.name}"',
        log.conductance(final, "final"),
    ]
    flag, before = r.first("flag"), r.first("initial")
    used = {low.name, high.name, sets.name, resets.name, final.name}
    if flag is not None:
        lines.append(f'success = {{ column = "{flag.name}" }}')
        used.add(flag.name)
    if before is not None:
        lines.append(log.conductance(before, "initial"))
        used.add(before.name)
    if program is not None:
        used |= program.used
    return Section(lines=tuple(lines), used=frozenset(used))


def is_operations(log: Log) -> bool:
    """Return True if a text tells writes from reads."""
    return bool(_operations(log)) and log.reading() is not None


def _operations(log: Log) -> Mapping[str, str]:
    """Return the texts that mean a write and a read; nothing if there are not both."""
    kind = log.roles.first("kind", "state")
    if kind is None or kind.field.texts is None:
        return {}
    words = {str(t) for t in kind.field.texts}
    write = [w for w in words if re.fullmatch(r"(?i)write|prog(ram)?|pgm|w", w)]
    read = [w for w in words if re.fullmatch(r"(?i)read|verify|rd|r", w)]
    return {"write": write[0], "read": read[0]} if len(write) == len(read) == 1 else {}


def operations_section(log: Log) -> Section | None:
    """Write [program] of the writes, and [retention] of the reads after the last write."""
    kind, words, reading = log.roles.first("kind", "state"), _operations(log), log.reading()
    if kind is None or not words or reading is None:
        return None
    levels, _, used_levels = find_levels(log)
    where = {k: f"{{ {kind.name} = {toml_text(w)} }}" for k, w in words.items()}
    time = log.roles.first("time")
    lines = [
        *levels,
        "[program]",
        f"where = {where['write']}",
        log.conductance(reading),
        'sweep = "write"  # the n-th write of a cell',
        log.read_voltage(),
    ]
    used = {kind.name, reading.name, *used_levels}
    source: tuple[str, ...] = (f"counters = {{ write = {where['write']} }}",)
    if time is not None:
        temperature, more, column = log.temperature()
        unit = time.unit or "s"
        lines += [
            "",
            "[retention]  # the reads after the last write of each cell",
            f"where = {where['read']}",
            'latest = "write"',
            log.conductance(reading),
            'read = "occurrence"',
            f'time = {{ column = "{time.name}", units = "{unit}", since = {where["write"]} }}',
            *(["level = { program = -1 }"] if levels else []),
            log.read_voltage(),
            temperature,
        ]
        source += more
        used |= {time.name} | ({column} if column else set())
    return Section(lines=tuple(lines), used=frozenset(used), source=source)
