"""A log with what is known of its columns, from which the sections of a draft are written."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rramfit.measurement.lab.guess.cells import Cells
from rramfit.measurement.lab.guess.names import quantity_of_unit
from rramfit.measurement.lab.guess.roles.role import SURE, Role, Roles
from rramfit.measurement.lab.guess.sample import Sample
from rramfit.measurement.lab.guess.wide import Wide
from rramfit.units import to_si, unit_name

__all__ = ["Log", "Section", "fits", "has_unique_rows", "toml_key", "toml_text"]

_ASSUMED_VOLTS = 0.2
_ASSUMED_KELVIN = 300.0
_NEGATIVE = 0.9  # share of the readings of which the sign is reversed
_READ_VOLTS = re.compile(
    r"(?i)(?:(?:read[ _]?v(?:olt(?:age)?)?|v[ _]?read)\b[^0-9+-]*?|\bread(?:ing|s)?\s+at\s+)"
    r"([+-]?\d+(?:[.,]\d+)?)\s*(mV|V\b)?"
)
_STATED_UNIT = re.compile(
    r"(?i)\b(?:conductances?|resistances?|readings?|values?|units?)\b(?:\s+(?:map|matrix))?"
    r"\s*(?:is|are|in|:|=|\[|\()*\s*"
    r"([munkMG\u00b5\u03bc]?(?:S|ohm|\u03a9|\u2126))(?![A-Za-z])"
)
_READING_ROLES = ("resistance", "conductance", "current", "final", "reading")
_DEFAULT_UNITS = frozenset({"resistance", "conductance", "current"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One section of the layout, or several that belong together."""

    lines: tuple[str, ...]
    used: frozenset[str]  # names of columns
    samples: tuple[str, ...] = ()
    source: tuple[str, ...] = ()  # further lines of [source]


