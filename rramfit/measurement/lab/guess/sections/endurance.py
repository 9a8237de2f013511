"""The section [endurance] of a draft: two states against the number of cycles."""

from __future__ import annotations

import numpy as np

from rramfit.measurement.lab.guess.log import Log, Section, fits, toml_key, toml_text
from rramfit.measurement.lab.guess.roles.role import Role
from rramfit.measurement.lab.guess.sections.pulses import signs_of

__all__ = ["endurance_section", "is_endurance"]


def is_endurance(log: Log) -> bool:
    """Return True if the rows have two states, cycle by cycle."""
    r = log.roles
    if r.first("hrs") and r.first("lrs"):
        return True
    if r.first("polarity") and log.reading() is not None and not r.first("pulse"):
        return True
    cycle, state = r.first("cycle"), r.first("state")
    if cycle is None or log.reading() is None:
        return False
    if state is not None and state.field.texts is not None and len(set(state.field.texts)) > 2:
        return False  # levels, cell by cell: a programming sweep
    return r.first("state", "polarity") is not None or _twice(log, cycle)


def _twice(log: Log, cycle: Role) -> bool:
    """Return True if most cycles of a cell have two rows."""
    cells = log.cells.index
    key = np.stack([log.values(cycle), np.zeros(log.sample.rows) if cells is None else cells])
    counts = np.unique(key, axis=1, return_counts=True)[1]
    return bool(np.mean(counts == 2) > 0.5)


def endurance_section(log: Log) -> Section | None:
    """Write [endurance]."""
    wide = log.sample.wide
    if wide is not None:
        return _wide_endurance(log)
    r = log.roles
    cycle, hrs, lrs = r.first("cycle", "sweep", "index"), r.first("hrs"), r.first("lrs")
    used: set[str] = set()
    lines = ["[endurance]"]
    if cycle is not None:
        lines.append(f'cycle = "{cycle.name}"')
        used.add(cycle.name)
    else:
        lines.append('cycle = "occurrence"  # CHECK: the log does not count cycles')
    if hrs is not None and lrs is not None:
        (high, a), (low, b) = log.part(hrs), log.part(lrs)
        if a or b:
            lines.append(f"# {(a or b).strip(' #')}")
        lines.append(f"states = [{high}, {low}]")
        return Section(lines=tuple(lines), used=frozenset(used | {hrs.name, lrs.name}))
    reading = log.reading()
    if reading is None:
        return None
    lines.append(log.conductance(reading))
    used.add(reading.name)
    state, operations = r.first("state"), r.first("polarity")
    if operations is not None and operations.field.texts is not None:
        words = {str(t) for t in operations.field.texts}
        read = next((w for w in words if w.casefold() == "read"), None)
        used.add(operations.name)
        if read is not None:
            lines.insert(1, f"where = {{ {operations.name} = {toml_text(read)} }}")
            lines.append('state = "value"  # the higher conductance of a cycle is state 1')
        else:
            signs = {t: int(s > 0) for t, s in signs_of(operations).items()}
            table = ", ".join(f"{toml_key(t)} = {s}" for t, s in signs.items())
            lines.append(f'state = {{ column = "{operations.name}", values = {{ {table} }} }}')
    elif state is not None and state.field.texts is not None:
        names = sorted({str(t) for t in state.field.texts})
        conducting = [w for w in names if w.casefold() in ("lrs", "on", "low_r", "set", "1")]
        table = ", ".join(f"{toml_key(w)} = {int(w in conducting)}" for w in names)
        lines.append(f'state = {{ column = "{state.name}", values = {{ {table} }} }}')
        used.add(state.name)
    else:
        lines.append('state = "value"  # the higher conductance of a cycle is state 1')
    return Section(lines=tuple(lines), used=frozenset(used))


def _wide_endurance(log: Log) -> Section | None:
    wide = log.sample.wide
    if wide is None:
        return None
    unit = "ohm" if wide.size > 1 else "S"
    first_is_high = (wide.alternating >= 1) == (unit == "ohm")
    samples = ("hrs", "lrs") if first_is_high else ("lrs", "hrs")
    states = ", ".join(f'{{ column = "{name}", units = "{unit}" }}' for name in ("hrs", "lrs"))
    factor = max(wide.alternating, 1 / wide.alternating)
    lines = (
        "[endurance]",
        f"# the samples alternate, by a factor of {factor:.2g}",
        'cycle = "sample"',
        f"states = [{states}]{fits(wide.size, unit)}",
    )
    return Section(lines=lines, used=frozenset(), samples=samples)
