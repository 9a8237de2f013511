"""Lines of a piece of a log: how many fields each has, and which cannot be rows.

All counts are made on the bytes of the piece at once. Quotation marks around simple fields are
removed first; a line with other quotation marks is split by the CSV rules on its own.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["FORTRAN", "WHITESPACE", "Lines", "fields_of", "is_number", "split_lines", "unquoted"]

WHITESPACE = "whitespace"
_NEWLINE, _QUOTE = 10, 34
FORTRAN = re.compile(r"^([+-]?\d*\.\d*)[dD]([+-]\d+)$")  # such as 1.2D+04
_GROUPS = r"[+-]?[1-9]\d{0,2}(?:%s\d{3})+(?:%s\d*)?"  # digits in groups of three


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """The lines of a piece; all arrays have one entry per line."""

    data: bytes
    start: NDArray[np.int64]  # first byte
    end: NDArray[np.int64]  # its newline
    fields: NDArray[np.int64]  # number of fields; 0 if the quotation marks are not closed
    blank: NDArray[np.bool_]  # without any content
    single: NDArray[np.bool_]  # all fields but one are empty, of at least two
    zero: NDArray[np.bool_]  # contains a zero byte
    quoted: bool  # whether any quotation mark is left

    def text(self, i: int) -> str:
        """Return a line as text."""
        return self.data[self.start[i] : self.end[i]].decode("utf-8").rstrip("\r")

    def keep(self, chosen: NDArray[np.int64]) -> bytes:
        """Return the chosen lines, in order, joined in as few copies as possible."""
        if len(chosen) in (0, len(self.start)):
            return self.data if len(chosen) else b""
        breaks = np.flatnonzero(np.diff(chosen) != 1) + 1
        first, last = np.r_[0, breaks], np.r_[breaks, len(chosen)] - 1
        runs = zip(self.start[chosen[first]].tolist(), self.end[chosen[last]].tolist(), strict=True)
        return b"".join([self.data[a : b + 1] for a, b in runs])


def split_lines(data: bytes, separator: str) -> Lines:
    """Return the lines of a piece, whose every line ends in a newline."""
    data = unquoted(data, separator)
    buffer = np.frombuffer(data, dtype=np.uint8)
    end = np.flatnonzero(buffer == _NEWLINE)
    start = np.r_[0, end[:-1] + 1]
    content = buffer > 32
    if separator == WHITESPACE:
        fields = _count(content & ~np.r_[False, content[:-1]], start)  # first bytes of fields
        blank, single = fields == 0, np.zeros(len(start), np.bool_)
    else:
        split = buffer == ord(separator)
        fields = _count(split, start) + 1
        blank = _count(content & ~split, start) == 0
        single = _one_field(buffer, split, start, fields)
    zero = np.zeros(len(start), np.bool_)
    if b"\0" in data:
        zero = _count(buffer == 0, start) > 0
    quotes = np.flatnonzero(buffer == _QUOTE)
    lines = Lines(
        data=data, start=start, end=end, fields=fields, blank=blank, single=single & ~blank,
        zero=zero, quoted=bool(len(quotes)),
    )  # fmt: skip
    if len(quotes):
        for i in np.unique(np.searchsorted(end, quotes)).tolist():
            fields[i] = len(fields_of(lines.text(i), separator))
    return lines


def _count(hit: NDArray[np.bool_], start: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many bytes of each line are marked."""
    counts: NDArray[np.int64] = np.add.reduceat(hit, start, dtype=np.int64)
    return counts


def _one_field(
    buffer: NDArray[np.uint8],
    split: NDArray[np.bool_],
    start: NDArray[np.int64],
    fields: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Return the lines whose fields are empty but for one, such as ``Sweep 2,,``."""
    edge = split | (buffer == _NEWLINE)
    empty = edge & np.r_[True, edge[:-1]]
    if not empty.any():
        return np.zeros(len(fields), np.bool_)
    single: NDArray[np.bool_] = (_count(empty, start) == fields - 1) & (fields > 1)
    return single


def unquoted(data: bytes, separator: str) -> bytes:
    """Remove the quotation marks around fields that contain neither separator nor quotation mark.

    Examples
    --------
    >>> unquoted(b'"1","a b","c,d"', ",")
    b'1,a b,"c,d"'
    """
    if b'"' not in data:
        return data
    mark = rb"\s" if separator == WHITESPACE else re.escape(separator.encode())
    simple = rb'(?<![^\n%b])"([^"\n%b]*)"(?=[\r\n%b]|$)' % (mark, mark, mark)
    return re.sub(simple, rb"\1", data)


def fields_of(line: str, separator: str) -> list[str]:
    """Split a line into its fields; none if its quotation marks are not closed."""
    line = line.rstrip("\r\n")
    if separator == WHITESPACE:
        return line.split()
    if '"' not in line:
        return line.split(separator)
    try:
        csv.field_size_limit(max(csv.field_size_limit(), len(line) + 1))
        return next(csv.reader([line], delimiter=separator, strict=True), [])
    except csv.Error:
        return []


def is_number(field: str, decimal: str = ".", thousands: str | None = None) -> bool:
    """Return True if a field is a number.

    Examples
    --------
    >>> is_number("1,5e-3", ","), is_number("Sweep 2"), is_number("+1.0")
    (True, False, True)
    """
    text = field.strip()
    if thousands and thousands in text:
        if not re.fullmatch(_GROUPS % (re.escape(thousands), re.escape(decimal)), text):
            return False
        text = text.replace(thousands, "")
    if "_" in text:
        return False
    text = FORTRAN.sub(r"\1e\2", text)
    try:
        float(text.replace(decimal, ".") if decimal != "." else text)
    except ValueError:
        return False
    return True
