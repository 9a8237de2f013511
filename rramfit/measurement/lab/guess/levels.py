"""The section [levels] of a draft: verify windows, or the levels that the log numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rramfit.measurement.lab.guess.log import Log, toml_text
from rramfit.measurement.lab.guess.roles.role import Role
from rramfit.units import to_si

__all__ = ["find_levels", "first_rows", "level_key", "window_unit"]

_MOST_LEVELS = 256


def find_levels(log: Log) -> tuple[list[str], dict[str, int] | None, frozenset[str]]:
    """Return the section [levels], the new numbers of levels, and the columns used."""
    r = log.roles
    low, high, level = r.first("lower"), r.first("upper"), r.first("level", "state")
    if low is not None and high is not None:
        unit = low.unit or high.unit or window_unit(log, low, high)
        note = "" if low.field.unit else "  # CHECK: the unit of the readings"
        limits = f'lower = "{low.name}", upper = "{high.name}", units = "{unit}"'
        return (
            ["[levels]", f"windows = {{ {limits} }}{note}", ""],
            None,
            frozenset({low.name, high.name}),
        )
    reading, target = log.reading(), r.first("target")
    if level is None and target is not None:
        return _stated_targets(log, target)
    if level is not None and target is not None and (stated := _targets_of(log, level, target)):
        return stated
    if level is None or reading is None:
        return [], None, frozenset()
    return _measured_levels(log, level, reading)


def window_unit(log: Log, low: Role, high: Role) -> str:
    """Return the unit of the readings if the limits are of their size, else the other kind."""
    reading = log.reading()
    limits = np.concatenate([log.values(low), log.values(high)])
    size = float(np.median(limits[np.isfinite(limits) & (limits > 0)])) if np.any(limits > 0) else 1
    if reading is not None:
        values = np.abs(log.values(reading))
        middle = float(np.nanmedian(values))
        if middle and abs(np.log10(size / middle)) < 2:
            return log.unit(reading)[0]
    return "ohm" if size > 300 else "S"


def _measured_levels(
    log: Log, level: Role, reading: Role
) -> tuple[list[str], dict[str, int] | None, frozenset[str]]:
    numbers = log.values(level)
    if level.field.texts is not None:
        words, code = np.unique(level.field.texts.astype(str), return_inverse=True)
        numbers = code.astype(np.float64)
        names = [toml_text(str(word)) for word in words]
        known = np.arange(len(words), dtype=np.float64)
    else:
        known = np.unique(numbers[np.isfinite(numbers)])
        names = [f'"{k:g}"' for k in known]
    if len(known) > _MOST_LEVELS:
        return [], None, frozenset()
    g = _conductances(log, reading)
    first = first_rows(log)
    of_level = [(numbers == k) & np.isfinite(g) for k in known]
    chosen = [c & first if np.any(c & first) else c for c in of_level]
    middle = [float(np.median(g[c])) if np.any(c) else np.nan for c in chosen]
    if not np.all(np.isfinite(middle)) or not np.all(np.asarray(middle) > 0):
        return [], None, frozenset()
    order = np.argsort(middle)
    targets = ", ".join(f"{middle[i] * 1e6:.4g}" for i in order)
    lines = [
        "[levels]",
        f"target = [{targets}]  # CHECK: medians of the readings; better the targets of the tester",
        'units = "uS"',
        "",
    ]
    rank = {names[i]: k for k, i in enumerate(order.tolist())}
    consecutive = all(name == f'"{k}"' for name, k in rank.items())
    return lines, None if consecutive else rank, frozenset({level.name})


def _stated_targets(
    log: Log, target: Role
) -> tuple[list[str], dict[str, int] | None, frozenset[str]]:
    """Return the levels of a column with the target of each row."""
    known = np.unique(log.values(target))
    known = known[np.isfinite(known)]
    unit, note = log.unit(target)
    if not 1 < len(known) <= _MOST_LEVELS or len(known) > log.sample.rows / 2 or known[0] <= 0:
        return [], None, frozenset()
    if unit.endswith("A"):
        return [], None, frozenset()
    rising = known if unit.endswith("S") else known[::-1]
    lines = [
        "[levels]",
        f"target = [{', '.join(f'{x:g}' for x in rising)}]"
        + (f"  # CHECK: {note}" if note else ""),
        f'units = "{unit}"',
        "",
    ]
    ranks = {f'"{x:g}"': k for k, x in enumerate(rising.tolist())}
    return lines, ranks, frozenset({target.name})


def _targets_of(
    log: Log, level: Role, target: Role
) -> tuple[list[str], dict[str, int] | None, frozenset[str]] | None:
    """Return the levels with the target in the rows of each; None if a level has several."""
    lines, _, _ = _stated_targets(log, target)
    numeric = level.field.texts is None
    words = log.values(level) if numeric else np.asarray(level.field.texts, dtype=str)
    pairs = {(w, t) for w, t in zip(words.tolist(), log.values(target).tolist(), strict=True)}
    if not lines or len(pairs) != len({w for w, _ in pairs}):
        return None
    falling = not log.unit(target)[0].endswith("S")
    ordered = sorted(pairs, key=lambda pair: pair[1], reverse=falling)
    if len({t for _, t in ordered}) != len(ordered):
        return None
    names = [f'"{w:g}"' if numeric else toml_text(w) for w, _ in ordered]
    ranks = {name: k for k, name in enumerate(names)}
    consecutive = all(name == f'"{k}"' for name, k in ranks.items())
    return lines, None if consecutive else ranks, frozenset({level.name, target.name})


def _conductances(log: Log, reading: Role) -> NDArray[np.float64]:
    """Return the readings in S; currents at the read voltage of the log or the assumed one."""
    unit, _ = log.unit(reading)
    with np.errstate(divide="ignore", invalid="ignore"):
        if unit.endswith("A"):
            return np.asarray(to_si(log.values(reading), unit, "current") / log.volts())
        return np.asarray(to_si(log.values(reading), unit, "conductance"))


def first_rows(log: Log) -> NDArray[np.bool_]:
    """Return the rows at the first time or of the first sweep."""
    r = log.roles.first("time", "sweep", "timepoint")
    if r is None or len(np.unique(log.values(r))) > 1000:
        return np.ones(log.sample.rows, np.bool_)
    first: NDArray[np.bool_] = log.values(r) == np.nanmin(log.values(r))
    return first


def level_key(log: Log, ranks: dict[str, int] | None) -> str | None:
    """Return the line with the level of a row; None if the log does not number the levels."""
    level = log.roles.first("level", "state", "target")
    if level is None or log.roles.first("lower"):
        return None
    if ranks is None:
        return f'level = {{ column = "{level.name}" }}'
    table = ", ".join(f"{name} = {k}" for name, k in ranks.items())
    return f'level = {{ column = "{level.name}", values = {{ {table} }} }}  # in rising conductance'
