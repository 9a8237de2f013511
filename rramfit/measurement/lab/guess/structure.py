"""Structure of a text log: separator, decimal sign, comments, settings, header and row prefix.

Each candidate separator splits the first lines. The best one splits most lines into the same
number of fields, most of which are numbers. The header is the line above the first row with as many
fields, none of which is a number; it may be a comment. Lines with few numbers above a full header
are settings, also if they have as many fields as the rows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from rramfit.measurement.lab.formats.forms import has_unit
from rramfit.measurement.lab.formats.lines import WHITESPACE, fields_of, is_number
from rramfit.units import ACCEPTED_UNITS, unit_name

__all__ = ["HEAD_LINES", "Structure", "find_structure", "units_of"]

_SEPARATORS = ("\t", ";", ",", "|", WHITESPACE)
_COMMENTS = ("#", "%", "//", "!")
_FIELDS = 64  # of a line that are looked at
_LONG_LINE = 8192
_TIME_OR_KELVIN = re.compile(r"(?i)(.*[_ ])?(t|time|temp(erature)?)")  # `time_h`, `temp_C`
HEAD_LINES = 1000  # that are looked at; some testers write several hundred lines of settings
_FEWEST_NUMBERS = 0.2  # share of the fields of a row
_SETTINGS = 0.75  # of the numbers of a row: lines with fewer, above a header, are settings
_LONGER = 4  # rows with a mark, in terms of the settings in a row above them
_GROUPED = re.compile(r"[+-]?\d{1,3}(?P<t>[.,' ])\d{3}(?:(?P=t)\d{3})*(?P<d>[.,]\d+)?")
_ALL_UNITS = frozenset(u for units in ACCEPTED_UNITS.values() for u in units)


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """How the lines of a log are split into rows."""

    separator: str
    width: int  # fields of a row
    decimal: str = "."
    thousands: str | None = None
    comment: str = "#"
    header: bool | str = False
    titles: tuple[str, ...] = ()  # header fields; empty if there is no header
    skip: int = 0
    row_prefix: str | None = None
    settings: tuple[str, ...] = ()  # lines in front of the header and the rows


@dataclass(frozen=True, slots=True)
class _Split:
    score: float
    separator: str
    decimal: str
    thousands: str | None
    width: int
    rows: tuple[int, ...]  # indices of the lines that are rows


def find_structure(lines: Sequence[str], separator: str | None = None) -> Structure | None:
    """Return the structure of a log; None if its lines are no rows.

    Parameters
    ----------
    lines : sequence of str
        The first lines of the file.
    separator : str, optional
        Its separator, if that is known.
    """
    lines = [line.rstrip("\r\n") for line in lines[:HEAD_LINES]]
    splits = [
        s
        for candidate in ((separator,) if separator else _SEPARATORS)
        for decimal in ((".",) if candidate == "," else (".", ","))
        if (s := _split(lines, candidate, decimal)) is not None
    ]
    if not splits:
        return _one_column(lines)
    best = max(splits, key=lambda s: s.score)  # the first of equals
    return _with_header(lines, best)


def units_of(title: str) -> tuple[str, str]:
    """Return a header field without its unit, and the unit; "" if it has none.

    Examples
    --------
    >>> units_of("Current (A)"), units_of("R_kohm"), units_of("V1"), units_of("G [µS]")
    (('Current', 'A'), ('R', 'kohm'), ('V1', ''), ('G', 'uS'))
    >>> units_of("time_h"), units_of("Part_C")
    (('time', 'h'), ('Part_C', ''))
    """
    bracket = re.search(r"[\[(]\s*([^\])]*?)\s*[\])]\s*$", title)
    if bracket:
        bare = title[: bracket.start()].strip()
        return bare or title, _known(bracket.group(1)) or bracket.group(1)
    for pattern in (r"^(.+?)\s*(?:/|\bin\b)\s*(\S+)$", r"^(.+)[_ ](\S+)$"):
        suffix = re.match(pattern, title.strip())
        unit = _known(suffix[2]) if suffix else ""
        if (
            suffix
            and unit
            and (len(suffix[2]) > 1 or suffix[2] in "SVAs" or _TIME_OR_KELVIN.fullmatch(suffix[1]))
        ):
            return suffix[1], unit
    return title, ""


def _known(unit: str) -> str:
    """Return the name of an accepted unit, "" for others; `kÒ` had an ohm sign that was lost."""
    name = unit_name(unit)
    if name not in _ALL_UNITS:
        lost = re.fullmatch(r"([kKMG]?)[^\x00-\x7f]", unit.strip())
        name = unit_name(f"{lost.group(1)}ohm") if lost else ""
    return name if name in _ALL_UNITS else ""


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith(_COMMENTS)


def _split(lines: Sequence[str], separator: str, decimal: str) -> _Split | None:
    split = {
        i: _first_fields(line, separator)
        for i, line in enumerate(lines)
        if line.strip() and not _is_comment(line)
    }
    thousands = _thousands([f for _, fields in split.values() for f in fields], separator, decimal)
    shares = {
        i: sum(_is_reading(f, decimal, thousands) for f in fields) / max(len(fields), 1)
        for i, (_, fields) in split.items()
    }
    counts: dict[int, float] = {}
    for i, (n, _) in split.items():
        if n > 1 and shares[i] > 0:
            counts[n] = counts.get(n, 0.0) + 1 + shares[i]
    if not counts:
        return None
    width = max(counts, key=lambda n: (counts[n], n))
    same = {i: fields for i, (n, fields) in split.items() if n == width}
    numeric = [i for i in same if shares[i] > 0]
    if len(numeric) > 1 and _numbers_columns(same[numeric[0]], same[numeric[1]], decimal):
        numeric = numeric[1:]
    rows, marked = _without_settings(numeric, same, shares)
    numbers = sum(shares[i] for i in rows) / len(rows)
    if numbers < _FEWEST_NUMBERS or len(rows) < min(2, len(split)):
        return None
    others = [i for i in split if rows[0] == numeric[0] or (i >= rows[0] and not marked)]
    score = len(rows) / (len(others) or len(rows)) * (0.1 + numbers)
    return _Split(round(score, 6), separator, decimal, thousands, width, tuple(rows))


def _numbers_columns(
    fields: Sequence[str], below: Sequence[str] | None = None, decimal: str = "."
) -> bool:
    """Return True for a header such as ``time (s),1,2,3``, above a row of numbers."""
    first, *others = (f.strip().strip('"') for f in fields)
    counts = [[str(n) for n in range(k, len(others) + k)] for k in (0, 1)]
    numbered = bool(first) and not is_number(first, decimal) and others in counts
    return numbered and len(others) > 1 and (below is None or is_number(below[0], decimal))


def _without_settings(
    rows: list[int], lines: Mapping[int, Sequence[str]], shares: Mapping[int, float]
) -> tuple[list[int], bool]:
    """Return the rows below the header, if settings above it have as many fields.

    The second value is True if these rows start with one text, which distinguishes them.

    The header is the line of texts above the longest run of rows. Settings have fewer numbers than
    these rows, or these rows start with a text that no setting starts with (``DataValue``).
    """
    best, longest = (rows, False), 0
    seen: set[tuple[str, ...]] = set()
    for at, fields in lines.items():
        known = tuple(fields) in seen  # a repeated header
        seen.add(tuple(fields))
        if known or shares[at] or not all(f.strip().strip('"') for f in fields):
            continue
        above, below = [i for i in rows if i < at], [i for i in rows if i > at]
        run = below[: _runs(below)[0]] if below else []
        if not above or len(run) < 2 or len(run) <= longest:
            continue
        starts = {lines[i][0].strip() for i in run}
        marked = len(starts) == 1 and not starts & {lines[i][0].strip() for i in [*above, at]}
        few = median(shares[i] for i in above) < _SETTINGS * shares[run[0]]
        if few or (marked and len(run) >= _LONGER * max(_runs(above))):
            kept = [i for i in below if lines[i][0].strip() in starts] if marked else below
            best = kept, marked
            longest = len(run)
    return best


def _runs(rows: Sequence[int]) -> list[int]:
    """Return the lengths of the runs of rows without a line between them."""
    breaks = [n for n, (a, b) in enumerate(pairwise(rows), start=1) if b != a + 1]
    return [b - a for a, b in pairwise([0, *breaks, len(rows)])]


def _is_reading(field: str, decimal: str, thousands: str | None) -> bool:
    return is_number(field, decimal, thousands) or has_unit(field.strip().replace(decimal, "."))


def _first_fields(line: str, separator: str) -> tuple[int, list[str]]:
    """Return the number of fields of a line, and the first of them."""
    if len(line) < _LONG_LINE or '"' in line:
        fields = fields_of(line, separator)
        return len(fields), fields[:_FIELDS]
    number = len(line.split()) if separator == WHITESPACE else line.count(separator) + 1
    return number, fields_of(line[:_LONG_LINE], separator)[:_FIELDS]


def _thousands(fields: Sequence[str], separator: str, decimal: str) -> str | None:
    """Return the sign between groups of three digits, if there is one without doubt."""
    other = "," if decimal == "." else "."
    found: Counter[str] = Counter()
    for f in fields:
        match = _GROUPED.fullmatch(f.strip())
        sign = match["t"] if match else ""
        if not match or sign == decimal or (sign == separator and sign != ","):
            continue
        single = not match["d"] and f.count(sign) < 2
        if sign == other and single and (decimal == "," or separator == ";" or f[0] == "0"):
            continue  # 1.234 or 1,234; with semicolons, a comma is a decimal sign
        if match["d"] and match["d"][0] != decimal:
            return None
        found[sign] += 1
    if not found:
        return None
    sign = found.most_common(1)[0][0]
    plain = sum(is_number(f, decimal) for f in fields)
    grouped = sum(is_number(f, decimal, sign) for f in fields)
    return sign if grouped > plain else None


def _one_column(lines: Sequence[str]) -> Structure | None:
    rows = [i for i, x in enumerate(lines) if is_number(x)]
    text = [x for x in lines if x.strip() and not _is_comment(x)]
    if len(rows) < 2 or len(rows) < 0.8 * len(text):
        return None
    first = rows[0]
    titles = (lines[first - 1].strip().lstrip("#% "),) if first and lines[first - 1].strip() else ()
    header: bool | str = bool(titles) and not _is_comment(lines[first - 1])
    return Structure(separator=",", width=1, header=header and first == 1, titles=titles,
                     skip=0 if first <= 1 else first)  # fmt: skip


def _with_header(lines: Sequence[str], split: _Split) -> Structure:
    first = split.rows[0]
    prefix = _row_prefix(lines, split)
    comments = Counter(c for x in lines for c in _COMMENTS if x.lstrip().startswith(c))
    comment = comments.most_common(1)[0][0] if comments else "#"
    at, titles = _header(lines, first, split)
    header: bool | str = False
    skip = 0
    if at is None and (named := _header_of_row_names(lines, split)):
        at, titles = split.rows[0] - 1, named  # the reader needs `columns` for it
    above = [i for i in range(first) if lines[i].strip() and not _is_comment(lines[i])]
    units = at is not None and any(i > at and fields_of(lines[i], split.separator) for i in above)
    if titles and not titles[0]:
        skip = first
    elif at is not None and not _is_comment(lines[at]) and titles and not units:
        header = True if above == [at] else _start(lines, at, titles)
    elif above and not any(_like_row(lines[i], split) for i in above):
        skip = first
    return Structure(
        separator=split.separator,
        width=split.width,
        decimal=split.decimal,
        thousands=split.thousands,
        comment=comment,
        header=header,
        titles=titles,
        skip=skip,
        row_prefix=prefix,
        settings=tuple(lines[i] for i in range(first) if i != at and lines[i].strip()),
    )


def _like_row(line: str, split: _Split) -> bool:
    """Return True for a line with as many fields as a row, or more, and a number."""
    fields = fields_of(line, split.separator)
    return len(fields) >= split.width and any(is_number(f, split.decimal) for f in fields)


def _header(lines: Sequence[str], first: int, split: _Split) -> tuple[int | None, tuple[str, ...]]:
    """Return the header above the first row and its fields, with units from a line below it."""
    found: list[tuple[int, list[str]]] = []
    for i in range(first - 1, max(first - 12, -1), -1):
        if not lines[i].strip() or not fields_of(lines[i], split.separator):
            continue  # blank, or with a quotation mark that is not closed
        fields = _text_fields(lines[i], split)
        if fields:
            found.append((i, fields))
            if len(found) == 2 or not _are_units(fields):
                break
        elif not _is_comment(lines[i]):
            break
    if not found:
        return None, ()
    if len(found) == 2 and _are_units(found[0][1]):
        units = (u.strip("()[] ") for u in found[0][1])
        named = (f"{n} ({u})" if u else n for n, u in zip(found[1][1], units, strict=True))
        return found[1][0], tuple(named)
    return found[0][0], tuple(found[0][1])


def _header_of_row_names(lines: Sequence[str], split: _Split) -> tuple[str, ...]:
    """Return the header of R's write.table, which has no name for the column of row names."""
    first = split.rows[0]
    fields = [f.strip().strip('"') for f in fields_of(lines[first - 1], split.separator)]
    numbers = any(is_number(f, split.decimal) for f in fields)
    unlike = len(fields) != split.width - 1 or numbers or not all(fields)
    if not first or unlike or _is_comment(lines[first - 1]):
        return ()
    named = [fields_of(lines[i], split.separator)[0].strip('" ') for i in split.rows]
    counts = [str(n) for n in range(1, len(named) + 1)]
    texts = not any(is_number(name, split.decimal) for name in named)
    return ("", *fields) if named == counts or texts else ()


