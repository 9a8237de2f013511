"""Layout files for logs: rows of a table, with the cell of each reading."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from rramfit.measurement.lab.expressions import column_names
from rramfit.measurement.lab.layout_parts import (
    ArrayPart,
    LayoutError,
    LevelsPart,
    Part,
    given_keys,
)
from rramfit.measurement.lab.table.group_parts import (
    TableAttempts,
    TableEndurance,
    TableIV,
    TableMVM,
    TableProgram,
    TablePulses,
    TableReadout,
    TableReads,
)
from rramfit.measurement.lab.table.quantity_parts import Where

__all__ = ["CellsPart", "TableLayout", "TableSource", "fields_of_pattern"]


class DateColumns(Part):
    """A date in several columns, such as one for the day and one for the time of day."""

    columns: tuple[str, ...]
    format: str


class TableSource(Part):
    """Format of the rows of a log."""

    kind: Literal["table"]
    separator: str | None = Field(
        default=None, description="default: comma or tab, by file name; 'whitespace' for any blanks"
    )
    header: bool | str = Field(
        default=False,
        description="true: the first line names the columns; a text: the line that starts with it",
    )
    columns: tuple[str, ...] = ()
    skip: Annotated[int, Field(ge=0)] = 0
    comment: str = Field(default="#", description="prefix of comment lines; '' for none")
    row_prefix: str | None = Field(
        default=None, description="only lines that start with this text are rows"
    )
    decimal: Literal[".", ","] = "."
    thousands: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    encoding: str | None = Field(default=None, description="default: recognized from the file")
    sheet: str | int = Field(default=0, description="name of a sheet, or its number from 0")
    dataset: str | None = Field(
        default=None, description="array, struct or group of an .npz, .mat or HDF5 file"
    )
    member: str | None = Field(default=None, description="file inside a .zip file")
    hex: tuple[str, ...] = Field(default=(), description="columns of hexadecimal numbers")
    numbered: tuple[str, ...] = Field(
        default=(), description="columns of texts with one number, such as WL12: the number is used"
    )
    with_units: dict[str, Literal["S", "ohm", "V", "A", "s"]] = Field(
        default_factory=dict,
        description="columns of numbers with their unit, such as '1.2 kohm', and the unit "
        "without prefix in which they are used",
    )
    dates: dict[str, str | DateColumns] = Field(
        default_factory=dict,
        description="columns of dates and their format, such as '%Y-%m-%d %H:%M:%S', which become "
        "seconds; a new column has the `columns` to be joined, and the `format`",
    )
    missing: tuple[str, ...] = Field(default=(), description="values that mean 'not measured'")
    samples: tuple[str, ...] = Field(
        default=(),
        description="names, in turn, of the fields after `columns`; each becomes a separate row",
    )
    file_name: str | None = Field(
        default=None,
        description="new columns from the name of the file: 'bake_{celsius}C*', * is any text",
    )
    title: str | None = Field(
        default=None, description="new columns from the title line of a block: 'Cycle {cycle}'"
    )
    counters: dict[str, Where] = Field(
        default_factory=dict,
        description="new columns: index of the cell's last such row, from 0; -1 before the first",
    )

    @model_validator(mode="after")
    def _columns_are_known(self) -> Self:
        if not self.header and not self.columns and not self.samples:
            raise LayoutError(found="no column names", expected="`columns`, or `header = true`")
        for name, part in self.dates.items():
            layout = part if isinstance(part, str) else part.format
            if "%" not in layout:
                raise LayoutError(
                    found=repr(layout),
                    expected="a format such as '%Y-%m-%d %H:%M:%S'",
                    where=f"source.dates.{name}",
                )
        for name in ("file_name", "title"):
            fields_of_pattern(getattr(self, name) or "", where=f"source.{name}")
        if len(set(self.columns)) != len(self.columns):
            raise LayoutError(
                found="a repeated name in `columns`", expected="distinct column names"
            )
        return self


class CellsPart(Part):
    """The cell of a row: computed from its columns, or numbered by `packed`."""

    row: str | None = None
    col: str | None = None
    packed: str | None = Field(
        default=None,
        description="for cells without coordinates: fill the array in rising order of this number "
        "or name",
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        placed = self.row is not None and self.col is not None
        if placed == (self.packed is not None) or (self.row is None) != (self.col is None):
            given = given_keys(self, "row", "col", "packed")
            raise LayoutError(found=given, expected="either `row` and `col`, or `packed`")
        for expression in (self.row, self.col):
            if expression is not None:
                column_names(expression, integer=True)
        return self


class TableLayout(Part):
    """Layout file for a log."""

    array: ArrayPart
    source: TableSource
    cells: CellsPart | None = None
    levels: LevelsPart | None = None
    program: TableProgram | None = None
    reads: TableReads | None = None
    retention: TableReads | None = None
    endurance: TableEndurance | None = None
    iv: TableIV | None = None
    mvm: TableMVM | None = None
    readout: TableReadout | None = None
    pulses: TablePulses | None = None
    attempts: TableAttempts | None = None

    @model_validator(mode="after")
    def _something_to_read(self) -> Self:
        given = [name for name, _ in self._groups()]
        if not given:
            names = ", ".join(f"[{name}]" for name in _GROUPS)
            raise LayoutError(found="no group", expected=f"at least one of {names}")
        if self.cells is None and set(given) != {"mvm", "readout"} & set(given):
            raise LayoutError(
                found="no such key", expected="[cells], which assigns rows to cells", where="cells"
            )
        windows = None if self.levels is None else self.levels.windows
        if windows is not None and self.program is None and self.attempts is None:
            expected = "[program] or [attempts], whose rows contain the windows"
            raise LayoutError(found="`levels.windows` without [program]", expected=expected)
        if self.mvm is not None and self.mvm.program is not None and self.program is None:
            raise LayoutError(found="`mvm.program` without [program]", expected="[program]")
        return self

    def _groups(self) -> Iterator[tuple[str, Part]]:
        for name in _GROUPS:
            if (part := getattr(self, name)) is not None:
                yield name, part

    @property
    def joins_files(self) -> bool:
        """True if several logs are one measurement: a key, cell or value depends on the file."""
        if self.source.file_name is not None:
            names = {"file", *fields_of_pattern(self.source.file_name)}
        else:
            names = {"file"}
        parts = [] if self.cells is None else [self.cells.model_dump()]
        parts += [part.model_dump() for _, part in self._groups()]
        return any(names & _names_in(part) for part in parts)


_GROUPS = (
    "program",
    "reads",
    "retention",
    "endurance",
    "iv",
    "mvm",
    "readout",
    "pulses",
    "attempts",
)


def fields_of_pattern(pattern: str, *, where: str = "") -> tuple[str, ...]:
    """Return the names in braces of a pattern such as ``"bake_{celsius}C*"``.

    Raises
    ------
    LayoutError
        If a brace is not closed, or a name is not a word or is repeated.
    """
    parts = pattern.replace("{", "}").split("}")
    names = tuple(parts[1::2])
    bad = [n for n in names if not n.isidentifier()] or [n for n in names if names.count(n) > 1]
    if bad or pattern.count("{") != len(names) or pattern.count("}") != len(names):
        expected = "distinct names in braces, such as 'bake_{celsius}C*'"
        raise LayoutError(found=repr(pattern), expected=expected, where=where)
    return names


def _names_in(value: object) -> frozenset[str]:
    """Return all words in the texts of a part, which may be names of columns."""
    if isinstance(value, str):
        return frozenset(re.findall(r"\w+", value))
    if isinstance(value, dict):
        inside = [_names_in(v) for v in value.values()]
        return frozenset(map(str, value)).union(*inside)
    if isinstance(value, (list, tuple)):
        return frozenset[str]().union(*map(_names_in, value))
    return frozenset()
