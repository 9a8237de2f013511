"""A column of a sample as numbers: also if a log writes them with units, as dates or as WL12.

A column is numeric if nearly all of its texts are numbers or mean "not measured", or most are and
the rest are a few words, such as ``Overflow``, which `convert` will list as bad rows. A day and a
time of day in two columns are joined to one date.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rramfit.measurement.lab.formats.forms import as_seconds, in_base_unit, split_unit
from rramfit.measurement.lab.guess.names import role_by_name
from rramfit.units import base_unit

__all__ = ["Field", "field_of_texts", "source_keys", "with_joined_dates"]

_MISSING = ("", "NA", "N/A", "n/a", "n.a.", "#N/A", "-", "--", "---", "null", "NULL", "None")
_NEARLY_ALL, _MOST, _FEW_WORDS = 0.95, 0.6, 4
_UNITS = {"resistance": "ohm", "conductance": "S", "current": "A", "voltage": "V", "time": "s"}
_DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%b-%Y")
_CLOCKS = ("%H:%M:%S", "%H:%M:%S.%f", "%H:%M", "%I:%M:%S %p")
_DATES = (
    *(f"{day}{sign}{clock}" for day in _DAYS for sign in " T" for clock in _CLOCKS),
    *_DAYS,
    *_CLOCKS,
)
_DAY_OR_MONTH = ("%m/%d/%Y", "%d/%m/%Y")  # which of them, 3/2/2026 does not tell


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A column of the sample."""

    name: str  # valid in arithmetic
    title: str  # as in the header, without its unit; "" without header
    unit: str  # as in the header or the fields; "" if there is none
    numbers: NDArray[np.float64] | None  # (row,), NaN where empty; None for text
    texts: NDArray[Any] | None  # both for numbers in another form
    integers: bool  # written without a decimal point
    form: str = ""  # the key of [source] for numbers in another form
    date: str = ""  # their format, if they are dates
    joined: tuple[str, ...] = ()  # names of the columns of a date
    missing: tuple[str, ...] = ()  # texts between the numbers that mean "not measured"

    @property
    def note(self) -> str:
        """What to check of the form; "" if nothing."""
        if self.date.startswith(_DAY_OR_MONTH):
            return f"its dates are read as {self.date}; day and month may be the other way round"
        return ""


def field_of_texts(
    name: str, title: tuple[str, str], texts: NDArray[Any], *, boolean: bool = False
) -> Field:
    """Return the column of texts.

    Parameters
    ----------
    name : str
    title : (str, str)
        Title of the column, and the unit in it.
    texts : (row,) array
    boolean : bool
        Whether the texts are true and false.
    """
    import pandas as pd

    about: dict[str, Any] = {"name": name, "title": title[0], "unit": title[1]}
    values = pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce").to_numpy(np.float64)
    words = np.array([str(t).strip() for t in texts], dtype=object)
    if _are_addresses(title[0], words):
        addresses = np.array([int(word, 16) for word in words], dtype=np.float64)
        return Field(**about, numbers=addresses, texts=words, integers=True, form="hex")
    numbers = _numbered(title[0], words)
    if numbers is not None:
        return Field(**about, numbers=numbers, texts=words, integers=True, form="numbered")
    finite = np.isfinite(values)
    known = finite | np.isin(words, [*_MISSING, "nan", "NaN", "NAN", "inf", "-inf"])
    share, odd = float(np.mean(known)), set(words[~known].tolist())
    numeric = share > _NEARLY_ALL or (share > _MOST and len(odd) <= _FEW_WORDS)
    numeric = numeric and not boolean and bool(finite.any())
    if not numeric and not boolean:
        field = Field(**about, numbers=None, texts=words, integers=False)
        return _with_units(field, words) or _of_dates(field, words) or field
    return Field(
        **about,
        numbers=values if numeric else None,
        texts=None if numeric else words,
        integers=numeric and all(re.fullmatch(r"[+-]?\d+", word) for word in words),
        missing=tuple(w for w in _MISSING if numeric and w in words),
    )


