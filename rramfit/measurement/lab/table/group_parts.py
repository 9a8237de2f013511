"""Parts of a layout file for a log: the columns of each group of the measurement file."""

from __future__ import annotations

from typing import Literal, Self, TypeVar

from pydantic import Field, field_validator, model_validator

from rramfit.measurement.lab.layout_parts import LayoutError, Part, check_unit, given_keys
from rramfit.measurement.lab.table.quantity_parts import (
    Keys,
    TableCode,
    TableConductance,
    TableCurrent,
    TableFlag,
    TableLevel,
    TableState,
    TableTemperature,
    TableVoltage,
    TableWidth,
    Where,
)

__all__ = [
    "TableAttempts",
    "TableDrive",
    "TableEndurance",
    "TableIV",
    "TableMVM",
    "TableProgram",
    "TablePulses",
    "TableReadLevel",
    "TableReadout",
    "TableReads",
    "TableTime",
]


class _Group(Part):
    """A group of the measurement file, from the rows that `where` selects."""

    where: Where = Field(default_factory=dict)


_P = TypeVar("_P", bound=_Group)


def _with_session_key(part: _P, name: str, session: str | None, keys: Keys | None) -> _P:
    """Return the part; refuse a session that is not a key of its sweeps or reads."""
    if session is not None and (session not in (keys or ()) or session == "occurrence"):
        raise LayoutError(
            found=f"session = {session!r} with {name} = {list(keys or ())}",
            expected=f"one of the columns of `{name}`, or 'file' if it is one",
        )
    return part


class TableProgram(_Group):
    """Rows of programming sweeps (`/program`)."""

    conductance: TableConductance
    sweep: Keys | None = None
    level: TableLevel | None = None
    verified: TableFlag | None = None
    pulses: tuple[str, ...] = Field(default=(), description="columns whose sum is the pulse count")
    read_voltage: float
    max_pulses: int | None = None
    session: str | None = Field(
        default=None, description="key of `sweep` that is the tester, day or session of a sweep"
    )

    @model_validator(mode="after")
    def _session_is_a_key(self) -> Self:
        return _with_session_key(self, "sweep", self.session, self.sweep)


class TableTime(Part):
    """The time of each read: given, or the median of a column over cells."""

    values: tuple[float, ...] | None = None
    column: str | None = None
    since: Where | Literal["first"] | None = Field(
        default=None,
        description="time origin: the cell's last such row before, or the first read",
    )
    units: str

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        check_unit("time", self.units)
        if (self.values is None) == (self.column is None):
            given = given_keys(self, "values", "column")
            raise LayoutError(found=given, expected="either `values` or `column`")
        return self


class TableReadLevel(Part):
    """The level of each cell: from a column, a programming sweep, or the nearest target."""

    column: str | None = None
    first: int = 0
    values: dict[str, int] | None = None
    program: int | None = Field(
        default=None, description="index of the sweep that programmed it, -1 for the last"
    )
    reading: int | None = Field(
        default=None, description="index of the read whose nearest target it is"
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(x is not None for x in (self.column, self.program, self.reading)) != 1:
            given = given_keys(self, "column", "program", "reading")
            raise LayoutError(found=given, expected="exactly one of `column`, `program`, `reading`")
        return self


class TableReads(_Group):
    """Rows of repeated reads of one state (`/reads`, `/retention`)."""

    latest: str | None = Field(
        default=None,
        description="counter; uses only the rows after its last increment in each cell",
    )
    conductance: TableConductance
    read: Keys
    time: TableTime
    level: TableReadLevel | None = None
    read_voltage: float | None = None
    temperature: float | TableTemperature | None = Field(
        default=None, description="[K], or a column: one bake for each temperature"
    )
    session: str | None = Field(
        default=None, description="key of `read` that is the tester, day or session of a read"
    )

    @model_validator(mode="after")
    def _session_is_a_key(self) -> Self:
        return _with_session_key(self, "read", self.session, self.read)


class TableEndurance(_Group):
    """Rows of conductances against the number of cycles (`/endurance`)."""

    cycle: Keys = Field(description="number of cycles; 'occurrence' counts those of the cell")
    states: tuple[TableConductance, ...] | None = Field(
        default=None, description="columns of the states, if each row has all of them"
    )
    conductance: TableConductance | None = None
    state: str | TableState | None = Field(
        default=None,
        description="'alternating' rows, in order of 'value', by a column or by a threshold",
    )
    number_of_states: int = Field(default=2, ge=1, le=16)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.states is None) == (self.conductance is None):
            given = given_keys(self, "states", "conductance")
            raise LayoutError(found=given, expected="either `states` or `conductance`")
        if self.states is not None and self.state is not None:
            raise LayoutError(found="`states` and `state`", expected="only one of them")
        if isinstance(self.state, str) and self.state not in ("alternating", "value"):
            expected = '"alternating", "value", { column = … } or { threshold = …, units = … }'
            raise LayoutError(found=f"`state` = {self.state!r}", expected=expected)
        if self.states is not None and not self.states:
            raise LayoutError(found="no column in `states`", expected="one column per state")
        return self


