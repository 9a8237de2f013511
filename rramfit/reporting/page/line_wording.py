"""Sentences on line offsets: which cells share one, how large it is, and what makes such a pattern.

A line offset is shared by all cells of a row or column, or by those whose other address is equal
modulo a period (a folded line). Its size is the standard deviation over lines
(`rramfit.card.schema.LineOffsets`).
"""

from __future__ import annotations

from dataclasses import dataclass

from rramfit.card.schema import LineOffsets, ModelCard
from rramfit.reporting.page.document import Column, Table
from rramfit.reporting.page.wording import listed, number, share, with_interval

__all__ = [
    "LevelPair",
    "line_correlations",
    "line_kind",
    "line_offsets_table",
    "line_paragraphs",
    "line_summary",
    "ordinal",
]

_LINES = {"col": "column", "row": "row"}
_OTHER = {"col": "row", "row": "column"}
_CAUSES = {
    "col": "Such offsets come from the drivers, switches and sense amplifiers of the columns, or "
    "from programming column by column.",
    "row": "Such offsets come from the drivers of the rows, or from programming or reading row by "
    "row while the instrument or the cells drift.",
}
_ABSENT = "\N{EN DASH}"
_IN_A_SUM = (
    "In a network, the current of a column is a sum over its rows: offsets that differ from row to "
    "row average out in it, offsets that the cells of a column share do not."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelPair:
    """Correlation of the line offsets of two levels."""

    first: int
    second: int
    correlation: float


def ordinal(n: int) -> str:
    """Format an ordinal number.

    Examples
    --------
    >>> ordinal(2), ordinal(3), ordinal(12), ordinal(32)
    ('2nd', '3rd', '12th', '32nd')
    """
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{'th' if n % 100 in (11, 12, 13) else suffix}"


def line_kind(axis: str, period: int) -> str:
    """Return which cells share an offset, as a table names them.

    Examples
    --------
    >>> line_kind("row", 1), line_kind("col", 4)
    ('row', 'column, rows equal modulo 4')
    """
    line = _LINES[axis]
    return line if period == 1 else f"{line}, {_OTHER[axis]}s equal modulo {period}"


def line_paragraphs(card: ModelCard) -> tuple[str, ...]:
    """Return one paragraph for each kind of line with offsets, and what they mean for a network."""
    kinds = _by_kind(card)
    if not kinds:
        return ()
    paragraphs = [
        f"{_who(axis, period)} share an offset whose standard deviation is "
        f"{_sizes(card, found)}. {_cause(axis, period)}"
        for (axis, period), found in kinds.items()
    ]
    return (*paragraphs, _IN_A_SUM)


def line_summary(card: ModelCard) -> str:
    """Return one sentence with the largest offset of each kind of line; empty without lines."""
    parts = []
    for (axis, period), found in _by_kind(card).items():
        _, largest = max(found, key=lambda pair: pair[1].std.value)
        which = (
            f"for whole {_LINES[axis]}s"
            if period == 1
            else f"for the cells of one {_LINES[axis]} whose {_OTHER[axis]}s are equal modulo "
            f"{period}"
        )
        parts.append(f"{with_interval(largest.std)} {which}")
    if not parts:
        return ""
    to = "up to " if len(card.variation) > 1 else ""
    return (
        f"Cells of one line share an offset: the standard deviation over lines is {to}"
        f"{listed(parts)}."
    )


def line_correlations(card: ModelCard) -> list[LevelPair]:
    """Return the correlation of line offsets for each pair of levels that it is known for."""
    matrix = card.line_correlation
    if matrix is None:
        return []
    finest = {v.level: _finest(v.lines or []) for v in card.variation}
    levels = [k for k in finest if k < len(matrix) and finest[k]]
    return [
        LevelPair(first=j, second=k, correlation=matrix[j][k])
        for i, j in enumerate(levels)
        for k in levels[i + 1 :]
        if finest[j] & finest[k]
    ]


def line_offsets_table(card: ModelCard) -> Table:
    """Return a table of the line offsets of every level."""
    columns = (
        Column("level", numeric=False),
        Column("cells that share an offset", numeric=False),
        Column("standard deviation over lines (95 % interval)"),
        Column("share of the level's variance"),
        Column("p-value (no such offsets)"),
    )
    names = {x.index: x.name for x in card.levels}
    std = {x.index: x.std.value for x in card.levels if x.std is not None}
    rows = tuple(
        (
            names.get(v.level, f"L{v.level}"),
            line_kind(x.axis, x.period).replace(" ", "\N{NO-BREAK SPACE}"),
            with_interval(x.std),
            share((x.std.value / std[v.level]) ** 2) if std.get(v.level) else _ABSENT,
            _p_value(x.p_value),
        )
        for v in card.variation
        for x in v.lines or []
    )
    return Table(caption="Line offsets", columns=columns, rows=rows)


def _p_value(p: float | None) -> str:
    if p is None:
        return _ABSENT
    return number(p, 1) if p >= 1e-12 else "< 1e\N{MINUS SIGN}12"


def _finest(lines: list[LineOffsets]) -> set[tuple[str, int]]:
    """Return the kinds of lines that the correlation is computed from: the finest of each axis."""
    periods: dict[str, int] = {}
    for x in lines:
        periods[x.axis] = max(x.period, periods.get(x.axis, 1))
    return set(periods.items())


def _by_kind(card: ModelCard) -> dict[tuple[str, int], list[tuple[str, LineOffsets]]]:
    """Return (level's name, offsets) by kind of line, the largest kind first."""
    names = {x.index: x.name for x in card.levels}
    kinds: dict[tuple[str, int], list[tuple[str, LineOffsets]]] = {}
    for v in card.variation:
        for x in v.lines or []:
            name = names.get(v.level, f"L{v.level}")
            kinds.setdefault((x.axis, x.period), []).append((name, x))
    largest = {kind: max(x.std.value for _, x in found) for kind, found in kinds.items()}
    return dict(sorted(kinds.items(), key=lambda item: -largest[item[0]]))


def _who(axis: str, period: int) -> str:
    line = _LINES[axis]
    if period == 1:
        return f"All cells of one {line}"
    return f"The cells of one {line} whose {_OTHER[axis]}s are equal modulo {period}"


def _sizes(card: ModelCard, found: list[tuple[str, LineOffsets]]) -> str:
    several = len(card.variation) > 1
    if len(found) <= 2:
        return listed([with_interval(x.std) + (f" at {at}" if several else "") for at, x in found])
    low, high = (pick(found, key=lambda pair: pair[1].std.value) for pick in (min, max))
    ends = " to ".join(f"{with_interval(x.std)} at {at}" for at, x in (low, high))
    every = len(found) == len(card.variation)
    return ends if every else f"{ends}, at {len(found)} of {number(len(card.variation))} levels"


def _cause(axis: str, period: int) -> str:
    if period == 1:
        return _CAUSES[axis]
    other = _OTHER[axis]
    shared = "sense amplifiers" if axis == "col" else "drivers or sense amplifiers"
    return (
        f"Such a pattern comes from multiplexers, from {shared} shared by every {ordinal(period)} "
        f"{other}, or from programming {period} {other}s at a time."
    )