def source_keys(fields: Sequence[Field]) -> Mapping[str, Any]:
    """Return the keys of [source] for numbers in another form, and texts for "not measured"."""
    keys: dict[str, Any] = {
        form: [f.name for f in fields if f.form == form] for form in ("hex", "numbered")
    }
    keys["with_units"] = {f.name: f.unit for f in fields if f.form == "with_units"}
    keys["dates"] = {
        f.name: {"columns": f.joined, "format": f.date} if f.joined else f.date
        for f in fields
        if f.form == "dates"
    }
    keys["missing"] = sorted({m for f in fields for m in f.missing})
    return {key: value for key, value in keys.items() if value}


def with_joined_dates(fields: Sequence[Field]) -> tuple[Field, ...]:
    """Return the columns with a day and a time of day as one column, if there are both.

    A time of day alone that falls, as at midnight, stays text.
    """
    days = [f for f in fields if f.date in _DAYS]
    clocks = [f for f in fields if f.date in _CLOCKS]
    if len(days) != 1 or len(clocks) != 1:
        lone = [f for f in clocks if _falls(f)]
        return tuple(_as_text(f) if any(f is c for c in lone) else f for f in fields)
    day, clock = days[0], clocks[0]
    seconds = None
    if day.numbers is not None and clock.numbers is not None:
        seconds = day.numbers + clock.numbers
    joined = replace(
        clock,
        name="date_time",
        title="time",
        numbers=seconds,
        date=f"{day.date} {clock.date}",
        joined=(day.name, clock.name),
    )
    return (*(_as_text(f) if f is day or f is clock else f for f in fields), joined)


def _as_text(field: Field) -> Field:
    return replace(field, form="", date="", unit="", numbers=None)


def _falls(field: Field) -> bool:
    return field.numbers is not None and bool(np.any(np.diff(field.numbers) < 0))


def _are_addresses(title: str, words: NDArray[Any]) -> bool:
    """Return True for hexadecimal numbers: with 0x, or of one length in a column of addresses."""
    if all(re.fullmatch(r"0[xX][0-9a-fA-F]+", word) for word in words):
        return True
    if role_by_name(title, "") not in ("row", "col", "address"):
        return False
    digits = all(re.fullmatch(r"[0-9a-fA-F]{2,8}", word) for word in words)
    letters = any(re.search(r"[a-fA-F]", word) and not word.isalpha() for word in words)
    return digits and letters and len({len(word) for word in words}) == 1


def _numbered(title: str, words: NDArray[Any]) -> NDArray[np.float64] | None:
    """Return the numbers in texts such as WL12 of rows and columns; None if they are others."""
    if role_by_name(title, "") not in ("row", "col", "address"):
        return None
    found = [re.fullmatch(r"([A-Za-z_ -]+)(\d{1,6})", word) for word in words]
    if not all(found) or len({m[1] for m in found if m}) != 1:
        return None
    return np.array([int(m[2]) for m in found if m], np.float64)


def _with_units(field: Field, words: NDArray[Any]) -> Field | None:
    """Return the column of fields such as ``1.2 kohm`` or ``1.2k``, in the unit without prefix."""
    split = [split_unit(word) for word in words]
    bases = Counter(b[0] for s in split if s and (b := base_unit(s[1])))
    unit = bases.most_common(1)[0][0] if bases else ""
    unit = unit or _UNITS.get(role_by_name(field.title, field.unit), "")
    scales = [in_base_unit(s[1], unit) if s and unit else None for s in split]
    known = [s is not None for s in scales]
    if not any(known) or sum(known) < _MOST * np.count_nonzero(words != ""):
        return None
    numbers = np.array(
        [
            float(s[0]) * scale if s is not None and scale is not None else np.nan
            for s, scale in zip(split, scales, strict=True)
        ]
    )
    return replace(field, numbers=numbers, unit=unit, form="with_units")


def _of_dates(field: Field, words: NDArray[Any]) -> Field | None:
    """Return the column of dates, in seconds."""
    texts = [str(w) for w in words if w]
    if not texts or not re.match(r"\d{1,4}[-/.:]", texts[0]):
        return None
    for layout in _DATES:
        if np.isnan(as_seconds(texts[:1], layout)).any():
            continue
        seconds = as_seconds(list(words), layout)
        if np.isfinite(seconds).sum() >= _NEARLY_ALL * len(texts):
            return replace(field, numbers=seconds, unit="s", form="dates", date=layout)
    return None
