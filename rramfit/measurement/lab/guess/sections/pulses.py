"""The section [pulses] of a draft: the conductance after each pulse."""

from __future__ import annotations

import numpy as np

from rramfit.measurement.lab.guess.log import Log, Section, has_unique_rows, toml_key
from rramfit.measurement.lab.guess.roles.role import Role

__all__ = ["is_pulses", "pulses_section", "signs_of"]

_SET = frozenset({"set", "pot", "potentiation", "ltp", "p", "+", "+1", "pos", "1", "s"})
_RESET = frozenset({"reset", "dep", "depression", "ltd", "d", "-", "-1", "neg", "r"})


def is_pulses(log: Log) -> bool:
    """Return True if each row is a pulse: with its polarity and number, or its width."""
    r = log.roles
    polarity = r.first("polarity")
    signed = polarity is not None and polarity.field.texts is not None and bool(signs_of(polarity))
    numbered = r.first("pulse") is not None
    return (numbered and (signed or _signed_volts(log) is not None)) or (
        r.first("width") is not None and r.first("initial") is not None
    )


def _signed_volts(log: Log) -> Role | None:
    """Return the column of voltages whose sign is the polarity of each pulse."""
    for v in (*log.roles.of("amplitude"), *log.roles.of("voltage")):
        values = log.values(v)
        if np.all(np.abs(values) > 0) and np.any(values > 0) and np.any(values < 0):
            return v
    return None


def pulses_section(log: Log) -> Section | None:
    """Write [pulses]."""
    r = log.roles
    before, after = r.first("initial"), r.first("final", "resistance", "conductance", "current")
    if after is None:
        return None
    used = {after.name}
    lines = ["[pulses]", log.conductance(after)]
    cycle, pulse, polarity = r.first("cycle"), r.first("pulse"), r.first("polarity")
    if cycle is not None:
        lines.append(f'cycle = "{cycle.name}"')
        used.add(cycle.name)
    if pulse is not None and has_unique_rows(log, [cycle, pulse]):
        lines.append(f'pulse = "{pulse.name}"')
        used.add(pulse.name)
    else:
        why = f"  # {pulse.name} starts again for each polarity" if pulse is not None else ""
        lines.append(f'pulse = "occurrence"{why}')
    if polarity is not None and (signs := signs_of(polarity)):
        ordered = sorted(signs.items(), key=lambda x: -x[1])
        table = ", ".join(f"{toml_key(t)} = {s}" for t, s in ordered)
        lines.append(f'polarity = {{ column = "{polarity.name}", values = {{ {table} }} }}')
        used.add(polarity.name)
    elif polarity is not None and polarity.field.numbers is not None:
        lines.append(f'polarity = {{ column = "{polarity.name}" }}')
        used.add(polarity.name)
    elif (signed := _signed_volts(log)) is not None:
        sign = f"round({signed.name} / abs({signed.name}))"
        lines.append(f'polarity = {{ column = "{sign}" }}  # the sign of the voltage')
    else:
        lines.append(_polarity_of_change(log, before, after))
    if before is not None:
        lines.append(log.conductance(before, "initial"))
        used.add(before.name)
    volts = r.of("amplitude") or r.of("voltage")
    if volts:
        unit = volts[-1].unit or "V"
        note = "  # CHECK: the last column of voltages" if len(volts) > 1 else ""
        lines.append(f'voltage = {{ column = "{volts[-1].name}", units = "{unit}" }}{note}')
        used.add(volts[-1].name)
    width = r.first("width")
    if width is not None:
        lines.append(f'width = {{ column = "{width.name}", units = "{width.unit or "s"}" }}')
        used.add(width.name)
    return Section(lines=tuple(lines), used=frozenset(used))


def signs_of(polarity: Role) -> dict[str, int]:
    """Return the sign of each text of a polarity column; none if a text is unknown."""
    texts = polarity.field.texts
    out: dict[str, int] = {}
    for text in sorted({str(t) for t in texts} if texts is not None else ()):
        word = text.casefold()
        if word in _SET or word in _RESET:
            out[text] = 1 if word in _SET else -1
        elif word == "read":
            out[text] = 0
        else:
            return {}
    return out


def _polarity_of_change(log: Log, before: Role | None, after: Role) -> str:
    name = log.sample.path.name.casefold()
    if "reset" in name:
        return "polarity = -1  # CHECK: RESET, from the name of the file"
    if "set" in name:
        return "polarity = 1  # CHECK: SET, from the name of the file"
    if before is None:
        return "polarity = 1  # CHECK: SET is assumed"
    change = float(np.nanmean(np.log(np.abs(log.values(after) / log.values(before)))))
    up = (change > 0) != (log.unit(after)[0].endswith("ohm"))
    return f"polarity = {1 if up else -1}  # CHECK: the conductance {'rises' if up else 'falls'}"