class TableIV(_Group):
    """Rows of I–V points (`/iv`), in the order of measurement."""

    voltage: TableVoltage
    current: TableCurrent
    repeat: Keys | None = Field(
        default=None, description="what numbers the curves of a cell; default: one curve per cell"
    )
    points: int | None = Field(
        default=None, ge=2, description="points of a curve, if a cell's curves follow each other"
    )
    direction: TableCode | None = None


class TablePulses(_Group):
    """Rows of conductances after each pulse (`/pulses`)."""

    conductance: TableConductance
    cycle: Keys | None = None
    pulse: Keys = ("occurrence",)
    polarity: TableCode | int
    initial: TableConductance | None = Field(
        default=None, description="reading before the pulse; becomes a read without a pulse"
    )
    voltage: TableVoltage | None = None
    width: TableWidth | None = None
    read_voltage: float | None = None

    @field_validator("polarity")
    @classmethod
    def _sign(cls, polarity: TableCode | int) -> TableCode | int:
        if isinstance(polarity, int) and polarity not in (-1, 0, 1):
            raise LayoutError(found=str(polarity), expected="1 (SET), -1 (RESET) or 0 (read)")
        return polarity


class TableAttempts(_Group):
    """Rows of write-verify attempts (`/attempts`): one row per attempt, or one per step."""

    lower: TableConductance | None = None
    upper: TableConductance | None = None
    level: TableLevel | None = None
    set_pulses: str | None = None
    reset_pulses: str | None = None
    success: TableFlag | None = None
    initial: TableConductance | None = None
    final: TableConductance | None = None
    attempt: Keys | None = Field(
        default=None, description="what numbers the attempts of a cell, if each row is a step"
    )
    conductance: TableConductance | None = Field(default=None, description="after each step")
    polarity: TableCode | None = None
    voltage: TableVoltage | None = None
    width: TableWidth | None = None
    max_pulses: int | None = None
    read_voltage: float | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        steps = [n for n in ("conductance", "polarity", "voltage", "width") if getattr(self, n)]
        if self.attempt is None and steps:
            raise LayoutError(
                found=f"`{steps[0]}` without `attempt`",
                expected="`attempt`, which numbers the attempts of a cell",
            )
        if self.attempt is not None and self.conductance is None:
            raise LayoutError(found="`attempt` without `conductance`", expected="`conductance`")
        if self.polarity is None and (self.set_pulses is None or self.reset_pulses is None):
            given = given_keys(self, "set_pulses", "reset_pulses", "polarity")
            raise LayoutError(
                found=given, expected="`set_pulses` and `reset_pulses`, or `polarity` of each step"
            )
        return self


class TableDrive(_Group):
    """Rows of the voltages, currents or cells of a driven array."""

    column: str
    units: str
    pattern: str = "pattern"
    row: str | None = None
    col: str | None = None


class TableMVM(Part):
    """Rows of column currents with many rows driven at once (`/mvm`)."""

    voltage: TableDrive
    current: TableDrive
    conductance: TableDrive | None = None
    program: int | None = Field(
        default=None, description="index of the sweep that holds the cells' conductances"
    )
    inactive_rows: Literal["grounded", "floating", "gated"]
    cell_reads: Literal["intrinsic", "terminal"]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        check_unit("voltage", self.voltage.units, where="mvm.voltage")
        check_unit("current", self.current.units, where="mvm.current")
        if (self.conductance is None) == (self.program is None):
            given = given_keys(self, "conductance", "program")
            raise LayoutError(found=given, expected="either `conductance` or `program`")
        if self.conductance is not None:
            check_unit("conductance", self.conductance.units, where="mvm.conductance")
        if self.voltage.row is None or self.current.col is None:
            expected = "`row` of the voltages and `col` of the currents"
            raise LayoutError(found="no such key", expected=expected)
        return self


class TableReadout(_Group):
    """Rows of ADC codes at known input currents (`/readout`)."""

    input: TableCurrent
    code: str
    channel: str | None = Field(default=None, description="column or arithmetic; default: one")
    channel_col: str | None = Field(default=None, description="column of the array, by channel")
    bits: int = Field(ge=1, le=32)
    full_scale: float
    zero_code: int