def _text_fields(line: str, split: _Split) -> list[str]:
    """Return the fields of a line, if they are as many as in a row and none is a number."""
    bare = line
    if _is_comment(line):
        bare = line.strip()
        for mark in _COMMENTS:
            bare = bare.removeprefix(mark)
        bare = bare.strip()
    for separator in (split.separator, WHITESPACE, ",", ";"):
        fields = [f.strip().strip('"') for f in fields_of(bare, separator)]
        looked_at = fields[:_FIELDS]
        if len(fields) == split.width and (
            _numbers_columns(looked_at) or not any(is_number(f, split.decimal) for f in looked_at)
        ):
            return fields if any(fields) else []
        if not _is_comment(line):
            break
    return []


def _are_units(fields: Sequence[str]) -> bool:
    """Return True if the fields are units, such as ``V,A,s``, and not names."""
    known = (bool(_known(f.strip("()[] "))) or not f.strip("()[] -") for f in fields)
    return all(known) and any(f.strip() for f in fields)


def _start(lines: Sequence[str], at: int, titles: Sequence[str]) -> str:
    """Return the start of the header line that no line above it has."""
    whole = lines[at].strip().strip('"')
    first = titles[0] if whole.startswith(titles[0]) and titles[0] else whole
    above = any(x.lstrip('"# \t').startswith(first) for x in lines[:at])
    return whole if above else first


def _row_prefix(lines: Sequence[str], split: _Split) -> str | None:
    """Return the text that all rows start with, and other lines do not."""
    firsts = {fields_of(lines[i], split.separator)[0].strip() for i in split.rows}
    if len(firsts) != 1 or len(split.rows) < 2:
        return None
    text = firsts.pop()
    others = [x for i, x in enumerate(lines) if i not in set(split.rows) and x.strip()]
    gaps = any(b - a > 1 for a, b in pairwise(split.rows)) or split.rows[0] > 1
    if not text or is_number(text, split.decimal) or not gaps or not others:
        return None
    return None if any(x.startswith(text) for x in others) else text