@dataclass(frozen=True, slots=True)
class Log:
    """What the group sections are written from."""

    sample: Sample
    roles: Roles
    cells: Cells
    files: Sequence[Path]

    @property
    def per_cell(self) -> float:
        """Mean number of rows of a cell."""
        return self.sample.rows / max(self.cells.number, 1)

    def reading(self) -> Role | None:
        """Return the column to use as the conductance: in S or ohm rather than A.

        A column that is always the same is a setting, if another one is not.
        """
        found = [r for role in _READING_ROLES for r in self.roles.of(role)]
        varied = [r for r in found if len(np.unique(self.values(r))) > 1]
        return next(iter(varied or found), None)

    def values(self, r: Role) -> NDArray[np.float64]:
        """Return the numbers of a column."""
        return np.zeros(0) if r.field.numbers is None else r.field.numbers

    def conductance(self, r: Role, key: str = "conductance") -> str:
        """Return the line of a column as a conductance."""
        text, note = self.part(r)
        return f"{key} = {text}{note}"

    def samples_as_conductance(self, wide: Wide) -> str:
        """Return the line of the samples of a row as conductances."""
        stated = wide.unit or self.stated_unit()
        unit = stated or ("ohm" if wide.size >= 300 else "uS" if wide.size >= 0.05 else "S")
        check = "" if stated else fits(wide.size, unit)
        if unit.endswith("A"):
            volts, stated = self._stated_volts()
            check = "" if stated else "  # CHECK: the read voltage is assumed"
            part = f'{{ column = "g", units = "{unit}", voltage = {volts:g} }}'
            return f"conductance = {part}{check}"
        return f'conductance = {{ column = "g", units = "{unit}" }}{check}'

    def stated_unit(self) -> str:
        """Return the unit of conductances or resistances in a line of settings; else ""."""
        for line in self.sample.settings:
            match = _STATED_UNIT.search(line)
            if match and quantity_of_unit(unit_name(match[1])) in ("conductance", "resistance"):
                return unit_name(match[1])
        return ""

    def part(self, r: Role) -> tuple[str, str]:
        """Return the inline table of a reading, and its comment."""
        unit, note = self.unit(r)
        name = r.name
        known = self.values(r)[np.isfinite(self.values(r))]
        if len(known) and np.mean(known < 0) > _NEGATIVE:
            name = f"-{r.name}"
            note = "; ".join(filter(None, [note, "all are negative, so the sign is reversed"]))
        if unit.endswith("A"):
            volts = self.roles.first("read voltage", "voltage")
            voltage = f'"{volts.name}"' if volts else f"{self._stated_volts()[0]:g}"
            assumed = volts is None and not self._stated_volts()[1]
            checks = [c for c in (note, "the read voltage is assumed" if assumed else "") if c]
            mark = f"  # CHECK: {'; '.join(checks)}" if checks else ""
            return f'{{ column = "{name}", units = "{unit}", voltage = {voltage} }}', mark
        return f'{{ column = "{name}", units = "{unit}" }}', f"  # CHECK: {note}" if note else ""

    def unit(self, r: Role) -> tuple[str, str]:
        """Return the unit of a reading, and why it had to be guessed; "" if it is given."""
        if r.unit:
            return r.unit, "" if r.field.unit or r.sure == SURE else r.why
        if (stated := self.stated_unit()) and r.role in (
            "reading",
            "final",
            quantity_of_unit(stated),
        ):
            return stated, ""
        known = np.abs(self.values(r))
        size = float(np.median(known[np.isfinite(known) & (known > 0)])) if np.any(known > 0) else 1
        kind = r.role if r.role in _DEFAULT_UNITS else _kind_of_name(r, size)
        if kind == "resistance":
            unit = "ohm" if size >= 300 else "kohm"
        elif kind == "conductance":
            unit = "S" if size < 5e-3 else "uS" if size < 5e3 else "nS"
        else:
            unit = "A" if size < 5e-3 else "uA" if size < 5e3 else "nA"
        return unit, f"no unit in the log; the median {size:.3g} fits {unit}"

    def volts(self) -> NDArray[np.float64] | float:
        """Return the voltage [V] that turns a current into a conductance."""
        r = self.roles.first("read voltage", "voltage")
        if r is None:
            return self._stated_volts()[0]
        return np.asarray(to_si(self.values(r), r.unit or "V", "voltage"))

    def read_voltage(self) -> str:
        """Return the line with the read voltage, from a constant column or a setting."""
        r = self.roles.first("read voltage")
        if r is not None:
            known = np.unique(self.values(r))
            if len(known) == 1 and known[0]:
                scale = 1e-3 if r.unit == "mV" else 1.0
                return f"read_voltage = {float(known[0]) * scale:g}  # [V], column {r.name}"
        volts, line = self._stated_volts()
        if line:
            return f"read_voltage = {volts:g}  # [V], from the line {line.strip()[:60]!r}"
        assumed = f"not in the log; {_ASSUMED_VOLTS} V is assumed"
        return f"read_voltage = {_ASSUMED_VOLTS}  # CHECK [V]: {assumed}"

    def _stated_volts(self) -> tuple[float, str]:
        """Return the read voltage [V] and the setting that states it; "" if it is assumed."""
        for line in self.sample.settings:
            match = _READ_VOLTS.search(line)
            if match and (number := float(match[1].replace(",", "."))):
                return number * (1e-3 if match[2] == "mV" else 1.0), line
        return _ASSUMED_VOLTS, ""

    def temperature(self) -> tuple[str, tuple[str, ...], str | None]:
        """Return the line with the temperature, lines of [source], and the column used."""
        r = self.roles.first("temperature")
        if r is not None:
            unit = r.unit or ("degC" if np.nanmedian(self.values(r)) < 200 else "K")
            check = "" if r.unit else f"  # CHECK: no unit; the values fit {unit}"
            part = f'temperature = {{ column = "{r.name}", units = "{unit}" }}{check}'
            return part, (), r.name
        names = [f.name for f in self.files]
        matches = [
            re.match(r"(.*?)(-?\d+(?:\.\d+)?) ?(°?C|degC|K)(?![A-Za-z0-9])", n) for n in names
        ]
        if all(matches) and matches[0] and "{" not in matches[0].group(1):
            before = re.sub(r"\d+", "*", matches[0].group(1))
            unit = "K" if matches[0].group(3) == "K" else "degC"
            pattern = f'file_name = "{before}{{temperature}}{matches[0].group(3)}*"'
            source = (f"{pattern}  # temperature out of the name of the file",)
            return f'temperature = {{ column = "temperature", units = "{unit}" }}', source, None
        assumed = f"temperature = {_ASSUMED_KELVIN}  # CHECK [K]: not in the log; assumed"
        return assumed, (), None


def _kind_of_name(r: Role, size: float) -> str:
    letter = "" if r.role == "reading" else r.field.title[:1].casefold()
    if letter in "rgi" and letter:
        return {"r": "resistance", "g": "conductance", "i": "current"}[letter]
    return "resistance" if size > 100 else "conductance"


def has_unique_rows(log: Log, keys: Sequence[Role | None]) -> bool:
    """Return True if no two rows of a cell have the same values in these columns."""
    cells = log.cells.index
    columns = [log.values(k) for k in keys if k is not None]
    columns.append(np.zeros(log.sample.rows) if cells is None else cells.astype(np.float64))
    return bool(np.unique(np.stack(columns), axis=1).shape[1] == log.sample.rows)


def fits(size: float, unit: str) -> str:
    """Return the comment of a unit that was guessed from the size of the values."""
    return f"  # CHECK: the median {size:.2g} fits {unit}"


def toml_key(text: str) -> str:
    """Return a text as a key of TOML."""
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else toml_text(text)


def toml_text(text: str) -> str:
    """Return a text as TOML."""
    return json.dumps(text, ensure_ascii=False)  # whose escapes are those of TOML
