"""Which group of the measurement file the rows of a log are.

The first of these that the columns allow is chosen: a row of samples; an I–V sweep; pulses;
endurance; write-verify attempts with the programming sweep; operations identified by a text;
repeated reads over time; a programming sweep.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rramfit.errors import MeasurementError
from rramfit.measurement.lab.guess.log import Log, Section, toml_text
from rramfit.measurement.lab.guess.names import role_by_name
from rramfit.measurement.lab.guess.sections.endurance import endurance_section, is_endurance
from rramfit.measurement.lab.guess.sections.iv import is_iv, is_wide_iv, iv_section
from rramfit.measurement.lab.guess.sections.program import (
    attempts_section,
    is_operations,
    operations_section,
    program_section,
)
from rramfit.measurement.lab.guess.sections.pulses import is_pulses, pulses_section
from rramfit.measurement.lab.guess.sections.repeated import (
    is_over_time,
    over_time_section,
    reads_section,
    retention_section,
)
from rramfit.measurement.lab.guess.structure import units_of

__all__ = ["GROUP_NAMES", "choose_section"]

_DIE = re.compile(r"(?i)(die|chip|wafer|reticle)[ _]?(x|y|id|no|nr|num(ber)?|name|row|col|#)?")
_LOOKED_AT = 20  # names in the first column of a transposed table
Writer = Callable[[Log], Section | None]

_WRITERS: Mapping[str, Writer] = {
    "program": program_section,
    "reads": reads_section,
    "retention": retention_section,
    "endurance": endurance_section,
    "iv": iv_section,
    "pulses": pulses_section,
    "attempts": attempts_section,
}
_NEEDS: Mapping[str, str] = {
    "program": "a resistance, conductance or current",
    "reads": "a resistance, conductance or current",
    "retention": "a resistance, conductance or current",
    "endurance": "two columns of readings (HRS, LRS), or one with two rows a cycle",
    "iv": "a voltage and a current",
    "pulses": "a reading after each pulse",
    "attempts": "a verify window (lower, upper), SET and RESET pulses, and a final reading",
}
GROUP_NAMES = tuple(_NEEDS)
"""Groups that a draft can be steered to."""


def choose_section(log: Log, *, group: str | None = None) -> Section:
    """Return the section that the rows are.

    Parameters
    ----------
    log : Log
    group : str, optional
        The section to write, one of `GROUP_NAMES`; chosen if not given.

    Raises
    ------
    MeasurementError
        If the columns that the group needs are missing.
    """
    _check_dies(log)
    if group is not None:
        section = _WRITERS[group](log)
        expected = _NEEDS[group]
    else:
        writers = (writer for test, writer in _ORDER if test(log))
        section = next((s for writer in writers if (s := writer(log)) is not None), None)
        expected = "a column of resistances, conductances or currents"
    if section is None:
        if _is_transposed(log):
            raise MeasurementError(
                log.sample.path,
                "/",
                found="a column for each cell: the names of quantities are in the first column",
                expected="a line for each reading",
                remedy="transpose the table, so that the first line names the quantities",
            )
        roles = log.roles.all
        present = ", ".join(f"{r.name} ({r.role or 'unknown'})" for r in roles[:12])
        raise MeasurementError(
            log.sample.path,
            f"[{group}]" if group else "/",
            found=f"the columns {present or 'of samples only'}",
            expected=expected,
            remedy="name the columns in a header with their units, such as `R (kohm)`",
        )
    return section


def _check_dies(log: Log) -> None:
    """Refuse rows of several dies, whose cells have the same rows and columns.

    Raises
    ------
    MeasurementError
        With the columns of the dies.
    """
    cell = log.cells.index
    dies = [f for f in log.sample.fields if _DIE.fullmatch(f.title.strip())]
    columns = [f.numbers if f.numbers is not None else f.texts for f in dies]
    codes = [np.unique(c, return_inverse=True)[1] for c in columns if c is not None]
    if cell is None or not codes:
        return
    number = np.unique(np.stack(codes), axis=1).shape[1]
    if np.unique(np.stack([cell, *codes]), axis=1).shape[1] > len(np.unique(cell)):
        names = " and ".join(f.name for f in dies)
        example = f"where = {{ {dies[0].name} = {_first(columns[0])} }}"
        raise MeasurementError(
            log.sample.path,
            "/",
            found=f"cells of {number} dies ({names})",
            expected="one array in a measurement",
            remedy=f"write a log for each die, or a layout for each with `{example}` in its groups",
        )


def _first(values: NDArray[Any] | None) -> str:
    value = values[0] if values is not None and len(values) else ""
    return f"{value:g}" if isinstance(value, float) else toml_text(str(value))


def _is_transposed(log: Log) -> bool:
    """Return True if the first column, and its title, are names of quantities."""
    first = log.sample.fields[0] if log.sample.fields else None
    if first is None or first.texts is None:
        return False
    names = [units_of(str(t)) for t in (*first.texts[:_LOOKED_AT], first.title)]
    known = [name for name in names if role_by_name(*name) not in ("", "index")]
    return len(known) > 1 and len(known) >= len(names) - 1


def _is_map(log: Log) -> bool:
    return log.sample.wide is not None and log.sample.wide.map


def _alternates(log: Log) -> bool:
    return log.sample.wide is not None and log.sample.wide.alternating != 1


def _is_wide(log: Log) -> bool:
    return log.sample.wide is not None


def _has_columns_of_sweeps(log: Log) -> bool:
    wide = log.sample.wide
    return wide is not None and role_by_name(wide.name, "") in ("cycle", "sweep")


def _has_columns_of_cells(log: Log) -> bool:
    """Return True if a column is a cell, and the lines are a few times."""
    wide = log.sample.wide
    return wide is not None and bool(wide.name) and log.roles.first("time") is not None


def _is_verify(log: Log) -> bool:
    return log.roles.first("sets") is not None and log.roles.first("lower") is not None


def _has_reading(log: Log) -> bool:
    return log.reading() is not None


_ORDER: Sequence[tuple[Callable[[Log], bool], Writer]] = (
    (_is_map, program_section),
    (is_wide_iv, iv_section),
    (_alternates, endurance_section),
    (_has_columns_of_sweeps, program_section),
    (_has_columns_of_cells, over_time_section),
    (_is_wide, reads_section),
    (is_iv, iv_section),
    (is_pulses, pulses_section),
    (is_endurance, endurance_section),
    (_is_verify, attempts_section),
    (is_operations, operations_section),
    (is_over_time, over_time_section),
    (_has_reading, program_section),
)
