"""What each column of a sample means: by its name and unit, else by its values.

A name or unit in the header decides if the values fit it. If the header names no cell or no
reading, they are looked for among the other columns by value (`inference`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rramfit.measurement.lab.guess.fields import Field
from rramfit.measurement.lab.guess.names import UNIT_ROLES, quantity_of_unit, role_by_name
from rramfit.measurement.lab.guess.roles.inference import Inference, infer, infer_texts
from rramfit.measurement.lab.guess.roles.role import NOT_SURE, SURE, Role, Roles, integral
from rramfit.measurement.lab.guess.sample import Sample
from rramfit.measurement.lab.table.quantity_parts import FALSE_WORDS, TRUE_WORDS

__all__ = ["assign_roles"]

_INTEGER_ROLES = frozenset({"row", "col", "address", "cycle", "sweep", "sets", "resets", "pulse",
                            "pulses", "reads", "read", "index"})  # fmt: skip
_OVERFLOW = 9e36  # 9.91e37 is "not a number" of SCPI instruments, 9.9e37 their infinity
_TEXT_ROLES = frozenset({"device", "address", "polarity", "state", "flag", "level", "direction"})


def assign_roles(sample: Sample) -> Roles:
    """Return the role of every column of a sample."""
    found = Inference(sample, [_by_name(f) for f in sample.fields])
    named = any(f.title for f in sample.fields)
    cell = found.has("address", "row", "col", "device")
    if not cell:  # a column `sample` may then number the cells
        found.roles = [
            Role(r.field, "", "", NOT_SURE) if r.role == "read" else r for r in found.roles
        ]
    reading = found.has("resistance", "conductance", "current", "hrs", "lrs", "final", "reading")
    if not named or not reading:
        infer(found, keep_cell=named and cell)
    elif not cell:
        infer(found, only_cell=True)
    if named and reading:
        infer_texts(found)
    return Roles(tuple(found.roles))


def _by_name(f: Field) -> Role:
    role = role_by_name(f.title, f.unit) if f.title else ""
    unit = f.unit if quantity_of_unit(f.unit) else ""
    if role == "temperature" and not unit and f.title.casefold().endswith("c"):
        unit = "degC"
    if not role:
        return Role(f, "", "no known name or unit" if f.title else "", NOT_SURE, unit)
    why = f"by its unit {unit}" if role == quantity_of_unit(unit) else "by its name"
    if unit and role != quantity_of_unit(unit):
        why += f" and its unit {unit}"
    if f.numbers is None:
        if role not in _TEXT_ROLES:
            sample_text = str((f.texts if f.texts is not None else [""])[0])[:20]
            return Role(f, "", f"named as {role}, but it is text ({sample_text!r})", NOT_SURE)
        words = {str(t).casefold() for t in (f.texts if f.texts is not None else ())}
        if role == "flag" and not words <= {*TRUE_WORDS, *FALSE_WORDS}:
            odd = ", ".join(sorted(words - {*TRUE_WORDS, *FALSE_WORDS})[:4])
            return Role(f, "", f"named as a flag, but {odd!r} is neither true nor false", NOT_SURE)
        return Role(f, role, why, SURE, unit)
    known = f.numbers[np.isfinite(f.numbers)]
    if role in UNIT_ROLES["conductance"] | {"resistance", "current"} and _overflows(known):
        return Role(f, "", "only overflow markers, as in " + f"{known[0]:g}", NOT_SURE, unit)
    if role in _INTEGER_ROLES and not integral(known):
        return Role(f, "", f"named as {role}, but its values are no integers", NOT_SURE, unit)
    if role == "flag" and len(np.unique(known)) > 2:
        return Role(f, "", "named as a flag, but it has more than two values", NOT_SURE, unit)
    return Role(f, role, why, SURE, unit)


def _overflows(values: NDArray[np.float64]) -> bool:
    """Return True if there are values, and all are what instruments write for "out of range"."""
    return len(values) > 0 and bool(np.all(np.abs(values) >= _OVERFLOW))
