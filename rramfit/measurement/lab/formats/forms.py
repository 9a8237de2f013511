"""Numbers that a log writes in another form: hexadecimal, WL12, 1.2 kohm, 1.2D+04, dates.

Dates become seconds since 1970, as if in UTC; a time of day alone becomes seconds since midnight.
Texts that are not of the form of their column are kept, and are reported as no numbers later.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rramfit.measurement.lab.formats.lines import FORTRAN
from rramfit.measurement.lab.layout_table import TableSource
from rramfit.units import base_unit

__all__ = ["as_seconds", "has_unit", "in_base_unit", "split_unit", "with_forms"]

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_WITH_UNIT = re.compile(rf"({_NUMBER})\s*([^\s\d.,;+-][^\s\d,;]*)")


def with_forms(table: Mapping[str, NDArray[Any]], source: TableSource) -> dict[str, NDArray[Any]]:
    """Return a table whose columns in another form are numbers.

    Parameters
    ----------
    table : mapping of str to (row,) array
    source : TableSource
        Names the columns, except for those with Fortran's exponents.
    """
    out = {
        name: _fortran(values) if values.dtype == object else values
        for name, values in table.items()
    }
    forms: tuple[tuple[tuple[str, ...], Callable[[str], float | int | str]], ...] = (
        (source.hex, lambda text: int(text, 16)),
        (source.numbered, _its_number),
    )
    for names, number in forms:
        out |= {name: _each(out[name], number) for name in names if name in out}
    for name, unit in source.with_units.items():
        if name in out:
            out[name] = _each(out[name], partial(_in_base_unit, unit=unit))
    for name, part in source.dates.items():
        columns = [name] if isinstance(part, str) else list(part.columns)
        if all(c in out for c in columns):
            rows = zip(*(out[c].tolist() for c in columns), strict=True)
            texts = [" ".join(map(str, row)) for row in rows]
            seconds = as_seconds(texts, part if isinstance(part, str) else part.format)
            known = np.isfinite(seconds)
            mixed = np.array(texts, dtype=object)
            mixed[known] = seconds[known]
            out[name] = seconds if known.all() else mixed
    return out


def as_seconds(texts: list[str], layout: str) -> NDArray[np.float64]:
    """Return dates as seconds; NaN for texts of another format.

    Examples
    --------
    >>> as_seconds(["1970-01-02", "later"], "%Y-%m-%d").tolist()
    [86400.0, nan]
    """
    import pandas as pd

    origin = pd.Timestamp("1970-01-01" if re.search("%[Yy]", layout) else "1900-01-01")
    stripped = pd.Series([t.strip() for t in texts], dtype=object)
    dates = pd.to_datetime(stripped, format=layout, errors="coerce")
    return np.asarray((dates - origin).dt.total_seconds(), dtype=np.float64)


def split_unit(text: str) -> tuple[str, str] | None:
    """Return the number and the unit of a field such as ``1.2E-6 A``; None for other texts.

    Examples
    --------
    >>> split_unit("9.8 kΩ"), split_unit("12"), split_unit("D12")
    (('9.8', 'kΩ'), None, None)
    """
    match = _WITH_UNIT.fullmatch(text.strip())
    return (match[1], match[2]) if match else None


def in_base_unit(sign: str, unit: str) -> float | None:
    """Return the scale of a unit, or of a prefix alone, to a unit without prefix.

    Examples
    --------
    >>> in_base_unit("kΩ", "ohm"), in_base_unit("M", "ohm"), in_base_unit("uA", "ohm")
    (1000.0, 1000000.0, None)
    """
    found = base_unit(sign) or base_unit(sign + unit)
    return found[1] if found is not None and found[0] == unit else None


def has_unit(text: str) -> bool:
    """Return True for a number with a known unit."""
    split = split_unit(text)
    return split is not None and base_unit(split[1]) is not None


def _in_base_unit(text: str, unit: str) -> float | str:
    """Return the number of a text in a unit without prefix; a number without unit is no number.

    Raises
    ------
    ValueError
        If the text is of another form, or the unit that of another quantity.
    """
    plain = text.strip()
    split = split_unit(plain)
    base = in_base_unit(split[1], unit) if split else None
    if split is not None and base is not None:
        return float(split[0]) * base
    number = float(plain or "nan")
    return f"{plain} without unit" if np.isfinite(number) else number


def _its_number(text: str) -> int:
    """Return the only number in a text such as WL12."""
    (number,) = re.findall(r"\d+", text)
    return int(number)


def _each(values: NDArray[Any], number: Callable[[str], float | int | str]) -> NDArray[Any]:
    """Return the number of each text; texts that have none stay."""

    def read(text: str) -> object:
        try:
            return number(text)
        except ValueError:
            return text

    found = [read(str(v)) for v in values.tolist()]
    if all(isinstance(v, int) for v in found):
        return np.array(found, np.int64)
    numeric = all(isinstance(v, (int, float)) for v in found)
    return np.array(found, np.float64 if numeric else object)


def _fortran(values: NDArray[Any]) -> NDArray[Any]:
    """Return numbers with an exponent D as floats."""
    texts = values.tolist()
    if not any(isinstance(v, str) and FORTRAN.fullmatch(v.strip()) for v in texts[:100]):
        return values
    return _each(values, lambda text: float(FORTRAN.sub(r"\1e\2", text.strip())))
